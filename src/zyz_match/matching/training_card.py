"""The card of a model: what it was made from, how it did, what it cannot do; plain JSON values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from zyz_match.domain import STAGE_NAMES, Stage, Town
from zyz_match.matching import contest
from zyz_match.matching.calibration import brier, calibrate, calibration_error, coverage
from zyz_match.matching.examples import Examples, Floats
from zyz_match.matching.fitting import TrainingSettings
from zyz_match.matching.metrics import Interval
from zyz_match.matching.model import Model

FORMAT = 1
Card = Mapping[str, Any]
LIMITS = (
    "只反映已记录结果的线索；没有接触过的企业不算失败，也不参与训练。",
    "结果少、时间短时，权重只会小幅离开初始模型。",
    "注册资本、资质等企业资料取当前值，投资事件取线索开始之前的值。",
    "得分和成功可能性是辅助判断，不是结论；税收、补贴等优惠从不作为依据。",
)


def card(
    examples: Examples,
    rounds: pd.DataFrame,
    towns: Sequence[Town],
    model: Model,
    champion: Model,
    *,
    kind: str,
    settings: TrainingSettings,
    intervals: Mapping[str, Interval | None],
    left_out: Interval | None,
    verdict: str,
    promoted: bool,
    prediction: str,
) -> Card:
    """Everything about a retraining, for `card.json`."""
    names = {t.id: t.name for t in towns}
    stages = rounds["stage"].value_counts()
    used = {examples.towns[t]: int((examples.town == t).sum()) for t in np.unique(examples.town)}
    return {
        "format": FORMAT,
        "kind": kind,
        "champion": champion.version,
        "period": _period(rounds),
        "rounds": len(rounds),
        "leads_used": len(examples),
        "good_ends": int(examples.good.sum()),
        "by_outcome": {STAGE_NAMES[s]: int(stages.get(s.value, 0)) for s in Stage},
        "by_town": {names.get(t, t): n for t, n in sorted(used.items())},
        "verdict": verdict,
        "promoted": promoted,
        "metrics": {
            "contest": {k: _interval(v) for k, v in intervals.items()},
            "left_out_towns": _interval(left_out),
            "calibration": _calibrated(model, examples),
        },
        "sufficiency": sufficiency(examples),
        "weights": {n: float(w) for n, w in model.weights.items()},
        "settings": asdict(settings),
        "limits": list(LIMITS),
        "prediction_hash": prediction,
    }


def _period(rounds: pd.DataFrame) -> list[str]:
    if not len(rounds):
        return []
    return [f"{rounds['date'].min():%Y-%m-%d}", f"{rounds['closed'].max():%Y-%m-%d}"]


def _interval(value: Interval | None) -> dict[str, float] | None:
    return None if value is None else {k: round(v, 6) for k, v in asdict(value).items()}


def sufficiency(examples: Examples) -> str:
    """Chinese: whether the leads are enough to judge a model and to tell chances."""
    good, bad = int(examples.good.sum()), int((~examples.good).sum())
    _, newest = contest.split(examples)
    told = f"有结果的线索 {len(examples)} 条，其中较好 {good} 条、无果 {bad} 条"
    missing = contest.lacking(newest)
    return f"{told}。{missing}，还不能比较模型。" if missing else f"{told}，可以比较模型。"


def _calibrated(model: Model, examples: Examples) -> dict[str, Any] | None:
    """Chances fitted on older leads, held against the newest, beside two plain methods."""
    older, newest = contest.split(examples)
    if contest.lacking(newest):
        return None
    curve = calibrate(older.totals(model), older.good, older.closed)
    if curve is None:
        return None
    scores, sure = newest.totals(model), newest.confidence(model)
    told = [curve.chance(float(s), float(c)) for s, c in zip(scores, sure, strict=True)]
    ours = np.array([c.value for c in told])
    methods = {"ours": ours} | _plain(older, newest)
    return {
        "leads": len(newest),
        "brier": {n: round(brier(p, newest.good), 6) for n, p in methods.items()},
        "ece": {n: round(calibration_error(p, newest.good), 6) for n, p in methods.items()},
        "coverage_90": round(coverage(told, newest.good), 4),
    }


def _plain(older: Examples, newest: Examples) -> dict[str, Floats]:
    """Chances by naive Bayes and by logistic regression on the same components."""
    from sklearn.linear_model import LogisticRegression  # heavy, and only for the card
    from sklearn.naive_bayes import GaussianNB

    bayes = GaussianNB().fit(older.values, older.good)
    logistic = LogisticRegression(max_iter=3000).fit(older.values, older.good)
    return {
        "naive_bayes": np.asarray(bayes.predict_proba(newest.values)[:, 1]),
        "logistic_regression": np.asarray(logistic.predict_proba(newest.values)[:, 1]),
    }
