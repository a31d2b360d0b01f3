"""Provinces, cities and counties of China: finding one by name, in an address, and how far apart.

Codes are the six digits of GB/T 2260. Cities are the prefecture level (市, 州, 地区, 盟); counties
of the four municipalities and those run by a province itself (仙桃市) hang on the province.
"""

import csv
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from zyz_match.shipped import data_folder

PROVINCE, CITY, COUNTY = "province", "city", "county"
EARTH_RADIUS_KM = 6371.0088

_RANK = {PROVINCE: 0, CITY: 1, COUNTY: 2}
_NATION_WIDE = ""  # the scope of names that need no province before them
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
    "三山区": "340209", "芜湖县": "340210", "湾里区": "360112",
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
    "十二": "650100", "十三": "659011", "十四": "659009",
}  # fmt: skip
_XINJIANG = "650000"
_CORPS_NAMES = ("新疆生产建设兵团", "生产建设兵团", "新疆兵团", "兵团")
_CORPS_DIVISION = re.compile(r"(?:新疆)?[农第]{0,2}(十?[一二三四五六七八九]|十)师")

# Short names that more often begin something else (阿里巴巴): an address must give their ending.
_NEEDS_ENDING = frozenset({"阿里", "兴安"})
# What follows a short name that names a street or a building, not a place (北京东路, 晋城大厦).
_STREET = re.compile(
    r"(?:[东南西北中内外]|[一二三四五六七八九十]){0,2}环?"
    r"(?:路|街(?!道)|大街|大道|道|巷|胡同|里(?=\d)|市场|大厦)"
)
_TOWNSHIP = re.compile(r".{1,8}?(?:镇|乡|街道|村|开发区|工业园|园区|新区|高新区|经开区)")
_NOISE = re.compile(r"[\s,，.。、;；:：/|>\-—–_()（）\[\]【】<>《》\"'“”·]+")
_LABEL = re.compile(
    r"^(?:(?:企业|公司|注册|住所|经营|通讯|办公|联系)*(?:地址|住所|地)|中华人民共和国|中国)+"
)
_FILLER = re.compile(r"市辖区|(?:省|自治区)?直辖县级行政(?:区划|单位)")
_READ = 64  # characters of an address that can matter
_FURTHEST = 10  # how far into an address a province or city may begin
_LONGEST = 15  # 积石山保安族东乡族撒拉族自治县


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
        self._line = {code: tuple(self._upward(code)) for code in self._by_code}
        self._named: dict[str, dict[str, bool]] = {}
        for name, code, short in self._all_names():
            self._named.setdefault(name, {}).setdefault(code, short)
        self._scopes = self._build_scopes()

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
        """The division with this code; KeyError if there is none."""
        return self._by_code[code]

    def all(self, level: str | None = None) -> tuple[Division, ...]:
        """All divisions, or those of one level, by code."""
        return tuple(d for d in self._by_code.values() if level is None or d.level == level)

    def find(self, text: str | None, within: str | None = None) -> Division | None:
        """The division that a name, a path of names or a code means, the higher level first.

        Official, short and former names will do (浙江省, 浙江, 恩施州, 户县, 浙江省杭州市). With
        ``within``, a code or a name, only what lies inside it counts. None if nothing has this
        name, or if several divisions of the same level have it (城区, 朝阳区).
        """
        key = _clean(text)
        if key in _MISSING:
            return None
        outer = self._outer(within)
        if within and outer is None:
            return None
        found = self._pick(key, outer)
        return None if found is None else self._by_code[found]

    def locate(self, address: str | None) -> Division | None:
        """The deepest division that a free address names from its front, or None.

        Longest names first; province, then city, then county; province or city may be left out
        where what remains is clear (泽州县, 深圳市南山区). A short name before 路, 街 and the
        like is a street (北京东路), not a place.
        """
        text = _clean(address)
        code, _ = self._walk(text, None)
        for start in range(1, min(_FURTHEST, len(text)) if code is None else 0):
            hit = self._match(text, start, _NATION_WIDE, short_too=False)
            if hit and self._by_code[hit[0]].level != COUNTY:
                code, _ = self._walk(text[start:], None)
                break
        return None if code is None else self._by_code[code]

    def place(
        self,
        province: str | None = None,
        city: str | None = None,
        county: str | None = None,
        address: str | None = None,
    ) -> Division | None:
        """The deepest division that registry columns and an address agree on.

        Empty cells and ``-`` say nothing. Columns win over the address, and a wider column over a
        narrower one: what contradicts it (浙江省 / 晋城市) is left out.
        """
        found: str | None = None
        for cell in (province, city, county):
            inside = self.find(cell, within=found)
            found = found if inside is None else inside.code
        by_address = self.locate(address)
        if found is None:
            return self._settled_by(county, by_address)
        if by_address is not None and self.contains(found, by_address.code):
            return self._by_code[by_address.code]
        walked, _ = self._walk(_clean(address), found)
        if walked is not None and self.contains(found, walked):
            found = walked
        return self._by_code[found]

    def province(self, code: str) -> str | None:
        """The name of the province that a division lies in."""
        return self._by_code[self._line[code][-1]].name if code in self._line else None

    def city(self, code: str) -> str | None:
        """The name of its city; a municipality or a county without a city stands for itself.

        None for a province that is not a municipality, and for an unknown code.
        """
        line = self._line.get(code, ())
        if not line or (len(line) == 1 and not self._by_code[code].name.endswith("市")):
            return None
        top = self._by_code[line[-1]]
        return top.name if top.name.endswith("市") else self._by_code[line[-2]].name

    def contains(self, outer_code: str, inner_code: str) -> bool:
        """Whether the inner division is the outer one or lies inside it."""
        return outer_code in self._line.get(inner_code, ())

    def path(self, code: str) -> str:
        """The full name from the province down, such as 山西省晋城市泽州县."""
        return "".join(self._by_code[c].name for c in self._line[code][::-1])

    def distance_km(self, a: str, b: str) -> float | None:
        """The great circle distance between two seats; None for an unknown code or place.

        A division without a coordinate counts as lying at its parent's.
        """
        here, there = self._point(a), self._point(b)
        if here is None or there is None:
            return None
        (east, north), (other_east, other_north) = here, there
        half = (
            math.sin((other_north - north) / 2) ** 2
            + math.cos(north) * math.cos(other_north) * math.sin((other_east - east) / 2) ** 2
        )
        return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))

    def _point(self, code: str) -> tuple[float, float] | None:
        for step in self._line.get(code, ()):
            division = self._by_code[step]
            if division.longitude is not None and division.latitude is not None:
                return math.radians(division.longitude), math.radians(division.latitude)
        return None

    def _upward(self, code: str) -> Iterator[str]:
        step: str | None = code
        while step:
            yield step
            step = self._by_code[step].parent

    def _all_names(self) -> Iterator[tuple[str, str, bool]]:
        """Every name, the code it means and whether it is a short one; later ones never replace."""
        official = {division.name for division in self._by_code.values()}
        for division in self._by_code.values():
            for name, short in _names(division):
                yield name, division.code, short
        for name, code in _FORMER.items():
            if code in self._by_code and name not in official:
                yield name, code, False
                if len(name) == 3:
                    yield name[:-1], code, True
        for name in _CORPS_NAMES:
            if _XINJIANG in self._by_code:
                yield name, _XINJIANG, False
        for division in self.all(COUNTY):
            for name in _renamed(division.name):
                if name not in official and name not in _FORMER:
                    yield name, division.code, False

    def _build_scopes(self) -> dict[str, dict[str, _Hit]]:
        """Scope -> name -> hit; a scope is the whole country, a province or a city."""
        scopes: dict[str, dict[str, dict[str, bool]]] = {}
        for name, codes in self._named.items():
            for code, short in codes.items():
                for scope in (_NATION_WIDE, *self._line[code][1:]):
                    if scope == _NATION_WIDE and name in _NEEDS_ENDING:
                        continue
                    if scope == _NATION_WIDE and short and not self._clear(name, code):
                        continue
                    scopes.setdefault(scope, {}).setdefault(name, {})[code] = short
        picked = {
            scope: {name: self._best(codes) for name, codes in names.items()}
            for scope, names in scopes.items()
        }
        return {
            scope: {name: hit for name, hit in names.items() if hit is not None}
            for scope, names in picked.items()
        }

    def _clear(self, short_name: str, code: str) -> bool:
        """Whether a short name means this division without its province before it."""
        return self._by_code[code].level != COUNTY or len(self._named[short_name]) == 1

    def _best(self, codes: Mapping[str, bool]) -> _Hit | None:
        """Of several divisions with one name: the highest level, then full names, else nothing."""
        ranked = sorted((_RANK[self._by_code[c].level], short, c) for c, short in codes.items())
        if len(ranked) > 1 and ranked[0][:2] == ranked[1][:2]:
            return None
        return _Hit(ranked[0][2], ranked[0][1])

    def _outer(self, within: str | None) -> str | None:
        if not within or within in self._by_code:
            return within or None
        found = self.find(within)
        return found.code if found else None

    def _pick(self, key: str, outer: str | None) -> str | None:
        if key in self._by_code:
            return key if outer is None or self.contains(outer, key) else None
        codes = self._named.get(key, {})
        inside = {c: s for c, s in codes.items() if outer is None or self.contains(outer, c)}
        if inside:
            hit = self._best(inside)
            return hit.code if hit else None
        for scope in (None, outer) if outer else (None,):
            code, end = self._walk(key, scope)
            if code and end == len(key) and (outer is None or self.contains(outer, code)):
                return code
        return None

    def _settled_by(self, county: str | None, by_address: Division | None) -> Division | None:
        """An ambiguous county column (朝阳区) made clear by where the address lies."""
        if by_address is None:
            return None
        for scope in self._line[by_address.code]:
            inside = self.find(county, within=scope)
            if inside is not None:
                return inside
        return by_address

    def _walk(self, text: str, start: str | None) -> tuple[str | None, int]:
        """Follow names from the front as deep as they go: the code reached and where it ended."""
        code, at, corps = start, 0, None
        while code is None or self._by_code[code].level != COUNTY:
            if code == _XINJIANG and (sign := _CORPS_DIVISION.match(text, at)):
                corps, at = _CORPS.get(sign.group(1)), sign.end()
            step = self._step(text, at, code)
            if step is None:
                break
            code, at = step
        if corps in self._by_code and code == _XINJIANG:
            code = corps
        return code, at

    def _step(self, text: str, at: int, code: str | None) -> tuple[str, int] | None:
        """The next name at a place of the text: below, beside (full names only) or once more."""
        if code is None:
            return self._match(text, at, _NATION_WIDE)
        found = [self._match(text, at, code), self._again(text, at, code)]
        if found == [None, None] and self._by_code[code].level == CITY:
            found = [self._match(text, at, self._line[code][-1], short_too=False)]
        return max((f for f in found if f), key=lambda f: f[1], default=None)

    def _again(self, text: str, at: int, code: str) -> tuple[str, int] | None:
        """The division's own name once more (浙江省浙江省), which leads nowhere else."""
        for size in range(min(_LONGEST, len(text) - at), 1, -1):
            short = self._named.get(text[at : at + size], {}).get(code)
            if short is not None and not (short and _STREET.match(text, at + size)):
                return code, at + size
        return None

    def _match(
        self, text: str, at: int, scope: str, short_too: bool = True
    ) -> tuple[str, int] | None:
        """The longest name of a scope that begins at a place of the text, and where it ends."""
        names = self._scopes.get(scope, {})
        for size in range(min(_LONGEST, len(text) - at), 1, -1):
            hit = names.get(text[at : at + size])
            if hit and self._holds(hit, text, at + size, scope, short_too):
                return hit.code, at + size
        return None

    def _holds(self, hit: _Hit, text: str, end: int, scope: str, short_too: bool) -> bool:
        if not hit.short:
            return not (text[end - 1] == "市" and text[end : end + 1] == "场")
        if not short_too or _STREET.match(text, end):
            return False
        bare_county = scope == _NATION_WIDE and self._by_code[hit.code].level == COUNTY
        return not bare_county or end == len(text) or bool(_TOWNSHIP.match(text, end))


