"""The firms of a segment as an Arrow table: mapped from a file, read a few rows at a time."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from zyz_match.domain import NUMBER_COLUMNS, Col

_STEP = 64  # of so many ids one is kept at hand
_MOST = 2**31 - 1  # bytes of a column whose ends are 32-bit numbers
Bytes = npt.NDArray[np.uint8]


class FirmTable:
    """Firms in the order of `firm_id`: text with "" for missing, numbers with NaN."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """The firms of a data frame with the columns of `Col`, sorted."""
        columns = {str(c): _column(frame[c], c in NUMBER_COLUMNS) for c in frame.columns}
        table = pa.table(columns)
        ids = table[Col.FIRM_ID.value]
        if not pc.all(pc.less_equal(ids.slice(0, max(0, len(ids) - 1)), ids.slice(1))).as_py():
            order = np.argsort(ids.to_numpy(zero_copy_only=False), kind="stable")
            table = table.take(pa.array(order))
        return cls(table)

    @classmethod
    def read(cls, content: Bytes) -> Self:
        """A table over what `bytes` gave; nothing is copied."""
        return cls(pa.ipc.open_file(pa.py_buffer(content)).read_all())

    def bytes(self) -> Bytes:
        """The table as an Arrow file in one batch."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, self.table.schema) as file:
            file.write_table(self.table)
        return np.frombuffer(sink.getvalue(), dtype=np.uint8)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def frame(self) -> pd.DataFrame:
        """All firms as a data frame whose text stays in Arrow."""
        return frame_of([self])

    def records(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> list[dict[str, Any]]:
        """Some firms as plain values."""
        found: list[dict[str, Any]] = self.table.take(pa.array(rows, pa.int64())).to_pylist()
        return found

    def texts(self, column: str, rows: Sequence[int] | npt.NDArray[np.int64]) -> list[str]:
        """One text column of some firms."""
        found: list[str] = self.table[column].take(pa.array(rows, pa.int64())).to_pylist()
        return found

    @cached_property
    def _steps(self) -> list[str]:
        return self.texts(Col.FIRM_ID.value, np.arange(0, len(self), _STEP))

    def place(self, firm_id: str) -> tuple[int, bool]:
        """The first row whose id is not below a firm's, and whether it is the firm's."""
        start = max(0, bisect_right(self._steps, firm_id) - 1) * _STEP
        some = self.table[Col.FIRM_ID.value].slice(start, _STEP).to_pylist()
        at = bisect_left(some, firm_id)
        return start + at, at < len(some) and some[at] == firm_id

    def rows_of(self, firm_ids: Iterable[str]) -> dict[str, int]:
        """Row of each of the given firms that is here."""
        places = {f: self.place(f) for f in firm_ids}
        return {f: row for f, (row, here) in places.items() if here}


def frame_of(tables: Sequence[FirmTable]) -> pd.DataFrame:
    """The firms of several tables, one after the other; text stays in Arrow."""
    table = pa.concat_tables([t.table for t in tables])
    numbers = {str(c) for c in NUMBER_COLUMNS}
    return pd.DataFrame(
        {
            name: table[name].to_numpy()
            if name in numbers
            else pd.Series(pd.arrays.ArrowExtensionArray(table[name]))
            for name in table.column_names
        },
        copy=False,
    )


def _column(values: pd.Series, number: bool) -> pa.ChunkedArray:
    if number:
        return pa.chunked_array([pa.array(values.to_numpy(np.float64))])
    array = pa.array(
        values.array if hasattr(values.array, "__arrow_array__") else values.to_numpy(object),
        from_pandas=False,
    )
    return _joined(array)


def _joined(array: "pa.Array | pa.ChunkedArray") -> pa.ChunkedArray:
    """Text in one chunk, so that some rows can be taken without reading all."""
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    small = sum(c.nbytes for c in chunks) <= _MOST
    kind = pa.string() if small else pa.large_string()
    whole = pa.concat_arrays([pa.array([], kind), *(c.cast(kind) for c in chunks)])
    return pa.chunked_array([whole], kind)
