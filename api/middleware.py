"""The outermost layer: request id, host check, security headers, and no trace back outside."""

import ipaddress
import logging
import re
import traceback
import uuid
from typing import Any

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import INTERNAL, problem

LOG = logging.getLogger("zyz_match.api")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
FRAMES_LOGGED = 12
DRAIN_SECONDS, DRAIN_BYTES = 2.0, 16_000_000

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


def _host_name(header: str) -> str:
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

    async def receive(self) -> Message:
        """The next part, for the application."""
        message = await self._receive()
        self._ended = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Read and drop what the application left, within limits."""
        if self._ended:
            return
        dropped = 0
        with anyio.move_on_after(DRAIN_SECONDS):
            while not self._ended and dropped < DRAIN_BYTES:
                dropped += len((await self.receive()).get("body", b""))


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
            if not is_loopback(_host_name(headers.get("host", "localhost"))):
                await _wrong_host(scope, body.receive, guarded_send)
            else:
                await self.app(scope, body.receive, guarded_send)
        except ClientDisconnect:
            LOG.info("request_id=%s client went away", request_id)
        except Exception as error:
            LOG.error("request_id=%s %s %s", request_id, _place(scope), _without_messages(error))
            if started:
                raise RuntimeError(f"answer broken off, request_id={request_id}") from None
            await problem(scope, 500, "internal_error", INTERNAL)(scope, body.receive, guarded_send)


def _place(scope: Scope) -> str:
    """Method and path template; the path itself may hold a name."""
    route: Any = scope.get("route")
    return f"{scope['method']} {getattr(route, 'path', '?')}"


def _add_headers(message: Message, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    headers["X-Request-ID"] = request_id


async def _wrong_host(scope: Scope, receive: Receive, send: Send) -> None:
    answer = problem(
        scope,
        421,
        "invalid_host",
        "本版本没有身份认证，只接受发往本机的请求，请改用 http://127.0.0.1 访问。",
    )
    await answer(scope, receive, send)
