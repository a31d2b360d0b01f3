"""The character n-grams of firms' texts: their columns, their counts and their BM25 weights."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

from zyz_match.matching import counting
from zyz_match.matching.phrases import Block, Cut, Keys, cut, term_phrases

Floats = npt.NDArray[np.float32]
Columns = npt.NDArray[np.int64]
Whole = npt.NDArray[np.int32]
_BITS = int(counting.POINT_BITS)
_APART = 32  # known n-grams to one that is looked for, from which to search beats to go through all
_NOT_KEPT = ("_looked_up", "recent")  # made anew where needed


class Counts(NamedTuple):
    """How often firms use known n-grams, as compressed rows, each in the order of first use."""

    starts: Columns  # (firms + 1,)
    grams: Whole  # (entries,)
    times: npt.NDArray[np.uint8]  # (entries,) at most `counting.MOST_TIMES`
    lengths: Floats  # (firms,) known n-grams of a firm's text, repeats counted


class Cover(NamedTuple):
    """The n-grams that terms need, laid end to end, as `kernels.cover` takes them."""

    columns: Columns  # distinct n-grams
    starts: Columns  # (terms + 1,) first of each term's entries in `needed`
    needed: Columns  # numbers into `columns`
    weights: npt.NDArray[np.float64]  # (terms,)

    @classmethod
    def of(cls, terms: Sequence[tuple[Columns, float]]) -> Self:
        """The cover of terms given as (n-grams, weight)."""
        some = np.concatenate([c for c, _ in terms]) if terms else np.empty(0, dtype=np.int64)
        columns, needed = np.unique(some, return_inverse=True)
        starts = np.append(0, np.cumsum([len(c) for c, _ in terms])).astype(np.int64)
        return cls(columns, starts, needed, np.array([w for _, w in terms], dtype=np.float64))


class WordFeatures(TransformerMixin, BaseEstimator):
    """BM25 weights of the character n-grams of a firm's text.

    Parameters are those of Robertson and Zaragoza (2009), eq. 3.15: the weight of an n-gram t that
    occurs f times in a firm's text of L n-grams is
    ``idf(t) * f * (k1 + 1) / (f + k1 * (1 - b + b * L / mean L))`` with
    ``idf(t) = ln(1 + (n - df + .5) / (df + .5))`` over n firms.

    Unseen n-grams of a later table are ignored. Learned: `keys_` (columns,), the n-grams in order
    (see `counting`), `idf_` (columns,), `mean_length_`.
    """

    def __init__(self, k1: float = 1.5, b: float = 0.75) -> None:
        self.k1 = k1
        self.b = b

    def fit(self, frame: pd.DataFrame, y: None = None) -> Self:
        """Learn vocabulary, document frequencies and mean length from a firm table."""
        return self.fit_cut(cut(frame))

    def fit_cut(self, firms: Cut) -> Self:
        """Learn from a firm table that is cut already."""
        for name in _NOT_KEPT:
            self.__dict__.pop(name, None)
        self.keys_: Keys = firms.keys()
        return self.fit_counted(self.keys_, self.frequencies(firms), len(firms), firms.grams())

    def fit_counted(self, keys: Keys, used: Columns, firms: int, grams: int) -> Self:
        """Learn from n-grams, how many of so many firms use each, and how many there are in all."""
        self.keys_ = keys
        self.idf_: Floats = np.log1p((firms - used + 0.5) / (used + 0.5)).astype(np.float32)
        self.mean_length_ = grams / firms if grams else 1.0
        return self

    def fit_transform(self, frame: pd.DataFrame, y: None = None, **_: Any) -> sparse.csr_matrix:
        """Fit, and give the weights of the same table without cutting it twice."""
        firms = cut(frame)
        return self.fit_cut(firms).matrix(self.counts(firms))

    def transform(self, frame: pd.DataFrame) -> sparse.csr_matrix:
        """Weights (firms x n-grams, float32 CSR) of a firm table."""
        return self.matrix(self.counts(cut(frame)))

    def frequencies(self, firms: Cut) -> Columns:
        """How many of the given firms use each known n-gram (columns,)."""
        found = np.zeros(len(self.keys_), np.int64)
        for block in firms.blocks:
            columns = self._places(block.keys)
            found[columns[columns >= 0]] += block.users[columns >= 0]
        return found

    def counts(self, firms: Cut, low: int = 0, high: int | None = None, step: int = 1) -> Counts:
        """N-gram counts of every step-th firm from row low to below row high.

        It costs least where the rows are those of one block of the cut.
        """
        high = len(firms) if high is None else high
        parts, first = [], 0
        for block in firms.blocks:
            begin = max(low, first + (low - first) % step)
            if begin < min(high, first + len(block)):
                some = min(high - first, len(block))
                columns, counts = self.block_counts(block, begin - first, some, step)
                parts.append(counts._replace(grams=columns[counts.grams]))
            first += len(block)
        return joined(parts)

    def block_counts(
        self, block: Block, low: int = 0, high: int | None = None, step: int = 1
    ) -> tuple[Whole, Counts]:
        """The columns of a block's n-grams, -1 for unknown ones, and the counts of some firms.

        The n-grams of these counts are the block's, not the columns: common ones are near by.
        """
        columns = self._places(block.keys).astype(np.int32)[block.place]
        known = columns >= 0
        if not known.all():
            block = block.only(known)
        rows, most = range(len(block))[low:high:step], int(block.users.sum())
        starts, lengths = np.empty(len(rows) + 1, np.int64), np.empty(len(rows), np.float32)
        grams, times = np.empty(most, np.int32), np.empty(most, np.uint8)
        n = counting.count_grams(
            block.starts, block.ids, block.gram_starts, block.grams, len(columns), low, step,
            starts, grams, times, lengths,
        )  # fmt: skip
        return columns, Counts(starts, grams[:n], times[:n], lengths)

    def norms(self, lengths: Floats) -> Floats:
        """What is added to f below the fraction of a weight, for firms' lengths."""
        return (self.k1 * (1 - self.b + self.b * lengths / self.mean_length_)).astype(np.float32)

    def weights(self, counts: Counts, columns: Whole | None = None) -> Floats:
        """The BM25 weight of every entry of the counts, of a block if its columns are given."""
        idf = self.idf_ if columns is None else np.append(self.idf_, np.float32(0))[columns]
        out = np.empty(len(counts.grams), np.float32)
        counting.weigh(
            counts.starts, counts.grams, counts.times, self.norms(counts.lengths), idf, self.k1,
            out,
        )  # fmt: skip
        return out

    def matrix(self, counts: Counts) -> sparse.csr_matrix:
        """The BM25 weights of counted firms (firms x n-grams)."""
        shape = (len(counts.lengths), len(self.keys_))
        weights = self.weights(counts)
        found = sparse.csr_matrix((weights, counts.grams, counts.starts), shape=shape)
        return found.sorted_indices()

    def get_feature_names_out(self, input_features: None = None) -> npt.NDArray[np.object_]:
        """The n-grams, in column order."""
        return np.array([_gram(int(key)) for key in self.keys_], dtype=object)

    def query(self, terms: Iterable[tuple[str, float]]) -> tuple[npt.NDArray[np.int64], Floats]:
        """Columns and summed weights of the n-grams of weighted terms."""
        found = [(self._looked_up(term)[0], weight) for term, weight in terms]
        if not found:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        columns, at = np.unique(np.concatenate([c for c, _ in found]), return_inverse=True)
        asked = np.repeat([w for _, w in found], [len(c) for c, _ in found])
        return columns, np.bincount(at, asked, len(columns)).astype(np.float32)

    def grams(self, term: str) -> list[str]:
        """All n-grams of a term, phrase by phrase."""
        return [gram for p in term_phrases(term) for gram in (*p, *(a + b for a, b in pairwise(p)))]

    def column(self, gram: str) -> int | None:
        """The column of an n-gram; None when no fitted firm uses it."""
        column = int(self._find(_key_array([gram]))[0])
        return None if column < 0 else column

    def cover(self, terms: Iterable[tuple[str, float]]) -> Cover:
        """What weighted terms need; a term with an unknown n-gram is covered by nobody."""
        asked = ((self.columns_of(term), weight) for term, weight in terms)
        return Cover.of([(c, weight) for c, weight in asked if c is not None])

    @cached_property
    def recent(self) -> dict[str, Any]:
        """What was prepared lately, by town; not part of the artifact."""
        return {}

    def columns_of(self, term: str) -> npt.NDArray[np.int64] | None:
        """Columns that a text must all hold to cover the term; None when one is unknown."""
        return self._looked_up(term)[1]

    @cached_property
    def _looked_up(self) -> Callable[[str], tuple[Columns, Columns | None]]:
        """Known n-grams of a term as often as it holds them, and what its coverage needs."""

        def look_up(term: str) -> tuple[Columns, Columns | None]:
            found = self._find(_key_array(self.grams(term)))
            cut_up = {p[i : i + 2] for p in term_phrases(term) for i in range(max(1, len(p) - 1))}
            needed = self._find(_key_array(sorted(cut_up)))
            known = found[found >= 0]
            return known, needed if len(needed) and needed.min() >= 0 else None

        return lru_cache(maxsize=8192)(look_up)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {k: v for k, v in state.items() if k not in _NOT_KEPT}

    def _places(self, keys: Keys) -> Columns:
        """As `_find`, of ascending n-grams."""
        if len(keys) * _APART < len(self.keys_):
            return self._find(keys)
        out = np.empty(len(keys), np.int64)
        counting.places(self.keys_, keys, out)
        return out

    def _find(self, keys: Keys) -> Columns:
        """The columns of n-grams; -1 for those that no fitted firm uses."""
        if not len(self.keys_):
            return np.full(len(keys), -1, np.int64)
        at = np.searchsorted(self.keys_, keys).clip(max=len(self.keys_) - 1)
        return np.where(self.keys_[at] == keys, at, -1)


def _key_array(grams: Sequence[str]) -> Keys:
    """Keys of n-grams of one or two characters."""
    points = [(ord(g[0]), ord(g[1]) if len(g) > 1 else 0) for g in grams]
    return np.array([a << _BITS | b for a, b in points], np.uint64)


def _gram(key: int) -> str:
    first, second = divmod(key, 1 << _BITS)
    return chr(first) + (chr(second) if second else "")


def joined(parts: Sequence[Counts]) -> Counts:
    """The counts of firms after one another."""
    if len(parts) == 1:
        return parts[0]
    before = np.append(0, np.cumsum([len(p.grams) for p in parts])).astype(np.int64)
    starts = [p.starts[:-1] + first for p, first in zip(parts, before, strict=False)]
    return Counts(
        np.concatenate([*starts, before[-1:]]),
        np.concatenate([np.empty(0, np.int32), *(p.grams for p in parts)]),
        np.concatenate([np.empty(0, np.uint8), *(p.times for p in parts)]),
        np.concatenate([np.empty(0, np.float32), *(p.lengths for p in parts)]),
    )
