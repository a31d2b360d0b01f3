"""The desk where the office looks after itself: audit, personal data, backups, checks."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zyz_match.acting import Role, actor
from zyz_match.domain import Firm
from zyz_match.errors import FileError, InputError, StorageError
from zyz_match.outputs import write_bytes
from zyz_match.progress import Progress, silent
from zyz_match.settings import Settings
from zyz_match.storage import backup
from zyz_match.storage.audit import Act, Anchor, Noted, Verdict, Wanted
from zyz_match.storage.backup import Summary
from zyz_match.storage.checks import Finding
from zyz_match.storage.gauges import Gauges
from zyz_match.storage.locks import held
from zyz_match.storage.migrations import HEAD
from zyz_match.storage.store import Store

if TYPE_CHECKING:
    from zyz_match.index_desk import IndexReport
    from zyz_match.models_desk import ModelInfo

__all__ = [
    "Act", "ContactsSeen", "Finding", "Gauges", "Noted", "OpsDesk", "Summary", "Verdict", "Wanted",
]  # fmt: skip

MAX_NOTED = 1000
UNMASKED = frozenset({Role.ADMIN, Role.TOWN})  # who works with the contacts


@dataclass(frozen=True, slots=True)
class ContactsSeen:
    """The contacts of a firm as this actor may see them."""

    firm: Firm
    masked: bool
    contacts: tuple[tuple[str, str], ...]  # kind (phone | mail | person) and value


class OpsDesk:
    """What keeps one store in order; `Service` inherits it."""

    settings: Settings
    store: Store

    if TYPE_CHECKING:  # what the rest of the hall lends

        def firm(self, text: str) -> Firm:
            """See `Service`."""

        def models(self) -> list[ModelInfo]:
            """See `Service`."""

        def index_report(self) -> IndexReport:
            """See `Service`."""

    # audit ---------------------------------------------------------------------------------

    def audit(self, wanted: Wanted, *, before: int | None = None, k: int = 50) -> list[Noted]:
        """Rows of the audit, newest first; `before` is the number of the last one shown."""
        if not 1 <= k <= MAX_NOTED:
            raise InputError(f"条数应为 1 到 {MAX_NOTED} 之间的整数，现为 {k}。")
        return self.store.audit.find(wanted, before, k)

    def verify_audit(self, anchor: Path | None = None) -> Verdict:
        """Reckon the audit's chain anew; compare it with the anchor, and move that when whole.

        The anchor is a small file with the last row, best kept where the database's owner cannot
        write. It is made when it is not there. FileError for a file that is none.
        """
        known = _read_anchor(anchor) if anchor is not None and anchor.exists() else None
        verdict = self.store.audit.verify(known)
        if anchor is not None and not verdict.fault:
            entries = asdict(verdict.last) | {"at": datetime.now(UTC).isoformat()}
            write_bytes(anchor, json.dumps(entries).encode())
        return verdict

    def note_exports(self, list_ids: Sequence[str], to: str) -> None:
        """Write down that lists leave the system as files; "" is one without a receipt."""
        self.note_looks([Act(actor(), "list.export", i, {"to": to}) for i in list_ids])

    def note_looks(self, looks: Sequence[Act]) -> None:
        """Write down what several saw, in one transaction."""
        if looks:
            self.store.audit.note_all(looks)

    # personal data -------------------------------------------------------------------------

    def contacts(self, firm: str) -> ContactsSeen:
        """The contacts of a firm, masked unless the actor works with them; the look is noted."""
        found, masked = self.firm(firm), actor().role not in UNMASKED
        seen = self.store.people.look(found.firm_id, masked=masked)
        return ContactsSeen(found, masked, tuple(seen))

    def erase_contacts(self, firm: str) -> int:
        """Remove a firm's contacts and let no import bring any back; how many there were."""
        return self.store.people.erase(self.firm(firm).firm_id)

    def allow_contacts(self, firm: str) -> bool:
        """Let imports bring contacts to a firm again; False when they may already."""
        return self.store.people.allow(self.firm(firm).firm_id)

    def expire_contacts(self) -> int:
        """Remove the contacts that are older than the settings keep them; how many."""
        days = self.settings.contact_days
        return self.store.people.expire(days) if days else 0

    # the store as a whole ------------------------------------------------------------------

    @property
    def upgraded(self) -> tuple[str | None, str]:
        """The revision of the tables before this program came (None: none), and its own."""
        return self.store.upgraded_from, HEAD

    def back_up(self, path: Path, *, files: bool = True, progress: Progress = silent) -> Summary:
        """Write everything of this moment into one file; with `files` also models and keys."""
        home = self.settings.home if files else None
        return self.store.back_up(path, home, progress=_named(progress, "备份"))

    def restore(self, path: Path, *, progress: Progress = silent) -> Summary:
        """Put a backup into this store, which must be empty."""
        return self.store.restore(path, self.settings.home, progress=_named(progress, "恢复"))

    @staticmethod
    def look_at_backup(path: Path, *, progress: Progress = silent) -> Summary:
        """What a backup holds; FileError when it is damaged."""
        return backup.look(path, _named(progress, "核对"))

    def examine(self) -> list[Finding]:
        """Everything that can be checked: the database, the audit, the models, the index."""
        found = self.store.check()
        for what, look in (("模型", self._check_models), ("索引", self._check_index)):
            try:
                found.append(look())
            except StorageError as error:
                told = any(error.message in f.fault for f in found)
                found.append(Finding(what, "数据库读不了，没有检查。" if told else error.message))
        return found

    def _check_models(self) -> Finding:
        every = self.models()
        bad = [m for m in every if m.unusable and m.serving]
        idle = sum(1 for m in every if m.unusable and not m.serving)
        rest = f"，另有 {idle} 个旧版本不可用" if idle else ""
        return Finding("模型", "".join(m.unusable for m in bad), f"{len(every)} 个{rest}")

    def _check_index(self) -> Finding:
        report = self.index_report()
        if report.file is None and report.faults:
            return Finding("索引", "".join(report.faults))
        said = "还没有计算，第一次出名单时会算" if report.file is None else (
            f"{report.file.firms:,} 家企业"
        )  # fmt: skip
        return Finding("索引", "", said)

    def gauges(self) -> Gauges:
        """How much of everything there is, to be watched."""
        return self.store.gauges()

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """One process of this store after the other."""
        with held(self.settings.run / f"{what}.lock"):
            yield


def _read_anchor(path: Path) -> Anchor:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        entries = json.loads(path.read_text("utf-8"))
        return Anchor(int(entries["id"]), str(entries["hash"]))
    raise FileError(f"“{path}”不是审计封存文件（--anchor）。请核对路径。")


def _named(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)
