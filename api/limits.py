"""How much one caller may ask, and all of them at once; how long a slow one is waited for.

Each worker counts for itself. The headers' time, and their size while they are not whole, are
limited in the protocol; their size once they are, and the body's time, in the outermost layer. A
reverse proxy in front limits all of it before it gets here.
"""

import asyncio
import math
import time
from typing import Any

import h11
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.problems import problem
from zyz_match.access import Caller

MOST_AT_ONCE = 256  # requests of one worker
HEADER_SECONDS = 15.0
MAX_HEADER_BYTES = 32_768
SIGN_INS = parse("30/minute")  # from one address: each takes the time of a slow hash
_SIGN_IN = ("POST", "/v1/session")
UNLIMITED = frozenset({"/livez", "/readyz", "/metrics"})


class AtOnce:
    """Refuses what comes while too much is under way; probes always get through."""

    def __init__(self, app: ASGIApp, most: int = MOST_AT_ONCE) -> None:
        self.app, self._most = app, most
        self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"] in UNLIMITED:
            await self.app(scope, receive, send)
            return
        if self._now >= self._most:
            refused = problem(
                scope, 503, "overloaded", "同时进行的请求过多，请稍后重试。",
                headers={"Retry-After": "1"},
            )  # fmt: skip
            await refused(scope, receive, send)
            return
        self._now += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._now -= 1


class PerCaller:
    """Refuses a caller who asks more than `rate` allows ("off": nobody), and says what is left.

    Who uses this machine itself, without identity, is not limited. What asks nobody is limited by
    the address that it comes from.
    """

    def __init__(self, app: ASGIApp, rate: str) -> None:
        self.app = app
        self._rate = None if rate == "off" else parse(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        limit, who = self._limit(scope) if scope["type"] == "http" else (None, "")
        if limit is None:
            await self.app(scope, receive, send)
            return
        taken = self._limiter.hit(limit, who)
        reset, left = self._limiter.get_window_stats(limit, who)
        seconds = max(1, math.ceil(reset - time.time()))
        headers = {
            "RateLimit-Limit": str(limit.amount), "RateLimit-Remaining": str(left),
            "RateLimit-Reset": str(seconds),
        }  # fmt: skip
        if not taken:
            await _too_many(scope, limit, seconds, headers)(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self.app(scope, receive, told)

    def _limit(self, scope: Scope) -> tuple[RateLimitItem | None, str]:
        caller: Caller | None = scope["state"].get("caller")
        if caller is not None:
            return (None if caller.kind == "local" else self._rate), f"{caller.kind}:{caller.id}"
        peer = scope.get("client")
        address = f"address:{peer[0] if peer else ''}"
        if (scope["method"], scope["path"]) == _SIGN_IN:
            return SIGN_INS, address
        return (None if scope["path"] in UNLIMITED else self._rate), address


def _too_many(scope: Scope, limit: RateLimitItem, seconds: int, headers: dict[str, str]) -> ASGIApp:
    return problem(
        scope, 429, "too_many_requests",
        f"请求过多：每 {limit.get_expiry()} 秒最多 {limit.amount} 次，请 {seconds} 秒后重试。",
        headers=headers | {"Retry-After": str(seconds)},
    )  # fmt: skip


class TimedProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn that closes a connection whose request headers take too long."""

    _cutting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first headers."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; headers that are not whole yet are waited for from their beginning."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait()
        else:
            self._stop()

    def _wait(self) -> None:
        if self._cutting is None:
            self._cutting = self.loop.call_later(HEADER_SECONDS, self._cut)

    def _stop(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None

    def _cut(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
