"""The store: one method is one thing kept or found; every fault leaves as a ZyzError."""

from collections.abc import Callable, Collection, Iterable
from datetime import date
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pandas as pd

from zyz_match.domain import Firm, LeadEntry, Receipt, Shortlist, Town
from zyz_match.storage import (
    changes,
    firms,
    imports,
    leads,
    links,
    people,
    row_imports,
    rows,
    shortlists,
    towns,
    versions,
)
from zyz_match.storage.changes import Contents
from zyz_match.storage.database import Database
from zyz_match.storage.imports import Batch, BatchResult, UndoResult
from zyz_match.storage.jobs import Jobs
from zyz_match.storage.row_imports import Plan
from zyz_match.storage.serving import ServingRow
from zyz_match.storage.shortlists import Asked
from zyz_match.storage.versions import Versions

if TYPE_CHECKING:  # loaded where a file is read
    from zyz_match.storage.row_files import RowFile

__all__ = ["Batch", "BatchResult", "Contents", "Store", "UndoResult", "Versions"]


def _silent(_done: int, _total: int) -> None:
    """Progress for callers that show none."""


class Store:
    """Towns, firms, imports, events and receipts in one SQLite or PostgreSQL database.

    Thread-safe. A method that writes is one transaction: all of it or nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.jobs = Jobs(database)
        self.serving = ServingRow(database)

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
        return self.versions().towns

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

    def plan_rows(self, file: "RowFile") -> Plan:
        """What an import of leads or events would do; nothing is written."""
        with self._database.read() as connection:
            return row_imports.plan(connection, file)

    def import_rows(
        self,
        file: "RowFile",
        accept: Callable[[Plan], None],
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[Plan, BatchResult]:
        """Store the good rows of a file of leads or events, or none.

        `accept` sees the plan first; what it raises keeps everything as it was.
        """
        with self._database.write() as connection:
            return row_imports.import_rows(connection, file, accept, progress or _silent)

    def undo(self, batch_id: str) -> UndoResult:
        """Take an import back; what a later import or a person spoke of is kept and counted.

        Raises NotFoundError for no such batch, InputError when it was undone before.
        """
        with self._database.write() as connection:
            kind = str(imports.find(connection, batch_id)["kind"])
            if kind != imports.FIRMS:
                return row_imports.undo(connection, batch_id, kind)
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

    def firm_table(self, limit: int | None = None) -> pd.DataFrame:
        """Every firm by id, or the first ones, without contacts.

        Text columns stay in Arrow, with "" for missing; numbers are float64 with NaN.
        """
        with self._database.read() as connection:
            return firms.whole_table(connection, limit=limit)

    def contents(self, progress: Callable[[int, int], None] | None = None) -> Contents:
        """All firms, as `firm_table` gives them, and all events, of one state of the store."""
        with self._database.read() as connection:
            return changes.whole(connection, progress or _silent)

    def changes_since(self, stamp: str, most: int) -> Contents | None:
        """The firms that are new or changed since the state of a stamp, and all events.

        None when that is not known firm by firm, as after an undo or for the stamp of another
        store, and when there are more than `most` such firms.
        """
        with self._database.read() as connection:
            return changes.since(connection, stamp, most)

    def versions(self) -> Versions:
        """One look at everything that lists are made from; new texts after every change."""
        return versions.look(self._database)

    @property
    def at_hand(self) -> bool:
        """Whether `versions` takes microseconds."""
        return self._database.at_hand

    def data_stamp(self) -> str:
        """A text that changes exactly when a firm, an event or a town's firms change."""
        return self.versions().firms

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

    # leads -----------------------------------------------------------------------------------

    def record_lead(self, entry: LeadEntry) -> tuple[str, LeadEntry]:
        """Write one entry down: created | unchanged, and the entry with its number.

        Raises InputError for what cannot be true, such as a day to come or a stage that goes
        backwards; NotFoundError when it corrects an entry that is not there.
        """
        with self._database.write() as connection:
            return leads.record(connection, entry)

    def lead_entries(
        self,
        town_id: str | None = None,
        firm_id: str | None = None,
        after: tuple[date, int] | None = None,
        limit: int = 100,
    ) -> list[LeadEntry]:
        """Entries, newest date first, corrected ones too; `after` is (date, id) of the last."""
        with self._database.read() as connection:
            return leads.entries(connection, town_id, firm_id, after, limit)

    def lead_rounds(self) -> pd.DataFrame:
        """One row a round of a town and a firm, from entries that no other one corrects.

        town_id, firm_id, date (of the first entry), closed (of the last), stage (the last),
        best (furthest stage on the way, "" for none), reason, owner, list_id, entries (count);
        sorted by closed, town_id, firm_id. Dates are datetime64.
        """
        with self._database.read() as connection:
            return leads.rounds(connection)

    def lead_stamp(self) -> str:
        """A text that changes exactly when an entry is added or taken back."""
        return self.versions().leads

    def care(self, town_id: str, firm_ids: Collection[str]) -> dict[str, leads.Care]:
        """(stage, owner, date) of the newest effective entry of each firm that has one."""
        with self._database.read() as connection:
            return leads.care(connection, rows.clean(town_id, "专业镇编号"), firm_ids)

    # receipts --------------------------------------------------------------------------------

    def keep_shortlist(
        self, shortlist: Shortlist, asked: Asked | None = None, *, by: str = "", via: str = "cli"
    ) -> str:
        """Keep who was shown at which rank, and what was asked for; the id of the receipt."""
        with self._database.write() as connection:
            return shortlists.keep(connection, shortlist, asked, by, via)

    def receipt(self, list_id: str) -> Receipt | None:
        """A receipt with its items by rank; None when there is no such receipt."""
        with self._database.read() as connection:
            return shortlists.get(connection, rows.clean(list_id, "名单编号"))

    def shown(self, lists: int) -> pd.DataFrame:
        """Every item of the newest lists: list_id, town_id, model, asked_at, rank, score."""
        with self._database.read() as connection:
            return shortlists.shown(connection, lists)

    def firm_names(self, firm_ids: Collection[str]) -> dict[str, str]:
        """The names of firms by id; a firm that is gone has none."""
        with self._database.read() as connection:
            return firms.names(connection, firm_ids)
