"""Retraining in a process of its own: once at a time, cancelled, killed and taken over."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.desk_world import DeskService, attempts, open_desk, plan, wait_for
from tests.fake_worker import VERDICT
from zyz_match.jobs_desk import Pace
from zyz_match.storage.jobs import JobState

QUICK = Pace(heartbeat=0.2, lease=1.0, tick=0.05)


def ended(service: DeskService, job_id: str) -> bool:
    return service.job(job_id).ended


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


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_model_that_is_no_better_is_not_kept(tmp_path: Path, dry_run: bool) -> None:
    with open_desk(tmp_path) as service:
        plan(service, promote=dry_run)
        job = service.retrain(dry_run=dry_run)
        assert job.result is not None
        assert (job.result["version"], job.result["promoted"]) == (None, False)
        assert job.result["card"]["leads_used"] == 7
        assert service.model().version == "prior-1"
        assert not service.settings.models.exists()
        assert [e.action for e in service.model_log()] == ([] if dry_run else ["reject"])


def test_a_killed_workers_job_is_taken_over(tmp_path: Path, database_url: str) -> None:
    with open_desk(tmp_path, database_url) as service:
        service.pace = QUICK
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


def test_a_running_training_stops_at_its_next_step_when_asked(tmp_path: Path) -> None:
    with open_desk(tmp_path) as service:
        plan(service, steps=600, pause=0.05)
        job = service.retrain_job()
        wait_for(lambda: attempts(service))
        assert service.cancel_job(job.id).cancel_requested
        wait_for(lambda: ended(service, job.id))
        assert service.job(job.id).state is JobState.CANCELLED
        assert service.model().version == "prior-1"


def test_an_interrupt_while_waiting_asks_to_cancel(tmp_path: Path) -> None:
    def interrupt(_what: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with open_desk(tmp_path) as service:
        plan(service, steps=600, pause=0.05)
        with pytest.raises(KeyboardInterrupt):
            service.retrain(progress=interrupt)
        [job] = service.jobs()
        wait_for(lambda: ended(service, job.id))
        assert service.job(job.id).state is JobState.CANCELLED


def test_a_bug_in_the_training_is_one_sentence_and_a_log(tmp_path: Path) -> None:
    with open_desk(tmp_path) as service:
        plan(service, bug=True)
        job = service.retrain()
        assert job.state is JobState.FAILED
        assert "KeyError" in job.error
        assert "合成" not in job.error
        wait_for(lambda: list((service.settings.home / "logs").glob("*.log")))
        assert service.model().version == "prior-1"


def test_a_model_that_scores_otherwise_elsewhere_is_not_promoted(tmp_path: Path) -> None:
    with open_desk(tmp_path) as service:
        plan(service)
        service.store.jobs.enqueue("retrain", {"dry_run": False, "by": ""})
        told = service.check("prior-1")
        told["scores"] = {f: s + 1e-6 for f, s in told["scores"].items()}
        service._ask_child = lambda _version: told  # type: ignore[method-assign]
        service._fit = lambda _step: _better()  # type: ignore[method-assign]
        job = service.work()
        assert job is not None
        assert job.state is JobState.FAILED
        assert "得分不同" in job.error
        assert service.serving().version == "prior-1"
        assert service.work() is None


def _better():  # type: ignore[no-untyped-def]
    from zyz_match.matching.model import Model
    from zyz_match.matching.training import Retrained

    return Retrained(Model(version=""), True, VERDICT, {})
