"""Dying at a given step, for sweeps that try every step of a piece of work in turn."""

import os
import traceback
from collections.abc import Callable, Iterable
from typing import Any

DIED, WRONG = 9, 1


class Countdown:
    """Ends the process, as kill -9 would, when it has been counted down."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with a step before it; what comes after it is before the next."""

        def stepped(*args: Any, **options: Any) -> Any:
            self.left -= 1
            if not self.left:
                os._exit(DIED)
            return call(*args, **options)

        return stepped

    def arm(self, calls: Iterable[tuple[Any, str]]) -> None:
        """Count the calls of these (owner, name)."""
        for owner, name in calls:
            setattr(owner, name, self.before(getattr(owner, name)))


def in_a_fork(call: Callable[..., None], *args: object) -> int:
    """How a fork that makes the call ends."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        call(*args)
    except BaseException:
        traceback.print_exc()
        os._exit(WRONG)
    os._exit(0)
