"""A stored firm and a newer row about it become one: missing never erases, vague never blurs."""

from typing import Any

from zyz_match.domain import Col, Standing
from zyz_match.industry import IndustryTree
from zyz_match.storage.rows import COLUMNS, Record

_PLACE = (Col.PROVINCE, Col.CITY, Col.COUNTY)
_OWN_RULE = frozenset(
    (Col.FIRM_ID, Col.STANDING, *_PLACE, Col.DIVISION, Col.INDUSTRY, Col.INDUSTRY_TEXT)
)
_PLAIN = tuple(c for c in COLUMNS if c not in _OWN_RULE)


def merge(old: Record, new: Record) -> Record:
    """The firm after the newer row: a present new value wins, the firm keeps its id."""
    merged = dict(old)
    for column in _PLAIN:
        if _present(new[column]):
            merged[column] = new[column]
    _merge_standing(merged, new)
    _merge_industry(merged, old, new)
    _merge_place(merged, old, new)
    return merged


def _present(value: Any) -> bool:
    return value is not None and value != ""


def _merge_standing(merged: Record, new: Record) -> None:
    """An unknown standing says nothing, unless it goes with a word of its own."""
    said = new[Col.STANDING] not in ("", Standing.UNKNOWN) or new[Col.STATUS]
    if said and new[Col.STANDING]:
        merged[Col.STANDING] = new[Col.STANDING]


def _merge_industry(merged: Record, old: Record, new: Record) -> None:
    """A coarser code of the same branch takes nothing away."""
    before, now = str(old[Col.INDUSTRY]), str(new[Col.INDUSTRY])
    tree = IndustryTree.shipped()
    coarser = before != now and before in tree and now in tree.ancestors(before)
    for column in (Col.INDUSTRY, Col.INDUSTRY_TEXT):
        if _present(new[column]) and not coarser:
            merged[column] = new[column]


def _merge_place(merged: Record, old: Record, new: Record) -> None:
    """Province, city, county and code are one place: never half of one and half of another."""
    if any(new[c] and old[c] and new[c] != old[c] for c in _PLACE):
        merged.update({c: new[c] for c in (*_PLACE, Col.DIVISION)})
        return
    for column in _PLACE:
        merged[column] = new[column] or old[column]
    deeper = _depth(new) >= _depth(old)
    first, second = (new, old) if deeper else (old, new)
    merged[Col.DIVISION] = first[Col.DIVISION] or second[Col.DIVISION]


def _depth(record: Record) -> int:
    return max((i + 1 for i, c in enumerate(_PLACE) if record[c]), default=0)
