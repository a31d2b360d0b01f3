"""The layout that scores every firm of a pool at once: postings by word, latent rows, codes.

Every firm is scored, none is skipped; a list is the true top of all scores.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from threading import current_thread
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from zyz_match.domain import Col, Standing
from zyz_match.industry import IndustryTree
from zyz_match.matching import kernels
from zyz_match.matching.events import EventFeatures
from zyz_match.matching.features import Cover, FirmFeatures, Floats
from zyz_match.region import Division, Divisions

S = TypeVar("S")
T = TypeVar("T")
_HELPER = "zyz-match-helper"
_HELPERS = ThreadPoolExecutor(2, thread_name_prefix=_HELPER)
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
TOP_CODE = 255  # a word weight is a share of its n-gram's ceiling in eight bits
LEADING = 128  # latent directions by which firms are held against each other
DENSE_FROM = 0.125  # share of the firms from which a dense row is read faster than postings


def beside(call: Callable[[S], T], one: S, other: S) -> tuple[T, T]:
    """The call of two items on two threads, since kernels run without Python's lock.

    A helper that asks for help does both itself: it would wait for helpers who wait as well.
    """
    if current_thread().name.startswith(_HELPER):
        return call(one), call(other)
    helped = _HELPERS.submit(call, other)
    return call(one), helped.result()


def top_k(scores: npt.NDArray[np.float64], allowed: Mask, k: int) -> Ints:
    """Rows of the k best allowed scores, best first, ties by row; fewer when fewer are allowed."""
    size = min(k, int(np.count_nonzero(allowed)))
    if size <= 0:
        return np.empty(0, dtype=np.int64)
    if size == k:
        rows = np.empty(size, dtype=np.int64)
        kernels.best_rows(scores, allowed, rows, np.empty(size))
        rows.sort()
    else:
        rows = np.flatnonzero(allowed)
    return rows[np.argsort(-scores[rows], kind="stable")]


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """Word weights by n-gram: eight-bit fixed-point numbers, which *are* the index's word weights.

    Firms are in blocks of `kernels.BLOCK`. An n-gram that more than `DENSE_FROM` of the firms use
    is one dense row of codes; any other is a run of (row in its block, code) in each block.
    """

    starts: Ints  # (blocks, n-grams + 1) first posting of each run
    rows: npt.NDArray[np.uint16]  # (postings,)
    codes: npt.NDArray[np.uint8]  # (postings,)
    dense: npt.NDArray[np.uint8]  # (dense n-grams, firms)
    held: npt.NDArray[np.uint64]  # (dense n-grams, words) bit i of word j: firm 64 j + i holds it
    place: npt.NDArray[np.int32]  # (n-grams,) row of `dense`, -1 for the others
    scale: Floats  # (n-grams,) weight of the code 1

    @classmethod
    def of(cls, words: sparse.csr_matrix, ceiling: Floats) -> Self:
        """Lay out word weights (firms x n-grams), none of which is above its n-gram's ceiling."""
        firms, grams = words.shape
        often = np.bincount(words.indices, minlength=grams) > DENSE_FROM * firms
        place = np.where(often, np.cumsum(often) - 1, -1).astype(np.int32)
        scale = (ceiling / TOP_CODE).astype(np.float32)
        starts, rows, codes, before = [], [], [], 0
        dense = np.zeros((int(often.sum()), firms), dtype=np.uint8)
        for low in range(0, max(firms, 1), kernels.BLOCK):
            block = words[low : low + kernels.BLOCK].tocsc()
            sizes = np.diff(block.indptr)
            code = np.rint(block.data / np.repeat(scale, sizes)).clip(1, TOP_CODE).astype(np.uint8)
            row, at = block.indices, np.repeat(place, sizes)
            full = at >= 0
            dense[at[full], low + row[full]] = code[full]
            starts.append(before + np.append(0, np.cumsum(np.where(often, 0, sizes))))
            rows.append(row[~full].astype(np.uint16))
            codes.append(code[~full])
            before = int(starts[-1][-1])
        held = np.zeros((len(dense), len(starts) * kernels.BLOCK), dtype=bool)
        held[:, :firms] = dense > 0
        return cls(
            np.array(starts, dtype=np.int64), np.concatenate(rows), np.concatenate(codes), dense,
            np.packbits(held, axis=1, bitorder="little").view("<u8"), place, scale,
        )  # fmt: skip

    def sums(self, columns: Ints, weights: Floats) -> Floats:
        """Weighted sum of the given n-grams, for every firm."""
        out = np.zeros(self.dense.shape[1], dtype=np.float32)
        kernels.sum_columns(
            self.starts, self.rows, self.codes, self.dense, self.place,
            columns, weights * self.scale[columns], out,
        )  # fmt: skip
        return out

    def coverage(self, cover: Cover) -> Floats:
        """Sum of weight x ln(1 + (n - df + .5) / (df + .5)) over the terms that a firm covers.

        df firms of n hold all n-grams of a term.
        """
        firms = self.dense.shape[1]
        out = np.zeros(len(self.starts) * kernels.BLOCK, dtype=np.float32)
        if len(cover.weights):
            kernels.cover(
                self.starts, self.rows, self.held, self.place, cover.columns, cover.starts,
                cover.needed, cover.weights, firms, out,
            )  # fmt: skip
        return out[:firms]


