"""Small firm tables for the tests of the store."""

from typing import Any

import numpy as np
import pandas as pd

from zyz_match.domain import NUMBER_COLUMNS, Col
from zyz_match.storage.imports import BatchResult
from zyz_match.storage.store import Store

USCC_A = "91140500011000000W"
USCC_B = "911405000220000005"


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    """A firm table; what a row does not say is missing, its id is its code or its name."""
    columns: dict[str, Any] = {}
    for column in Col:
        missing = np.nan if column in NUMBER_COLUMNS else ""
        kind = "float64" if column in NUMBER_COLUMNS else "str"
        columns[column.value] = pd.Series([_full(r).get(column, missing) for r in rows], dtype=kind)
    return pd.DataFrame(columns)


def _full(row: dict[str, Any]) -> dict[str, Any]:
    key = row.get("uscc") or row.get("stock_code") or row.get("name")
    return {"firm_id": key, "standing": "unknown"} | row


def people(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """A table of contacts."""
    return pd.DataFrame(list(rows), columns=["firm_id", "kind", "value"])


def load(store: Store, *rows: dict[str, Any], file: str = "") -> BatchResult:
    """Import rows as one file; its hash is its name."""
    name = file or f"{len(store.batches())}.csv"
    return store.import_firms(frame(*rows), file_name=name, file_hash=name)
