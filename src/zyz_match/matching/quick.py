"""A first, quick look at every firm, so that only those that can reach the top are scored wholly.

A quick score is the whole score without terms, latent and peers, which need a firm's own rows of
the index; none of them can add more than its points.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zyz_match.matching import kernels
from zyz_match.matching.index import groups
from zyz_match.matching.segment import Floats, Ints, Mask, Whole
from zyz_match.matching.similarity import TOWNLESS, Column, Labelled, Scattered, Words
from zyz_match.matching.threads import beside

if TYPE_CHECKING:
    from zyz_match.matching.model import Scores

LACKING = ("latent", "peers", "terms")  # what a quick score lacks, what prunes most first
SLACK = 1e-3  # points that the rounding of quick scores may come to
_FINE = 1 << 20  # steps of a bent value of words
_NOTHING = np.zeros(1, np.float32)


class Quick:
    """The quick scores of one town; `rest` is the most that a whole score is above them."""

    def __init__(self, scores: "Scores") -> None:
        self.scores, self.index = scores, scores.index
        self.scored = 0  # firms that the last list scored wholly
        self.points = {
            c.name: float(p) for c, p in zip(scores.components, scores.points, strict=True)
        }
        self.parts = {c.name: part for c, part in scores.parts.items()}
        self.rest = SLACK + sum(
            max(0.0, self.points[n]) * scores.model.ceiling(n) for n in LACKING if n in self.parts
        )
        self.arrays = (*self._words(), *self._labelled("industry"), *self._labelled("place"),
                       self._base())  # fmt: skip

    def tops(self, allowed: Mask) -> Floats:
        """The best quick score of the allowed ones of every group of firms."""
        tops = np.empty(groups(self.index.size), np.float32)

        def look(some: range) -> None:
            kernels.quick_tops(*self.arrays, allowed, some.start, some.stop, tops)

        half = len(tops) // 2
        beside(look, range(half), range(half, len(tops)))
        return tops

    def rows(self, allowed: Mask, tops: Floats, least: float, below: float, enough: float) -> Ints:
        """The allowed rows with a quick score in [least, below) that may come to a whole `enough`.

        What the quick score lacks is looked at part by part, each time of those left, in order.
        """
        most = kernels.GROUP * int(np.count_nonzero(tops >= np.float32(least)))
        rows, known = np.empty(most, np.int64), np.empty(most, np.float32)
        bounds = np.float32(least), np.float32(min(below, -float(kernels.NONE)))
        size = kernels.quick_rows(*self.arrays, allowed, tops, *bounds, rows, known)
        rows, known, rest = rows[:size], known[:size].astype(np.float64), self.rest
        for name in LACKING if enough > -np.inf else ():
            if name in self.parts:
                values = self.scores.model.bend(name, self.parts[name].values(rows))
                known = known + self.points[name] * values
                rest -= max(0.0, self.points[name]) * self.scores.model.ceiling(name)
                left = known >= enough - rest
                rows, known = rows[left], known[left]
        return rows

    @property
    def _zeros(self) -> Whole:
        return self.index.kept(("zeros",), lambda: np.zeros(self.index.size, np.int32))

    def _words(self) -> tuple[Whole, Floats]:
        part, points = self.parts.get("words"), self.points.get("words", 0.0)
        scale = float(np.abs(self.scores.raw).sum()) or 1.0
        if not isinstance(part, Words):
            return self._zeros, np.array([0, 0, 100 / scale], np.float32)
        sums, best = part.sums, part.best
        if "words" in self.scores.model.curves:
            bent = self.scores.model.bend("words", (sums / np.float64(best)).clip(0, 1))
            sums, best = np.rint(bent * _FINE).astype(np.int32), _FINE
        return sums, np.array([1 / best, points, 100 / scale], np.float32)

    def _labelled(self, name: str) -> tuple[Floats, Whole]:
        part = self.parts.get(name)
        if not isinstance(part, Labelled):
            return _NOTHING, self._zeros
        table = self.points[name] * self.scores.model.bend(name, part.table)
        return table.astype(np.float32), part.labels

    def _base(self) -> Floats:
        """Weight x value of what a firm is and did, added up."""
        model = self.scores.model
        same = {n: model.weights[n] for n in sorted(TOWNLESS & self.parts.keys())}
        curves = tuple((n, model.curves[n]) for n in same if n in model.curves)
        key = ("base", tuple(same.items()), curves)
        base: Floats = self.index.recent(key, partial(self._added, same, None))
        own = {
            n: model.weights[n]
            for n, part in self.parts.items()
            if isinstance(part, Scattered) and n not in TOWNLESS
        }
        return self._added(own, base.copy()) if own else base

    def _added(self, weights: dict[str, float], base: Floats | None) -> Floats:
        if base is None:
            base = np.zeros(self.index.size, np.float32)
        for name, weight in weights.items():
            part: Any = self.parts[name]
            if isinstance(part, Column):
                base += np.float32(weight) * self.scores.model.bend(name, part.whole)
            else:
                values = self.scores.model.bend(name, part.found.values)
                zero = self.scores.model.bend(name, np.zeros(1))[0]
                base += np.float32(weight * zero)
                base[part.found.rows] += (weight * (values - zero)).astype(np.float32)
        return base
