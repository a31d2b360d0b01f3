"""Provinces, cities and counties of China: finding one by name, in an address, and how far apart.

Codes are the six digits of GB/T 2260. Cities are the prefecture level (市, 州, 地区, 盟); counties
of the four municipalities and those run by a province itself (仙桃市) hang on the province.
"""

import csv
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from zyz_match.shipped import data_folder

PROVINCE, CITY, COUNTY = "province", "city", "county"
EARTH_RADIUS_KM = 6371.0088

_RANK = {PROVINCE: 0, CITY: 1, COUNTY: 2}
_COUNTRY = ""  # scope of names that need no province before them
_MISSING = frozenset({"", "-", "--", "—", "——", "/", "\\", "0", "nan", "none", "null", "n/a", "无",
                      "暂无", "未知", "未公开", "不详"})  # fmt: skip
_NATIONS = (
    "蒙古族 蒙古 回族 藏族 维吾尔 苗族 彝族 壮族 布依族 朝鲜族 满族 侗族 瑶族 白族 土家族 "
    "哈尼族 哈萨克族 哈萨克 傣族 黎族 傈僳族 佤族 畲族 高山族 拉祜族 水族 东乡族 纳西族 景颇族 "
    "柯尔克孜族 柯尔克孜 土族 达斡尔族 仫佬族 羌族 布朗族 撒拉族 毛南族 仡佬族 锡伯族 锡伯 "
    "阿昌族 普米族 塔吉克族 塔吉克 怒族 鄂温克族 保安族 裕固族 独龙族 各族"
)
_NATION = "|".join(sorted(_NATIONS.split(), key=len, reverse=True))
_AUTONOMOUS = re.compile(rf"(?P<stem>.+?)(?:{_NATION})*自治(?P<kind>[州县旗])")
_PLAIN = re.compile(r"(?P<stem>.{2,}?)(?:地区|林区|特区|新区|[市区县盟旗])")
_PROVINCE_END = re.compile(r"(?:省|市|壮族自治区|回族自治区|维吾尔自治区|自治区|特别行政区)$")

# What a place was called, or is called among people -> its code; 县 that became 市 or 区 under the
# same stem (神木县, 萧山市) need no row here.
_FORMER: Mapping[str, str] = {
    "襄樊市": "420600", "思茅市": "530800", "思茅地区": "530800", "莱芜市": "370116",
    "大庸市": "430800", "锦西市": "211400", "哲里木盟": "150500", "伊克昭盟": "150600",
    "昭乌达盟": "150400", "克州": "653000", "博州": "652700",
    "崇文区": "110101", "宣武区": "110102", "塘沽区": "120116", "汉沽区": "120116",
    "大港区": "120116", "卢湾区": "310101", "南汇区": "310115", "闸北区": "310106",
    "滦县": "130284", "任县": "130505", "邢台县": "130503", "邯郸县": "130403",
    "大同县": "140215", "长治县": "140404", "晋城市郊区": "140525", "平鲁县": "140603",
    "伊春区": "230717", "汤旺河区": "230723", "带岭区": "230725", "金山屯区": "230751",
    "港闸区": "320613", "吴县市": "320506", "淮安县": "320803", "楚州区": "320803",
    "下城区": "330105", "江干区": "330102", "江东区": "330212", "绍兴县": "330603",
    "三山区": "340209", "芜湖县": "340210", "枞阳县": "340722", "湾里区": "360112",
    "九江县": "360404", "上饶县": "361104", "长岛县": "370614", "莱城区": "370116",
    "吉利区": "410308", "许昌县": "411003", "蒲圻市": "421281", "襄阳区": "420607",
    "株洲县": "430212", "望城县": "430112", "花县": "440114", "横县": "450181",
    "通什市": "469001", "西沙群岛": "460302", "南沙群岛": "460303", "万县市": "500101",
    "郫县": "510117", "宜宾县": "511504", "达县": "511703", "盘县": "520281",
    "路南彝族自治县": "530126", "潞西市": "533103", "中甸县": "533401", "那曲县": "540602",
    "户县": "610118", "长安县": "610116", "彬县": "610482", "米泉市": "650109",
}  # fmt: skip