class Index:
    """All firms, fitted and laid out for scoring; rows are in the order of `firm_id`.

    A new town needs no refit. `stamp` names the state of the firm data it was fitted on.
    """

    FORMAT = 3

    def __init__(self, stamp: str = "") -> None:
        self.stamp = stamp

    def fit(self, frame: pd.DataFrame, events: pd.DataFrame | None = None) -> Self:
        """Fit the features on a firm table (columns of `Col`) and lay them out."""
        self.frame = frame.sort_values(Col.FIRM_ID, kind="stable").reset_index(drop=True)
        self.frame.columns = [str(c) for c in frame.columns]  # an enum pickles as a call
        self.features = FirmFeatures()
        words, latent, structure = self.features.fit_parts(self.frame)
        known = self.features.words_
        self.postings = Postings.of(words, known.idf_ * np.float32(known.k1 + 1))
        rows, self.latent_scale = _quantise(latent)
        self.latent = np.ascontiguousarray(rows[:, :LEADING])
        self.latent_rest = np.ascontiguousarray(rows[:, LEADING:])
        self.structure = dict(zip(("capacity", "marks"), structure.T, strict=True))
        self.industry_of, self.industries = _codes(
            self.frame[Col.INDUSTRY].where(
                self.frame[Col.INDUSTRY] != "", self.frame[Col.INDUSTRY_TEXT]
            )
        )
        self.division_of, self.divisions = _codes(self.frame[Col.DIVISION])
        self.active = (self.frame[Col.STANDING] != Standing.GONE).to_numpy(bool)
        has_text = (self.frame[Col.SCOPE] != "") | (self.frame[Col.PRODUCTS] != "")
        self.lacks_text = ~has_text.to_numpy(bool)
        self.events = EventFeatures().fit(events, self.frame[Col.FIRM_ID])
        return self

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each firm id."""
        return {f: i for i, f in enumerate(self.frame[Col.FIRM_ID])}

    def rows_of(self, firm_ids: Iterable[str]) -> tuple[int, ...]:
        """Rows of the given firms, without those that are not here."""
        return tuple(self.row_of[f] for f in firm_ids if f in self.row_of)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("row_of", "_kept")}

    def kept(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        """What `make` gives, made once for a key; not part of the artifact."""
        cache: dict[tuple[str, ...], T] = self.__dict__.setdefault("_kept", {})
        if key not in cache:
            cache[key] = make()
        return cache[key]

    def active_firms(self, labels: npt.NDArray[np.int32] | None = None) -> Floats:
        """How many active firms each label has; without labels, whether each firm is active."""
        if labels is None:
            return self.active.astype(np.float32)
        return np.bincount(labels, weights=self.active).astype(np.float32)

    def latent_scores(self, vector: Floats) -> Floats:
        """Inner product of every firm's latent row with a vector, whole or of the leading part."""
        out = np.zeros(len(self), dtype=np.float32)
        half = len(self) // 2
        beside(partial(self._add_latent, vector, out), slice(half), slice(half, None))
        return out

    def _add_latent(self, vector: Floats, out: Floats, part: slice) -> None:
        scale = self.latent_scale[part]
        kernels.dot_rows(self.latent[part], scale, vector[:LEADING], out[part])
        if len(vector) > LEADING:
            kernels.dot_rows(self.latent_rest[part], scale, vector[LEADING:], out[part])

    def latent_query(self, columns: Ints, weights: Floats) -> Floats:
        """Latent vector of length one for weighted n-grams; zeros when none is known."""
        weighted = weights * self.features.words_.idf_[columns]
        return _unit((weighted @ self.features.latent_.basis_[columns]).astype(np.float32))

    def latent_mean(self, rows: Sequence[int] | Ints) -> Floats:
        """Leading part, of length one, of the mean latent row of the given firms."""
        return _unit(self._leading(rows).mean(axis=0))

    def latent_between(self, rows: Sequence[int] | Ints, row: int) -> Floats:
        """Latent similarity of the given firms to one firm."""
        return np.asarray(self._leading(rows) @ self._leading([row])[0], dtype=np.float32)

    def _leading(self, rows: Sequence[int] | Ints) -> Floats:
        """The leading latent parts of the given firms."""
        scaled = self.latent[rows].astype(np.float32) * self.latent_scale[rows][:, None]
        return np.asarray(scaled, dtype=np.float32)

    def industry_nearness(self, target: str) -> Floats:
        """Nearness of each distinct industry label to a code or a free tag; NaN for no label."""
        return self.kept(("industry", target), lambda: _nearness(self.industries, target))

    def distances(self, point: Division) -> Floats:
        """Kilometres from each distinct division to a place; NaN where a coordinate is unknown."""
        return self.kept(("place", point.code), lambda: _distances(self.divisions, point.code))


def _nearness(labels: Sequence[str], target: str) -> Floats:
    tree = IndustryTree.shipped()
    known = target in tree
    row = [
        np.nan if label == "" else
        tree.nearness(label, target) if known and label in tree else
        float(label == target)
        for label in labels
    ]  # fmt: skip
    return np.array(row, dtype=np.float32)


def _distances(divisions: Sequence[str], point: str) -> Floats:
    places = Divisions.shipped()
    km = [places.distance_km(code, point) if code else None for code in divisions]
    return np.array([np.nan if x is None else x for x in km], dtype=np.float32)


def _codes(values: pd.Series) -> tuple[npt.NDArray[np.int32], list[str]]:
    numbers, labels = pd.factorize(values.astype(object), sort=True)
    return numbers.astype(np.int32), [str(x) for x in labels]


def _quantise(latent: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Signed bytes and one scale a row; the quantised rows *are* the model's latent rows."""
    peak = np.maximum(np.abs(latent).max(axis=1, initial=0.0), 1e-12)
    return np.rint(latent / peak[:, None] * 127).astype(np.int8), (peak / 127).astype(np.float32)


def _unit(vector: Floats) -> Floats:
    length = float(np.linalg.norm(vector))
    return (vector / length if length > 0 else np.zeros_like(vector)).astype(np.float32)
