"""What a pool tells of a town before its firms are scored: who is best, and what is usual.

Surveys of the parts of a pool merge into that of the whole, so that firms can be scored part by
part, by the same numbers. The head of a pool, its firms with the best words, stands for the best
that there is: what is compared by text only for firms that can reach the top is held against it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zyz_match.matching import kernels
from zyz_match.matching.index import Index, groups, unit
from zyz_match.matching.query import Query
from zyz_match.matching.segment import (
    Asked,
    Bits,
    Floats,
    Ints,
    Mask,
    Segment,
    Whole,
    unpack,
    whole_weights,
)
from zyz_match.matching.threads import beside

HEAD = 1000  # active firms with the best words, ties by row
SEEDS = 8  # best firms by text whose common direction defines the peers; in a small pool fewer:
SEED_SHARE = 0.05  # at most this share of the pool
NEAR_KM = 1000.0  # distance at which place has lost 1 - 1/e of its value
AT_ONCE = 2  # blocks whose runs stay near by from the sums to the cover, and from town to town
TOWNS = 4  # towns in one pass: the more, the more memory
_PART = 32  # bits of a key that number a row; the others number the part of the pool


class Best(NamedTuple):
    """Best value of the active firms (0 or more), the sum of the known ones, and their number."""

    best: float
    total: float
    known: float

    @property
    def neutral(self) -> float:
        """The mean of the known ones as a share of the best."""
        return self.total / self.known / self.best if self.known and self.best > 0 else 0.0

    @classmethod
    def of(cls, values: Floats, firms: Floats) -> "Best":
        """Of values that each stand for so many active firms; NaN is unknown."""
        return cls(*kernels.best_of(values, firms))


@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """Some firms' latent rows as they are kept."""

    keys: Ints
    packed: npt.NDArray[np.uint8]
    scale: Floats

    @classmethod
    def of(cls, index: Index, rows: Ints) -> "Latent":
        """The latent rows of some firms of an index."""
        packed = np.empty((len(rows), index.segments[0].latent.shape[1]), np.uint8)
        scale = np.empty(len(rows), np.float32)
        for segment, here, some in index.by_segment(rows):
            packed[here], scale[here] = segment.latent[some], segment.latent_scale[some]
        return cls(rows, packed, scale)

    def near(self, vector: Floats) -> Floats:
        """Inner products with a vector of all directions."""
        out = np.empty(len(self.keys), np.float32)
        kernels.near_rows(self.packed, self.scale, np.arange(len(out)), vector, out)
        return out

    def mean(self, some: Ints) -> Floats:
        """The mean of some of the rows, of length one."""
        mean = unpack(self.packed[some], self.scale[some]).mean(axis=0)
        return unit(mean, len(mean))


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What one pool, or a part of it, tells of a town."""

    firms: int
    covered: Ints  # (terms,) firms that cover each
    words: Whole  # (head,) sums of words, best first
    covers: Mask  # (head, terms)
    head: Latent
    anchors: Latent
    bests: dict[str, Best]  # industry, place, capacity, marks

    @property
    def best_words(self) -> int:
        """The best sum of words of an active firm, 0 for none."""
        return int(self.words[0]) if len(self.words) else 0


class Seen:
    """One town's sums of words over an index, and who covers its terms.

    Its arrays are used again when it is gone: hold it, not them.
    """

    def __init__(self, index: Index, terms: int) -> None:
        def own(shape: int | tuple[int, ...], kind: type) -> Any:
            return index.scratch.owned(self, shape, kind)

        self.sums: Whole = own(index.size, np.int32)
        self.bits: list[Bits] = [own((terms, groups(len(s))), np.uint64) for s in index.segments]
        self.covered = np.zeros(terms, np.int64)  # firms that cover each
        self.head = np.empty(0, np.int64)  # rows of the firms with the best sums, best first


def merge(surveys: Sequence[Survey]) -> Survey:
    """The survey of a pool from those of its parts, in the order of the parts."""
    words = np.concatenate([s.words for s in surveys])
    best = np.argsort(-words.astype(np.int64), kind="stable")[:HEAD]
    head, anchors = (
        _joined([replace(x, keys=x.keys + (i << _PART)) for i, x in enumerate(some)])
        for some in ([s.head for s in surveys], [s.anchors for s in surveys])
    )
    names = dict.fromkeys(n for s in surveys for n in s.bests)
    return Survey(
        sum(s.firms for s in surveys), np.sum([s.covered for s in surveys], axis=0), words[best],
        np.concatenate([s.covers for s in surveys])[best],
        Latent(head.keys[best], head.packed[best], head.scale[best]), anchors,
        {n: _best([s.bests[n] for s in surveys if n in s.bests]) for n in names},
    )  # fmt: skip


def _joined(some: Sequence[Latent]) -> Latent:
    return Latent(
        np.concatenate([x.keys for x in some]), np.concatenate([x.packed for x in some]),
        np.concatenate([x.scale for x in some]),
    )  # fmt: skip


def _best(some: Sequence[Best]) -> Best:
    return Best(max(b.best for b in some), sum(b.total for b in some), sum(b.known for b in some))


def reads(query: Query, index: Index) -> tuple[int, int]:
    """N-gram entries that a town's whole score reads, and all bytes that it must read.

    These are the entries, and of every firm: the code of an n-gram that it uses once, industry and
    division, the sum of what it is and did, and whether it is active and allowed.
    """
    weights = np.zeros(len(query.columns), np.int32)
    found = [s.reads(s.ask(query.columns, weights)) for s in index.segments]
    of_firms = index.industry_of.nbytes + index.division_of.nbytes + 6 * index.size
    return sum(f[0] for f in found), sum(f[1] for f in found) + of_firms


def surveys(queries: Sequence[Query], index: Index) -> Iterator[tuple[Survey, Seen]]:
    """What an index tells of each town, some towns in one pass."""
    for low in range(0, len(queries), TOWNS):
        yield from _pass(queries[low : low + TOWNS], index)


def _pass(queries: Sequence[Query], index: Index) -> Iterator[tuple[Survey, Seen]]:
    """What an index tells of some towns; all but the last's arrays are free for the next pass."""
    seen = [Seen(index, len(q.cover.weights)) for q in queries]
    heads = [_look(queries, index, i, seen) for i in range(len(index.segments))]
    for query, rows in zip(queries, zip(*heads, strict=True), strict=True):
        one = seen.pop(0)
        yield _survey(query, index, one, np.concatenate(rows)), one


