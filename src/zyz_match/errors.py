"""Every error a user can meet, as one tree; each message is Chinese and says the cure.

ZyzError                     exit 1   anything below
├── InputError               exit 2   what was given is wrong (a value, a key, an option)
│   ├── FileError            exit 2   a file cannot be read as what it should be
│   ├── ProfileError         exit 2   a town profile is wrong (unknown key, bad segment)
│   └── NeedsConfirmation    exit 4   right as it stands, but somebody must say yes first
├── NotFoundError            exit 3   no such town, firm, batch; nearest names are offered
│   └── CursorTooOld         exit 3   what followed this place is not kept any more
├── SignInRefused            exit 1   a name and a password that do not open anything now
└── StorageError             exit 5   the store or a disk failed (read-only, full, corrupted)
    └── ArtifactError        exit 5   a kept model cannot be used (damaged, foreign, other format)

Exit codes belong to the command line and statuses to the API; both choose by class at the door.
"""

from collections.abc import Sequence


class ZyzError(Exception):
    """Base of all errors shown to a user: a Chinese message with the cure."""

    code = "error"

    def __init__(self, message: str, *, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)


class InputError(ZyzError):
    """A value, key or option that was given is wrong."""

    code = "invalid_input"


class FileError(InputError):
    """A file cannot be read as what it should be."""

    code = "invalid_file"


class ProfileError(InputError):
    """A town profile is wrong."""

    code = "invalid_profile"


class NeedsConfirmation(InputError):
    """Right as it stands, but somebody must confirm it first; `rows` of a file, `refused` ones."""

    code = "needs_confirmation"

    def __init__(
        self, message: str, *, details: Sequence[str] = (), rows: int = 0, refused: int = 0
    ) -> None:
        super().__init__(message, details=details)
        self.rows, self.refused = rows, refused


class NotFoundError(ZyzError):
    """No such town, firm or batch; `details` holds the nearest names."""

    code = "not_found"


class CursorTooOld(NotFoundError):
    """What followed a place in the changes is not kept any more."""

    code = "cursor_too_old"


class SignInRefused(ZyzError):
    """A name and a password that open nothing: wrong, locked or disabled, and never which."""

    code = "sign_in_refused"


class StorageError(ZyzError):
    """The store or the disk failed."""

    code = "storage_failed"


class ArtifactError(StorageError):
    """A kept model or index cannot be used: damaged, foreign, of another format or library."""

    code = "unusable_model"
