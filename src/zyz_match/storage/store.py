"""The store: one method is one thing kept or found; every fault leaves as a ZyzError."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pandas as pd
from sqlalchemy.engine import Connection

from zyz_match.domain import Firm, LeadEntry, Receipt, Shortlist, Town
from zyz_match.storage import (
    audit,
    backup,
    changes,
    checks,
    firms,
    gauges,
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
from zyz_match.storage.accounts import Accounts
from zyz_match.storage.changes import Contents
from zyz_match.storage.database import Database
from zyz_match.storage.deliveries import Deliveries
from zyz_match.storage.erasure import Contacts
from zyz_match.storage.idempotency import Answers
from zyz_match.storage.imports import Batch, BatchResult, UndoResult
from zyz_match.storage.inbound import Inbox
from zyz_match.storage.jobs import Jobs
from zyz_match.storage.jointly import Jointly
from zyz_match.storage.keys import Keys
from zyz_match.storage.listing import Listing, Lists
from zyz_match.storage.outbox import Outbox
from zyz_match.storage.row_imports import Plan
from zyz_match.storage.serving import ServingRow
from zyz_match.storage.sessions import Sessions
from zyz_match.storage.shortlists import Asked
from zyz_match.storage.trail import Trail
from zyz_match.storage.upserts import Upserts
from zyz_match.storage.versions import Versions
from zyz_match.storage.webhooks import Webhooks

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
        self.outbox = Outbox(database)
        self.webhooks = Webhooks(database)
        self.deliveries = Deliveries(database)
        self.inbox = Inbox(database)
        self.accounts = Accounts(database)
        self.sessions = Sessions(database)
        self.keys = Keys(database)
        self.upserts = Upserts(database)
        self.lists = Lists(database)
        self.answers = Answers(database)
        self.audit = Trail(database)
        self.people = Contacts(database)
        self._receipts = Jointly(self._keep_receipts)

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

    @property
    def upgraded_from(self) -> str | None:
        """The revision that the tables had when this store was opened; None when it was new."""
        return self._database.upgraded_from

    # as a whole ------------------------------------------------------------------------------

    def back_up(
        self, path: Path, home: Path | None, *, progress: Callable[[int, int], None] | None = None
    ) -> backup.Summary:
        """Write everything of one moment into a file, with the models and keys below `home`."""
        return backup.write(self._database, home, path, progress or _silent)

    def restore(
        self, path: Path, home: Path, *, progress: Callable[[int, int], None] | None = None
    ) -> backup.Summary:
        """Put a backup into this store, which must be empty, and its files below `home`."""
        return backup.restore(self._database, home, path, progress or _silent)

    def check(self) -> list[checks.Finding]:
        """What a check of the database finds: tables, references, audit."""
        return checks.of(self._database)

    def gauges(self) -> gauges.Gauges:
        """How much of everything there is."""
        with self._database.read() as connection:
            return gauges.look(connection)

    # towns -----------------------------------------------------------------------------------

    def put_town(
        self, town: Town, accept: Callable[[Town | None], None] | None = None
    ) -> towns.Change:
        """Create or replace a town; ProfileError when its profile is wrong.

        `accept` sees the town as it is, None for a new one; what it raises keeps it so.
        """
        with self._database.write() as connection:
            if accept is not None:
                accept(towns.get(connection, town.id))
            change = towns.put(connection, town)
            if change != "unchanged":
                audit.note(connection, "town.put", town.id, {"change": change})
            return change

    def put_towns(self, given: Sequence[Town]) -> dict[str, towns.Change]:
        """Create or replace towns, all or none; id -> what happened."""
        with self._database.write() as connection:
            done = {t.id: towns.put(connection, t) for t in given}
            if set(done.values()) - {"unchanged"}:
                audit.note(connection, "import.towns", detail={"towns": done})
            return done

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
            done = towns.remove(connection, rows.clean(town_id, "专业镇编号"))
            if done:
                audit.note(connection, "town.remove", town_id)
            return done

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
            done = imports.import_firms(connection, checked, contacts, file, progress or _silent)
            _note_import(connection, imports.FIRMS, file_name, done)
            return done

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
            plan, done = row_imports.import_rows(connection, file, accept, progress or _silent)
            _note_import(connection, file.kind, file.file_name, done)
            return plan, done

    def undo(self, batch_id: str) -> UndoResult:
        """Take an import back; what a later import or a person spoke of is kept and counted.

        Raises NotFoundError for no such batch, InputError when it was undone before.
        """
        with self._database.write() as connection:
            kind = str(imports.find(connection, batch_id)["kind"])
            if kind == imports.FIRMS:
                done = imports.undo(connection, batch_id)
            else:
                done = row_imports.undo(connection, batch_id, kind)
            detail = {"kind": kind, "removed": done.removed, "restored": done.restored}
            audit.note(connection, "import.undo", batch_id, detail | {"kept": done.kept})
            return done

    def batches(self) -> list[Batch]:
        """All imports, newest first."""
        with self._database.read() as connection:
            return imports.batches(connection)

    def batch_page(self, before: int | None, limit: int) -> list[Batch]:
        """Imports of files, newest first; `before` is the number of the last one seen."""
        with self._database.read() as connection:
            return imports.page(connection, before, limit)

    def batch(self, batch_id: str) -> Batch:
        """The import of this number; NotFoundError when there is none."""
        with self._database.read() as connection:
            return imports.as_batch(imports.find(connection, batch_id))

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
            added = links.add_existing(connection, pairs)
            if added:
                audit.note(connection, "existing.add", detail={"new": added})
            return added

    def existing(self, town_id: str) -> set[str]:
        """Ids of the firms that are in a town already."""
        with self._database.read() as connection:
            return links.existing_in(connection, rows.clean(town_id, "专业镇编号"))

    def add_events(self, frame: pd.DataFrame) -> int:
        """Keep events, each content once; how many were new. InputError for a wrong row."""
        with self._database.write() as connection:
            added = links.add_events(connection, frame)
            if added:
                audit.note(connection, "event.add", detail={"new": added})
            return added

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
            change, kept = leads.record(connection, entry)
            if change == "created":
                detail = {"town": kept.town_id, "firm": kept.firm_id, "stage": kept.stage.value}
                audit.note(
                    connection, "lead.record", str(kept.id), detail | {"corrects": kept.corrects}
                )
            return change, kept

    def lead_entries(
        self,
        town_id: str | None = None,
        firm_id: str | None = None,
        after: tuple[date, int] | None = None,
        limit: int = 100,
    ) -> list[LeadEntry]:
        """Entries that the actor sees, newest date first; `after` is (date, id) of the last."""
        where = {"town_id": town_id, "firm_id": firm_id}
        asked = Listing(
            limit, "date", after=(after[0].isoformat(), str(after[1])) if after else None,
            where={name: [value] for name, value in where.items() if value is not None},
        )  # fmt: skip
        return [stored.thing for stored in self.lists.leads(asked)]

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
        return self._receipts.add(shortlists.unkept(shortlist, asked, by, via))

    def _keep_receipts(self, receipts: Sequence[shortlists.Unkept]) -> list[str]:
        with self._database.write_rows() as connection:
            return shortlists.keep(connection, receipts)

    def receipt(self, list_id: str) -> Receipt | None:
        """A receipt with its items by rank; None when there is no such receipt."""
        with self._database.read() as connection:
            return shortlists.get(connection, rows.clean(list_id, "名单编号"))

    def publish_shortlist(self, list_id: str) -> tuple[bool, str]:
        """Note that a list was handed on: whether that is new, and when it was."""
        with self._database.write() as connection:
            return shortlists.publish(connection, list_id)

    def shown(self, lists: int) -> pd.DataFrame:
        """Every item of the newest lists: list_id, town_id, model, asked_at, rank, score."""
        with self._database.read() as connection:
            return shortlists.shown(connection, lists)

    def firm_names(self, firm_ids: Collection[str]) -> dict[str, str]:
        """The names of firms by id; a firm that is gone has none."""
        with self._database.read() as connection:
            return firms.names(connection, firm_ids)


def _note_import(connection: Connection, kind: str, file_name: str, done: BatchResult) -> None:
    """Write down an import that changed something; a file stored before changes nothing."""
    if not done.repeated:
        counts = {"created": done.created, "updated": done.updated, "unchanged": done.unchanged}
        audit.note(connection, f"import.{kind}", done.batch_id, {"file": file_name} | counts)
