"""A raw table becomes the typed firm table, column by column, and a schema has the last word."""

import math
import re
from collections.abc import Callable, Iterable, Sequence

from zyz_match.domain import MARKS, Col, Standing
from zyz_match.industry import IndustryTree
from zyz_match.region import COUNTY, Divisions
from zyz_match.storage import values, words
from zyz_match.storage.cells import Notes, parse_column, plain
from zyz_match.storage.columns import NOT_MATCHED, Field, find_field, split_unit
from zyz_match.storage.draft import Draft
from zyz_match.storage.raw import RawTable
from zyz_match.text import name_key, same_name

_GUESSED = "“{h}”有 {n} 行没有写明单位，按万元计；如不是万元，请在列名中写明，如“{h}（元）”"
_LATIN_COMMA = re.compile(r"[;；\n\t|]+|(?<![A-Za-z.])[,，、]+")


def build(
    raw: RawTable, fields: dict[int, Field], notes: Notes, tick: Callable[[int, int], None]
) -> Draft:
    """All columns of `Col` from a raw table; faults go to the notes."""
    draft = Draft(raw, fields, notes)
    for row, fault in raw.faults.items():
        notes.reject(row, fault)
    steps = (
        _names,
        _texts,
        _codes,
        _standing,
        _money,
        _counts,
        _founded,
        _industry,
        _places,
        _marks,
        _keys,
    )
    for number, step in enumerate(steps, start=1):
        step(draft)
        tick(number, len(steps))
    for at, meaning in fields.items():
        if isinstance(meaning.target, Col):
            raw.columns[at].clear()  # a large file holds each text only as long as needed
    return draft


def _names(draft: Draft) -> None:
    found, _ = draft.pick(Col.NAME)
    for row, name in enumerate(found):
        if name.startswith(NOT_MATCHED):
            draft.notes.reject(row, "查询平台未匹配到相关企业；请核对企业名称后重新查询")
    draft.columns[Col.NAME] = plain(found)


def _texts(draft: Draft) -> None:
    for col in (Col.STATUS, Col.KIND, Col.SCOPE, Col.WEBSITE, Col.LISTING, Col.SOURCE):
        draft.columns[col] = plain(draft.pick(col)[0])
    size, header = draft.pick(Col.SIZE)
    draft.columns[Col.SIZE] = parse_column(plain(size), _size, "", header, draft.notes)
    products, header = draft.pick(Col.PRODUCTS, lines=True)
    draft.columns[Col.PRODUCTS] = parse_column(plain(products), _products, "", header, draft.notes)
    former, header = draft.pick(Col.FORMER_NAMES, lines=True)
    draft.columns[Col.FORMER_NAMES] = parse_column(plain(former), _former, "", header, draft.notes)


def _size(text: str) -> str:
    sizes = [s for s in ("大型", "中型", "小型", "微型") if s in text]
    return sizes[0] if len(sizes) == 1 else text


def _products(text: str) -> str:
    return "；".join(words.split_list(text, ";；、|\n\t"))


def _former(text: str) -> str:
    parts = (p.strip() for p in _LATIN_COMMA.split(text))
    return "；".join(dict.fromkeys(p for p in parts if not values.is_missing(p)))


def _codes(draft: Draft) -> None:
    found, header = draft.pick(Col.USCC)
    draft.columns[Col.USCC] = parse_column(found, words.parse_uscc, "", header, draft.notes)
    found, header = draft.pick(Col.STOCK_CODE)
    none = ("", "")
    parsed = parse_column(found, words.parse_stock_code, none, header, draft.notes)
    draft.columns[Col.STOCK_CODE] = [code for code, _ in parsed]
    _remarks(draft, (r for _, r in parsed), header)


def _remarks(draft: Draft, remarks: Iterable[str], header: str) -> None:
    for remark in remarks:
        if remark:
            draft.notes.remark(f"“{header}”有 {{n}} 行：{remark}")


def _standing(draft: Draft) -> None:
    texts = [str(t) for t in draft.columns[Col.STATUS]]
    known = {t: words.parse_status(t) if t else Standing.UNKNOWN for t in set(texts)}
    for text in texts:
        if text and known[text] is Standing.UNKNOWN:
            draft.notes.remark("有 {n} 行的登记状态不认识，按“未知”处理", example=text)
    draft.columns[Col.STANDING] = [known[t].value for t in texts]


