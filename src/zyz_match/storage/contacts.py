"""Contact persons, phones and mails: kept apart from the firms, never in a log or a sample."""

import re

import pandas as pd

from zyz_match.storage.cells import Notes, clean_column, plain
from zyz_match.storage.columns import Field
from zyz_match.storage.raw import RawTable
from zyz_match.storage.values import is_missing

KINDS = ("phone", "mail", "person")
_SPLIT = re.compile(r"[;；,，、|\n\t]+")
_SPLIT_PERSON = re.compile(r"[;；、|\n\t]+")


def collect(raw: RawTable, fields: dict[int, Field], ids: dict[int, str]) -> pd.DataFrame:
    """firm_id, kind, value of every contact; `ids` says which row belongs to which firm."""
    found: dict[tuple[str, str, str], None] = {}
    for kind in KINDS:
        split = _SPLIT_PERSON if kind == "person" else _SPLIT
        for position in (i for i, f in fields.items() if f.target == kind):
            cells = raw.columns[position]
            for row, firm_id in ids.items():
                if is_missing(cells[row]):
                    continue
                for part in split.split(str(cells[row])):
                    if not is_missing(value := part.strip().strip("'")):
                        found[firm_id, kind, value] = None
    rows = list(found)
    return pd.DataFrame(
        {
            "firm_id": pd.Series([r[0] for r in rows], dtype="str"),
            "kind": pd.Series([r[1] for r in rows], dtype="str"),
            "value": pd.Series([r[2] for r in rows], dtype="str"),
        }
    )


def check(raw: RawTable, fields: dict[int, Field], notes: Notes) -> None:
    """Reject the rows whose contact cells hold what cannot be stored; the reason shows no contact."""
    for position in (i for i, f in fields.items() if f.target in KINDS):
        header = raw.headers[position]
        found = Notes()
        raw.columns[position][:] = plain(clean_column(raw.columns[position], header, found, lines=True))
        for row in found.reasons:
            notes.reject(row, f"{header}：含有无法保存的字符，或太长")
