"""Leads as a training table: every component of every lead as it stood before the lead began."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from zyz_match.domain import Stage, Town
from zyz_match.matching.events import days_of
from zyz_match.matching.index import Index
from zyz_match.matching.model import Model
from zyz_match.matching.query import Query, prepare
from zyz_match.matching.similarity import (
    DATED,
    NAMED,
    TOWNLESS,
    Compared,
    Component,
    Part,
    compare,
    look,
)  # fmt: skip

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
NAMES: tuple[str, ...] = tuple(NAMED)
# How good an end is. A visit or talks are half-way signs: they say less than a contract and are
# still better than a refusal. A firm that was only named or called has said nothing yet.
GRADES: Mapping[Stage, float] = {
    Stage.LANDED: 1.0, Stage.SIGNED: 1.0, Stage.NEGOTIATING: 0.5, Stage.VISITED: 0.25,
    Stage.NO_INTEREST: 0.0, Stage.UNFIT: 0.0, Stage.LOST: 0.0,
}  # fmt: skip
GOOD = 0.5  # the grade from which a lead counts as a success when a model is judged
LOST_AFTER = 0.5  # a firm that talked and was lost keeps this share of its best grade


@dataclass(frozen=True, slots=True)
class Examples:
    """Leads whose end says something, in order of closing; one row a lead."""

    values: Floats  # (leads, components) values in [0, 1], 0 where a component is not live
    live: Floats  # (leads, components) the share with which a component counts, 0 when not live
    known: Flags  # (leads, components) whether the firm's data were there
    grade: Floats  # (leads,) in [0, 1]
    town: Ints  # (leads,) number of the town
    owner: Ints  # (leads,) number of the person, -1 when nobody is named
    closed: Ints  # (leads,) days since 1970-01-01
    firm: Ints  # (leads,) row of the firm in the index
    towns: tuple[str, ...]  # town ids by number

    def __len__(self) -> int:
        return len(self.grade)

    @property
    def good(self) -> Flags:
        """Leads that ended well."""
        return self.grade >= GOOD

    def only(self, some: Flags | Ints | slice) -> Self:
        """Some of the leads."""
        columns = ("values", "live", "known", "grade", "town", "owner", "closed", "firm")
        return replace(self, **{c: getattr(self, c)[some] for c in columns})

    def totals(self, model: Model) -> Floats:
        """The score of every lead by a model, exactly as a list would have shown it then."""
        columns = zip(NAMES, self.values.T, strict=True)
        return 100 * self._share(np.column_stack([model.bend(n, v) for n, v in columns]), model)

    def confidence(self, model: Model) -> Floats:
        """Share of the points whose data the firm had."""
        return self._share(self.known, model)

    def _share(self, values: Floats | Flags, model: Model) -> Floats:
        """The weighted mean of values over the live components, 0 where none is live."""
        weights = np.array([model.weights.get(n, 0.0) for n in NAMES])
        whole, part = self.live @ weights, (values * self.live) @ weights
        return np.asarray(np.divide(part, whole, out=np.zeros(len(self)), where=whole > 0))


def graded(rounds: pd.DataFrame) -> pd.DataFrame:
    """The rounds that say something, with their grade, in order of closing."""
    by_stage = {s.value: g for s, g in GRADES.items()}
    grade = rounds["stage"].map(by_stage).astype("float64")
    best = rounds["best"].map(by_stage).astype("float64").fillna(0.0)
    lost = rounds["stage"] == Stage.LOST.value
    grade = grade.where(~lost, LOST_AFTER * best)
    told = rounds.assign(grade=grade)
    return told[grade.notna()].sort_values(["closed", "town_id", "firm_id"], kind="stable")


def gather(
    index: Index,
    towns: Sequence[Town],
    rounds: pd.DataFrame,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Examples:
    """The examples of all rounds whose town and firm are known.

    `rounds` has town_id, firm_id, date, closed, stage, best and owner. Events count strictly
    before the day on which a round began, so that nothing learnt later can leak in.
    """
    by_id = {t.id: t for t in towns}
    told = graded(rounds)
    rows = _rows(index, told["firm_id"])
    told = told[told["town_id"].isin(by_id.keys()) & told["firm_id"].isin(rows.keys())]
    names = sorted(set(told["town_id"]))
    number = {t: i for i, t in enumerate(names)}
    shape = (len(told), len(NAMES))
    table = _Table(index, [by_id[t] for t in names], np.zeros(shape), np.zeros(shape),
                   np.zeros(shape, dtype=bool))  # fmt: skip
    town = np.asarray(told["town_id"].map(number), dtype=np.int64)
    firm = np.asarray(told["firm_id"].map(rows), dtype=np.int64)
    table.fill(town, firm, days_of(told["date"]), progress)
    owners, _ = pd.factorize(told["owner"].astype(object).where(told["owner"] != "", None))
    return Examples(
        table.values, table.live, table.known, told["grade"].to_numpy(np.float64), town,
        np.asarray(owners, dtype=np.int64), days_of(told["closed"]), firm, tuple(names),
    )  # fmt: skip


def _rows(index: Index, firm_ids: pd.Series) -> dict[str, int]:
    """Row of each distinct firm that is here."""
    found = ((str(f), index.row(str(f))) for f in firm_ids.unique())
    return {f: row for f, row in found if row is not None}


@dataclass(slots=True)
class _Table:
    """The three matrices while they are filled."""

    index: Index
    towns: list[Town]
    values: Floats
    live: Floats
    known: Flags

    def fill(
        self, town: Ints, firm: Ints, day: Ints, progress: Callable[[str, int, int], None]
    ) -> None:
        """First what does not depend on the day, town by town; then the rest, day by day."""
        queries = [prepare(t, self.index.features.words_) for t in self.towns]
        steady = [n for n in NAMES if n not in DATED]
        seen = []
        for i, query in enumerate(queries):
            progress("计算线索特征", i, len(queries))
            seen.append(look(query, self.index))
            self._put(np.flatnonzero(town == i), firm, compare(seen[i], steady), query)
        days = np.unique(day)
        for done, when in enumerate(days):
            progress("计算线索当日特征", done, len(days))
            of_day = np.flatnonzero(day == when)
            self._fill_day(of_day, int(when), town, firm, seen)

    def _fill_day(
        self, leads: Ints, when: int, town: Ints, firm: Ints, seen: list[Compared]
    ) -> None:
        def on_day(i: int) -> Compared:
            return replace(seen[i], query=replace(seen[i].query, day=when))

        alone = on_day(int(town[leads[0]]))
        same = compare(alone, [n for n in DATED if n in TOWNLESS])
        self._put(leads, firm, same, alone.query)
        for i in np.unique(town[leads]):
            there = on_day(int(i))
            found = compare(there, [n for n in DATED if n not in TOWNLESS])
            self._put(leads[town[leads] == i], firm, found, there.query)

    def _put(self, leads: Ints, firm: Ints, parts: Mapping[Component, Part], query: Query) -> None:
        for component, part in parts.items():
            column = NAMES.index(component.name)
            rows = firm[leads]
            self.values[leads, column] = part.values(rows)
            self.known[leads, column] = ~part.missing(rows)
            self.live[leads, column] = query.share(component.name)
