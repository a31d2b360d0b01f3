"""One look at all that a list is made from besides the request itself."""

from typing import NamedTuple

from zyz_match.storage import stamps
from zyz_match.storage.database import Database

# a model may serve again after another one: the moment tells the two times apart
_LOOK = (
    "SELECT name, value FROM stamp UNION ALL SELECT 'model', version FROM serving "
    "UNION ALL SELECT 'since', since FROM serving"
)


class Versions(NamedTuple):
    """Texts that are new after every change, whichever process made it."""

    firms: str  # firms, events and the firms of towns
    towns: str
    leads: str
    model: str  # the version promoted last, "" for the one without a file
    since: str  # when it was


def look(database: Database) -> Versions:
    """The versions of this moment."""
    found: dict[str, str] = dict(database.glance(_LOOK))
    return Versions(
        *(found.get(name, stamps.EMPTY) for name in (stamps.FIRMS, stamps.TOWNS, stamps.LEADS)),
        *(found.get(name, "") for name in ("model", "since")),
    )
