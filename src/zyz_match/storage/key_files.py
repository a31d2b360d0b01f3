"""Keys on disk: made on first use, readable by their owner only."""

import contextlib
import os
import secrets
from pathlib import Path

from zyz_match.outputs import private_folder, storage_error, sync

ASIDE = ".aside-"


def key_of(path: Path) -> bytes:
    """The key in this file; StorageError when the disk refuses."""
    try:
        if not path.exists():
            _make(path)
        return path.read_bytes()
    except OSError as error:
        raise storage_error(error, path) from error


def _make(path: Path) -> None:
    """Write the key aside and link it in place: of two processes at once, the first one wins."""
    private_folder(path.parent)
    aside = path.with_name(f"{path.name}{ASIDE}{secrets.token_hex(4)}")
    number = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(secrets.token_hex(32).encode())
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError, FileNotFoundError):  # swept up, when it is late
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    sync(path.parent)
