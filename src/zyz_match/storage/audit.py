"""The audit: who saw, changed, exported and promoted what; rows are only added, each chained.

A row's hash covers its number, all that it says and the hash of the row before (SHA-256 over
canonical JSON), so that a row changed, removed or put between breaks the chain.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.acting import actor
from zyz_match.storage import rows
from zyz_match.storage.tables import audit as table

FIRST = "0" * 64
SAID = ("at", "actor", "role", "via", "request_id", "action", "object", "detail")


def hash_of(before: str, number: int, said: Mapping[str, str]) -> str:
    """The hash of a row that follows another one."""
    content = json.dumps([before, number, *(said[n] for n in SAID)], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def note(
    connection: Connection, action: str, thing: str = "", detail: Mapping[str, Any] | None = None
) -> None:
    """Write down within a transaction what its actor does; when this fails, so does the change.

    `detail` holds no personal data. The transaction must be one of `Database.write`.
    """
    who = actor()
    said = {
        "at": rows.utc_now(), "actor": who.name, "role": who.role.value, "via": who.via,
        "request_id": who.request_id, "action": action, "object": thing,
        "detail": json.dumps(detail or {}, ensure_ascii=False, allow_nan=False, sort_keys=True),
    }  # fmt: skip
    last = connection.execute(
        sa.select(table.c.id, table.c.hash).order_by(table.c.id.desc()).limit(1)
    ).first()
    number, before = (last.id + 1, last.hash) if last else (1, FIRST)
    connection.execute(
        sa.insert(table).values(id=number, hash=hash_of(before, number, said), **said)
    )
