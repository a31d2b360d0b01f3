"""The desk of the hall where leads, events and receipts are kept and looked at."""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

import pandas as pd

from zyz_match.acting import actor
from zyz_match.days import today
from zyz_match.domain import (
    LATE,
    Event,
    Firm,
    LeadEntry,
    Match,
    Receipt,
    Reproduction,
    Shortlist,
    Stage,
    Town,
    state_of,
)
from zyz_match.errors import InputError, NeedsConfirmation, NotFoundError, StorageError
from zyz_match.progress import Progress, silent
from zyz_match.storage.imports import BatchResult
from zyz_match.storage.shortlists import hash_of
from zyz_match.storage.store import Store

if TYPE_CHECKING:  # loaded where used
    from zyz_match.matching.index import Index
    from zyz_match.matching.model import Model
    from zyz_match.matching.watching import Watch
    from zyz_match.storage.row_files import Kind, RowFile
    from zyz_match.storage.row_imports import Plan

REJECT_SHARE_TO_CONFIRM = 0.2
WATCHED_LISTS = 2000  # the newest ones
_REBUILT = (
    "当时刚导入过企业，名单是在原有索引上加入新企业排出的；现在索引已重新计算，得分会略有不同。"
)
MAX_ENTRIES = 1000  # so many at once are enough to read; the rest is a page further


@dataclass(frozen=True, slots=True)
class RowReport:
    """What an import of leads or events found in the file and did to the store."""

    file: "RowFile"
    plan: "Plan"
    rejects: pd.DataFrame  # 行号, 退回原因, the columns of the file
    batch: BatchResult | None  # None after a dry run
    rejects_path: Path | None  # where the refused rows were written, None when there are none


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry as it stands, and whether it is new: created | unchanged."""

    change: str
    entry: LeadEntry


def asks_first(rows: int, refused: int) -> bool:
    """Whether so many of a file's rows are refused that somebody has to say yes."""
    return rows > 0 and refused / rows > REJECT_SHARE_TO_CONFIRM


def confirm_rejects(
    name: str, rows: int, refused: int, where: Path | None, *, confirmed: bool
) -> None:
    """NeedsConfirmation when more than a fifth of a file is refused and nobody said yes."""
    if asks_first(rows, refused) and not confirmed:
        raise NeedsConfirmation(
            f"“{name}”共 {rows} 行，其中 {refused} 行有问题，超过两成，"
            f"未写入任何数据。请查看 {where}；确认其余行无误后加 --yes 再导入。",
            rows=rows,
            refused=refused,
        )


