"""The model weighs the components; a score is the sum of its contributions, exactly.

Without leads the weights are the prior below. Each live component gives at most its share of 100
points; a component that a town or a pool cannot be compared by is left out for all firms alike.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zyz_match.domain import Chance, Town
from zyz_match.matching import kernels
from zyz_match.matching.calibration import Calibration
from zyz_match.matching.index import Index
from zyz_match.matching.query import Query, prepare
from zyz_match.matching.quick import Quick
from zyz_match.matching.segment import Ints, Mask, Whole
from zyz_match.matching.similarity import Compared, Component, Part, compare, look
from zyz_match.matching.survey import reads

Wide = npt.NDArray[np.float64]

# Text 1 : .25 : latent share : .75 (words, terms, latent, peers) is flat around its best on listed
# firms; region 8 : sector 3 : partners 2, with a trace of activity against ties, is flat around
# its best on real deals (docs/quality.md). The latent weight is multiplied by the share that the
# length of the profile gives it. The other weights are set by judgement until there are outcomes;
# a weight of 0 is a component that only outcomes can bring in.
PRIOR: Mapping[str, float] = {
    "words": 26.0, "terms": 6.5, "latent": 26.0, "peers": 19.5, "industry": 10.0, "place": 3.0,
    "marks": 4.0, "capacity": 3.0, "activity": 0.5, "recency": 0.5, "rhythm": 0.0, "breadth": 0.0,
    "region": 8.0, "sector": 3.0, "both": 2.0, "partners": 2.0,
}  # fmt: skip
PRIOR_VERSION = "prior-1"
LOOKS = 1  # towns compared last, kept for other weights and filters
FIRST, WIDER = 4, 16  # firms of the best quick scores for each one asked for; how it goes on
MANY = 64  # firms left by the quick look for each one asked for, from which a closer one pays
Curve = tuple[tuple[float, ...], tuple[float, ...]]  # values of a component, and what they count


@dataclass(frozen=True, slots=True)
class Model:
    """Weights of the components, under a version name.

    A curve bends a component's value in [0, 1] before it is weighed (piecewise linear, never
    falling); the score stays a sum. With a calibration, a score can be told as a chance.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: dict(PRIOR))
    version: str = PRIOR_VERSION
    curves: Mapping[str, Curve] = field(default_factory=dict)
    calibration: Calibration | None = None

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Equal for models that score alike."""
        return self.version, tuple(self.weights.items()), tuple(self.curves.items())

    def score(self, town: Town, index: Index) -> "Scores":
        """Score the firms of an index for a town."""
        query = prepare(town, index.features.words_)
        return self.weigh(index.recent("look", query, lambda: look(query, index), LOOKS))

    def weigh(self, found: Compared) -> "Scores":
        """Score the firms of an index for a town that was compared with them."""
        parts = compare(found, {n for n, w in self.weights.items() if w != 0})
        raw = np.array([self.weight(c.name, found.query) for c in parts], dtype=np.float64)
        return Scores(found, parts, raw, self)

    def weight(self, name: str, query: Query) -> float:
        """Weight of a component for one town."""
        return self.weights[name] * query.share(name)

    def bend(self, name: str, values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Values of a component as the model counts them."""
        curve = self.curves.get(name)
        return values if curve is None else np.interp(values, *curve).astype(values.dtype)

    def ceiling(self, name: str) -> float:
        """The most that a value of a component counts."""
        return max(self.curves[name][1]) if name in self.curves else 1.0


class Table(NamedTuple):
    """Some firms in full."""

    values: Wide  # (parts, firms) values in [0, 1] as the model counts them
    missing: Mask  # (parts, firms) whether the firm lacks the data
    total: Wide  # (firms,) sum over parts of points x value


class Head(NamedTuple):
    """The best firms, best first, ties by firm id."""

    rows: Ints
    total: Wide
    ahead: int  # allowed firms before the first of them