# Divisions of the corps (新疆生产建设兵团), as its companies write their addresses.
_CORPS = {
    "一": "659002", "二": "659006", "三": "659003", "四": "659008", "五": "659007",
    "六": "659004", "七": "659010", "八": "659001", "九": "659012", "十": "659005",
    "十三": "659011", "十四": "659009",
}  # fmt: skip
_XINJIANG = "650000"
_CORPS_NAMES = ("新疆生产建设兵团", "生产建设兵团", "新疆兵团")

# Short names that more often begin something else (阿里巴巴); in an address they need their ending.
_NEEDS_ENDING = frozenset({"阿里", "兴安", "海北", "海东", "海南州", "河池"}) - {"海东", "河池"}
_STREET = re.compile(
    r"(?:[东南西北中上下前后内外]|[一二三四五六七八九十]){0,2}环?"
    r"(?:路|街(?!道)|大街|大道|道(?!县)|巷|胡同|里(?=\d)|市场|大厦|国际|商城|场)"
)
_NOISE = re.compile(r"[\s,，.。、;；:：/|>\-—–_()（）\[\]【】<>《》\"'“”·]+")
_LABEL = re.compile(r"^(?:(?:企业|公司|注册|住所|经营|通讯|办公|联系)*(?:地址|住所|地)|中华人民共和国|中国)+")
_LABELS_INSIDE = re.compile(r"(?:市辖区|县(?=.{1,6}县)|(?:省|自治区)直辖县级行政(?:区划|单位)|省直辖)")
_FURTHEST = 10  # how far into an address a province or city may begin


@dataclass(frozen=True, slots=True)
class Division:
    """One province, city or county; the coordinate is that of its seat, in degrees."""

    code: str
    name: str
    level: str
    parent: str | None
    longitude: float | None
    latitude: float | None


@dataclass(frozen=True, slots=True)
class _Hit:
    """What a name means in a scope, and whether it is a short one that could also name a street."""

    code: str
    short: bool


class Divisions:
    """All provinces, cities and counties, found by code, name or address."""

    def __init__(self, rows: Iterable[Division]) -> None:
        self._by_code = {row.code: row for row in rows}
        self._line = {code: self._up(code) for code in self._by_code}
        self._named: dict[str, dict[str, bool]] = {}
        for division in self._by_code.values():
            for name, short in _names(division):
                self._named.setdefault(name, {}).setdefault(division.code, short)
        for name, code in _former(self._by_code):
            self._named.setdefault(name, {}).setdefault(code, False)
            self._named.setdefault(name.removesuffix("市"), {}).setdefault(code, True)
        self._scopes = self._build_scopes()
        self._longest = {scope: max(map(len, names)) for scope, names in self._scopes.items()}

    @classmethod
    def read(cls, path: Path) -> "Divisions":
        """The divisions of a CSV file with adcode, name, level, parent, longitude, latitude."""
        with path.open(encoding="utf-8-sig", newline="") as file:
            return cls(map(_division, csv.DictReader(file)))

    @classmethod
    def shipped(cls) -> "Divisions":
        """The divisions that come with the package, read once."""
        return _shipped()

    def __contains__(self, code: object) -> bool:
        """Whether this is the code of a division."""
        return code in self._by_code

    def __len__(self) -> int:
        """How many divisions there are."""
        return len(self._by_code)

    def __getitem__(self, code: str) -> Division:
        """The division with this code."""
        return self._by_code[code]

    def all(self, level: str | None = None) -> tuple[Division, ...]:
        """All divisions, or those of one level, by code."""
        return tuple(d for d in self._by_code.values() if level is None or d.level == level)
