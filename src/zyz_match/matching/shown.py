"""Firms as lists show them: taken out of an index once, with their phrases."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from zyz_match.domain import Col, Firm
from zyz_match.firms import firm_from_row
from zyz_match.matching.index import Index
from zyz_match.matching.phrases import cut, phrases

T = TypeVar("T")
KEPT_FIRMS = 2048


class PerRow(Generic[T]):
    """What was made of rows lately; all goes when there is no room left."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[int, T] = {}

    def of(self, rows: Sequence[int], make: Callable[[list[int]], Iterable[T]]) -> list[T]:
        """One thing a row, in the order of the rows; `make` makes those that are not here."""
        kept = self._kept
        found = {row: thing for row in rows if (thing := kept.get(row)) is not None}
        if lacking := [row for row in rows if row not in found]:
            fresh = dict(zip(lacking, make(lacking), strict=True))
            found |= fresh
            if len(kept) + len(fresh) > self._most:
                kept = self._kept = {}
            if len(fresh) <= self._most:
                kept.update(fresh)
        return [found[row] for row in rows]


class ShownFirm(NamedTuple):
    """One firm of an index."""

    firm: Firm
    phrases: tuple[str, ...]  # of its text, with repeats
    points: npt.NDArray[np.uint64]  # the code points of the phrases, a 0 after each
    norm: float  # of BM25: by how much the length of the text weakens each n-gram


def shown_firms(index: Index, rows: Sequence[int]) -> list[ShownFirm]:
    """The firms of the given rows, in their order; those shown lately are kept."""
    kept: PerRow[ShownFirm] = index.kept(("shown",), lambda: PerRow(KEPT_FIRMS))
    return kept.of(rows, lambda lacking: _taken(index, lacking))


def _taken(index: Index, rows: list[int]) -> Iterator[ShownFirm]:
    firms = [firm_from_row(record) for record in index.records(rows)]
    texts = [tuple(phrases(f.scope, f.products, f.name)) for f in firms]
    norms = index.features.words_.norms(_lengths(index, rows, firms, texts)).tolist()
    return map(ShownFirm, firms, texts, map(_points, texts), norms)


def _points(text: tuple[str, ...]) -> npt.NDArray[np.uint64]:
    spelt = "".join(f"{phrase}\0" for phrase in text).encode("utf-32-le")
    return np.frombuffer(spelt, dtype="<u4").astype(np.uint64)


def _lengths(
    index: Index, rows: list[int], firms: list[Firm], texts: list[tuple[str, ...]]
) -> npt.NDArray[np.float32]:
    """How many n-grams of each text count; only firms that came after the fit use others."""
    found = np.array([2 * sum(map(len, text)) - len(text) for text in texts], dtype=np.float32)
    late = [i for i, row in enumerate(rows) if row >= len(index.tables[0])]
    if late:
        columns = (Col.SCOPE, Col.PRODUCTS, Col.NAME)
        frame = pd.DataFrame({c: [getattr(firms[i], c) for i in late] for c in columns})
        found[late] = index.features.words_.counts(cut(frame)).lengths
    return found
