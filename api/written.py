"""Matches as JSON: those of a list that is kept are written once, whoever is shown it."""

from collections.abc import Callable
from typing import NamedTuple

import orjson

from zyz_match.domain import Match
from zyz_match.recent import Recent

Matches = tuple[Match, ...]


class _Kept(NamedTuple):
    matches: Matches  # held: as long as it is, no other one has its identity
    text: orjson.Fragment


class Written:
    """The JSON of the matches shown last, by the very tuple and what is included of them.

    Those of the last `most` lists of up to `longest` matches are kept.
    """

    def __init__(
        self, write: Callable[[Matches, frozenset[str]], bytes], most: int, longest: int
    ) -> None:
        self._write, self._most, self._longest = write, most, longest
        self._kept = Recent[_Kept]()

    def of(self, matches: Matches, include: frozenset[str]) -> orjson.Fragment:
        """The JSON of some matches."""

        def write() -> _Kept:
            return _Kept(matches, orjson.Fragment(self._write(matches, include)))

        most = self._most if len(matches) <= self._longest else 0
        return self._kept.of((id(matches), include), write, most).text
