"""The desk for files that come over the interface: each one a job, its upload removed at the end.

A process of its own reads the file, as for a training, and acts as who sent it.
"""

import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zyz_match import profiles
from zyz_match.acting import Actor, Role, acting, actor
from zyz_match.errors import InputError, NeedsConfirmation, NotFoundError
from zyz_match.jobs_desk import Job, JobDesk, Task
from zyz_match.leads_desk import LeadDesk, confirm_rejects
from zyz_match.progress import Progress, silent
from zyz_match.storage.imports import Batch, BatchResult, UndoResult
from zyz_match.storage.jobs import JobState, Outcome

if TYPE_CHECKING:
    from pandas import DataFrame

    from zyz_match.leads_desk import RowReport
    from zyz_match.storage.readers import FirmFile

__all__ = ["Batch", "ImportDesk", "ImportKind", "ImportReport", "UndoResult", "check_file_name"]

IMPORT = "import"
ImportKind = Literal["firms", "leads", "events", "towns"]
REJECTS_KEPT_DAYS = 7
_STALE_SECONDS = 86_400.0
_REMARKS = 50
_LONGEST_NAME = 80
_MOST_BYTES = 240  # a file system takes 255
_BAD_NAME = re.compile(r"[/\\\x00-\x1f\x7f]|^[.~]")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import of firms found in the file and did to the store."""

    file: "FirmFile"
    batch: BatchResult | None  # None after a dry run
    rejects_path: Path | None  # where the rejected rows were written, None when there are none


def check_file_name(name: str) -> str:
    """The name under which a file that was sent may lie on disk; InputError for any other."""
    long = len(name) > _LONGEST_NAME or len(os.fsencode(name)) > _MOST_BYTES
    if not name or long or _BAD_NAME.search(name):
        raise InputError(
            f"文件名应为 1 到 {_LONGEST_NAME} 个字，不含斜线和控制字符，不以点号开头，"
            "例：企业名单.xlsx。"
        )
    return name


class ImportDesk(JobDesk, LeadDesk):
    """Files that were sent, their jobs and their batches."""

    def import_firms(
        self,
        path: Path,
        *,
        dry_run: bool = False,
        confirmed: bool = False,
        rejects_path: Path | None = None,
        progress: Progress = silent,
    ) -> ImportReport:
        """Read a firm table of any supported shape and store it, all rows or none.

        `rejects_path` receives the refused rows with their reasons (default: beside the file;
        nothing is written on a dry run). Raises FileError when the file is no firm table,
        NeedsConfirmation when more than a fifth of its rows are refused and `confirmed` is not set.
        """
        from zyz_match.storage import readers

        file = readers.read_firms(path, progress=lambda d, n: progress("读取", d, n))
        where = None
        if len(file.rejects) and not dry_run:
            where = rejects_path or path.with_name(f"{path.stem}.rejects.csv")
            readers.write_rejects(file.rejects, where)
        if dry_run:
            return ImportReport(file, None, where)
        confirm_rejects(path.name, file.rows, len(file.rejects), where, confirmed=confirmed)
        batch = self.store.import_firms(
            file.frame, file.contacts, file_name=file.file_name, file_hash=file.file_hash,
            progress=lambda d, n: progress("写入", d, n),
        )  # fmt: skip
        return ImportReport(file, batch, where)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Also imports."""
        return {**super().tasks, IMPORT: self._import}

    def import_job(
        self, kind: ImportKind, path: Path, digest: str, *, dry_run: bool, confirmed: bool
    ) -> Job:
        """Ask for the import of a file that lies alone in a folder below `Settings.uploads`.

        The folder is moved away. The same file for the same purpose, while that goes on, is the
        same job.
        """
        who, folder = actor(), path.parent.with_name(f"j-{secrets.token_hex(12)}")
        path.parent.rename(folder)
        params = {
            "kind": kind, "upload": folder.name, "file_name": path.name, "dry_run": dry_run,
            "confirmed": confirmed, "by": who.name, "role": who.role.value,
            "towns": None if who.towns is None else sorted(who.towns),
            "request_id": who.request_id,
        }  # fmt: skip
        slot = ":".join((IMPORT, kind, digest, str(dry_run), str(confirmed), who.name))
        job, new = self.store.jobs.enqueue(IMPORT, params, slot)
        if not new:
            shutil.rmtree(folder, ignore_errors=True)
        self._see_to(IMPORT, new=new and not self._lives(IMPORT))
        return job

    def import_rejects(self, job_id: str) -> Path:
        """The refused rows of an import as CSV; NotFoundError when there are none, or no more."""
        job, path = self.job(job_id), self._rejects_of(job_id)
        if job.kind != IMPORT or not path.is_file():
            raise NotFoundError(
                f"任务“{job_id}”没有被退回的行，或已超过 {REJECTS_KEPT_DAYS} 天而删除。"
            )
        self.store.audit.note("import.rejects", job_id)
        return path

    def imports(self, before: int | None, k: int) -> list[Batch]:
        """Imports of files, newest first; `before` is the number of the last one seen.

        Batches hold rows of any town: who sees only some towns sees none.
        """
        return self.store.batch_page(before, k) if actor().sees(None) else []

    def import_batch(self, batch_id: str) -> Batch:
        """One import; NotFoundError when there is none."""
        self._batch_in_sight(batch_id)
        return self.store.batch(batch_id)

    def undo(self, batch_id: str) -> UndoResult:
        """Take one import back; firms that a later import changed are kept."""
        self._batch_in_sight(batch_id)
        return self.store.undo(batch_id)

    @staticmethod
    def _batch_in_sight(batch_id: str) -> None:
        if not actor().sees(None):
            raise NotFoundError(f"没有批次“{batch_id}”。")

    # the worker's side -------------------------------------------------------------------------

    def _import(self, job: Job, step: Progress) -> Outcome:
        given = job.params
        path = self.settings.uploads / given["upload"] / given["file_name"]
        towns = None if given["towns"] is None else frozenset(given["towns"])
        who = Actor(given["by"], Role(given["role"]), "worker", towns, given["request_id"])
        empty = {"kind": given["kind"], "file_name": path.name}
        try:
            with acting(who):
                return Outcome(JobState.DONE, self._imported(job, path, step))
        except NeedsConfirmation as error:
            why = (
                f"“{path.name}”共 {error.rows} 行，其中 {error.refused} 行有问题，超过两成，未写入"
                f"任何数据。请下载被退回的行（/v1/jobs/{job.id}/rejects）核对；确认其余行无误后，"
                "带 confirmed=true 再发一次。"
            )
            counts = {"rows": error.rows, "rejected": error.refused}
            return Outcome(JobState.FAILED, _result(empty | counts | {"code": error.code}), why)
        except InputError as error:
            return Outcome(JobState.FAILED, _result(empty | {"code": error.code}), error.message)

    def _imported(self, job: Job, path: Path, step: Progress) -> dict[str, Any]:
        kind: ImportKind = job.params["kind"]
        dry_run, rejects = bool(job.params["dry_run"]), self._rejects_of(job.id)
        about = {"kind": kind, "file_name": path.name}
        if kind == "towns":
            return _result(about | self._import_towns(path, dry_run=dry_run, step=step))
        options = {
            "dry_run": dry_run, "confirmed": job.params["confirmed"], "rejects_path": rejects,
            "progress": step,
        }  # fmt: skip
        if kind == "firms":
            firms = self.import_firms(path, **options)
            self._keep_rejects(firms.file.rejects, rejects)
            return _result(about | _of_firms(firms))
        rows = self.import_rows(kind, path, **options)
        self._keep_rejects(rows.rejects, rejects)
        return _result(about | _of_rows(rows))

    def _import_towns(self, path: Path, *, dry_run: bool, step: Progress) -> dict[str, Any]:
        step("读取", 0, 1)
        found = profiles.read_towns(path)
        hidden = [t.id for t in found if not actor().sees(t.id)]
        if hidden:
            raise InputError(f"文件中有不归您管理的专业镇：{'、'.join(hidden[:5])}，未写入。")
        step("写入", 0, 1)
        done = {} if dry_run else self.store.put_towns(found)
        counts = {c: sum(v == c for v in done.values()) for c in _CHANGES} if done else {}
        return {"rows": len(found), "rejected": 0} | counts

    @staticmethod
    def _keep_rejects(rejects: "DataFrame", path: Path) -> None:
        """Also those of a preview."""
        from zyz_match.storage.rejects import write_rejects

        if len(rejects):
            write_rejects(rejects, path)

    def _rejects_of(self, job_id: str) -> Path:
        return self.settings.uploads / f"{job_id}.rejects.csv"

    def _clear_up(self, job: Job) -> None:
        super()._clear_up(job)
        if job.kind != IMPORT:
            return
        uploads, now = self.settings.uploads, time.time()
        shutil.rmtree(uploads / job.params["upload"], ignore_errors=True)
        waiting = {j.params["upload"] for j in self.store.jobs.unfinished(IMPORT)}
        for left in uploads.iterdir() if uploads.is_dir() else ():
            with suppress(OSError):
                age = now - left.stat().st_mtime
                if left.is_dir() and left.name not in waiting and age > _STALE_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
                elif left.is_file() and age > REJECTS_KEPT_DAYS * 86_400:
                    left.unlink()


