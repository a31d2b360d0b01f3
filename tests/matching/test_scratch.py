"""Buffers are used again, never by two at once, whenever they are given back."""

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from zyz_match.matching.scratch import FREE, Scratch


class Owner:
    """Holds an array; as part of a ring it goes when Python looks for such rings, anywhere."""

    def __init__(self, scratch: Scratch, size: int) -> None:
        self.array, self.ring = scratch.owned(self, size, np.int64), self


@pytest.fixture
def eager() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


def test_an_array_comes_back_when_its_owner_is_gone() -> None:
    scratch = Scratch()
    owner = Owner(scratch, 1000)
    owner.array[:] = 7
    with scratch.lent(1000, np.int64) as other:
        assert not np.shares_memory(owner.array, other)
    owner.ring = None  # type: ignore[assignment]
    first = owner.array.__array_interface__["data"][0]
    del owner
    taken = [Owner(scratch, 500) for _ in range(3)]
    assert first in [o.array.__array_interface__["data"][0] for o in taken]


def test_the_largest_are_kept() -> None:
    scratch = Scratch()
    owners = [Owner(scratch, size) for size in range(1, FREE + 4)]
    for owner in owners:
        owner.ring = None  # type: ignore[assignment]
    del owner, owners
    assert sorted(len(b) // 8 for b in scratch._free) == list(range(4, FREE + 4))


@pytest.mark.usefixtures("eager")
def test_nobody_gets_what_another_still_holds() -> None:
    scratch = Scratch()

    def use(worker: int) -> None:
        for i in range(400):
            mark = 1000 * worker + i
            owner = Owner(scratch, 64 + i % 7)
            owner.array[:] = mark
            with scratch.lent(32, np.int64) as lent:
                lent[:] = -mark
                assert (owner.array == mark).all()
                assert (lent == -mark).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
