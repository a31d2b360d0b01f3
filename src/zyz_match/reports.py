"""Lists that leave the office: rows for CSV and Excel, and the same objects as plain JSON."""

import csv
import dataclasses
import io
import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from zyz_match.days import today
from zyz_match.domain import (
    ROLE_NAMES,
    STAGE_NAMES,
    ChainSegment,
    Chance,
    Filters,
    Firm,
    Match,
    Shortlist,
    Stage,
    Town,
)
from zyz_match.industry import IndustryTree
from zyz_match.outputs import write_bytes

NEED_NAMES = {"missing": "缺失", "weak": "薄弱", "present": "已有"}
PART_NAMES = {"fit": "适配", "propensity": "意愿"}
FIRM_ID = "firm_id"

_RISKY = re.compile(r"\s*'*[=+\-@＝＋－＠﹢﹣﹦﹫\t\r]")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

Value = str | int | float | None


class ListColumn(NamedTuple):
    """One column of a list: heading, width in characters, how to get its value, number format."""

    heading: str
    width: int
    value: Callable[[Match], Value]
    number: str = ""  # Excel number format; "" for text


def industry_name(firm: Firm) -> str:
    """A firm's industry in words: the standard's name with its code, else as it was written."""
    tree = _tree()
    if firm.industry and firm.industry in tree:
        return f"{tree.name(firm.industry)}（{firm.industry}）"
    return firm.industry_text or firm.industry


@cache
def _tree() -> IndustryTree:
    return IndustryTree.shipped()


def place_of(firm: Firm) -> str:
    """Province and city in one, without saying 北京市 twice."""
    return "".join(dict.fromkeys(p for p in (firm.province, firm.city) if p))


def stage_name(stage: str) -> str:
    """A stage in words, "" for none."""
    return STAGE_NAMES[Stage(stage)] if stage else ""


def chance_in_words(chance: Chance | None) -> str:
    """A chance with its 90 % interval, "" while none can be told."""
    if chance is None:
        return ""
    return f"{chance.value:.0%}（{chance.low:.0%}-{chance.high:.0%}）"


LIST_COLUMNS: tuple[ListColumn, ...] = (
    ListColumn("名次", 6, lambda m: m.rank, "0"),
    ListColumn("企业名称", 28, lambda m: m.firm.name),
    ListColumn("统一社会信用代码/证券代码", 21, lambda m: m.firm.uscc or m.firm.stock_code),
    ListColumn("省", 10, lambda m: m.firm.province),
    ListColumn("市", 10, lambda m: m.firm.city),
    ListColumn("行业", 20, lambda m: industry_name(m.firm)),
    ListColumn("注册资本(万元)", 13, lambda m: m.firm.capital, "#,##0.##"),
    ListColumn("参保人数", 9, lambda m: m.firm.employees, "#,##0"),
    ListColumn("资质", 16, lambda m: "、".join(m.firm.marks)),
    ListColumn("得分", 9, lambda m: m.score, "0.0"),
    ListColumn("适配", 8, lambda m: m.fit, "0.0"),
    ListColumn("意愿", 8, lambda m: m.propensity, "0.0"),
    ListColumn("可信度", 8, lambda m: m.confidence, "0%"),
    ListColumn("成功可能性", 14, lambda m: chance_in_words(m.chance)),
    ListColumn("主要理由", 42, lambda m: m.reason),
    ListColumn("匹配环节", 14, lambda m: m.segment),
    ListColumn("提示", 18, lambda m: "；".join(m.flags)),
    ListColumn("跟进阶段", 10, lambda m: stage_name(m.care_stage)),
    ListColumn("跟进人", 12, lambda m: m.care_owner),
)


# words ---------------------------------------------------------------------------------------


def filters_in_words(filters: Filters) -> str:
    """The filters as a reader would say them; 无 when there are none."""
    said = [
        _several("省份", filters.provinces),
        _several("城市", filters.cities),
        _several("行业", filters.industries),
        _between("注册资本", filters.capital_min, filters.capital_max, "万元"),
        _between("参保人数", filters.employees_min, filters.employees_max, "人"),
        _several("资质", filters.marks),
        {None: "", True: "只看上市企业", False: "只看未上市企业"}[filters.listed],
        _several("登记状态", filters.statuses),
        f"文字含“{filters.text}”" if filters.text else "",
    ]
    return "；".join(s for s in said if s) or "无"


def _several(name: str, values: tuple[str, ...]) -> str:
    return f"{name}：{'、'.join(values)}" if values else ""


