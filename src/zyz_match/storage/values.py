"""One cell at a time, the cells that are numbers: counts, money, dates; what is missing.

Every parser is total: it returns a value or raises BadValue with a Chinese reason, for any text.
"""

import math
import re
import unicodedata
from datetime import date, timedelta

from zyz_match.days import today
from zyz_match.text import normalise

LONGEST_TEXT = 32_767  # what an Excel cell can hold
LARGEST_MONEY = 1e12  # 10,000 CNY
LARGEST_COUNT = 1e7
FIRST_DATE = date(1800, 1, 1)

# 10,000 units of foreign money in 10,000 CNY: PBoC central parity rates of 2023-12-29
RATES = {"USD": 7.0827, "EUR": 7.8592, "JPY": 0.050213, "HKD": 0.90622, "GBP": 9.0411}

_MISSING = frozenset(
    [
        "-",
        "--",
        "---",
        "—",
        "——",
        "–",
        "―",
        "/",
        "\\",
        "_",
        ".",
        "·",
        "空",
        "无",
        "暂无",
        "未知",
        "未公示",
        "不公示",
        "企业选择不公示",
        "选择不公示",
        "未披露",
        "无需显示",
        "不详",
        "n/a",
        "na",
        "#n/a",
        "null",
        "none",
        "nan.",
    ]
)


class BadValue(ValueError):
    """A cell whose content cannot be believed; the message is the Chinese reason."""


