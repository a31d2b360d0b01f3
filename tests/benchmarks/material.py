"""What the engines share: one corpus's n-grams as matrices on disk, our index, and the queries.

Made once for a size in a process of its own (making.py), kept in the cache, mapped by every engine.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse

K = 100
TOWNS = 20
TERMS = {"long": 60, "short": 5}
WARM = "long-warm"


Call = Callable[[], object]


class Request(NamedTuple):
    """What the driver asks of an engine."""

    call: str
    town: str
    bytes: int = 0  # that the memory limit reads


class Asked(NamedTuple):
    """A town as n-grams: columns of the matrices, and what each weighs."""

    columns: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Material:
    """A folder of it."""

    folder: Path

    def array(self, name: str) -> npt.NDArray[Any]:
        """One mapped array."""
        found: npt.NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return found

    def rows(self) -> sparse.csr_matrix:
        """BM25 weights (firms x n-grams) by firm."""
        return sparse.csr_matrix(self._parts("csr"), shape=self._shape, copy=False)

    def columns(self) -> sparse.csc_matrix:
        """BM25 weights (firms x n-grams) by n-gram."""
        return sparse.csc_matrix(self._parts("csc"), shape=self._shape, copy=False)

    def _parts(self, order: str) -> Any:
        return tuple(self.array(f"{order}-{n}") for n in ("data", "indices", "indptr"))

    @property
    def _shape(self) -> tuple[int, int]:
        return self.told["firms"], self.told["n-grams"]

    @property
    def told(self) -> dict[str, Any]:
        """Numbers of its making."""
        found: dict[str, Any] = json.loads((self.folder / "told.json").read_text("utf-8"))
        return found

    def asked(self) -> dict[str, Asked]:
        """Every town by its name."""
        found = json.loads((self.folder / "asked.json").read_text("utf-8"))
        return {
            name: Asked(np.array(c, np.int64), np.array(w, np.float32))
            for name, (c, w) in found.items()
        }


class Engine(Protocol):
    """What answers requests."""

    calls: tuple[str, ...]
    size: int  # bytes that it keeps

    def prepared(self, request: Request) -> Call:
        """One request, ready to be timed."""

    def work(self, request: Request) -> dict[str, Any]:
        """Counts of what the answer takes; empty for who does not count."""


def names(kind: str) -> list[str]:
    """The towns of one kind."""
    return [f"{kind}-{i}" for i in range(TOWNS)]
