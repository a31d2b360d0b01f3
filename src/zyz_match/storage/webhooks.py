"""Webhooks: who is told what happened, and where. Nothing in their rows is itself a secret."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.acting import actor
from zyz_match.errors import NotFoundError
from zyz_match.storage import audit, rows
from zyz_match.storage.database import Database
from zyz_match.storage.tables import change, delivery
from zyz_match.storage.tables import webhook as table

MOST = 100  # webhooks of one store
MOST_SECRETS = 4  # of one webhook that sign at once
LONGEST_NOTE = 500


@dataclass(frozen=True, slots=True)
class Salt:
    """What a signing secret is derived from, together with a key that is no part of the store."""

    salt: str
    check: str  # tells whether the key is still the one that it was made with
    until: str | None = None  # ISO, UTC: when it stops being used; None for the newest


@dataclass(frozen=True, slots=True)
class Webhook:
    """One receiver."""

    id: str
    url: str
    types: tuple[str, ...]  # () is every type
    towns: tuple[str, ...] | None  # None is every town
    salts: tuple[Salt, ...]  # the newest first
    note: str
    created_at: str
    created_by: str
    disabled_at: str | None = None
    disabled_because: str = ""  # Chinese
    failing_since: str | None = None
    waiting: int = 0  # deliveries that are still to be made

    @property
    def rotating_until(self) -> str | None:
        """When the newest of the secrets before stops being used; None when all have."""
        return next((s.until for s in _still_used(self.salts)), None)


class Webhooks:
    """The webhooks of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def every(self) -> list[Webhook]:
        """All webhooks, oldest first."""
        query = sa.select(table).order_by(table.c.created_at, table.c.id)
        with self._database.read() as connection:
            waiting = _waiting(connection)
            return [_webhook(r, waiting) for r in connection.execute(query).mappings()]

    def get(self, webhook_id: str) -> Webhook:
        """The webhook with this id; NotFoundError when there is none."""
        with self._database.read() as connection:
            return _get(connection, webhook_id)

    def add(self, webhook: Webhook) -> Webhook:
        """Add a webhook; it is told what happens from now on."""
        values = {
            "id": webhook.id, "url": webhook.url, "types": json.dumps(webhook.types),
            "towns": _towns(webhook.towns), "secrets": _salts(webhook.salts),
            "note": rows.clean(webhook.note, "说明", LONGEST_NOTE), "created_at": rows.utc_now(),
            "created_by": rows.clean(actor().name, "使用者"),
        }  # fmt: skip
        newest = sa.select(sa.func.coalesce(sa.func.max(change.c.id), 0)).scalar_subquery()
        with self._database.write() as connection:
            connection.execute(sa.insert(table).values(values | {"seen": newest}))
            detail = {"url": _address(webhook.url), "types": list(webhook.types)}
            audit.note(connection, "webhook.add", webhook.id, detail)
            return _get(connection, webhook.id)

    def change(self, webhook_id: str, values: Mapping[str, Any]) -> Webhook:
        """Change url, types, towns or note, those that are given."""
        wanted = dict(values)
        if "types" in wanted:
            wanted["types"] = json.dumps(wanted["types"])
        if "towns" in wanted:
            wanted["towns"] = _towns(wanted["towns"])
        if "note" in wanted:
            rows.clean(wanted["note"], "说明", LONGEST_NOTE)
        return self._update(webhook_id, wanted, "webhook.change", {"fields": sorted(wanted)})

    def rotate(self, webhook_id: str, new: Salt, until: datetime) -> Webhook:
        """Sign with a new secret, and until a moment with the one before as well.

        Those before it go on signing until their own ends, MOST_SECRETS in all.
        """
        with self._database.write() as connection:
            newest, *before = _get(connection, webhook_id).salts
            ended = replace(newest, until=rows.utc_text(until))
            kept = (new, ended, *_still_used(before))[:MOST_SECRETS]
            values = {"secrets": _salts(kept)}
            return _change(connection, webhook_id, values, "webhook.rotate", {})

    def enable(self, webhook_id: str) -> Webhook:
        """Tell it again; what it missed comes first, at once."""
        values = {"disabled_at": None, "disabled_because": "", "failing_since": None}
        due = sa.update(delivery).where(
            delivery.c.webhook_id == webhook_id, delivery.c.state == "waiting"
        )
        with self._database.write() as connection:
            found = _change(connection, webhook_id, values, "webhook.enable", {})
            connection.execute(due.values(next_at=rows.utc_now()))
            return found

    def disable(self, webhook_id: str, because: str) -> Webhook:
        """Tell it no more until somebody enables it."""
        with self._database.write() as connection:
            return disable(connection, webhook_id, because)

    def remove(self, webhook_id: str) -> None:
        """Forget a webhook and all that was or is to be delivered to it."""
        with self._database.write() as connection:
            _get(connection, webhook_id)
            connection.execute(sa.delete(table).where(table.c.id == webhook_id))
            audit.note(connection, "webhook.remove", webhook_id)

    def _update(
        self, webhook_id: str, values: Mapping[str, Any], action: str, detail: Mapping[str, Any]
    ) -> Webhook:
        with self._database.write() as connection:
            return _change(connection, webhook_id, values, action, detail)


