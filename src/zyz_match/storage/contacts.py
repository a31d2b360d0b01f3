"""Contact persons, phones and mails: kept apart from the firms, never in a log or a sample."""

import re
from collections.abc import Iterable

import pandas as pd

from zyz_match.storage.cells import Notes, clean_column, plain
from zyz_match.storage.columns import Field
from zyz_match.storage.raw import RawTable
from zyz_match.storage.values import is_missing

KINDS = ("phone", "mail", "person")
_SPLIT = re.compile(r"[;；,，、|\n\t]+")
_SPLIT_PERSON = re.compile(r"[;；、|\n\t]+")


def collect(
    raw: RawTable, fields: dict[int, Field], rows: Iterable[tuple[str, tuple[int, ...]]]
) -> pd.DataFrame:
    """firm_id, kind, value of every contact, each once; `rows` are each firm's rows."""
    columns = [
        (kind, raw.columns[i]) for kind in KINDS for i, f in fields.items() if f.target == kind
    ]  # fmt: skip
    firms, kinds, found = [], [], []
    for firm_id, positions in rows:
        own = {(k, v): None for k, cells in columns for p in positions for v in _parts(cells[p], k)}
        for kind, value in own:
            firms.append(firm_id)
            kinds.append(kind)
            found.append(value)
    return pd.DataFrame(
        {
            "firm_id": pd.Series(firms, dtype="str"),
            "kind": pd.Series(kinds, dtype="str"),
            "value": pd.Series(found, dtype="str"),
        }
    )


def _parts(cell: str, kind: str) -> list[str]:
    if not cell:
        return []
    pieces = (_SPLIT_PERSON if kind == "person" else _SPLIT).split(cell)
    if len(pieces) == 1 and pieces[0] == cell.strip("' "):
        return [] if is_missing(cell) else [cell]  # the very same text, no second copy
    return [v for p in pieces if not is_missing(v := p.strip().strip("'"))]


def check(raw: RawTable, fields: dict[int, Field], notes: Notes) -> None:
    """Reject rows whose contacts cannot be stored; the reason shows no contact."""
    for position in (i for i, f in fields.items() if f.target in KINDS):
        header = raw.headers[position]
        found = Notes()
        raw.columns[position][:] = plain(
            clean_column(raw.columns[position], header, found, lines=True)
        )
        for row in found.reasons:
            notes.reject(row, f"{header}：含有无法保存的字符，或太长")
