"""Dies at every step of saving a flat file in turn, and looks what is there afterwards.

Run as a program: FOLDER. Prints how many steps there were.
"""

import itertools
import os
import sys
from pathlib import Path

import numpy as np

from tests.storage.countdown import WRONG, Countdown, in_a_fork
from zyz_match.storage import flat
from zyz_match.storage.flat import Shelf

STEPS = ((os, "fsync"), (Path, "mkdir"), (Path, "rename"), (Path, "unlink"), (flat, "_put"))
OLD, NEW = np.arange(100), np.arange(5000.0)


def save_until_death(shelf: Shelf, steps: int) -> None:
    """One saving, cut off after some steps."""
    flat._CHUNK = 4096
    Countdown(steps).arm(STEPS)
    shelf.save({}, {"old": OLD, "new": NEW}, {"data": "new"})


def look_around(shelf: Shelf) -> None:
    """The old file and, when there is another, all of the new one."""
    [old, *new] = shelf.names()
    assert (shelf.open(old)[1]["old"] == OLD).all()
    assert len(new) <= 1
    assert shelf.latest({"data": "new"}) == (new[0] if new else None)
    for name in new:
        arrays = shelf.open(name)[1]
        assert (arrays["new"] == NEW).all()
        shelf.path(name).unlink()
    shelf.sweep()
    assert list(shelf.folder.iterdir()) == [shelf.path(old)]


def main(folder: str) -> int:
    """Sweep over all steps; 0 when each of them was survived."""
    shelf = Shelf(Path(folder), ".flat", 1)
    shelf.save({}, {"old": OLD}, {"data": "old"})
    for steps in itertools.count(1):
        ended = in_a_fork(save_until_death, shelf, steps)
        if ended == WRONG or in_a_fork(look_around, shelf) != 0:
            return WRONG
        if ended == 0:
            sys.stdout.write(str(steps - 1))
            return 0
    return WRONG


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
