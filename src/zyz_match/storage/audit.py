"""The audit: who saw, changed, exported and promoted what; rows are only added, each chained.

A row's hash covers its number, all that it says and the hash of the row before (SHA-256 over
canonical JSON), so that a row changed, removed or put between breaks the chain. Rows cut off at
the end leave a whole chain behind: what tells of them is an anchor kept elsewhere.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.acting import Actor, actor
from zyz_match.storage import rows
from zyz_match.storage.tables import audit as table

FIRST = "0" * 64
SAID = ("at", "actor", "role", "via", "request_id", "action", "object", "detail")
BATCH = 5_000
DAMAGED = "damaged"  # said in the detail of a row that somebody made unreadable
_NO_TEXT = "\ud800"  # stands for what is no text: nothing that was noted has it
_LOCK = 0x7A797B  # advisory lock of PostgreSQL: one adds to the chain at a time, to its commit
_ADD = sa.insert(table)


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody did something, looked at it, or took it along; no personal data is in it."""

    who: Actor
    action: str
    thing: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Noted:
    """One row as it is shown."""

    id: int
    at: str  # ISO, UTC; "" when it is unreadable
    actor: str
    role: str
    via: str
    request_id: str
    action: str
    object: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Anchor:
    """The last row at some moment."""

    id: int = 0
    hash: str = FIRST


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the chain found."""

    rows: int
    last: Anchor
    fault: str  # Chinese, "" when the chain is whole


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows to show; "" is any."""

    since: str = ""  # ISO, UTC
    action: str = ""
    actor: str = ""
    object: str = ""


def hash_of(before: str, number: int, said: Mapping[str, str]) -> str:
    """The hash of a row that follows another one."""
    content = json.dumps([before, number, *(said[n] for n in SAID)], ensure_ascii=False)
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()


def note(
    connection: Connection, action: str, thing: str = "", detail: Mapping[str, Any] | None = None
) -> None:
    """Write down within a transaction what its actor does; when this fails, so does the change.

    `detail` holds no personal data. The transaction must be one of `Database`. Others who add to
    the chain wait until it ends: note last, when it may take long.
    """
    note_all(connection, [Act(actor(), action, thing, detail or {})])


def note_all(connection: Connection, acts: Iterable[Act]) -> None:
    """As `note`, for what several did, in their order."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    last, added = last_of(connection), list[dict[str, Any]]()
    for act in acts:
        said, number = _said_of(act), last.id + 1
        last = Anchor(number, hash_of(last.hash, number, said))
        added.append({"id": last.id, "hash": last.hash, **said})
    if added:
        connection.execute(_ADD, added)


def _said_of(act: Act) -> dict[str, str]:
    who = act.who
    return {
        "at": rows.utc_now(), "actor": who.name, "role": who.role.value, "via": who.via,
        "request_id": who.request_id, "action": act.action, "object": act.thing,
        "detail": json.dumps(act.detail, ensure_ascii=False, allow_nan=False, sort_keys=True),
    }  # fmt: skip


def last_of(connection: Connection) -> Anchor:
    """The last row; `Anchor()` when there is none."""
    found = connection.execute(_last(connection.dialect.name)).mappings().first()
    return Anchor(found["id"], _text(found["hash"])) if found else Anchor()


def find(connection: Connection, wanted: Wanted, before: int | None, limit: int) -> list[Noted]:
    """Rows, newest first; `before` is the number of the last one of the page before."""
    query = _stored(connection.dialect.name).order_by(table.c.id.desc()).limit(limit)
    if wanted.since:
        query = query.where(table.c.at >= wanted.since)
    for name in ("action", "actor", "object"):
        if text := getattr(wanted, name):
            query = query.where(table.c[name] == text)
    if before is not None:
        query = query.where(table.c.id < before)
    return [_noted(r) for r in connection.execute(query).mappings()]


@cache
def _last(dialect: str) -> sa.Select[Any]:
    return _stored(dialect).order_by(table.c.id.desc()).limit(1)


@cache
def _stored(dialect: str) -> sa.Select[Any]:
    """Whole rows, whatever is in them: the driver of SQLite stops at text that is no UTF-8."""
    if dialect != "sqlite":
        return sa.select(table)
    texts = (c for c in table.c if c is not table.c.id)
    return sa.select(table.c.id, *(_as_bytes(c).label(c.name) for c in texts))


def _as_bytes(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A text of SQLite as its bytes; NULL for what is no text."""
    return sa.case((sa.func.typeof(column) == "text", sa.cast(column, sa.LargeBinary)))


def _text(value: Any) -> str:
    """A column as text; what is none becomes text that cannot have been noted."""
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    return value if isinstance(value, str) else _NO_TEXT


def _said(row: sa.RowMapping) -> dict[str, str]:
    return {n: _text(row[n]) for n in SAID}


def _noted(row: sa.RowMapping) -> Noted:
    """A row to be shown, as far as it is readable; its detail tells when it is not."""
    stored = _said(row)
    said = {n: t.encode(errors="replace").decode() for n, t in stored.items()}
    at, detail = _time(said.pop("at")), _detail(said.pop("detail"))
    whole = at and detail is not None and said.items() <= stored.items()
    return Noted(row["id"], at, **said, detail=(detail or {}) | ({} if whole else {DAMAGED: True}))


def _time(text: str) -> str:
    """A time as it was noted, "" when it is none."""
    try:
        same = datetime.fromisoformat(text).isoformat(timespec="milliseconds") == text
    except ValueError:
        return ""
    return text if same else ""


def _detail(text: str) -> dict[str, Any] | None:
    """A detail that can be read and sent, None for anything else."""
    try:
        found = orjson.loads(text)
        orjson.dumps(found)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return found if isinstance(found, dict) else None


def count(connection: Connection) -> int:
    """How many rows there are."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def verify(connection: Connection, anchor: Anchor | None = None) -> Verdict:
    """Reckon the whole chain anew, a batch at a time, and compare it with an anchor kept earlier.

    It stops at the first fault.
    """
    last, seen = Anchor(), 0
    while part := _next(connection, last.id if seen else None):
        for row in part:
            expected, seen = last.id + 1, seen + 1
            if row["id"] != expected:
                return Verdict(
                    seen, last, f"应为第 {expected} 条处是第 {row['id']} 条：有缺或有多。"
                )
            if _text(row["hash"]) != hash_of(last.hash, expected, _said(row)):
                return Verdict(seen, last, f"第 {expected} 条或它之前的一条被改动过、插入或替换。")
            last = Anchor(expected, _text(row["hash"]))
            if anchor is not None and last.id == anchor.id and last != anchor:
                return Verdict(seen, last, f"第 {anchor.id} 条与封存的不同，审计链被整段重写过。")
    if anchor is not None and last.id < anchor.id:
        cut = f"末尾缺少 {anchor.id - last.id} 条：封存时已有 {anchor.id} 条，现只有 {last.id} 条。"
        return Verdict(seen, last, cut)
    return Verdict(seen, last, "")


def _next(connection: Connection, after: int | None) -> Collection[sa.RowMapping]:
    query = _stored(connection.dialect.name).order_by(table.c.id).limit(BATCH)
    if after is not None:
        query = query.where(table.c.id > after)
    return connection.execute(query).mappings().all()
