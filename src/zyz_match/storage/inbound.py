"""What other systems told us: kept before they get their answer, applied once, then forgotten.

The body of an applied message goes, its id stays: the same message again has no effect.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.domain import ExternalId, LeadEntry
from zyz_match.errors import InputError, NotFoundError
from zyz_match.storage import audit, bulk, external_ids, leads, rows
from zyz_match.storage.database import Database
from zyz_match.storage.tables import inbound as table
from zyz_match.storage.tables import lead

KEPT = timedelta(days=90)  # bodies of refused messages
State = Literal["waiting", "done", "refused"]
Place = tuple[str, str]  # moment and id of the last message seen


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it stands."""

    system: str
    id: str
    received_at: str  # ISO, UTC
    body: str  # "" once it was applied, or is too old
    state: State
    records: tuple[Mapping[str, Any], ...]  # what became of each record, () while it waits


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one record of a message asks for: an entry, or why there is none."""

    entry: LeadEntry | None = None
    external: ExternalId | None = None
    refused: str = ""  # Chinese; "" without an entry says that the record is none of our business


class Inbox:
    """The messages of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, system: str, message_id: str, body: str) -> bool:
        """Keep a message for good; False when it was there already."""
        values = {
            "system": system, "message_id": message_id, "received_at": rows.utc_now(),
            "body": body, "state": "waiting",
        }  # fmt: skip
        with self._database.write_rows() as connection:
            added = bulk.inserting(connection, table).values(values).on_conflict_do_nothing()
            new = connection.execute(added.returning(table.c.message_id))
            return new.first() is not None

    def waiting(self, limit: int) -> list[Message]:
        """Messages that are still to be applied, oldest first."""
        query = sa.select(table).where(table.c.state == "waiting")
        query = query.order_by(table.c.received_at, table.c.message_id).limit(limit)
        with self._database.read() as connection:
            return [_message(r) for r in connection.execute(query).mappings()]

    def pair_of(self, external: ExternalId) -> tuple[str, str] | None:
        """Town and firm of the entry that another system's record stands for."""
        with self._database.read() as connection:
            kind, own_id = external_ids.find(connection, [external]).get(external, ("", ""))
            if kind != "lead":
                return None
            query = sa.select(lead.c.town_id, lead.c.firm_id).where(lead.c.id == int(own_id))
            found = connection.execute(query).first()
            return None if found is None else (found.town_id, found.firm_id)

    def apply(self, message: Message, wanted: Sequence[Wanted]) -> Message:
        """Do what a message asks for, record by record, unless somebody did it meanwhile."""
        with self._database.write() as connection:
            now = _get(connection, message.system, message.id)
            if now.state != "waiting":
                return now
            told = [_apply(connection, at, one) for at, one in enumerate(wanted)]
            refused = sum(t["change"] == "refused" for t in told)
            _update(connection, now, "refused" if refused else "done", told)
            detail = {"leads": [t["lead_id"] for t in told if t["lead_id"]], "refused": refused}
            action = "hook.refused" if refused else "hook.applied"
            audit.note(connection, action, f"{message.system}:{message.id}", detail)
            return _get(connection, message.system, message.id)

    def retry(self, system: str, message_id: str) -> Message:
        """Let a refused message be applied again; InputError for any other."""
        with self._database.write() as connection:
            found = _get(connection, system, message_id)
            if found.state != "refused" or not found.body:
                raise InputError("只有被退回且正文还在的消息可以重试；正文保留 90 天。")
            audit.note(connection, "hook.retry", f"{system}:{message_id}")
            _update(connection, found, "waiting", ())
            return _get(connection, system, message_id)

    def get(self, system: str, message_id: str) -> Message:
        """One message; NotFoundError when there is none."""
        with self._database.read() as connection:
            return _get(connection, system, message_id)

    def of(
        self, system: str, state: State | None, before: Place | None, limit: int
    ) -> list[Message]:
        """Messages of a system, newest first; `before` is the last one of the page before."""
        c = table.c
        query = sa.select(table).where(c.system == rows.clean(system, "系统"))
        if state is not None:
            query = query.where(c.state == state)
        if before is not None:
            same = (c.received_at == before[0]) & (c.message_id < before[1])
            query = query.where((c.received_at < before[0]) | same)
        query = query.order_by(c.received_at.desc(), c.message_id.desc()).limit(limit)
        with self._database.read() as connection:
            return [_message(r) for r in connection.execute(query).mappings()]

    def sweep(self) -> int:
        """Forget the bodies of messages refused long ago; how many."""
        before = rows.utc_text(datetime.now(UTC) - KEPT)
        old = (table.c.state == "refused") & (table.c.received_at < before) & (table.c.body != "")
        with self._database.write_rows() as connection:
            return connection.execute(sa.update(table).where(old).values(body="")).rowcount


def _apply(connection: Connection, at: int, wanted: Wanted) -> dict[str, Any]:
    """What becomes of one record; what is refused has written nothing."""
    told: dict[str, Any] = {"index": at, "change": "ignored", "lead_id": None, "reason": None}
    if wanted.entry is None:
        return told | ({"change": "refused", "reason": wanted.refused} if wanted.refused else {})
    try:
        change, kept = leads.record(connection, wanted.entry)
    except (InputError, NotFoundError) as error:
        return told | {"change": "refused", "reason": error.message}
    if wanted.external is not None and not external_ids.find(connection, [wanted.external]):
        external_ids.put(connection, "lead", {wanted.external: str(kept.id)})
    return told | {"change": change, "lead_id": kept.id}


def _update(
    connection: Connection, message: Message, state: State, told: Sequence[Mapping[str, Any]]
) -> None:
    values = {
        "state": state, "result": json.dumps(told, ensure_ascii=False),
        "body": "" if state == "done" else message.body,
    }  # fmt: skip
    this = (table.c.system == message.system) & (table.c.message_id == message.id)
    connection.execute(sa.update(table).where(this).values(values))


def _get(connection: Connection, system: str, message_id: str) -> Message:
    system, key = rows.clean(system, "系统"), rows.clean(message_id, "消息编号")
    query = sa.select(table).where(table.c.system == system, table.c.message_id == key)
    found = connection.execute(query).mappings().first()
    if found is None:
        raise NotFoundError(f"没有消息“{message_id}”。可用 GET /v1/hooks/{system}/messages 查看。")
    return _message(found)


def _message(row: sa.RowMapping) -> Message:
    return Message(
        row["system"], row["message_id"], row["received_at"], row["body"], row["state"],
        tuple(json.loads(row["result"] or "[]")),
    )  # fmt: skip
