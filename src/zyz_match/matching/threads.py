"""Two threads for one question: kernels and Arrow run without Python's lock."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import current_thread, local
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")
_HELPER = "zyz-match-helper"
THREADS = 2
_HELPERS = ThreadPoolExecutor(THREADS, thread_name_prefix=_HELPER)
_HERE = local()


@contextmanager
def alone() -> Iterator[None]:
    """Within this, the calling thread asks no other for help: the cores are others' to use."""
    _HERE.alone = True
    try:
        yield
    finally:
        _HERE.alone = False


def _helps_itself() -> bool:
    return getattr(_HERE, "alone", False) or current_thread().name.startswith(_HELPER)


def beside(call: Callable[[S], T], one: S, other: S) -> tuple[T, T]:
    """The call of two items on two threads.

    A helper that asks for help does both itself: it would wait for helpers who wait as well.
    """
    if _helps_itself():
        return call(one), call(other)
    helped = _HELPERS.submit(call, other)
    return call(one), helped.result()


def in_order(call: Callable[[S], T], items: Iterable[S], threads: int = THREADS) -> Iterator[T]:
    """The call of every item, in order, a few items ahead of the reader."""
    if _helps_itself():
        yield from map(call, items)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix=_HELPER) as pool:
        ahead: deque[Future[T]] = deque()
        for item in items:
            ahead.append(pool.submit(call, item))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
