"""The desk for jobs: each in a process of its own, one of a kind at a time, beside the lists."""

import contextlib
import logging
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from zyz_match.acting import Actor, Role, acting, actor
from zyz_match.errors import StorageError, ZyzError
from zyz_match.models_desk import ModelDesk, feature_schema
from zyz_match.progress import Progress, silent
from zyz_match.settings import Settings
from zyz_match.storage.jobs import Beat, Job, Jobs, JobState, Outcome, no_job
from zyz_match.storage.serving import Change
from zyz_match.storage.store import Store

if TYPE_CHECKING:
    from zyz_match.matching.model import Model
    from zyz_match.matching.training import Retrained

__all__ = ["Job", "JobDesk", "Pace", "Task"]

LOG = logging.getLogger(__name__)
RETRAIN = "retrain"
POLL_SECONDS = 0.3
FINISH_TRIES = 30  # an import may keep the database for minutes
_BUG = "程序出了未预料的问题（{}）；正在使用的模型不受影响。详细记录在数据目录的 logs 下。"
Task = Callable[[Job, Progress], Outcome]


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between two heartbeats, until a silent worker counts as dead, between two looks."""

    heartbeat: float = 3.0
    lease: float = 10.0
    tick: float = 0.5


class _Cancelled(Exception):
    """Somebody asked for the end of the job."""


class _LeaseLost(Exception):
    """The job is somebody else's by now."""


class JobDesk(ModelDesk):
    """The jobs of one store: any process may ask for one, look after it, or do it."""

    pace = Pace()

    def __init__(self, settings: Settings, store: Store) -> None:
        super().__init__(settings, store)
        self._children: dict[str, subprocess.Popen[bytes]] = {}  # the last worker of each kind
        self._leaving, self._left = threading.Lock(), False

    @property
    def tasks(self) -> Mapping[str, Task]:
        """What there is to be done, by kind."""
        return {RETRAIN: self._retrain}

    def retrain_job(self, *, dry_run: bool = False, by: str = "") -> Job:
        """Ask for a retraining, done by a process of its own; the one that goes on, if any does."""
        job, new = self.store.jobs.enqueue(RETRAIN, {"dry_run": dry_run, "by": by or actor().name})
        self._see_to(RETRAIN, new=new)
        return job

    def retrain(self, *, dry_run: bool = False, by: str = "", progress: Progress = silent) -> Job:
        """Ask for a retraining and wait for its end; an interrupt asks to cancel it."""
        job = self.retrain_job(dry_run=dry_run, by=by)
        try:
            while not job.ended:
                progress(job.what or "等待训练开始", job.done, job.total)
                time.sleep(POLL_SECONDS)
                job = self.job(job.id)
        except KeyboardInterrupt:
            self.cancel_job(job.id)
            raise
        return job

    def jobs(self) -> list[Job]:
        """The newest jobs first; who sees only some towns sees those he asked for."""
        self.resume()
        return [job for job in self.store.jobs.recent() if _in_sight(job)]

    def job(self, job_id: str) -> Job:
        """The job with this id; NotFoundError when there is none in sight."""
        self.resume()
        job = self.store.jobs.get(job_id)
        if not _in_sight(job):
            raise no_job(job_id)
        return job

    def cancel_job(self, job_id: str) -> Job:
        """Ask for the end of a job; one that has ended stays as it is."""
        return self.store.jobs.cancel(self.job(job_id).id)

    def resume(self) -> None:
        """See to jobs whose worker was killed: start another one."""
        for kind in self.tasks:
            self._see_to(kind, new=False)

    def _see_to(self, kind: str, *, new: bool) -> None:
        """Start a worker for a new job, or for one that nobody looks after.

        A worker of ours that still lives may be slow to start on a busy machine; a second one would
        only slow it further.
        """
        if new or (not self._lives(kind) and self.store.jobs.adopt(kind, self.pace.lease)):
            self._start_worker(kind)

    def _lives(self, kind: str) -> bool:
        """Whether the worker that this process started last is still there."""
        child = self._children.get(kind)
        return child is not None and child.poll() is None

    def _start_worker(self, kind: str) -> None:
        try:
            child = self._children[kind] = self._spawn("--kind", kind)
        except OSError as error:  # the job waits until `resume` tries again
            LOG.warning("no worker for %s: %s", kind, error.strerror)
            return
        given = kind, child, datetime.now(UTC)
        threading.Thread(target=self._see_off, args=given, daemon=True).start()

    def _see_off(self, kind: str, child: "subprocess.Popen[bytes]", began: datetime) -> None:
        """Wait for a worker's end; what was asked for as it left gets another one."""
        if child.wait() != 0:
            return  # it was killed, or cannot start: `resume` sees to it later
        with self._leaving, contextlib.suppress(ZyzError):
            if not self._left and self.store.jobs.waits(kind, began):
                self._start_worker(kind)

    def close(self) -> None:
        """Start no more workers."""
        super().close()
        with self._leaving:
            self._left = True

    # the worker's side -----------------------------------------------------------------------

    def work(self, kind: str = RETRAIN) -> Job | None:
        """Do the job that waits, or that a dead worker left; None when there is none."""
        owner = secrets.token_hex(8)
        job = self.store.jobs.claim(kind, owner, self.pace.lease)
        if job is None:
            return None
        with (
            acting(_worker(job)),
            _leased(self.store.jobs, job, owner, self.pace) as step,
            contextlib.suppress(_LeaseLost),
        ):
            try:
                outcome = self.tasks[kind](job, step)
            except _Cancelled:
                outcome = Outcome(JobState.CANCELLED)
            except ZyzError as error:
                outcome = Outcome(JobState.FAILED, error=error.message)
            except Exception as error:
                failed = Outcome(JobState.FAILED, error=_BUG.format(type(error).__name__))
                self._finish(job, owner, failed)
                raise
            self._finish(job, owner, outcome)
            with contextlib.suppress(StorageError):  # the next job of the kind clears up as well
                self._clear_up(job)
        return self.store.jobs.get(job.id)

    def _clear_up(self, job: Job) -> None:
        """Remove what jobs of this kind leave behind."""
        if job.kind == RETRAIN:
            self.collect()

    def _finish(self, job: Job, owner: str, outcome: Outcome) -> None:
        for left in reversed(range(FINISH_TRIES)):
            try:
                self.store.jobs.finish(job.id, owner, outcome)
                return
            except StorageError:
                if not left:
                    raise
                time.sleep(self.pace.tick)

    def _retrain(self, job: Job, step: Progress) -> Outcome:
        self._models.sweep()  # who holds the lease is the only one who writes models
        version = self._models.latest({"job": job.id, "schema": feature_schema()})
        if version is not None:  # a worker before this one had come so far
            return self._promoted(job, version, self._load_anew(version), step)
        found = self._fit(step)
        if job.params["dry_run"] or not found.promote:
            return _left(job, found)
        step("保存模型", 0, 1)
        about = {"job": job.id, "schema": feature_schema(), "verdict": found.verdict}
        version = self._models.save(found.model, about, found.card)
        return self._promoted(job, version, found.model, step)

    def _promoted(self, job: Job, version: str, model: "Model", step: Progress) -> Outcome:
        """The end of a job that found a better model, once another process has loaded it."""
        step("试载新模型", 0, 1)
        self._canary(version, model)
        step("试载新模型", 1, 1)
        verdict = str(self._models.manifest(version).about["verdict"])
        return Outcome(
            JobState.DONE,
            {"version": version, "promoted": True, "verdict": verdict, "card": None},
            change=Change("promote", version, job.params["by"], verdict),
        )

    def _fit(self, step: Progress) -> "Retrained":
        from zyz_match.matching import training

        return training.retrain(
            self.index(whole=True, progress=step), self.store.towns(), self.store.lead_rounds(),
            self.model(), progress=step,
        )  # fmt: skip