@cache
def _shipped() -> Divisions:
    return Divisions.read(data_folder() / "reference" / "divisions.csv")


def _division(row: Mapping[str, str]) -> Division:
    east, north = row["longitude"], row["latitude"]
    return Division(
        code=row["adcode"],
        name=row["name"],
        level=row["level"],
        parent=row["parent"] or None,
        longitude=float(east) if east else None,
        latitude=float(north) if north else None,
    )


def _names(division: Division) -> Iterator[tuple[str, bool]]:
    """The names a division goes by today, and whether each is a short one."""
    yield division.name, False
    if division.level == PROVINCE:
        yield _PROVINCE_END.sub("", division.name), True
    elif match := _AUTONOMOUS.fullmatch(division.name):
        yield match["stem"] + match["kind"], False
        if len(match["stem"]) > 1:
            yield match["stem"], True
    elif (match := _PLAIN.fullmatch(division.name)) and match["stem"] != "市中":
        yield match["stem"], True  # 市中 without 区 more often goes on as 市中心


def _renamed(name: str) -> Iterator[str]:
    """What a county may have been called when it was a 县, 市 or 区 under the same stem."""
    match = _AUTONOMOUS.fullmatch(name) or _PLAIN.fullmatch(name)
    if match and len(match["stem"]) > 1:
        yield from (match["stem"] + end for end in "县市区" if match["stem"] + end != name)


def _clean(text: str | None) -> str:
    """Text without signs, labels and fillers, as far as it can matter."""
    if text is None:
        return ""
    short = unicodedata.normalize("NFKC", str(text)[: 2 * _READ]).strip()
    if short.lower() in _MISSING:
        return ""
    return _FILLER.sub("", _LABEL.sub("", _NOISE.sub("", short)))[:_READ]
