"""The same firm on several rows of one file: what agrees is merged, what contradicts is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from zyz_match.domain import Col
from zyz_match.industry import IndustryTree

_LABELS: Mapping[Col, str] = {
    Col.NAME: "企业名称", Col.USCC: "统一社会信用代码", Col.STOCK_CODE: "证券代码",
    Col.STATUS: "登记状态",
    Col.PROVINCE: "所属省份", Col.CITY: "所属城市", Col.COUNTY: "所属区县", Col.ADDRESS: "注册地址",
    Col.INDUSTRY: "行业代码", Col.INDUSTRY_TEXT: "所属行业", Col.CAPITAL: "注册资本",
    Col.CAPITAL_PAID: "实缴资本", Col.FOUNDED: "成立日期", Col.SIZE: "企业规模",
    Col.KIND: "企业类型",
    Col.EMPLOYEES: "参保人数", Col.SCOPE: "经营范围", Col.PRODUCTS: "主营产品", Col.WEBSITE: "官网",
    Col.LISTING: "上市状态", Col.REVENUE: "年营业收入", Col.PATENTS: "专利数",
}  # fmt: skip
"""The facts that must not contradict; all other columns follow from them or are lists."""

_LISTS = (Col.FORMER_NAMES, Col.MARKS)
_FOLLOWS = {
    Col.STATUS: (Col.STANDING,), Col.CAPITAL: (Col.CAPITAL_TEXT,),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Merged:
    """The outcome: changed cells of first rows, rows that went into them, rows that contradict."""

    changes: dict[int, dict[Col, Any]]  # index of a first row -> cells to set
    into: dict[int, int]  # index of a merged row -> index of its first row
    refused: dict[int, tuple[int, tuple[str, ...]]]  # index -> first row, columns that differ


def _empty(value: Any) -> bool:
    return bool(value == "" or value != value)


def merge(frame: pd.DataFrame) -> Merged:
    """Compare every later row of a firm with what is known of it from its earlier rows."""
    done = Merged({}, {}, {})
    again = frame[frame[Col.FIRM_ID].duplicated(keep=False)]
    known: dict[str, tuple[int, dict[str, Any]]] = {}
    for at, row in zip(again.index, again.to_dict("records"), strict=True):
        facts: dict[str, Any] = {str(k): v for k, v in row.items()}
        first = known.setdefault(str(facts[Col.FIRM_ID]), (int(at), facts))
        if first[0] == at:
            continue
        if differing := _contradictions(first[1], facts):
            done.refused[int(at)] = (first[0], differing)
            continue
        done.into[int(at)] = first[0]
        changes = _fill(first[1], facts)
        if changes:
            first[1].update({c.value: v for c, v in changes.items()})
            done.changes.setdefault(first[0], {}).update(changes)
    return done


def apply(frame: pd.DataFrame, merged: Merged) -> pd.DataFrame:
    """The frame with the changed cells and without the rows that are merged or refused."""
    by_column: dict[Col, dict[int, Any]] = {}
    for at, changes in merged.changes.items():
        for col, value in changes.items():
            by_column.setdefault(col, {})[at] = value
    for col, cells in by_column.items():
        frame.loc[list(cells), col.value] = list(cells.values())
    gone = [*merged.into, *merged.refused]
    return frame.drop(index=gone) if gone else frame


def _contradictions(known: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        label for c, label in _LABELS.items()
        if known[c] != new[c] and not _empty(known[c]) and not _empty(new[c])
        and not _same_place_or_industry(c, known, new)
    )  # fmt: skip


def _same_place_or_industry(col: Col, known: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """A coarser code of the same branch is no contradiction, nor its wording."""
    if col not in (Col.INDUSTRY, Col.INDUSTRY_TEXT):
        return False
    a, b = str(known[Col.INDUSTRY]), str(new[Col.INDUSTRY])
    if not (a and b):
        return False
    tree = IndustryTree.shipped()
    return a == b or a in tree.ancestors(b) or b in tree.ancestors(a)


def _fill(known: Mapping[str, Any], new: Mapping[str, Any]) -> dict[Col, Any]:
    changes: dict[Col, Any] = {}
    for col in Col:
        if col in _LISTS:
            both = "；".join(dict.fromkeys([*_parts(known[col]), *_parts(new[col])]))
            if both != known[col]:
                changes[col] = both
        elif _empty(known[col]) and not _empty(new[col]):
            changes[col] = new[col]
    for fact, others in _FOLLOWS.items():
        if fact in changes:
            changes.update({o: new[o] for o in others})
    if len(str(new[Col.DIVISION])) and str(new[Col.COUNTY]) and not known[Col.COUNTY]:
        changes[Col.DIVISION] = new[Col.DIVISION]
    return changes


def _parts(text: Any) -> list[str]:
    return [p for p in str(text).split("；") if p]
