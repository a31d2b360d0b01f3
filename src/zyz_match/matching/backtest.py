"""Rank every town of a data set and hold the lists against its truth, beside plain baselines."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from zyz_match.domain import CLOSING_STAGES, Col, Stage, Town
from zyz_match.matching.baselines import baselines
from zyz_match.matching.index import Index
from zyz_match.matching.metrics import Interval, Scored, bootstrap, score_run
from zyz_match.matching.model import Head, Model
from zyz_match.matching.pool import candidates
from zyz_match.matching.query import prepare
from zyz_match.matching.ranking import MODEL
from zyz_match.matching.similarity import Compared, looks
from zyz_match.matching.threads import in_order

if TYPE_CHECKING:
    from zyz_match.matching.training import Retrained

OURS = "zyz-match"
RunRow = tuple[str, str, int, float]  # town id, firm id, rank, score


@dataclass(frozen=True, slots=True)
class Row:
    """One method's result; `ndcg_gain` and `recall_gain` are ours minus it, paired by town."""

    name: str
    ndcg10: Interval
    recall50: Interval
    ndcg_gain: Interval | None
    recall_gain: Interval | None


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """The lists, and where there is a truth the comparison (ours first)."""

    run: list[RunRow]
    towns: int
    judged: int
    rows: list[Row]
    verdict: str = ""  # Chinese: what the leads changed, "" without leads
    metrics: Mapping[str, Any] = field(default_factory=dict)  # of the model's card, with leads


def backtest(
    frame: pd.DataFrame,
    towns: Sequence[Town],
    events: pd.DataFrame,
    existing: pd.DataFrame,
    truth: Mapping[str, Mapping[str, float]],
    *,
    k: int = 100,
    rounds: pd.DataFrame | None = None,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> BacktestReport:
    """Fit on the firms, rank all towns (those with a truth where there is one), compare.

    `existing` (town_id, firm_id) are firms in a town already: never on its list. With `rounds` of
    leads (see `rounds_of`) the prior is retrained first, and the model that wins ranks.
    """
    asked = [t for t in towns if t.id in truth] if truth else list(towns)
    index = Index().fit(frame, events)
    present = by_town(existing)
    found = None if rounds is None else _retrained(index, towns, rounds, progress)
    model = found.model if found is not None and found.promote else MODEL
    run = rank_all(
        index, asked, present, k=k, model=model, progress=lambda d, n: progress("回测", d, n)
    )
    rows = _rows(index, asked, events, present, truth, run, k) if truth else []
    if found is None:
        return BacktestReport(run, len(asked), len(truth), rows)
    metrics = found.card["metrics"]
    return BacktestReport(run, len(asked), len(truth), rows, found.verdict, metrics)


def _retrained(
    index: Index,
    towns: Sequence[Town],
    rounds: pd.DataFrame,
    progress: Callable[[str, int, int], None],
) -> "Retrained":
    from zyz_match.matching.training import retrain  # loads what only learning needs

    return retrain(index, towns, rounds, MODEL, progress=progress)


def rounds_of(leads: pd.DataFrame) -> pd.DataFrame:
    """Leads of a file (town_id, firm_id, date, outcome), each a round that began and ended then."""
    outcome = leads["outcome"]
    best = outcome.where(~outcome.isin([s.value for s in CLOSING_STAGES]), Stage.RECOMMENDED.value)
    return leads.assign(closed=leads["date"], stage=outcome, best=best)


def by_town(existing: pd.DataFrame) -> dict[str, set[str]]:
    """Firm ids of each town of a table (town_id, firm_id)."""
    return {str(t): set(f) for t, f in existing.groupby("town_id")["firm_id"]}


def rank_all(
    index: Index,
    towns: Sequence[Town],
    existing: Mapping[str, Collection[str]],
    *,
    k: int = 100,
    model: Model = MODEL,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[RunRow]:
    """The k best candidates of every town, two towns at a time."""
    run: list[RunRow] = []

    def head(found: Compared) -> Head:
        town = found.query.town
        allowed = candidates(index, town, existing.get(town.id, ()))
        return model.weigh(found).best(k, allowed)

    seen = looks([prepare(t, index.features.words_) for t in towns], index)
    for done, (town, found) in enumerate(zip(towns, in_order(head, seen), strict=True)):
        progress(done, len(towns))
        ids, total = index.texts(Col.FIRM_ID, found.rows), found.total.tolist()
        run += [(town.id, ids[i], i + 1, total[i]) for i in range(len(ids))]
    progress(len(towns), len(towns))
    return run


def lists_of(run: Sequence[RunRow]) -> dict[str, list[str]]:
    """Firm ids of each town of a run, best first."""
    lists: dict[str, list[str]] = {}
    for town_id, firm_id, _, _ in run:
        lists.setdefault(town_id, []).append(firm_id)
    return lists


def _rows(
    index: Index,
    towns: Sequence[Town],
    events: pd.DataFrame,
    existing: Mapping[str, Collection[str]],
    truth: Mapping[str, Mapping[str, float]],
    run: list[RunRow],
    k: int,
) -> list[Row]:
    ids = index.frame[Col.FIRM_ID].tolist()
    ours = score_run(OURS, truth, lists_of(run))
    allowed = [candidates(index, t, existing.get(t.id, ())) for t in towns]
    rows = [_row(ours, None)]
    for name, scores in baselines(index.frame, towns, events).items():
        plain = {
            town.id: [ids[row] for row in np.argsort(-s, kind="stable") if mask[row]][:k]
            for town, s, mask in zip(towns, scores, allowed, strict=True)
        }
        rows.append(_row(score_run(name, truth, plain), ours))
    return rows


def _row(scored: Scored, ours: Scored | None) -> Row:
    gains = (
        (None, None)
        if ours is None
        else (bootstrap(ours.ndcg10 - scored.ndcg10), bootstrap(ours.recall50 - scored.recall50))
    )
    return Row(scored.name, bootstrap(scored.ndcg10), bootstrap(scored.recall50), *gains)
