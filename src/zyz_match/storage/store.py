"""The store: one method is one thing kept or found; every fault leaves as a ZyzError."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import pandas as pd

from zyz_match.domain import Firm, Shortlist, Town
from zyz_match.storage import firms, imports, links, people, rows, shortlists, stamps, towns
from zyz_match.storage.database import Database
from zyz_match.storage.imports import Batch, BatchResult, UndoResult

__all__ = ["Batch", "BatchResult", "Store", "UndoResult"]


def _silent(_done: int, _total: int) -> None:
    """Progress for callers that show none."""


class Store:
    """Towns, firms, imports, events and receipts in one SQLite or PostgreSQL database.

    Thread-safe. A method that writes is one transaction: all of it or nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str) -> Self:
        """Open a store, created and migrated as needed; StorageError with the cure otherwise."""
        return cls(Database.open(url))

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    # towns -----------------------------------------------------------------------------------

    def put_town(self, town: Town) -> towns.Change:
        """Create or replace a town; ProfileError when its profile is wrong."""
        with self._database.write() as connection:
            return towns.put(connection, town)

    def town(self, town_id: str) -> Town | None:
        """The town with this id."""
        with self._database.read() as connection:
            return towns.get(connection, rows.clean(town_id, "专业镇编号"))

    def towns(self) -> list[Town]:
        """All towns, by id."""
        with self._database.read() as connection:
            return towns.every(connection)

    def remove_town(self, town_id: str) -> bool:
        """Forget a town; False when there was none."""
        with self._database.write() as connection:
            return towns.remove(connection, rows.clean(town_id, "专业镇编号"))

    def town_stamp(self) -> str:
        """A text that changes exactly when a town changes."""
        with self._database.read() as connection:
            return stamps.read(connection, stamps.TOWNS)

    # imports ---------------------------------------------------------------------------------

    def import_firms(
        self,
        frame: pd.DataFrame,
        contacts: pd.DataFrame | None = None,
        *,
        file_name: str,
        file_hash: str,
        progress: Callable[[int, int], None] | None = None,
    ) -> BatchResult:
        """Store all rows of a file or none; a file stored before is left as it is (`repeated`).

        A present new value wins and a missing one keeps the old. Raises InputError when the
        frame lacks a column or holds what cannot be stored.
        """
        file = (rows.clean(file_name, "文件名"), rows.filled(file_hash, "文件指纹"))
        checked = rows.check_frame(frame)
        with self._database.write() as connection:
            return imports.import_firms(connection, checked, contacts, file, progress or _silent)

    def undo(self, batch_id: str) -> UndoResult:
        """Take an import back; firms that a later import spoke of are kept and counted.

        Raises NotFoundError for no such batch, InputError when it was undone before.
        """
        with self._database.write() as connection:
            return imports.undo(connection, batch_id)

    def batches(self) -> list[Batch]:
        """All imports, newest first."""
        with self._database.read() as connection:
            return imports.batches(connection)

    def contacts(self, firm_id: str) -> list[tuple[str, str]]:
        """(kind, value) of a firm's contacts: phones, then mails, then persons."""
        with self._database.read() as connection:
            return people.of(connection, rows.clean(firm_id, "企业编号"))

    # firms -----------------------------------------------------------------------------------

    def firm(self, firm_id: str) -> Firm | None:
        """The firm with this id."""
        with self._database.read() as connection:
            return firms.get(connection, rows.clean(firm_id, "企业编号"))

    def find_firms(self, text: str, limit: int = 10) -> list[Firm]:
        """Firms of this id, code, name or former name first, then those with it in their name."""
        with self._database.read() as connection:
            return firms.find(connection, rows.clean(text, "查询文字"), limit)

    def firm_page(self, after: str | None, limit: int) -> list[Firm]:
        """The next firms by id, after the given one."""
        with self._database.read() as connection:
            start = None if after is None else rows.clean(after, "企业编号")
            return firms.page(connection, start, limit)

    def firm_count(self) -> int:
        """How many firms there are."""
        with self._database.read() as connection:
            return firms.count(connection)

    def firm_table(self) -> pd.DataFrame:
        """Every firm by id: text columns with "" for missing, numbers with NaN; no contacts."""
        with self._database.read() as connection:
            return firms.whole_table(connection)

    def data_stamp(self) -> str:
        """A text that changes exactly when a firm, an event or a town's firms change."""
        with self._database.read() as connection:
            return stamps.read(connection, stamps.FIRMS)

    # events and the firms of a town ------------------------------------------------------------

    def add_existing(self, pairs: Iterable[tuple[str, str]]) -> int:
        """Keep (town_id, firm_id) of firms that are in a town already; how many were new."""
        with self._database.write() as connection:
            return links.add_existing(connection, pairs)

    def existing(self, town_id: str) -> set[str]:
        """Ids of the firms that are in a town already."""
        with self._database.read() as connection:
            return links.existing_in(connection, rows.clean(town_id, "专业镇编号"))

    def add_events(self, frame: pd.DataFrame) -> int:
        """Keep events, each content once; how many were new. InputError for a wrong row."""
        with self._database.write() as connection:
            return links.add_events(connection, frame)

    def events(self) -> pd.DataFrame:
        """All events by date; `date` is datetime64, a missing amount NaN."""
        with self._database.read() as connection:
            return links.events(connection)

    # receipts --------------------------------------------------------------------------------

    def keep_shortlist(self, shortlist: Shortlist, *, by: str = "", via: str = "cli") -> str:
        """Keep who was shown at which rank; the id of the receipt."""
        with self._database.write() as connection:
            return shortlists.keep(connection, shortlist, by, via)

    def shortlist_record(self, receipt: str) -> dict[str, Any] | None:
        """A receipt with its items by rank; None when there is no such receipt."""
        with self._database.read() as connection:
            return shortlists.get(connection, rows.clean(receipt, "名单编号"))
