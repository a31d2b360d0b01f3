"""A first, quick look at every firm, so that only those that can reach the top are scored wholly.

A quick score is the whole score without terms, latent and peers, which need a firm's own rows of
the index; none of them can add more than its points.
"""

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from zyz_match.matching import kernels
from zyz_match.matching.segment import Floats, Ints, Mask, Whole
from zyz_match.matching.similarity import Column, Labelled, Scattered, Words
from zyz_match.matching.threads import beside

if TYPE_CHECKING:
    from zyz_match.matching.model import Scores

LACKING = ("latent", "peers", "terms")  # what a quick score lacks, what prunes most first
SLACK = 1e-3  # points that the rounding of quick scores may come to
_NOTHING = np.zeros(1, np.float32)


class Quick:
    """The quick scores of one town; `rest` is the most that a whole score is above them."""

    def __init__(self, scores: "Scores") -> None:
        self.model, self.index = scores.model, scores.index  # not the scores: they hold this
        self.scored = 0  # firms that the last list scored wholly
        self.points = {
            c.name: float(p) for c, p in zip(scores.components, scores.points, strict=True)
        }
        self.parts = {c.name: part for c, part in scores.parts.items()}
        self.rest = SLACK + sum(
            max(0.0, self.points[n]) * self.model.ceiling(n) for n in LACKING if n in self.parts
        )
        self.scale = 100 / (float(np.abs(scores.raw).sum()) or 1.0)  # points of a weight of 1
        rows, points, usual = self._recorded()
        place, places = self._labelled("place")
        self.arrays = (*self._words(), *self._labelled("industry"), place + usual, places,
                       self._base(), rows, points)  # fmt: skip

    def least(self, enough: float) -> np.float32:
        """The quick score that a firm must have to come to a whole score of `enough`."""
        return np.float32(max(enough - self.rest, float(kernels.NONE)))

    def left(self, rows: Ints, quick: Floats, enough: float) -> Ints:
        """Those of some rows that may come to a whole score of `enough`.

        What the quick score lacks is looked at part by part, each time of those left.
        """
        if enough == -np.inf:
            return rows
        parts = range(0, len(rows) or 1, kernels.BLOCK)
        return np.concatenate([
            self._left(rows[i : i + kernels.BLOCK], quick[i : i + kernels.BLOCK], enough)
            for i in parts
        ])  # fmt: skip

    def _left(self, rows: Ints, quick: Floats, enough: float) -> Ints:
        some = quick >= self.least(enough)
        rows, known, rest = rows[some], quick[some].astype(np.float64), self.rest
        for name in LACKING:
            if name in self.parts:
                values = self.model.bend(name, self.parts[name].values(rows))
                known = known + self.points[name] * values
                rest -= max(0.0, self.points[name]) * self.model.ceiling(name)
                some = known >= enough - rest
                rows, known = rows[some], known[some]
        return rows

    def look(self, allowed: Mask, least: np.float32) -> tuple[Ints, Floats]:
        """The allowed rows whose quick score is at least so much, with the scores."""

        def scan(low: int, high: int) -> tuple[Ints, Floats]:
            lent = self.index.scratch.lent
            with lent(high - low, np.int32) as rows, lent(high - low, np.float32) as known:
                size = kernels.quick_rows(*self.arrays, allowed, low, high, least, rows, known)
                return rows[:size].astype(np.int64), known[:size].copy()

        half = self.index.size // 2
        one, other = beside(lambda part: scan(*part), (0, half), (half, self.index.size))
        return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])

    @property
    def _zeros(self) -> Whole:
        return self.index.kept(("zeros",), lambda: np.zeros(self.index.size, np.int32))

    def _words(self) -> tuple[Whole, Floats, Floats, Floats]:
        """Sums of words, by what they and the base are multiplied, and how they are bent."""
        part, points = self.parts.get("words"), self.points.get("words", 0.0)
        at, slopes, none = self._curve("words")
        sums, share = self._zeros, [0.0, 0.0, self.scale, none]
        if isinstance(part, Words):
            sums, share[:2] = part.seen.sums, [1 / part.best, points]
        return sums, np.array(share, np.float32), at, slopes

    def _curve(self, name: str) -> tuple[Floats, Floats, float]:
        """Where the curve of a component bends, the changes of its slope there, and its begin."""
        at, counts = self.model.curves.get(name, ((0.0, 1.0), (0.0, 1.0)))
        slopes = np.diff(np.append(0.0, np.diff(counts) / np.diff(at)))
        return np.array(at, np.float32), np.array(slopes, np.float32), counts[0]

    def _labelled(self, name: str) -> tuple[Floats, Whole]:
        part = self.parts.get(name)
        if not isinstance(part, Labelled):
            return _NOTHING, self._zeros
        table = self.points[name] * self.model.bend(name, part.table)
        return table.astype(np.float32), part.labels

    def _base(self) -> Floats:
        """Weight x value of the columns, which are the same whoever asks, added up."""
        model = self.model
        columns = {n: part for n, part in self.parts.items() if isinstance(part, Column)}
        weights = tuple((n, model.weights[n]) for n in columns)
        curves = tuple((n, model.curves[n]) for n in columns if n in model.curves)
        base: Floats = self.index.recent("base", (weights, curves), lambda: self._added(columns))
        return base

    def _added(self, columns: Mapping[str, Column]) -> Floats:
        base = np.zeros(self.index.size, np.float32)
        for name, column in columns.items():
            at, slopes, none = self._curve(name)
            share = np.array([self.model.weights[name], none], np.float32)
            kernels.add_column(
                column.numbers, column.best, column.neutral, share, at, slopes, base
            )  # fmt: skip
        return base

    def _recorded(self) -> tuple[Ints, Floats, np.float32]:
        """The rows and points of the firms that have records, and the points of none."""
        own = {n: part.found for n, part in self.parts.items() if isinstance(part, Scattered)}
        some = [found.rows for found in own.values()] or [np.empty(0, np.int64)]
        rows = reduce(np.union1d, some)
        points, none = np.zeros(len(rows)), 0.0
        for name, found in own.items():
            zero = self.points[name] * float(self.model.bend(name, np.zeros(1))[0])
            values = self.points[name] * self.model.bend(name, found.values)
            points[np.searchsorted(rows, found.rows)] += values - zero
            none += zero
        return rows, points.astype(np.float32), np.float32(none)