def _left(job: Job, found: "Retrained") -> Outcome:
    """The end of a job that keeps no model: one that was no better, or a dry run."""
    dry_run = bool(job.params["dry_run"])
    change = None if dry_run else Change("reject", "", job.params["by"], found.verdict)
    return Outcome(
        JobState.DONE,
        {"version": None, "promoted": False, "verdict": found.verdict, "card": dict(found.card)},
        change=change,
    )


def _in_sight(job: Job) -> bool:
    """Whether a job is the actor's own, or he sees every town: a job may be about any."""
    return actor().sees(None) or job.params.get("by") == actor().name


def _worker(job: Job) -> Actor:
    """Who acts in a job: its worker, for whom it was asked."""
    return Actor(str(job.params.get("by") or "worker"), Role.ADMIN, "worker", request_id=job.id)


@contextlib.contextmanager
def _leased(jobs: Jobs, job: Job, owner: str, pace: Pace) -> Iterator[Progress]:
    """Keep the lease of a job; what it yields takes the progress and stops who must stop."""
    state: tuple[str, int, int] = ("准备", 0, 0)
    news, over = Beat.GO_ON, threading.Event()

    def step(what: str, done: int, total: int) -> None:
        nonlocal state
        state = (what, done, total)
        if news is Beat.CANCEL:
            raise _Cancelled
        if news is Beat.LOST:
            raise _LeaseLost

    def beat() -> None:
        nonlocal news
        said, at = state, 0.0
        while not over.is_set():
            if state != said or time.monotonic() - at >= pace.heartbeat:
                said, at = state, time.monotonic()
                with contextlib.suppress(ZyzError):  # a busy database: the next beat tells
                    news = jobs.beat(job.id, owner, *said)
            over.wait(pace.tick)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield step
    finally:
        over.set()
        thread.join()
