"""Who may be listed: standing, anchors, excluded regions, and the user's filters."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from zyz_match.domain import MARKS, Col, Filters, Town
from zyz_match.errors import InputError
from zyz_match.industry import IndustryTree
from zyz_match.matching.index import Index
from zyz_match.matching.segment import Mask, Whole
from zyz_match.region import Divisions
from zyz_match.text import pattern_of

REGIONS = 16  # sets of excluded regions whose firms are kept; a request may name any


def excluded_because(index: Index, town: Town, row: int, existing: Collection[str] = ()) -> str:
    """Chinese: why a firm can never be on a town's list, "" when it can."""
    (record,) = index.records([row])
    if not index.active[row]:
        return f"登记状态为“{record[Col.STATUS]}”，不再列为招商对象。"
    if record[Col.FIRM_ID] in town.anchors or record[Col.FIRM_ID] in existing:
        return "企业已在该专业镇，不列为招商对象。"
    for word in town.exclude_regions:
        if _within(index, (word,))[row]:
            return f"企业注册在“{word}”，该镇不把本区域企业列为招商对象。"
    return ""


def candidates(index: Index, town: Town, existing: Collection[str] = ()) -> Mask:
    """Firms that may be listed for a town: active, not there already, not of an excluded region."""
    allowed = index.active.copy()
    allowed[list(index.rows_of({*town.anchors, *existing}))] = False
    if town.exclude_regions:
        outside = index.recent(
            "outside", town.exclude_regions, lambda: ~_within(index, town.exclude_regions), REGIONS
        )
        allowed &= outside
    return allowed


def _within(index: Index, words: Sequence[str]) -> Mask:
    """Firms registered in one of the regions: by division, else by the word as written."""
    places = Divisions.shipped()
    found = [places.find(w) for w in words]
    inside = np.array(
        [
            any(d and code and places.contains(d.code, code) for d in found)
            for code in index.divisions
        ],
        dtype=bool,
    )
    by_word = index.frame[Col.PROVINCE].isin(words) | index.frame[Col.CITY].isin(words)
    return np.asarray(_of_labels(inside, index.division_of) | by_word.to_numpy(bool))


def filter_mask(index: Index, filters: Filters) -> Mask:
    """Firms that pass all filters; a number filter passes only firms whose number is known."""
    frame = index.frame
    mask: Mask = np.ones(index.size, dtype=bool)
    if filters.provinces or filters.cities:
        _known_places((*filters.provinces, *filters.cities), index)
    for words in (filters.provinces, filters.cities):
        if words:
            mask &= _within(index, words)
    if filters.industries:
        mask &= _in_industries(index, filters.industries)
    for column, low, high in (
        (Col.CAPITAL, filters.capital_min, filters.capital_max),
        (Col.EMPLOYEES, filters.employees_min, filters.employees_max),
    ):
        if low is not None:
            mask &= frame[column].to_numpy(np.float64) >= low
        if high is not None:
            mask &= frame[column].to_numpy(np.float64) <= high
    if filters.marks:
        unknown = sorted(set(filters.marks) - set(MARKS))
        if unknown:
            raise InputError(f"不认识的资质：{'、'.join(unknown)}。可用：{'、'.join(MARKS)}。")
        mask &= _any_of(frame[Col.MARKS], filters.marks)
    if filters.listed is not None:
        mask &= (frame[Col.STOCK_CODE] != "").to_numpy(bool) == filters.listed
    if filters.statuses:
        mask &= frame[Col.STATUS].isin(filters.statuses).to_numpy(bool)
    if filters.text:
        mask &= _with_text(index, filters.text)
    return mask


def _known_places(words: Sequence[str], index: Index) -> None:
    written = index.kept(
        ("places",), lambda: {*index.frame[Col.PROVINCE].unique(), *index.frame[Col.CITY].unique()}
    )
    unknown = [w for w in words if w not in written and Divisions.shipped().find(w) is None]
    if unknown:
        raise InputError(f"不认识的地区：{'、'.join(unknown)}。请写全称，如“浙江省”“晋城市”。")


def _in_industries(index: Index, asked: Sequence[str]) -> Mask:
    tree = IndustryTree.shipped()
    codes = {a: tree.find(a) for a in asked}
    unknown = [a for a, c in codes.items() if c is None and a not in index.industries]
    if unknown:
        raise InputError(
            f"不认识的行业：{'、'.join(unknown)}。请写国标行业代码或名称，如“3391”“黑色金属铸造”。"
        )
    wanted = {*asked, *(c for c in codes.values() if c)}
    inside = [
        label in wanted or (label in tree and not wanted.isdisjoint(tree.ancestors(label)))
        for label in index.industries
    ]
    return _of_labels(np.array(inside, dtype=bool), index.industry_of)


def _of_labels(passing: Mask, labels: Whole) -> Mask:
    return np.asarray(passing[labels])


def _any_of(texts: pd.Series, wanted: Collection[str]) -> Mask:
    """Texts that name one of the wanted words; each distinct text is looked at once."""
    numbers, distinct = pd.factorize(texts)
    passing = np.array([not set(t.split("；")).isdisjoint(wanted) for t in distinct], dtype=bool)
    return np.asarray(passing[numbers])


def _with_text(index: Index, text: str) -> Mask:
    """Firms with a text in their name, scope or products, in whatever spelling of its signs."""
    mask, pattern = np.zeros(index.size, dtype=bool), pattern_of(text)
    for column in (Col.NAME, Col.SCOPE, Col.PRODUCTS):
        mask |= index.frame[column].str.contains(pattern).to_numpy(bool)
    return mask
