"""Buffers are used again, never by two at once, whenever they are given back."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from zyz_match.matching import scratch as module
from zyz_match.matching.scratch import FREE, Scratch


class Owner:
    """Holds an array of so many bytes."""

    def __init__(self, scratch: Scratch, size: int) -> None:
        self.array = scratch.owned(self, size, np.uint8)


def test_an_array_comes_back_when_its_owner_is_gone() -> None:
    scratch = Scratch()
    owner = Owner(scratch, 8000)
    array = owner.array
    with scratch.lent(1000, np.int64) as other:
        assert not np.shares_memory(array, other)
    del owner
    one, other = (scratch.owned(scratch, 500, np.int64) for _ in range(2))
    assert sorted(np.shares_memory(array, new) for new in (one, other)) == [False, True]


def test_the_largest_are_kept() -> None:
    scratch = Scratch()
    owners = [Owner(scratch, size) for size in range(1, FREE + 4)]
    owners.clear()
    assert sorted(map(len, scratch._free)) == list(range(4, FREE + 4))


def test_an_owner_may_go_while_another_array_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when Python looks for rings of objects just then: the chosen buffer stays the chosen."""
    scratch = Scratch()
    late = [Owner(scratch, 40)]
    owners = [Owner(scratch, size) for size in (1, 50, *range(3, FREE + 1))]
    while owners:
        owners.pop(0)

    def choose(*given: Any, **named: Any) -> Any:
        found = min(*given, **named)
        late.clear()
        return found

    monkeypatch.setattr(module, "min", choose, raising=False)
    with scratch.lent(50, np.uint8) as array:
        assert len(array) == 50
    assert not late


def test_nobody_gets_what_another_still_holds() -> None:
    scratch = Scratch()

    def use(worker: int) -> None:
        for i in range(400):
            mark = (60 * worker + i % 60) % 256
            owner = Owner(scratch, 64 + i % 7)
            owner.array[:] = mark
            with scratch.lent(32, np.uint8) as lent:
                lent[:] = 255 - mark
                assert (owner.array == mark).all()
                assert (lent == 255 - mark).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
