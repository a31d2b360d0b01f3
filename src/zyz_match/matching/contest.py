"""Which of two models is better: both ranked the same newest leads, which neither has seen.

A lead that ended well counts 1 / log2(1 + its rank among the town's newest leads that ended worse)
(its share of a DCG, Järvelin and Kekäläinen 2002), so that the head of a list counts most.
Differences are paired by lead and resampled by town.
"""

import numpy as np

from zyz_match.matching.examples import Examples, Floats
from zyz_match.matching.metrics import Interval, bootstrap
from zyz_match.matching.model import Model

NEWEST = 0.3  # share of the leads, the last to close, that a challenger is judged on
RESAMPLED = 10  # towns from which towns, not leads, are resampled
LEAST_GOOD, LEAST_BAD, LEAST_TOWNS = 8, 8, 2  # fewer than these decide nothing


def split(examples: Examples) -> tuple[Examples, Examples]:
    """Older and newest leads; leads that closed on one day stay together."""
    order = np.argsort(examples.closed, kind="stable")
    cut = int(np.floor((1 - NEWEST) * len(order)))
    if cut >= len(order):
        return examples, examples.only(slice(0, 0))
    day = examples.closed[order[cut]]
    return examples.only(examples.closed < day), examples.only(examples.closed >= day)


def lacking(newest: Examples) -> str:
    """Chinese: what is missing before a challenger can be judged, "" when it is enough."""
    good, bad = int(newest.good.sum()), int((~newest.good).sum())
    towns = len(_comparable_towns(newest))
    wants = [
        f"{what}至少 {least} {unit}，现有 {have} {unit}"
        for what, least, have, unit in (
            ("较好结果的线索", LEAST_GOOD, good, "条"), ("无果的线索", LEAST_BAD, bad, "条"),
            ("两种结果都有的专业镇", LEAST_TOWNS, towns, "个"),
        )
        if have < least
    ]  # fmt: skip
    return "最新线索中" + "；".join(wants) if wants else ""


def _comparable_towns(leads: Examples) -> set[int]:
    return set(leads.town[leads.good]) & set(leads.town[~leads.good])


def gains(model: Model, leads: Examples) -> tuple[Floats, Floats]:
    """Gain of every lead that ended well and can be compared, and the town of each."""
    score = leads.totals(model)
    found, towns = [], []
    for town in sorted(_comparable_towns(leads)):
        here = leads.town == town
        bad = score[here & ~leads.good]
        good = score[here & leads.good]
        above = (bad[None, :] > good[:, None]).sum(axis=1) + 0.5 * (
            bad[None, :] == good[:, None]
        ).sum(axis=1)
        found.append(1 / np.log2(2 + above))
        towns.append(np.full(len(good), town, dtype=np.float64))
    if not found:
        return np.empty(0), np.empty(0)
    return np.concatenate(found), np.concatenate(towns)


def paired(one: Model, other: Model, leads: Examples, seed: int = 0) -> Interval:
    """Mean gain of one model less that of the other, and its 95 % interval.

    Ten towns or more are resampled whole, so that no town decides alone; of fewer, the leads are.
    """
    (first, towns), (second, _) = gains(one, leads), gains(other, leads)
    many = len(np.unique(towns)) >= RESAMPLED
    return bootstrap(first - second, seed=seed, groups=towns if many else None)
