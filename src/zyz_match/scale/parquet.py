"""Firm tables as parquet: partitions that fit in memory, read as typed tables or refused by name.

Columns have the names of `Col`; a file may lack most of them. What a row says is never changed: a
value that cannot be believed refuses the file.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zyz_match.domain import Col, Standing
from zyz_match.errors import FileError
from zyz_match.industry import IndustryTree
from zyz_match.region import Divisions
from zyz_match.storage.values import LARGEST_MONEY
from zyz_match.storage.words import parse_status
from zyz_match.text import name_key

PARTITION = 250_000  # firms at most
SUFFIX = ".parquet"
TEXTS = (
    Col.FIRM_ID, Col.NAME, Col.USCC, Col.STOCK_CODE, Col.STATUS, Col.STANDING, Col.PROVINCE,
    Col.CITY, Col.COUNTY, Col.DIVISION, Col.INDUSTRY, Col.INDUSTRY_TEXT, Col.SCOPE, Col.PRODUCTS,
    Col.MARKS,
)  # fmt: skip
NUMBERS = (Col.CAPITAL, Col.EMPLOYEES, Col.REVENUE, Col.PATENTS)
_NEEDED = ((Col.FIRM_ID, Col.NAME), (Col.SCOPE, Col.PRODUCTS))  # one of each
_BATCH = 1 << 15  # rows decoded at a time
_APART = pa.scalar("\0", pa.large_string())


@dataclass(frozen=True, slots=True)
class Partition:
    """Some rows of one parquet file, as it was when the batch began."""

    path: str
    size: int  # bytes of the file
    modified: int  # nanoseconds since 1970
    groups: tuple[int, ...]  # row groups of the file
    skip: int  # rows of them before the first
    row: int  # number of the first row in the file
    first: int  # and among all rows of the batch
    rows: int

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.path).name


def partitions(source: Path, most: int = PARTITION) -> tuple[list[Partition], tuple[str, ...]]:
    """The partitions of a parquet file, or of those of a folder by name, and unknown columns.

    Raises FileError for a path without parquet, a file that cannot be read, or one that lacks the
    columns without which nobody can be ranked.
    """
    found: list[Partition] = []
    unknown: dict[str, None] = {}
    first = 0
    for path in _files(source):
        with _explained(path), pq.ParquetFile(path) as file:
            unknown |= dict.fromkeys(_checked(path, file.schema_arrow))
            some = list(_cut_up(path, file.metadata, first, most))
        found += some
        first += sum(p.rows for p in some)
    if not found:
        raise FileError(f"“{source}”中没有企业，无从排名。")
    return found, tuple(unknown)


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        found = sorted(p for p in source.glob(f"*{SUFFIX}") if not p.name.startswith((".", "_")))
        if not found:
            raise FileError(f"文件夹“{source}”中没有 {SUFFIX} 文件（不看子文件夹）。")
        return [p.resolve() for p in found]
    if not source.exists():
        raise FileError(f"没有文件“{source}”。请核对路径。")
    return [source.resolve()]


def _checked(path: Path, schema: pa.Schema) -> list[str]:
    """The columns that we do not know; FileError when what we need is lacking."""
    names = schema.names
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise FileError(f"“{path}”有两列都叫“{twice}”，请改名或去掉一列。")
    for some in _NEEDED:
        if not set(some) & set(names):
            raise FileError(
                f"“{path}”缺少 {' 或 '.join(some)} 列；现有的列：{'、'.join(names)[:300]}。"
                "列名见 docs/cli.md 的 rank --all --parquet。"
            )
    return [n for n in names if n not in set(Col)]


def _cut_up(path: Path, file: pq.FileMetaData, first: int, most: int) -> Iterator[Partition]:
    """Row groups together as far as they fit; a larger one in even slices."""
    stat, row = path.stat(), 0
    sizes = [file.row_group(i).num_rows for i in range(file.num_row_groups)]
    for groups, rows in _grouped(sizes, most):
        each = -(-rows // -(-rows // most))
        for skip in range(0, rows, each):
            size = min(each, rows - skip)
            yield Partition(
                str(path), stat.st_size, stat.st_mtime_ns, groups, skip, row + skip,
                first + row + skip, size,
            )  # fmt: skip
        row += rows


def _grouped(sizes: list[int], most: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """Neighbouring row groups of at most so many rows, or a larger one alone; and their rows."""
    groups: list[int] = []
    rows = 0
    for i, size in enumerate(sizes):
        if groups and rows + size > most:
            yield tuple(groups), rows
            groups, rows = [], 0
        groups.append(i)
        rows += size
    if rows:
        yield tuple(groups), rows


# reading -------------------------------------------------------------------------------------


def read(partition: Partition) -> pd.DataFrame:
    """The firms of a partition: text in Arrow with "" for missing, numbers with NaN.

    A firm without an id has its 统一社会信用代码, 证券代码 or name for one. Standing, division and
    industry that the file does not give follow from the words that it gives. Raises FileError for
    what cannot be read or believed, naming file, row and value.
    """
    with _explained(Path(partition.path)):
        _check_unchanged(partition)
        table = _rows(partition)
    columns = {c: _text(table, c, partition) for c in TEXTS}
    columns[Col.FIRM_ID] = _ids(columns, partition)
    columns[Col.STANDING] = _standing(columns, partition)
    if Col.DIVISION not in table.column_names:
        columns[Col.DIVISION] = _divisions(columns)
    if Col.INDUSTRY not in table.column_names:
        columns[Col.INDUSTRY] = _each(columns[Col.INDUSTRY_TEXT], _industry)
    columns |= {c: _number(table, c, partition) for c in NUMBERS}
    found: pd.DataFrame = pa.table({str(c): column for c, column in columns.items()}).to_pandas(
        types_mapper=lambda kind: pd.ArrowDtype(kind) if kind == pa.large_string() else None
    )
    return found


def _check_unchanged(partition: Partition) -> None:
    stat = Path(partition.path).stat()
    if (stat.st_size, stat.st_mtime_ns) != (partition.size, partition.modified):
        raise FileError(f"“{partition.path}”在运行中被改动了。请等它写完后重新运行。")


def _rows(partition: Partition) -> pa.Table:
    with pq.ParquetFile(partition.path) as file:
        columns = [str(c) for c in (*TEXTS, *NUMBERS) if c in file.schema_arrow.names]
        batches, behind = [], partition.skip
        left = partition.rows
        for batch in file.iter_batches(_BATCH, list(partition.groups), columns):
            some = batch.slice(behind, left)
            behind = max(0, behind - batch.num_rows)
            if some.num_rows:
                batches.append(some)
                left -= some.num_rows
            if not left:
                break
        return pa.Table.from_batches(batches).combine_chunks()


def _text(table: pa.Table, column: Col, partition: Partition) -> pa.Array:
    if column not in table.column_names:
        return pa.repeat(pa.scalar("", pa.large_string()), table.num_rows)
    values = table[column]
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise _refusal(partition, f"的 {column} 列不是文字（{kind}），请改为文字后重新导出")
    array = pa.concat_arrays([c.cast(pa.large_string()) for c in values.chunks])
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise _refusal(partition, f"的 {column} 列有不是 UTF-8 的文字，请重新导出") from error
    return pc.fill_null(array, "")


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _number(table: pa.Table, column: Col, partition: Partition) -> pa.Array:
    if column not in table.column_names:
        return pa.repeat(pa.scalar(np.nan, pa.float64()), table.num_rows)
    kind = table[column].type
    is_number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    if not any(of_kind(kind) for of_kind in is_number):
        raise _refusal(partition, f"的 {column} 列不是数字（{kind}），请改为数字后重新导出")
    values = table[column].cast(pa.float64(), safe=False).to_numpy()
    bad = np.flatnonzero((values < 0) | (values > LARGEST_MONEY))
    if len(bad):
        why = f"的 {column} 为 {values[bad[0]]:g}，应在 0 和 {LARGEST_MONEY:g} 之间"
        raise _refusal(partition, why, bad[0])
    return pa.array(values)


def _ids(columns: dict[Col, pa.Array], partition: Partition) -> pa.Array:
    ids = pc.utf8_trim_whitespace(columns[Col.FIRM_ID])
    for other in (Col.USCC, Col.STOCK_CODE):
        ids = pc.if_else(pc.equal(ids, ""), columns[other], ids)
    blank = pc.equal(ids, "")
    if pc.any(blank).as_py():
        keys = [name_key(n) for n in columns[Col.NAME].filter(blank).to_pylist()]
        ids = pc.replace_with_mask(ids, blank, pa.array(keys, pa.large_string()))
    nameless = pc.index(ids, "").as_py()
    if nameless >= 0:
        raise _refusal(partition, "没有 firm_id，也没有代码或名称，无法识别是哪家企业", nameless)
    counts = pc.value_counts(ids)
    if len(counts) < len(ids):
        again = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py()
        raise _refusal(partition, f"中编号 {again} 不止一行，请去重后重新运行")
    return ids


def _standing(columns: dict[Col, pa.Array], partition: Partition) -> pa.Array:
    """As given, else by the registry's word: who is gone must not be listed."""
    given = columns[Col.STANDING]
    words = _each(columns[Col.STATUS], lambda w: (parse_status(w) if w else Standing.UNKNOWN).value)
    found = pc.if_else(pc.equal(given, ""), words, given)
    for standing in pc.unique(found).to_pylist():
        if standing not in set(Standing):
            known = "、".join(Standing)
            raise _refusal(partition, f"的 standing 列中有“{standing}”，可用的值：{known}")
    return found