def _between(name: str, low: float | None, high: float | None, unit: str) -> str:
    if low is None and high is None:
        return ""
    if low is not None and high is not None:
        return f"{name} {low:,.12g}—{high:,.12g} {unit}"
    return (
        f"{name}不低于 {low:,.12g} {unit}"
        if low is not None
        else f"{name}不高于 {high:,.12g} {unit}"
    )


def stamp_in_words(shortlist: Shortlist) -> str:
    """What a list was made from: receipt, model, data."""
    return (
        f"清单编号 {shortlist.id or '未留存'}　模型 {shortlist.model}　数据 {shortlist.data[:16]}"
    )


def pool_in_words(shortlist: Shortlist) -> str:
    """How many firms were looked at."""
    return f"候选企业 {shortlist.pool:,} 家（企业库共 {shortlist.total:,} 家）"


def town_pairs(town: Town) -> list[tuple[str, str]]:
    """A town's profile as name and value, without its chain."""
    products = "、".join(
        p.term if p.weight == 1 else f"{p.term}（权重 {p.weight:g}）" for p in town.products
    )
    return [
        ("名称", town.name),
        ("编号", town.id),
        ("所在地", "".join(dict.fromkeys(p for p in (town.province, town.city, town.county) if p))),
        ("级别", town.level),
        ("产业类别", town.sector),
        ("主要产品", products),
        ("行业代码", industries_in_words(town.industries)),
        ("区位", "、".join(town.regions)),
        ("不列入名单的地区", "、".join(town.exclude_regions)),
        ("已在镇内的企业", "、".join(town.anchors)),
    ]


def industries_in_words(codes: tuple[str, ...]) -> str:
    """Industry codes with their names."""
    tree = _tree()
    return "、".join(f"{tree.name(c)}（{c}）" if c in tree else c for c in codes)


def segment_row(segment: ChainSegment) -> tuple[str, str, str, str, str]:
    """A chain segment as 环节, 位置, 需求, 关键词, 行业."""
    need = NEED_NAMES[segment.need] if segment.need else "待填"
    return (
        segment.segment, ROLE_NAMES[segment.role], need, "、".join(segment.terms),
        industries_in_words(segment.industries),
    )  # fmt: skip


# files ---------------------------------------------------------------------------------------


def is_risky(text: str) -> bool:
    """Whether a spreadsheet could take a text for a formula."""
    return _RISKY.match(text) is not None


def printable(text: str) -> str:
    """A text without the characters that XML and CSV readers refuse."""
    return _UNPRINTABLE.sub("", text)


def csv_text(shortlist: Shortlist) -> str:
    """A list as CSV with BOM and CRLF; text that looks like a formula gets an apostrophe."""
    text = io.StringIO(newline="")
    out = csv.writer(text, lineterminator="\r\n")
    out.writerow([FIRM_ID, *(c.heading for c in LIST_COLUMNS)])
    for match in shortlist.matches:
        values = (match.firm.firm_id, *(c.value(match) for c in LIST_COLUMNS))
        out.writerow([csv_cell(v) for v in values])
    return "\ufeff" + text.getvalue()


def write_csv(shortlist: Shortlist, target: Path | BinaryIO) -> None:
    """Write a list as CSV in UTF-8, to a file or to a stream of bytes.

    Raises StorageError when the file cannot be written.
    """
    content = csv_text(shortlist).encode()
    if isinstance(target, Path):
        write_bytes(target, content)
    else:
        target.write(content)


def csv_cell(value: Value) -> str | int | float:
    """A value as CSV says it: no missing-mark, four decimals, no text that looks like a formula."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else round(value, 4)
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value)
    return f"'{text}" if is_risky(text) else text


def write_shortlist(shortlist: Shortlist, path: Path, *, on: date | None = None) -> None:
    """Write a list as the Excel workbook that is handed to a leader; `on` is the day it bears.

    Raises StorageError when the file cannot be written; what was there before is then untouched.
    """
    from zyz_match.workbook import shortlist_workbook  # XlsxWriter loads only where it is needed

    write_bytes(path, shortlist_workbook(shortlist, on or today()))


# JSON ----------------------------------------------------------------------------------------


def as_json(value: Any) -> Any:
    """Domain objects as plain JSON values: no NaN, dates as ISO text, tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): as_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(v) for v in value]
    return value if isinstance(value, str | int | bool | type(None)) else str(value)


def shortlist_json(shortlist: Shortlist) -> dict[str, Any]:
    """A list for machines; the town is named, its profile left out."""
    values: dict[str, Any] = as_json(shortlist)
    return values | {"town": town_ref(shortlist.town)}


def town_ref(town: Town) -> dict[str, str]:
    """A town's id and name."""
    return {"id": town.id, "name": town.name}
