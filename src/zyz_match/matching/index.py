"""The layout that scores every firm of a pool at once: postings by word, latent rows, codes.

Exact: each kernel gives what the plain matrix product would give (float32 sums in column order).
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from numba import njit

from zyz_match.domain import Col, Standing
from zyz_match.industry import IndustryTree
from zyz_match.matching.events import EventFeatures
from zyz_match.matching.features import FirmFeatures, Floats
from zyz_match.region import Division, Divisions

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@njit(cache=True, nogil=True)
def _sum_postings(indptr: Any, rows: Any, data: Any, columns: Any, weights: Any, out: Any) -> None:
    """Add weight x value of every posting of the given columns to its firm's sum."""
    for j in range(len(columns)):
        weight = weights[j]
        for p in range(indptr[columns[j]], indptr[columns[j] + 1]):
            out[rows[p]] += weight * data[p]


@njit(cache=True, nogil=True)
def _holding_all(indptr: Any, rows: Any, columns: Any) -> Any:
    """Firms that hold all columns: walk the shortest posting list, look up in the others."""
    shortest = columns[0]
    for c in columns:
        if indptr[c + 1] - indptr[c] < indptr[shortest + 1] - indptr[shortest]:
            shortest = c
    found = np.empty(indptr[shortest + 1] - indptr[shortest], np.int32)
    n = 0
    for p in range(indptr[shortest], indptr[shortest + 1]):
        row, everywhere = rows[p], True
        for c in columns:
            at = indptr[c] + np.searchsorted(rows[indptr[c] : indptr[c + 1]], row)
            if at == indptr[c + 1] or rows[at] != row:
                everywhere = False
                break
        if everywhere:
            found[n] = row
            n += 1
    return found[:n]


@njit(cache=True, nogil=True, fastmath=True)
def _dot_rows(matrix: Any, scale: Any, vector: Any, out: Any) -> None:
    """Inner product of every quantised row with a vector."""
    for i in range(matrix.shape[0]):
        total = np.float32(0.0)
        for j in range(matrix.shape[1]):
            total += np.float32(matrix[i, j]) * vector[j]
        out[i] = total * scale[i]


def top_k(scores: npt.NDArray[np.float64], allowed: Mask, k: int) -> Ints:
    """Rows of the k best allowed scores, best first, ties by row; fewer when fewer are allowed."""
    rows = np.flatnonzero(allowed)
    if len(rows) > k:
        values = scores[rows]
        threshold = np.partition(values, len(values) - k)[len(values) - k]
        rows = rows[values >= threshold]
    order = np.argsort(-scores[rows], kind="stable")
    return np.asarray(rows[order[:k]], dtype=np.int64)


class Index:
    """All firms, fitted and laid out for scoring; rows are in the order of `firm_id`.

    A new town needs no refit. `stamp` names the state of the firm data it was fitted on.
    """

    FORMAT = 1

    def __init__(self, stamp: str = "") -> None:
        self.stamp = stamp

    def fit(self, frame: pd.DataFrame, events: pd.DataFrame | None = None) -> Self:
        """Fit the features on a firm table (columns of `Col`) and lay them out."""
        self.frame = frame.sort_values(Col.FIRM_ID, kind="stable").reset_index(drop=True)
        self.features = FirmFeatures()
        words, latent, structure = self.features.fit_parts(self.frame)
        columns = words.tocsc()
        columns.sort_indices()
        self.indptr = columns.indptr.astype(np.int64)
        self.rows = columns.indices.astype(np.int32)
        self.weights = columns.data.astype(np.float32)
        self.latent, self.latent_scale = _quantise(latent)
        self.structure = dict(zip(("capacity", "marks"), structure.T, strict=True))
        self.industry_of, self.industries = _codes(
            self.frame[Col.INDUSTRY].where(
                self.frame[Col.INDUSTRY] != "", self.frame[Col.INDUSTRY_TEXT]
            )
        )
        self.division_of, self.divisions = _codes(self.frame[Col.DIVISION])
        self.active = (self.frame[Col.STANDING] != Standing.GONE).to_numpy(bool)
        self.has_text = ((self.frame[Col.SCOPE] != "") | (self.frame[Col.PRODUCTS] != "")).to_numpy(
            bool
        )
        self.events = EventFeatures().fit(events, self.frame[Col.FIRM_ID])
        return self

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each firm id."""
        return {f: i for i, f in enumerate(self.frame[Col.FIRM_ID])}

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("row_of", "_nearness", "_km")}

    def word_scores(self, columns: Ints, weights: Floats) -> Floats:
        """Weighted sum of the word weights of the given columns, for every firm."""
        out = np.zeros(len(self), dtype=np.float32)
        _sum_postings(self.indptr, self.rows, self.weights, columns, weights, out)
        return out

    def holding_all(self, columns: Ints) -> npt.NDArray[np.int32]:
        """Rows of the firms whose text holds all the given n-grams."""
        return np.asarray(_holding_all(self.indptr, self.rows, columns), dtype=np.int32)

    def latent_scores(self, vector: Floats) -> Floats:
        """Inner product of every firm's latent row with a vector."""
        out = np.zeros(len(self), dtype=np.float32)
        _dot_rows(self.latent, self.latent_scale, vector.astype(np.float32), out)
        return out

    def latent_query(self, columns: Ints, weights: Floats) -> Floats:
        """Latent vector of length one for weighted n-grams; zeros when none is known."""
        weighted = weights * self.features.words_.idf_[columns]
        return _unit(weighted @ self.features.latent_.basis_[columns])

    def latent_mean(self, rows: Sequence[int] | Ints) -> Floats:
        """Direction, of length one, of the mean latent row of the given firms."""
        picked = self.latent[rows].astype(np.float32) * self.latent_scale[rows][:, None]
        return _unit(picked.mean(axis=0))

    def latent_between(self, rows: Sequence[int] | Ints, row: int) -> Floats:
        """Latent similarity of the given firms to one firm."""
        others = self.latent[rows].astype(np.float32) * self.latent_scale[rows][:, None]
        own = self.latent[row].astype(np.float32) * self.latent_scale[row]
        return np.asarray(others @ own, dtype=np.float32)

    def industry_nearness(self, target: str) -> Floats:
        """Nearness of each distinct industry label to a code or a free tag; NaN for no label."""
        cache: dict[str, Floats] = self.__dict__.setdefault("_nearness", {})
        if target not in cache:
            tree = IndustryTree.shipped()
            known = [label if label in tree else None for label in self.industries]
            row = [
                np.nan if label == "" else
                float(label == target) if code is None or target not in tree else
                tree.nearness(code, target)
                for label, code in zip(self.industries, known, strict=True)
            ]  # fmt: skip
            cache[target] = np.array(row, dtype=np.float32)
        return cache[target]

    def distances(self, point: Division) -> Floats:
        """Kilometres from each distinct division to a place; NaN where a coordinate is unknown."""
        cache: dict[str, Floats] = self.__dict__.setdefault("_km", {})
        if point.code not in cache:
            places = Divisions.shipped()
            km = [places.distance_km(code, point.code) if code else None for code in self.divisions]
            cache[point.code] = np.array([np.nan if x is None else x for x in km], np.float32)
        return cache[point.code]


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
