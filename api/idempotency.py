"""`Idempotency-Key`: a POST that is sent again has one effect and gets the first answer again.

Kept are answers below 500 for 48 hours, by key and by caller with the rights of that time. A server
killed between the work and the keeping leaves a key that is free after a minute; the work is then
done again, which changes nothing where it was done: upserts, entries and events are recognised by
what they say.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api import problems
from api.problems import Refusal
from api.security import sight
from zyz_match.access import Caller
from zyz_match.acting import actor
from zyz_match.errors import StorageError, ZyzError
from zyz_match.service import Service
from zyz_match.upsert_desk import Asked, InFlight, Kept, Lease, Mismatch

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
_KEY = re.compile(r"[!-~]{1,255}")
_KEPT_HEADERS = ("content-type", "location", "etag")
_SESSION = re.compile(r"/v1/session\b")  # its body holds a password: nothing of it is kept
_SECRET = re.compile(r"/v1/(accounts|keys|webhooks)\b")  # answers may hold what is shown once

Respond = Callable[[], Awaitable[Response]]


async def once(request: Request, content: bytes, respond: Respond) -> Response:
    """Answer a POST whose body (or its digest) is `content`, once for its key."""
    key = _key(request)
    if key is None or request.method != "POST" or _SESSION.match(request.url.path):
        return await respond()
    service: Service = request.app.state.service
    asked = Asked(_caller(request), key, _fingerprint(request, content))
    begun = await run_in_threadpool(service.answers.begin, asked)
    if isinstance(begun, Lease):
        return await _first(request, service, begun, respond)
    return _again(request, begun)


def _caller(request: Request) -> str:
    """Who asks, and with which rights: another key of that name, or less sight, gets no answer."""
    caller: Caller | None = request.scope["state"].get("caller")
    who = (caller.kind, caller.id) if caller else ("", "")
    rights = [sorted(p) if isinstance(p, frozenset) else p for p in sight(request.scope)]
    digest = hashlib.sha256(repr((who, rights)).encode()).hexdigest()
    return f"{actor().name}#{digest[:32]}"


def _key(request: Request) -> str | None:
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise Refusal(
            422, "invalid_idempotency_key",
            f"{HEADER} 应为 1 到 255 个可见的 ASCII 字符，只给一次，例：一个 UUID。",
        )  # fmt: skip
    return given[0]


def _fingerprint(request: Request, content: bytes) -> str:
    scope = request.scope
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    parts = (scope["method"].encode(), path, scope["query_string"], content)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


async def _first(request: Request, service: Service, lease: Lease, respond: Respond) -> Response:
    try:
        response = await respond()
    except (ZyzError, RequestValidationError, HTTPException) as error:
        response = problems.answer_to(request, error)
    except Exception:
        await run_in_threadpool(service.answers.give_up, lease)
        raise
    if response.status_code >= 500:
        await run_in_threadpool(service.answers.give_up, lease)
        return response
    headers = {n: response.headers[n] for n in _KEPT_HEADERS if n in response.headers}
    kept = Kept(response.status_code, headers, bytes(response.body).decode())
    if _SECRET.match(request.url.path):
        kept = Kept(response.status_code, {}, "")
    with suppress(StorageError):  # the work is done: when the lease runs out, it is recognised
        await run_in_threadpool(service.answers.finish, lease, kept)
    return response


def _again(request: Request, found: Kept | InFlight | Mismatch) -> Response:
    if isinstance(found, Kept) and _SECRET.match(request.url.path):
        raise Refusal(
            409, "answer_not_kept",
            "这个请求已经完成；它的答复可能含有只显示一次的密钥或密码，没有保留。"
            "没有收到的话，请吊销或重置后重新申请。",
        )  # fmt: skip
    if isinstance(found, Kept):
        body = found.body.encode()
        if found.headers.get("content-type") == problems.MEDIA_TYPE:
            said: dict[str, Any] = json.loads(found.body)
            said["request_id"] = problems.request_id(request.scope)
            body = json.dumps(said, ensure_ascii=False).encode()
        return Response(body, found.status, {**found.headers, REPLAYED: "true"})
    if isinstance(found, Mismatch):
        raise Refusal(
            422, "idempotency_mismatch",
            f"这个 {HEADER} 已用于另一个请求（地址、参数或内容不同），新请求请换一个键。",
        )  # fmt: skip
    seconds = max(1, round(found.seconds)) if found.seconds < 5 else 2
    return problems.problem(
        request.scope, 409, "idempotency_in_flight", "同一个请求正在处理，请稍后用同一个键重试。",
        headers={"Retry-After": str(seconds)},
    )  # fmt: skip
