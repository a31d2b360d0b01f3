"""Why: the evidence behind each contribution, and one plain Chinese sentence a firm."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse

from zyz_match.domain import ROLE_NAMES, Col, Contribution, Firm
from zyz_match.matching.events import EventState
from zyz_match.matching.features import phrases, term_phrases
from zyz_match.matching.index import Index
from zyz_match.matching.model import Scores
from zyz_match.matching.query import PRODUCTS, Target, Term
from zyz_match.matching.similarity import DATED, Compared, seed_rows
from zyz_match.matching.wording import (
    WordMatch,
    capacity_lines,
    event_line,
    industry,
    industry_name,
    latent_lines,
    mark_lines,
    missing_line,
    relation,
)  # fmt: skip
from zyz_match.region import Divisions

SHOWN_TERMS = 3


@dataclass(frozen=True, slots=True)
class RowEvidence:
    """What is known of one firm beside its contributions."""

    contributions: tuple[Contribution, ...]
    reason: str
    segment: str


class Explainer:
    """Explains rows of one scored town; computes what is shared by them once."""

    def __init__(self, index: Index, scores: Scores) -> None:
        self.index = index
        self.scores = scores
        self.query = scores.query
        words = index.features.words_
        self._term_columns = [words.query([(t.text, t.weight)]) for t in self.query.terms]
        self._roles = {s.segment: ROLE_NAMES[s.role] for s in self.query.town.chain}
        values = {c.component.name: c.values for c in scores.parts}
        self._seeds = seed_rows(self.query, index, values)

    def explain(self, rows: list[int], firms: list[Firm]) -> list[RowEvidence]:
        """Evidence for the given rows; `firms` are the same firms, in the same order."""
        frame = self.index.frame.iloc[rows]
        weights = self.index.features.words_.transform(frame)
        return [
            self._one(row, firm, weights[i])
            for i, (row, firm) in enumerate(zip(rows, firms, strict=True))
        ]

    def segments(self, rows: list[int]) -> list[str]:
        """The best matching chain segment of each row, "" where no word matches."""
        weights = self.index.features.words_.transform(self.index.frame.iloc[rows])
        return [self._segment(self._by_term(weights[i])) for i in range(len(rows))]

    def _one(self, row: int, firm: Firm, weights: sparse.csr_matrix) -> RowEvidence:
        by_term = self._by_term(weights)
        matches = self._matches(firm, by_term)
        segment = self._segment(by_term)
        target = self._best_target(row)
        lines: dict[str, Callable[[], tuple[str, ...]]] = {
            "words": lambda: tuple(self._word_line(m) for m in matches),
            "terms": lambda: self._term_lines(row),
            "latent": lambda: latent_lines(matches),
            "peers": lambda: self._peer_lines(row),
            "industry": lambda: self._industry_lines(firm, target),
            "place": lambda: self._place_lines(row),
            "marks": lambda: mark_lines(firm),
            "capacity": lambda: capacity_lines(firm),
            "partners": lambda: self._partner_lines(row),
        }
        lines |= {name: partial(self._event_line, name, row) for name in DATED[:-1]}
        contributions = tuple(
            self._contribution(i, part, row, lines[part.component.name])
            for i, part in enumerate(self.scores.parts)
        )
        reason = self._sentence(firm, row, matches, segment, target)
        return RowEvidence(contributions, reason, segment)

    def _contribution(
        self, i: int, part: Compared, row: int, lines: Callable[[], tuple[str, ...]]
    ) -> Contribution:
        component, missing = part.component, bool(part.missing[row])
        points = self.scores.contribution(i, row)
        known = not missing or component.name in ("words", "terms", "latent", "peers")
        return Contribution(
            name=component.name,
            label=component.label,
            part=component.part,
            points=points,
            maximum=float(self.scores.points[i]),
            value=None if missing else float(part.values[row]),
            evidence=lines() if known and points > 0 else (),
            missing=missing_line(component.name, component.neutral) if missing else "",
        )

    # words ---------------------------------------------------------------------------------

    def _by_term(self, weights: sparse.csr_matrix) -> list[float]:
        """Each profile term's part of the firm's word score."""
        held = dict(zip(weights.indices.tolist(), weights.data.tolist(), strict=True))
        return [
            sum(float(w) * held.get(int(c), 0.0) for c, w in zip(columns, asked, strict=True))
            for columns, asked in self._term_columns
        ]

    def _segment(self, by_term: list[float]) -> str:
        totals: Counter[str] = Counter()
        for term, value in zip(self.query.terms, by_term, strict=True):
            totals[term.segment] += value  # type: ignore[assignment]
        chain = [s for s in totals if s != PRODUCTS and totals[s] > 0]
        if chain:
            return max(chain, key=lambda s: totals[s] / self._segment_size(s))
        return PRODUCTS if totals[PRODUCTS] > 0 else ""

    def _segment_size(self, segment: str) -> float:
        """Weight a segment has in the query, so that a long segment wins nothing by length."""
        return float(sum(t.weight for t in self.query.terms if t.segment == segment) ** 0.5)

    def _matches(self, firm: Firm, by_term: list[float]) -> list[WordMatch]:
        own = list(dict.fromkeys(phrases(firm.scope, firm.products, firm.name)))
        total = sum(by_term) or 1.0
        ranked = sorted(range(len(by_term)), key=lambda i: -by_term[i])[: 4 * SHOWN_TERMS]
        found = [
            self._match(self.query.terms[i], own, by_term[i] / total)
            for i in ranked
            if by_term[i] > 0
        ]
        found.sort(key=lambda m: (not m.whole, m.phrase == "", -m.weight))
        distinct = {m.phrase or m.term.text: m for m in reversed(found)}
        return sorted(distinct.values(), key=lambda m: (not m.whole, m.phrase == "", -m.weight))[
            :SHOWN_TERMS
        ]

    @staticmethod
    def _match(term: Term, own: list[str], weight: float) -> WordMatch:
        asked = "".join(term_phrases(term.text))
        grams = {asked[i : i + 2] for i in range(max(1, len(asked) - 1))}
        best, phrase = 0.0, ""
        for candidate in own:
            shared = sum(g in candidate for g in grams)
            near = shared / (len(grams) + 0.3 * max(0, len(candidate) - len(asked)) ** 0.5)
            if shared and near > best:
                best, phrase = near, candidate
        whole = bool(phrase) and (asked in phrase or (len(phrase) > 1 and phrase in asked))
        return WordMatch(term, phrase, weight, whole)

    def _word_line(self, match: WordMatch) -> str:
        where = self._segment_words(match.term.segment)
        if not match.phrase:
            return f"文本中散见“{match.term.text}”的用字（{where}）"
        return (
            f"企业“{match.phrase}”对应“{match.term.text}”（{where}），占词匹配 {match.weight:.0%}"
        )

    def _segment_words(self, segment: str) -> str:
        role = self._roles.get(segment)
        return f"{role}·{segment}" if role else segment

    def _term_lines(self, row: int) -> tuple[str, ...]:
        words = self.index.features.words_
        text = ";".join(phrases(*self._texts(row)))
        covered: dict[str, list[str]] = {}
        for term in self.query.terms:
            columns = words.columns_of(term.text)
            if columns is not None and all(p in text for p in term_phrases(term.text)):
                covered.setdefault(term.segment, []).append(term.text)
        return tuple(
            f"{self._segment_words(s)}：{'、'.join(dict.fromkeys(t))}" for s, t in covered.items()
        )

    def _texts(self, row: int) -> tuple[str, str, str]:
        record = self.index.frame.iloc[row]
        return record[Col.SCOPE], record[Col.PRODUCTS], record[Col.NAME]

    def _peer_lines(self, row: int) -> tuple[str, ...]:
        others = [r for r in self._seeds if r != row]
        if not others:
            return ()
        near = self.index.latent_between(others, row)
        order = np.argsort(-near, kind="stable")[:3]
        names = [str(self.index.frame[Col.NAME].iloc[others[i]]) for i in order]
        return (f"与最匹配企业相近：{'、'.join(names)}",)

    # structure -----------------------------------------------------------------------------

    def _best_target(self, row: int) -> tuple[Target, float] | None:
        label = self.index.industry_of[row]
        best: tuple[Target, float] | None = None
        for target in self.query.targets:
            near = float(self.index.industry_nearness(target.code)[label])
            if (
                not np.isnan(near)
                and near > 0
                and (best is None or near * target.weight > best[1] * best[0].weight)
            ):
                best = (target, near)
        return best

    def _industry_lines(self, firm: Firm, best: tuple[Target, float] | None) -> tuple[str, ...]:
        if best is None:
            return ()
        target, near = best
        return (
            f"企业行业 {industry(firm.industry or firm.industry_text)}，"
            f"对照 {industry(target.code)}（{self._segment_words(target.segment)}），"
            f"{relation(firm.industry, target.code)}，相近度 {near:.2f}",
        )

    def _km(self, row: int) -> float | None:
        if self.query.place is None:
            return None
        km = float(self.index.distances(self.query.place)[self.index.division_of[row]])
        return None if np.isnan(km) else km

    def _place_lines(self, row: int) -> tuple[str, ...]:
        km = self._km(row)
        if km is None or self.query.place is None:
            return ()
        record = self.index.frame.iloc[row]
        where = "".join(dict.fromkeys(x for x in (record[Col.PROVINCE], record[Col.CITY]) if x))
        return (f"{where}，距{Divisions.shipped().path(self.query.place.code)}约 {km:.0f} 公里",)

    def _event_line(self, name: str, row: int) -> tuple[str, ...]:
        town = self.query.town
        return (event_line(name, self._state.record(row, town.regions, town.industries), town),)

    def _partner_lines(self, row: int) -> tuple[str, ...]:
        town, names = self.query.town, self.index.frame[Col.NAME]
        anchors = self.index.rows_of(town.anchors)
        found = self._state.partners_of(row, town.regions, town.industries, anchors)
        shown = "、".join(str(names.iloc[r]) for r in found[:SHOWN_TERMS])
        more = f"等 {len(found)} 家" if len(found) > SHOWN_TERMS else ""
        return (f"与镇内企业 {shown}{more}共同投资过",)

    @property
    def _state(self) -> EventState:
        return self.index.events.as_of(self.query.day)

    # the sentence --------------------------------------------------------------------------

    def _sentence(
        self,
        firm: Firm,
        row: int,
        matches: list[WordMatch],
        segment: str,
        target: tuple[Target, float] | None,
    ) -> str:
        told = []
        own = list(dict.fromkeys(m.phrase for m in matches if m.phrase))[:3]
        if own:
            said = "、".join(f"“{p}”" for p in own)
            link = f"，对应{self._segment_words(segment)}环节" if segment else ""
            told.append(f"主营{said}{link}")
        if target is not None and target[1] >= 0.5:
            own_name = industry_name(firm.industry or firm.industry_text)
            told.append(f"行业（{own_name}）与目标行业{relation(firm.industry, target[0].code)}")
        if firm.marks:
            told.append(firm.marks[0].removesuffix("企业") + "企业")
        if firm.stock_code:
            told.append(f"上市公司（{firm.stock_code}）")
        names = {c.component.name: c for c in self.scores.parts}
        for name, words in (
            ("both", "曾在本地投资本行业"),
            ("region", "曾在本地投资"),
            ("sector", "曾投资本行业"),
            ("activity", "近期投资活跃"),
        ):
            if name in names and not names[name].missing[row] and names[name].values[row] > 0.3:
                told.append(words)
        km = self._km(row)
        if km is not None:
            told.append(f"距{self.query.place.name if self.query.place else ''}约{km:.0f}公里")
        return (
            "；".join(told) + "。"
            if told
            else "没有可以说明的匹配依据，仅按已知信息的平均水平排序。"
        )


def shared_words(index: Index, seeds: pd.DataFrame, firm: Firm, most: int = 6) -> tuple[str, ...]:
    """Phrases of a firm that the given firms' texts hold too, or the longest common pieces."""
    text = "；".join(
        "；".join(phrases(s, p, ""))
        for s, p in zip(seeds[Col.SCOPE], seeds[Col.PRODUCTS], strict=True)
    )
    own = list(dict.fromkeys(phrases(firm.scope, firm.products, "")))
    whole = [p for p in own if len(p) > 1 and p in text]
    idf, vocabulary = index.features.words_.idf_, index.features.words_.vocabulary_
    pieces = {p[i : i + 2] for p in own if p not in whole for i in range(len(p) - 1)}
    rare = sorted(
        (g for g in pieces if g in text),
        key=lambda g: -float(idf[vocabulary[g]]) if g in vocabulary else 0.0,
    )
    return tuple((whole + rare)[:most])