def _survey(query: Query, index: Index, seen: Seen, rows: Ints) -> Survey:
    """What was seen, with the best of the heads of all segments for a head."""
    rows = rows[np.lexsort((index.place_of(rows), -seen.sums[rows]))][:HEAD]
    seen.head = rows
    anchors = np.array(index.rows_of(query.town.anchors), dtype=np.int64)
    return Survey(
        len(index), seen.covered, seen.sums[rows], covers(index, seen, rows),
        Latent.of(index, rows), Latent.of(index, anchors), _bests(query, index),
    )  # fmt: skip


def _look(queries: Sequence[Query], index: Index, i: int, seen: Sequence[Seen]) -> list[Ints]:
    """Sum the words of one segment's firms and cover the terms; the rows of each town's head.

    The towns take turns with every few blocks, whose runs stay near by.
    """
    segment, start = index.segments[i], int(index.starts[i])
    here = slice(start, start + len(segment))
    tops = np.zeros((len(queries), groups(len(segment))), np.int32)
    asked, active = [_asked(q, index, segment) for q in queries], index.active[here]
    alive = index.kept(("alive", i), lambda: as_bits(index.alive[here]))

    def look(starts: Iterator[int]) -> list[Ints]:
        covered = [np.zeros_like(s.covered) for s in seen]
        for low in starts:
            few = range(low, min(low + AT_ONCE, segment.blocks))
            for j, query in enumerate(queries):
                segment.sum_words(asked[j], active, few, seen[j].sums[here], tops[j])
                if len(covered[j]):
                    segment.cover(query.cover, alive, few, seen[j].bits[i], covered[j])
        return covered

    starts = iter(range(0, segment.blocks, AT_ONCE))  # who has done its blocks takes the next ones
    for part in beside(look, starts, starts) if segment.blocks > AT_ONCE else (look(starts),):
        for one, covered in zip(seen, part, strict=True):
            one.covered += covered
    return [start + _head(one.sums[here], top, active) for one, top in zip(seen, tops, strict=True)]


def _asked(query: Query, index: Index, segment: Segment) -> Asked:
    weights = whole_weights(query.weights * index.features.words_.idf_[query.columns])
    return segment.ask(query.columns, weights)


