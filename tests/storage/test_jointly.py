"""What several threads want written at the same time is written together, each thing once."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.desk_world import wait_for
from zyz_match.storage.jointly import Jointly


class Slow:
    """Writes when it is let; keeps what it was given at a time."""

    def __init__(self, *refused: int) -> None:
        self.written: list[list[int]] = []
        self.begun, self.let = threading.Event(), threading.Event()
        self.refused = set(refused)
        self.jointly = Jointly(self.write)

    def write(self, things: Sequence[int]) -> list[int]:
        self.begun.set()
        assert self.let.wait(10)
        self.written.append(list(things))
        if self.refused & set(things):
            raise ValueError("disk is full")
        return [10 * thing for thing in things]

    def wait_for(self, things: int) -> None:
        wait_for(lambda: len(self.jointly._waiting) == things)


def test_who_comes_while_one_is_written_goes_with_the_next() -> None:
    slow = Slow()
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(slow.jointly.add, 0)
        assert slow.begun.wait(10)
        others = [pool.submit(slow.jointly.add, i) for i in range(1, 6)]
        slow.wait_for(5)
        slow.let.set()
        assert [f.result() for f in (first, *others)] == [0, 10, 20, 30, 40, 50]
    assert [sorted(w) for w in slow.written] == [[0], [1, 2, 3, 4, 5]]


def test_a_failure_is_told_to_all_that_it_kept_unwritten_and_to_nobody_else() -> None:
    slow = Slow(2)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(slow.jointly.add, 0)
        assert slow.begun.wait(10)
        others = [pool.submit(slow.jointly.add, i) for i in (1, 2, 3)]
        slow.wait_for(3)
        slow.let.set()
        assert first.result() == 0
        for failed in others:
            with pytest.raises(ValueError, match="disk is full"):
                failed.result()
    assert slow.jointly.add(4) == 40


def test_a_result_too_few_is_an_error_and_leaves_nobody_waiting() -> None:
    slow = Slow()
    slow.jointly._write = lambda things: slow.write(things)[:1]
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(slow.jointly.add, 0)
        assert slow.begun.wait(10)
        others = [pool.submit(slow.jointly.add, i) for i in (1, 2)]
        slow.wait_for(2)
        slow.let.set()
        assert first.result(10) == 0
        for failed in others:
            with pytest.raises(ValueError, match="shorter"):
                failed.result(10)
