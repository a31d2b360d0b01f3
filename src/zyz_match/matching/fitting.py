"""Learning from leads: weights that start at the prior and leave it only as far as leads justify.

The prior's weights w0 get a slope, and then a departure, as the most probable ones (MAP):
within a town, firms that ended well should stand above those that ended worse (conditional logit,
McFadden 1974; graded ends compare with every worse one). A departure is normal around 0, with a
spread in proportion to the component's weight in the prior, and never takes a weight below 0,
since every component has a known direction.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize

from zyz_match.matching.examples import NAMES, Examples, Flags, Floats
from zyz_match.matching.model import PRIOR, Curve, Model

CURVE_AT = tuple(float(x) for x in np.round(np.linspace(0, 1, 33), 6))


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How much leads may say; each with its reason.

    town_votes, owner_votes: leads of one town, or of one person, saturate towards so many votes:
    they share one place, one year and one habit of work, and nobody's entries may take over.
    all_votes: the same for all leads together: they come out of one short time and one way of
    choosing whom to ask, and the next year differs by more than their number says.
    half_life_years: markets change; a lead of three years ago says half of what one of today says.
    spread: how far a weight may depart before much evidence has come together, as a share of
    itself at the usual slope; where the prior's score explains nothing, departures take over.
    opening: points of the prior by which components that it leaves at 0 may depart as well.
    slope, slope_spread: logits per point of the prior, within a factor of e either way.
    boost_from: good ends from which monotone boosting is tried as well.
    """

    town_votes: float = 2.0
    owner_votes: float = 10.0
    all_votes: float = 60.0
    half_life_years: float = 3.0
    spread: float = 0.3
    opening: float = 0.5
    slope: float = 0.2
    slope_spread: float = 1.0
    boost_from: int = 300


SETTINGS = TrainingSettings()


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the likelihood sums over: leads by town, in levels of the grade."""

    x: Floats
    town: np.ndarray[Any, np.dtype[np.int64]]
    votes: Floats  # (leads,) weight of a lead as a good end, 0 for the worst grade
    levels: list[tuple[Flags, Flags]] = field(default_factory=list)  # of this grade, and worse


def evidence_votes(examples: Examples, settings: TrainingSettings = SETTINGS) -> Floats:
    """Weight of every lead as a good end: grade and age, saturated by town and by person."""
    age = (examples.closed.max(initial=0) - examples.closed) / 365.25
    votes = examples.grade * 0.5 ** (age / settings.half_life_years)
    votes = _saturated(votes, examples.town, settings.town_votes)
    named = examples.owner >= 0
    votes[named] = _saturated(votes[named], examples.owner[named], settings.owner_votes)
    return _saturated(votes, np.zeros(len(votes), dtype=np.int64), settings.all_votes)


def _saturated(votes: Floats, group: np.ndarray[Any, Any], most: float) -> Floats:
    """Votes shrunk so that a group's sum V counts V x most / (V + most)."""
    if not len(votes):
        return votes
    sums = np.bincount(group, votes)
    return np.asarray(votes * (most / (sums + most))[group])


def _evidence(examples: Examples, settings: TrainingSettings) -> _Evidence:
    votes = evidence_votes(examples, settings)
    levels = [(examples.grade == g, examples.grade < g) for g in np.unique(examples.grade) if g > 0]
    return _Evidence(examples.values * examples.live, examples.town, votes, levels)


def _loss(beta: Floats, found: _Evidence) -> tuple[float, Floats]:
    """Negative log likelihood and its gradient at the coefficients of the components."""
    score = found.x @ beta
    value, pull = 0.0, np.zeros(len(score))
    for at, worse in found.levels:
        own, rest = np.flatnonzero(at), np.flatnonzero(worse)
        town, others = found.town[own], found.town[rest]
        top = np.full(int(found.town.max(initial=0)) + 1, -np.inf)
        np.maximum.at(top, others, score[rest])
        grown = np.exp(score[rest] - top[others])
        sums = np.bincount(others, grown, len(top))
        kept = sums[town] > 0  # a town without a worse lead compares nothing
        own, town, votes = own[kept], town[kept], found.votes[own[kept]]
        whole = np.logaddexp(top[town] + np.log(sums[town]), score[own])
        value += float(votes @ (whole - score[own]))
        pull[own] += votes * (np.exp(score[own] - whole) - 1)
        share = np.bincount(town, votes * np.exp(top[town] - whole), len(top))
        pull[rest] += share[others] * grown
    return value, found.x.T @ pull