def _divisions(columns: dict[Col, pa.Array]) -> pa.Array:
    parts = (columns[c] for c in (Col.PROVINCE, Col.CITY, Col.COUNTY))
    return _each(
        pc.binary_join_element_wise(*parts, pa.scalar(_APART, pa.large_string())), _division
    )


def _division(words: str) -> str:
    province, city, county = words.split(_APART.as_py())
    found = Divisions.shipped().place(province, city, county, "")
    return found.code if found else ""


def _industry(words: str) -> str:
    return (IndustryTree.shipped().find(words) if words else None) or ""


def _each(texts: pa.Array, find: Callable[[str], str]) -> pa.Array:
    """What is found for every text, looked for once for each distinct one."""
    known = texts.dictionary_encode()
    found = pa.array([find(t) for t in known.dictionary.to_pylist()], pa.large_string())
    return found.take(known.indices)


# faults --------------------------------------------------------------------------------------


def _refusal(partition: Partition, why: str, at: int | None = None) -> FileError:
    where = "" if at is None else f"第 {partition.row + int(at) + 1} 行"
    return FileError(f"“{partition.path}”{where}{why}。")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FileError(f"没有文件“{path}”。计算的各台机器都须能读到它。") from error
    except PermissionError as error:
        raise FileError(f"没有权限读取“{path}”。请检查文件权限。") from error
    except (pa.ArrowException, OSError) as error:
        raise FileError(f"“{path}”不是 parquet 文件，或已损坏、不完整。请重新导出。") from error
