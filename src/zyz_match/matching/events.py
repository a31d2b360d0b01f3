"""What firms did elsewhere, as numbers: how active, present in which regions and industries.

A firm without a recorded event is unknown (NaN), not idle.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

RECENT_DAYS = 365


class EventFeatures:
    """Counts of dated events by firm, region and industry; learnt from one events table.

    The present is the day after the newest event. Events of unknown firms are ignored.
    """

    def fit(self, events: pd.DataFrame | None, firm_ids: pd.Series) -> Self:
        """Count the events (firm_id, date, region, industry, target) of the given firms."""
        self.size = len(firm_ids)
        row_of = pd.Series(np.arange(self.size), index=firm_ids.to_numpy())
        known = events[events["firm_id"].isin(row_of.index)] if events is not None else None
        self.empty = known is None or known.empty
        if known is None or known.empty:
            return self
        rows = row_of.loc[known["firm_id"]].to_numpy()
        self.until = known["date"].max() + pd.Timedelta(days=1)
        deals = ~known.duplicated(["firm_id", "target", "date"]).to_numpy()
        recent = deals & (known["date"] >= self.until - pd.Timedelta(days=RECENT_DAYS)).to_numpy()
        self.total = np.bincount(rows[deals], minlength=self.size).astype(np.float64)
        self.recent = np.bincount(rows[recent], minlength=self.size).astype(np.float64)
        self.regions, self.by_region = self._table(known["region"], rows)
        self.industries, self.by_industry = self._table(known["industry"], rows)
        return self

    def _table(
        self, labels: pd.Series, rows: npt.NDArray[Any]
    ) -> tuple[dict[str, int], sparse.csc_matrix]:
        numbers, names = pd.factorize(labels.fillna("").astype(object), sort=True)
        counts = sparse.csc_matrix(
            (np.ones(len(rows)), (rows, numbers)), shape=(self.size, len(names))
        )
        return {str(n): j for j, n in enumerate(names) if n != ""}, counts

    def activity(self) -> npt.NDArray[np.float64] | None:
        """log(1 + deals of the last year + a tenth of the older ones), NaN without any deal."""
        if self.empty:
            return None
        weighted = self.recent + 0.1 * (self.total - self.recent)
        return np.where(self.total > 0, np.log1p(weighted), np.nan)

    def presence(self, kind: str, labels: tuple[str, ...]) -> npt.NDArray[np.float64] | None:
        """log(1 + events in these regions or industries), NaN without one; None if none is known.

        `kind` is "region" or "industry".
        """
        if self.empty:
            return None
        names, counts = (
            (self.regions, self.by_region)
            if kind == "region"
            else (self.industries, self.by_industry)
        )
        columns = [names[x] for x in labels if x in names]
        if not columns:
            return None
        picked = counts[:, columns]
        found = np.bincount(picked.indices, weights=picked.data, minlength=self.size)
        some = np.unique(picked.indices)
        values = np.full(self.size, np.nan)
        values[some] = np.log1p(found[some])
        return values