# numbers ----------------------------------------------------------------------------------------


def _money(draft: Draft) -> None:
    written: list[str] = []
    for col in (Col.CAPITAL, Col.CAPITAL_PAID, Col.REVENUE):
        texts, header = draft.pick(col)
        if col is Col.CAPITAL:
            original, _ = draft.pick(Col.CAPITAL_TEXT)
            written = [a or b for a, b in zip(plain(original), plain(texts), strict=True)]
            draft.columns[Col.CAPITAL_TEXT] = list(written)
            if not header:
                texts, header = original, "注册资本"
        draft.columns[col] = _money_column(draft, texts, header, col)


def _money_column(draft: Draft, texts: list[str], header: str, col: Col) -> list[float]:
    unit, currency = values.header_unit(split_unit(header)[1])
    if header.strip().lower() == col.value:
        unit = 1e4  # our own column name: its unit is fixed
    guessed: set[str] = set()
    foreign: set[str] = set()

    def parse(text: str) -> float:
        try:
            value, guess = values.parse_money(text, unit, currency)
        except values.UnknownCurrency:
            foreign.add(text)
            return math.nan
        if guess:
            guessed.add(text)
        return value

    out = parse_column(texts, parse, math.nan, header, draft.notes)
    for text in texts if guessed or foreign else ():
        if text in guessed:
            draft.notes.remark(_GUESSED.replace("{h}", header))
        elif text in foreign:
            draft.notes.remark(f"“{header}”有 {{n}} 行的币种没有汇率，金额按缺失处理", example=text)
    return out


def _counts(draft: Draft) -> None:
    for col in (Col.EMPLOYEES, Col.PATENTS):
        texts, header = draft.pick(col)
        parsed = parse_column(texts, values.parse_count, math.nan, header, draft.notes)
        draft.columns[col] = parsed


def _founded(draft: Draft) -> None:
    texts, header = draft.pick(Col.FOUNDED)
    parsed = parse_column(
        [t if any(c.isdigit() for c in t) or "年" in t else "" if "至" in t else t for t in texts],
        values.parse_date, ("", ""), header, draft.notes,
    )  # fmt: skip
    draft.columns[Col.FOUNDED] = [found for found, _ in parsed]
    _remarks(draft, (r for _, r in parsed), header)


# industry and place -----------------------------------------------------------------------------


def _industry(draft: Draft) -> None:
    found = draft.positions(Col.INDUSTRY_TEXT)
    if not found:
        draft.columns[Col.INDUSTRY] = [""] * draft.raw.rows
        draft.columns[Col.INDUSTRY_TEXT] = [""] * draft.raw.rows
        return
    tree = IndustryTree.shipped()
    known: dict[tuple[str, ...], tuple[str, str]] = {}
    out = []
    for texts in zip(*(plain(draft.cleaned(p)) for p in found), strict=True):
        if texts not in known:
            code = next((c for w in texts if w and (c := tree.find(w))), "")
            known[texts] = (code, _wording(texts))
        out.append(known[texts])
    draft.columns[Col.INDUSTRY] = [code for code, _ in out]
    draft.columns[Col.INDUSTRY_TEXT] = [text for _, text in out]


def _wording(texts: Sequence[str]) -> str:
    """The narrowest industry as written, a name rather than a mere code."""
    filled = [t for t in texts if t]
    return next((t for t in filled if not t.isascii()), filled[0] if filled else "")


def _places(draft: Draft) -> None:
    texts = [plain(draft.pick(c)[0]) for c in (Col.PROVINCE, Col.CITY, Col.COUNTY, Col.ADDRESS)]
    divisions = Divisions.shipped()
    known: dict[tuple[str, str, str, str], tuple[str, str, str, str]] = {}
    out = []
    for province, city, county, address in zip(*texts, strict=True):
        key = (province, city, county, "" if city and county else address)
        if key not in known:
            known[key] = _place(divisions, *key)
        out.append(known[key])
        if known[key][3] and _unsettled(divisions, *known[key]):
            left = "".join(known[key][1:3])
            draft.notes.remark(
                "有 {n} 行的所属城市或区县与省份矛盾，或不认识，只采用能确定的部分", example=left
            )
    for at, col in enumerate((Col.PROVINCE, Col.CITY, Col.COUNTY, Col.DIVISION)):
        draft.columns[col] = [o[at] for o in out]
    draft.columns[Col.ADDRESS] = texts[3]


