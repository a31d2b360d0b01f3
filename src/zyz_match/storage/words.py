"""One cell at a time, the cells that are words: codes, registry status, qualifications, lists."""

import re
import unicodedata

from stdnum.cn import uscc
from stdnum.exceptions import InvalidChecksum, InvalidLength, ValidationError

from zyz_match.domain import MARKS, Standing
from zyz_match.storage.values import BadValue, NumberCell, is_missing
from zyz_match.text import normalise

# codes ------------------------------------------------------------------------------------------

_ROUNDED = "已被 Excel 转成数值而丢失末位；请把该列设为“文本”格式后重新导出"
_QUOTED = re.compile(r'="(.*)"')


def _code(text: str) -> str:
    plain = re.sub(r"\s", "", unicodedata.normalize("NFKC", text)).upper()
    match = _QUOTED.fullmatch(plain)  # ="0001" is how some tools keep Excel from rounding
    return (match[1] if match else plain).strip("'`")


def parse_uscc(text: str) -> str:
    """A 统一社会信用代码 whose check digit holds."""
    plain = _code(text).replace("-", "")
    if isinstance(text, NumberCell) or re.fullmatch(r"\d(\.\d+)?E\+?\d+", plain):
        raise BadValue(_ROUNDED)
    try:
        if not plain.isascii():
            raise BadValue("含有不应出现的字符")
        return str(uscc.validate(plain))
    except InvalidLength as error:
        raise BadValue(f"应为 18 位，现为 {len(plain)} 位") from error
    except InvalidChecksum as error:
        if re.fullmatch(r"\d{12,15}0{3,}", plain):
            raise BadValue(_ROUNDED) from error
        wanted = uscc.calc_check_digit(plain[:17])
        raise BadValue(f"校验位不符：末位应为 {wanted}，现为 {plain[-1]}，请核对各位") from error
    except (ValidationError, ValueError) as error:
        if isinstance(error, BadValue):
            raise
        raise BadValue("含有不应出现的字符（前 8 位为数字，不用字母 I O S V Z）") from error


_MARKET = re.compile(r"(?:S[HZ]|BJ)?[.:]?(\d{6})(?:[.:]?(?:S[HZS]|BJ|NQ|OC|XSHG|XSHE))?")
_ABROAD = re.compile(r"\d{4,5}\.HK|[A-Z]{1,5}(?:\.[A-Z]{1,2})?")


def parse_stock_code(text: str) -> tuple[str, str]:
    """A 证券代码, and a remark when zeros lost by Excel were put back ("" otherwise)."""
    plain = _code(text)
    if match := _MARKET.fullmatch(plain):
        return match[1], ""
    if _ABROAD.fullmatch(plain):
        return plain, ""
    short = plain.removesuffix(".0")
    if re.fullmatch(r"0*[1-9]\d*", short) and re.fullmatch(r"00[0-3]\d{3}", short.zfill(6)):
        return short.zfill(6), "证券代码的前导零已补回"
    if isinstance(text, NumberCell):
        raise BadValue("是数值单元格，前导零可能已丢失；请把该列设为“文本”格式后重新导出")
    raise BadValue("应为 6 位数字，如 000001 或 000001.SZ")


# words ------------------------------------------------------------------------------------------

_STANDINGS: tuple[tuple[Standing, tuple[str, ...]], ...] = (
    (Standing.GONE, ("注销", "吊销", "撤销", "已注销", "已吊销", "已撤销", "被吊销", "除名", "解散",
    "已告解散",
                     "废止", "已歇业", "清算完结", "责令关闭", "已终止营业地点",
                     "不再是独立的实体")),
    (Standing.ABNORMAL, ("经营异常", "异常", "清算", "停业", "歇业", "休止活动", "破产",
    "列入经营异常")),
    (Standing.ACTIVE, ("存续", "在业", "开业", "迁入", "迁出", "在营", "在册", "正常", "仍注册",
    "登记成立",
                       "核准设立", "营业", "已开业", "设立", "迁移", "active")),
)  # fmt: skip


def parse_status(text: str) -> Standing:
    """Whether a firm with this registry status can be approached; UNKNOWN for an unknown word."""
    plain = normalise(text).casefold().replace(" ", "")
    head = re.split(r"[(,;、/|]", plain, maxsplit=1)[0]
    if "经营异常" in plain and not head.startswith(("注销", "吊销", "撤销")):
        return Standing.ABNORMAL
    for standing, words in _STANDINGS:
        if head in words:
            return standing
    for standing, words in _STANDINGS:
        if head.removesuffix("企业").removesuffix("状态").removeprefix("已") in words:
            return standing
    return Standing.UNKNOWN


_NO = frozenset(
    [
        "否",
        "无",
        "×",
        "x",
        "✗",
        "✘",
        "0",
        "0.0",
        "n",
        "no",
        "false",
        "f",
        "不是",
        "非",
        "没有",
        "未认定",
        "未入库",
        "过期",
        "已过期",
        "失效",
        "已失效",
        "撤销",
        "已撤销",
    ]
)
_SQUEEZE = re.compile(r"[\s\"'“”‘’「」()（）]+")
_MARK_WORDS: tuple[tuple[str, str], ...] = (
    ("专精特新小巨人", MARKS[0]), ("小巨人", MARKS[0]),
    ("专精特新中小企业", MARKS[1]), ("专精特新企业", MARKS[1]), ("省级专精特新", MARKS[1]),
    ("高新技术企业", MARKS[2]), ("高企", MARKS[2]),
    ("创新型中小企业", MARKS[3]), ("科技型中小企业", MARKS[4]),
)  # fmt: skip


def says_yes(text: str) -> bool:
    """Whether a qualification column marks the firm: 是, √, 有, a year; not 否, -, empty."""
    return not is_missing(text) and normalise(text).casefold() not in _NO


def find_marks(text: str) -> tuple[str, ...]:
    """The qualifications that a free text names, in the order of MARKS."""
    found = set()
    for part in re.split(r"[;,，；、|/\n]+", text):
        plain = _SQUEEZE.sub("", normalise(part))
        if plain.startswith(("非", "不是")) or plain.endswith((":否", ":无")):
            continue
        found |= {mark for word, mark in _MARK_WORDS if word in plain}
        if plain in ("专精特新", "国家级专精特新"):
            found.add(MARKS[1])
    return tuple(m for m in MARKS if m in found)


def split_list(text: str, separators: str = ";；|\n\t") -> tuple[str, ...]:
    """The parts of a cell that holds several values, without the missing and the repeated."""
    parts = (p.strip() for p in re.split(f"[{re.escape(separators)}]+", text))
    return tuple(dict.fromkeys(p for p in parts if not is_missing(p)))
