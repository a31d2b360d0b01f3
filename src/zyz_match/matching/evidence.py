"""Why: the evidence behind each contribution, and one plain Chinese sentence a firm."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from zyz_match.domain import Col, Contribution, Firm
from zyz_match.matching.events import EventState, Record
from zyz_match.matching.index import Index
from zyz_match.matching.model import Scores, Table
from zyz_match.matching.phrases import phrases
from zyz_match.matching.similarity import DATED, TEXT, Component
from zyz_match.matching.telling import Lines, Teller, Told
from zyz_match.matching.wording import event_line, missing_line

SHOWN_FIRMS = 3  # peers, partners
WORTH_SAYING = 0.3  # value of a component of events from which the sentence speaks of it
_NOTHING_TO_SAY = "没有可以说明的匹配依据，仅按已知信息的平均水平排序。"
_EVENTS = {
    "both": "曾在本地投资本行业", "region": "曾在本地投资", "sector": "曾投资本行业",
    "activity": "近期投资活跃",
}  # fmt: skip


class RowEvidence(NamedTuple):
    """One firm, and why it scores what it does."""

    firm: Firm
    contributions: tuple[Contribution, ...]
    reason: str
    segment: str


class _Part(NamedTuple):
    """What the contributions of one component have in common."""

    component: Component
    most: float  # points
    lacking: str
    lines: Callable[[Told], Lines]

    def of(self, told: Told, points: float, value: float, missing: bool) -> Contribution:
        """The contribution of one firm."""
        about = self.component
        shows = points != 0 and (not missing or about.name in TEXT)
        return Contribution(
            about.name, about.label, about.part, points, self.most, None if missing else value,
            self.lines(told) if shows else (), self.lacking if missing else "",
        )  # fmt: skip


class Explainer:
    """Explains rows of one scored town."""

    def __init__(self, index: Index, scores: Scores) -> None:
        self.index = index
        self.scores = scores
        self._teller = Teller.of(scores.query, index)
        self._peers: dict[int, Lines] = {}

    def explain(self, rows: Sequence[int], table: Table) -> list[RowEvidence]:
        """Evidence for the given rows, in their order; `table` is of the same rows."""
        points = (self.scores.points[:, None] * table.values).T.tolist()
        numbers = (points, table.values.T.tolist(), table.missing.T.tolist())
        self._peers = dict(zip(rows, self._peer_lines(rows), strict=True))
        scores = self.scores
        parts = [  # not kept: they hold this, and this the index
            _Part(c, most, missing_line(c.name, c.neutral), self._writer(c.name))
            for c, most in zip(scores.components, scores.points.tolist(), strict=True)
        ]
        one = partial(self._one, parts)
        return list(map(one, self._teller.tell(self.index, rows), *numbers))

    def segments(self, rows: Sequence[int]) -> list[str]:
        """The best matching chain segment of each row, "" where no word matches."""
        return self._teller.segments(self.index, rows)

    def _one(
        self,
        parts: Sequence[_Part],
        told: Told,
        points: list[float],
        values: list[float],
        missing: list[bool],
    ) -> RowEvidence:
        numbers = zip(parts, points, values, missing, strict=True)
        found = tuple(part.of(told, p, v, m) for part, p, v, m in numbers)
        done = {c.name for c in found if c.value is not None and c.value > WORTH_SAYING}
        said = [words for name, words in _EVENTS.items() if name in done]
        sentence = "；".join((*told.begins, *said, *told.ends))
        reason = f"{sentence}。" if sentence else _NOTHING_TO_SAY
        return RowEvidence(told.firm, found, reason, told.segment)

    # lines ---------------------------------------------------------------------------------

    def _writer(self, name: str) -> Callable[[Told], Lines]:
        """What gives the evidence of a component."""
        if name == "peers":
            return lambda told: self._peers[told.row]
        if name == "partners":
            return self._partner_lines
        return partial(self._event_lines, name) if name in DATED else lambda told: told.lines[name]

    def _peer_lines(self, rows: Sequence[int]) -> Iterator[Lines]:
        """The firms that define the peers and are most like each row."""
        seeds = self.scores.seeds.tolist()
        names = self.index.texts(Col.NAME, seeds)
        near = self.index.latent_rows(rows) @ self.index.latent_rows(seeds).T
        for row, order in zip(rows, np.argsort(-near, axis=1, kind="stable").tolist(), strict=True):
            others = [names[i] for i in order if seeds[i] != row][:SHOWN_FIRMS]
            yield (f"与最匹配企业相近：{'、'.join(others)}",) if others else ()

    def _event_lines(self, name: str, told: Told) -> Lines:
        [record] = self._teller.records.of([told.row], self._find_records)
        return (event_line(name, record, self.scores.query.town),)

    def _find_records(self, rows: list[int]) -> Iterator[Record]:
        town = self.scores.query.town
        return (self._state.record(row, town.regions, town.industries) for row in rows)

    def _partner_lines(self, told: Told) -> Lines:
        return self._teller.partners.of([told.row], self._find_partners)[0]

    def _find_partners(self, rows: list[int]) -> Iterator[Lines]:
        town = self.scores.query.town
        anchors = self.index.rows_of(town.anchors)
        for row in rows:
            found = self._state.partners_of(row, town.regions, town.industries, anchors)
            shown = "、".join(self.index.texts(Col.NAME, found[:SHOWN_FIRMS].tolist()))
            more = f"等 {len(found)} 家" if len(found) > SHOWN_FIRMS else ""
            yield (f"与镇内企业 {shown}{more}共同投资过",)

    @property
    def _state(self) -> EventState:
        return self.index.events.as_of(self.scores.query.day)


def shared_words(
    index: Index, others: Sequence[Firm], firm: Firm, most: int = 6
) -> tuple[str, ...]:
    """Phrases of a firm that the other firms' texts hold too, or the rarest common pieces."""
    text = "；".join("；".join(phrases(f.scope, f.products, "")) for f in others)
    words = index.features.words_
    own = list(dict.fromkeys(phrases(firm.scope, firm.products, "")))
    whole = [p for p in own if len(p) > 1 and p in text]
    pieces = dict.fromkeys(p[i : i + 2] for p in own if p not in whole for i in range(len(p) - 1))
    columns = {g: words.column(g) for g in pieces if g in text}
    rare = {g: 0.0 if c is None else -float(words.idf_[c]) for g, c in columns.items()}
    return tuple((whole + sorted(rare, key=lambda g: rare[g]))[:most])
