"""Large arrays that are used again: to get fresh memory takes longer than the sums put into it."""

import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

FREE = 8  # buffers that are kept for whoever comes next


class Scratch:
    """Buffers of one index; threads may share it."""

    def __init__(self) -> None:
        self._free: list[npt.NDArray[np.uint8]] = []
        self._given = deque[npt.NDArray[np.uint8]]()  # back, but not yet among the free ones
        self._lock = Lock()

    @contextmanager
    def lent(self, shape: int | tuple[int, ...], kind: Any) -> Iterator[npt.NDArray[Any]]:
        """An array of no values in particular, until the end of the block."""
        array = self._take(shape, kind)
        try:
            yield array
        finally:
            self._give(array)

    def owned(self, owner: object, shape: int | tuple[int, ...], kind: Any) -> npt.NDArray[Any]:
        """An array of no values in particular; whoever uses it holds the owner as well."""
        array = self._take(shape, kind)
        weakref.finalize(owner, self._give, array).atexit = False
        return array

    def _take(self, shape: int | tuple[int, ...], kind: Any) -> npt.NDArray[Any]:
        size = np.dtype(kind).itemsize * (shape if isinstance(shape, int) else prod(shape))
        with self._lock:
            self._sort_in()
            fitting = [i for i, free in enumerate(self._free) if len(free) >= size]
            best = min(fitting, key=lambda i: len(self._free[i]), default=None)
            buffer = np.empty(size, np.uint8) if best is None else self._free.pop(best)
        array: npt.NDArray[Any] = buffer[:size].view(kind).reshape(shape)
        return array

    def _give(self, array: npt.NDArray[Any]) -> None:
        """Take an array back; a finalizer may call this anywhere, while `_take` is at work too."""
        buffer = array
        while isinstance(buffer.base, np.ndarray):
            buffer = buffer.base
        self._given.append(buffer)
        if self._lock.acquire(blocking=False):
            try:
                self._sort_in()
            finally:
                self._lock.release()

    def _sort_in(self) -> None:
        while self._given:
            self._free.append(self._given.popleft())
        while len(self._free) > FREE:
            del self._free[min(range(len(self._free)), key=lambda i: len(self._free[i]))]