def new_id() -> str:
    """An id that no webhook has."""
    return f"whk_{secrets.token_hex(12)}"


def disable(connection: Connection, webhook_id: str, because: str) -> Webhook:
    """As `Webhooks.disable`, within a transaction."""
    values = {"disabled_at": rows.utc_now(), "disabled_because": because}
    return _change(connection, webhook_id, values, "webhook.disable", {"because": because})


def _change(
    connection: Connection,
    webhook_id: str,
    values: Mapping[str, Any],
    action: str,
    detail: Mapping[str, Any],
) -> Webhook:
    _get(connection, webhook_id)
    if values:
        connection.execute(sa.update(table).where(table.c.id == webhook_id).values(values))
        audit.note(connection, action, webhook_id, detail)
    return _get(connection, webhook_id)


def _get(connection: Connection, webhook_id: str) -> Webhook:
    key = rows.clean(webhook_id, "推送编号")
    found = connection.execute(sa.select(table).where(table.c.id == key)).mappings().first()
    if found is None:
        raise NotFoundError(f"没有推送“{webhook_id}”。可用 GET /v1/webhooks 查看全部。")
    return _webhook(found, _waiting(connection, webhook_id))


def _waiting(connection: Connection, webhook_id: str | None = None) -> dict[str, int]:
    query = sa.select(delivery.c.webhook_id, sa.func.count())
    query = query.where(delivery.c.state == "waiting").group_by(delivery.c.webhook_id)
    if webhook_id is not None:
        query = query.where(delivery.c.webhook_id == webhook_id)
    return {str(i): int(n) for i, n in connection.execute(query)}


def _address(url: str) -> str:
    """Where a webhook goes, without what may be secret in its address."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _towns(towns: Sequence[str] | None) -> str | None:
    return None if towns is None else json.dumps(sorted(towns), ensure_ascii=False)


def _still_used(salts: Sequence[Salt]) -> list[Salt]:
    now = rows.utc_now()
    return [s for s in salts if s.until is not None and s.until > now]


def _salts(salts: Sequence[Salt]) -> str:
    return json.dumps([asdict(s) for s in salts])


def salts_of(text: str) -> tuple[Salt, ...]:
    """What `secrets` of a row holds."""
    return tuple(Salt(**s) for s in json.loads(text))


def _webhook(row: sa.RowMapping, waiting: Mapping[str, int]) -> Webhook:
    return Webhook(
        id=row["id"], url=row["url"], types=tuple(json.loads(row["types"])),
        towns=None if row["towns"] is None else tuple(json.loads(row["towns"])),
        salts=salts_of(row["secrets"]), note=row["note"], created_at=row["created_at"],
        created_by=row["created_by"], disabled_at=row["disabled_at"],
        disabled_because=row["disabled_because"], failing_since=row["failing_since"],
        waiting=waiting.get(row["id"], 0),
    )  # fmt: skip
