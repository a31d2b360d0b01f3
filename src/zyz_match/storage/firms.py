"""Reading firms: one, some, a page, or the whole table."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.domain import NUMBER_COLUMNS, Col, Firm
from zyz_match.firms import firm_from_row
from zyz_match.storage import rows
from zyz_match.storage.identity import chunks
from zyz_match.storage.tables import firm as table
from zyz_match.text import name_key

_COLUMNS = [table.c[c] for c in rows.COLUMNS]
_FEW_VALUES = frozenset(
    (
        Col.STATUS, Col.STANDING, Col.PROVINCE, Col.CITY, Col.COUNTY, Col.DIVISION, Col.INDUSTRY,
        Col.INDUSTRY_TEXT, Col.SIZE, Col.KIND, Col.MARKS, Col.LISTING, Col.SOURCE,
    )
)  # fmt: skip
_BATCH = 5000


def _firms(connection: Connection, query: sa.Select[Any]) -> list[Firm]:
    found = connection.execute(query).mappings()
    return [firm_from_row({str(k): v for k, v in r.items()}) for r in found]


def get(connection: Connection, firm_id: str) -> Firm | None:
    """The firm with this id."""
    found = _firms(connection, sa.select(*_COLUMNS).where(table.c.firm_id == firm_id))
    return found[0] if found else None


def find(connection: Connection, text: str, limit: int) -> list[Firm]:
    """Firms of this id, code, name or former name first, then those with it in their name."""
    key = name_key(text)
    if not key or limit < 1:
        return []
    exact = (
        table.c.firm_id == text.strip(),
        table.c.uscc == text.strip().upper(),
        table.c.stock_code == text.strip().upper(),
        table.c.name_key == key,
        table.c.former_key.contains(f"；{key}；", autoescape=True),
    )
    found: dict[str, Firm] = {}
    for condition in exact:
        _append(connection, found, condition, limit, table.c.firm_id)
    part = table.c.name_key.contains(key, autoescape=True)
    _append(connection, found, part, limit, sa.func.length(table.c.name_key))
    return list(found.values())[:limit]


def _append(
    connection: Connection,
    found: dict[str, Firm],
    condition: sa.ColumnElement[bool],
    limit: int,
    order: sa.ColumnElement[Any],
) -> None:
    """Find further firms while there is room for them."""
    if len(found) < limit:
        query = sa.select(*_COLUMNS).where(condition).order_by(order, table.c.firm_id)
        for one in _firms(connection, query.limit(limit)):
            found.setdefault(one.firm_id, one)


def page(connection: Connection, after: str | None, limit: int) -> list[Firm]:
    """The next firms by id, after the given one."""
    query = sa.select(*_COLUMNS).order_by(table.c.firm_id).limit(limit)
    return _firms(connection, query if after is None else query.where(table.c.firm_id > after))


def count(connection: Connection) -> int:
    """How many firms there are."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def names(connection: Connection, firm_ids: Collection[str]) -> dict[str, str]:
    """The names of firms by id; a firm that is gone has none."""
    found: dict[str, str] = {}
    for part in chunks(firm_ids):
        query = sa.select(table.c.firm_id, table.c.name).where(table.c.firm_id.in_(part))
        found |= {str(i): str(name) for i, name in connection.execute(query)}
    return found


def whole_table(connection: Connection) -> pd.DataFrame:
    """Every firm by id: text columns with "" for missing, numbers with NaN; no contacts."""
    columns: list[list[Any]] = [[] for _ in rows.COLUMNS]
    seen: dict[str, str] = {}
    found = connection.execution_options(yield_per=_BATCH).execute(
        sa.select(*_COLUMNS).order_by(table.c.firm_id)
    )
    for part in found.partitions(_BATCH):
        for column, name, values in zip(
            columns, rows.COLUMNS, zip(*part, strict=True), strict=True
        ):
            few = name in _FEW_VALUES  # one object for equal texts saves half the memory
            column.extend([seen.setdefault(v, v) for v in values] if few else values)
    return pd.DataFrame(
        {n: _array(n, c) for n, c in zip(rows.COLUMNS, columns, strict=True)}, copy=False
    )


def _array(name: str, values: list[Any]) -> "np.ndarray[Any, Any] | pd.Series[Any]":
    if name in NUMBER_COLUMNS:
        return np.array(values, dtype="float64")
    return pd.Series(values, dtype="str")