@dataclass(frozen=True)
class Scores:
    """The firms of an index scored for one town; what nobody asks for is not computed."""

    found: Compared
    parts: Mapping[Component, Part]
    raw: Wide  # (parts,) weights
    model: Model

    @property
    def query(self) -> Query:
        """The town."""
        return self.found.query

    @property
    def index(self) -> Index:
        """The firms."""
        return self.found.index

    @property
    def seeds(self) -> Ints:
        """Rows of the firms that define the peers."""
        return self.found.sight.seeds

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """What is compared, in the order of the parts."""
        return tuple(self.parts)

    @cached_property
    def points(self) -> Wide:
        """What each part can give; the absolute values sum to 100."""
        whole = np.abs(self.raw).sum()
        return 100 * self.raw / whole if whole > 0 else self.raw

    # some firms --------------------------------------------------------------------------------

    def table(self, rows: Sequence[int] | Ints) -> Table:
        """Some firms in full."""
        some = np.asarray(rows, dtype=np.int64)
        values = np.empty((len(self.parts), len(some)))
        missing = np.empty((len(self.parts), len(some)), dtype=bool)
        for i, (component, part) in enumerate(self.parts.items()):
            values[i] = self.model.bend(component.name, part.values(some))
            missing[i] = part.missing(some)
        return Table(values, missing, self._sum(values))

    def totals(self, rows: Ints) -> Wide:
        """Scores of some firms."""
        values = np.empty((len(self.parts), len(rows)))
        for i, (component, part) in enumerate(self.parts.items()):
            values[i] = self.model.bend(component.name, part.values(rows))
        return self._sum(values)

    def _sum(self, values: Wide) -> Wide:
        """Part by part, so that equal firms have equal scores whoever they are scored with."""
        total = np.zeros(values.shape[1])
        for points, some in zip(self.points, values, strict=True):
            total += points * some
        return total

    @cached_property
    def total(self) -> Wide:
        """Scores of all firms."""
        parts = range(0, max(self.index.size, 1), kernels.BLOCK)
        rows = np.arange(self.index.size)
        return np.concatenate([self.totals(rows[i : i + kernels.BLOCK]) for i in parts])

    def chance(self, total: float, confidence: float) -> Chance | None:
        """Chance that a lead would end well; None while the model knows too little to say."""
        if self.model.calibration is None:
            return None
        return self.model.calibration.chance(total, confidence)

    def confidence(self, missing: Mask) -> Wide:
        """Share of the points whose data are there, of each firm of a table, in [0, 1]."""
        known = np.zeros(missing.shape[1])
        for points, lacking in zip(np.abs(self.points), missing, strict=True):
            known += points * ~lacking  # part by part, as `_sum`
        return np.minimum(1.0, known / 100)

    # the best ----------------------------------------------------------------------------------

    @cached_property
    def quick(self) -> Quick:
        """A quick look at all firms."""
        return Quick(self)

    @property
    def work(self) -> dict[str, int]:
        """What the last list took: n-gram entries and bytes read, firms scored wholly."""
        postings, read = reads(self.query, self.index)
        return {"postings": postings, "bytes": read, "candidates": self.quick.scored}

    def best(self, k: int, allowed: Mask, after: tuple[float, str] | None = None) -> Head:
        """The k best allowed firms, fewer when there are fewer; `after` is (score, firm_id).

        Whoever is allowed must be active.

        Exact: a firm is left out unseen only when even the most that it lacks would not do.
        """
        size, head = FIRST * k, self.found.seen.head
        head = np.sort(head[allowed[head]][:size])  # rows in order lie nearer to each other
        enough = self._kth(k, head, self.totals(head), after)
        rows, quick = self.quick.look(allowed, self.quick.least(enough))
        while size < len(rows) and (enough == -np.inf or len(rows) > MANY * k):
            best = np.sort(np.argpartition(-quick, size)[:size])
            enough = max(enough, self._kth(k, rows[best], self.totals(rows[best]), after))
            if enough > -np.inf:
                break
            size *= WIDER
        rows = self.quick.left(rows, quick, enough)
        self.quick.scored = len(head) + len(rows)
        return self._head(k, rows, self.totals(rows), after)

    def _kth(self, k: int, rows: Ints, total: Wide, after: tuple[float, str] | None) -> float:
        """The k-th best score behind (score, firm_id); -inf when there are fewer."""
        behind = total[self._behind(rows, total, after)]
        return (
            float(np.partition(behind, len(behind) - k)[len(behind) - k])
            if len(behind) >= k
            else -np.inf
        )

    def _head(self, k: int, rows: Ints, total: Wide, after: tuple[float, str] | None) -> Head:
        behind = self._behind(rows, total, after)
        ahead = len(rows) - int(np.count_nonzero(behind))
        rows, total = rows[behind], total[behind]
        order = self.index.by_id(rows)
        rows, total = rows[order], total[order]
        places = np.empty(min(k, len(total)), np.int64)
        kernels.best_rows(total, places, np.empty(len(places)))
        places.sort()
        places = places[np.argsort(-total[places], kind="stable")]
        return Head(rows[places], total[places], ahead)

    def _behind(self, rows: Ints, total: Wide, after: tuple[float, str] | None) -> Mask:
        """Which of some firms stand behind (score, firm_id)."""
        if after is None:
            return np.ones(len(rows), dtype=bool)
        behind: Mask = total < after[0]
        equal = np.flatnonzero(total == after[0])
        ids = self.index.texts("firm_id", rows[equal])
        behind[equal] = [firm_id > after[1] for firm_id in ids]
        return behind

    def places(self) -> Whole:
        """Place of every firm among all of the index, from 0, best first, ties by firm id."""
        order = self.index.by_id(np.arange(self.index.size))
        order = order[np.argsort(-self.total[order], kind="stable")]
        places = np.empty(len(order), np.int32)
        places[order] = np.arange(len(order), dtype=np.int32)
        return places
