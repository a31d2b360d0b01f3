"""What firms did and where they already are: events, and the firms of each town."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.errors import InputError
from zyz_match.storage import bulk, rows, stamps
from zyz_match.storage.identity import chunks
from zyz_match.storage.tables import event, existing

EVENT_TEXTS = ("region", "industry", "target", "kind")
EVENT_COLUMNS = ("firm_id", "date", "region", "industry", "target", "kind", "amount")


def _add_missing(connection: Connection, table: sa.Table, values: Iterable[dict[str, Any]]) -> int:
    """Insert the rows whose key is new; how many those were."""
    added = bulk.inserting(connection, table).on_conflict_do_nothing()
    before = _count(connection, table)
    for part in chunks(values):
        connection.execute(added, part)
    new = _count(connection, table) - before
    if new:
        stamps.renew_firms(connection, "links")
    return new


def _count(connection: Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


# existing ----------------------------------------------------------------------------------


def add_existing(connection: Connection, pairs: Iterable[tuple[str, str]]) -> int:
    """Keep that firms are already in towns; how many pairs were new."""
    values = [
        {"town_id": rows.filled(t, "专业镇编号"), "firm_id": rows.filled(f, "企业编号")}
        for t, f in pairs
    ]
    return _add_missing(connection, existing, values)


def existing_in(connection: Connection, town_id: str) -> set[str]:
    """Ids of the firms that are in a town already."""
    query = sa.select(existing.c.firm_id).where(existing.c.town_id == town_id)
    return set(connection.execute(query).scalars())


# events ------------------------------------------------------------------------------------


def add_events(connection: Connection, frame: pd.DataFrame) -> int:
    """Keep events; the same event again is not kept twice. How many were new."""
    values = event_rows(frame)
    added = _add_missing(connection, event, values)
    for part in chunks(v["key"] for v in values):  # no undo of a file may take them away now
        mark = sa.update(event).where(event.c.key.in_(part), event.c.by_hand == 0)
        connection.execute(mark.values(by_hand=1))
    return added


def event_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Events as rows of the table; `key` tells one content from another."""
    columns = _event_columns(frame)
    names, moment = list(columns), rows.utc_now()
    made = []
    for values in zip(*columns.values(), strict=True):
        content = "\x1f".join("" if v is None else str(v) for v in values)
        key = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        about = {"key": key, "recorded_at": moment}
        made.append(dict(zip(names, values, strict=True)) | about)
    return made


def _event_columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    if lacking := [c for c in EVENT_COLUMNS[:5] if c not in frame.columns]:
        raise InputError(f"事件表缺少列：{'、'.join(lacking)}。")
    size = len(frame)
    columns: dict[str, list[Any]] = {
        "firm_id": [rows.filled(f, "事件的 firm_id") for f in _texts(frame, "firm_id")],
        "date": _dates(frame["date"]),
    }
    for name in EVENT_TEXTS:
        given = _texts(frame, name) if name in frame.columns else [""] * size
        columns[name] = [rows.clean(t, f"事件的 {name}", 32_767) for t in given]
    columns["amount"] = _amounts(frame["amount"]) if "amount" in frame.columns else [None] * size
    return columns


def _texts(frame: pd.DataFrame, column: str) -> list[str]:
    return list(frame[column].to_numpy(dtype=object, na_value=""))


def _dates(values: "pd.Series[Any]") -> list[str]:
    try:
        dates = pd.to_datetime(values, errors="raise")
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError("事件的 date 应为日期，例：2025-06-30。") from error
    if dates.isna().any():
        raise InputError("事件的 date 不能为空。")
    return list(dates.dt.strftime("%Y-%m-%d"))


def _amounts(values: "pd.Series[Any]") -> list[float | None]:
    try:
        numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError("事件的 amount 应为数字。") from error
    return [rows.finite(n, "事件的 amount") for n in numbers.tolist()]


def events(connection: Connection) -> pd.DataFrame:
    """All events by date, firm and content; `date` is datetime64, a missing amount NaN."""
    query = sa.select(*(event.c[c] for c in EVENT_COLUMNS))
    found = connection.execute(query.order_by(event.c.date, event.c.firm_id, event.c.key)).all()
    columns = list(zip(*found, strict=True)) if found else [()] * len(EVENT_COLUMNS)
    frame = pd.DataFrame(dict(zip(EVENT_COLUMNS, map(list, columns), strict=True)))
    kinds = dict.fromkeys(("firm_id", *EVENT_TEXTS), "str") | {"amount": "float64"}
    frame = frame.astype(kinds)
    frame["date"] = pd.to_datetime(frame["date"], format="%Y-%m-%d").astype("datetime64[us]")
    return frame