def _place(
    divisions: Divisions, province: str, city: str, county: str, address: str
) -> tuple[str, str, str, str]:
    """Official province, city, county and code; words that name no division stay as written."""
    if not (province or city or county or address):
        return "", "", "", ""
    found = divisions.place(province, city, county, address)
    if found is None:
        return province, city, county, ""
    official = (
        divisions.province(found.code) or province,
        divisions.city(found.code) or city,
        found.name if found.level == COUNTY else county,
    )
    return *official, found.code


def _unsettled(divisions: Divisions, province: str, city: str, county: str, code: str) -> bool:
    """Whether a city or county stayed a mere word although its province was found."""
    return bool(county and divisions[code].level != COUNTY) or bool(
        city and divisions.city(code) != city
    )


# marks and keys ---------------------------------------------------------------------------------


def _marks(draft: Draft) -> None:
    free = [plain(draft.cleaned(p)) for p in draft.positions(Col.MARKS, marks=False)]
    yes_no = [(p, plain(draft.cleaned(p))) for p in draft.positions(Col.MARKS, marks=True)]
    known: dict[tuple[str, ...], str] = {}

    def resolve(cells: tuple[str, ...]) -> str:
        found = {m for text in cells[: len(free)] for m in words.find_marks(text)}
        for (position, _), text in zip(yes_no, cells[len(free) :], strict=True):
            if words.says_yes(text):
                found |= set(words.find_marks(text)) or {draft.fields[position].mark}
        return "；".join(m for m in MARKS if m in found)

    columns = [*free, *(c for _, c in yes_no)]
    out = []
    for cells in zip(*columns, strict=True) if columns else [()] * draft.raw.rows:
        if cells not in known:
            known[cells] = resolve(cells)
        out.append(known[cells])
    draft.columns[Col.MARKS] = out


def _keys(draft: Draft) -> None:
    """Firm key: 统一社会信用代码, else 证券代码, else the file's own id, else the name's key."""
    names = [str(n) for n in draft.columns[Col.NAME]]
    own = draft.positions(Col.FIRM_ID)
    given = plain(draft.cleaned(own[0])) if own else [""] * len(names)
    codes = [
        str(u or s)
        for u, s in zip(draft.columns[Col.USCC], draft.columns[Col.STOCK_CODE], strict=True)
    ]
    plain_keys = [
        name_key(n) if n and not (c or g) else ""
        for n, c, g in zip(names, codes, given, strict=True)
    ]
    apart = _apart(names, plain_keys)
    keys = [
        c or g or apart.get(n, k)
        for c, g, k, n in zip(codes, given, plain_keys, names, strict=True)
    ]
    draft.columns[Col.FIRM_ID] = keys
    draft.written = [g or c or n for g, c, n in zip(given, codes, names, strict=True)]
    for row, (name, key) in enumerate(zip(names, keys, strict=True)):
        if key and not name:
            draft.notes.remark("{n} 行没有企业名称，新企业先以代码为名，请补上", example=key)
        if not key and row not in draft.notes.reasons:
            draft.notes.reject(
                row, "没有企业名称，也没有统一社会信用代码或证券代码，无法识别是哪家企业"
            )


def _apart(names: list[str], keys: list[str]) -> dict[str, str]:
    """Keys that keep case and spaces, for names that only those tell from one another."""
    spelt: dict[str, dict[str, str]] = {}
    if len({k for k in keys if k}) == len({n for n, k in zip(names, keys, strict=True) if k}):
        return {}
    for name, key in zip(names, keys, strict=True):
        if key:
            spelt.setdefault(key, {})[name] = same_name(name)
    return {
        name: same
        for variants in spelt.values() if len(set(variants.values())) > 1
        for name, same in variants.items()
    }  # fmt: skip


def meanings(headers: Sequence[str]) -> dict[int, Field]:
    """What each column means; columns without a meaning are left out."""
    found = ((i, find_field(h)) for i, h in enumerate(headers))
    return {i: f for i, f in found if f is not None}
