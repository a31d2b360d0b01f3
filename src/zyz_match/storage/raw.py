"""One sheet as columns of text, rows numbered as a spreadsheet shows them."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

from zyz_match.errors import FileError
from zyz_match.storage.columns import REASON, REFUSED, ROW_NUMBER, header_key
from zyz_match.storage.sheets import FlawedRow, Sheet

_BATCH = 4_096
_SAMPLES, _SAMPLED, _SAMPLE_LENGTH = 3, 200, 60
_SHARED = 2_000  # a column with more different values than this is not worth sharing
_TOTALS = frozenset({"合计", "小计", "总计", "共计", "累计"})
_TOTAL = "是合计行，不是一条记录"


@dataclass(frozen=True, slots=True)
class RawTable:
    """The data rows of a sheet, column by column, blank rows left out."""

    headers: tuple[str, ...]  # unique; a repeated header has " (2)" after it
    columns: tuple[list[str], ...]  # empty lists for columns that were not asked for
    numbers: list[int]  # of the rows, in the file
    faults: dict[int, str]  # row position -> what is wrong with the row as a whole
    repeated: tuple[str, ...]  # headers that stand in the file more than once
    escaped: bool  # whether this is a rejects file of ours, with escaped text
    samples: tuple[tuple[str, ...], ...]  # a few different values of every column

    @property
    def rows(self) -> int:
        """How many data rows there are."""
        return len(self.numbers)


def read_header(sheet: Sheet, index: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The headers, made unique, and those that stand there more than once."""
    found = [c.strip() for c in next(islice(sheet.rows(), index, None))]
    while _is_strict(sheet) and found and not found[-1]:
        found.pop()
    return _unique(found)


def load(
    sheet: Sheet, index: int, name: str,
    wanted: Collection[int] | None = None, *, may_be_empty: bool = False,
) -> RawTable:  # fmt: skip
    """Read the data rows below the header row; FileError when there are none.

    `wanted` are the positions of the columns to keep in memory (all of them by default).
    """
    headers, repeated = read_header(sheet, index)
    rows = enumerate(sheet.rows(), start=sheet.first)
    _, header = next(islice(rows, index, None))
    ours = header_key(headers[0]) == ROW_NUMBER and headers[1:2] in ((REASON,), (REFUSED,))
    columns: tuple[list[str], ...] = tuple([] for _ in headers)
    samples: list[tuple[str, ...]] = []
    numbers: list[int] = []
    faults: dict[int, str] = {}
    shared: list[dict[str, str]] = [{} for _ in headers]
    kept = range(len(headers)) if wanted is None else sorted(wanted)
    while batch := list(islice(rows, _BATCH)):
        data = [(n, r) for n, r in batch if r != header and any(map(str.strip, r))]
        faults |= _overlong(data, len(headers), len(numbers)) if _is_strict(sheet) else {}
        found = enumerate((r for _, r in data), len(numbers))
        faults |= {at: r.flaw for at, r in found if isinstance(r, FlawedRow)}
        faults |= {at: _TOTAL for at, (_, r) in enumerate(data, len(numbers)) if _is_total(r)}
        cells = list(zip(*(_fit(r, len(headers)) for _, r in data), strict=True))
        samples = samples or [_sample(c) for c in cells]
        numbers.extend(n for n, _ in data)
        for i in kept if data else ():
            few = len(same := shared[i]) < _SHARED
            columns[i].extend([same.setdefault(c, c) for c in cells[i]] if few else cells[i])
    if not numbers and not may_be_empty:
        raise FileError(f"“{name}”只有表头，没有数据行。请重新导出。")
    return RawTable(headers, columns, numbers, faults, repeated, ours, tuple(samples))


def read_rows(sheet: Sheet, numbers: Collection[int], width: int) -> dict[int, list[str]]:
    """Some rows by their number in the file, whole, once more."""
    if not numbers:
        return {}
    rows = enumerate(sheet.rows(), start=sheet.first)
    return {n: _fit(r, width) for n, r in rows if n in numbers}


def _is_total(row: list[str]) -> bool:
    """Whether a row sums up those above it: so says its first cell with something in it."""
    first = next(filter(None, map(str.strip, row)), "")
    return first.rstrip("：:") in _TOTALS


def _is_strict(sheet: Sheet) -> bool:
    """Whether a row must not outgrow the header, as in a CSV; sheets may have notes beside."""
    return bool(sheet.charset) and sheet.first == 1


def _fit(row: list[str], width: int) -> list[str]:
    return row if len(row) == width else (row + [""] * width)[:width]


def _overlong(rows: list[tuple[int, list[str]]], width: int, start: int) -> dict[int, str]:
    return {
        at: f"有 {len(row)} 列，多于表头的 {width} 列，可能有未加引号的分隔符"
        for at, (_, row) in enumerate(rows, start) if any(map(str.strip, row[width:]))
    }  # fmt: skip


def _sample(cells: tuple[str, ...]) -> tuple[str, ...]:
    found = dict.fromkeys(str(c)[:_SAMPLE_LENGTH] for c in cells[:_SAMPLED] if c.strip())
    return tuple(found)[:_SAMPLES]


def _unique(header: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    seen: dict[str, int] = {}
    out, repeated = [], []
    for cell in header:
        seen[cell] = seen.get(cell, 0) + 1
        if seen[cell] > 1 and cell:
            repeated.append(cell)
        out.append(cell if seen[cell] == 1 else f"{cell} ({seen[cell]})")
    return tuple(out), tuple(dict.fromkeys(repeated))
