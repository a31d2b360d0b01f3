"""Matches as JSON: those of a list that is kept are written once, whoever is shown it."""

from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

import orjson

from zyz_match.domain import Match

Matches = tuple[Match, ...]


class _Kept(NamedTuple):
    matches: Matches  # held: as long as it is, no other one has its identity
    text: orjson.Fragment


class Written:
    """The JSON of the matches shown last, by the very tuple and what is included of them."""

    def __init__(self, write: Callable[[Matches, frozenset[str]], bytes], most: int) -> None:
        self._write, self._most = write, most
        self._lock = Lock()
        self._kept: dict[tuple[int, frozenset[str]], _Kept] = {}

    def of(self, matches: Matches, include: frozenset[str]) -> orjson.Fragment:
        """The JSON of some matches."""
        key = id(matches), include
        with self._lock:
            known = self._kept.pop(key, None)
        if known is None:
            known = _Kept(matches, orjson.Fragment(self._write(matches, include)))
        with self._lock:
            self._kept[key] = known  # the last one asked for is the last one to go
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]
        return known.text