_CHANGES = ("created", "updated", "unchanged")


def _result(found: Mapping[str, Any]) -> dict[str, Any]:
    """What an import came to; what is not known is None."""
    counts = dict.fromkeys(("batch", "rows", *_CHANGES, "rejected", "code"))
    whole: dict[str, Any] = {**counts, "repeated": False, "warnings": [], "columns": [], **found}
    return whole | {"verdict": _verdict(whole)}


def _verdict(found: Mapping[str, Any]) -> str:
    if found["code"]:
        return "没有写入任何数据。"
    names = {"created": "新增", "updated": "更新", "unchanged": "无变化", "rejected": "退回"}
    counts = [f"{name} {found[c]:,}" for c, name in names.items() if found[c] is not None]
    first = "这个文件以前导入过，库中未变；当时" if found["repeated"] else ""
    return f"{first}读入 {found['rows']:,} 行：{'，'.join(counts)}。"


def _of_firms(report: "ImportReport") -> dict[str, Any]:
    file = report.file
    columns = [
        {"header": m.header, "target": str(m.target) if m.target else None} for m in file.mapping
    ]
    return {
        "rows": file.rows, "rejected": len(file.rejects), "columns": columns,
        "warnings": list(file.warnings[:_REMARKS]), **_of_batch(report.batch),
    }  # fmt: skip


def _of_rows(report: "RowReport") -> dict[str, Any]:
    file, plan = report.file, report.plan
    return {
        "rows": file.rows, "created": len(plan.new), "updated": 0, "unchanged": plan.unchanged,
        "rejected": len(plan.faults), "warnings": list(file.warnings[:_REMARKS]),
        "columns": [{"header": h, "target": t or None} for h, t in file.targets],
        "batch": report.batch.batch_id if report.batch else None,
        "repeated": bool(report.batch and report.batch.repeated),
    }  # fmt: skip


def _of_batch(batch: BatchResult | None) -> dict[str, Any]:
    if batch is None:
        return {}
    return {
        "batch": batch.batch_id, "created": batch.created, "updated": batch.updated,
        "unchanged": batch.unchanged, "repeated": batch.repeated,
    }  # fmt: skip
