"""What firms did elsewhere, as numbers as of any day: how active, where, in what, with whom.

Only what happened strictly before the day counts. A firm without a record is unknown, not idle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from zyz_match.matching.phrases import arrow_text

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
HALF_LIFE = 730.0  # days in which an event loses half its weight: investment plans are biennial
YEAR = 365.0
_ARRAYS = (
    "rows", "days", "deals", "region_of", "industry_of", "new_places", "target_of",
)  # fmt: skip


class Sparse(NamedTuple):
    """Values of some firms, by row; every other firm has no record."""

    rows: Ints
    values: Floats

    def places(self, rows: Ints) -> tuple[Ints, Flags]:
        """Where each of some rows is or would be, and which have a record; there is at least one.

        The own rows ascend.
        """
        at = np.searchsorted(self.rows, rows).clip(max=len(self.rows) - 1)
        return at, self.rows[at] == rows

    def dense(self, firms: int) -> Numbers:
        """The values of so many firms, NaN where there is no record."""
        out = np.full(firms, np.nan, np.float32)
        out[self.rows] = self.values
        return out


class EventFeatures:
    """Dated events of firms, laid out so that they can be counted as of any day.

    The present is the day after the newest event: a list stays the same while the data do.
    """

    def fit(
        self, events: pd.DataFrame | None, firm_ids: pd.Series, alive: Flags | None = None
    ) -> Self:
        """Take the events (firm_id, date, region, industry, target) of the given firms.

        A row that is not alive has no events.
        """
        self.size = len(firm_ids)
        rows = np.empty(0, np.int64)
        if events is not None and len(events):
            rows = _rows_of(events, firm_ids, alive)
        self.empty = not (rows >= 0).any()
        if events is None or self.empty:
            return self
        known = events.assign(row=rows)[rows >= 0].sort_values("date", kind="stable")
        self.rows = known["row"].to_numpy(np.int64)
        self.days = days_of(known["date"])
        self.now = int(self.days[-1]) + 1
        self.deals = ~known.duplicated(["firm_id", "target", "date"]).to_numpy()
        self.regions, self.region_of = _labels(known["region"])
        self.industries, self.industry_of = _labels(known["industry"])
        new = [self._first(labels).astype(float) for labels in (self.region_of, self.industry_of)]
        self.new_places: Floats = new[0] + new[1]  # regions and industries new to the firm
        self.target_of = self._shared(_labels(known["target"])[1])
        return self

    def _first(self, labels: Ints) -> Flags:
        """Whether an event is its firm's first one with its label."""
        again = pd.DataFrame({"label": labels, "row": self.rows}).duplicated().to_numpy()
        return np.asarray(~again & (labels >= 0))

    def _shared(self, targets: Ints) -> Ints:
        """The target of a firm's first event with it; -1 when no other firm ever had it."""
        at = np.flatnonzero(self._first(targets))
        shared = np.full(len(targets), -1)
        kept = at[np.bincount(targets[at])[targets[at]] > 1]
        shared[kept] = targets[kept]
        return shared

    def parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Everything there is, as what JSON can hold and flat arrays."""
        if self.empty:
            return {"size": self.size, "empty": True}, {}
        meta = {n: getattr(self, n) for n in ("size", "empty", "now", "regions", "industries")}
        return meta, {n: getattr(self, n) for n in _ARRAYS}

    @classmethod
    def from_parts(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Events over arrays that were read or mapped; nothing is copied."""
        events = cls()
        events.__dict__.update(meta)
        events.__dict__.update(arrays)
        return events

    @cached_property
    def present(self) -> "EventState":
        """The state of today."""
        return EventState(self, self.now)

    def as_of(self, day: int | None = None) -> "EventState":
        """The state of a day (days since 1970-01-01), today's without one; the last is kept."""
        if day is None or day == self.now:
            return self.present
        state: EventState | None = self.__dict__.get("_last")
        if state is None or state.day != day:
            state = self.__dict__["_last"] = EventState(self, day)
        return state


@dataclass(frozen=True, slots=True)
class Record:
    """One firm's deals (all, of the last year, of the year before) and where they were."""

    total: int
    recent: int
    before: int
    last: date | None
    regions: int
    industries: int
    in_region: int
    in_industry: int
    in_both: int


