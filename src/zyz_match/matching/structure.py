"""Scale and innovation of a firm as numbers."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import BaseEstimator, TransformerMixin

from zyz_match.domain import Col
from zyz_match.matching.phrases import arrow_text

Wide = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MARK_STRENGTH = {
    "专精特新小巨人": 1.0, "专精特新中小企业": 0.7, "高新技术企业": 0.5,
    "创新型中小企业": 0.4, "科技型中小企业": 0.3,
}  # fmt: skip
STRUCTURE = ("capacity", "marks")
_LISTED = 0.8


class StructureFeatures(TransformerMixin, BaseEstimator):
    """Scale and innovation of a firm as numbers in [0, 1]; unknown is NaN, never zero.

    capacity: mean of the known ones among the quantiles of registered capital, employees and
    revenue within the fitted table (an unseen value takes its place among the fitted ones) and
    being listed (0.8). marks: the strongest qualification (see MARK_STRENGTH), raised towards one
    by the quantile of patents; NaN without any record, since a registry export that lacks the
    column does not say that the firm has none.
    Learned, by column: `values_`, the distinct known values in order, and `below_` (values + 1,),
    how many of the fitted ones are below each of them and, last, how many there are.
    """

    quantile_columns = (Col.CAPITAL, Col.EMPLOYEES, Col.REVENUE, Col.PATENTS)

    def fit(self, frame: pd.DataFrame, y: None = None) -> Self:
        """Learn the known values of each number column."""
        return self.fit_counted({c.value: known_values(frame, c) for c in self.quantile_columns})

    def fit_counted(self, known: Mapping[str, tuple[Wide, Ints]]) -> Self:
        """Learn from the distinct known values of each column, and how many firms have each."""
        self.values_: dict[str, Wide] = {name: values for name, (values, _) in known.items()}
        self.below_: dict[str, Ints] = {
            name: np.append(0, np.cumsum(counts)).astype(np.int64)
            for name, (_, counts) in known.items()
        }
        return self

    def transform(self, frame: pd.DataFrame) -> Wide:
        """Array (firms x 2): capacity, marks."""
        listed = pc.not_equal(arrow_text(frame[Col.STOCK_CODE]), "").to_numpy(zero_copy_only=False)
        known = np.column_stack(
            [self._quantile(frame, c) for c in (Col.CAPITAL, Col.EMPLOYEES, Col.REVENUE)]
            + [np.where(listed, _LISTED, np.nan)]
        )
        count = (~np.isnan(known)).sum(axis=1)
        capacity = np.where(count > 0, np.nansum(known, axis=1) / np.maximum(count, 1), np.nan)
        strength = _strength(frame)
        patents = np.nan_to_num(self._quantile(frame, Col.PATENTS))
        marks = strength + (1 - strength) * 0.5 * patents
        return np.column_stack([capacity, np.where(marks > 0, marks, np.nan)])

    def get_feature_names_out(self, input_features: None = None) -> npt.NDArray[np.object_]:
        """capacity, marks."""
        return np.array(STRUCTURE, dtype=object)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What was learned, by name."""
        values = {f"values_{name}": array for name, array in self.values_.items()}
        return values | {f"below_{name}": array for name, array in self.below_.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Features that learned what `arrays` gave."""
        made = cls()
        names = [column.value for column in cls.quantile_columns]
        made.values_ = {name: arrays[f"values_{name}"] for name in names}
        made.below_ = {name: arrays[f"below_{name}"] for name in names}
        return made

    def _quantile(self, frame: pd.DataFrame, column: Col) -> Wide:
        found = pa.array(_numbers(frame, column)).dictionary_encode()
        values = found.dictionary.to_numpy(zero_copy_only=False)
        among, below = self.values_[column.value], self.below_[column.value]
        if not len(among):
            return np.full(len(found), np.nan)
        low = below[np.searchsorted(among, values, "left")]
        high = below[np.searchsorted(among, values, "right")]
        quantiles = np.where(np.isnan(values), np.nan, (low + high) / (2 * below[-1]))
        return quantiles.take(np.asarray(found.indices))


def known_values(frame: pd.DataFrame, column: Col) -> tuple[Wide, Ints]:
    """The distinct known values of a number column, in order, and how many firms have each."""
    values = _numbers(frame, column)
    return np.unique(values[~np.isnan(values)], return_counts=True)


def _numbers(frame: pd.DataFrame, column: Col) -> Wide:
    return frame[column].to_numpy(np.float64, na_value=np.nan)


def _strength(frame: pd.DataFrame) -> Wide:
    """The strength of each firm's strongest qualification; 0 without one."""
    marks = arrow_text(frame[Col.MARKS]).dictionary_encode()
    strength = [
        max(MARK_STRENGTH.get(mark, 0.0) for mark in text.split("；"))
        for text in marks.dictionary.to_pylist()
    ]
    return np.asarray(strength, np.float64).take(np.asarray(marks.indices))