class LeadDesk:
    """What the hall does with leads, events and receipts; `Service` inherits it."""

    store: Store

    if TYPE_CHECKING:  # what the rest of the hall lends

        def town(self, text: str) -> Town:
            """See `Service`."""

        def firm(self, text: str) -> Firm:
            """See `Service`."""

        def index(self, *, whole: bool = False, progress: Progress = silent) -> Index:
            """See `Service`."""

        def _model(self, version: str) -> Model: ...

        _lane: BoundedSemaphore

    # leads ---------------------------------------------------------------------------------

    def record_outcome(
        self,
        town: str,
        firm: str,
        stage: Stage,
        *,
        on: date | None = None,
        reason: str = "",
        owner: str = "",
        note: str = "",
        list_id: str = "",
        corrects: int | None = None,
        via: str = "cli",
    ) -> Recorded:
        """Write down how far a town and a firm have come; the same again changes nothing.

        `reason` is a key of `REASONS`; `corrects` is the number of an entry that this one replaces.
        Raises NotFoundError for what is not there, InputError for what cannot be true.
        """
        entry = LeadEntry(
            0, self.town(town).id, self.firm(firm).firm_id, on or today(), stage, reason,
            owner.strip(), note.strip(), list_id.strip(), corrects, via=via,
        )  # fmt: skip
        return Recorded(*self.store.record_lead(entry))

    def leads(self, town: str = "", firm: str = "", *, k: int = 50) -> list[LeadEntry]:
        """Entries of a town, a firm or all, newest date first.

        Raises InputError unless 1 <= k <= MAX_ENTRIES.
        """
        if not 1 <= k <= MAX_ENTRIES:
            raise InputError(f"条数应为 1 到 {MAX_ENTRIES} 之间的整数，现为 {k}。")
        town_id = self.town(town).id if town else None
        firm_id = self.firm(firm).firm_id if firm else None
        return self.store.lead_entries(town_id, firm_id, limit=k)

    def firm_names(self, firm_ids: list[str]) -> dict[str, str]:
        """The names of firms by id; a firm that is gone has none."""
        return self.store.firm_names(firm_ids)

    def _with_care(self, town_id: str, matches: tuple[Match, ...]) -> tuple[Match, ...]:
        """Matches that say who takes care of each firm and how far it has come."""
        known = self.store.care(town_id, [m.firm.firm_id for m in matches])
        return tuple(
            replace(m, care_stage=c[0], care_owner=c[1]) if (c := known.get(m.firm.firm_id)) else m
            for m in matches
        )

    # events --------------------------------------------------------------------------------

    def record_event(
        self,
        firm: str,
        on: date,
        *,
        region: str = "",
        industry: str = "",
        target: str = "",
        kind: str = "",
        amount: float | None = None,
    ) -> tuple[str, Event]:
        """Write down what a firm did elsewhere: created | unchanged, and the event.

        `amount` is in 10,000 CNY. Raises NotFoundError for no such firm, InputError for a day
        to come.
        """
        if on > today():
            raise InputError(f"日期 {on} 晚于今天，请核对。")
        found = Event(self.firm(firm).firm_id, on, region, industry, target, kind, amount)
        frame = pd.DataFrame({n: [getattr(found, n)] for n in Event.__slots__})
        return ("created" if self.store.add_events(frame) else "unchanged"), found

    # files ---------------------------------------------------------------------------------

    def import_rows(
        self,
        kind: "Kind",
        path: Path,
        *,
        dry_run: bool = False,
        confirmed: bool = False,
        rejects_path: Path | None = None,
        progress: Progress = silent,
    ) -> RowReport:
        """Store the leads or events of a file, all good rows or none; what is there is left.

        `rejects_path` receives the refused rows with their reasons (default: beside the file;
        nothing is written on a dry run). Raises FileError when the file holds none,
        NeedsConfirmation when more than a fifth of its rows are refused and `confirmed` is not set.
        """
        from zyz_match.storage.rejects import write_rejects
        from zyz_match.storage.row_files import read_rows

        file = read_rows(path, kind, progress=lambda d, n: progress("读取", d, n))
        if dry_run:
            progress("核对", 0, 1)
            plan = self.store.plan_rows(file)
            return RowReport(file, plan, file.rejects(plan.faults), None, None)
        beside = rejects_path or path.with_name(f"{path.stem}.rejects.csv")

        def accept(plan: "Plan") -> None:
            if plan.faults:
                write_rejects(file.rejects(plan.faults), beside)
            confirm_rejects(
                file.file_name, file.rows, len(plan.faults), beside, confirmed=confirmed
            )

        plan, batch = self.store.import_rows(
            file, accept, progress=lambda d, n: progress("写入", d, n)
        )
        where = beside if plan.faults else None
        return RowReport(file, plan, file.rejects(plan.faults), batch, where)

    # receipts ------------------------------------------------------------------------------

    def receipt(self, list_id: str) -> Receipt:
        """The receipt of a list that was shown, which is seen again; else NotFoundError."""
        found = self._receipt(list_id)
        self.store.audit.note("list.see", found.id, {"town": found.town_id, "again": 1})
        return found

    def _receipt(self, list_id: str) -> Receipt:
        found = self.store.receipt(list_id.strip())
        if found is None or not actor().sees(found.town_id):
            raise NotFoundError(f"没有名单“{list_id}”。编号印在清单上，形如 L20250630120000ab3f1。")
        return found

    def reproduce(self, list_id: str) -> Reproduction:
        """Rank again from what a receipt kept, and compare firms, ranks and scores exactly."""
        old = self._receipt(list_id)
        if old.town is None or old.k is None:
            return Reproduction(None, ("这份名单由旧版本给出，当时没有留存画像等输入，无法重现。",))
        existing = self.store.existing(old.town_id)
        gone = _gone(old, self.store.data_stamp(), hash_of(existing))
        try:
            model = self._model(old.model)
        except (NotFoundError, StorageError) as error:
            return Reproduction(None, (*gone, error.message))
        if gone:
            return Reproduction(None, gone)
        index = self.index(whole=LATE not in old.data)
        if index.stamp != old.data:
            return Reproduction(None, (_REBUILT,))
        from zyz_match.matching import ranking

        with self._lane:
            again = ranking.rank(
                index, old.town, k=old.k, filters=old.filters, existing=existing,
                diversify=old.diversify, after=old.after, model=model,
            )  # fmt: skip
        return _compared(old, again)

    def watch(self, *, progress: Progress = silent) -> "Watch":
        """Drift of inputs and scores, who is shown how much, which model made the newest lists."""
        from zyz_match.matching.examples import gather
        from zyz_match.matching.watching import watch

        index, rounds = self.index(progress=progress), self.store.lead_rounds()
        examples = gather(index, self.store.towns(), rounds, progress)
        found = watch(examples, self.store.shown(WATCHED_LISTS))
        return replace(found, exposure=tuple(e for e in found.exposure if actor().sees(e.town_id)))


def _gone(old: Receipt, data: str, existing: str) -> tuple[str, ...]:
    """The inputs of a receipt that are no longer what they were."""
    gone = []
    if state_of(old.data) != data:
        gone.append(f"企业数据已更新（当时 {old.data}，现为 {data}）。")
    if old.existing != existing:
        gone.append("已在镇内的企业名单已变化。")
    return tuple(gone)


def _compared(old: Receipt, again: Shortlist) -> Reproduction:
    before = [(i.rank, i.firm_id, i.score) for i in old.items]
    after = [(m.rank, m.firm.firm_id, m.score) for m in again.matches]
    if before == after:
        return Reproduction(True)
    same = len(set(before) & set(after))
    return Reproduction(
        False,
        (f"输入都在，但结果不同：{len(before)} 家中有 {same} 家的名次和得分一致。"
         "可能换过软件版本或计算机。",),
    )  # fmt: skip
