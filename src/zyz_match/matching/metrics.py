"""How good is a ranking: nDCG, recall, paired bootstrap intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Truth = Mapping[str, Mapping[str, float]]  # town id -> firm id -> gain
Run = Mapping[str, Sequence[str]]  # town id -> firm ids, best first
DRAWS = 2000


def ndcg(gains: Mapping[str, float], ranked: Sequence[str], k: int = 10) -> float:
    """nDCG@k of one list with gains 2^g - 1 (Burges et al. 2005); 0 without a positive gain."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    best = np.sort(np.array(list(gains.values()), dtype=np.float64))[::-1][:k]
    found = np.array([gains.get(f, 0.0) for f in ranked[:k]], dtype=np.float64)
    ideal = float(((2**best - 1) * discount[: len(best)]).sum())
    return float(((2**found - 1) * discount[: len(found)]).sum()) / ideal if ideal > 0 else 0.0


def recall(gains: Mapping[str, float], ranked: Sequence[str], k: int = 50) -> float:
    """Share of the top-gain firms among the first k, of min(their number, k)."""
    top = max(gains.values(), default=0.0)
    wanted = {f for f, g in gains.items() if g == top and g > 0}
    return len(wanted & set(ranked[:k])) / min(len(wanted), k) if wanted else 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: npt.NDArray[np.float64],
    draws: int = DRAWS,
    seed: int = 0,
    groups: npt.NDArray[np.float64] | None = None,
) -> Interval:
    """Mean of values and its percentile bootstrap interval (Efron 1979).

    Values are resampled, or with `groups` (a label a value) whole groups of them.
    """
    if not len(values):
        return Interval(0.0, 0.0, 0.0)
    number = np.arange(len(values))
    if groups is not None:
        number = np.unique(groups, return_inverse=True)[1]
    sums, sizes = np.bincount(number, values), np.bincount(number)
    picked = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    means = sums[picked].sum(axis=1) / sizes[picked].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high))


@dataclass(frozen=True, slots=True)
class Scored:
    """A run against a truth: one value a town, in the truth's order (a missing town scores 0)."""

    name: str
    ndcg10: npt.NDArray[np.float64]
    recall50: npt.NDArray[np.float64]


def score_run(name: str, truth: Truth, run: Run) -> Scored:
    """nDCG@10 and recall@50 of every town of the truth."""
    lists = {t: list(dict.fromkeys(run.get(t, ()))) for t in truth}
    return Scored(
        name,
        np.array([ndcg(gains, lists[t]) for t, gains in truth.items()]),
        np.array([recall(gains, lists[t]) for t, gains in truth.items()]),
    )
