"""Jobs: what a worker does beside the lists, one of a kind at a time; others of it may wait.

A worker holds a job by a lease that it renews with its heartbeat. Once the heartbeat is older than
the lease the job is anybody's; whatever the worker before writes after that is refused.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.errors import NotFoundError
from zyz_match.storage import audit, bulk, rows, serving
from zyz_match.storage.database import Database
from zyz_match.storage.tables import job as table

MAX_ATTEMPTS = 3  # a job that killed its worker so often is not tried again
_KILLED = (
    f"执行进程连续 {MAX_ATTEMPTS} 次中途被终止（可能内存不足或被人结束），已停止重试，"
    "原有数据和正在使用的模型不受影响。请检查内存后重新发起。"
)


class JobState(StrEnum):
    """How far a job has come."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Beat(StrEnum):
    """What a worker learns from its heartbeat."""

    GO_ON = "go_on"
    CANCEL = "cancel"  # somebody asked for it
    LOST = "lost"  # the job is somebody else's, or has ended


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it stands."""

    id: str
    kind: str
    state: JobState
    what: str  # what is going on, Chinese
    done: int
    total: int
    params: Mapping[str, Any]
    result: Mapping[str, Any] | None
    error: str  # Chinese, "" unless it failed
    attempts: int
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    heartbeat_at: datetime
    finished_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended, and the change of the serving version that goes with it."""

    state: JobState
    result: Mapping[str, Any] | None = None
    error: str = ""
    change: serving.Change | None = None


