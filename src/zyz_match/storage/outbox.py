"""The outbox: what happened, written in the transaction that made it happen."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.storage import rows
from zyz_match.storage.tables import change as table

TYPES = ("list.published", "lead.changed", "model.promoted", "model.rejected", "import.finished")


def add(
    connection: Connection, kind: str, subject: str, town_id: str | None, data: Mapping[str, Any]
) -> None:
    """Add one change; `subject` names the entity whose changes are told in order.

    The transaction must be one of `Database.write`: there numbers are given in order of commits.
    """
    values = {
        "uid": f"evt_{uuid.uuid4().hex}", "type": kind, "subject": subject, "town_id": town_id,
        "at": rows.utc_now(), "data": json.dumps(data, ensure_ascii=False, allow_nan=False),
    }  # fmt: skip
    connection.execute(sa.insert(table).values(values))
