"""Retraining in a process of its own: once at a time, cancelled, killed and taken over."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.desk_world import DeskService, attempts, keep_model, open_desk, plan, wait_for
from tests.fake_worker import PACE, VERDICT, fake_retrain
from tests.worlds import TOWN
from zyz_match.acting import Actor, Role, acting
from zyz_match.errors import ArtifactError, NotFoundError, StorageError
from zyz_match.matching.model import Model
from zyz_match.models_desk import feature_schema
from zyz_match.storage.jobs import Job, JobState, Outcome


def ended(service: DeskService, job_id: str) -> bool:
    return service.job(job_id).ended


@pytest.mark.slow
def test_a_better_model_serves_in_every_process_from_its_next_request(tmp_path: Path) -> None:
    with open_desk(tmp_path) as service, open_desk(tmp_path) as other:
        before = other.rank("铸造", k=3)
        plan(service, words=60.0)
        seen: list[str] = []
        job = service.retrain(by="我", progress=lambda what, _d, _n: seen.append(what))
        assert (job.state, job.attempts, job.error) == (JobState.DONE, 1, "")
        assert job.result is not None
        version = job.result["version"]
        assert job.result == {
            "version": version, "promoted": True, "verdict": VERDICT, "card": None
        }  # fmt: skip
        after = other.rank("铸造", k=3)
        assert (before.model, after.model) == ("prior-1", version)
        assert [m.score for m in after.matches] != [m.score for m in before.matches]
        assert other.status()["model"] == version
        assert service.model_card()["leads_used"] == 7
        assert [(e.action, e.version, e.by) for e in service.model_log()] == [
            ("promote", version, "我")
        ]
        assert seen
        [told] = attempts(service)
        assert (told["nice"], told["threads"]) == (10, "1")


@pytest.mark.slow
def test_a_killed_workers_job_is_taken_over(tmp_path: Path, database_url: str) -> None:
    with open_desk(tmp_path, database_url) as service:
        service.pace = PACE
        service.index()
        plan(service, steps=600, pause=0.1)
        job = service.retrain_job()
        wait_for(lambda: attempts(service))
        assert len(service.rank("铸造", k=3).matches) == 3, "lists go on while it trains"
        plan(service)
        os.kill(attempts(service)[0]["pid"], signal.SIGKILL)
        wait_for(lambda: ended(service, job.id))
        job = service.job(job.id)
        assert (job.state, job.attempts, len(attempts(service))) == (JobState.DONE, 2, 2)
        assert len(service._models.versions()) == 1
        assert service.model().version == service._models.versions()[0]


@pytest.mark.slow
def test_two_workers_at_once_do_one_job_once(tmp_path: Path) -> None:
    with open_desk(tmp_path) as service:
        service.index()
        plan(service, steps=2, pause=0.3)
        job = service.retrain_job()
        others = [
            subprocess.Popen(
                service.worker, env=service._child_environment(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(2)
        ]  # fmt: skip
        assert service.retrain_job().id == job.id
        assert [w.wait(200) for w in others] == [0, 0]
        wait_for(lambda: ended(service, job.id))
        assert len(attempts(service)) == 1
        assert len(service._models.versions()) == 1


# in this process ---------------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeskService]:
    """A service that is its own worker, once `work` is called."""
    monkeypatch.setenv("ZYZ_HOME", str(tmp_path))
    monkeypatch.setattr("zyz_match.matching.training.retrain", fake_retrain)
    monkeypatch.setattr(DeskService, "_start_worker", lambda self, kind: None)
    monkeypatch.setattr(DeskService, "_ask_child", lambda self, version: self.check(version))
    monkeypatch.setattr(DeskService, "pace", PACE)
    with open_desk(tmp_path) as service:
        plan(service)
        yield service


def done(service: DeskService, *, dry_run: bool = False) -> Job:
    service.retrain_job(dry_run=dry_run)
    job = service.work()
    assert job is not None
    return job


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_model_that_is_no_better_is_not_kept(service: DeskService, dry_run: bool) -> None:
    plan(service, promote=dry_run)
    job = done(service, dry_run=dry_run)
    assert job.result is not None
    assert (job.result["version"], job.result["promoted"]) == (None, False)
    assert job.result["card"]["leads_used"] == 7
    assert service.model().version == "prior-1"
    assert not service.settings.models.exists()
    assert [e.action for e in service.model_log()] == ([] if dry_run else ["reject"])


def test_a_running_training_stops_at_its_next_step_when_asked(service: DeskService) -> None:
    plan(service, steps=1000, pause=0.02)
    asked = service.retrain_job()
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(service.work)
        wait_for(lambda: attempts(service))
        assert service.cancel_job(asked.id).cancel_requested
        job = work.result(100)
    assert job is not None
    assert job.state is JobState.CANCELLED
    assert service.model().version == "prior-1"


def test_a_worker_that_lost_its_lease_stops_and_changes_nothing(service: DeskService) -> None:
    plan(service, steps=1000, pause=0.02)
    asked = service.retrain_job()
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(service.work)
        wait_for(lambda: attempts(service))
        assert service.store.jobs.claim("retrain", "another", -1.0) is not None
        job = work.result(100)
    assert job is not None
    assert (job.id, job.state, job.attempts) == (asked.id, JobState.RUNNING, 2)
    assert service.store.jobs.finish(asked.id, "another", Outcome(JobState.CANCELLED))


def test_an_interrupt_while_waiting_asks_to_cancel(service: DeskService) -> None:
    def interrupt(_what: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        service.retrain(progress=interrupt)
    assert [j.state for j in service.jobs()] == [JobState.CANCELLED]


def test_a_bug_in_the_training_is_one_sentence(service: DeskService) -> None:
    plan(service, bug=True)
    service.retrain_job()
    with pytest.raises(KeyError):
        service.work()
    [job] = service.jobs()
    assert job.state is JobState.FAILED
    assert "KeyError" in job.error
    assert "合成" not in job.error
    assert service.model().version == "prior-1"


def test_a_model_kept_before_its_worker_died_is_not_trained_again(service: DeskService) -> None:
    asked = service.retrain_job()
    about = {"job": asked.id, "schema": feature_schema(), "verdict": VERDICT}
    version = service._models.save(Model(version=""), about, {})
    job = service.work()
    assert job is not None
    assert job.result is not None
    assert (job.result["version"], job.result["verdict"]) == (version, VERDICT)
    assert attempts(service) == []
    assert service.model().version == version


def test_a_busy_database_is_waited_for_when_a_job_ends(
    service: DeskService, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, tries = service.store.jobs.finish, iter([True, True, False])

    def busy(*args: Any) -> bool:
        if next(tries):
            raise StorageError("数据库正忙")
        return finish(*args)

    monkeypatch.setattr(service.store.jobs, "finish", busy)
    assert done(service).state is JobState.DONE


def test_a_model_that_scores_otherwise_elsewhere_is_not_promoted(
    service: DeskService, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = service.check("prior-1")
    monkeypatch.setattr(service, "_ask_child", lambda _version: told)
    job = done(service)
    assert job.state is JobState.FAILED
    assert "得分不同" in job.error
    assert service.serving().version == "prior-1"
    assert service.work() is None


def test_a_child_that_dies_is_no_canary(
    service: DeskService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(DeskService, "worker", (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(ArtifactError, match="试载失败"):
        service.promote(keep_model(service))


# who comes after a worker --------------------------------------------------------------------


class Leaving:
    """A worker that ends when it is told to."""

    def __init__(self) -> None:
        self.code: int | None = None
        self._over = threading.Event()

    def end(self, code: int = 0) -> None:
        self.code = code
        self._over.set()

    def poll(self) -> int | None:
        return self.code

    def wait(self) -> int:
        self._over.wait()
        assert self.code is not None
        return self.code


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[Leaving]:
    """Every worker that a service starts; none does anything."""
    started: list[Leaving] = []

    def spawn(_service: DeskService, *_words: str) -> Leaving:
        started.append(Leaving())
        return started[-1]

    monkeypatch.setattr(DeskService, "_spawn", spawn)
    return started


def upload(service: DeskService, name: str) -> Path:
    folder = service.settings.uploads / name
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("企业名称\n合成公司\n", "utf-8")
    return folder / "a.csv"


def ask(service: DeskService, name: str) -> Job:
    return service.import_job("firms", upload(service, name), name, dry_run=False, confirmed=True)


def test_what_is_asked_for_as_a_worker_leaves_gets_another_one(
    tmp_path: Path, workers: list[Leaving]
) -> None:
    with open_desk(tmp_path) as service:
        first = ask(service, "one")
        assert service.store.jobs.claim(first.kind, "o", 60) is not None
        ask(service, "two")
        assert len(workers) == 1, "the first one does both"
        workers[0].end()
        wait_for(lambda: len(workers) == 2)
        workers[1].end()  # the job was there before it: it will not be otherwise for a third one
        time.sleep(0.3)
        assert len(workers) == 2
        for left in workers:
            left.end()


@pytest.mark.parametrize("why", ["killed", "closed"])
def test_no_worker_follows_one_that_was_killed_or_a_service_that_ends(
    tmp_path: Path, workers: list[Leaving], why: str
) -> None:
    with open_desk(tmp_path) as service:
        ask(service, "one")
        ask(service, "two")
        if why == "closed":
            service.close()
        workers[0].end(-9 if why == "killed" else 0)
        time.sleep(0.3)
        assert len(workers) == 1


# sight ---------------------------------------------------------------------------------------


def test_who_sees_some_towns_sees_only_his_own_jobs(tmp_path: Path, workers: list[Leaving]) -> None:
    with open_desk(tmp_path) as service:
        theirs = ask(service, "one")
        version = keep_model(service)
        with acting(Actor("key:team", Role.ANALYST, "api", frozenset({TOWN.id}))):
            mine = ask(service, "two")
            assert [j.id for j in service.jobs()] == [mine.id]
            assert service.job(mine.id).id == mine.id
            for look in (service.job, service.cancel_job, service.import_rejects):
                with pytest.raises(NotFoundError) as there:
                    look(theirs.id)
                with pytest.raises(NotFoundError) as nowhere:
                    look("J0")
                assert there.value.message == nowhere.value.message.replace("J0", theirs.id)
            assert "by_town" not in service.model_card(version)
        assert {j.id for j in service.jobs()} == {mine.id, theirs.id}
        assert "by_town" in service.model_card(version)
        for left in workers:
            left.end()
