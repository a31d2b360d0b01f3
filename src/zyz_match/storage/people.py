"""Contact persons, phones and mails in the store: by firm, never in the firm table."""

from collections.abc import Mapping

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.errors import InputError
from zyz_match.storage import bulk, rows
from zyz_match.storage.identity import CHUNK, chunks
from zyz_match.storage.tables import contact, erasure

KINDS = ("phone", "mail", "person")
COLUMNS = ("firm_id", "kind", "value")


def add(
    connection: Connection,
    batch_id: int,
    frame: pd.DataFrame | None,
    translation: Mapping[str, str],
) -> None:
    """Keep a batch's contacts; `translation` maps the file's firm ids to the stored ones.

    Firms whose contacts were erased get none.
    """
    if frame is None or frame.empty:
        return
    if lacking := [c for c in COLUMNS if c not in frame.columns]:
        raise InputError(f"联系方式表缺少列：{'、'.join(lacking)}。")
    given = zip(*(frame[c].to_list() for c in COLUMNS), strict=True)
    closed = set(connection.execute(sa.select(erasure.c.firm_id)).scalars())
    every = ((translation.get(f, f), k, v) for f, k, v in given if v)
    distinct = {c: None for c in every if c[0] not in closed}
    for part in chunks(distinct, CHUNK):
        values = [dict(zip(COLUMNS, c, strict=True)) | {"batch_id": batch_id} for c in part]
        for value in values:
            _check(value["kind"], value["value"])
        bulk.insert(connection, contact, values)


def _check(kind: object, value: object) -> None:
    if kind not in KINDS:
        raise InputError(f"联系方式的种类应为 {'、'.join(KINDS)} 之一，现为 {kind!r}。")
    if not isinstance(value, str) or len(value) > rows.MAX_KEY or rows.unstorable(value):
        # the value itself is not shown: contacts stay out of messages and logs
        raise InputError(f"有一条联系方式不是文字、超过 {rows.MAX_KEY} 字或含有不能保存的字符。")


def remove(connection: Connection, batch_id: int) -> None:
    """Forget what a batch brought; the same contact from another batch stays."""
    connection.execute(sa.delete(contact).where(contact.c.batch_id == batch_id))


def of(connection: Connection, firm_id: str) -> list[tuple[str, str]]:
    """(kind, value) of a firm's contacts: phones, then mails, then persons."""
    query = sa.select(contact.c.kind, contact.c.value).where(contact.c.firm_id == firm_id)
    found = {(str(k), str(v)) for k, v in connection.execute(query)}
    return sorted(found, key=lambda c: (KINDS.index(c[0]), c[1]))
