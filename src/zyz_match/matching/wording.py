"""Words for evidence: what was compared and what was missing, in plain Chinese."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from zyz_match.domain import Firm, Town
from zyz_match.industry import IndustryTree
from zyz_match.matching.events import Record
from zyz_match.matching.query import Term

LEVEL_WORDS = {4: "同小类", 3: "同中类", 2: "同大类", 1: "同门类"}


class WordMatch(NamedTuple):
    """A profile term and the firm's own phrase that answers it best."""

    term: Term
    phrase: str  # "" when the n-grams are scattered over the text
    weight: float  # the term's share of the firm's word score
    whole: bool  # the term stands in the phrase, or the phrase in the term


def latent_lines(matches: Sequence[WordMatch]) -> tuple[str, ...]:
    """The firm's phrases that stand for its latent similarity."""
    own = [m.phrase for m in matches if m.phrase]
    return (
        (f"整体表述相近，代表用词：{'、'.join(own)}",)
        if own
        else ("整体表述相近，没有直接相同的用词",)
    )


def mark_lines(firm: Firm) -> tuple[str, ...]:
    """Qualifications and patents."""
    patents = () if firm.patents is None else (f"专利 {firm.patents} 件",)
    return firm.marks + patents


def capacity_lines(firm: Firm) -> tuple[str, ...]:
    """The known numbers of size."""
    known = (
        ("注册资本", firm.capital, "万元"), ("参保人数", firm.employees, "人"),
        ("年营业收入", firm.revenue, "万元"),
    )  # fmt: skip
    lines = tuple(f"{n} {v:,.0f} {u}" for n, v, u in known if v is not None)
    return lines + ((f"上市公司 {firm.stock_code}",) if firm.stock_code else ())


def event_line(name: str, record: Record, town: Town) -> str:
    """What a firm did elsewhere, for one of the components that count events."""
    where = "、".join(town.regions)
    return {
        "activity": f"近一年对外投资 {record.recent} 次，累计 {record.total} 次",
        "recency": f"最近一次对外投资在 {record.last}",
        "rhythm": f"近一年对外投资 {record.recent} 次，上一年 {record.before} 次",
        "breadth": f"投资涉及 {record.regions} 个地区、{record.industries} 个行业",
        "region": f"在{where}有 {record.in_region} 次投资记录",
        "sector": f"在本行业有 {record.in_industry} 次投资记录",
        "both": f"在{where}投资本行业 {record.in_both} 次",
    }[name]


_NAME_ONLY = "缺经营范围和主营产品，只按企业名称比较"
_WHAT_IS_MISSING = {
    "industry": "缺国标行业", "place": "缺注册地", "marks": "未见资质和专利记录",
    "capacity": "缺注册资本、参保人数和营业收入", "activity": "未见对外投资记录",
    "recency": "未见对外投资记录", "rhythm": "未见对外投资记录", "breadth": "未见对外投资记录",
    "region": "未见在本地投资的记录", "sector": "未见在本行业投资的记录",
    "both": "未见在本地投资本行业的记录", "partners": "未见与镇内企业共同投资的记录",
}  # fmt: skip


def missing_line(name: str, neutral: str) -> str:
    """What a component lacks, and what is done about it."""
    if name not in _WHAT_IS_MISSING:
        return _NAME_ONLY
    how = "按全体已知企业的平均值计" if neutral == "mean" else "不加分也不减分"
    return f"{_WHAT_IS_MISSING[name]}，{how}"


@lru_cache(maxsize=4096)
def industry_name(code: str) -> str:
    """Name of a code; a free tag is its own name."""
    tree = IndustryTree.shipped()
    return tree.name(code) if code in tree else code


@lru_cache(maxsize=4096)
def industry(code: str) -> str:
    """Code and name; a free tag as it is."""
    return f"{code} {industry_name(code)}" if code in IndustryTree.shipped() else code


@lru_cache(maxsize=4096)
def relation(code: str, target: str) -> str:
    """How two industries are related, in words: the level of their lowest common ancestor."""
    tree = IndustryTree.shipped()
    if code not in tree or target not in tree:
        return "标签相同"
    other = set(tree.ancestors(target))
    common = next((a for a in tree.ancestors(code) if a in other), None)
    return "门类不同" if common is None else LEVEL_WORDS[tree.level(common)]
