"""The outbox: what happened, written in the transaction that made it happen."""

import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.errors import CursorTooOld
from zyz_match.storage import rows
from zyz_match.storage.database import Database
from zyz_match.storage.identity import chunks
from zyz_match.storage.tables import change as table
from zyz_match.storage.tables import delivery

TYPES = ("list.published", "lead.changed", "model.promoted", "model.rejected", "import.finished")
KEPT = timedelta(days=90)
_TOO_OLD = (
    "这个位置之后的变更已不全：变更只保留 {days} 天，或数据库从备份恢复过。"
    "请先用各列表接口（updated_since）对账，再去掉 since 从头读起。"
)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened."""

    id: int
    uid: str
    type: str
    subject: str
    town_id: str | None
    at: str  # ISO, UTC
    data: Mapping[str, Any]

    def told(self) -> dict[str, Any]:
        """As others are told of it, pushed or polled."""
        return {
            "id": self.uid, "type": self.type, "timestamp": self.at, "subject": self.subject,
            "town_id": self.town_id, "data": dict(self.data),
        }  # fmt: skip


class Place(NamedTuple):
    """Up to where somebody has read: the number and the uid of the last change; 0 is nowhere."""

    id: int = 0
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One page of what happened, and where to go on; `more` is whether there is more by now."""

    changes: tuple[Change, ...]
    place: Place
    more: bool


class News(NamedTuple):
    """What is to be told; `subject` names the entity whose changes are told in order."""

    type: str
    subject: str
    town_id: str | None
    data: Mapping[str, Any]


def add(
    connection: Connection, kind: str, subject: str, town_id: str | None, data: Mapping[str, Any]
) -> None:
    """Add one change, as `add_all`."""
    add_all(connection, [News(kind, subject, town_id, data)])


def add_all(connection: Connection, news: Iterable[News]) -> None:
    """Add changes in this order.

    The transaction must be one of `Database.write`: there numbers are given in order of commits,
    so that who has read up to one of them has missed none.
    """
    assert connection.get_execution_options().get("zyz_write"), "changes need Database.write"
    moment = rows.utc_now()
    for part in chunks(news):
        connection.execute(sa.insert(table), [
            {
                "uid": f"evt_{uuid.uuid4().hex}", "type": n.type, "subject": n.subject,
                "town_id": n.town_id, "at": moment,
                "data": json.dumps(n.data, ensure_ascii=False, allow_nan=False),
            }
            for n in part
        ])  # fmt: skip


class Outbox:
    """What happened, for who asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(
        self, after: Place, types: Collection[str], towns: Collection[str] | None, limit: int
    ) -> Told:
        """What happened after a place, of some types (all when empty) and towns (None is all).

        CursorTooOld when what followed that place is not kept any more.
        """
        query = sa.select(table).where(table.c.id > after.id, *_wanted(types, towns))
        with self._database.read() as connection:
            _check(connection, after)
            found = connection.execute(query.order_by(table.c.id).limit(limit + 1)).mappings()
            changes = [change_of(row) for row in found]
            if len(changes) > limit:
                last = changes[limit - 1]
                return Told(tuple(changes[:limit]), Place(last.id, last.uid), True)
            return Told(tuple(changes), _end(connection) or after, False)

    def sweep(self) -> int:
        """Forget what is older than KEPT, but for the newest such change; how many went.

        That one stays, so that who has read everything goes on from there even after a long
        silence.
        """
        before = rows.utc_text(datetime.now(UTC) - KEPT)
        newest = sa.select(sa.func.max(table.c.id)).where(table.c.at < before)
        with self._database.read() as connection:
            last = connection.execute(newest).scalar()
            first = connection.execute(sa.select(sa.func.min(table.c.id))).scalar()
        if last is None or last == first:
            return 0
        with self._database.write() as connection:
            connection.execute(sa.delete(delivery).where(delivery.c.change_id < last))
            return connection.execute(sa.delete(table).where(table.c.id < last)).rowcount


def change_of(row: sa.RowMapping) -> Change:
    """A row of the table."""
    return Change(
        row["id"], row["uid"], row["type"], row["subject"], row["town_id"], row["at"],
        json.loads(row["data"]),
    )  # fmt: skip


def _wanted(
    types: Collection[str], towns: Collection[str] | None
) -> Iterable[sa.ColumnElement[bool]]:
    if types:
        yield table.c.type.in_(sorted(types))
    if towns is not None:
        yield table.c.town_id.in_(sorted(towns))


def _check(connection: Connection, after: Place) -> None:
    if not after.id:
        return
    uid = connection.execute(sa.select(table.c.uid).where(table.c.id == after.id)).scalar()
    if uid != after.uid:
        raise CursorTooOld(_TOO_OLD.format(days=KEPT.days))


def _end(connection: Connection) -> Place | None:
    query = sa.select(table.c.id, table.c.uid).order_by(table.c.id.desc()).limit(1)
    found = connection.execute(query).first()
    return Place(found.id, found.uid) if found else None
