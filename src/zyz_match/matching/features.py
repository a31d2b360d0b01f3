"""Enterprise features in the scikit-learn idiom: a firm table goes in, matrices come out.

Words are character 1- and 2-grams inside a phrase (never across a separator): measured, they beat
segmented words as matching features for Chinese business scopes. The work is done once per
*distinct* phrase, since business scopes repeat their phrases.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from zyz_match.domain import Col
from zyz_match.text import normalise

Floats = npt.NDArray[np.float32]
Columns = npt.NDArray[np.int64]

# wording that the registries put into every scope: it says nothing of the firm
_BOILERPLATE = re.compile(
    r"[(（【\[]?(?:除)?依法(?:须|需)经(?:相关部门)?批准的项目[^)）】\]。;；]*[)）】\]。;；]?"
    r"|(?:凭|持)(?:有效)?(?:营业执照|许可证)[^。;；)）]*"
    r"|(?:一般|许可)(?:经营)?项目\s*[:：]?|经营范围\s*[:：]"
)
_SEPARATOR = re.compile(r"[\s;；、,，。.|/:：()（）\[\]【】“”\"《》<>*]+")
_NOT_KEPT = ("_looked_up", "recent")  # made anew where needed
_LEGAL_FORM = re.compile(
    r"(?:股份)?有限(?:责任)?公司|集团|股份|公司|分公司|厂$|农民专业合作社|专业合作社|合作社"
)


def phrases(scope: str, products: str, name: str) -> list[str]:
    """The phrases of one firm: products, business scope, name without its legal form."""
    text = f"{products}；{_BOILERPLATE.sub('；', scope)}；{_LEGAL_FORM.sub('', name)}"
    return [p for p in _SEPARATOR.split(normalise(text).lower()) if p]


@lru_cache(maxsize=4096)
def term_phrases(term: str) -> tuple[str, ...]:
    """The phrases of one profile term, cut as the firms' texts are."""
    return tuple(p for p in _SEPARATOR.split(normalise(term).lower()) if p)


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

    Unseen n-grams of a later table are ignored. Learned: `vocabulary_` (n-gram -> column),
    `idf_` (columns,), `mean_length_`.
    """

    def __init__(
        self, ngram_range: tuple[int, int] = (1, 2), k1: float = 1.5, b: float = 0.75
    ) -> None:
        self.ngram_range = ngram_range
        self.k1 = k1
        self.b = b

    def fit(self, frame: pd.DataFrame, y: None = None) -> Self:
        """Learn vocabulary, document frequencies and mean length from a firm table."""
        self.fit_transform(frame)
        return self

    def fit_transform(self, frame: pd.DataFrame, y: None = None, **_: Any) -> sparse.csr_matrix:
        """Fit, and give the weights of the same table without cutting it twice."""
        vectorizer = CountVectorizer(analyzer="char", ngram_range=self.ngram_range)
        for name in _NOT_KEPT:
            self.__dict__.pop(name, None)
        incidence, distinct = self._incidence(frame)
        try:
            counted = vectorizer.fit_transform(distinct)
        except ValueError:  # not one phrase in the table
            counted = sparse.csr_matrix((len(distinct), 0))
            vectorizer.vocabulary_ = {}
        self.vocabulary_: dict[str, int] = {
            str(t): int(j) for t, j in vectorizer.vocabulary_.items()
        }
        counts = (incidence @ counted).tocsr()
        n = counts.shape[0]
        frequency = np.bincount(counts.indices, minlength=counts.shape[1])
        self.idf_: Floats = np.log1p((n - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        self.mean_length_ = float(lengths.mean()) if n and lengths.any() else 1.0
        return self._weigh(counts, lengths)

    def transform(self, frame: pd.DataFrame) -> sparse.csr_matrix:
        """Weights (firms x n-grams, float32 CSR) of a firm table."""
        incidence, distinct = self._incidence(frame)
        vectorizer = CountVectorizer(
            analyzer="char", ngram_range=self.ngram_range, vocabulary=self.vocabulary_ or {"": 0}
        )
        counts = (incidence @ vectorizer.transform(distinct)).tocsr()[:, : len(self.vocabulary_)]
        return self._weigh(counts, np.asarray(counts.sum(axis=1)).ravel())

    def get_feature_names_out(self, input_features: None = None) -> npt.NDArray[np.object_]:
        """The n-grams, in column order."""
        return np.array(sorted(self.vocabulary_, key=self.vocabulary_.__getitem__), dtype=object)

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
        low, high = self.ngram_range
        return [
            phrase[i : i + n]
            for phrase in term_phrases(term)
            for n in range(low, high + 1)
            for i in range(len(phrase) - n + 1)
        ]

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
            grams = [self.vocabulary_.get(g) for g in self.grams(term)]
            cut = {p[i : i + 2] for p in term_phrases(term) for i in range(max(1, len(p) - 1))}
            pairs = [self.vocabulary_.get(p) for p in sorted(cut)]
            known = np.array([c for c in grams if c is not None], dtype=np.int64)
            needed = None if not pairs or None in pairs else np.array(pairs, dtype=np.int64)
            return known, needed

        return lru_cache(maxsize=8192)(look_up)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {k: v for k, v in state.items() if k not in _NOT_KEPT}

    @staticmethod
    def _incidence(frame: pd.DataFrame) -> tuple[sparse.csr_matrix, list[str]]:
        """Firms x distinct phrases, and the phrases."""
        number: dict[str, int] = {}
        columns: list[int] = []
        starts = [0]
        for scope, products, name in zip(
            frame[Col.SCOPE], frame[Col.PRODUCTS], frame[Col.NAME], strict=True
        ):
            columns.extend(
                number.setdefault(p, len(number)) for p in phrases(scope, products, name)
            )
            starts.append(len(columns))
        ones = np.ones(len(columns), dtype=np.float32)
        shape = (len(frame), len(number))
        return sparse.csr_matrix((ones, columns, starts), shape=shape), list(number)

    def _weigh(self, counts: sparse.csr_matrix, lengths: npt.NDArray[Any]) -> sparse.csr_matrix:
        counts.sum_duplicates()
        per_row = self.k1 * (1 - self.b + self.b * lengths / self.mean_length_)
        norm = np.repeat(per_row, np.diff(counts.indptr))
        f = counts.data
        data = f * (self.k1 + 1) / (f + norm) * self.idf_[counts.indices]
        return sparse.csr_matrix(
            (data.astype(np.float32), counts.indices, counts.indptr), shape=counts.shape
        )


class LatentFeatures(TransformerMixin, BaseEstimator):
    """Latent semantic directions of the word weights (truncated SVD), partly whitened.

    A row of weights is scaled to length one, projected on the `n_components` first right singular
    vectors, divided by the singular values to the power `whitening`, and scaled to length one
    again: the inner product of two rows is their latent similarity, in [-1, 1].
    The basis is learnt from at most `sample` evenly spaced rows. A row without known words is 0.
    Learned: `basis_` (n-grams x components, float32).
    """

    def __init__(
        self, n_components: int = 192, whitening: float = 0.75, sample: int = 20_000
    ) -> None:
        self.n_components = n_components
        self.whitening = whitening
        self.sample = sample

    def fit(self, words: sparse.csr_matrix, y: None = None) -> Self:
        """Learn the basis from word weights (firms x n-grams)."""
        step = max(1, -(-words.shape[0] // self.sample))
        rank = min(self.n_components, min(words[::step].shape) - 1)
        if rank < 1:
            self.basis_: Floats = np.zeros((words.shape[1], 1), dtype=np.float32)
            return self
        _, values, vectors = randomized_svd(
            normalize(words[::step]), rank, n_iter=4, random_state=0
        )
        values = np.maximum(values, 1e-6 * max(float(values[0]), 1e-12))
        self.basis_ = np.ascontiguousarray(
            (vectors / values[:, None] ** self.whitening).T, np.float32
        )
        return self

    def transform(self, words: sparse.csr_matrix) -> Floats:
        """Latent rows (firms x components) of length one."""
        if not words.shape[1]:
            return np.zeros((words.shape[0], self.basis_.shape[1]), dtype=np.float32)
        return np.asarray(normalize(normalize(words) @ self.basis_), dtype=np.float32)

    def get_feature_names_out(self, input_features: None = None) -> npt.NDArray[np.object_]:
        """latent0, latent1, ..."""
        return np.array([f"latent{i}" for i in range(self.basis_.shape[1])], dtype=object)


MARK_STRENGTH = {
    "专精特新小巨人": 1.0, "专精特新中小企业": 0.7, "高新技术企业": 0.5,
    "创新型中小企业": 0.4, "科技型中小企业": 0.3,
}  # fmt: skip
STRUCTURE = ("capacity", "marks")


class StructureFeatures(TransformerMixin, BaseEstimator):
    """Scale and innovation of a firm as numbers in [0, 1]; unknown is NaN, never zero.

    capacity: mean of the known ones among the quantiles of registered capital, employees and
    revenue within the fitted table (an unseen value takes its place among the fitted ones) and
    being listed (0.8). marks: the strongest qualification (see MARK_STRENGTH), raised towards one
    by the quantile of patents; NaN without any record, since a registry export that lacks the
    column does not say that the firm has none.
    """

    quantile_columns = (Col.CAPITAL, Col.EMPLOYEES, Col.REVENUE, Col.PATENTS)

    def fit(self, frame: pd.DataFrame, y: None = None) -> Self:
        """Learn the sorted known values of each number column."""
        self.sorted_: dict[str, npt.NDArray[np.float64]] = {}
        for column in self.quantile_columns:
            values = frame[column].to_numpy(np.float64)
            self.sorted_[str(column)] = np.sort(values[~np.isnan(values)])
        return self

    def transform(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Array (firms x 2): capacity, marks."""
        known = np.column_stack(
            [self._quantile(frame, c) for c in (Col.CAPITAL, Col.EMPLOYEES, Col.REVENUE)]
            + [np.where(frame[Col.STOCK_CODE].to_numpy() != "", 0.8, np.nan)]
        )
        count = (~np.isnan(known)).sum(axis=1)
        capacity = np.where(count > 0, np.nansum(known, axis=1) / np.maximum(count, 1), np.nan)
        distinct = {
            text: max((MARK_STRENGTH.get(m, 0.0) for m in text.split("；")), default=0.0)
            for text in set(frame[Col.MARKS])
        }
        strength = frame[Col.MARKS].map(distinct).to_numpy(np.float64)
        patents = np.nan_to_num(self._quantile(frame, Col.PATENTS))
        marks = strength + (1 - strength) * 0.5 * patents
        return np.column_stack([capacity, np.where(marks > 0, marks, np.nan)])

    def get_feature_names_out(self, input_features: None = None) -> npt.NDArray[np.object_]:
        """capacity, marks."""
        return np.array(STRUCTURE, dtype=object)

    def _quantile(self, frame: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
        values, among = frame[column].to_numpy(np.float64), self.sorted_[str(column)]
        if not len(among):
            return np.full(len(values), np.nan)
        low = np.searchsorted(among, values, "left")
        high = np.searchsorted(among, values, "right")
        return np.where(np.isnan(values), np.nan, (low + high) / (2 * len(among)))


class FirmFeatures(TransformerMixin, BaseEstimator):
    """The whole pipeline: words, latent directions and structure side by side.

    `fit` learns from a firm table (columns of `Col`); `transform` gives one sparse matrix
    (firms x features) with the unknown structure values as NaN.
    """

    def __init__(self, n_components: int = 192, whitening: float = 0.75) -> None:
        self.n_components = n_components
        self.whitening = whitening

    def fit(self, frame: pd.DataFrame, y: None = None) -> Self:
        """Fit all three parts."""
        self.fit_parts(frame)
        return self

    def fit_parts(
        self, frame: pd.DataFrame
    ) -> tuple[sparse.csr_matrix, Floats, npt.NDArray[np.float64]]:
        """Fit, and give the three parts of the same table without computing them twice."""
        self.words_ = WordFeatures()
        words = self.words_.fit_transform(frame)
        self.latent_ = LatentFeatures(self.n_components, self.whitening).fit(words)
        self.structure_ = StructureFeatures().fit(frame)
        return words, self.latent_.transform(words), self.structure_.transform(frame)

    def transform(self, frame: pd.DataFrame) -> sparse.csr_matrix:
        """All features of a firm table, in the order of `get_feature_names_out`."""
        words = self.words_.transform(frame)
        parts = (words, self.latent_.transform(words), self.structure_.transform(frame))
        return sparse.csr_matrix(sparse.hstack([sparse.csr_matrix(p) for p in parts]))

    def get_feature_names_out(self, input_features: None = None) -> npt.NDArray[np.object_]:
        """Names of all columns."""
        parts: Sequence[Any] = (self.words_, self.latent_, self.structure_)
        return np.concatenate([p.get_feature_names_out() for p in parts])