def _head(sums: Whole, tops: Whole, active: Mask) -> Ints:
    """Rows of the `HEAD` best sums above 0; more when several are equal to the last."""
    if len(tops) > HEAD:
        least = max(1, int(np.partition(tops, len(tops) - HEAD)[len(tops) - HEAD]))
    else:
        least = 1
    some = np.flatnonzero(tops >= least)
    rows = np.empty(kernels.GROUP * len(some), np.int64)
    rows = rows[: kernels.rows_from(sums, active, some, least, rows)]
    if len(rows) > HEAD:
        values = sums[rows]
        rows = rows[values >= np.partition(values, len(values) - HEAD)[len(values) - HEAD]]
    return rows


def as_bits(mask: Mask) -> Bits:
    """A mask as a bit set, 64 to a word."""
    padded = np.zeros(groups(len(mask)) * kernels.GROUP, bool)
    padded[: len(mask)] = mask
    return np.packbits(padded, bitorder="little").view("<u8")


def covers(index: Index, seen: Seen, rows: Ints) -> Mask:
    """Which terms some firms cover (firms x terms)."""
    found = np.empty((len(rows), len(seen.bits[0])), bool)
    for i, (_, here, some) in enumerate(index.by_segment(rows)):
        few = np.empty((len(some), found.shape[1]), bool)
        kernels.read_covered(seen.bits[i], some, few)
        found[here] = few
    return found


def _bests(query: Query, index: Index) -> dict[str, Best]:
    found = {n: index.kept(("best", n), partial(_best_of_column, n, index)) for n in COLUMNS}
    industry, place = industries(query, index), places(query, index)
    if industry is not None:
        found["industry"] = Best.of(industry, index.active_by("industry_of"))
    if place is not None:
        found["place"] = Best.of(place, index.active_by("division_of"))
    return found


COLUMNS = ("capacity", "marks")


def _best_of_column(name: str, index: Index) -> Best:
    return Best.of(getattr(index, name), index.active.astype(np.float32))


def industries(query: Query, index: Index) -> Floats | None:
    """Nearness of every industry label to the town's targets, NaN for no label; None without."""
    if not query.targets:
        return None

    def nearest() -> Floats:
        near = [index.industry_nearness(t.code) * np.float32(t.weight) for t in query.targets]
        return np.asarray(np.max(near, axis=0), dtype=np.float32)

    return index.recent("industries", query.targets, nearest, TOWNS)


def places(query: Query, index: Index) -> Floats | None:
    """Nearness of every division to the town, NaN where unknown; None without a place."""
    if query.place is None:
        return None
    return np.asarray(np.exp(-index.distances(query.place) / NEAR_KM), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A town as it sees a whole pool: what every firm's text is held against."""

    best_words: int
    term_weights: Floats  # (terms,) weight x ln(1 + (n - df + .5) / (df + .5)); df of n cover it
    best_terms: float
    towards: Floats  # latent direction of the query
    best_latent: float
    peers: Floats | None  # common latent direction of the seeds; None without any
    best_peers: float
    seeds: Ints  # keys of the firms that define the peers: anchors, and the best by text
    bests: dict[str, Best]


def sight(query: Query, index: Index, found: Survey) -> Sight:
    """What a survey of the whole pool means for each firm; `index` may be any part of the pool."""
    weights = (
        query.cover.weights * np.log1p((found.firms - found.covered + 0.5) / (found.covered + 0.5))
    ).astype(np.float32)
    towards = index.latent_query(query.columns, query.weights)
    near = found.head.near(towards)
    best_latent = float(near.max(initial=0.0))
    peers, seeds = _peers(query, found, near, best_latent)
    best_terms = float((found.covers @ weights).max(initial=0.0)) if len(weights) else 0.0
    return Sight(
        found.best_words, weights, best_terms, towards, best_latent, peers,
        0.0 if peers is None else float(found.head.near(peers).max(initial=0.0)), seeds,
        found.bests,
    )  # fmt: skip


def _peers(
    query: Query, found: Survey, near: Floats, best_latent: float
) -> tuple[Floats | None, Ints]:
    """The common direction of the best firms by text and the anchors, and the keys of them all."""
    if not found.best_words or best_latent <= 0:
        return None, np.empty(0, np.int64)
    share = np.float32(query.latent_share)
    by_text = found.words / np.float32(found.best_words) + share * (near / np.float32(best_latent))
    most = max(1, min(SEEDS, round(SEED_SHARE * found.firms)))
    best = np.lexsort((found.head.keys, -by_text))[:most]
    both = _joined([
        Latent(found.head.keys[best], found.head.packed[best], found.head.scale[best]),
        found.anchors,
    ])  # fmt: skip
    keys, first = np.unique(both.keys, return_index=True)
    return both.mean(first), keys
