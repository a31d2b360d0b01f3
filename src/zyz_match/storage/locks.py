"""Locks between processes: a file that one of them holds, free again when its holder dies."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zyz_match.outputs import private_folder

try:
    import fcntl
except ImportError:  # Windows: there nobody is waited for
    fcntl = None  # type: ignore[assignment]


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Wait until no other process holds the lock, and hold it.

    Where the disk takes no lock file, or knows no locks, nobody is waited for.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            private_folder(path.parent)
            number = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            stack.callback(os.close, number)
            if fcntl is not None:
                fcntl.flock(number, fcntl.LOCK_EX)
        yield


def is_held(path: Path) -> bool:
    """Whether anybody holds the lock now."""
    try:
        number = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        if fcntl is not None:
            fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)  # two who ask are no holders
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(number)
    return False
