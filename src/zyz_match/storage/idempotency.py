"""Answers to POSTs kept under the caller's key, so that the same request has one effect.

A key is taken by a lease before the work begins. Whoever was killed in between leaves a lease that
runs out: the request may then be tried again.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.storage import bulk
from zyz_match.storage.database import Database
from zyz_match.storage.tables import idempotency as table

LEASE_SECONDS = 60.0
KEPT = timedelta(hours=48)
_SWEEP_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that bears a key."""

    caller: str
    key: str
    fingerprint: str  # of method, path, query and body


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to answer a request, until a moment that nobody else has for this key."""

    asked: Asked
    until: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer given before."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """Somebody is answering it now."""

    seconds: float  # until that one counts as given up


class Mismatch:
    """The key was used for another request."""


class Answers:
    """The kept answers of one database; every method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._swept = 0.0

    def begin(self, asked: Asked) -> Lease | Kept | InFlight | Mismatch:
        """Take the key of a request, or say what became of it before."""
        now = datetime.now(UTC)
        lease = Lease(asked, _text(now + timedelta(seconds=LEASE_SECONDS)))
        with self._database.write_rows() as connection:
            self._sweep(connection, now)
            query = sa.select(table).where(_same(asked)).with_for_update()
            while True:
                if _insert(connection, lease, _text(now)):
                    return lease
                if (found := connection.execute(query).mappings().first()) is not None:
                    break  # else it was given up just now: once more
            if found["fingerprint"] != asked.fingerprint:
                return Mismatch()
            if found["status"] is not None:
                return Kept(found["status"], json.loads(found["headers"]), found["body"])
            left = datetime.fromisoformat(found["leased_until"]) - now
            if left > timedelta(0):
                return InFlight(left.total_seconds())
            update = sa.update(table).where(_same(asked)).values(leased_until=lease.until)
            connection.execute(update)
            return lease

    def finish(self, lease: Lease, answer: Kept) -> None:
        """Keep the answer, unless the lease ran out and is another's by now."""
        values = {
            "status": answer.status, "headers": json.dumps(dict(answer.headers)),
            "body": answer.body,
        }  # fmt: skip
        with self._database.write_rows() as connection:
            connection.execute(sa.update(table).where(_held(lease)).values(values))

    def give_up(self, lease: Lease) -> None:
        """Free the key: there is no answer that may be given again."""
        with self._database.write_rows() as connection:
            connection.execute(sa.delete(table).where(_held(lease)))

    def _sweep(self, connection: Connection, now: datetime) -> None:
        """Forget old answers, now and then."""
        if time.monotonic() - self._swept < _SWEEP_SECONDS and self._swept:
            return
        self._swept = time.monotonic()
        old = table.c.created_at < _text(now - KEPT)
        connection.execute(sa.delete(table).where(old, table.c.leased_until < _text(now)))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _insert(connection: Connection, lease: Lease, now: str) -> bool:
    asked = lease.asked
    values = {
        "caller": asked.caller, "key": asked.key, "fingerprint": asked.fingerprint,
        "created_at": now, "leased_until": lease.until,
    }  # fmt: skip
    added = bulk.inserting(connection, table).values(values).on_conflict_do_nothing()
    return connection.execute(added.returning(table.c.key)).first() is not None


def _same(asked: Asked) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.caller == asked.caller, table.c.key == asked.key)


def _held(lease: Lease) -> sa.ColumnElement[bool]:
    held = sa.and_(table.c.status.is_(None), table.c.leased_until == lease.until)
    return sa.and_(_same(lease.asked), held)
