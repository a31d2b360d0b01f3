"""What each part of a firm table tells of the whole, so that features are fitted part by part.

Features fitted on the tallies of all parts, in their order, are those of a fit on the whole table.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from zyz_match.matching.features import FirmFeatures
from zyz_match.matching.latent import LatentFeatures
from zyz_match.matching.phrases import Block, Cut, Keys
from zyz_match.matching.structure import StructureFeatures, known_values
from zyz_match.matching.words import Columns, Counts, WordFeatures, joined

Arrays = dict[str, npt.NDArray[Any]]
Known = tuple[npt.NDArray[np.float64], Columns]  # distinct values in order, firms that have each
_AT_ONCE = 16  # tallies whose n-grams are merged together
_OF_SAMPLE = Counts._fields


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """The n-grams and number values of some firms, and the n-grams of a few of them."""

    firms: int
    grams: int  # n-grams of all texts, repeats counted
    keys: Keys  # distinct n-grams, ascending
    users: Columns  # how many firms use each
    sample: Counts  # of the sampled firms; n-grams are places in `keys`
    values: Mapping[str, Known]  # of each number column

    @classmethod
    def of(cls, frame: pd.DataFrame, cut: Cut, first: int, step: int) -> Self:
        """The tally of a firm table and its phrases, sampled every `step` rows from `first` on."""
        words = WordFeatures()
        words.keys_ = cut.keys()
        return cls(
            len(cut), cut.grams(), words.keys_, words.frequencies(cut),
            words.counts(cut, low=first, step=step),
            {c.value: known_values(frame, c) for c in StructureFeatures.quantile_columns},
        )  # fmt: skip

    def parts(self) -> tuple[dict[str, Any], Arrays]:
        """Everything there is, as what JSON can hold and flat arrays."""
        arrays: Arrays = {"keys": self.keys, "users": self.users}
        arrays |= {f"sample.{n}": getattr(self.sample, n) for n in _OF_SAMPLE}
        for name, (values, counts) in self.values.items():
            arrays |= {f"values.{name}": values, f"counts.{name}": counts}
        return {"firms": self.firms, "grams": self.grams, "columns": list(self.values)}, arrays

    @classmethod
    def from_parts(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """A tally over arrays that were read or mapped; nothing is copied."""
        return cls(
            meta["firms"], meta["grams"], arrays["keys"], arrays["users"],
            Counts(*(arrays[f"sample.{n}"] for n in _OF_SAMPLE)),
            {n: (arrays[f"values.{n}"], arrays[f"counts.{n}"]) for n in meta["columns"]},
        )  # fmt: skip


def step_of(firms: int) -> int:
    """Of so many firms, one in how many is to be sampled."""
    return LatentFeatures().step(firms)


def fit(tallies: Sequence[Tally]) -> FirmFeatures:
    """The features that a fit on all firms gives."""
    made = FirmFeatures()
    firms, grams = sum(t.firms for t in tallies), sum(t.grams for t in tallies)
    made.words_ = WordFeatures().fit_counted(*_users(tallies), firms, grams)
    keys = made.words_.keys_
    sample = joined([t.sample._replace(grams=_columns(t, keys)) for t in tallies])
    made.latent_ = LatentFeatures(made.n_components, made.whitening)
    made.latent_.fit(made.words_.matrix(sample))
    names = [c.value for c in StructureFeatures.quantile_columns]
    known = {n: _summed([t.values[n] for t in tallies]) for n in names}
    made.structure_ = StructureFeatures().fit_counted(known)
    return made


def _users(tallies: Sequence[Tally]) -> tuple[Keys, Columns]:
    """The n-grams of all firms, and how many firms use each."""
    keys = np.empty(0, np.uint64)
    for low in range(0, len(tallies), _AT_ONCE):
        some = (t.keys for t in tallies[low : low + _AT_ONCE])
        keys = np.unique(np.concatenate([keys, *some]))
    users = np.zeros(len(keys), np.int64)
    for tally in tallies:
        users[np.searchsorted(keys, tally.keys)] += tally.users
    return keys, users


def _columns(tally: Tally, keys: Keys) -> npt.NDArray[np.int32]:
    """The n-grams of a tally's sample as places in the keys of all."""
    return np.searchsorted(keys, tally.keys).astype(np.int32)[tally.sample.grams]


def _summed(some: Sequence[Known]) -> Known:
    """The distinct values of all parts, and how many firms have each."""
    values, at = np.unique(np.concatenate([v for v, _ in some]), return_inverse=True)
    counts = np.bincount(at, np.concatenate([c for _, c in some]), len(values))
    return values, counts.astype(np.int64)


# phrases as flat arrays ----------------------------------------------------------------------


def cut_parts(cut: Cut) -> tuple[dict[str, Any], Iterator[tuple[str, npt.NDArray[Any]]]]:
    """The phrases of a firm table as what JSON can hold and flat arrays."""
    names = Block.__slots__
    pairs = (
        (f"{i}.{name}", getattr(block, name)) for i, block in enumerate(cut.blocks)
        for name in names
    )  # fmt: skip
    return {"blocks": len(cut.blocks)}, pairs


def cut_from_parts(meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Cut:
    """The phrases over arrays that were read or mapped; nothing is copied."""
    names = Block.__slots__
    return Cut(tuple(Block(*(arrays[f"{i}.{n}"] for n in names)) for i in range(meta["blocks"])))
