"""From the start of a process to its end: warm, ready, draining; what it does on the side."""

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType

from starlette.concurrency import run_in_threadpool

from zyz_match.acting import Actor, Role, acting, actor
from zyz_match.errors import ZyzError
from zyz_match.ops_desk import Act
from zyz_match.service import Service

LOG = logging.getLogger("zyz_match.api")
NOTE_SECONDS = 0.5  # between two notes of lists that were sent again
MOST_LOOKS = 10_000
SWEEP_SECONDS = 24 * 3600.0
RESUME_SECONDS = 30.0  # between two looks for jobs whose worker was killed
SERVER = Actor("serve", Role.ADMIN, "worker")


class Seen:
    """Who was sent which list again, kept here until the next note in the audit."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._counts: dict[tuple[Actor, str], int] = {}

    def saw(self, list_id: str) -> None:
        """The actor was sent this list once more."""
        with self._lock:
            key = (actor(), list_id)
            self._counts[key] = self._counts.get(key, 0) + 1

    def note(self) -> None:
        """Write down what there is; what cannot be written now is kept for the next time."""
        with self._lock:
            counts, self._counts = self._counts, {}
        try:
            self._service.note_looks(_looks(counts))
        except ZyzError as error:
            LOG.error("audit of sent lists failed code=%s", error.code)
            with self._lock:
                for key, count in list(counts.items())[:MOST_LOOKS]:
                    self._counts[key] = self._counts.get(key, 0) + count


def _looks(counts: dict[tuple[Actor, str], int]) -> list[Act]:
    """One look an actor and a list, whatever the number of requests."""
    sums: dict[tuple[str, str, str], tuple[Actor, int]] = {}
    for (who, list_id), count in counts.items():
        known = sums.setdefault((who.name, who.role, list_id), (who, 0))
        sums[who.name, who.role, list_id] = (known[0], known[1] + count)
    return [
        Act(who, "list.see", list_id, {"again": count})
        for (_, _, list_id), (who, count) in sums.items()
    ]


class Lifecycle:
    """Whether this process takes requests, and what it does beside answering them."""

    def __init__(self, service: Service, seen: Seen, drain: float) -> None:
        self._service, self._seen, self._drain = service, seen, drain
        self._over = asyncio.Event()
        self.draining = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do what is done on the side until the end, then what is left of it."""
        acts = (
            (NOTE_SECONDS, "audit of sent lists", self._seen.note),
            (SWEEP_SECONDS, "expiry of contacts", self._expire),
            (RESUME_SECONDS, "look at left jobs", self._service.resume),
        )
        tasks = [asyncio.create_task(self._every(*each)) for each in acts]
        with self._told_to_stop():
            try:
                yield
            finally:
                self.draining = True
                self._over.set()
                await asyncio.gather(*tasks)
                await run_in_threadpool(self._seen.note)

    async def _every(self, seconds: float, what: str, act: Callable[[], None]) -> None:
        """Act now and then until the end; what has begun is not left alone with a closing store.

        What fails is done again at the next turn.
        """
        while not self._over.is_set():
            try:
                await run_in_threadpool(act)
            except ZyzError as error:
                LOG.error("%s failed code=%s", what, error.code)
            except Exception:
                LOG.exception("%s failed", what)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), seconds)

    def _expire(self) -> None:
        with acting(SERVER):
            self._service.expire_contacts()

    @contextmanager
    def _told_to_stop(self) -> Iterator[None]:
        """When the process is told to stop, say so at once and go on answering for a while."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

        def told(number: int, frame: FrameType | None) -> None:
            stop = before if callable(before) else signal.default_int_handler
            if self.draining or not self._drain:
                self.draining = True
                stop(number, frame)
            else:
                self.draining = True
                loop.call_soon_threadsafe(loop.call_later, self._drain, stop, number, None)

        signal.signal(signal.SIGTERM, told)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
