"""Retraining: leads give a challenger, judged against champion and prior on the newest leads.

The challenger is fitted on the older leads. It is promoted only when it is surely better than the
champion, and no worse than the prior, on the same newest leads; then it is fitted once more on all.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from zyz_match.domain import Town
from zyz_match.matching import contest
from zyz_match.matching.calibration import calibrate
from zyz_match.matching.examples import Examples, gather
from zyz_match.matching.fitting import SETTINGS, TrainingSettings, fit_boosted, fit_map
from zyz_match.matching.index import Index
from zyz_match.matching.metrics import Interval, bootstrap
from zyz_match.matching.model import Model
from zyz_match.matching.training_card import Card, card

Progress = Callable[[str, int, int], None]
Fit = Callable[[Examples], Model | None]
FOLDS = 10  # groups of towns that are left out in turn
KEEPS = "沿用现有模型。"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a challenger did on the newest leads."""

    promote: bool
    words: str  # Chinese: why, or what is missing
    against_champion: Interval | None = None  # None when too little is there to judge
    against_prior: Interval | None = None


@dataclass(frozen=True, slots=True)
class Retrained:
    """A challenger with what it takes to decide on it, and to understand it later."""

    model: Model
    promote: bool
    verdict: str
    card: Card


def judge(challenger: Model, champion: Model, newest: Examples, seed: int = 0) -> Verdict:
    """Whether the challenger may take the champion's place; both unseen by the newest leads."""
    if missing := contest.lacking(newest):
        return Verdict(False, f"{missing}，不足以比较，{KEEPS}")
    gain = contest.paired(challenger, champion, newest, seed)
    over_prior = contest.paired(challenger, Model(), newest, seed)
    told = f"最新 {len(newest)} 条线索上，新模型比现有模型{_in_words(gain)}"
    if gain.low <= 0:
        return Verdict(False, f"{told}，没有把握更好，{KEEPS}", gain, over_prior)
    if over_prior.mean < 0:
        words = f"{told}，但比初始模型{_in_words(over_prior)}，{KEEPS}"
        return Verdict(False, words, gain, over_prior)
    return Verdict(True, f"{told}，有把握更好，采用新模型。", gain, over_prior)


def _in_words(gain: Interval) -> str:
    word = "高" if gain.mean >= 0 else "低"
    return f"{word} {abs(gain.mean):.3f}（95 % 区间 {gain.low:+.3f} 至 {gain.high:+.3f}）"


@dataclass(frozen=True, slots=True)
class Choice:
    """The model that shall serve, how it came to be chosen, and how its kind is fitted."""

    model: Model
    verdict: Verdict
    kind: str
    fit: Fit


def choose(
    examples: Examples,
    champion: Model,
    *,
    settings: TrainingSettings = SETTINGS,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> Choice:
    """Fit a challenger on the older leads, judge it on the newest, take the better model."""
    older, newest = contest.split(examples)
    fits: dict[str, Fit] = {
        "map": lambda some: fit_map(some, settings),
        "boosted": lambda some: fit_boosted(some, seed, settings),
    }
    progress("训练", 0, 2)
    kind = _better_kind(older, fits, seed)
    progress("训练", 1, 2)
    verdict = judge(fits[kind](older) or champion, champion, newest, seed)
    if verdict.promote:
        return Choice(fits[kind](examples) or champion, verdict, kind, fits[kind])
    back = judge(Model(), champion, newest, seed)
    if back.promote:
        words = f"{verdict.words}初始模型有把握更好，退回初始模型。"
        return Choice(Model(), replace(back, words=words), kind, fits[kind])
    return Choice(champion, verdict, kind, fits[kind])


def retrain(
    index: Index,
    towns: Sequence[Town],
    rounds: pd.DataFrame,
    champion: Model,
    *,
    settings: TrainingSettings = SETTINGS,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> Retrained:
    """Learn from the rounds of all leads (see `Store.lead_rounds`); nothing is stored.

    Same data, champion and seed give the same model. Without any lead that says something the
    champion comes back, not promoted.
    """
    examples = gather(index, towns, rounds, progress)
    choice = choose(examples, champion, settings=settings, seed=seed, progress=progress)
    progress("检验", 0, 2)
    calibration = calibrate(examples.totals(choice.model), examples.good, examples.closed)
    model = replace(choice.model, version="", calibration=calibration)
    words, promote = choice.verdict.words, choice.verdict.promote
    if not promote and calibration is not None and champion.calibration is None:
        promote = True
        words = f"{words.removesuffix(KEEPS)}权重照旧，新版本只多了成功可能性的估计。"
    told = card(
        examples, rounds, towns, model, champion, kind=choice.kind, settings=settings,
        intervals={
            "champion": choice.verdict.against_champion, "prior": choice.verdict.against_prior,
        },
        left_out=_left_out(examples, choice.fit, seed), verdict=words, promoted=promote,
        prediction=prediction_hash(model, examples),
    )  # fmt: skip
    progress("检验", 2, 2)
    return Retrained(model, promote, words, told)


def _better_kind(older: Examples, fits: dict[str, Fit], seed: int) -> str:
    """The kind of model to send into the contest, chosen on the older leads alone."""
    first, second = contest.split(older)
    boosted = None if contest.lacking(second) else fits["boosted"](first)
    plain = None if boosted is None else fits["map"](first)
    if boosted is None or plain is None:
        return "map"
    return "boosted" if contest.paired(boosted, plain, second, seed).low > 0 else "map"


def _left_out(examples: Examples, fit: Fit, seed: int) -> Interval | None:
    """Gain over the prior in towns that the model has not seen, each group left out once."""
    present = np.unique(examples.town)
    if len(present) < 2 or not examples.good.any() or examples.good.all():
        return None
    differences = []
    for group in np.array_split(present, min(FOLDS, len(present))):
        out = np.isin(examples.town, group)
        fitted = fit(examples.only(~out))
        if fitted is not None:
            mine, prior = (contest.gains(m, examples.only(out))[0] for m in (fitted, Model()))
            differences.append(mine - prior)
    return bootstrap(np.concatenate(differences), seed=seed) if differences else None


def prediction_hash(model: Model, examples: Examples) -> str:
    """A short name of all scores of the leads: equal for equal data, champion and seed."""
    rounded = np.round(examples.totals(model), 6) + 0.0
    return hashlib.sha256(rounded.tobytes()).hexdigest()[:16]
