"""The model weighs the components; a score is the sum of its contributions, exactly.

Without leads the weights are the prior below. Each live component gives at most its share of 100
points; a component that a town or a pool cannot be compared by is left out for all firms alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from zyz_match.domain import Chance, Town
from zyz_match.matching import kernels
from zyz_match.matching.calibration import Calibration
from zyz_match.matching.index import Index
from zyz_match.matching.query import Query, prepare
from zyz_match.matching.similarity import Compared, compare

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
Curve = tuple[tuple[float, ...], tuple[float, ...]]  # values of a component, and what they count


@dataclass(frozen=True, slots=True)
class Scores:
    """Every firm of an index scored for one town."""

    query: Query
    parts: list[Compared]
    points: npt.NDArray[np.float64]  # (parts,) what each part can give; sums to 100
    total: npt.NDArray[np.float64]  # (firms,) sum over parts of points x value
    calibration: Calibration | None = None

    def contribution(self, part: int, row: int) -> float:
        """Points of one part for one firm."""
        return float(self.points[part] * np.float64(self.parts[part].values[row]))

    def chance(self, row: int) -> Chance | None:
        """Chance that a lead would end well; None while the model knows too little to say."""
        if self.calibration is None:
            return None
        return self.calibration.chance(float(self.total[row]), self.confidence(row))

    def confidence(self, row: int) -> float:
        """Share of the points whose data the firm has, in [0, 1]."""
        known = sum(
            p for p, part in zip(self.points, self.parts, strict=True) if not part.missing[row]
        )
        return min(1.0, float(known) / 100)


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

    def score(self, town: Town, index: Index) -> Scores:
        """Score every firm of an index for a town."""
        query = prepare(town, index.features.words_)
        wanted = {n for n, w in self.weights.items() if w > 0}
        parts = [self._bent(c) for c in compare(query, index, wanted)]
        raw = np.array([self.weight(c.component.name, query) for c in parts], dtype=np.float64)
        points = 100 * raw / raw.sum() if len(raw) else raw
        total = np.zeros(len(index), dtype=np.float64)
        for first in range(0, len(parts), kernels.PARTS):
            some = [p.values for p in parts[first : first + kernels.PARTS]]
            shares = np.zeros(kernels.PARTS)
            shares[: len(some)] = points[first : first + kernels.PARTS]
            kernels.add_shares(*some, *some[:1] * (kernels.PARTS - len(some)), shares, total)
        return Scores(query, parts, points, total, self.calibration)

    def weight(self, name: str, query: Query) -> float:
        """Weight of a component for one town."""
        return self.weights[name] * query.share(name)

    def bend(self, name: str, values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Values of a component as the model counts them."""
        curve = self.curves.get(name)
        return values if curve is None else np.interp(values, *curve).astype(values.dtype)

    def _bent(self, part: Compared) -> Compared:
        if part.component.name not in self.curves:
            return part
        return replace(part, values=self.bend(part.component.name, part.values))
