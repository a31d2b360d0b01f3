"""Stamps: a text that is new after every change of the firms, the towns or the leads."""

import secrets
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.storage.tables import data_change, stamp

FIRMS, TOWNS, LEADS = "firms", "towns", "leads"
EMPTY = "0"
Change = Literal["firms", "undo", "links"]  # links: events and the firms of towns, no firm itself


def read(connection: Connection, name: str) -> str:
    """The present stamp."""
    found = connection.execute(sa.select(stamp.c.value).where(stamp.c.name == name)).scalar()
    return EMPTY if found is None else str(found)


def renew(connection: Connection, name: str) -> str:
    """A stamp never used before: a count, and chance, so that a restored backup repeats none."""
    before = read(connection, name)
    after = f"{int(before.partition('-')[0]) + 1}-{secrets.token_hex(5)}"
    if before == EMPTY:
        connection.execute(sa.insert(stamp).values(name=name, value=after))
    else:
        connection.execute(sa.update(stamp).where(stamp.c.name == name).values(value=after))
    return after


def renew_firms(connection: Connection, kind: Change, batch_id: int | None = None) -> None:
    """Renew the stamp of the firms and write down why; `batch_id` is the one imported or undone."""
    values = {"stamp": renew(connection, FIRMS), "kind": kind, "batch_id": batch_id}
    connection.execute(sa.insert(data_change).values(values))
