import errno
import json
import multiprocessing
import os
import resource
import signal
import sqlite3
import stat
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests import postgres
from tests.storage.world import frame, load, people
from zyz_match.domain import LeadEntry, Stage, Town
from zyz_match.errors import FileError, InputError, StorageError
from zyz_match.storage import archive, backup
from zyz_match.storage.audit import Wanted
from zyz_match.storage.jobs import JobState
from zyz_match.storage.store import Store
from zyz_match.storage.tables import metadata

SPAWN = multiprocessing.get_context("spawn")
SILENT = lambda _done, _total: None  # noqa: E731


@pytest.fixture(params=["sqlite", "postgresql"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store to restore into, of either kind."""
    if request.param == "sqlite":
        with Store.open(f"sqlite:///{tmp_path / 'other' / 'zyz.db'}") as found:
            yield found
        return
    server: postgres.Server = request.getfixturevalue("postgres_server")
    name = server.migrated()
    with Store.open(server.address(name)) as found:
        yield found
    server.drop(name)


def contents(store: Store, *, without: frozenset[str] = frozenset({"session", "audit"})) -> Any:
    """Every row of every table."""
    with store._database.read() as connection:
        return {
            t.name: [tuple(r) for r in connection.execute(sa.select(t).order_by(*t.primary_key))]
            for t in metadata.sorted_tables
            if t.name not in without
        }


def fill(store: Store) -> None:
    """Something in many tables: text of all kinds, numbers, what is missing."""
    odd = "铸造“厂”\\N\t\n\x7f😀'); DROP TABLE firm; --"
    store.put_town(Town("t", "合成镇"))
    table = frame(
        {"name": "甲厂", "capital": 0.1 + 0.2, "employees": 7.0, "scope": odd},
        {"name": "乙厂", "capital": 1e300},
    )
    contacts = people(("甲厂", "phone", "13800001234"))
    store.import_firms(table, contacts, file_name="a.csv", file_hash="a")
    load(store, {"name": "甲厂", "capital": 5.0}, file="b")
    first = store.record_lead(
        LeadEntry(0, "t", "甲厂", date(2024, 1, 1), Stage.CONTACTED, note=odd, via="cli")
    )[1]
    store.record_lead(
        LeadEntry(0, "t", "甲厂", date(2024, 1, 2), Stage.CONTACTED, corrects=first.id, via="cli")
    )
    store.add_existing([("t", "乙厂")])
    store.serving.promote("v1", by="我", note="", check=lambda: None)


def test_what_is_restored_is_what_there_was_in_all_four_directions(
    store: Store, other: Store, tmp_path: Path
) -> None:
    fill(store)
    load(store, {"name": "丙厂"}, file="c")
    store.undo("3")
    done = store.back_up(tmp_path / "zyz.backup", None)
    assert done.rows["firm"] == 2
    assert done.bytes == (tmp_path / "zyz.backup").stat().st_size
    before = contents(store)
    other.restore(tmp_path / "zyz.backup", tmp_path / "home")
    assert contents(other) == before
    assert other.data_stamp() == store.data_stamp()
    assert [f.fault for f in other.check()] == [""] * len(other.check())
    assert load(other, {"name": "丁厂"}, file="d").batch_id == "4"
    assert load(other, {"name": "甲厂", "capital": 5.0}, file="b").repeated


def test_a_restored_store_goes_on_as_its_own(store: Store, other: Store, tmp_path: Path) -> None:
    fill(store)
    store.back_up(tmp_path / "b", None)
    other.restore(tmp_path / "b", tmp_path)
    load(store, {"name": "丁厂"}, file="d")
    load(other, {"name": "戊厂"}, file="d")
    assert store.data_stamp() != other.data_stamp()
    assert store.changes_since(other.data_stamp(), 9) is None
    since = other.changes_since(contents(store)["data_change"][-2][1], 9)
    assert since is not None
    assert since.firms["name"].to_list() == ["戊厂"]


def test_who_backed_up_and_restored_is_in_the_audit(
    store: Store, other: Store, tmp_path: Path
) -> None:
    fill(store)
    store.back_up(tmp_path / "b.zyz", None)
    (last,) = store.audit.find(Wanted(), None, 1)
    assert (last.action, last.object) == ("db.backup", "b.zyz")
    other.restore(tmp_path / "b.zyz", tmp_path)
    (restored,) = other.audit.find(Wanted(), None, 1)
    assert (restored.action, restored.object, restored.id) == ("db.restore", "b.zyz", last.id)
    assert other.audit.verify().fault == ""


def test_nobody_stays_signed_in_and_no_job_goes_on(
    store: Store, other: Store, tmp_path: Path
) -> None:
    job, _ = store.jobs.enqueue("retrain", {})
    store.back_up(tmp_path / "b", None)
    other.restore(tmp_path / "b", tmp_path)
    found = other.jobs.get(job.id)
    assert found.state is JobState.FAILED
    assert "恢复备份" in found.error
    assert other.jobs.enqueue("retrain", {})[1]
    with zipfile.ZipFile(tmp_path / "b") as file:
        assert "tables/session.jsonl" not in file.namelist()


@pytest.mark.slow
def test_models_and_keys_come_along_and_what_is_there_is_left(store: Store, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "models" / "v1").mkdir(parents=True)
    (home / "models" / "v1" / "model.joblib").write_bytes(b"model")
    (home / "models" / ".aside-1").mkdir()
    (home / "models" / ".aside-1" / "half").write_bytes(b"half")
    (home / "registry.key").write_bytes(b"secret")
    assert store.back_up(tmp_path / "b", home).files == 2
    new = tmp_path / "new"
    with Store.open(f"sqlite:///{tmp_path / 'x.db'}") as other:
        other.restore(tmp_path / "b", new)
    assert (new / "models" / "v1" / "model.joblib").read_bytes() == b"model"
    assert stat.S_IMODE((new / "registry.key").stat().st_mode) == 0o600
    (new / "registry.key").write_bytes(b"another")
    with (
        Store.open(f"sqlite:///{tmp_path / 'y.db'}") as other,
        pytest.raises(InputError, match="另一把密钥"),
    ):
        other.restore(tmp_path / "b", new)


def test_a_backup_is_for_its_owner_only_and_overwrites_nothing(
    store: Store, tmp_path: Path
) -> None:
    store.back_up(tmp_path / "b", None)
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    with pytest.raises(InputError, match="已存在"):
        store.back_up(tmp_path / "b", None)


def without_links(*_: object) -> None:
    raise PermissionError(errno.EPERM, "no hard links here")


@pytest.mark.parametrize("links", [True, False])
def test_of_two_backups_to_one_file_at_once_the_second_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", without_links)
    met, done = threading.Barrier(2), list[str]()

    def tick(step: int, _total: int) -> None:
        if step == 0:  # both have seen that the file is not there
            met.wait(30)

    def back_up(number: int) -> None:
        try:
            backup.write(store._database, None, tmp_path / "b", tick)
            done.append(f"{number} done")
        except InputError as error:
            done.append(error.message)

    workers = [threading.Thread(target=back_up, args=(n,)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    (refused,) = [d for d in done if "已存在" in d]
    assert "请换一个文件名" in refused
    assert len(done) == 2
    assert backup.look(tmp_path / "b", SILENT).bytes == (tmp_path / "b").stat().st_size
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    assert (tmp_path / "b").stat().st_nlink == 1
    assert not list(tmp_path.glob(".zyz-*"))


def test_a_name_that_was_claimed_is_given_back_when_the_disk_refuses(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", without_links)
    monkeypatch.setattr(Path, "replace", without_links)
    with pytest.raises(StorageError):
        store.back_up(tmp_path / "b", None)
    assert not [*tmp_path.glob("b"), *tmp_path.glob(".zyz-*")]


def test_only_an_empty_store_is_restored_into(store: Store, tmp_path: Path) -> None:
    store.back_up(tmp_path / "b", None)
    store.put_town(Town("t", "合成镇"))
    with pytest.raises(InputError, match=r"已有数据.*空的数据库"):
        store.restore(tmp_path / "b", tmp_path)


# damaged -----------------------------------------------------------------------------------


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of a backup with other members."""
    with zipfile.ZipFile(path) as file:
        members = {n: file.read(n) for n in file.namelist()}
    change(members)
    copy = path.with_name("changed")
    with zipfile.ZipFile(copy, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return copy


def manifest(members: dict[str, bytes], **entries: Any) -> None:
    found = json.loads(members["manifest.json"])
    members["manifest.json"] = json.dumps(found | entries).encode()


DAMAGES: list[tuple[Callable[[dict[str, bytes]], object], str]] = [
    (lambda m: m.pop("tables/town.jsonl"), "tables/town.jsonl"),
    (lambda m: m.update({"tables/town.jsonl": b""}), "tables/town.jsonl"),
    (lambda m: m.pop("manifest.json"), "manifest.json"),
    (lambda m: m.update({"manifest.json": b"{"}), "manifest.json"),
    (lambda m: m.update({"manifest.json": b"[]"}), "manifest.json"),
    (lambda m: manifest(m, format=99), "格式为 99"),
    (lambda m: manifest(m, sha256={"files/../../evil": "x"}), "evil"),
    (lambda m: manifest(m, schema="9999"), "结构版本是 9999"),
    (lambda m: manifest(m, columns={"town": ["id", "nonsense"]}), "结构版本"),
]


@pytest.mark.parametrize(("damage", "named"), DAMAGES)
def test_a_damaged_backup_is_refused_by_name(
    tmp_path: Path, damage: Callable[[dict[str, bytes]], None], named: str
) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        fill(store)
        store.back_up(tmp_path / "b", None)
    with Store.open(f"sqlite:///{tmp_path / 'x.db'}") as other:
        with pytest.raises(InputError, match=named):
            other.restore(rewritten(tmp_path / "b", damage), tmp_path / "home")
        assert other.towns() == []
        assert other.audit.count() == 0


def test_a_backup_cut_off_or_flipped_anywhere_is_refused(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'a.db'}") as store:
        fill(store)
        store.back_up(tmp_path / "b", None)
    whole, bad = (tmp_path / "b").read_bytes(), tmp_path / "bad"
    step = len(whole) // 40
    for at in range(0, len(whole), step):
        bad.write_bytes(whole[:at])
        with pytest.raises(FileError), archive.opened(bad, SILENT):
            pass
    kept = 0
    for at in range(0, len(whole), step):
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        try:
            with archive.opened(bad, SILENT) as found:
                tables = found.manifest.rows
                assert {t: len(list(found.rows(t))) for t in tables} == tables
            kept += 1  # a byte that says nothing, such as a time or an attribute
        except FileError:
            pass
    assert kept < 20


def test_what_is_no_backup_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("不是备份")
    for path in (tmp_path / "note", tmp_path):
        with pytest.raises(FileError, match="不是备份文件"):
            backup.look(path, SILENT)
    with pytest.raises(FileError, match="没有文件"):
        backup.look(tmp_path / "none", SILENT)


def test_a_full_disk_leaves_no_backup_and_says_so(store: Store, tmp_path: Path) -> None:
    load(store, *({"name": f"第{n}厂", "scope": os.urandom(200).hex()} for n in range(400)))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StorageError, match="超出系统允许的大小"):
            store.back_up(tmp_path / "b", None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.glob("b")) + list(tmp_path.glob(".zyz-*"))
    assert "db.backup" not in {n.action for n in store.audit.find(Wanted(), None, 99)}


def test_a_value_that_is_no_text_is_named_and_leaves_no_backup(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'zyz.db'}") as store:
        load(store, {"name": "合成甲公司"})
        with sqlite3.connect(tmp_path / "zyz.db") as other:
            other.execute("UPDATE firm SET scope = x'00ff'")
        with pytest.raises(StorageError, match="“firm”第 1 行"):
            store.back_up(tmp_path / "x.zip", None)
    assert not [*tmp_path.glob("*.zip"), *tmp_path.glob(".zyz-*")]


# while others write ------------------------------------------------------------------------


def _write_on(url: str, number: int, stop: Path) -> None:
    with Store.open(url) as store:
        count = 0
        while not stop.exists():
            count += 1
            load(
                store, {"name": f"{number}厂{count}"}, {"name": f"{number}厂{count}乙"},
                file=f"{number}-{count}",
            )  # fmt: skip
            store.add_existing([("t", f"{number}厂{count}"), ("t", f"{number}厂{count}乙")])


@pytest.mark.slow
def test_a_backup_while_four_write_shows_one_moment(
    store: Store, other: Store, database_url: str, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    workers = [SPAWN.Process(target=_write_on, args=(database_url, n, stop)) for n in range(4)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 60
    while store.firm_count() < 40:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = store.back_up(tmp_path / "b", None)
    after = store.firm_count()
    stop.touch()
    for worker in workers:
        worker.join(60)
    assert [w.exitcode for w in workers] == [0] * 4
    assert store.firm_count() >= after >= done.rows["firm"] >= 40
    other.restore(tmp_path / "b", tmp_path)
    assert [f.fault for f in other.check()] == [""] * len(other.check())
    assert other.firm_count() == 2 * len(other.batches()) == done.rows["firm"]
    assert len(other.existing("t")) % 2 == 0
    assert other.audit.verify().rows == done.rows["audit"] + 1
