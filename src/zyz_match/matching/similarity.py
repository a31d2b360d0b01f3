"""COMPONENTS: each compares one town with every firm of a pool.

A component gives one number a firm, or nothing where the town or the pool has nothing to compare.
The numbers are brought to [0, 1] by the best firm of the pool, for terms, latent and peers by the
best of the pool's head; a missing one takes the neutral value: the pool's mean, or 0 for a record
that can only add. Values are computed for the firms asked for, not for all.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal, Protocol

import numpy as np

from zyz_match.matching import kernels
from zyz_match.matching.events import EventState, Sparse
from zyz_match.matching.index import Index
from zyz_match.matching.query import Query
from zyz_match.matching.segment import Floats, Ints, Mask, Whole
from zyz_match.matching.survey import Seen, Sight, industries, places, sight, surveys

Neutral = Literal["mean", "zero"]


class Part(Protocol):
    """One component of one town over a pool."""

    def values(self, rows: Ints) -> Floats:
        """Values of some firms in [0, 1], with the neutral one filled in."""

    def missing(self, rows: Ints) -> Mask:
        """Which of some firms lack the data."""


@dataclass(frozen=True, slots=True, eq=False)
class OfText:
    """What comes from a firm's text."""

    index: Index

    def missing(self, rows: Ints) -> Mask:
        """Firms without text."""
        return np.asarray(self.index.lacks_text[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Words(OfText):
    """Sums of words by the best active firm's."""

    seen: Seen
    best: int

    def values(self, rows: Ints) -> Floats:
        """Shares of the best, as far as 1."""
        share = self.seen.sums[rows].astype(np.float32) / np.float32(self.best)
        return np.asarray(np.clip(share, 0, 1), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Terms(OfText):
    """Weights of the covered terms, by the best of the head."""

    seen: Seen
    weights: Floats
    best: float

    def values(self, rows: Ints) -> Floats:
        """Shares of the best, as far as 1."""
        found = np.empty(len(rows), np.float32)
        for i, (_, here, some) in enumerate(self.index.by_segment(rows)):
            out = np.empty(len(some), np.float32)
            kernels.sum_covered(self.seen.bits[i], some, self.weights, out)
            found[here] = out
        return np.asarray(np.clip(found / np.float32(self.best), 0, 1), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Near(OfText):
    """Latent similarity to one direction, by the best of the head."""

    towards: Floats
    best: float

    def values(self, rows: Ints) -> Floats:
        """Shares of the best, from 0 to 1."""
        near = self.index.latent_near(rows, self.towards) / np.float32(self.best)
        return np.asarray(np.clip(near, 0, 1), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Values that firms of one label share, with the neutral one filled in."""

    table: Floats
    lacking: Mask
    labels: Whole

    def values(self, rows: Ints) -> Floats:
        """The value of each firm's label."""
        return np.asarray(self.table[self.labels[rows]])

    def missing(self, rows: Ints) -> Mask:
        """Firms whose label lacks a value."""
        return np.asarray(self.lacking[self.labels[rows]])


@dataclass(frozen=True, slots=True, eq=False)
class Scattered:
    """Records of a few firms by the best active one; the others lack it and count 0."""

    found: Sparse  # values in [0, 1], rows ascending

    def values(self, rows: Ints) -> Floats:
        """Values of the firms that have a record, 0 for the others."""
        at, here = self.found.places(rows)
        return np.where(here, self.found.values[at], 0).astype(np.float32)

    def missing(self, rows: Ints) -> Mask:
        """Firms without a record."""
        return ~self.found.places(rows)[1]


@dataclass(frozen=True)
class Compared:
    """A town beside a pool: what every component may use."""

    query: Query
    index: Index
    seen: Seen
    sight: Sight

    @cached_property
    def events(self) -> EventState:
        """What was done before the query's day."""
        return self.index.events.as_of(self.query.day)


@dataclass(frozen=True, slots=True)
class Component:
    """One row of the table: what it is called, which part it belongs to, how it is computed."""

    name: str
    label: str
    part: Literal["fit", "propensity"]
    neutral: Neutral
    compare: Callable[[Compared], Part | None]


def _words(found: Compared) -> Part | None:
    best = found.sight.best_words
    return Words(found.index, found.seen, best) if best > 0 else None


def _terms(found: Compared) -> Part | None:
    """Sum over the terms a firm's text covers of weight x ln(1 + (n - df + .5) / (df + .5))."""
    seen = found.sight
    if seen.best_terms <= 0:
        return None
    return Terms(found.index, found.seen, seen.term_weights, seen.best_terms)


def _latent(found: Compared) -> Part | None:
    seen = found.sight
    return Near(found.index, seen.towards, seen.best_latent) if seen.best_latent > 0 else None


def _peers(found: Compared) -> Part | None:
    """Latent similarity to the town's anchors and to the firms whose text fits it best."""
    seen = found.sight
    if seen.peers is None or seen.best_peers <= 0:
        return None
    return Near(found.index, seen.peers, seen.best_peers)


def _industry(found: Compared) -> Part | None:
    table = industries(found.query, found.index)
    return _labelled("industry", table, found.index.industry_of, found)


def _place(found: Compared) -> Part | None:
    return _labelled("place", places(found.query, found.index), found.index.division_of, found)


def _labelled(name: str, table: Floats | None, labels: Whole, found: Compared) -> Part | None:
    best = found.sight.bests.get(name)
    if table is None or best is None or best.best <= 0:
        return None
    share = np.clip(table / np.float32(best.best), 0, 1)
    lacking = np.isnan(table)
    return Labelled(np.where(lacking, best.neutral, share).astype(np.float32), lacking, labels)


def _column(name: str, found: Compared) -> Part | None:
    """A number that every firm has or lacks, whoever asks."""
    best = found.sight.bests[name]
    neutral = best.neutral if NAMED[name].neutral == "mean" else 0.0
    return Column(getattr(found.index, name), best.best, neutral) if best.best > 0 else None


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A number of every firm by the best one, NaN where it is unknown."""

    numbers: Floats
    best: float
    neutral: float

    def values(self, rows: Ints) -> Floats:
        """Shares of the best, from 0 to 1."""
        some = self.numbers[rows]
        share = np.clip(some / np.float32(self.best), 0, 1)
        return np.where(np.isnan(some), self.neutral, share).astype(np.float32)

    def missing(self, rows: Ints) -> Mask:
        """Which of some firms lack it."""
        return np.isnan(self.numbers[rows])


def _of_firms(name: str, found: Compared) -> Part | None:
    """What a firm did, whoever asks; for today as a column, since every list looks at it."""
    if found.index.events.empty:
        return None
    if found.query.day is not None:
        return _scattered(found.events.firms[name], found.index)
    make = partial(_as_column, found.events.firms[name], found.index)
    return found.index.kept(("part", name), make)


def _as_column(some: Sparse, index: Index) -> Part | None:
    part = _scattered(some, index)
    return Column(part.found.dense(index.size), 1.0, 0.0) if part else None


def _with_town(name: str, found: Compared) -> Part | None:
    """What a firm did in the town's regions and industries, or with its firms."""
    if found.index.events.empty:
        return None
    town = found.query.town
    anchors = found.index.rows_of(town.anchors)
    return _scattered(
        found.events.of_town(town.regions, town.industries, anchors)[name], found.index
    )


def _scattered(some: Sparse, index: Index) -> Scattered | None:
    top = some.values[index.active[some.rows]].max(initial=0.0)
    if top <= 0:
        return None
    return Scattered(Sparse(some.rows, np.clip(some.values / top, 0, 1)))


COMPONENTS: tuple[Component, ...] = (
    Component("words", "主营词匹配", "fit", "mean", _words),
    Component("terms", "链条词条覆盖", "fit", "mean", _terms),
    Component("latent", "语义相近", "fit", "mean", _latent),
    Component("peers", "与最匹配企业同类", "fit", "mean", _peers),
    Component("industry", "行业相近", "fit", "mean", _industry),
    Component("place", "区位", "fit", "mean", _place),
    Component("marks", "创新资质", "fit", "zero", partial(_column, "marks")),
    Component("capacity", "规模实力", "propensity", "mean", partial(_column, "capacity")),
    *(
        Component(name, label, "propensity", "zero", partial(how, name))
        for name, label, how in (
            ("activity", "近期扩张", _of_firms),
            ("recency", "最近有动作", _of_firms),
            ("rhythm", "扩张提速", _of_firms),
            ("breadth", "布局广度", _of_firms),
            ("region", "曾投资本地", _with_town),
            ("sector", "曾投资本行业", _with_town),
            ("both", "曾在本地投资本行业", _with_town),
            ("partners", "与镇内企业共同投资", _with_town),
        )
    ),
)
NAMED = {c.name: c for c in COMPONENTS}
TEXT = frozenset({"words", "terms", "latent", "peers"})
DATED = ("activity", "recency", "rhythm", "breadth", "region", "sector", "both", "partners")
TOWNLESS = frozenset({"marks", "capacity", *DATED[:4]})  # the same for every town


def looks(queries: Sequence[Query], index: Index) -> Iterator[Compared]:
    """Towns beside all firms of an index, some towns in one pass."""
    for query, (found, seen) in zip(queries, surveys(queries, index), strict=True):
        yield Compared(query, index, seen, sight(query, index, found))


def look(query: Query, index: Index) -> Compared:
    """A town beside all firms of an index."""
    (found,) = looks([query], index)
    return found


def compare(found: Compared, wanted: Collection[str]) -> dict[Component, Part]:
    """The wanted components that can be compared for this town and pool, in the table's order."""
    parts = ((c, c.compare(found)) for c in COMPONENTS if c.name in wanted)
    return {c: part for c, part in parts if part is not None}
