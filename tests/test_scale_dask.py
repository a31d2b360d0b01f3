"""Batches on a Dask cluster: the loop's answer, also when a worker is killed under way."""

import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.batch_world import firms, job, write_parts
from zyz_match.errors import FileError, InputError
from zyz_match.scale import batch, engines
from zyz_match.scale.batch import on_dask
from zyz_match.scale.work import SURVEY, TALLY, Job

distributed = pytest.importorskip("distributed")
PARTS = 12
pytestmark = pytest.mark.filterwarnings("ignore:::distributed", "ignore:::tornado")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
            dashboard_address=None, memory_limit=0, silence_logs=logging.CRITICAL,
        ) as cluster:  # fmt: skip
            yield cluster


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("群")
    return job(write_parts(folder / "in", firms(20 * PARTS), range(20, 20 * PARTS, 20)))


@pytest.fixture(scope="module")
def by_loop(asked: Job, tmp_path_factory: pytest.TempPathFactory) -> batch.Answer:
    return batch.run(tmp_path_factory.mktemp("环") / "work", asked)


@pytest.mark.slow
def test_a_cluster_gives_the_answer_of_the_loop_bit_for_bit(
    tmp_path: Path, cluster: Any, asked: Job, by_loop: batch.Answer
) -> None:
    answer = batch.run(tmp_path / "work", asked, on_dask(cluster.scheduler_address))
    assert answer.rows.equals(by_loop.rows)
    assert answer.towns == by_loop.towns
    assert [p.partitions for p in answer.passes] == [p.partitions for p in by_loop.passes]
    assert all(p.peak > 0 for p in answer.passes)


@pytest.mark.slow
def test_killed_workers_change_nothing_in_the_answer(
    tmp_path: Path, cluster: Any, asked: Job, by_loop: batch.Answer
) -> None:
    victims, left = _workers(cluster), list[int]()
    killer = threading.Thread(
        target=_kill_midway, args=(tmp_path / "work", victims, left), daemon=True
    )
    killer.start()
    answer = batch.run(tmp_path / "work", asked, on_dask(cluster.scheduler_address))
    killer.join(timeout=1)
    assert answer.rows.equals(by_loop.rows)
    assert len(left) == 2
    assert all(left)
    assert not set(victims) & set(_workers(cluster))


def _workers(cluster: Any) -> list[int]:
    """The processes of the workers."""
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        return sorted(client.run(os.getpid).values())


def _kill_midway(work: Path, victims: list[int], left: list[int]) -> None:
    """Kill one worker in the midst of each of two passes; how many partitions were left then."""
    for kind, worker in zip((TALLY, SURVEY), victims, strict=True):
        while (done := len(list((work / kind).glob("*/*.flat")))) < 3:
            time.sleep(0.002)
        os.kill(worker, signal.SIGKILL)
        left.append(PARTS - done)


@pytest.mark.slow
def test_a_fault_in_a_partition_is_told_by_the_cluster_as_by_the_loop(
    tmp_path: Path, cluster: Any
) -> None:
    folder = write_parts(tmp_path / "in", firms(40), [20])
    asked = job(folder)
    os.utime(folder / "part-01.parquet", (1, 1))
    with pytest.raises(FileError, match=r"part-01\.parquet.*被改动"):
        batch.run(tmp_path / "work", asked, on_dask(cluster.scheduler_address))


def test_workers_that_do_not_see_the_folder_are_named(tmp_path: Path, cluster: Any) -> None:
    with (
        pytest.raises(InputError, match=r"工作进程 tcp://.*须共用这个文件夹"),
        engines.dask(str(tmp_path / "无"), "0", cluster.scheduler_address),
    ):
        pass


def test_a_scheduler_that_is_not_there_is_an_input_error(
    tmp_path: Path, asked: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "WAIT_SECONDS", 0.2)
    with pytest.raises(InputError, match=r"连不上 Dask 调度器“tcp://127\.0\.0\.1:1”"):
        batch.run(tmp_path / "work", asked, on_dask("tcp://127.0.0.1:1"))


def test_a_missing_extra_is_named(
    tmp_path: Path, asked: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"zyz-match\[dask\]"):
        batch.run(tmp_path / "work", asked, on_dask())
