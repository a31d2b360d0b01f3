"""Latent semantic directions of word weights."""

from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from zyz_match.matching import counting
from zyz_match.matching.threads import beside
from zyz_match.matching.words import Counts, Whole

Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]
Columns = npt.NDArray[np.int64]
_TOP_CODE = 127
_SPARE = 10  # directions that are followed along and then left out
_ITERATIONS = 4
_SOME = 4000  # one in how many sampled firms has to use an n-gram
_ROUNDING = 1e-6  # below this share of the greatest square a square of float32 sums is rounding


class LatentFeatures(TransformerMixin, BaseEstimator):
    """Latent semantic directions of the word weights (truncated SVD), partly whitened.

    A row of weights is scaled to length one, projected on the `n_components` first right singular
    vectors, divided by the singular values to the power `whitening`, and scaled to length one
    again: the inner product of two rows is their latent similarity, in [-1, 1].
    The basis is learnt from at most `sample` evenly spaced rows. A row without known words is 0.
    Learned: the basis, as `codes_` (rows x components, int8) times `scale_` (rows,), and `place_`,
    the row of each n-gram; -1 for those that next to none of the sample uses, which say nothing.
    """

    def __init__(
        self, n_components: int = 192, whitening: float = 0.75, sample: int = 10_000
    ) -> None:
        self.n_components = n_components
        self.whitening = whitening
        self.sample = sample

    def step(self, firms: int) -> int:
        """Of so many rows, one in how many the basis is learnt from."""
        return max(1, -(-firms // self.sample))

    def fit(self, words: sparse.csr_matrix, y: None = None) -> Self:
        """Learn the basis from word weights (firms x n-grams)."""
        some = words[:: self.step(words.shape[0])]
        users = np.bincount(some.indices, minlength=words.shape[1])
        used = np.flatnonzero(users)
        used = used[np.argsort(-users[used], kind="stable")]  # near by those that are used most
        rank = min(self.n_components, min(some.shape) - 1) if len(used) else 0
        basis = np.zeros((len(used), max(1, rank)), dtype=np.float32)
        if rank >= 1:
            some = normalize(some)[:, used]
            with threadpool_limits(1):  # lists are ranked beside it
                values, sides = _directions(some, rank)
            scaled = (sides / values**self.whitening).astype(np.float32)
            basis[:, : len(values)] = some.T @ scaled
        self.place_ = np.full(words.shape[1], -1, dtype=np.int32)
        self.place_[used] = np.arange(len(used))
        peak = np.abs(basis).max(axis=1, initial=1e-12)
        self.scale_: Floats = (peak / _TOP_CODE).astype(np.float32)
        basis /= self.scale_[:, None]
        self.codes_ = np.rint(basis, out=basis).astype(np.int8)
        return self

    @property
    def components(self) -> int:
        """How many directions there are."""
        return int(self.codes_.shape[1])

    @property
    def basis_(self) -> Floats:
        """The basis (n-grams x components, float32), written out anew."""
        basis: Floats = np.zeros((len(self.place_), self.components), dtype=np.float32)
        held = self.place_ >= 0
        basis[held] = (self.codes_ * self.scale_[:, None])[self.place_[held]]
        return basis

    def transform(self, words: sparse.csr_matrix) -> Floats:
        """Latent rows (firms x components) of length one."""
        return self._rows(words.indptr.astype(np.int64), words.indices, words.data, self.place_)

    def rows(self, counts: Counts, weights: Floats, place: Whole | None = None) -> Floats:
        """Latent rows (firms x components) of length one of counted firms, given their weights.

        The counts are of columns, or of other n-grams if the row of each in the basis is given.
        """
        place = self.place_ if place is None else place
        return self._rows(counts.starts, counts.grams, weights, place)

    def vector(self, columns: Columns, weights: Floats) -> Floats:
        """The latent row (components,) of length one of weighted n-grams; 0 when none is known."""
        starts, grams = np.array([0, len(columns)]), columns.astype(np.int32)
        rows = self._rows(starts, grams, weights, self.place_)
        return rows.reshape(-1)

    def _rows(self, starts: Columns, grams: Whole, weights: Floats, place: Whole) -> Floats:
        out = np.zeros((len(starts) - 1, self.components), dtype=np.float32)
        counting.project(starts, grams, weights, place, self.codes_, self.scale_, out)
        return out

    def get_feature_names_out(self, input_features: None = None) -> npt.NDArray[np.object_]:
        """latent0, latent1, ..."""
        return np.array([f"latent{i}" for i in range(self.components)], dtype=object)


def _directions(words: sparse.csr_matrix, rank: int) -> tuple[Wide, Wide]:
    """The greatest singular values of a matrix W, and the S for which W' S are its directions.

    Halko, Martinsson and Tropp (2011), algorithm 4.4, on the side of the rows: the many columns
    are met only inside the product of the matrix with itself, column by column, and take no memory.
    """
    columns = words.tocsc()
    size = min(rank + _SPARE, *words.shape)
    sides = np.random.RandomState(0).normal(size=(words.shape[0], size)).astype(np.float32)
    for _ in range(_ITERATIONS):
        image = _multiplied(columns, sides)
        sides = (image @ _evening(image.T @ image, _ROUNDING**2)).astype(np.float32)
    image = _multiplied(columns, sides)
    evening = _evening(sides.T.astype(np.float64) @ image, _ROUNDING)  # of W' x sides
    within = image @ evening
    squares, turned = np.linalg.eigh(within.T @ within)
    values = np.sqrt(np.maximum(squares, _ROUNDING**2 * squares[-1]))
    order = np.argsort(-squares, kind="stable")[:rank]
    return values[order], sides @ (evening @ turned[:, order])


def _evening(products: Wide, least: float) -> Wide:
    """What columns with these inner products are multiplied with to make them orthonormal."""
    powers, turned = np.linalg.eigh(products)
    kept = powers > least * powers[-1]
    return np.asarray(turned[:, kept] / np.sqrt(powers[kept]), dtype=np.float64)


def _multiplied(columns: sparse.csc_matrix, sides: Floats) -> Wide:
    """The matrix times its transpose times some columns, half of it on another thread."""
    starts = columns.indptr.astype(np.int64)
    middle = int(np.searchsorted(starts, starts[-1] / 2))

    def part(half: slice) -> Floats:
        out = np.zeros_like(sides)
        counting.add_gram_products(starts[half], columns.indices, columns.data, sides, out)
        return out

    one, other = beside(part, slice(middle + 1), slice(middle, None))
    return one.astype(np.float64) + other
