"""Which model version serves: one row, moved together with its log.

The version "" is the one without a file, which serves while nothing was promoted.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.errors import NotFoundError
from zyz_match.storage import audit, outbox, rows
from zyz_match.storage.database import Database
from zyz_match.storage.tables import serving as table
from zyz_match.storage.tables import serving_log as log
from zyz_match.storage.tables import shortlist

_SLOT = "model"
_PRIOR = "prior"  # as the audit calls the version without a file
Action = Literal["promote", "rollback", "reject"]


@dataclass(frozen=True, slots=True)
class Serving:
    """The version that serves, and the one before it."""

    version: str = ""
    previous: str = ""
    since: datetime | None = None  # None while nothing was promoted
    by: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to the serving version; a rejected version changes the log only."""

    action: Action
    version: str
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the log."""

    at: datetime
    by: str
    action: Action
    version: str
    previous: str
    note: str


class ServingRow:
    """The serving version of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> Serving:
        """What serves now."""
        with self._database.read() as connection:
            return _current(connection)

    def promote(self, version: str, *, by: str, note: str, check: Callable[[], object]) -> Serving:
        """Let a version serve, unless `check` raises while nothing can be collected."""
        with self._database.write() as connection:
            check()
            return change(connection, Change("promote", version, by, note))

    def rollback(self, *, by: str) -> Serving:
        """Change places with the version before; NotFoundError when nothing was promoted."""
        with self._database.write() as connection:
            now = _current(connection)
            if now.since is None:
                raise NotFoundError("没有可退回的版本：还没有启用过先验以外的模型。")
            return change(connection, Change("rollback", now.previous, by))

    def history(self, limit: int = 50) -> list[LogEntry]:
        """The newest changes first."""
        columns = (log.c.at, log.c.by, log.c.action, log.c.version, log.c.previous, log.c.note)
        query = sa.select(*columns).order_by(log.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            found = connection.execute(query).all()
        return [LogEntry(datetime.fromisoformat(at), *rest) for at, *rest in found]

    @contextmanager
    def in_use(self) -> Iterator[set[str]]:
        """Versions that serve, served last, or are named by a receipt; none changes meanwhile."""
        with self._database.write() as connection:
            now = _current(connection)
            named = connection.execute(sa.select(shortlist.c.model).distinct()).scalars()
            yield {now.version, now.previous, *named}


def change(connection: Connection, what: Change) -> Serving:
    """Write the log and, unless a version is rejected, move the row; what serves afterwards."""
    now, at = _current(connection), rows.utc_now()
    by, note = rows.clean(what.by, "使用者"), rows.clean(what.note, "说明", 4_000)
    connection.execute(
        sa.insert(log).values(
            at=at, by=by, action=what.action, version=what.version, previous=now.version, note=note
        )
    )
    subject = what.version or _PRIOR
    audit.note(connection, f"model.{what.action}", subject, {"before": now.version or _PRIOR})
    if what.action == "reject":
        outbox.add(connection, "model.rejected", _SLOT, None, _news(now.version, what, note))
        return now
    if what.version == now.version:
        return now
    outbox.add(connection, "model.promoted", _SLOT, None, _news(now.version, what, note))
    values = {"version": what.version, "previous": now.version, "since": at, "by": by}
    if now.since is None:
        connection.execute(sa.insert(table).values(slot=_SLOT, **values))
    else:
        connection.execute(sa.update(table).where(table.c.slot == _SLOT).values(values))
    return _current(connection)


def _news(before: str, what: Change, note: str) -> dict[str, str | None]:
    """What others are told; None is the version without a file."""
    if what.action == "reject":
        return {"serving": before or None, "note": note or None}
    told = {"version": what.version or None, "previous": before or None, "action": what.action}
    return told | {"note": note or None}


def _current(connection: Connection) -> Serving:
    query = sa.select(table.c.version, table.c.previous, table.c.since, table.c.by)
    found = connection.execute(query.where(table.c.slot == _SLOT)).first()
    if found is None:
        return Serving()
    return Serving(found.version, found.previous, datetime.fromisoformat(found.since), found.by)
