"""Checks hand-made sample tables of firms against two independent tables.

    python tools/check_sample.py SAMPLE.csv [SAMPLE.csv ...] LISTED.csv GBT4754.csv

`LISTED.csv` names listed firms (企业名称, 证券代码, 所属省份, 主营产品), `GBT4754.csv` is the
industry classification (code, name, parent, level). Prints a Markdown summary for data/README.md
and the findings behind it; exits 1 when a row contradicts the tables or another row.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

NAME: Final = "企业名称"
CODE: Final = "证券代码"
PROVINCE: Final = "所属省份"
CITY: Final = "所属城市"
INDUSTRY: Final = "国标行业小类"
PRODUCTS: Final = "主营产品"
SOURCE: Final = "资料来源"
TOWNS: Final = "相关专业镇"
REQUIRED: Final = (NAME, CODE, PROVINCE, CITY, INDUSTRY, PRODUCTS, SOURCE)

SHARED_CHARACTERS: Final = 2
LOW_OVERLAP: Final = 0.4

# Code -> (former name, present name). Only renames that leave the two names nothing in common
# belong here; every other rename is recognised by the characters the names share.
KNOWN_RENAMES: Final[Mapping[str, tuple[str, str]]] = {
    "000048": ("深圳市康达尔(集团)股份有限公司", "深圳市京基智农时代股份有限公司"),
    "000530": ("大连冷冻机股份有限公司", "冰山冷热科技股份有限公司"),
    "002374": ("山东丽鹏股份有限公司", "山东中锐产业发展股份有限公司"),
    "600073": ("上海梅林正广和股份有限公司", "上海光明肉业集团股份有限公司"),
    "600329": ("天津中新药业集团股份有限公司", "津药达仁堂集团股份有限公司"),
    "603477": ("四川振静股份有限公司", "乐山巨星农牧股份有限公司"),
}

# The listed table gives these cities a line of their own and shortens one province.
PROVINCE_OF: Final[Mapping[str, str]] = {
    "深圳": "广东",
    "宁波": "浙江",
    "厦门": "福建",
    "青岛": "山东",
    "大连": "辽宁",
    "内蒙": "内蒙古",
}

_FORM: Final = re.compile(r"股份有限公司|有限责任公司|有限公司|股份公司|集团|控股")
_PLACE_SUFFIX: Final = re.compile(r"(?:省|市|(?:壮族|回族|维吾尔)?自治区|(?:.{1,4}族)*自治州)$")
_SEPARATORS: Final = re.compile(r"[；;、]")
_SIX_DIGITS: Final = re.compile(r"\d{6}")


class SampleFileError(ValueError):
    """A table lacks a column that the check needs."""


@dataclass
class Findings:
    """What the check found, in the order of the rows."""

    rows: int = 0
    with_code: int = 0
    matched: int = 0
    renamed: list[str] = field(default_factory=list)
    unknown_codes: list[str] = field(default_factory=list)
    missing_codes: list[str] = field(default_factory=list)
    provinces_agree: int = 0
    provinces_differ: list[str] = field(default_factory=list)
    with_industry: int = 0
    words: int = 0
    words_found: int = 0
    overlaps: list[float] = field(default_factory=list)
    low_overlaps: list[str] = field(default_factory=list)
    towns: Counter[str] = field(default_factory=Counter)
    without_town: int = 0
    contradictions: list[str] = field(default_factory=list)


def read_table(path: Path, required: Iterable[str]) -> list[dict[str, str]]:
    """Reads a UTF-8 CSV as stripped rows; refuses one that lacks a required column."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle, strict=True)
        missing = [name for name in required if name not in (reader.fieldnames or [])]
        if missing:
            raise SampleFileError(f"{path}: no column {', '.join(missing)}")
        return [
            {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
            for row in reader
        ]


def industry_classes(path: Path) -> frozenset[str]:
    """The four-digit classes of the classification table."""
    rows = read_table(path, ("code", "level"))
    return frozenset(row["code"] for row in rows if row["level"] == "4")


def plain_name(name: str) -> str:
    """A firm's name with half-width brackets and no blanks."""
    return re.sub(r"\s", "", name).replace("（", "(").replace("）", ")")


def short_place(place: str) -> str:
    """A province or city without the word that says which it is: 广西壮族自治区 is 广西."""
    return _PLACE_SUFFIX.sub("", place)


def shared_characters(name: str, other: str, places: Iterable[str]) -> int:
    """How many characters two names share beside place, legal form and brackets."""
    shared = Counter(_core(name, places)) & Counter(_core(other, places))
    return shared.total()


def _core(name: str, places: Iterable[str]) -> str:
    core = _FORM.sub("", plain_name(name))
    for place in places:
        if place:
            core = core.replace(place, "")
    return re.sub(r"[()省市]", "", core)


def product_words(text: str) -> list[str]:
    """The words of a product list."""
    return [word.strip() for word in _SEPARATORS.split(text) if word.strip()]


def character_overlap(text: str, other: str) -> float:
    """The share of the first text's different characters that the second also uses."""
    characters = set("".join(product_words(text)))
    return len(characters & set(other)) / len(characters) if characters else 0.0


def check(
    rows: Sequence[Mapping[str, str]],
    listed: Sequence[Mapping[str, str]],
    industries: frozenset[str],
) -> Findings:
    """Holds every row against the other rows, the listed firms and the classification."""
    found = Findings(rows=len(rows))
    by_code = {row[CODE]: row for row in listed if row[CODE]}
    by_name = {plain_name(row[NAME]): row for row in listed}
    _check_unique(rows, found)
    for row in rows:
        _check_industry(row, industries, found)
        _count_towns(row, found)
        if row[CODE]:
            _check_code(row, by_code, found)
        elif plain_name(row[NAME]) in by_name:
            found.missing_codes.append(row[NAME])
    return found


def _check_unique(rows: Sequence[Mapping[str, str]], found: Findings) -> None:
    names = Counter(plain_name(row[NAME]) for row in rows)
    codes: dict[str, set[str]] = {}
    for row in rows:
        codes.setdefault(row[CODE], set()).add(plain_name(row[NAME]))
    found.contradictions += [
        f"{name or 'an empty name'} stands in {count} rows"
        for name, count in names.items()
        if count > 1 or not name
    ]
    found.contradictions += [
        f"code {code} is given to {'、'.join(sorted(firms))}"
        for code, firms in codes.items()
        if code and len(firms) > 1
    ]


def _check_industry(row: Mapping[str, str], industries: frozenset[str], found: Findings) -> None:
    if not row[INDUSTRY]:
        return
    found.with_industry += 1
    if row[INDUSTRY] not in industries:
        found.contradictions.append(f"{row[NAME]}: {row[INDUSTRY]} is no class of GB/T 4754-2017")


def _count_towns(row: Mapping[str, str], found: Findings) -> None:
    towns = product_words(row.get(TOWNS, ""))
    found.towns.update(towns)
    found.without_town += TOWNS in row and not towns


def _check_code(
    row: Mapping[str, str], by_code: Mapping[str, Mapping[str, str]], found: Findings
) -> None:
    found.with_code += 1
    label = f"{row[NAME]} ({row[CODE]})"
    if not _SIX_DIGITS.fullmatch(row[CODE]):
        found.contradictions.append(f"{label}: the code is not six digits")
        return
    official = by_code.get(row[CODE])
    if official is None:
        found.unknown_codes.append(label)
    elif _same_firm(row, official, found):
        _check_province(row, official, found)
        _check_products(row, official, found)


def _same_firm(row: Mapping[str, str], official: Mapping[str, str], found: Findings) -> bool:
    ours, theirs = plain_name(row[NAME]), plain_name(official[NAME])
    if ours == theirs:
        found.matched += 1
        return True
    label = f"{row[NAME]} ({row[CODE]}): {official[NAME]} in the listed table"
    places = (short_place(row[PROVINCE]), short_place(row[CITY]))
    known = (theirs, ours) == tuple(map(plain_name, KNOWN_RENAMES.get(row[CODE], ())))
    if known or shared_characters(ours, theirs, places) >= SHARED_CHARACTERS:
        found.renamed.append(label)
        return True
    found.contradictions.append(label)
    return False


def _check_province(row: Mapping[str, str], official: Mapping[str, str], found: Findings) -> None:
    theirs = official[PROVINCE]
    if not row[PROVINCE] or not theirs:
        return
    if short_place(row[PROVINCE]) == short_place(PROVINCE_OF.get(theirs, theirs)):
        found.provinces_agree += 1
    else:
        found.provinces_differ.append(
            f"{row[NAME]} ({row[CODE]}): {row[PROVINCE]}, {theirs} in the listed table"
        )


def _check_products(row: Mapping[str, str], official: Mapping[str, str], found: Findings) -> None:
    words = product_words(row[PRODUCTS])
    overlap = character_overlap(row[PRODUCTS], official[PRODUCTS])
    found.words += len(words)
    found.words_found += sum(word in official[PRODUCTS] for word in words)
    found.overlaps.append(overlap)
    if overlap < LOW_OVERLAP:
        found.low_overlaps.append(f"{row[NAME]} ({row[CODE]}): {overlap:.2f}")


def summary(found: Findings) -> str:
    """The findings as a Markdown table."""
    mean = sum(found.overlaps) / len(found.overlaps) if found.overlaps else 0.0
    lines: list[tuple[str, object]] = [
        ("企业数", found.rows),
        ("有证券代码", found.with_code),
        ("　名称与上市公司表一致", found.matched),
        ("　已更名（代码相同）", len(found.renamed)),
        ("　上市公司表中没有该代码", len(found.unknown_codes)),
        ("省份与上市公司表一致", _share(found.provinces_agree, len(found.provinces_differ))),
        ("有国标行业小类", found.with_industry),
        ("产品词原样见于上市公司产品文本", _share(found.words_found, found.words, total=True)),
        ("产品用字见于上市公司产品文本（平均）", f"{mean:.0%}"),
        *((f"相关企业：{town}", count) for town, count in sorted(found.towns.items())),
    ]
    if found.towns:
        lines.append(("不相关企业（反例）", found.without_town))
    lines.append(("矛盾", len(found.contradictions)))
    return "\n".join(["| 核对项 | 结果 |", "|---|---|", *(f"| {k} | {v} |" for k, v in lines)])


def _share(part: int, rest: int, *, total: bool = False) -> str:
    whole = rest if total else part + rest
    return f"{part}/{whole}" + (f"（{part / whole:.0%}）" if whole else "")


def details(found: Findings) -> str:
    """The rows behind the numbers, one list a finding."""
    lists = {
        "已更名": found.renamed,
        "上市公司表中没有该代码": found.unknown_codes,
        "上市公司表中有此名称，样例未填代码": found.missing_codes,
        "省份不一致": found.provinces_differ,
        f"产品用字重合低于 {LOW_OVERLAP:.0%}": found.low_overlaps,
        "矛盾": found.contradictions,
    }
    return "\n\n".join(
        "\n".join([f"{title}：", *(f"- {item}" for item in items)])
        for title, items in lists.items()
        if items
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the check; 0 when nothing contradicts, else 1."""
    parser = argparse.ArgumentParser(description="Checks sample tables of firms.")
    parser.add_argument("samples", nargs="+", type=Path, help="sample tables of firms")
    parser.add_argument("listed", type=Path, help="table of listed firms")
    parser.add_argument("industries", type=Path, help="table of GB/T 4754-2017")
    options = parser.parse_args(arguments)
    try:
        rows = [row for path in options.samples for row in read_table(path, REQUIRED)]
        listed = read_table(options.listed, (NAME, CODE, PROVINCE, PRODUCTS))
        found = check(rows, listed, industry_classes(options.industries))
    except (OSError, UnicodeDecodeError, csv.Error, SampleFileError) as error:
        parser.error(str(error))
    print(summary(found))
    if text := details(found):
        print(f"\n{text}")
    return 1 if found.contradictions else 0


if __name__ == "__main__":
    sys.exit(main())
