"""The outermost layer: request id, size and host, security headers, and no trace back outside."""

import ipaddress
import logging
import re
import time
import traceback
import uuid
from http import HTTPStatus

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.limits import MAX_HEADER_BYTES
from api.permissions import TABLE
from api.problems import INTERNAL, Refusal, problem, told
from zyz_match.errors import ZyzError
from zyz_match.service import Service

LOG = logging.getLogger("zyz_match.api")
PROBES = frozenset({"/livez", "/readyz"})  # asked by whatever name the machine has
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
FRAMES_LOGGED = 12
DRAIN_SECONDS, DRAIN_BYTES = 2.0, 16_000_000
BODY_SECONDS, BODY_BYTES_A_SECOND = 30.0, 50_000  # a slower client is not waited for

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def is_loopback(host: str) -> bool:
    """Whether a host name or address without port means this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """What a Host header names, without the port."""
    return header if header.endswith("]") else re.sub(r":\d*$", "", header)


def _without_messages(error: BaseException) -> str:
    """Classes and places of an error; its message may hold somebody's data."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_LOGGED:]
    places = " < ".join(f"{f.filename}:{f.lineno}:{f.name}" for f in reversed(frames))
    cause = error.__cause__ or error.__context__
    because = f" because {type(cause).__qualname__}" if cause is not None else ""
    return f"{type(error).__module__}.{type(error).__qualname__}{because} at {places}"


class _Body:
    """The request body, read to its end before an answer.

    A client that is still sending when the answer closes the connection loses the answer.
    """

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive = receive
        waits = "expect" in headers  # a client that waits for "100 Continue" sends nothing unasked
        self._ended = waits or not ("content-length" in headers or "transfer-encoding" in headers)
        self._began, self._bytes = time.monotonic(), 0

    async def receive(self) -> Message:
        """The next part, for the application; Refusal for a client that sends too slowly."""
        if self._ended:
            return await self._receive()
        allowed = BODY_SECONDS + self._bytes / BODY_BYTES_A_SECOND
        with anyio.move_on_after(max(0.0, allowed - (time.monotonic() - self._began))) as waited:
            message = await self._receive()
        if waited.cancelled_caught:
            self._ended = True
            raise Refusal(
                408, "body_too_slow",
                f"请求体没有按时发完：{BODY_SECONDS:.0f} 秒后每秒至少应有 "
                f"{BODY_BYTES_A_SECOND // 1000} KB。请检查网络后重试。",
            )  # fmt: skip
        self._bytes += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Read and drop what the application left, within limits."""
        if self._ended:
            return
        dropped = 0
        with anyio.move_on_after(DRAIN_SECONDS):
            while not self._ended and dropped < DRAIN_BYTES:
                message = await self._receive()
                self._ended = not message.get("more_body", False)
                dropped += len(message.get("body", b""))


class Guard:
    """Wraps the application once, outside of everything that may fail."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sent_id = headers.get("x-request-id", "")
        request_id = sent_id if REQUEST_ID.fullmatch(sent_id) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        body = _Body(receive, headers)
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                await body.drain()
                _add_headers(message, request_id)
            await send(message)

        try:
            if _head_bytes(scope) > MAX_HEADER_BYTES:
                await _too_long(scope, body.receive, guarded_send)
            elif not await _is_ours(scope, host_name(headers.get("host", "localhost"))):
                await _wrong_host(scope, body.receive, guarded_send)
            else:
                await self.app(scope, body.receive, guarded_send)
        except ZyzError as error:  # of what is asked before the application, or done after it
            if started:
                LOG.error("request_id=%s after the answer code=%s", request_id, error.code)
                return
            await told(scope, error)(scope, body.receive, guarded_send)
        except ClientDisconnect:
            LOG.info("request_id=%s client went away", request_id)
        except Exception as error:
            LOG.error("request_id=%s %s %s", request_id, _place(scope), _without_messages(error))
            if started:
                raise RuntimeError(f"answer broken off, request_id={request_id}") from None
            await problem(scope, 500, "internal_error", INTERNAL)(scope, body.receive, guarded_send)


async def _is_ours(scope: Scope, host: str) -> bool:
    """Whether a request may come to us under this name: this machine's, or with identity others."""
    if is_loopback(host) or scope["path"] in PROBES:
        return True
    service: Service = scope["app"].state.service
    return host.lower() in service.settings.hosts and await run_in_threadpool(service.identity_on)


def _place(scope: Scope) -> str:
    """Method and path template; the path itself may hold a name."""
    found = TABLE.find(scope["method"], scope["path"])
    return f"{scope['method']} {found.template if found else '?'}"


def _add_headers(message: Message, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    headers["X-Request-ID"] = request_id
    if message["status"] == HTTPStatus.REQUEST_TIMEOUT:  # the rest of the body is not waited for
        headers["Connection"] = "close"


def _head_bytes(scope: Scope) -> int:
    """How much a request says before its body."""
    asked = len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
    return asked + sum(len(name) + len(value) for name, value in scope["headers"])


async def _too_long(scope: Scope, receive: Receive, send: Send) -> None:
    answer = problem(
        scope,
        431,
        "headers_too_large",
        f"请求头和地址共超过 {MAX_HEADER_BYTES:,} 字节，"
        "请清除 Cookie，或缩短查询条件和其他请求头后重试。",
    )
    await answer(scope, receive, send)


async def _wrong_host(scope: Scope, receive: Receive, send: Send) -> None:
    answer = problem(
        scope,
        421,
        "invalid_host",
        "这个地址不在允许之列，请改用 http://127.0.0.1 访问；"
        "启用身份认证后，可用 ZYZ_HOSTS 写明其他域名。",
    )
    await answer(scope, receive, send)
