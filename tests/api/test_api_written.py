"""The JSON of matches is written once for each list that is kept, and never for another one."""

import orjson

from api.written import Matches, Written
from zyz_match.domain import Firm, Match


def matches(name: str) -> Matches:
    return (Match(1, Firm(name, name), 1.0, 1.0, 0.0, 1.0, "", ""),)


class Writer:
    """Counts what it writes."""

    def __init__(self, most: int = 2) -> None:
        self.count = 0
        self.written = Written(self.write, most, longest=2)

    def write(self, some: Matches, include: frozenset[str]) -> bytes:
        self.count += 1
        return orjson.dumps([*(m.firm.name for m in some), *sorted(include)])

    def read(self, some: Matches, *include: str) -> object:
        return orjson.loads(orjson.dumps(self.written.of(some, frozenset(include))))


def test_the_same_matches_are_written_once_for_each_thing_included() -> None:
    writer, some = Writer(), matches("甲厂")
    assert [writer.read(some), writer.read(some)] == [["甲厂"], ["甲厂"]]
    assert writer.read(some, "reasons") == ["甲厂", "reasons"]
    assert writer.count == 2


def test_equal_matches_that_are_others_are_written_anew() -> None:
    writer = Writer()
    for name in ("甲厂", "乙厂", "甲厂"):
        assert writer.read(matches(name)) == [name]
    assert writer.count == 3


def test_the_matches_shown_longest_ago_make_room() -> None:
    writer, (a, b, c) = Writer(most=2), map(matches, "abc")
    for some in (a, b, a, c, a):
        writer.read(some)
    assert writer.count == 3
    writer.read(b)
    assert writer.count == 4


def test_a_long_list_is_not_kept_and_pushes_no_other_out() -> None:
    writer, short, long = Writer(most=1), matches("甲厂"), matches("乙厂") * 3
    for some in (short, long, short):
        writer.read(some)
    assert writer.count == 2
    writer.read(long)
    assert writer.count == 3
