"""A made-up firm table and made-up towns, for measuring speed only: nothing in it is a real firm.

Business scopes are drawn Zipf-like from distinct phrases that are put together from the names of
the industries of GB/T 4754-2017, usual words before and after them, and registries' boilerplate.
"""

import csv
import re
from collections import defaultdict

import numpy as np
import numpy.typing as npt
import pandas as pd

from zyz_match.domain import (
    MARKS,
    NUMBER_COLUMNS,
    TEXT_COLUMNS,
    ChainSegment,
    Col,
    Product,
    Role,
    Standing,
    Town,
)  # fmt: skip
from zyz_match.region import COUNTY, Divisions
from zyz_match.shipped import data_folder

PHRASES = 60_000
PHRASES_A_FIRM = 35
_BEFORE = (
    "精密", "高端", "智能", "新型", "环保", "特种", "工业", "农用", "民用", "进口",
    "绿色", "节能", "数控", "复合", "优质", "定制", "小型", "大型", "便携", "防腐", "耐高温",
    "车用",
)  # fmt: skip
_AFTER = (
    "制造", "销售", "加工", "研发", "批发", "零售", "技术服务", "生产", "安装", "维修", "租赁",
    "设计", "检测", "配件", "设备", "材料", "回收利用", "仓储", "工程施工", "进出口",
)  # fmt: skip
_GENERAL = (
    "货物进出口", "技术进出口", "技术服务", "技术开发", "技术咨询", "技术交流", "技术转让",
    "技术推广", "信息咨询服务", "道路货物运输", "国内贸易代理", "进出口代理", "机械设备销售",
    "五金产品批发", "五金产品零售", "日用百货销售", "建筑材料销售", "金属材料销售",
    "非居住房地产租赁",
    "企业管理咨询", "市场营销策划", "会议及展览服务", "软件开发", "信息技术咨询服务", "物业管理",
    "普通货物仓储服务", "劳务服务", "广告制作", "广告设计", "互联网销售", "电子产品销售",
    "办公用品销售", "包装服务", "住房租赁", "机械设备租赁", "自有资金投资", "再生资源回收",
    "新材料技术研发", "橡胶制品销售", "塑料制品销售", "仪器仪表销售", "电线电缆经营", "润滑油销售",
)  # fmt: skip
_STEM_ENDS = re.compile(r"(?:制造|加工|生产|服务|活动|专业|业|批发|零售|专门|其他|未列明|的)+")
_OPENINGS = ("一般项目：", "许可项目：", "经营范围：", "")
_CLOSING = "（除依法须经批准的项目外，凭营业执照依法自主开展经营活动）"

Ints = npt.NDArray[np.int64]


_ROLES: tuple[Role, ...] = ("upstream", "core", "downstream", "support")


