"""A firm table in the making: raw columns in, typed columns out, and its last gate."""

from dataclasses import dataclass, field
from functools import cache

import pandas as pd
import pandera.pandas as pa

from zyz_match.domain import NUMBER_COLUMNS, Col, Standing
from zyz_match.storage import values
from zyz_match.storage.cells import Notes, clean_column
from zyz_match.storage.columns import Field
from zyz_match.storage.raw import RawTable


@dataclass(slots=True)
class Draft:
    """A firm table in the making."""

    raw: RawTable
    fields: dict[int, Field]  # column position -> what it means
    notes: Notes
    columns: dict[Col, list[str] | list[float]] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)  # the firm's id as the file writes it

    def positions(self, target: object, *, marks: bool | None = None) -> list[int]:
        """Columns of a target, those that speak first first."""
        found = [
            i for i, f in self.fields.items()
            if f.target == target and (marks is None or bool(f.mark) == marks)
        ]  # fmt: skip
        return sorted(found, key=lambda i: (self.fields[i].rank, i))

    def cleaned(self, position: int, *, lines: bool = False) -> list[str]:
        """One column without missing-marks and loose spaces."""
        return clean_column(
            self.raw.columns[position], self.raw.headers[position], self.notes, lines=lines
        )

    def pick(self, target: Col, *, lines: bool = False) -> tuple[list[str], str]:
        """The first non-empty cell of a target's columns in each row, and the first header."""
        found = self.positions(target)
        if not found:
            return [""] * self.raw.rows, ""
        out = self.cleaned(found[0], lines=lines)
        for position in found[1:]:
            other = self.cleaned(position, lines=lines)
            out = [a or b for a, b in zip(out, other, strict=True)]
        return out, self.raw.headers[found[0]]


# the frame --------------------------------------------------------------------------------------


@cache
def _schema() -> pa.DataFrameSchema:
    columns: dict[str, pa.Column] = {}
    for col in Col:
        checks = (
            [pa.Check.ge(0), pa.Check.le(values.LARGEST_MONEY)] if col in NUMBER_COLUMNS else []
        )
        if col is Col.STANDING:
            checks = [pa.Check.isin([s.value for s in Standing])]
        if col is Col.FOUNDED:
            checks = [pa.Check.str_matches(r"^(\d{4}-\d\d-\d\d)?$")]
        if col is Col.FIRM_ID:
            checks = [pa.Check.str_length(min_value=1)]
        number = col in NUMBER_COLUMNS
        columns[col.value] = pa.Column(
            "float64" if number else "str", checks, nullable=number, unique=col is Col.FIRM_ID
        )
    return pa.DataFrameSchema(columns, strict=True, ordered=True)


def frame_of(draft: Draft) -> pd.DataFrame:
    """The columns of `Col` with their types, without the rejected rows; the draft gives them up."""
    rows = [r for r in range(draft.raw.rows) if r not in draft.notes.reasons]
    every = len(rows) == draft.raw.rows
    series = {}
    for col in Col:
        column = draft.columns.pop(col)
        kept = column if every else [column[r] for r in rows]
        dtype = "float64" if col in NUMBER_COLUMNS else "str"
        series[col.value] = pd.Series(kept, index=rows, dtype=dtype)
    return pd.DataFrame(series)


def check(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, numbered anew, once its types, ranges and unique ids are certain."""
    frame.index = pd.RangeIndex(len(frame))
    return _schema().validate(frame, inplace=True)
