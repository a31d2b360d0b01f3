"""Answers in gzip for those who take it; what was packed once is not packed again."""

import gzip
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.permissions import TABLE

LEAST, LEVEL = 1_000, 4
_NEVER = re.compile(r";q=0(\.0*)?$")
_PACKED = ("application/json", "application/problem+json", "text/")


def takes_gzip(scope: Scope) -> bool:
    """Whether the client takes gzip."""
    asked = Headers(scope=scope).get("accept-encoding", "")
    return any(
        part.split(";")[0].strip() in ("gzip", "*") and not _NEVER.search(part.replace(" ", ""))
        for part in asked.lower().split(",")
    )


def pack(body: bytes) -> bytes:
    """A body in gzip."""
    return gzip.compress(body, LEVEL, mtime=0)


class Compress:
    """Packs whole texts of some size.

    A packed list has a weak tag. What may be changed under its tag (If-Match) is left as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["method"] == "HEAD" or not takes_gzip(scope):
            await self.app(scope, receive, send)
            return
        start: Message | None = None

        async def packing(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _fits(scope, message):
                start = message
                return
            if start is not None:
                first, start = start, None
                if not message.get("more_body", False):
                    message = _packed(first, message)
                await send(first)
            await send(message)

        await self.app(scope, receive, packing)


def _fits(scope: Scope, start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    if "etag" in headers:
        found = TABLE.find(scope["method"], scope["path"])
        if found is None or "{" in found.template:
            return False
    return (
        headers.get("content-type", "").startswith(_PACKED)
        and "content-encoding" not in headers
        and int(headers.get("content-length", 0)) >= LEAST
    )


def _packed(start: Message, message: Message) -> Message:
    """The whole body packed, and its start told so."""
    body = pack(message["body"])
    headers = MutableHeaders(scope=start)
    headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(body))
    headers.add_vary_header("Accept-Encoding")
    if headers.get("etag", "").startswith('"'):
        headers["ETag"] = f"W/{headers['etag']}"
    return {**message, "body": body}
