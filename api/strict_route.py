"""The route class of every data route: query string, path and body are checked here."""

from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from email.message import Message
from typing import Any, get_origin
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api import idempotency, strict_json
from api.problems import Refusal

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
MAX_BODY = 1_000_000  # bytes
_READING = frozenset({"GET", "HEAD"})  # a body means nothing there and is left unread
_PRINTABLE = bytes(range(0x21, 0x7F))  # kept; other bytes, such as Chinese as typed, are encoded


class StrictRequest(Request):
    """A request whose JSON was parsed by our rules before the framework looks at it."""

    async def take_body(self) -> None:
        """Read, check and parse the body."""
        _check_content_type(self)
        self._body = await read_body(self)
        self._json = strict_json.parse(self._body) if self._body else None

    async def take_nothing(self, parameters: Collection[str]) -> None:
        """Read a body that is not asked for: none and {} say nothing, all else is refused."""
        self._body = await read_body(self)
        if self._body and (said := strict_json.parse(self._body)) != {}:
            raise RequestValidationError(list(_unasked(said, parameters)))


def _unasked(said: Any, parameters: Collection[str]) -> Iterator[dict[str, Any]]:
    """What is wrong with a body where none is asked for, as pydantic would say it."""
    if not isinstance(said, dict):
        why = "应为空或 {}：此地址不需要请求体，请去掉。"
        yield {"type": "value_error", "loc": ("body",), "ctx": {"error": why}}
        return
    for name in said:
        if name in parameters:
            why = f"是查询参数，请从请求体移到地址里：?{name}=…"
            yield {"type": "value_error", "loc": ("body", name), "ctx": {"error": why}}
        else:
            yield {"type": "extra_forbidden", "loc": ("body", name)}


def _check_content_type(request: Request) -> None:
    message = Message()
    message["content-type"] = request.headers.get("content-type", "")
    charset = str(message.get_param("charset", "utf-8")).lower()
    encoding = request.headers.get("content-encoding", "identity").lower()
    if (
        message.get_content_type() != "application/json"
        or charset not in ("utf-8", "utf8")
        or encoding != "identity"
    ):
        raise Refusal(
            415,
            "unsupported_media_type",
            "请求体应为 UTF-8 的 JSON，请使用 Content-Type: application/json，不要压缩。",
        )


async def read_body(request: Request) -> bytes:
    """The whole body; Refusal for one that is too large."""
    too_large = Refusal(413, "body_too_large", f"请求体超过 {MAX_BODY:,} 字节，请缩减后重试。")
    declared = request.headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit() or len(declared) > 18:
        raise Refusal(400, "bad_request", "Content-Length 不是有效的长度。")
    if int(declared) > MAX_BODY:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise too_large
    return bytes(body)


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """Name and "may be repeated" of every query parameter a route declares."""
    for field in dependant.query_params:
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, info in kind.model_fields.items():
                yield info.alias or name, get_origin(info.annotation) is list
        else:
            yield field.alias, get_origin(kind) is list
    for below in dependant.dependencies:
        yield from _parameters(below)


def _decoded(raw: bytes, where: str) -> str:
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(
            400, "invalid_encoding", f"{where}不是有效的 UTF-8，请按 UTF-8 做百分号编码。"
        ) from None
    strict_json.check_text(text, where)
    return text


def _check_query(raw: bytes, declared: dict[str, bool]) -> None:
    _decoded(raw.replace(b"+", b" "), "查询参数")
    pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True)
    for name, times in Counter(name for name, _ in pairs).items():
        if name not in declared:
            known = "、".join(declared) or "无"
            message = f"不认识的查询参数“{name[:40]}”。此地址可用的参数：{known}。"
        elif times > 1 and not declared[name]:
            message = f"查询参数“{name}”只能出现一次，现出现 {times} 次。"
        else:
            continue
        raise Refusal(
            422, "invalid_query", message, errors=[{"detail": message, "parameter": name[:40]}]
        )


class StrictRoute(APIRoute):
    """An API route that takes only what it declares."""

    def get_route_handler(self) -> Handler:
        """The framework's handler behind the checks."""
        handle = super().get_route_handler()
        declared = dict(_parameters(self.dependant))
        takes_body = self.body_field is not None
        reads_only = _READING.issuperset(self.methods or ())
        takes_nothing = not (takes_body or reads_only or self._reads_itself())

        async def strict(request: Request) -> Response:
            _decoded(request.scope.get("raw_path") or b"", "路径")
            query = quote(request.scope.get("query_string", b""), safe=_PRINTABLE).encode("ascii")
            _check_query(query, declared)
            scope = {**request.scope, "query_string": query}
            checked = StrictRequest(scope, request.receive)
            if takes_body:
                await checked.take_body()
            elif takes_nothing:
                await checked.take_nothing(declared)
            was_read = takes_body or takes_nothing
            return await self.answer_once(checked, handle, takes_body=was_read)

        return strict

    def _reads_itself(self) -> bool:
        """Whether the route describes a body that it reads in a way of its own."""
        return "requestBody" in (self.openapi_extra or {})

    async def answer_once(
        self, request: StrictRequest, handle: Handler, *, takes_body: bool
    ) -> Response:
        """Answer a request that passed the checks, once for its key."""
        content = await request.body() if takes_body else b""
        return await idempotency.once(request, content, lambda: self.respond(request, handle))

    async def respond(self, request: Request, handle: Handler) -> Response:
        """Answer a request that passed the checks."""
        return await handle(request)
