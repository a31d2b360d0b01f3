"""Senders that are killed at any moment, a receiver that fails half the time: what arrives?

Changes are made while senders come and go; at the end one is left alone until nothing waits.
"""

import multiprocessing
import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from standardwebhooks.webhooks import Webhook

from tests.receiver import TAKEN, Answer, Receiver, receiver
from zyz_match.delivering import Deliverer, DeliveryPace
from zyz_match.inbound_desk import InboundDesk
from zyz_match.settings import load_settings
from zyz_match.storage import outbox
from zyz_match.storage.store import Store

PACE = DeliveryPace(tick=0.02, lease=1.5, backoff=(0.02,) * 100)
SUBJECTS = 20
LIVES = (0.0, 0.8)  # seconds of a sender, from its first POST
PATIENCE = 300.0  # seconds until everything must have arrived

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


class Desk(InboundDesk):
    """The part of the hall that sends, without mathematics."""

    def __init__(self, home: str, database_url: str, targets: str) -> None:
        self.settings = load_settings({
            "ZYZ_HOME": home, "ZYZ_DATABASE_URL": database_url, "ZYZ_WEBHOOK_TARGETS": targets,
        })  # fmt: skip
        self.store = Store.open(database_url)


def send(home: str, database_url: str, targets: str) -> None:
    """Be a sender until killed."""
    Deliverer.pace = PACE
    Deliverer(Desk(home, database_url, targets)).run()


@dataclass(frozen=True, slots=True)
class Swept:
    """What came of a sweep."""

    events: int
    kills: int
    posts: int
    early: int  # posts of senders that were killed
    twice: int  # events that were taken more than once
    seconds: float


def sweep(home: Path, database_url: str, *, events: int, kills: int, seed: int) -> Swept:
    """Run a sweep and assert what must hold."""
    chance, began = random.Random(seed), time.monotonic()
    with receiver() as taker:
        taker.decide = lambda body: _answer(chance)
        place = (str(home), database_url, taker.target)
        desk = Desk(*place)
        webhook, secret = desk.add_webhook(taker.url, [], None, "")
        taker.check = lambda headers, body: Webhook(secret).verify(body, headers)
        shares = [range(events * i // kills, events * (i + 1) // kills) for i in range(kills)]
        for numbers in shares:
            maker = threading.Thread(target=_make, args=(desk.store, numbers))
            maker.start()
            sender = _FORKS.Process(target=send, args=place, daemon=True)
            before = len(taker.log)
            sender.start()
            _until_more(taker, before)
            time.sleep(chance.uniform(*LIVES))
            assert sender.is_alive(), "a sender ended by itself"
            sender.kill()
            sender.join()
            maker.join()
        early = len(taker.log)
        last = _FORKS.Process(target=send, args=place, daemon=True)
        last.start()
        _wait(desk, webhook.id, events)
        last.kill()
        last.join()
        _check(desk, webhook.id, taker, events)
        desk.store.close()
        return Swept(events, kills, len(taker.log), early, _twice(taker), time.monotonic() - began)


def _answer(chance: random.Random) -> Answer:
    if chance.random() < 0.5:
        return TAKEN
    return chance.choice([(500, {}, b""), (503, {}, b""), (404, {}, b"no"), (302, {}, b"")])


def _make(store: Store, numbers: range) -> None:
    """Make changes about SUBJECTS in turn."""
    for number in numbers:
        with store._database.write() as connection:
            subject = f"lead:t:{number % SUBJECTS}"
            outbox.add(connection, "lead.changed", subject, "t", {"number": number})


def _until_more(taker: Receiver, before: int) -> None:
    """Wait for the next POST."""
    deadline = time.monotonic() + PATIENCE
    while len(taker.log) <= before:
        assert time.monotonic() < deadline, "nothing was sent"
        time.sleep(0.005)


def _wait(desk: Desk, webhook_id: str, events: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        newest = desk.store.deliveries.of(webhook_id, None, 1)
        waiting = desk.store.webhooks.get(webhook_id).waiting
        if newest and newest[0].change.data["number"] == events - 1 and not waiting:
            return
        assert time.monotonic() < deadline, f"{waiting} deliveries never arrived"
        time.sleep(0.1)


def _check(desk: Desk, webhook_id: str, taker: Receiver, events: int) -> None:
    assert taker.faults == []
    bodies = defaultdict[str, set[bytes]](set)
    for headers, body, _ in taker.log:
        bodies[headers["webhook-id"]].add(body)
    made = desk.store.outbox.read(outbox.Place(), (), None, events).changes
    assert {c.uid for c in made} == set(bodies), "an event came under another id"
    assert all(len(several) == 1 for several in bodies.values()), "a body changed between tries"
    taken = [b["data"]["number"] for b in taker.bodies(TAKEN[0])]
    assert set(taken) == set(range(events)), "an event was lost"
    states = {d.state for d in desk.store.deliveries.of(webhook_id, None, events)}
    assert states == {"delivered"}
    _check_order(taker)


def _check_order(taker: Receiver) -> None:
    """No event of a subject comes before the one before it was taken."""
    taken = defaultdict[str, list[int]](list)
    for body, status in [(b, s) for b, (_, _, s) in zip(taker.bodies(), taker.log, strict=True)]:
        number, before = body["data"]["number"], taken[body["subject"]]
        expected = before[-1] + SUBJECTS if before else number % SUBJECTS
        assert number <= expected, f"{number} came before {expected} was taken"
        if status == TAKEN[0] and number == expected:
            before.append(number)


def _twice(taker: Receiver) -> int:
    counts: dict[Any, int] = defaultdict(int)
    for body in taker.bodies(TAKEN[0]):
        counts[body["id"]] += 1
    return sum(n > 1 for n in counts.values())