class Jobs:
    """The jobs of one database; every method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enqueue(self, kind: str, params: Mapping[str, Any], slot: str = "") -> tuple[Job, bool]:
        """The job that waits or runs in this slot (the kind itself), and whether it is new."""
        with self._database.write_rows() as connection:
            while True:
                added = _insert(connection, kind, params, slot or kind)
                query = sa.select(table).where(table.c.slot == (slot or kind))
                if (found := connection.execute(query).mappings().first()) is not None:
                    if found["id"] == added:
                        audit.note(connection, f"{kind}.ask", added)
                    return _job(found), found["id"] == added  # else it ended just now: once more

    def claim(self, kind: str, owner: str, lease: float) -> Job | None:
        """Take the job that waits, or whose worker fell silent; None when there is none to do."""
        with self._database.write_rows() as connection:
            while (found := _free(connection, kind, lease)) is not None:
                if (job := _take(connection, found, owner)) is not None:
                    return job  # else it was ended: the next one
            return None

    def adopt(self, kind: str, lease: float) -> bool:
        """Put a job that nobody looks after back in the queue; True for who shall see to it.

        A job that waits counts as looked after for one lease: its worker is starting up.
        """
        query = sa.select(table.c.id).where(_open(kind), _silent_for(lease))
        with self._database.read() as connection:
            if connection.execute(query).first() is None:
                return False
        with self._database.write_rows() as connection:
            found = connection.execute(_lock(query)).scalar()
            if found is None:
                return False
            values = {"state": JobState.QUEUED, "owner": "", "heartbeat_at": rows.utc_now()}
            connection.execute(sa.update(table).where(table.c.id == found).values(values))
            return True

    def beat(self, job_id: str, owner: str, what: str, done: int, total: int) -> Beat:
        """Renew the lease and say how far the job is."""
        values = {"heartbeat_at": rows.utc_now(), "what": what, "done": done, "total": total}
        with self._database.write_rows() as connection:
            mine = _held(job_id, owner)
            if not connection.execute(sa.update(table).where(mine).values(values)).rowcount:
                return Beat.LOST
            asked = connection.execute(sa.select(table.c.cancel_requested).where(mine)).scalar_one()
            return Beat.CANCEL if asked else Beat.GO_ON

    def finish(self, job_id: str, owner: str, outcome: Outcome) -> bool:
        """End a job and move the serving version, both or neither; False once the lease is lost."""
        with self._database.write() as connection:
            if not _end(connection, _held(job_id, owner), outcome):
                return False
            if outcome.change is not None:
                serving.change(connection, outcome.change)
            return True

    def cancel(self, job_id: str) -> Job:
        """Ask for the end of a job: at once when it waits, at its next step when it runs."""
        with self._database.write_rows() as connection:
            asked = connection.execute(
                sa.update(table)
                .where(table.c.id == job_id, table.c.slot.is_not(None))
                .values(cancel_requested=1)
            )
            if asked.rowcount:
                audit.note(connection, "job.cancel", job_id)
            waiting = sa.and_(table.c.id == job_id, table.c.state == JobState.QUEUED)
            _end(connection, waiting, Outcome(JobState.CANCELLED))
            return _get(connection, job_id)

    def get(self, job_id: str) -> Job:
        """The job with this id; NotFoundError when there is none."""
        with self._database.read() as connection:
            return _get(connection, rows.clean(job_id, "任务编号"))

    def unfinished(self, kind: str) -> list[Job]:
        """The jobs of a kind that wait or run."""
        query = sa.select(table).where(_open(kind)).order_by(table.c.created_at)
        with self._database.read() as connection:
            return [_job(r) for r in connection.execute(query).mappings()]

    def waits(self, kind: str, since: datetime) -> bool:
        """Whether a job of a kind that was asked for since a moment waits for a worker."""
        mine = table.c.kind == kind, table.c.state == JobState.QUEUED
        query = sa.select(table.c.id).where(*mine, table.c.created_at >= rows.utc_text(since))
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def recent(self, limit: int = 50) -> list[Job]:
        """The newest jobs first."""
        newest = sa.select(table).order_by(table.c.created_at.desc(), table.c.id.desc())
        with self._database.read() as connection:
            return [_job(r) for r in connection.execute(newest.limit(limit)).mappings()]


def no_job(job_id: str) -> NotFoundError:
    """What is said of a job that is not there, or not in sight."""
    return NotFoundError(f"没有任务“{job_id}”。可用 zyz-match jobs 查看全部任务。")


def _insert(connection: Connection, kind: str, params: Mapping[str, Any], slot: str) -> str:
    """Add a job, under the id returned, unless one in its slot has not ended yet."""
    now = rows.utc_now()
    values: dict[str, str] = {
        "id": f"J{datetime.now(UTC):%Y%m%d%H%M%S}{secrets.token_hex(3)[:5]}", "kind": kind,
        "state": JobState.QUEUED, "slot": slot, "params": json.dumps(params, allow_nan=False),
        "created_at": now, "heartbeat_at": now,
    }  # fmt: skip
    added = (
        bulk.inserting(connection, table)
        .values(values)
        .on_conflict_do_nothing(index_elements=["slot"])
    )
    connection.execute(added)
    return values["id"]


def _lock(query: sa.Select[Any]) -> sa.Select[Any]:
    """One row nobody else is at; SQLite, which has one writer at a time, needs no more words."""
    return query.limit(1).with_for_update(skip_locked=True)


def _silent_for(lease: float) -> sa.ColumnElement[bool]:
    since = datetime.now(UTC) - timedelta(seconds=lease)
    return table.c.heartbeat_at < rows.utc_text(since)


def _open(kind: str) -> sa.ColumnElement[bool]:
    """Not ended."""
    return sa.and_(table.c.kind == kind, table.c.slot.is_not(None))


def _free(connection: Connection, kind: str, lease: float) -> sa.RowMapping | None:
    """The oldest job that may be taken, unless a worker is at another one of its kind."""
    query = sa.select(table, _silent_for(lease).label("silent")).where(_open(kind))
    query = query.order_by(table.c.created_at, table.c.id).with_for_update()
    every = connection.execute(query).mappings().all()
    if any(j["state"] == JobState.RUNNING and not j["silent"] for j in every):
        return None
    return every[0] if every else None


def _take(connection: Connection, found: sa.RowMapping, owner: str) -> Job | None:
    this, now = table.c.id == found["id"], rows.utc_now()
    if found["cancel_requested"]:
        _end(connection, this, Outcome(JobState.CANCELLED))
        return None
    if found["attempts"] >= MAX_ATTEMPTS:
        _end(connection, this, Outcome(JobState.FAILED, error=_KILLED))
        return None
    values = {
        "state": JobState.RUNNING, "owner": owner, "attempts": found["attempts"] + 1,
        "started_at": found["started_at"] or now, "heartbeat_at": now,
    }  # fmt: skip
    connection.execute(sa.update(table).where(this).values(values))
    return _get(connection, found["id"])


def _held(job_id: str, owner: str) -> sa.ColumnElement[bool]:
    running = table.c.state == JobState.RUNNING
    return sa.and_(table.c.id == job_id, table.c.owner == owner, running)


def _end(connection: Connection, which: sa.ColumnElement[bool], outcome: Outcome) -> bool:
    text = None if outcome.result is None else json.dumps(outcome.result, ensure_ascii=False)
    values = {
        "state": outcome.state, "slot": None, "owner": "", "result": text, "error": outcome.error,
        "finished_at": rows.utc_now(),
    }  # fmt: skip
    return connection.execute(sa.update(table).where(which).values(values)).rowcount == 1


def _get(connection: Connection, job_id: str) -> Job:
    found = connection.execute(sa.select(table).where(table.c.id == job_id)).mappings().first()
    if found is None:
        raise no_job(job_id)
    return _job(found)


def _job(row: sa.RowMapping) -> Job:
    return Job(
        id=row["id"], kind=row["kind"], state=JobState(row["state"]), what=row["what"],
        done=row["done"], total=row["total"], params=json.loads(row["params"]),
        result=json.loads(row["result"]) if row["result"] else None, error=row["error"],
        attempts=row["attempts"], cancel_requested=bool(row["cancel_requested"]),
        created_at=datetime.fromisoformat(row["created_at"]), started_at=_moment(row["started_at"]),
        heartbeat_at=datetime.fromisoformat(row["heartbeat_at"]),
        finished_at=_moment(row["finished_at"]),
    )  # fmt: skip


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