class Corpus:
    """Phrases by industry division, and seeded draws from them."""

    def __init__(self, seed: int = 4754) -> None:
        self.rng = np.random.default_rng(seed)
        self.stems, self.codes = _stems()
        self.sectors = sorted(self.stems)
        self.places = [d for d in Divisions.shipped().all(COUNTY) if d.longitude is not None]
        size = PHRASES // len(self.sectors)
        self.phrases = {s: self._phrases(self.stems[s], size) for s in self.sectors}

    def _phrases(self, stems: list[str], size: int) -> list[str]:
        """Distinct phrases of one sector, the first ones to be drawn most often."""
        found: dict[str, None] = {}
        while len(found) < size:
            first, second = self.rng.choice(stems, 2)
            middle = first if self.rng.random() < 0.6 else first + second
            found[self._dressed(middle, 0.25, 0.9)] = None
        return list(found)

    def _dressed(self, stem: str, before: float, after: float) -> str:
        """A stem with a usual word before and after it, with these chances."""
        first = self.rng.choice(_BEFORE) if self.rng.random() < before else ""
        last = (
            _AFTER[int(len(_AFTER) * self.rng.random() ** 2)] if self.rng.random() < after else ""
        )
        return f"{first}{stem}{last}"

    def _zipf(self, n: int, draws: int) -> Ints:
        """Distinct ranks below n, drawn with a chance in proportion to 1 / (rank + 5)."""
        low, high = np.log(5.0), np.log(n + 5.0)
        ranks = np.exp(self.rng.uniform(low, high, draws)) - 5
        return np.unique(ranks.astype(np.int64).clip(0, n - 1))

    def _scope(self, sector: str) -> str:
        count = max(3, int(self.rng.lognormal(np.log(PHRASES_A_FIRM * 0.92), 0.4)))
        other = self.sectors[self.rng.integers(len(self.sectors))]
        parts = [_GENERAL[i] for i in self._zipf(len(_GENERAL), count // 3)]
        parts += [self.phrases[sector][i] for i in self._zipf(len(self.phrases[sector]), count)]
        parts += [self.phrases[other][i] for i in self._zipf(len(self.phrases[other]), count // 6)]
        return str(self.rng.choice(_OPENINGS)) + "；".join(self.rng.permutation(parts)) + _CLOSING

    def firms(self, n: int) -> pd.DataFrame:
        """A firm table with the columns of `Col`; a third of the number cells are unknown."""
        rng = self.rng
        frame = pd.DataFrame({c: [""] * n for c in TEXT_COLUMNS}, dtype=object)
        of = [self.sectors[i] for i in rng.integers(len(self.sectors), size=n)]
        places = [self.places[i] for i in rng.integers(len(self.places), size=n)]
        frame[Col.FIRM_ID] = [f"S{i:07d}" for i in range(n)]
        frame[Col.NAME] = [
            f"{p.name}{rng.choice(self.stems[s])}有限公司" for p, s in zip(places, of, strict=True)
        ]
        frame[Col.SCOPE] = [self._scope(s) for s in of]
        frame[Col.INDUSTRY] = [rng.choice(self.codes[s]) if rng.random() < 0.9 else "" for s in of]
        frame[Col.DIVISION] = [p.code if rng.random() < 0.95 else "" for p in places]
        standings = rng.choice(
            [Standing.ACTIVE, Standing.ABNORMAL, Standing.GONE], n, p=(0.9, 0.06, 0.04)
        )
        frame[Col.STANDING] = [str(s) for s in standings]
        frame[Col.MARKS] = [rng.choice(MARKS) if x < 0.1 else "" for x in rng.random(n)]
        for column in NUMBER_COLUMNS:
            values = rng.lognormal(6, 1.5, n).round()
            frame[column] = np.where(rng.random(n) < 1 / 3, np.nan, values)
        return frame

    def events(self, frame: pd.DataFrame, n: int) -> pd.DataFrame:
        """Dated investments of some of the firms."""
        rng = self.rng
        return pd.DataFrame(
            {
                "firm_id": rng.choice(frame[Col.FIRM_ID].to_numpy(), n),
                "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, n), "D"),
                "region": rng.choice([p.name for p in self.places[:300]], n),
                "industry": rng.choice(self.sectors, n),
                "target": [f"T{i}" for i in range(n)],
            }
        )

    def town(self, name: str, terms: int = 60) -> Town:
        """A fresh town: its products and five chain segments ask for `terms` weighted terms."""
        rng = self.rng
        home, *others = (self.sectors[i] for i in rng.choice(len(self.sectors), 4, replace=False))
        place = self.places[rng.integers(len(self.places))]
        products = tuple(
            Product(t, float(rng.integers(1, 4))) for t in self._terms(home, terms // 5)
        )
        left = terms - len(products)
        segments = []
        for i, size in enumerate(len(part) for part in np.array_split(range(left), 5)):
            sector = home if i < 2 else others[i - 2]
            found, codes = self._terms(sector, size), rng.choice(self.codes[sector], 2)
            segments.append(
                ChainSegment(
                    f"环节{i}", _ROLES[i % 4], terms=found, industries=tuple(map(str, codes))
                )
            )
        return Town(
            id=name, name=name, province="", city="", county=place.name, products=products,
            industries=tuple(self.codes[home][:3]),
            regions=(self.places[0].name, self.places[1].name),
            chain=tuple(s for s in segments if s.terms),
        )  # fmt: skip

    def _terms(self, sector: str, n: int) -> tuple[str, ...]:
        stems = self.rng.choice(self.stems[sector], n)
        return tuple(self._dressed(str(s), 0.15, 0.25) for s in stems)


def _stems() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Stems of product words and class codes by division of the industries' standard."""
    stems: dict[str, set[str]] = defaultdict(set)
    codes: dict[str, list[str]] = defaultdict(list)
    with (data_folder() / "reference" / "gbt4754_2017.csv").open(encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            if len(row["code"]) < 3:
                continue
            sector = row["code"][:2]
            if len(row["code"]) == 4:
                codes[sector].append(row["code"])
            for part in re.split(r"[、及和与，,（）()]", row["name"]):
                stem = _STEM_ENDS.sub("", part)
                if 2 <= len(stem) <= 8:
                    stems[sector].add(stem)
    usable = [s for s in stems if len(stems[s]) >= 6 and codes[s]]
    return {s: sorted(stems[s]) for s in usable}, {s: codes[s] for s in usable}
