"""Reading firms: one, some, a page, or the whole table."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.domain import NUMBER_COLUMNS, Firm
from zyz_match.firms import firm_from_row
from zyz_match.storage import rows
from zyz_match.storage.identity import chunks
from zyz_match.storage.tables import firm as table
from zyz_match.text import name_key

_COLUMNS = [table.c[c] for c in rows.COLUMNS]
_SCHEMA = pa.schema(
    [(c, pa.float64() if c in NUMBER_COLUMNS else pa.string()) for c in rows.COLUMNS]
)
_BATCH = 5000
Tick = Callable[[int, int], None]


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


def whole_table(
    connection: Connection, *, limit: int | None = None, tick: Tick | None = None
) -> pd.DataFrame:
    """Every firm by id, or the first ones: text in Arrow with "" for missing, numbers with NaN."""
    total = count(connection) if limit is None else limit
    query = sa.select(*_COLUMNS).order_by(table.c.firm_id).limit(limit)
    read, done = [], 0
    for batch in _batches(connection, query):
        read.append(batch)
        done += len(batch)
        if tick is not None:
            tick(done, max(done, total))
    return _frame(read)


def table_of(connection: Connection, firm_ids: Collection[str]) -> pd.DataFrame:
    """The firms with these ids that there are, as `whole_table` gives them."""
    query = sa.select(*_COLUMNS).order_by(table.c.firm_id)
    parts = (query.where(table.c.firm_id.in_(part)) for part in chunks(sorted(firm_ids)))
    found = (connection.execute(part).all() for part in parts)
    return _frame([_batch(some) for some in found if some])


def _batches(connection: Connection, query: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
    """Rows as they come from the driver, which is half again as fast as by way of SQLAlchemy."""
    driver: Any = connection.connection.driver_connection
    named = () if connection.dialect.name == "sqlite" else ("firms",)  # kept by the server
    with contextlib.closing(driver.cursor(*named)) as cursor:
        cursor.execute(str(query.compile(connection, compile_kwargs={"literal_binds": True})))
        while part := cursor.fetchmany(_BATCH):
            yield _batch(part)


def _batch(some: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    columns = zip(_SCHEMA, zip(*some, strict=True), strict=True)
    arrays = [pa.array(values, field.type) for field, values in columns]
    return pa.record_batch(arrays, schema=_SCHEMA)


def _frame(batches: list[pa.RecordBatch]) -> pd.DataFrame:
    found: pd.DataFrame = pa.Table.from_batches(batches, _SCHEMA).to_pandas(
        types_mapper=lambda kind: pd.ArrowDtype(kind) if kind == pa.string() else None
    )
    return found
