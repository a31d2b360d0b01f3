"""What building an index takes: measured on few firms, extrapolated to many."""

import math
import time
import tracemalloc
from typing import NamedTuple

import pandas as pd

from zyz_match.matching.index import Index


class Cost(NamedTuple):
    """What the index of so many firms takes."""

    firms: int
    learnt: float  # bytes of what was learnt from all of them, such as words
    rows: float  # bytes of what is kept of each firm
    text: float  # bytes of the firm table, twice: as it was read, and in the order of ids
    work: float  # bytes at the peak of building, without the text
    seconds: float

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return int(self.learnt + self.rows)

    @property
    def memory(self) -> int:
        """Bytes at the peak of building."""
        return int(self.text + self.work)


def measure(frame: pd.DataFrame) -> Cost:
    """Build an index twice: once for the time, once for the memory, whose counting takes time."""
    began = time.perf_counter()
    arrays = Index().fit(frame).parts()[1]
    seconds = time.perf_counter() - began
    tracemalloc.start()
    try:
        Index().fit(frame)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    learnt = sum(a.nbytes for name, a in arrays.items() if name.startswith("features."))
    rows = sum(a.nbytes for a in arrays.values()) - learnt
    text = 2 * int(frame.memory_usage(deep=True).sum())
    return Cost(len(frame), learnt, rows, text, peak, seconds)


def expected(small: Cost, large: Cost, firms: int) -> Cost:
    """The cost for any number of firms, which grows on as it did from one sample to the other.

    What is kept of each firm grows with the firms; the rest as a power of them, at most in
    proportion: the words of a million firms are few more than those of a hundred thousand.
    """
    times = firms / large.firms
    more = math.log(large.firms / small.firms) if large.firms > small.firms else math.inf

    def grown(one: float, other: float) -> float:
        power = math.log(max(other, 1e-9) / max(one, 1e-9)) / more
        return other * math.pow(times, min(1.0, max(0.0, power)))

    return Cost(
        firms, grown(small.learnt, large.learnt), large.rows * times, large.text * times,
        grown(small.work, large.work), grown(small.seconds, large.seconds),
    )  # fmt: skip
