"""All firms of a pool, laid out for scoring: features, segments, and what every firm is in itself.

An index is made of flat arrays, which may be mapped read-only from a file. New and changed firms
make a second segment beside the first one, by the features that were fitted before.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from zyz_match.domain import Col, Standing
from zyz_match.industry import LEVELS, IndustryTree, shared
from zyz_match.matching.events import EventFeatures
from zyz_match.matching.features import FirmFeatures
from zyz_match.matching.firm_table import FirmTable, frame_of
from zyz_match.matching.kernels import GROUP
from zyz_match.matching.phrases import Cut, arrow_text, cut
from zyz_match.matching.scratch import Scratch
from zyz_match.matching.segment import Floats, Ints, Mask, Segment, Whole
from zyz_match.recent import Recent
from zyz_match.region import Division, Divisions

T = TypeVar("T")
Arrays = dict[str, npt.NDArray[Any]]
RECENT = 2  # of each kind: what was worked out for the last few questions
TARGETS = 2048  # codes and tags whose nearness to every label is kept; a request may name any
_OF_FIRMS = ("industry_of", "division_of", "active", "alive", "lacks_text", "capacity", "marks")


class Index:
    """All firms, fitted and laid out; rows are numbered through both segments.

    In a segment the rows are in the order of `firm_id`. A new town needs no refit. `stamp` names
    the state of the firm data. A row that the second segment replaced is not `alive`.
    """

    FORMAT = 4

    def __init__(self, stamp: str = "") -> None:
        self.stamp = stamp

    # making ------------------------------------------------------------------------------------

    def fit(self, frame: pd.DataFrame, events: pd.DataFrame | None = None) -> Self:
        """Fit the features on a firm table (columns of `Col`) and lay it out."""
        table = FirmTable.of(frame)
        self.features = FirmFeatures()
        cut = self.features.fit_cut(table.frame())
        self.industries: list[str] = []
        self.divisions: list[str] = []
        self._take([table], [Segment.build(self.features, cut)], self._facts(table))
        return self._with(events)

    @classmethod
    def of(
        cls, features: FirmFeatures, table: FirmTable, firms: Cut, kept: Collection[str]
    ) -> Self:
        """A table, and its phrases, laid out by features that were fitted before; without events.

        Of the table only the `kept` columns stay in the index.
        """
        new = cls()
        new.features, new.industries, new.divisions = features, [], []
        facts, slim = new._facts(table), FirmTable(table.table.select(list(kept)))
        new._take([slim], [Segment.build(features, firms)], facts)
        return new._with(None)

    def updated(
        self,
        changed: pd.DataFrame,
        removed: Collection[str] = (),
        *,
        events: pd.DataFrame | None = None,
        stamp: str = "",
    ) -> Self:
        """An index in which some firms are new, replaced or gone, by the features as they are.

        Shares the first segment of this one, which stays as it is; the firms that came before are
        laid out anew together with these.
        """
        new = self._shell(stamp)
        new.industries, new.divisions = list(self.industries), list(self.divisions)
        late = FirmTable.of(pd.concat([*self._late_but(changed[Col.FIRM_ID], removed), changed]))
        facts, first = new._facts(late), len(self.tables[0])
        old = {name: getattr(self, name)[:first] for name in _OF_FIRMS}
        gone = self.tables[0].rows_of({*removed, *late.texts(Col.FIRM_ID, range(len(late)))})
        old["alive"], old["active"] = old["alive"].copy(), old["active"].copy()
        for row in gone.values():
            old["alive"][row] = old["active"][row] = False
        built = Segment.build(self.features, cut(late.frame()))
        both = {n: np.concatenate([old[n], facts[n]]) for n in _OF_FIRMS}
        new._take([self.tables[0], late], [self.segments[0], built], both)
        return new._with(events)

    def _late_but(self, changed: pd.Series, removed: Collection[str]) -> list[pd.DataFrame]:
        """The firms of the second segment without some."""
        frames = [table.frame() for table in self.tables[1:]]
        return [f[~f[Col.FIRM_ID].isin({*changed, *removed})] for f in frames]

    def with_events(self, events: pd.DataFrame | None, *, stamp: str = "") -> Self:
        """The same firms with other events."""
        new = self._shell(stamp)
        new.industries, new.divisions = self.industries, self.divisions
        new._take(self.tables, self.segments, {n: getattr(self, n) for n in _OF_FIRMS})
        return new._with(events)

    def _shell(self, stamp: str) -> Self:
        new = type(self)(stamp)
        new.features = self.features
        return new

    def _with(self, events: pd.DataFrame | None) -> Self:
        ids = frame_of([FirmTable(t.table.select([Col.FIRM_ID.value])) for t in self.tables])
        self.events = EventFeatures().fit(events, ids[Col.FIRM_ID], self.alive)
        return self

    def _take(self, tables: list[FirmTable], segments: list[Segment], facts: Arrays) -> None:
        self.tables, self.segments = tables, segments
        self.starts = np.append(0, np.cumsum([len(s) for s in segments]))
        self.industry_of: Whole = facts["industry_of"]
        self.division_of: Whole = facts["division_of"]
        self.active: Mask = facts["active"]
        self.alive: Mask = facts["alive"]
        self.lacks_text: Mask = facts["lacks_text"]
        self.capacity: Floats = facts["capacity"]
        self.marks: Floats = facts["marks"]
        self.size = int(self.starts[-1])
        self._firms = int(np.count_nonzero(self.alive))
        self._kept: dict[tuple[Any, ...], Any] = {}
        self._recent: dict[str, Recent[Any]] = {}
        self.scratch = Scratch()

    def _facts(self, table: FirmTable) -> Arrays:
        frame = table.frame()
        structure = self.features.structure_.transform(frame).astype(np.float32)
        label = frame[Col.INDUSTRY].where(frame[Col.INDUSTRY] != "", frame[Col.INDUSTRY_TEXT])
        has_text = (frame[Col.SCOPE] != "") | (frame[Col.PRODUCTS] != "")
        return {
            "industry_of": _numbered(label, self.industries),
            "division_of": _numbered(frame[Col.DIVISION], self.divisions),
            "active": (frame[Col.STANDING] != Standing.GONE.value).to_numpy(bool),
            "alive": np.ones(len(table), dtype=bool),
            "lacks_text": ~has_text.to_numpy(bool),
            "capacity": np.ascontiguousarray(structure[:, 0]),
            "marks": np.ascontiguousarray(structure[:, 1]),
        }

    # flat arrays -------------------------------------------------------------------------------

    def parts(self) -> tuple[dict[str, Any], Arrays]:
        """Everything there is, as what JSON can hold and flat arrays."""
        features, arrays = self.features.parts()
        events, of_events = self.events.parts()
        meta = {
            "stamp": self.stamp, "segments": len(self.segments), "features": features,
            "events": events, "industries": self.industries, "divisions": self.divisions,
        }  # fmt: skip
        arrays = {f"features.{n}": a for n, a in arrays.items()}
        arrays |= {f"events.{n}": a for n, a in of_events.items()}
        arrays |= {n: getattr(self, n) for n in _OF_FIRMS}
        for i, (table, segment) in enumerate(zip(self.tables, self.segments, strict=True)):
            arrays |= {f"{i}.{n}": a for n, a in segment.arrays().items()}
            arrays[f"{i}.firms"] = table.bytes()
        return meta, arrays

    @classmethod
    def from_parts(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """An index over arrays that were read or mapped; nothing is copied or computed."""
        new = cls(meta["stamp"])
        new.features = FirmFeatures.from_parts(meta["features"], _under(arrays, "features."))
        new.industries, new.divisions = list(meta["industries"]), list(meta["divisions"])
        numbers = range(meta["segments"])
        new._take(
            [FirmTable.read(arrays[f"{i}.firms"]) for i in numbers],
            [Segment.from_arrays(_under(arrays, f"{i}.")) for i in numbers],
            {n: arrays[n] for n in _OF_FIRMS},
        )
        new.events = EventFeatures.from_parts(meta["events"], _under(arrays, "events."))
        return new

    # firms and rows ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._firms

    @property
    def frame(self) -> pd.DataFrame:
        """The firm table, row by row, with rows that are not alive; text stays in Arrow."""
        return self.kept(("frame",), lambda: frame_of(self.tables))

    def records(self, rows: Sequence[int] | Ints) -> list[dict[str, Any]]:
        """Some firms as plain values, in the order of the rows."""
        return self._gather(rows, lambda table, some: table.records(some))

    def texts(self, column: str, rows: Sequence[int] | Ints) -> list[str]:
        """One text column of some firms, in the order of the rows."""
        return self._gather(rows, lambda table, some: table.texts(column, some))

    def _gather(
        self, rows: Sequence[int] | Ints, take: Callable[[FirmTable, Ints], list[T]]
    ) -> list[T]:
        given = np.asarray(rows, dtype=np.int64)
        if len(self.tables) == 1:
            return take(self.tables[0], given)
        found: dict[int, T] = {}
        for table, start, end in zip(self.tables, self.starts, self.starts[1:], strict=False):
            some = given[(given >= start) & (given < end)]
            found |= zip(some.tolist(), take(table, some - start), strict=True)
        return [found[row] for row in given.tolist()]

    def rows_of(self, firm_ids: Iterable[str]) -> tuple[int, ...]:
        """Rows of the given firms, without those that are not here."""
        asked = list(firm_ids)
        found: dict[str, int] = {}
        for table, start in zip(self.tables, self.starts, strict=False):
            some = {f: int(start) + row for f, row in table.rows_of(asked).items()}
            found |= {f: row for f, row in some.items() if self.alive[row]}
        return tuple(found[f] for f in asked if f in found)

    def row(self, firm_id: str) -> int | None:
        """Row of a firm; None when it is not here."""
        found = self.rows_of([firm_id])
        return found[0] if found else None

    def place_of(self, rows: Ints) -> Ints:
        """Place of some rows in the order of `firm_id`."""
        return rows if len(self.tables) == 1 else self._order[rows]

    def by_id(self, rows: Ints) -> Ints:
        """Which of some rows comes first, second and so on in the order of `firm_id`."""
        return np.argsort(self.place_of(rows), kind="stable")

    @property
    def _order(self) -> Ints:
        """Place of every row in the order of `firm_id`."""
        return self.kept(("order",), self._find_order)

    def _find_order(self) -> Ints:
        """Each firm of the second segment stands before the one of the first that it meets."""
        first, late = self.tables
        places = [first.place(f)[0] for f in late.texts(Col.FIRM_ID, range(len(late)))]
        keys = np.append(2 * np.arange(len(first)), 2 * np.array(places, dtype=np.int64) - 1)
        order = np.empty(self.size, dtype=np.int64)
        order[np.argsort(keys, kind="stable")] = np.arange(self.size)
        return order

    def kept(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What `make` gives, made once for a key."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    def recent(self, kind: str, key: Hashable, make: Callable[[], T], most: int = RECENT) -> T:
        """What `make` gives, kept for the last few keys of a kind; with `most` 0 not at all."""
        found: T = self._recent.setdefault(kind, Recent()).of(key, make, most)
        return found

    def forget(self) -> None:
        """Drop what was worked out for the last few questions, which holds the index itself."""
        self._recent.clear()

    # what firms are ----------------------------------------------------------------------------

    def active_by(self, labels: str) -> Floats:
        """How many active firms each industry (`industry_of`) or division (`division_of`) has."""
        return self.kept(("active", labels), lambda: self._active_by(labels))

    def _active_by(self, labels: str) -> Floats:
        size = len(self.industries if labels == "industry_of" else self.divisions)
        of_firms = getattr(self, labels)
        return np.bincount(of_firms, weights=self.active, minlength=size).astype(np.float32)

    def by_segment(self, rows: Ints) -> Iterator[tuple[Segment, Ints | slice, Ints]]:
        """For each segment: itself, which of the given rows are its own, and their rows in it."""
        if len(self.segments) == 1:
            yield self.segments[0], slice(None), rows
            return
        for segment, start, end in zip(self.segments, self.starts, self.starts[1:], strict=False):
            here = np.flatnonzero((rows >= start) & (rows < end))
            yield segment, here, rows[here] - start

    def latent_near(self, rows: Ints, vector: Floats) -> Floats:
        """Latent similarity of some firms to a vector of all directions."""
        found = np.empty(len(rows), dtype=np.float32)
        for segment, here, some in self.by_segment(rows):
            found[here] = segment.near(some, vector)
        return found

    def latent_rows(self, rows: Sequence[int] | Ints) -> Floats:
        """Latent rows of some firms (firms x directions)."""
        given = np.asarray(rows, dtype=np.int64)
        found = np.empty((len(given), self._directions), dtype=np.float32)
        for segment, here, some in self.by_segment(given):
            found[here] = segment.latent_rows(some)
        return found

    def latent_query(self, columns: Ints, weights: Floats) -> Floats:
        """Latent vector of length one for weighted n-grams; zeros when none is known."""
        words, latent = self.features.words_, self.features.latent_
        return unit(latent.vector(columns, weights * words.idf_[columns]), self._directions)

    def latent_mean(self, vectors: Floats) -> Floats:
        """The mean, of length one, of some latent rows."""
        return unit(vectors.mean(axis=0), self._directions)

    @property
    def _directions(self) -> int:
        return 2 * int(self.segments[0].latent.shape[1])

    def industry_nearness(self, target: str) -> Floats:
        """Nearness of each distinct industry label to a code or a free tag; NaN for no label."""
        paths = self.kept(("paths",), lambda: _Paths(self.industries))
        return self.recent("industry", target, lambda: paths.nearness(target), TARGETS)

    def distances(self, point: Division) -> Floats:
        """Kilometres from each distinct division to a place; NaN where a coordinate is unknown."""
        return self.kept(("place", point.code), lambda: _distances(self.divisions, point.code))


def groups(firms: int) -> int:
    """How many groups of `GROUP` there are."""
    return -(-firms // GROUP)


def unit(vector: Floats, size: int) -> Floats:
    """A vector brought to length one, with zeros up to a size."""
    length = float(np.linalg.norm(vector))
    found = np.zeros(size, dtype=np.float32)
    if length > 0:
        found[: len(vector)] = vector / length
    return found


def _under(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> Arrays:
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


class _Paths:
    """The industry labels by the lines of the tree that they stand on."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels, self.tree = labels, IndustryTree.shipped()
        self.blank = np.array([label == "" for label in labels], dtype=bool)
        paths = [self.tree.path(label) if label in self.tree else () for label in labels]
        self.number: dict[tuple[str, ...], int] = {}
        self.table = np.full((len(labels), LEVELS), -1)
        for row, path in zip(self.table, paths, strict=True):
            for level in range(len(path)):
                row[level] = self.number.setdefault(path[: level + 1], len(self.number))
        self.depth = np.array([len(path) for path in paths], dtype=np.int64)

    def nearness(self, target: str) -> Floats:
        """Nearness of every label to a code or a free tag; NaN for no label."""
        near = np.array([label == target for label in self.labels], dtype=np.float32)
        if target in self.tree:
            path = self.tree.path(target)
            own = [self.number.get(path[: i + 1], -2) for i in range(len(path))]
            common = (self.table[:, : len(own)] == own).sum(axis=1)
            levels = range(LEVELS + 1)
            shares = np.array([[shared(min(d, n), n, len(path)) for n in levels] for d in levels])
            near = np.where(self.depth > 0, shares[common, self.depth], near).astype(np.float32)
        near[self.blank] = np.nan
        return near


def _distances(divisions: Sequence[str], point: str) -> Floats:
    places = Divisions.shipped()
    km = [places.distance_km(code, point) if code else None for code in divisions]
    return np.array([np.nan if x is None else x for x in km], dtype=np.float32)


def _numbered(values: pd.Series, labels: list[str]) -> Whole:
    """Number of each value among the labels, to which those not yet there are added."""
    encoded = arrow_text(values).dictionary_encode()
    found: list[str] = encoded.dictionary.to_pylist()
    labels.extend(sorted({*found}.difference(labels)))
    place = {label: i for i, label in enumerate(labels)}
    table = np.array([place[f] for f in found], dtype=np.int32)
    return table.take(np.asarray(encoded.indices))
