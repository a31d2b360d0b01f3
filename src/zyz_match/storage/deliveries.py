"""Deliveries: what each webhook is still to be told, in order for each subject.

A sender holds a delivery by a lease: `next_at` in the future. Whoever finds it past takes the
delivery again, so that what a killed sender held is sent once more; `attempts` and `next_at`
together tell whether a result still counts.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.errors import NotFoundError
from zyz_match.storage import audit, rows, webhooks
from zyz_match.storage.database import Database
from zyz_match.storage.outbox import Change, change_of
from zyz_match.storage.tables import change, webhook
from zyz_match.storage.tables import delivery as table
from zyz_match.storage.tables import delivery_try as tries
from zyz_match.storage.webhooks import Salt

AT_ONCE = 500  # changes turned into deliveries in one transaction
TRIES_KEPT = timedelta(days=30)
State = Literal["waiting", "delivered", "failed"]
_GONE = "对方返回 410，表示不再接收，已停用。确认对方恢复后请重新启用。"


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that this sender holds until the moment `until`."""

    id: int
    webhook_id: str
    url: str
    salts: tuple[Salt, ...]
    change: Change
    attempts: int  # this one counts
    until: str


@dataclass(frozen=True, slots=True)
class Tried:
    """What one try came to."""

    status: int | None  # None when nobody answered
    milliseconds: int
    error: str  # Chinese, "" when it was taken
    next_at: str | None = None  # when to try again; None for never
    gone: bool = False  # the receiver wants no more


@dataclass(frozen=True, slots=True)
class Try:
    """One try as it was written down."""

    at: str
    status: int | None
    milliseconds: int
    error: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery as it stands."""

    id: int
    webhook_id: str
    change: Change
    state: State
    attempts: int
    next_at: str | None  # None when nothing more is to be done
    delivered_at: str | None
    tries: tuple[Try, ...]


class Deliveries:
    """The deliveries of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # the sender's side -----------------------------------------------------------------------

    def expand(self) -> int:
        """Turn changes that webhooks have not seen into deliveries; how many deliveries."""
        made = 0
        while behind := self._behind():
            for webhook_id in behind:
                with self._database.write_rows() as connection:
                    made += _expand(connection, webhook_id)
        return made

    def _behind(self) -> list[str]:
        newest = sa.select(sa.func.max(change.c.id)).scalar_subquery()
        query = sa.select(webhook.c.id).where(
            webhook.c.disabled_at.is_(None), webhook.c.seen < newest
        )
        with self._database.read() as connection:
            return [str(i) for i in connection.execute(query).scalars()]

    def claim(self, most: int, lease: float, busy: Collection[str] = ()) -> list[Due]:
        """Take deliveries that are due, at most so many, none of the busy webhooks.

        One of a subject at a time: a later one waits until the earlier one was taken or failed for
        good.
        """
        with self._database.read() as connection:
            if not _due(connection, 1, busy):
                return []
        with self._database.write_rows() as connection:
            until = _later(lease)
            found = _due(connection, most, busy, lock=True)
            ids = [row["delivery_id"] for row in found]
            held = {"next_at": until, "attempts": table.c.attempts + 1}
            connection.execute(sa.update(table).where(table.c.id.in_(ids)).values(held))
            return [
                Due(
                    row["delivery_id"], row["webhook_id"], row["url"],
                    webhooks.salts_of(row["secrets"]), change_of(row), row["attempts"] + 1, until,
                )
                for row in found
            ]  # fmt: skip

    def record(self, due: Due, tried: Tried) -> bool:
        """Write down a try, and what follows from it; False once the lease was lost."""
        with self._database.write_rows() as connection:
            one = sa.select(webhook.c.id).where(webhook.c.id == due.webhook_id)
            if connection.execute(one.with_for_update(key_share=True)).first() is None:
                return False  # it was removed meanwhile
            said = {"status": tried.status, "milliseconds": tried.milliseconds}
            connection.execute(
                sa.insert(tries).values(
                    delivery_id=due.id, at=rows.utc_now(), error=tried.error, **said
                )
            )
            _note_health(connection, due.webhook_id, taken=not tried.error)
            held = sa.and_(
                table.c.id == due.id, table.c.state == "waiting",
                table.c.attempts == due.attempts, table.c.next_at == due.until,
            )  # fmt: skip
            update = sa.update(table).where(held).values(_follows(tried))
            mine = bool(connection.execute(update).rowcount)
            if mine and tried.gone:
                webhooks.disable(connection, due.webhook_id, _GONE)
            return mine

    def sweep(self) -> int:
        """Forget tries older than TRIES_KEPT; how many went."""
        before = rows.utc_text(datetime.now(UTC) - TRIES_KEPT)
        with self._database.write_rows() as connection:
            return connection.execute(sa.delete(tries).where(tries.c.at < before)).rowcount

    # the reader's side -----------------------------------------------------------------------

    def of(self, webhook_id: str, before: int | None, limit: int) -> list[Delivery]:
        """Deliveries to a webhook, of the newest changes first; `before` is a change's number."""
        query = _deliveries().where(table.c.webhook_id == webhook_id)
        if before is not None:
            query = query.where(table.c.change_id < before)
        with self._database.read() as connection:
            query = query.order_by(table.c.change_id.desc()).limit(limit)
            return _read(connection, query)

    def get(self, delivery_id: int) -> Delivery:
        """The delivery with this number; NotFoundError when there is none."""
        with self._database.read() as connection:
            return _get(connection, delivery_id)

    def redeliver(self, delivery_id: int) -> Delivery:
        """Let a delivery be made once more, from its first try on; later ones wait for it."""
        again = {"state": "waiting", "attempts": 0, "next_at": rows.utc_now(), "delivered_at": None}
        with self._database.write() as connection:
            found = _get(connection, delivery_id)
            connection.execute(sa.update(table).where(table.c.id == found.id).values(again))
            audit.note(connection, "delivery.redeliver", str(found.id), {"event": found.change.uid})
            return _get(connection, delivery_id)


