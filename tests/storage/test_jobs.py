"""Jobs on both databases: one at a time, leased, taken over, cancelled, ended once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from zyz_match.errors import InputError, NotFoundError
from zyz_match.storage.jobs import MAX_ATTEMPTS, Beat, Job, JobState, Outcome
from zyz_match.storage.serving import Change
from zyz_match.storage.store import Store

KIND, LEASE = "retrain", 60.0
DONE = Outcome(JobState.DONE, {"说": "好"})


def enqueue(store: Store, **params: Any) -> Job:
    return store.jobs.enqueue(KIND, params)[0]


def test_a_second_request_is_answered_with_the_job_that_goes_on(store: Store) -> None:
    first, new = store.jobs.enqueue(KIND, {"dry_run": True})
    assert (first.state, first.params, new) == (JobState.QUEUED, {"dry_run": True}, True)
    assert store.jobs.enqueue(KIND, {}) == (first, False)
    other, new = store.jobs.enqueue("other", {})
    assert new
    store.jobs.claim(KIND, "a", LEASE)
    assert store.jobs.enqueue(KIND, {})[0].id == first.id
    assert store.jobs.finish(first.id, "a", DONE)
    second, new = store.jobs.enqueue(KIND, {})
    assert new
    assert {j.id for j in store.jobs.recent()} == {first.id, second.id, other.id}
    assert len(store.jobs.recent(2)) == 2


def test_many_who_ask_at_once_share_one_job(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(lambda _: store.jobs.enqueue(KIND, {}), range(16)))
    assert len({job.id for job, _ in asked}) == 1
    assert sum(new for _, new in asked) == 1


def test_many_workers_at_once_get_one_job_once(store: Store) -> None:
    enqueue(store)
    start = threading.Barrier(8)

    def claim(i: int) -> Job | None:
        start.wait()
        return store.jobs.claim(KIND, f"worker {i}", LEASE)

    with ThreadPoolExecutor(8) as pool:
        got = [j for j in pool.map(claim, range(8)) if j is not None]
    assert len(got) == 1
    assert (got[0].state, got[0].attempts) == (JobState.RUNNING, 1)
    assert got[0].started_at is not None


def test_a_heartbeat_tells_the_progress_and_keeps_the_lease(store: Store) -> None:
    job = enqueue(store)
    store.jobs.claim(KIND, "a", LEASE)
    assert store.jobs.beat(job.id, "a", "训练", 2, 5) is Beat.GO_ON
    seen = store.jobs.get(job.id)
    assert (seen.what, seen.done, seen.total) == ("训练", 2, 5)
    assert store.jobs.claim(KIND, "b", LEASE) is None
    assert not store.jobs.adopt(KIND, LEASE)


def test_a_silent_workers_job_is_taken_over_and_the_old_worker_shut_out(store: Store) -> None:
    job = enqueue(store)
    store.jobs.claim(KIND, "dead", LEASE)
    time.sleep(0.01)
    taken = store.jobs.claim(KIND, "b", 0.0)
    assert taken is not None
    assert (taken.id, taken.attempts) == (job.id, 2)
    assert store.jobs.beat(job.id, "dead", "训练", 1, 1) is Beat.LOST
    change = Change("promote", "evil")
    assert not store.jobs.finish(job.id, "dead", Outcome(JobState.DONE, {}, change=change))
    assert store.serving.current().version == ""
    assert store.jobs.finish(job.id, "b", DONE)
    assert store.jobs.beat(job.id, "b", "训练", 1, 1) is Beat.LOST


def test_one_process_only_is_told_to_see_to_an_orphan(store: Store) -> None:
    assert not store.jobs.adopt(KIND, 0.0)
    job = enqueue(store)
    store.jobs.claim(KIND, "dead", LEASE)
    time.sleep(0.3)
    assert [store.jobs.adopt(KIND, 0.25) for _ in range(2)] == [True, False]
    assert store.jobs.get(job.id).state is JobState.QUEUED
    assert store.jobs.claim(KIND, "b", LEASE) is not None


def test_a_job_that_kills_every_worker_is_given_up(store: Store) -> None:
    job = enqueue(store)
    for _ in range(MAX_ATTEMPTS):
        assert store.jobs.claim(KIND, "doomed", 0.0) is not None
        time.sleep(0.01)
    assert store.jobs.claim(KIND, "b", 0.0) is None
    ended = store.jobs.get(job.id)
    assert ended.state is JobState.FAILED
    assert "内存" in ended.error
    assert store.jobs.enqueue(KIND, {})[1]


def test_a_waiting_job_is_cancelled_at_once(store: Store) -> None:
    job = enqueue(store)
    assert store.jobs.cancel(job.id).state is JobState.CANCELLED
    assert store.jobs.claim(KIND, "a", LEASE) is None
    assert store.jobs.enqueue(KIND, {})[1]


def test_a_running_job_learns_that_it_is_cancelled(store: Store) -> None:
    job = enqueue(store)
    store.jobs.claim(KIND, "a", LEASE)
    asked = store.jobs.cancel(job.id)
    assert (asked.state, asked.cancel_requested) == (JobState.RUNNING, True)
    assert store.jobs.beat(job.id, "a", "训练", 1, 2) is Beat.CANCEL
    store.jobs.finish(job.id, "a", Outcome(JobState.CANCELLED))
    ended = store.jobs.get(job.id)
    assert ended.state is JobState.CANCELLED
    assert ended.ended
    assert ended.finished_at is not None
    assert store.jobs.cancel(job.id) == ended


def test_a_cancelled_job_whose_worker_died_is_not_done_again(store: Store) -> None:
    job = enqueue(store)
    store.jobs.claim(KIND, "dead", LEASE)
    store.jobs.cancel(job.id)
    time.sleep(0.01)
    assert store.jobs.claim(KIND, "b", 0.0) is None
    assert store.jobs.get(job.id).state is JobState.CANCELLED


def test_the_end_of_a_job_and_the_new_version_come_together(store: Store) -> None:
    job = enqueue(store)
    store.jobs.claim(KIND, "a", LEASE)
    change = Change("promote", "v1", "我", "更好")
    assert store.jobs.finish(job.id, "a", Outcome(JobState.DONE, {"version": "v1"}, change=change))
    assert store.serving.current().version == "v1"
    assert store.jobs.get(job.id).result == {"version": "v1"}


def test_an_import_under_way_does_not_hold_up_a_heartbeat_on_postgresql(
    store: Store, database_url: str
) -> None:
    if database_url.startswith("sqlite"):
        return  # one writer at a time: the lease is longer than any wait there
    job = enqueue(store)
    store.jobs.claim(KIND, "a", LEASE)
    with store._database.write():
        began = time.monotonic()
        assert store.jobs.beat(job.id, "a", "训练", 1, 2) is Beat.GO_ON
        assert time.monotonic() - began < 5


def test_an_unknown_job_is_named(store: Store) -> None:
    for ask in (store.jobs.get, store.jobs.cancel):
        with pytest.raises(NotFoundError, match="没有任务“J0”"):
            ask("J0")
    with pytest.raises(InputError):
        store.jobs.get("\0")