def fit_map(examples: Examples, settings: TrainingSettings = SETTINGS) -> Model:
    """The most probable weights; the prior's own where no town has both better and worse ends.

    First the slope of the prior's score, then, beside it, the departures: both are convex.
    """
    prior = np.array([PRIOR[n] for n in NAMES])
    spread = settings.spread * settings.slope * (prior + settings.opening)
    found = _evidence(examples, settings)

    def slope_loss(z: Floats) -> tuple[float, Floats]:
        slope = settings.slope * np.exp(settings.slope_spread * z[0])
        value, pull = _loss(slope * prior, found)
        gradient = settings.slope_spread * slope * float(pull @ prior)
        return value + 0.5 * float(z @ z), np.array([gradient]) + z

    first = minimize(slope_loss, np.zeros(1), jac=True, method="L-BFGS-B", bounds=[(-4.0, 4.0)])
    start = settings.slope * float(np.exp(settings.slope_spread * first.x[0])) * prior

    def loss(z: Floats) -> tuple[float, Floats]:
        value, pull = _loss(start + spread * z, found)
        return value + 0.5 * float(z @ z), spread * pull + z

    bounds = [(-s / w, None) for s, w in zip(start, spread, strict=True)]
    best = minimize(loss, np.zeros(len(NAMES)), jac=True, method="L-BFGS-B", bounds=bounds)
    weights = np.maximum(0.0, start + spread * best.x)
    scaled = weights * prior.sum() / weights.sum()
    return Model({n: round(float(w), 6) for n, w in zip(NAMES, scaled, strict=True)}, "")


def fit_boosted(
    examples: Examples, seed: int, settings: TrainingSettings = SETTINGS
) -> Model | None:
    """Monotone boosting of one component at a time, as weights and curves; None for few leads.

    Trees that use one component each (no interactions) add up to one curve a component, so that
    the score stays an exact sum; the curve, read off at 33 places, is the model.
    """
    if examples.good.sum() < settings.boost_from or examples.good.all():
        return None
    from sklearn.ensemble import HistGradientBoostingClassifier  # heavy, and seldom needed
    from threadpoolctl import threadpool_limits

    counted = examples.values * (examples.live > 0)
    used = np.flatnonzero(counted.max(axis=0) > 0)
    weight = np.where(examples.good, evidence_votes(examples, settings), 1.0)
    weight[~examples.good] *= weight[examples.good].sum() / max(1, (~examples.good).sum())
    forest = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.05, min_samples_leaf=max(20, len(examples) // 100),
        l2_regularization=1.0, monotonic_cst=[1] * len(used), interaction_cst="no_interactions",
        early_stopping=False, random_state=seed,
    )  # fmt: skip
    with threadpool_limits(1):  # lists are ranked beside it
        trees = forest.fit(counted[:, used], examples.good, weight * 1000 / weight.sum())
    weights, curves = dict.fromkeys(NAMES, 0.0), dict[str, Curve]()
    for j, column in enumerate(used):
        grid = np.zeros((len(CURVE_AT), len(used)))
        grid[:, j] = CURVE_AT
        heights = np.maximum.accumulate(trees.decision_function(grid))
        rise = float(heights[-1] - heights[0])
        if rise > 1e-9:
            shape = np.round((heights - heights[0]) / rise, 9)
            weights[NAMES[column]] = rise
            curves[NAMES[column]] = (CURVE_AT, tuple(float(h) for h in shape))
    whole = sum(weights.values())
    if whole <= 0:
        return None
    scale = sum(PRIOR.values()) / whole
    return Model({n: round(w * scale, 6) for n, w in weights.items()}, "", curves)
