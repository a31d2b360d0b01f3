"""One sheet as columns of text, rows numbered as a spreadsheet shows them."""

from dataclasses import dataclass
from itertools import islice

from zyz_match.errors import FileError
from zyz_match.storage.columns import REASON, ROW_NUMBER, header_key
from zyz_match.storage.sheets import Sheet

_BATCH = 4_096
_SHARED = 2_000  # a column with more different values than this is not worth sharing


@dataclass(frozen=True, slots=True)
class RawTable:
    """The data rows of a sheet, column by column, blank rows left out."""

    headers: tuple[str, ...]  # unique; a repeated header has " (2)" after it
    columns: tuple[list[str], ...]
    numbers: list[int]  # of the rows, in the file
    faults: dict[int, str]  # row position -> what is wrong with the row as a whole
    repeated: tuple[str, ...]  # headers that stand in the file more than once
    escaped: bool  # whether this is a rejects file of ours, with escaped text

    @property
    def rows(self) -> int:
        """How many data rows there are."""
        return len(self.numbers)


def load(sheet: Sheet, header_index: int, name: str, *, may_be_empty: bool = False) -> RawTable:
    """Read all data rows below the header; FileError when there are none."""
    rows = enumerate(sheet.rows(), start=sheet.first)
    _, found = next(islice(rows, header_index, None))
    strict = bool(sheet.charset) and sheet.first == 1  # a CSV row must not outgrow its header
    header = [c.strip() for c in found]
    while strict and header and not header[-1]:
        header.pop()
    headers, repeated = _unique(header)
    ours = header_key(headers[0]) == ROW_NUMBER and REASON in headers[:2]
    table = RawTable(headers, tuple([] for _ in headers), [], {}, repeated, ours)
    shared: list[dict[str, str]] = [{} for _ in headers]
    while batch := list(islice(rows, _BATCH)):
        _append(table, [(n, r) for n, r in batch if r != found and any(map(str.strip, r))], strict, shared)
    if not table.numbers and not may_be_empty:
        raise FileError(f"“{name}”只有表头，没有数据行。请重新导出。")
    return table


def _append(
    table: RawTable, batch: list[tuple[int, list[str]]], strict: bool, shared: list[dict[str, str]]
) -> None:
    """Add rows, cut or padded to the header's width; equal cells of a column share one text."""
    width = len(table.headers)
    kept = []
    for number, row in batch:
        if len(row) != width:
            if strict and any(map(str.strip, row[width:])):
                table.faults[table.rows] = (
                    f"有 {len(row)} 列，多于表头的 {width} 列，可能有未加引号的分隔符"
                )
            row = (row + [""] * width)[:width]
        table.numbers.append(number)
        kept.append(row)
    if not kept:
        return
    for column, cells, same in zip(table.columns, zip(*kept, strict=True), shared, strict=True):
        few = len(same) < _SHARED
        column.extend([same.setdefault(c, c) for c in cells] if few else cells)


def _unique(header: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    seen: dict[str, int] = {}
    out, repeated = [], []
    for cell in header:
        seen[cell] = seen.get(cell, 0) + 1
        if seen[cell] > 1 and cell:
            repeated.append(cell)
        out.append(cell if seen[cell] == 1 else f"{cell} ({seen[cell]})")
    return tuple(out), tuple(dict.fromkeys(repeated))
