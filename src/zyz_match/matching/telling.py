"""What is said of a firm to one town, whatever the firm scores: every line is written once."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from zyz_match.domain import ROLE_NAMES, Firm
from zyz_match.industry import IndustryTree
from zyz_match.matching.events import Record
from zyz_match.matching.index import Index
from zyz_match.matching.overlap import Overlap, Words
from zyz_match.matching.query import Query
from zyz_match.matching.shown import PerRow, ShownFirm, shown_firms
from zyz_match.matching.wording import (
    WordMatch,
    capacity_lines,
    industry,
    industry_name,
    latent_lines,
    mark_lines,
    relation,
)  # fmt: skip
from zyz_match.region import Divisions

KEPT_TOWNS = 32
KEPT_FIRMS = 1024  # of each town
KEPT_LABELS = 4096  # industries and divisions, of each town
NEAR_ENOUGH = 0.5  # nearness from which the sentence speaks of the industry
Lines = tuple[str, ...]


class Told(NamedTuple):
    """What is said of one firm, apart from what it did elsewhere."""

    row: int
    firm: Firm
    segment: str  # the chain segment matched best, "" where no word matches
    lines: Mapping[str, Lines]  # the evidence by component
    begins: Lines  # of the sentence, up to what the firm did elsewhere
    ends: Lines  # and after it


class Teller:
    """What is said to one town of the firms of one index."""

    def __init__(self, query: Query, index: Index) -> None:
        self.query = query
        self.records: PerRow[Record] = PerRow(KEPT_FIRMS)
        self.partners: PerRow[Lines] = PerRow(KEPT_FIRMS)
        self._told: PerRow[Told] = PerRow(KEPT_FIRMS)
        self._overlap = Overlap(query, index.features.words_)
        self._path = Divisions.shipped().path(query.place.code) if query.place else ""
        self._roles = {s.segment: f"{ROLE_NAMES[s.role]}·{s.segment}" for s in query.town.chain}
        self._industry = lru_cache(maxsize=KEPT_LABELS)(self._find_industry)
        self._km = lru_cache(maxsize=KEPT_LABELS)(self._find_km)

    @classmethod
    def of(cls, query: Query, index: Index) -> "Teller":
        """The teller of a query; those of the towns asked for lately are kept."""
        kept: dict[str, Teller] = index.kept(("tellers",), dict)
        known = kept.get(query.town.id)
        if known is not None and known.query is query:
            return known
        if len(kept) >= KEPT_TOWNS:
            kept.clear()
        teller = kept[query.town.id] = cls(query, index)
        return teller

    def tell(self, index: Index, rows: Sequence[int]) -> list[Told]:
        """What is said of the firms of the given rows, in their order."""
        return self._told.of(rows, lambda lacking: self._write(index, lacking))

    def segments(self, index: Index, rows: Sequence[int]) -> list[str]:
        """The best matching chain segment of each row, "" where no word matches."""
        return self._overlap.segments(shown_firms(index, rows))

    def _write(self, index: Index, rows: list[int]) -> Iterator[Told]:
        shown = shown_firms(index, rows)
        for row, firm, words in zip(rows, shown, self._overlap.of(shown), strict=True):
            yield self._one(row, firm, words)

    def _one(self, row: int, shown: ShownFirm, words: Words) -> Told:
        firm, matches = shown.firm, words.matches
        industry_line, industry_told = self._industry(firm.industry or firm.industry_text)
        lines = {
            "words": tuple(map(self._word_line, matches)),
            "terms": self._term_lines(shown),
            "latent": latent_lines(matches),
            "industry": industry_line,
            "place": self._place_lines(firm),
            "marks": mark_lines(firm),
            "capacity": capacity_lines(firm),
        }
        begins = (*self._products(words), *industry_told, *_standing(firm))
        return Told(row, firm, words.segment, lines, begins, self._distance(firm))

    # words ---------------------------------------------------------------------------------

    def _word_line(self, match: WordMatch) -> str:
        where = self._named(match.term.segment)
        if not match.phrase:
            return f"文本中散见“{match.term.text}”的用字（{where}）"
        return (
            f"企业“{match.phrase}”对应“{match.term.text}”（{where}），占词匹配 {match.weight:.0%}"
        )

    def _term_lines(self, shown: ShownFirm) -> Lines:
        covered = self._overlap.covered(shown)
        return tuple(f"{self._named(s)}：{'、'.join(terms)}" for s, terms in covered.items())

    def _products(self, words: Words) -> Lines:
        own = dict.fromkeys(m.phrase for m in words.matches if m.phrase)
        if not own:
            return ()
        link = f"，对应{self._named(words.segment)}环节" if words.segment else ""
        return (f"主营{'、'.join(f'“{p}”' for p in own)}{link}",)

    def _named(self, segment: str) -> str:
        """A segment with its role in the chain."""
        return self._roles.get(segment, segment)

    # structure -----------------------------------------------------------------------------

    def _find_industry(self, label: str) -> tuple[Lines, Lines]:
        """The evidence and the part of the sentence for an industry code or free tag."""
        near = [(_nearness(label, t.code), t) for t in self.query.targets]
        best = max(near, key=lambda x: x[0] * x[1].weight, default=None)
        if best is None or not best[0] > 0:
            return (), ()
        nearness, target = best
        how = relation(label, target.code)
        line = (
            f"企业行业 {industry(label)}，对照 {industry(target.code)}"
            f"（{self._named(target.segment)}），{how}，相近度 {nearness:.2f}"
        )
        told = f"行业（{industry_name(label)}）与目标行业{how}"
        return (line,), (told,) if nearness >= NEAR_ENOUGH else ()

    def _find_km(self, division: str) -> float | None:
        if self.query.place is None or not division:
            return None
        return Divisions.shipped().distance_km(division, self.query.place.code)

    def _place_lines(self, firm: Firm) -> Lines:
        km = self._km(firm.division)
        if km is None:
            return ()
        where = "".join(dict.fromkeys(x for x in (firm.province, firm.city) if x))
        return (f"{where}，距{self._path}约 {km:.0f} 公里",)

    def _distance(self, firm: Firm) -> Lines:
        km, place = self._km(firm.division), self.query.place
        return () if km is None or place is None else (f"距{place.name}约{km:.0f}公里",)


def _standing(firm: Firm) -> Lines:
    """Parts of the sentence that hold for every town."""
    marks = (firm.marks[0].removesuffix("企业") + "企业",) if firm.marks else ()
    return (*marks, f"上市公司（{firm.stock_code}）") if firm.stock_code else marks


def _nearness(label: str, target: str) -> float:
    """Nearness of an industry label to a code or a free tag."""
    tree = IndustryTree.shipped()
    if label in tree and target in tree:
        return tree.nearness(label, target)
    return float(bool(label) and label == target)
