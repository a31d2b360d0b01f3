"""A folder of plain files (firms, towns, events, existing, leads, truth), read strictly."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from zyz_match import profiles
from zyz_match.domain import Stage, Town
from zyz_match.errors import FileError
from zyz_match.outputs import write_bytes
from zyz_match.storage.cells import shown
from zyz_match.storage.columns import header_key
from zyz_match.storage.firm_ids import FirmIds
from zyz_match.storage.raw import RawTable, load
from zyz_match.storage.readers import FirmFile, read_firms
from zyz_match.storage.sheets import open_book
from zyz_match.storage.values import BadValue, is_missing, parse_date, parse_number
from zyz_match.text import tidy

OUTCOMES: tuple[str, ...] = tuple(s.value for s in Stage)
RUN_COLUMNS = ("town_id", "firm_id", "rank", "score")
_SUFFIXES = (".csv", ".tsv", ".xlsx", ".xls", ".jsonl", ".zip")

_Parse = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class _Table:
    """The columns of one kind of file: what must be there, what may be."""

    stem: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


_EVENTS = _Table("events", ("firm_id", "date", "region", "industry", "target"), ("kind", "amount"))
_EXISTING = _Table("existing", ("town_id", "firm_id"))
_LEADS = _Table(
    "leads", ("town_id", "firm_id", "date", "outcome"), ("stage", "reason", "owner", "note")
)
_TRUTH = _Table("truth", ("town_id", "firm_id", "gain"))
_FILLED = frozenset({"town_id", "firm_id", "date", "outcome", "gain"})


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything a folder holds; firm ids are those of `firms.frame` wherever the firm is known.

    Tables of files that are not there are empty, with their columns.
    """

    firms: FirmFile | None
    towns: list[Town]
    events: pd.DataFrame  # firm_id, date (datetime64), region, industry, target, kind, amount
    existing: pd.DataFrame  # town_id, firm_id
    leads: pd.DataFrame  # town_id, firm_id, date (datetime64), outcome, stage, reason, owner, note
    truth: dict[str, dict[str, float]]  # town_id -> firm_id -> gain
    written_ids: dict[str, str] = field(default_factory=dict)  # firm_id -> as the files write it
    warnings: tuple[str, ...] = ()  # Chinese


