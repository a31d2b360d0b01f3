"""The audit of one database: looked at, verified, and added to for what only looks."""

from collections.abc import Iterable, Mapping
from typing import Any

from zyz_match.storage import audit, rows
from zyz_match.storage.audit import Act, Anchor, Noted, Verdict, Wanted
from zyz_match.storage.database import Database


class Trail:
    """Who did what."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, action: str, thing: str = "", detail: Mapping[str, Any] | None = None) -> None:
        """Write down what changes nothing: a look, an export."""
        with self._database.write_rows() as connection:
            audit.note(connection, action, thing, detail)

    def note_all(self, acts: Iterable[Act]) -> None:
        """Write down what several did, in one transaction."""
        with self._database.write_rows() as connection:
            audit.note_all(connection, acts)

    def find(self, wanted: Wanted, before: int | None, limit: int) -> list[Noted]:
        """Rows, newest first; `before` is the number of the last one of the page before."""
        for text in (wanted.action, wanted.actor, wanted.object, wanted.since):
            rows.clean(text, "查询条件")
        with self._database.read() as connection:
            return audit.find(connection, wanted, before, limit)

    def verify(self, anchor: Anchor | None = None) -> Verdict:
        """Reckon the whole chain anew and compare it with an anchor kept earlier."""
        with self._database.read() as connection:
            return audit.verify(connection, anchor)

    def count(self) -> int:
        """How many rows there are."""
        with self._database.read() as connection:
            return audit.count(connection)
