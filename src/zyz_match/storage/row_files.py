"""Files of leads and events in: any kind of table, every row typed or refused with its reason."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from zyz_match.domain import CLOSING_STAGES, OTHER_REASON, REASONS, STAGE_NAMES, Stage
from zyz_match.errors import FileError, InputError
from zyz_match.stages import reason_of, stage_of
from zyz_match.storage.cells import Notes, clean_column, parse_column, plain
from zyz_match.storage.columns import REFUSED, ROW_NUMBER, header_key, split_unit
from zyz_match.storage.leads import LONGEST_NOTE
from zyz_match.storage.raw import RawTable, load
from zyz_match.storage.rejects import unescape
from zyz_match.storage.rows import MAX_KEY
from zyz_match.storage.sheets import best_sheet, open_book
from zyz_match.storage.values import BadValue, header_unit, parse_date, parse_money
from zyz_match.text import tidy

Kind = Literal["leads", "events"]
Tick = Callable[[int, int], None]
KIND_NAMES: dict[Kind, str] = {"leads": "跟进记录", "events": "投资事件"}
FIRM_TARGETS = ("firm_id", "uscc", "stock_code", "name")  # the first that is known names the firm
_LONGEST = {"note": LONGEST_NOTE, "target": MAX_KEY, "region": MAX_KEY, "industry": MAX_KEY}

_FIRM_ALIASES = {
    "firm_id": "firm_id 企业编号",
    "uscc": "统一社会信用代码 统一信用代码 社会信用代码 信用代码 uscc",
    "stock_code": "证券代码 股票代码 stock_code",
    "name": "企业名称 公司名称 企业 公司 投资方 投资方名称 投资企业 企业名称/统一社会信用代码 name",
}
_ALIASES: Mapping[Kind, Mapping[str, str]] = {
    "leads": _FIRM_ALIASES | {
        "town": "town_id 专业镇 专业镇编号 专业镇名称 镇 town",
        "date": "date 日期 跟进日期 时间",
        "outcome": "outcome 结果 跟进结果 结果/阶段 跟进阶段",
        "stage": "stage 阶段 当前阶段",
        "reason": "reason 原因 未成原因",
        "owner": "owner 跟进人 负责人 经办人",
        "note": "note 备注 说明 跟进情况",
        "list_id": "list_id 清单编号 名单编号",
    },
    "events": _FIRM_ALIASES | {
        "date": "date 日期 投资日期 成立日期 时间",
        "region": "region 地区 所在地区 投资地区 地点",
        "industry": "industry 行业 所属行业 投资行业",
        "target": "target 标的 被投企业 标的/被投企业 被投资企业 标的企业 项目",
        "kind": "kind 类型 事件类型 投资类型",
        "amount": "amount 金额 投资金额 投资额 认缴金额",
    },
}  # fmt: skip
_TARGETS: Mapping[Kind, Mapping[str, str]] = {
    kind: {header_key(word): target for target, words in table.items() for word in words.split()}
    for kind, table in _ALIASES.items()
}
_REQUIRED: Mapping[Kind, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "leads": (
        ("专业镇 town_id", ("town",)), ("企业 firm_id", FIRM_TARGETS), ("日期 date", ("date",)),
        ("结果 outcome", ("outcome", "stage")),
    ),
    "events": (
        ("企业 firm_id", FIRM_TARGETS), ("日期 date", ("date",)),
        ("地区 region、行业 industry 或标的 target", ("region", "industry", "target")),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file of leads or events as it was read; rows are places in `columns`."""

    kind: Kind
    columns: Mapping[str, Sequence[Any]]  # target -> one typed value a row
    firms: Sequence[tuple[str, ...]]  # the texts of each row that may name its firm
    faults: Mapping[int, str]  # row -> why it cannot be taken
    raw: RawTable
    file_name: str
    file_hash: str
    sheet: str
    targets: tuple[tuple[str, str], ...]  # header -> target, "" for a column we do not know
    warnings: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many data rows there are."""
        return self.raw.rows

    def rejects(self, faults: Mapping[int, str]) -> pd.DataFrame:
        """行号, 退回原因, then the refused rows whole, as they stand in the file."""
        at = sorted(faults)
        columns = {
            ROW_NUMBER: pd.Series([self.raw.numbers[r] for r in at], dtype="int64"),
            REFUSED: pd.Series([faults[r] for r in at], dtype=object),  # see rejects.py
        }
        for header, cells in zip(self.raw.headers, self.raw.columns, strict=True):
            if header_key(header) not in (ROW_NUMBER, REFUSED):
                columns[header] = pd.Series(plain([cells[r] for r in at]), dtype=object)
        return pd.DataFrame(columns)


def read_rows(path: Path, kind: Kind, *, progress: Tick | None = None) -> RowFile:
    """Read a file of leads or events of any supported kind.

    Raises FileError for a file that is none; rows that cannot be believed are in `faults`.
    """
    tick = progress or (lambda done, total: None)
    path = Path(path)
    tick(0, 100)
    with open_book(path) as book:
        sheet, index = best_sheet(book, lambda cells: _score(cells, kind))
        if not any(c.strip() for row in sheet.head() for c in row):
            raise FileError(f"“{book.name}”是空表，没有任何内容。请重新导出。")
        _check_header(sheet.head()[index], kind, book.name)
        raw = load(sheet, index, book.name)
        for column in raw.columns if raw.escaped else ():
            column[:] = [unescape(c) for c in column]
        tick(60, 100)
        found = _typed(raw, kind)
        tick(100, 100)
        return RowFile(
            kind, found.columns, found.firms, found.faults(), raw, book.name, book.hash,
            sheet.name, found.targets, found.notes.lines(),
        )  # fmt: skip


def _target(header: str, kind: Kind) -> str:
    table = _TARGETS[kind]
    return table.get(header_key(header)) or table.get(split_unit(header)[0], "")


def _score(cells: Sequence[str], kind: Kind) -> float:
    return len({t for c in cells if (t := _target(c, kind))})


def lacking_columns(header: Sequence[str], kind: Kind) -> list[str]:
    """What a header lacks to be that of such a file."""
    there = {_target(c, kind) for c in header}
    return [what for what, targets in _REQUIRED[kind] if there.isdisjoint(targets)]


def _check_header(header: Sequence[str], kind: Kind, name: str) -> None:
    if not (lacking := lacking_columns(header, kind)):
        return
    seen = "、".join(dict.fromkeys(c.strip()[:20] for c in header if c.strip())) or "（空）"
    raise FileError(
        f"“{name}”不像{KIND_NAMES[kind]}：缺少列 {'、'.join(lacking)}。"
        f"前十行中最像表头的一行是：{seen[:300]}。",
        details=tuple(dict.fromkeys(c.strip() for c in header if c.strip())),
    )


class _Typed:
    """The columns of a raw table with their values parsed, faults noted."""

    def __init__(self, raw: RawTable, kind: Kind) -> None:
        self.raw = raw
        self.notes = Notes()
        for row, why in raw.faults.items():
            self.notes.reject(row, why)
        self.targets = tuple((h, _target(h, kind)) for h in raw.headers)
        self.columns: dict[str, Sequence[Any]] = {}
        self.firms: Sequence[tuple[str, ...]] = ()

    def faults(self) -> dict[int, str]:
        """The reasons of every refused row in one sentence."""
        every = sorted(self.notes.reasons.items())
        return {row: "；".join(dict.fromkeys(why)) for row, why in every}

    def texts(self, target: str) -> list[str]:
        """The cells of the first column with this meaning that says something, cleaned."""
        out = [""] * self.raw.rows
        for (header, found), cells in zip(self.targets, self.raw.columns, strict=True):
            if found == target:
                clean = clean_column(cells, header, self.notes)
                out = [a or b for a, b in zip(out, clean, strict=True)]
        return out

    def limited(self, target: str) -> list[str]:
        """As `texts`, none of them too long to be kept."""
        most = _LONGEST.get(target, MAX_KEY)
        texts = plain(self.texts(target))
        for row, text in enumerate(texts):
            if len(text) > most:
                self.notes.reject(row, f"{target} 有 {len(text)} 个字，最多 {most} 个字")
        return texts

    def required(self, target: str, name: str) -> list[str]:
        """As `texts`; a row without one is refused."""
        texts = self.texts(target)
        for row, text in enumerate(texts):
            if not text:
                self.notes.reject(row, f"没有写{name}")
        return texts


def _typed(raw: RawTable, kind: Kind) -> _Typed:
    found = _Typed(raw, kind)
    names = [found.texts(t) for t in FIRM_TARGETS]
    found.firms = list(zip(*names, strict=True))
    for row, texts in enumerate(found.firms):
        if not any(texts):
            found.notes.reject(row, "没有写企业")
    dates = found.required("date", "日期")
    found.columns["date"] = parse_column(dates, _day(found.notes), None, "日期", found.notes)
    (_leads if kind == "leads" else _events)(found)
    return found


def _day(notes: Notes) -> Callable[[str], date | None]:
    def parse(text: str) -> date:
        found, remark = parse_date(text)
        if remark:
            notes.remark(f"日期{remark}", example=str(text))
        return date.fromisoformat(found)

    return parse


def _leads(found: _Typed) -> None:
    found.columns["town"] = plain(found.required("town", "专业镇"))
    found.columns["stages"] = _stages(found)
    for target in ("owner", "list_id", "note"):
        found.columns[target] = found.limited(target)
    _reasons(found)


def _stages(found: _Typed) -> list[tuple[Stage, ...]]:
    """What a row reports: how it ended, after the stage it had come to where both are written."""
    parsed = [
        parse_column(found.texts(t), _stage, None, name, found.notes)
        for t, name in (("outcome", "结果"), ("stage", "阶段"))
    ]
    out: list[tuple[Stage, ...]] = []
    for row, (outcome, stage) in enumerate(zip(*parsed, strict=True)):
        both = tuple(dict.fromkeys(s for s in (stage, outcome) if s))
        if not both and row not in found.notes.reasons:
            found.notes.reject(row, "没有写结果")
        if len(both) == 2 and (both[0] in CLOSING_STAGES or both[1] not in CLOSING_STAGES):
            names = "、".join(STAGE_NAMES[s] for s in both)
            found.notes.reject(row, f"阶段与结果不一致（{names}），请分成两行，各写日期")
        out.append(both)
    return out


def _stage(text: str) -> Stage | None:
    try:
        return stage_of(tidy(str(text)))
    except InputError:
        raise BadValue(f"不是可用的结果；可用：{'、'.join(STAGE_NAMES.values())}") from None


def _reasons(found: _Typed) -> None:
    """Known reasons as codes; any other is 其他, its words go before the note."""
    notes = list(found.columns["note"])
    codes = []
    for row, text in enumerate(plain(found.texts("reason"))):
        try:
            codes.append(reason_of(text))
        except InputError:
            codes.append(OTHER_REASON)
            notes[row] = "；".join(filter(None, (text, notes[row])))[:LONGEST_NOTE]
            found.notes.remark(
                f"{{n}} 行的原因不在原因表中，按“{REASONS[OTHER_REASON]}”记，原文写入备注",
                example=text,
            )
    found.columns["reason"], found.columns["note"] = codes, notes


def _events(found: _Typed) -> None:
    for target in ("region", "industry", "target", "kind"):
        found.columns[target] = found.limited(target)
    header = next((h for h, t in found.targets if t == "amount"), "")
    unit, currency = header_unit(split_unit(header)[1])

    def money(text: str) -> float | None:
        return parse_money(str(text), unit, currency)[0]

    cells = found.texts("amount")
    amounts = parse_column(cells, money, None, header, found.notes)
    found.columns["amount"] = [math.nan if a is None else a for a in amounts]
