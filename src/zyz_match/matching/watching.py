"""Watching what goes on: drift, who is shown how much, which model made the lists."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from zyz_match.matching import contest
from zyz_match.matching.examples import NAMES, Examples, Floats
from zyz_match.matching.similarity import NAMED
from zyz_match.matching.training_card import sufficiency

BINS = 10
SURE = 0.99  # chance that clean data of these sizes stay below the limit
LEAST = 30  # values on either side below which nothing is said of drift
SCORES = "score"


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the newest values of one quantity have moved from the earlier ones."""

    name: str
    label: str  # Chinese
    psi: float
    limit: float  # what clean data of these sizes stay below with a chance of SURE
    before: int
    now: int

    @property
    def fired(self) -> bool:
        """Whether the move is more than chance."""
        return self.psi > self.limit


@dataclass(frozen=True, slots=True)
class Exposure:
    """How much of everything shown was shown for a town, beside its share of good ends."""

    town_id: str
    lists: int
    share: float  # of all items shown, an item at rank r counting 1 / log2(1 + r)
    merit: float | None  # share of all good ends; None while there are none


@dataclass(frozen=True, slots=True)
class Watch:
    """Everything that is watched, at one moment."""

    drifts: tuple[Drift, ...]
    exposure: tuple[Exposure, ...]
    models: Mapping[str, float]  # version -> share of the lists
    sufficiency: str  # Chinese


def drift(name: str, label: str, before: Floats, now: Floats) -> Drift | None:
    """Population stability index over the earlier values' deciles, and its limit.

    Of clean data PSI is about (1/n + 1/m) chi-square of (bins - 1) degrees (Yurdakul and Naranjo
    2020): the limit follows the sizes, since a fixed one cries wolf on small samples. None when
    either side is too small or all values are the same.
    """
    if min(len(before), len(now)) < LEAST:
        return None
    edges = np.unique(np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1]))
    if not len(edges) or before.min() == before.max():
        return None
    from scipy.stats import chi2  # heavy, and needed here only

    counts = [
        np.bincount(np.searchsorted(edges, v), minlength=len(edges) + 1) for v in (before, now)
    ]
    held = counts[0] + counts[1] > 0
    shares = [(c[held] + 0.5) / (c[held] + 0.5).sum() for c in counts]
    psi = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    limit = float(chi2.ppf(SURE, max(1, held.sum() - 1))) * (1 / len(before) + 1 / len(now))
    return Drift(name, label, psi, limit, len(before), len(now))


def watch(examples: Examples, shown: pd.DataFrame) -> Watch:
    """Watch leads and lists; `shown` has list_id, town_id, model, asked_at, rank and score."""
    found = [*_inputs(examples), _scores(shown)]
    return Watch(
        tuple(d for d in found if d is not None), tuple(_exposure(examples, shown)),
        _models(shown), sufficiency(examples),
    )  # fmt: skip


def _inputs(examples: Examples) -> list[Drift | None]:
    """Components of the newest leads against those of the older ones."""
    older, newest = contest.split(examples)
    return [
        drift(name, NAMED[name].label, older.values[:, j], newest.values[:, j])
        for j, name in enumerate(NAMES)
    ]


def _scores(shown: pd.DataFrame) -> Drift | None:
    """First-rank scores of the newest third of the lists against the rest, of one model's lists."""
    if not len(shown):
        return None
    first = shown[shown["rank"] == 1].sort_values("asked_at", kind="stable")
    latest = first[first["model"] == first["model"].iloc[-1]] if len(first) else first
    cut = len(latest) - len(latest) // 3
    scores = latest["score"].to_numpy(np.float64)
    return drift(SCORES, "榜首得分", scores[:cut], scores[cut:])


def _exposure(examples: Examples, shown: pd.DataFrame) -> list[Exposure]:
    seen = pd.Series(1 / np.log2(1 + shown["rank"].to_numpy(np.float64)), index=shown["town_id"])
    weight = seen.groupby(level=0).sum()
    lists = shown.groupby("town_id")["list_id"].nunique()
    good = np.bincount(examples.town[examples.good], minlength=len(examples.towns))
    merit = dict(zip(examples.towns, good / good.sum(), strict=True)) if good.sum() else None
    towns = sorted({*weight.index, *(merit or {})})
    whole = float(weight.sum()) or 1.0
    return [
        Exposure(
            str(t), int(lists.get(t, 0)), float(weight.get(t, 0.0)) / whole,
            None if merit is None else float(merit.get(t, 0.0)),
        )
        for t in towns
    ]  # fmt: skip


def _models(shown: pd.DataFrame) -> dict[str, float]:
    """Share of the lists that each model made, the most frequent first."""
    made = shown.drop_duplicates("list_id")["model"].value_counts(normalize=True)
    return {str(m): float(s) for m, s in made.items()}
