"""The sender: tells webhooks what happened, applies what came in, forgets what is old.

Any number of processes may run one; the store decides who sends what. Whatever kills it, another
one, or the next start, goes on.
"""

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from zyz_match.acting import Actor, Role, acting
from zyz_match.errors import ZyzError
from zyz_match.inbound_desk import InboundDesk
from zyz_match.sending import Reply, Sender
from zyz_match.storage.deliveries import Due, Tried

LOG = logging.getLogger("zyz_match.deliveries")
DAY = 86_400.0
BACKOFF = (5.0, 30.0, 120.0, 600.0, 3_600.0, 10_800.0, 21_600.0, 43_200.0, DAY, DAY, DAY, DAY)
JITTER = 0.2  # of a pause, either way
STOP_SECONDS = 5.0  # for what is on its way when the process ends


@dataclass(frozen=True, slots=True)
class DeliveryPace:
    """Seconds between looks, until a silent sender's delivery is anybody's, between sweeps."""

    tick: float = 1.0
    lease: float = 60.0  # more than a POST may take
    sweep: float = 3_600.0
    backoff: Sequence[float] = BACKOFF
    most: int = 16  # on their way at once
    most_each: int = 4  # of them to one webhook


class Deliverer:
    """A thread that sends while it lives; use as a context, or `run` it in the foreground."""

    pace = DeliveryPace()

    def __init__(self, desk: InboundDesk) -> None:
        self._desk = desk
        self._thread = threading.Thread(target=self.run, name="deliveries", daemon=True)
        self._stop = threading.Event()
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flying: dict[asyncio.Task[None], str] = {}
        self._swept = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()
        self._thread.join(2 * STOP_SECONDS)

    def stop(self) -> None:
        """Begin nothing more."""
        self._stop.set()
        self.wake()

    def wake(self) -> None:
        """Look at once instead of at the next tick."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._news.set)

    def run(self, *, once: bool = False) -> int:
        """Send until stopped, or `once` all that is due now; how many tries were made."""
        with acting(Actor("sender", Role.ADMIN, "worker")):
            return asyncio.run(self._run(once))

    async def _run(self, once: bool) -> int:
        made, self._loop = 0, asyncio.get_running_loop()
        async with Sender(self._desk.settings.targets) as sender:
            while not self._stop.is_set():
                self._news.clear()
                due = await self._look(once)
                for one in due:
                    self._begin(sender, one)
                made += len(due)
                if once and not self._flying:
                    break
                if not due or len(self._flying) >= self.pace.most:
                    await self._pause()
            if self._flying:
                await asyncio.wait(self._flying, timeout=STOP_SECONDS)
            for task in tuple(self._flying):
                task.cancel()
        return made

    async def _look(self, once: bool) -> list[Due]:
        """What to send now; when the store cannot be reached, it is asked again later."""
        try:
            return await asyncio.to_thread(self._take)
        except Exception as error:
            if once:
                raise
            LOG.warning("deliveries wait: %s", type(error).__qualname__)
            return []

    def _take(self) -> list[Due]:
        self._sweep()
        try:
            self._desk.apply_inbox()
        except ZyzError as error:  # what goes out does not wait for what comes in
            LOG.warning("messages wait: %s", error.message)
        deliveries, pace = self._desk.store.deliveries, self.pace
        deliveries.expand()
        to = Counter(self._flying.values())
        busy = [webhook for webhook, several in to.items() if several >= pace.most_each]
        others = max((several for several in to.values() if several < pace.most_each), default=0)
        room = min(pace.most - len(self._flying), pace.most_each - others)  # all may go to one
        return deliveries.claim(room, pace.lease, busy) if room > 0 else []

    def _sweep(self) -> None:
        if self._swept and time.monotonic() - self._swept < self.pace.sweep:
            return
        self._swept = time.monotonic()
        store = self._desk.store
        for shelf in (store.deliveries, store.outbox, store.inbox):
            shelf.sweep()

    async def _pause(self) -> None:
        """Wait for a try to end, for news, or for the next tick."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.pace.tick):
                await self._news.wait()

    def _begin(self, sender: Sender, due: Due) -> None:
        task = asyncio.create_task(self._deliver(sender, due))
        self._flying[task] = due.webhook_id
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._flying[task]
        self._news.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            LOG.warning("a delivery waits: %s", type(error).__qualname__)  # until its lease ends

    async def _deliver(self, sender: Sender, due: Due) -> None:
        try:
            made = await asyncio.to_thread(
                self._desk.post_of, due.webhook_id, due.salts, due.change
            )
        except ZyzError as error:
            reply = Reply(None, 0, error.message)
        else:
            reply = await sender.post(due.url, made.body, made.headers)
        tried = self._tried(due, reply)
        await asyncio.to_thread(self._desk.store.deliveries.record, due, tried)

    def _tried(self, due: Due, reply: Reply) -> Tried:
        """What follows from a reply: done, again later, or given up."""
        pauses = self.pace.backoff
        if not reply.error or due.attempts > len(pauses):
            return Tried(reply.status, reply.milliseconds, reply.error, gone=reply.gone)
        pause = pauses[due.attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER)
        again = datetime.now(UTC) + timedelta(seconds=max(pause, reply.wait))
        return Tried(
            reply.status, reply.milliseconds, reply.error,
            again.isoformat(timespec="milliseconds"), reply.gone,
        )  # fmt: skip