def read_dataset(folder: Path) -> Dataset:
    """Read the files of a folder that are there.

    Raises FileError or ProfileError, naming file, line and column, for the first that is wrong.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileError(
            f"没有文件夹“{folder}”。请指定装有 enterprises.csv、towns.jsonl 等文件的文件夹。"
        )
    firms_path = _find(folder, "enterprises")
    firms = read_firms(firms_path) if firms_path else None
    ids = FirmIds(firms)
    warnings: list[str] = []
    events, existing, leads, truth = (
        _read(folder, t, ids, warnings) for t in (_EVENTS, _EXISTING, _LEADS, _TRUTH)
    )
    towns_path = folder / "towns.jsonl"
    towns = profiles.read_towns(towns_path) if towns_path.is_file() else []
    gains: dict[str, dict[str, float]] = {}
    for town, firm, gain in zip(truth["town_id"], truth["firm_id"], truth["gain"], strict=True):
        gains.setdefault(town, {})[firm] = gain
    return Dataset(
        firms, [_with_known_anchors(t, ids) for t in towns], events, existing, leads, gains,
        ids.written(), tuple(warnings),
    )  # fmt: skip


def _with_known_anchors(town: Town, ids: FirmIds) -> Town:
    return replace(town, anchors=tuple(ids.find(a) or a for a in town.anchors))


def _find(folder: Path, stem: str) -> Path | None:
    found = sorted(
        p
        for p in folder.iterdir()
        if p.stem == stem and p.suffix.lower() in _SUFFIXES and p.is_file()
    )
    if len(found) > 1:
        names = "、".join(p.name for p in found)
        raise FileError(f"“{folder}”里有几个同类文件：{names}。请只留一个。")
    return found[0] if found else None


def _read(folder: Path, table: _Table, ids: FirmIds, warnings: list[str]) -> pd.DataFrame:
    path = _find(folder, table.stem)
    wanted = (*table.required, *table.optional)
    if path is None:
        return pd.DataFrame({c: pd.Series([], dtype=_DTYPES.get(c, "str")) for c in wanted})
    with open_book(path) as book:
        raw = load(book.sheets[0], 0, path.name, may_be_empty=True)
    at = _positions(raw, table, path)
    frame = pd.DataFrame({
        c: pd.Series(_column(raw, at.get(c), c, path), dtype=_DTYPES.get(c, "str")) for c in wanted
    })  # fmt: skip
    known = {i: ids.note(i, table.stem) for i in dict.fromkeys(frame["firm_id"])}
    strange = [i for i, firm in known.items() if firm is None]
    if strange and ids:
        rows = int(frame["firm_id"].isin(strange).sum())
        warnings.append(f"{path.name} 有 {rows} 行的企业不在企业表中（如{shown(strange[0])}）")
    frame["firm_id"] = pd.Series([known[i] or i for i in frame["firm_id"]], dtype="str")
    return frame


def _positions(raw: RawTable, table: _Table, path: Path) -> dict[str, int]:
    at: dict[str, int] = {}
    for position, header in enumerate(raw.headers):
        at.setdefault(header_key(header), position)
    lacking = [c for c in table.required if c not in at]
    if lacking:
        raise FileError(
            f"{path.name} 缺少列 {'、'.join(lacking)}；第 1 行应为表头 {','.join(table.required)}"
            f"{'，可另有 ' + ','.join(table.optional) if table.optional else ''}，"
            f"现为 {','.join(raw.headers)[:200]}。"
        )
    return at


def _column(raw: RawTable, position: int | None, name: str, path: Path) -> list[Any]:
    parse = _PARSERS.get(name, tidy)
    if position is None:
        return [_MISSING.get(name, "")] * raw.rows
    cells = raw.columns[position]
    known: dict[str, Any] = {}
    for row, cell in enumerate(cells):
        if cell in known:
            continue
        try:
            known[cell] = _value(cell, name, parse)
        except BadValue as error:
            raise FileError(
                f"{path.name} 第 {raw.numbers[row]} 行 {name} 列：{shown(cell)}{error}。"
            ) from error
    for row, fault in raw.faults.items():
        raise FileError(f"{path.name} 第 {raw.numbers[row]} 行{fault}。")
    return [known[c] for c in cells]


def _value(cell: str, name: str, parse: _Parse) -> Any:
    blank = not cell.strip() if name in ("town_id", "firm_id") else is_missing(cell)
    if not blank:
        return parse(str(cell) if parse is tidy else cell)
    if name in _FILLED:
        raise BadValue("是空的，必须填写")
    return _MISSING.get(name, "")


def _date(text: str) -> pd.Timestamp:
    found, _ = parse_date(text)
    return pd.Timestamp(found)


def _outcome(text: str) -> str:
    if (found := tidy(text).casefold()) not in OUTCOMES:
        raise BadValue(f"不是可用的结果；可用：{'、'.join(OUTCOMES)}")
    return found


def _gain(text: str) -> float:
    if not 0 <= (found := parse_number(text.strip())) <= 1000:
        raise BadValue("应在 0 到 1000 之间")
    return found


_DTYPES = {"date": "datetime64[s]", "amount": "float64", "gain": "float64"}
_MISSING = {"amount": math.nan}
_PARSERS: Mapping[str, _Parse] = {
    "date": _date, "outcome": _outcome, "gain": _gain, "amount": lambda t: parse_number(t.strip()),
}  # fmt: skip


def write_run(
    path: Path, rows: pd.DataFrame | Iterable[Sequence[Any]], dataset: Dataset | None = None
) -> None:
    """Write town_id, firm_id, rank, score as CSV.

    With the dataset, a firm is called what its files call it, so that truth.csv still matches.
    """
    if isinstance(rows, pd.DataFrame):
        rows = rows[list(RUN_COLUMNS)].itertuples(index=False, name=None)
    written = dataset.written_ids if dataset else {}
    text = io.StringIO(newline="")
    out = csv.writer(text, lineterminator="\n")
    out.writerow(RUN_COLUMNS)
    out.writerows(
        (town, written.get(firm, firm), rank, repr(float(score)))
        for town, firm, rank, score in rows
    )
    write_bytes(path, text.getvalue().encode("utf-8"))


__all__ = ["OUTCOMES", "Dataset", "read_dataset", "write_run"]
