"""Enterprise features in the scikit-learn idiom: a firm table goes in, matrices come out.

Words are character 1- and 2-grams inside a phrase (never across a separator): measured, they beat
segmented words as matching features for Chinese business scopes. What was learned is flat arrays,
which may be read-only (a memory-mapped file).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

from zyz_match.matching.latent import LatentFeatures
from zyz_match.matching.phrases import Cut, cut
from zyz_match.matching.structure import StructureFeatures
from zyz_match.matching.words import WordFeatures

Arrays = Mapping[str, npt.NDArray[Any]]


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
        self.fit_cut(frame)
        return self

    def fit_cut(self, frame: pd.DataFrame) -> Cut:
        """Fit all three parts, and give the table's phrases so that it is not cut twice."""
        firms = cut(frame)
        self.words_ = WordFeatures().fit_cut(firms)
        self.latent_ = LatentFeatures(self.n_components, self.whitening)
        step = self.latent_.step(len(firms))
        self.latent_.fit(self.words_.matrix(self.words_.counts(firms, step=step)))
        self.structure_ = StructureFeatures().fit(frame)
        return firms

    def transform(self, frame: pd.DataFrame) -> sparse.csr_matrix:
        """All features of a firm table, in the order of `get_feature_names_out`."""
        words = self.words_.transform(frame)
        parts = (words, self.latent_.transform(words), self.structure_.transform(frame))
        return sparse.csr_matrix(sparse.hstack([sparse.csr_matrix(p) for p in parts]))

    def get_feature_names_out(self, input_features: None = None) -> npt.NDArray[np.object_]:
        """Names of all columns."""
        parts: Sequence[Any] = (self.words_, self.latent_, self.structure_)
        return np.concatenate([p.get_feature_names_out() for p in parts])

    def parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Everything learned: numbers that JSON can say, and flat arrays by name."""
        words, latent = self.words_, self.latent_
        meta = self.get_params() | words.get_params() | {"mean_length": words.mean_length_}
        arrays: dict[str, npt.NDArray[Any]] = {
            "keys": words.keys_, "idf": words.idf_, "latent_place": latent.place_,
            "latent_codes": latent.codes_, "latent_scale": latent.scale_,
        }  # fmt: skip
        return meta, arrays | self.structure_.arrays()

    @classmethod
    def from_parts(cls, meta: Mapping[str, Any], arrays: Arrays) -> Self:
        """Features that learned what `parts` gave; nothing is copied or computed anew."""
        made = cls(meta["n_components"], meta["whitening"])
        made.words_ = WordFeatures(meta["k1"], meta["b"])
        made.words_.keys_, made.words_.idf_ = arrays["keys"], arrays["idf"]
        made.words_.mean_length_ = meta["mean_length"]
        made.latent_ = LatentFeatures(made.n_components, made.whitening)
        made.latent_.place_ = arrays["latent_place"]
        made.latent_.codes_, made.latent_.scale_ = arrays["latent_codes"], arrays["latent_scale"]
        made.structure_ = StructureFeatures.from_arrays(arrays)
        return made
