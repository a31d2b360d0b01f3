"""What was made lately, kept for whoever asks for it again."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """What was asked for last, by key; threads may share it."""

    def __init__(self) -> None:
        self._known: dict[Hashable, T] = {}
        self._lock = Lock()

    def of(self, key: Hashable, make: Callable[[], T], most: int) -> T:
        """What `make` gives, kept for the last few keys; with `most` 0 not at all."""
        if not most:
            return make()
        with self._lock:
            if key in self._known:
                found = self._known[key] = self._known.pop(key)  # it is the last one to go
                return found
        found = make()
        with self._lock:
            self._known[key] = found
            while len(self._known) > most:
                del self._known[next(iter(self._known))]
        return found
