"""The index: kept, brought up to date, built once among all processes, changed over to."""

import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import zyz_match
from tests.desk_world import DeskService, open_desk, wait_for
from tests.worlds import TOWN, firm, table
from zyz_match.domain import Col, state_of
from zyz_match.errors import InputError, StorageError
from zyz_match.storage.locks import held, is_held
from zyz_match.storage.registry import Registry

EVENTS = pd.DataFrame(
    [["合成甲铸管公司", "2025-01-01", "山西省", "3391", "某厂"]],
    columns=["firm_id", "date", "region", "industry", "target"],
)
NEW = "合成新来铸造公司"


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeskService]:
    """A service with a whole index, for which no import is too small to be added at once."""
    monkeypatch.setattr(DeskService, "late_from", 0)
    monkeypatch.setattr(DeskService, "tick", 0.02)
    with open_desk(tmp_path) as service:
        service.index()
        yield service


def add(service: DeskService, *names: str, **facts: Any) -> None:
    """Import firms as one file."""
    frame = table(*(firm(n, products="球墨铸铁管件", **facts) for n in names))
    count = len(service.batches())
    service.store.import_firms(frame, file_name=f"{count}.csv", file_hash=str(count))


def files(service: DeskService) -> list[str]:
    return service._shelf.names()


def without_worker(service: DeskService) -> list[tuple[str, ...]]:
    """What a service asks for while nothing comes of it."""
    asked: list[tuple[str, ...]] = []

    def spawn(*words: str) -> "subprocess.Popen[bytes]":
        asked.append(words)
        return subprocess.Popen([sys.executable, "-c", ""])

    service._spawn = spawn  # type: ignore[method-assign]
    return asked


# at once ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_few_new_firms_are_served_at_once_and_later_by_a_whole_index(
    service: DeskService,
) -> None:
    whole = service.index()
    first = service.store.data_stamp()
    add(service, NEW)
    add(service, "合成乙铸造公司", capital=123.0)
    late = service.index()
    assert late.stamp == f"{service.store.data_stamp()}~{first.partition('-')[0]}"
    assert len(late) == len(whole) + 1
    row = late.row(NEW)
    assert row is not None
    changed = late.row("合成乙铸造公司")
    assert late.frame["capital"].to_numpy()[changed] == 123.0
    assert whole.row(NEW) is None
    assert service.index() is late
    wait_for(lambda: service.index() is not late)
    assert service.index().stamp == service.store.data_stamp()
    assert service.index().row(NEW) is not None
    assert len(files(service)) == 2
    wait_for(lambda: service._follower is None)


def test_either_database_tells_which_firms_are_new(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeskService, "late_from", 0)
    with open_desk(tmp_path, database_url) as service:
        without_worker(service)
        service.index()
        add(service, NEW)
        service.store.add_events(EVENTS)
        assert state_of(service.index().stamp) == service.store.data_stamp()
        assert len(service.index()) == 11
        service.undo(service.batches()[0].batch_id)
        assert service.index().stamp == service.store.data_stamp()
        assert len(service.index()) == 10


def test_another_process_starts_from_what_is_on_disk(service: DeskService, tmp_path: Path) -> None:
    without_worker(service)
    add(service, NEW)
    stamp = service.index().stamp
    with open_desk(tmp_path) as other:
        without_worker(other)
        assert other.index().stamp == stamp
        assert other.index().row(NEW) is not None
    assert len(files(service)) == 1


def test_who_needs_a_whole_index_waits_for_it(service: DeskService) -> None:
    without_worker(service)
    add(service, NEW)
    assert service.index().stamp != service.store.data_stamp()
    assert service.index(whole=True).stamp == service.store.data_stamp()
    assert service.index() is service.index(whole=True)


def test_new_events_need_no_build(service: DeskService) -> None:
    asked = without_worker(service)
    service.store.add_events(EVENTS)
    index = service.index(whole=True)
    assert index.stamp == service.store.data_stamp()
    assert not index.events.empty
    assert (len(files(service)), asked) == (1, [])
    add(service, NEW)
    assert not service.index().events.empty