def _expand(connection: Connection, webhook_id: str) -> int:
    """The next deliveries of a webhook, unless another sender is at it."""
    query = sa.select(webhook).where(webhook.c.id == webhook_id, webhook.c.disabled_at.is_(None))
    found = connection.execute(query.with_for_update(skip_locked=True)).mappings().first()
    if found is None:
        return 0
    types, towns = json.loads(found["types"]), found["towns"]
    seen = None if towns is None else set(json.loads(towns))
    c = change.c
    fresh = sa.select(c.id, c.type, c.subject, c.town_id).where(c.id > found["seen"])
    news = connection.execute(fresh.order_by(c.id).limit(AT_ONCE)).all()
    wanted = [
        {
            "webhook_id": webhook_id, "change_id": n.id, "subject": n.subject, "state": "waiting",
            "next_at": rows.utc_now(),
        }
        for n in news
        if (not types or n.type in types) and (seen is None or n.town_id in seen)
    ]  # fmt: skip
    if wanted:
        connection.execute(sa.insert(table), wanted)
    if news:
        last = sa.update(webhook).where(webhook.c.id == webhook_id).values(seen=news[-1].id)
        connection.execute(last)
    return len(wanted)


def _due(
    connection: Connection, most: int, busy: Collection[str], *, lock: bool = False
) -> list[sa.RowMapping]:
    """Deliveries that may be made now, those due longest first."""
    earlier = table.alias("earlier")
    before = sa.exists().where(
        earlier.c.webhook_id == table.c.webhook_id, earlier.c.subject == table.c.subject,
        earlier.c.change_id < table.c.change_id, earlier.c.state == "waiting",
    )  # fmt: skip
    query = (
        sa.select(
            change, table.c.id.label("delivery_id"), table.c.webhook_id, table.c.attempts,
            webhook.c.url, webhook.c.secrets,
        )
        .join(webhook, webhook.c.id == table.c.webhook_id)
        .join(change, change.c.id == table.c.change_id)
        .where(
            table.c.state == "waiting", table.c.next_at <= rows.utc_now(),
            webhook.c.disabled_at.is_(None), ~before,
        )
        .order_by(table.c.next_at, table.c.id)
        .limit(most)
    )  # fmt: skip
    if busy:
        query = query.where(table.c.webhook_id.not_in(sorted(busy)))
    if lock:
        query = query.with_for_update(of=table, skip_locked=True)
    return list(connection.execute(query).mappings())


def _later(seconds: float) -> str:
    return rows.utc_text(datetime.now(UTC) + timedelta(seconds=seconds))


def _follows(tried: Tried) -> dict[str, Any]:
    now = rows.utc_now()
    if not tried.error:
        return {"state": "delivered", "delivered_at": now}
    if tried.gone:
        return {"next_at": now}  # once the webhook is enabled again
    if tried.next_at is None:
        return {"state": "failed"}
    return {"next_at": tried.next_at}


def _note_health(connection: Connection, webhook_id: str, *, taken: bool) -> None:
    """Remember since when every try failed."""
    since = webhook.c.failing_since
    changes = since.is_not(None) if taken else since.is_(None)
    update = sa.update(webhook).where(webhook.c.id == webhook_id, changes)
    connection.execute(update.values(failing_since=None if taken else rows.utc_now()))


def _deliveries() -> sa.Select[Any]:
    columns = (
        table.c.id.label("delivery_id"), table.c.webhook_id, table.c.state, table.c.attempts,
        table.c.next_at, table.c.delivered_at,
    )  # fmt: skip
    return sa.select(change, *columns).join(change, change.c.id == table.c.change_id)


def _get(connection: Connection, delivery_id: int) -> Delivery:
    found = []
    if 0 < delivery_id < 2**31:
        found = _read(connection, _deliveries().where(table.c.id == delivery_id))
    if not found:
        raise NotFoundError(
            f"没有投递“{delivery_id}”。可用 GET /v1/webhooks/编号/deliveries 查看。"
        )
    return found[0]


def _read(connection: Connection, query: sa.Select[Any]) -> list[Delivery]:
    found = connection.execute(query).mappings().all()
    ids = [row["delivery_id"] for row in found]
    made: dict[int, list[Try]] = {i: [] for i in ids}
    columns = (tries.c.delivery_id, tries.c.at, tries.c.status, tries.c.milliseconds, tries.c.error)
    several = sa.select(*columns).where(tries.c.delivery_id.in_(ids)).order_by(tries.c.id)
    for delivery_id, *said in connection.execute(several):
        made[delivery_id].append(Try(*said))
    return [
        Delivery(
            id=row["delivery_id"], webhook_id=row["webhook_id"], change=change_of(row),
            state=row["state"], attempts=row["attempts"],
            next_at=row["next_at"] if row["state"] == "waiting" else None,
            delivered_at=row["delivered_at"], tries=tuple(made[row["delivery_id"]]),
        )
        for row in found
    ]  # fmt: skip
