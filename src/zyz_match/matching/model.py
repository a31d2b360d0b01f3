"""The model weighs the components; a score is the sum of its contributions, exactly.

Without leads the weights are the prior below. Each live component gives at most its share of 100
points; a component that a town or a pool cannot be compared by is left out for all firms alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from zyz_match.domain import Town
from zyz_match.matching import kernels
from zyz_match.matching.index import Index
from zyz_match.matching.query import Query, prepare
from zyz_match.matching.similarity import Compared, compare

# Text 1 : .25 : latent share : .75 (words, terms, latent, peers) is flat around its best on listed
# firms (docs/quality.md); the latent weight is multiplied by the share that the length of the
# profile gives it. Structure and propensity are set by judgement until there are outcomes.
PRIOR: Mapping[str, float] = {
    "words": 26.0, "terms": 6.5, "latent": 26.0, "peers": 19.5, "industry": 10.0, "place": 3.0,
    "marks": 4.0, "capacity": 3.0, "activity": 0.5, "recency": 0.5, "rhythm": 0.0, "breadth": 0.0,
    "region": 8.0, "sector": 3.0, "both": 2.0, "partners": 2.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scores:
    """Every firm of an index scored for one town."""

    query: Query
    parts: list[Compared]
    points: npt.NDArray[np.float64]  # (parts,) what each part can give; sums to 100
    total: npt.NDArray[np.float64]  # (firms,) sum over parts of points x value

    def contribution(self, part: int, row: int) -> float:
        """Points of one part for one firm."""
        return float(self.points[part] * np.float64(self.parts[part].values[row]))

    def confidence(self, row: int) -> float:
        """Share of the points whose data the firm has, in [0, 1]."""
        known = sum(
            p for p, part in zip(self.points, self.parts, strict=True) if not part.missing[row]
        )
        return min(1.0, float(known) / 100)


@dataclass(frozen=True, slots=True)
class Model:
    """Weights of the components, under a version name."""

    weights: Mapping[str, float] = field(default_factory=lambda: dict(PRIOR))
    version: str = "prior-1"

    def score(self, town: Town, index: Index) -> Scores:
        """Score every firm of an index for a town."""
        query = prepare(town, index.features.words_)
        parts = compare(query, index, {n for n, w in self.weights.items() if w > 0})
        raw = np.array([self._weight(c.component.name, query) for c in parts], dtype=np.float64)
        points = 100 * raw / raw.sum() if len(raw) else raw
        total = np.zeros(len(index), dtype=np.float64)
        for first in range(0, len(parts), kernels.PARTS):
            some = [p.values for p in parts[first : first + kernels.PARTS]]
            shares = np.zeros(kernels.PARTS)
            shares[: len(some)] = points[first : first + kernels.PARTS]
            kernels.add_shares(*some, *some[:1] * (kernels.PARTS - len(some)), shares, total)
        return Scores(query, parts, points, total)

    def _weight(self, name: str, query: Query) -> float:
        return self.weights[name] * (query.latent_share if name == "latent" else 1.0)