def test_a_firm_that_is_taken_back_is_gone_at_once_without_a_build(service: DeskService) -> None:
    without_worker(service)
    add(service, NEW)
    add(service, "合成甲铸管公司", "合成再来公司", capital=77.0)  # one is changed, one is new
    service.index()
    for batch in service.batches()[:2]:
        service.undo(batch.batch_id)
    index = service.index()
    assert (index.row(NEW), index.row("合成再来公司")) == (None, None)
    assert index.records(index.rows_of(["合成甲铸管公司"]))[0]["capital"] != 77.0
    assert (len(index), len(files(service))) == (10, 1)
    listed = [m.firm.name for m in service.rank(TOWN.id, k=20).matches]
    assert "合成甲铸管公司" in listed
    assert NEW not in listed
    first = service.batches()[-1].batch_id
    assert service.undo(first).removed == 10
    assert len(service.index()) == 0


@pytest.mark.parametrize("how", ["too many", "few firms in all", "another program"])
def test_what_is_not_a_small_change_waits_for_a_build(
    service: DeskService, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add(service, NEW)
    if how == "too many":
        monkeypatch.setattr("zyz_match.index_desk.LATE_FIRMS", 0)
        monkeypatch.setattr("zyz_match.index_desk.LATE_SHARE", 0.0)
    if how == "few firms in all":
        monkeypatch.setattr(DeskService, "late_from", 5_000)
    if how == "another program":
        monkeypatch.setattr(zyz_match, "__version__", "9")
        service._whole = None
    assert service.index().stamp == service.store.data_stamp()
    assert len(files(service)) == 2
    with open_desk(tmp_path) as other:
        assert other.index().stamp == service.index().stamp
    assert len(files(service)) == 2


def test_a_damaged_index_is_named_by_who_meets_it(service: DeskService) -> None:
    (name,) = files(service)
    path, told = service._shelf.path(name), list[str]()
    path.write_bytes(path.read_bytes()[:40])
    service._served = service._whole = None
    service.index(progress=lambda what, _done, _total: told.append(what))
    assert any(str(path) in what for what in told)


def test_an_index_that_was_replaced_is_let_go(service: DeskService) -> None:
    service.rank(TOWN.id, k=3)
    old = weakref.ref(service.index())
    gc.disable()
    try:
        service.rebuild_index()
        service.rank(TOWN.id, k=3)
        wait_for(lambda: old() is None)  # a helping thread may hold it for a moment
    finally:
        gc.enable()


def test_a_list_says_by_which_index_it_was_made(service: DeskService) -> None:
    without_worker(service)
    add(service, NEW)
    late = service.rank("铸造", k=5)
    assert NEW in {m.firm.firm_id for m in late.matches}
    assert late.total == 11
    assert state_of(late.data) == service.store.data_stamp() != late.data
    assert service.reproduce(late.id).same
    service.index(whole=True)
    whole = service.rank("铸造", k=5)
    assert whole.data == state_of(late.data)
    assert service.reproduce(whole.id).same
    gone = service.reproduce(late.id)
    assert gone.same is None
    assert "现在索引已重新计算" in gone.remarks[0]
    add(service, "合成又一家")
    assert "企业数据已更新" in service.reproduce(late.id).remarks[0]


# when something goes wrong -----------------------------------------------------------------------


def test_a_build_that_fails_is_tried_again_ever_later(
    service: DeskService, caplog: pytest.LogCaptureFixture
) -> None:
    asked, service.retry = without_worker(service), 0.01
    add(service, NEW)
    late = service.index()
    wait_for(lambda: len(asked) >= 4)
    assert service.index() is late
    assert late.row(NEW) is not None
    assert service.store.data_stamp() in caplog.text
    service.close()
    wait_for(lambda: service._follower is None)


@pytest.mark.slow
def test_a_killed_build_leaves_the_old_index_serving(
    service: DeskService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import sys, time\n"
        "from zyz_match.storage import flat\n"
        "flat._write_array = lambda *_: time.sleep(600)\n"
        "from zyz_match import cli\n"
        "cli.main(['worker', *sys.argv[1:]])\n"
    )
    monkeypatch.setattr(DeskService, "worker", (sys.executable, "-c", program))
    monkeypatch.setattr(DeskService, "retry", 600.0)
    started: list[subprocess.Popen[bytes]] = []
    spawn = service._spawn
    service._spawn = lambda *words: started.append(spawn(*words)) or started[-1]  # type: ignore
    kept = files(service)
    add(service, NEW)
    late = service.index()
    wait_for(lambda: list(service.settings.index.glob(".aside-*")))
    assert is_held(service._building)
    os.kill(started[0].pid, signal.SIGKILL)
    wait_for(lambda: not is_held(service._building))
    assert service.index() is late
    assert files(service) == kept
    with open_desk(tmp_path) as other:
        without_worker(other)
        assert other.index().row(NEW) is not None
        assert other.index(whole=True).stamp == service.store.data_stamp()
    assert not list(service.settings.index.glob(".aside-*")), "the next build sweeps up"


def test_a_full_disk_keeps_no_list_back(
    service: DeskService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    kept = files(service)
    add(service, NEW)
    monkeypatch.setattr("zyz_match.storage.flat.os.fsync", full)
    assert service.index(whole=True).row(NEW) is not None
    with pytest.raises(StorageError, match="磁盘已满"):
        service.rebuild_index()
    assert files(service) == kept
    assert service.index_report().file is not None


def test_a_folder_that_takes_no_files_keeps_no_list_back(tmp_path: Path) -> None:
    (tmp_path / "index").write_text("a file where the folder should be")
    with open_desk(tmp_path) as service:
        assert service.index().row("合成甲铸管公司") is not None
        assert service.index_report().file is None


def test_a_damaged_index_is_named_and_built_anew(service: DeskService, tmp_path: Path) -> None:
    [name] = files(service)
    path = service._shelf.path(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)
    report = service.index_report()
    assert report.file is None
    assert str(path) in report.faults[0]
    said: list[str] = []
    with open_desk(tmp_path) as other:
        index = other.index(progress=lambda what, _d, _n: said.append(what))
        assert f"“{path}”可能已损坏；删除该文件后重新运行，系统会自动重新计算。" in said
        assert index.frame.equals(service.index().frame)
        [_, new] = files(other)
        assert other.index_report().file.path == str(other._shelf.path(new))  # type: ignore


# among processes -----------------------------------------------------------------------------


@pytest.mark.slow
def test_of_many_processes_one_builds(tmp_path: Path) -> None:
    with open_desk(tmp_path) as service:
        workers = [service._spawn("--index") for _ in range(2)]
        assert [w.wait(200) for w in workers] == [0, 0]
        assert len(files(service)) == 1
        assert service.index().stamp == service.store.data_stamp()
        assert len(files(service)) == 1


def test_who_comes_later_waits_for_the_one_who_builds(tmp_path: Path) -> None:
    with open_desk(tmp_path) as service, open_desk(tmp_path) as other:
        said, waiting = list[str](), threading.Event()

        def hear(what: str, _done: int, _total: int) -> None:
            said.append(what)
            waiting.set()

        with held(service._building):
            thread = threading.Thread(target=lambda: service.index(progress=hear))
            thread.start()
            assert waiting.wait(60)
            name = other._save(*other._fitted(lambda *_: None), lambda *_: None)
        thread.join(60)
        assert said == ["等待另一进程计算企业特征"]
        assert files(service) == [name]


def test_no_more_files_are_kept_than_are_of_use(service: DeskService) -> None:
    for _ in range(4):
        service.rebuild_index()
    assert len(files(service)) == 3


# looked at -----------------------------------------------------------------------------------


def test_the_report_says_what_there_is(service: DeskService) -> None:
    report = service.index_report()
    assert report.file is not None
    assert report.file.data == report.data == service.store.data_stamp()
    assert report.file.firms == report.firms == 10
    assert report.file.bytes == Path(report.file.path).stat().st_size
    add(service, NEW)
    assert service.index_report().file == report.file
    assert service.index_report().firms == 11
    rebuilt = service.rebuild_index()
    assert rebuilt.file is not None
    assert (rebuilt.file.firms, rebuilt.file.data) == (11, service.store.data_stamp())
    assert service.index().stamp == service.store.data_stamp()


def test_an_estimate_grows_with_the_firms(service: DeskService) -> None:
    small, large = (service.estimate_index(n) for n in (None, 1_000_000))
    assert (small.firms, small.sample, large.firms) == (10, 10, 1_000_000)
    assert 0 < small.bytes < large.bytes
    assert small.memory < large.memory
    with pytest.raises(InputError, match="正整数"):
        service.estimate_index(0)
    for batch in service.batches():
        service.undo(batch.batch_id)
    with pytest.raises(InputError, match="还没有企业"):
        service.estimate_index()


def test_what_earlier_programs_kept_is_cleared_away(service: DeskService) -> None:
    old = Registry(service.settings.index)
    old.save({"an": "index"}, {})
    service.rebuild_index()
    assert old.versions() == []
    assert len(files(service)) == 2


def test_ids_sort_alike_in_the_store_and_in_the_index(service: DeskService) -> None:
    assert list(service.index().frame[Col.FIRM_ID]) == list(service.store.firm_table()[Col.FIRM_ID])