class EventState:
    """All counts as of one day; those of the day alone are computed once."""

    def __init__(self, events: EventFeatures, day: int) -> None:
        self.events = events
        self.day = day
        self.until = int(np.searchsorted(events.days, day))
        self.of_town = lru_cache(maxsize=64)(self._of_town)  # sparse, so cheap to keep

    # the firm alone ---------------------------------------------------------------------------

    @cached_property
    def firms(self) -> Mapping[str, Sparse]:
        """activity, recency, rhythm and breadth of every firm with a deal."""
        e, n = self.events, self.until
        some = e.deals[:n]
        rows, age = e.rows[:n][some], (self.day - e.days[:n][some]).astype(np.float64)
        known = np.flatnonzero(np.bincount(rows, minlength=e.size))

        def per_firm(weights: Floats) -> Floats:
            return np.asarray(np.bincount(rows, weights, e.size)[known])

        youngest = np.full(e.size, np.inf)
        np.minimum.at(youngest, rows, age)
        recent = per_firm((age <= YEAR).astype(np.float64))
        before = per_firm(((age > YEAR) & (age <= 2 * YEAR)).astype(np.float64))
        return {
            "activity": Sparse(known, np.log1p(per_firm(0.5 ** (age / HALF_LIFE)))),
            "recency": Sparse(known, 0.5 ** (youngest[known] / YEAR)),
            "rhythm": Sparse(known, np.maximum(0.0, recent - before) / (recent + before + 1)),
            "breadth": Sparse(
                known, np.log1p(np.bincount(e.rows[:n], e.new_places[:n], e.size)[known])
            ),
        }

    def record(self, row: int, regions: Sequence[str], industries: Sequence[str]) -> "Record":
        """What one firm did, in numbers that can be told."""
        e = self.events
        own = self._of_firm(row)
        age = self.day - e.days[own][e.deals[own]]
        there, within = self._places(own, regions, industries)
        return Record(
            total=len(age),
            recent=int((age <= YEAR).sum()),
            before=int(((age > YEAR) & (age <= 2 * YEAR)).sum()),
            last=date(1970, 1, 1) + timedelta(int(self.day - age.min())) if len(age) else None,
            regions=len(set(e.region_of[own]) - {-1}),
            industries=len(set(e.industry_of[own]) - {-1}),
            in_region=int(there.sum()),
            in_industry=int(within.sum()),
            in_both=int((there & within).sum()),
        )

    @cached_property
    def _by_firm(self) -> tuple[Ints, Ints]:
        """The events in the order of their firms, and the firm of each."""
        rows = self.events.rows[: self.until]
        order = np.argsort(rows, kind="stable")
        return order, rows[order]

    def _of_firm(self, row: int) -> Ints:
        """The events of one firm, in order."""
        order, rows = self._by_firm
        return order[np.searchsorted(rows, row) : np.searchsorted(rows, row, "right")]

    # the firm and a town ------------------------------------------------------------------------

    def _of_town(
        self, regions: tuple[str, ...], industries: tuple[str, ...], anchors: tuple[int, ...]
    ) -> Mapping[str, Sparse]:
        """region, sector, both and partners: who has been there, in that, and with whom."""
        there, within = self._places(slice(self.until), regions, industries)
        both = there & within
        return {
            "region": self._decayed(there),
            "sector": self._decayed(within),
            "both": self._decayed(both),
            "partners": self._partners(both, anchors),
        }

    def _places(
        self, some: slice | Ints, regions: Sequence[str], industries: Sequence[str]
    ) -> tuple[Flags, Flags]:
        """Which of some events lie in the regions, and which in the industries."""
        e = self.events
        there = _among(e.region_of[some], e.regions, regions)
        return there, _among(e.industry_of[some], e.industries, industries)

    def _decayed(self, some: Flags) -> Sparse:
        """log(1 + events, an event weighing half after HALF_LIFE)."""
        e = self.events
        at = np.flatnonzero(some)
        weights = 0.5 ** ((self.day - e.days[at]) / HALF_LIFE)
        known, place = np.unique(e.rows[at], return_inverse=True)
        return Sparse(known, np.log1p(np.bincount(place, weights, len(known))))

    def partners_of(
        self, row: int, regions: Sequence[str], industries: Sequence[str], anchors: Sequence[int]
    ) -> Ints:
        """Rows of the firms of the town that one firm invested together with."""
        there, within = self._places(slice(self.until), regions, industries)
        rows, targets, here = self._joint(there & within, anchors)
        same = here & np.isin(targets, targets[rows == row]) & (rows != row)
        return np.unique(rows[same])

    def _joint(self, both: Flags, anchors: Sequence[int]) -> tuple[Ints, Ints, Flags]:
        """Firm and target of every shared investment, and whether that firm is of the town."""
        rows, targets = self._shared
        in_town = np.zeros(self.events.size, dtype=bool)
        in_town[self.events.rows[np.flatnonzero(both)]] = True
        in_town[list(anchors)] = True
        return rows, targets, in_town[rows]

    @cached_property
    def _shared(self) -> tuple[Ints, Ints]:
        """Firm and target of every shared investment."""
        e = self.events
        at = np.flatnonzero(e.target_of[: self.until] >= 0)
        return e.rows[at], e.target_of[at]

    def _partners(self, both: Flags, anchors: Sequence[int]) -> Sparse:
        """log(1 + joint investments with the firms of the town), a firm not with itself."""
        rows, targets, here = self._joint(both, anchors)
        theirs = np.bincount(targets[here], minlength=int(targets.max(initial=-1)) + 1)
        joint = theirs[targets] - here
        known, place = np.unique(rows[joint > 0], return_inverse=True)
        return Sparse(known, np.log1p(np.bincount(place, joint[joint > 0], len(known))))


def _rows_of(events: pd.DataFrame, firm_ids: pd.Series, alive: Flags | None) -> Ints:
    """Row of the firm of each event; -1 when it is not here."""
    ids = arrow_text(firm_ids)
    if alive is not None:
        ids = pc.if_else(pa.array(alive), ids, None)
    found = pc.index_in(arrow_text(events["firm_id"]), value_set=ids)
    return np.asarray(found.fill_null(-1), dtype=np.int64)


def _among(labels: Ints, numbers: Mapping[str, int], words: Sequence[str]) -> Flags:
    """Whether each label is one of the words; -1, the last place of the table, is none."""
    table = np.zeros(len(numbers) + 2, dtype=bool)
    table[[numbers[w] for w in words if w in numbers]] = True
    return np.asarray(table[labels])


def days_of(dates: pd.Series) -> Ints:
    """Days since 1970-01-01 of a datetime column."""
    return np.asarray(dates.to_numpy().astype("datetime64[D]").astype("int64"), dtype=np.int64)


def _labels(values: pd.Series) -> tuple[dict[str, int], Ints]:
    """Numbers of the distinct words, and the number of each value; -1 for no word."""
    numbers, names = pd.factorize(values.fillna("").astype(object), sort=True)
    blank = next((j for j, name in enumerate(names) if name == ""), -2)
    codes = np.where(numbers == blank, -1, numbers).astype(np.int64)
    return {str(n): j for j, n in enumerate(names) if n != ""}, codes
