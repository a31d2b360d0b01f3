"""From a score to the chance that a lead ends well, with an honest interval, or nothing at all."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from zyz_match.domain import Chance

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
LEAST = 30  # leads that ended well, and that ended badly, below which no chance is told
Z90 = 1.6448536269514722  # the normal quantile of .95
KNOWN = 0.05  # share of the points whose data a firm must have for a chance of its own
BINS = 10
CUTS = (0.4, 0.5, 0.6, 0.7, 0.8)  # where the leads are cut into earlier and later ones
UNTRIED = 4.0  # the widening where there are too few leads to try it
_EDGE = 1e-3  # scores nearer to 0 or 100 % than this count as this
_RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Calibration:
    """A curve over scores: logit p = c + a ln(s) - b ln(1 - s) for a score of 100 s points.

    Beta calibration (Kull, Silva Filho and Flach 2017), a and b not negative. `covariance` is that
    of (c, a, b), raised so far that later leads would have lain in what earlier ones told.
    """

    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    base: Chance  # how often leads end well at all

    def chance(self, score: float, confidence: float) -> Chance:
        """Chance and 90 % interval of a score; the base rate where nothing is known of the firm."""
        if confidence < KNOWN:
            return self.base
        x = _features(np.array([score]))[0]
        middle = float(x @ np.array(self.coefficients))
        spread = Z90 * float(np.sqrt(x @ np.array(self.covariance) @ x))
        low, value, high = expit([middle - spread, middle, middle + spread])
        return Chance(float(value), float(low), float(high))


def calibrate(scores: Floats, good: Flags, closed: Ints) -> Calibration | None:
    """Fit the curve on ended leads; None when too few ended well or badly, or it says nothing.

    `closed` is the day on which each lead ended.
    """
    if good.sum() < LEAST or (~good).sum() < LEAST:
        return None
    fitted = _fit(_features(scores), good)
    if fitted is None:
        return None
    beta, covariance = fitted
    widened = covariance * _widening(scores, good, closed)
    rows = tuple(tuple(float(v) for v in row) for row in widened)
    return Calibration(tuple(float(b) for b in beta), rows, base_rate(good))


def _fit(x: Floats, good: Flags) -> tuple[Floats, Floats] | None:
    """Coefficients and their covariance; None for a curve that would not rise."""
    free = [0, 1, 2]
    beta = _newton(x, good)
    if (beta[1:] < 0).any():  # as the paper does: without the term that would turn the curve
        free = [0, 1] if beta[1] >= beta[2] else [0, 2]
        beta = np.zeros(3)
        beta[free] = _newton(x[:, free], good)
    if beta[1:].max() <= 0 or beta[1:].min() < 0:
        return None
    covariance = np.zeros((3, 3))
    covariance[np.ix_(free, free)] = np.linalg.inv(_information(x[:, free], expit(x @ beta)))
    return beta, covariance


def _widening(scores: Floats, good: Flags, closed: Ints) -> float:
    """The factor, at least 1, by which the variance must grow to cover nine of ten later bins.

    Earlier leads tell the later ones at several cuts in time (split conformal in spirit, Vovk et
    al. 2005): towns that hang together, a curve of the wrong shape and drifting years all count.
    """
    needed = []
    for share in CUTS:
        earlier = closed < np.quantile(closed, share)
        if min(_scarce(good[earlier]), _scarce(good[~earlier])) < BINS:
            continue
        fitted = _fit(_features(scores[earlier]), good[earlier])
        if fitted is not None:
            needed += _factors(*fitted, _features(scores[~earlier]), good[~earlier])
    return max(1.0, float(np.quantile(needed, 0.9))) if needed else UNTRIED


def _scarce(good: Flags) -> int:
    return int(min(good.sum(), (~good).sum()))


def _factors(beta: Floats, covariance: Floats, x: Floats, good: Flags) -> list[float]:
    """By bin, the factor of the curve's variance that would just cover the bin."""
    p = expit(x @ beta)
    found = []
    for b in _bins(p, 2 * BINS):
        slope = (x[b] * (p[b] * (1 - p[b]))[:, None]).mean(axis=0)
        own = float(slope @ covariance @ slope)
        sampling = float((p[b] * (1 - p[b])).sum()) / len(b) ** 2
        gap = float(good[b].mean() - p[b].mean())
        found.append(max(0.0, (gap / Z90) ** 2 - sampling) / max(own, 1e-12))
    return found


def _features(scores: Floats) -> Floats:
    share = np.clip(scores / 100, _EDGE, 1 - _EDGE)
    return np.column_stack([np.ones(len(share)), np.log(share), -np.log1p(-share)])


def _information(x: Floats, p: Floats) -> Floats:
    return np.asarray((x * (p * (1 - p))[:, None]).T @ x + _RIDGE * np.eye(x.shape[1]))


def _newton(x: Floats, good: Flags) -> Floats:
    """Logistic regression by Newton's method."""
    beta = np.zeros(x.shape[1])
    beta[0] = logit(good.mean())
    for _ in range(100):
        p = expit(x @ beta)
        pull = x.T @ (good - p) - _RIDGE * beta
        step = np.clip(np.linalg.solve(_information(x, p), pull), -2, 2)
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    return beta


def base_rate(good: Flags) -> Chance:
    """Share of leads that ended well, with its 90 % Wilson interval (1927)."""
    n, p = len(good), float(good.mean())
    middle = (p + Z90**2 / (2 * n)) / (1 + Z90**2 / n)
    half = Z90 / (1 + Z90**2 / n) * float(np.sqrt(p * (1 - p) / n + Z90**2 / (4 * n**2)))
    return Chance(p, middle - half, middle + half)


def brier(chances: Floats, good: Flags) -> float:
    """Mean squared error of chances (Brier 1950)."""
    return float(((chances - good) ** 2).mean())


def _bins(chances: Floats, bins: int) -> list[npt.NDArray[np.int64]]:
    order: npt.NDArray[Any] = np.argsort(chances, kind="stable")
    return [part for part in np.array_split(order, bins) if len(part)]


def calibration_error(chances: Floats, good: Flags, bins: int = BINS) -> float:
    """Mean gap between chance and share of good ends over bins of one size (Naeini et al. 2015)."""
    gaps = [len(b) * abs(chances[b].mean() - good[b].mean()) for b in _bins(chances, bins)]
    return float(sum(gaps) / len(chances))


def coverage(told: list[Chance], good: Flags, bins: int = 2 * BINS) -> float:
    """Share of bins of one size whose share of good ends lies in the 90 % interval told.

    The interval of a bin is that of its chances, widened by the chance of so few leads.
    """
    middle = np.array([c.value for c in told])
    spread = np.array([(c.high - c.low) / (2 * Z90) for c in told])
    inside = []
    for b in _bins(middle, bins):
        sampling = float((middle[b] * (1 - middle[b])).sum()) / len(b) ** 2
        reach = Z90 * np.sqrt(spread[b].mean() ** 2 + sampling)
        inside.append(abs(good[b].mean() - middle[b].mean()) <= reach)
    return float(np.mean(inside))
