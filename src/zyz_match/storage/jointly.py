"""What several threads want written at the same time, in one transaction."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Jointly(Generic[T, R]):
    """One thread writes at a time, for all that wait; who comes meanwhile goes with the next.

    `write` writes all of its things or none, and gives a result for each.
    """

    def __init__(self, write: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._write = write
        self._waiting: deque[tuple[T, Future[R]]] = deque()
        self._turn = Lock()

    def add(self, thing: T) -> R:
        """The result for a thing, once it is written; what `write` raised, for all of its things.

        Check a thing before: what is wrong with one would keep the others unwritten.
        """
        own = Future[R]()
        self._waiting.append((thing, own))
        with self._turn:
            if not own.done():
                self._write_waiting()
        return own.result()

    def _write_waiting(self) -> None:
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            results = self._write([thing for thing, _ in taken])
            answers = list(zip(taken, results, strict=True))
        except BaseException as error:
            for _, waiting in taken:
                waiting.set_exception(error)
        else:
            for (_, waiting), result in answers:
                waiting.set_result(result)