class NumberCell(str):
    """The text of a cell that the spreadsheet holds as a number, not as text.

    It equals no plain text, so that a cache keeps the two apart.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NumberCell) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((NumberCell, str.__hash__(self)))


def is_missing(text: str) -> bool:
    """Whether a cell says that nothing is known."""
    return len(text) < 8 and (not text or text.isspace() or normalise(text).casefold() in _MISSING)


def _compact(text: str) -> str:
    return re.sub(r"[\s,，']", "", unicodedata.normalize("NFKC", text))


# numbers ----------------------------------------------------------------------------------------

_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?")


def parse_number(text: str) -> float:
    """A finite number in plain or scientific writing."""
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise BadValue("不是有限的数")
    if not _PLAIN.fullmatch(text) or not text.isascii():
        raise BadValue("不是数字")
    value = float(text)
    if not math.isfinite(value):
        raise BadValue("数值过大")
    return value


def parse_count(text: str) -> float:
    """A whole, non-negative number such as `1,234人`."""
    value = parse_number(_compact(text).rstrip("人名项件个"))
    if value < 0:
        raise BadValue("不能为负数")
    if value > LARGEST_COUNT:
        raise BadValue("数值过大，超出合理范围")
    if value != int(value):
        raise BadValue("应为整数")
    return value


_CURRENCIES = {
    "CNY": ("人民币", "rmb", "cny", "￥", "¥"),
    "USD": ("美元", "美金", "usd", "us$", "$"),
    "EUR": ("欧元", "eur", "€"),
    "JPY": ("日元", "日圆", "日币", "jpy"),
    "HKD": ("港元", "港币", "港圆", "hkd", "hk$"),
    "GBP": ("英镑", "gbp", "£"),
}
_WORDS = sorted(((w, c) for c, ws in _CURRENCIES.items() for w in ws), key=lambda x: -len(x[0]))
_SCALES = {"万亿": 1e12, "千亿": 1e11, "百亿": 1e10, "十亿": 1e9, "亿": 1e8, "千万": 1e7,
"百万": 1e6, "十万": 1e5,
           "万": 1e4, "千": 1e3, "百": 1e2, "": 1.0}  # fmt: skip
_MONEY = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,4})?)(万亿|千亿|百亿|十亿|亿|千万|百万|十万|万|千|百)?"
    r"(元|圆|块)?(整|正)?"
)
_FOREIGN = re.compile(
    r"([+-]?\d+\.?\d*)(亿|千万|百万|十万|万|千)?"
    r"([\u4e00-\u9fff]{0,6}(?:元|镑|法郎|盾|卢布|卢比|铢|克朗|比索|里拉|马克|先令|林吉特|币)|[a-z]{3})"
)


class UnknownCurrency(BadValue):
    """Money in a currency without a rate: the sum is unknown, the row is not wrong."""


def header_unit(text: str) -> tuple[float | None, str]:
    """Scale and currency that the brackets of a header give: `万元` -> (10000.0, "CNY")."""
    word, currency = _currency(_compact(text).casefold().replace("单位:", "").replace("单位", ""))
    if not word and currency != "CNY":
        return 1.0, currency
    match = re.fullmatch(r"(千|万|百万|亿)?(元|圆)?", word)
    if not word or not match:
        return None, currency
    return _SCALES[match[1] or ""], currency


def _currency(text: str) -> tuple[str, str]:
    """The text without its currency words, and the currency (CNY when there is none)."""
    found = "CNY"
    for word, code in _WORDS:
        if word in text:
            text, found = text.replace(word, "圆" if word.endswith(("元", "圆")) else ""), code
            break
    return text.replace("()", ""), found


def parse_money(text: str, unit: float | None = None, currency: str = "CNY") -> tuple[float, bool]:
    """Money in 10,000 CNY, and whether its unit had to be guessed (万元).

    `unit` and `currency` are those of the header, for cells that say nothing themselves.
    Raises UnknownCurrency for money without a rate, BadValue for anything else.
    """
    plain = _compact(text).casefold()
    plain = re.sub(r"^(约|折合)", "", plain)
    bare, own = _currency(plain.replace("(", "").replace(")", ""))
    match = _MONEY.fullmatch(bare)
    if not match:
        if _FOREIGN.fullmatch(plain.replace("(", "").replace(")", "")):
            raise UnknownCurrency("没有该币种的汇率")
        parse_number(bare)
        raise BadValue("不是金额")
    amount, scale, yuan, _ = match.groups()
    silent = scale is None and yuan is None
    factor = unit if silent and unit is not None else (1e4 if silent else _SCALES[scale or ""])
    code = own if own != "CNY" else currency
    value = parse_number(amount) * factor / 1e4 * RATES.get(code, 1.0)
    if value < 0:
        raise BadValue("不能为负数")
    if not value <= LARGEST_MONEY:
        raise BadValue("金额过大，超出合理范围")
    return round(value, 6), silent and unit is None


# dates ------------------------------------------------------------------------------------------

_DATE = re.compile(
    r"(\d{4})(?:[-/.](\d{1,2})[-/.](\d{1,2})|年(\d{1,2})月(\d{1,2})日?)(?:[t ]?\d{1,2}:\d{2}\S*)?"
)
_EIGHT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_MONTH = re.compile(r"(\d{4})(?:[-/.](\d{1,2})|年(?:(\d{1,2})月)?)?")
_EXCEL_START = date(1899, 12, 30)


def parse_date(text: str) -> tuple[str, str]:
    """A date as ISO text, and a remark when part of it had to be assumed ("" otherwise).

    The first date of a span (`1997-01-28 至 无固定期限`) counts; a year or month alone is read as
    its first day; a bare number in a spreadsheet is its day count.
    """
    plain = unicodedata.normalize("NFKC", text).strip().strip("'").lower()
    first = re.split(r"\s*(?:至|到|~|—|\s-\s)\s*", plain, maxsplit=1)[0].replace("自", "").strip()
    first = re.sub(r"\s*([-/.年月日])\s*", r"\1", first)
    remark = ""
    if not first.isascii() and not re.fullmatch(r"[\d年月日t:.\s-]+", first):
        raise BadValue("不是日期")
    if match := _DATE.fullmatch(first):
        parts = [p for p in match.groups() if p]
    elif match := _EIGHT.fullmatch(first.removesuffix(".0")):
        parts = list(match.groups())
    elif isinstance(text, NumberCell) and re.fullmatch(r"\d{5}(\.\d+)?", first):
        found = _EXCEL_START + timedelta(days=int(float(first)))
        return _checked(found), "按 Excel 日期序号换算"
    elif match := _MONTH.fullmatch(first):
        parts = [match[1], match[2] or match[3] or "1", "1"]
        remark = "缺月日的按首月首日计"
    else:
        raise BadValue("不是日期")
    try:
        found = date(int(parts[0]), int(parts[1]), int(parts[2]))
    except ValueError as error:
        raise BadValue("没有这一天") from error
    return _checked(found), remark


def _checked(found: date) -> str:
    if found < FIRST_DATE:
        raise BadValue("早于 1800 年")
    if found > today():
        raise BadValue("晚于今天")
    return found.isoformat()
