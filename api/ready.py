"""Answers written before, sent again as they are while nothing that they were made from changes.

A list that is sent again has the receipt of the first time: it is the same list of the same model
and data, and whoever asks twice has not seen more firms. A new day (UTC) begins new receipts. That
it was seen again gets into the audit within a second; a process that is killed loses that second.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from datetime import UTC, date, datetime
from typing import NamedTuple

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from api.compress import LEAST, pack, takes_gzip
from api.security import sight
from api.strict_route import Handler, StrictRoute
from api.views import Answer
from zyz_match.errors import ZyzError
from zyz_match.service import Service, State

MOST, MOST_BYTES = 64, 16_000_000


class Written(bytes):
    """A body, the receipt of the list that it shows, and the same in gzip once somebody took it."""

    list_id: str = ""
    packed: bytes | None = None

    @classmethod
    def of(cls, response: Answer) -> "Written":
        """The body of an answer."""
        written = cls(response.body)
        written.list_id = response.list_id
        return written


class Moment(NamedTuple):
    """What answers are made from, and the day in UTC."""

    state: State
    day: date

    @classmethod
    async def present(cls, service: Service) -> "Moment":
        """This one."""
        state = service.state() if service.at_hand else await run_in_threadpool(service.state)
        return cls(state, datetime.now(UTC).date())


class Ready:
    """Bodies of one moment by what was asked for; those asked for longest ago make room."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._lock = threading.Lock()
        self._moment: Moment | None = None
        self._bodies: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0

    def __contains__(self, asked: Hashable) -> bool:
        """Whether there is a body of some moment."""
        return asked in self._bodies

    def get(self, moment: Moment, asked: Hashable) -> bytes | None:
        """The body for what is asked for, if it is of this moment."""
        with self._lock:
            if moment != self._moment or asked not in self._bodies:
                return None
            self._bodies.move_to_end(asked)
            return self._bodies[asked]

    def keep(self, moment: Moment, asked: Hashable, body: bytes) -> None:
        """Keep a body; those of other moments go."""
        with self._lock:
            if moment != self._moment:
                self._moment, self._bytes = moment, 0
                self._bodies.clear()
            self._bytes += len(body) - len(self._bodies.pop(asked, b""))
            self._bodies[asked] = body
            while len(self._bodies) > self._most or self._bytes > self._most_bytes:
                self._bytes -= len(self._bodies.popitem(last=False)[1])


class SendReady:
    """Sends an answer to the same address again before the framework looks at the request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        body = await _ready_body(scope) if scope["type"] == "http" else None
        await (self.app if body is None else _sent(scope, body))(scope, receive, send)


async def _ready_body(scope: Scope) -> bytes | None:
    kept, state = _address(scope), scope["app"].state
    if scope["method"] != "GET" or kept not in state.ready:
        return None
    try:
        moment = await Moment.present(state.service)
    except ZyzError:  # the route says it
        return None
    body: bytes | None = state.ready.get(moment, kept)
    return body


class ReadyRoute(StrictRoute):
    """A route whose answers say what they were made from, and are kept as long as that holds."""

    async def respond(self, request: Request, handle: Handler) -> Response:
        """The answer that is ready, or a new one."""
        ready, service = request.app.state.ready, request.app.state.service
        asked, before = await _asked(request), await Moment.present(service)
        if (body := ready.get(before, asked)) is not None:
            return _sent(request.scope, body)
        response = await handle(request)
        if isinstance(response, Answer) and any(response.made_from):
            now = await Moment.present(service)
            if _holds(response.made_from, before, now):
                ready.keep(now, asked, Written.of(response))
        return response


def _sent(scope: Scope, body: bytes) -> Answer:
    """A body sent again, packed for who takes it so; that its list was seen is noted soon."""
    if not isinstance(body, Written):
        return Answer(body)
    if body.list_id:
        scope["app"].state.seen.saw(body.list_id)
    if len(body) < LEAST or not takes_gzip(scope):
        return Answer(body)
    if body.packed is None:
        body.packed = pack(body)
    return Answer(body.packed, headers={"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})


def _address(scope: Scope) -> tuple[object, ...]:
    """What is asked for, and what whoever asks may see: no answer crosses from one to another."""
    return scope["raw_path"], scope["query_string"], *sight(scope)


async def _asked(request: Request) -> Hashable:
    """The address as it was sent, and the body of what is no GET."""
    address = _address(request.scope)
    if request.method == "GET":
        return address
    return *address, hashlib.blake2b(await request.body()).digest()


def _holds(made_from: tuple[str, str], before: Moment, now: Moment) -> bool:
    """Whether an answer that was written between two moments is that of the later one."""
    unchanged = before.state.versions == now.state.versions and before.day == now.day
    return unchanged and made_from == (now.state.served, now.state.model)
