import multiprocessing
import os
import pwd
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tests.storage.world import frame, load
from zyz_match.errors import InputError, StorageError
from zyz_match.storage.database import Database, parse_url
from zyz_match.storage.migrations import FOLDER, HEAD, VERSION_TABLE
from zyz_match.storage.store import Store
from zyz_match.storage.tables import metadata

SPAWN = multiprocessing.get_context("spawn")
ROWS = [{"name": f"第{i}有限公司"} for i in range(4500)]


def load_rows(
    store: Store, rows: list[dict[str, str]], tick: Callable[[int, int], None] | None = None
) -> int:
    table = frame(*rows)
    return store.import_firms(table, file_name="f", file_hash="h", progress=tick).created


def run_sql(url: str, statement: str) -> None:
    engine = sa.create_engine(parse_url(url))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


# migrations --------------------------------------------------------------------------------


def test_the_migrations_make_exactly_the_tables(empty_database_url: str) -> None:
    database = Database.open(empty_database_url)
    with database.write() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_the_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_store_of_a_newer_version_is_refused_and_left_alone(database_url: str) -> None:
    Store.open(database_url).close()
    run_sql(database_url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    for _ in range(2):
        with pytest.raises(StorageError, match=r"更新版本.*升级"):
            Store.open(database_url)


def test_tables_of_somebody_else_are_not_touched(empty_database_url: str) -> None:
    if empty_database_url.startswith("sqlite"):
        Path(str(parse_url(empty_database_url).database)).parent.mkdir()
    run_sql(empty_database_url, "CREATE TABLE firm (x INTEGER)")
    with pytest.raises(StorageError, match="同名表：firm"):
        Store.open(empty_database_url)
    run_sql(empty_database_url, "INSERT INTO firm (x) VALUES (1)")


# several at once ---------------------------------------------------------------------------


def _open_and_import(url: str, number: int, start: float) -> None:
    time.sleep(max(0.0, start - time.time()))
    with Store.open(url) as store:
        load(store, {"name": f"第{number}厂"}, file=f"{number}.csv")
        load(store, {"name": "共同的厂"}, file="same.csv")


@pytest.mark.slow
def test_processes_that_open_a_new_store_at_once_all_work(empty_database_url: str) -> None:
    start = time.time() + 3
    workers = [
        SPAWN.Process(target=_open_and_import, args=(empty_database_url, n, start))
        for n in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [w.exitcode for w in workers] == [0] * 4
    with Store.open(empty_database_url) as store:
        assert store.firm_count() == len(store.batches()) == 5


def _import_and_wait(url: str, reached: Path) -> None:
    def stop(done: int, _total: int) -> None:
        reached.write_text(str(done))
        time.sleep(600)

    with Store.open(url) as store:
        load_rows(store, ROWS, stop)


@pytest.mark.slow
def test_a_writer_killed_in_the_middle_leaves_the_store_as_it_was(
    database_url: str, tmp_path: Path
) -> None:
    with Store.open(database_url) as store:
        load(store, {"name": "原有"})
        before = (store.firm_count(), store.data_stamp())
    worker = SPAWN.Process(target=_import_and_wait, args=(database_url, tmp_path / "reached"))
    worker.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "reached").exists():
        assert time.monotonic() < deadline
        assert worker.is_alive()
        time.sleep(0.02)
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join()
    with Store.open(database_url) as store:
        assert (store.firm_count(), store.data_stamp()) == before
        assert len(store.batches()) == 1
        assert load_rows(store, ROWS) == len(ROWS)


def test_readers_are_not_held_up_by_a_writer(store: Store) -> None:
    seen: list[int] = []
    load_rows(store, ROWS, lambda _d, _n: seen.append(store.firm_count()))
    assert seen == [0, 0, 0]
    assert store.firm_count() == len(ROWS)


def test_a_writer_that_waits_too_long_is_told_so(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zyz_match.storage.database.WAIT_SECONDS", 0.2)
    message = ""
    with Store.open(database_url) as hasty:

        def write_too(_done: int, _total: int) -> None:
            nonlocal message
            with pytest.raises(StorageError) as caught:
                load(hasty, {"name": "另一家"})
            message = caught.value.message

        load_rows(store, ROWS[:9], write_too)
        assert "另一个任务" in message
        assert load(hasty, {"name": "另一家"}).created == 1


def test_a_writer_looks_again_soon_while_another_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    with Store.open(sqlite_url(tmp_path / "zyz.db")) as waiting:
        other = sqlite3.connect(tmp_path / "zyz.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        def nap(seconds: float) -> None:
            naps.append(seconds)
            if sum(naps) > 1:
                other.execute("ROLLBACK")

        clock = SimpleNamespace(monotonic=lambda: sum(naps), sleep=nap)
        monkeypatch.setattr("zyz_match.storage.database.time", clock)
        assert load(waiting, {"name": "另一家"}).created == 1
        other.close()
        with waiting._database.write() as connection:  # how long SQLite itself waits later
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000
    assert naps[:3] == [0.0005] * 3
    assert max(naps) <= 0.1 * sum(naps)


# what can be wrong with a place --------------------------------------------------------------


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "zyz.db"
    path.write_text("企业名称,统一社会信用代码\n" * 400, encoding="utf-8")
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"不是 zyz-match 的数据库文件.*ZYZ_HOME"):
        Store.open(sqlite_url(path))
    assert path.read_bytes() == before


def test_a_damaged_database_is_told_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "zyz.db"
    with Store.open(sqlite_url(path)) as store:
        load_rows(store, ROWS)
    with path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xa5" * (path.stat().st_size - 16 * 4096))
    with pytest.raises(StorageError, match=r"已损坏.*备份"), Store.open(sqlite_url(path)) as store:
        store.firm_table()


def test_a_full_disk_loses_nothing_that_was_there(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "zyz.db")
    with Store.open(url) as store:
        load(store, {"name": "原有"})

        @sa.event.listens_for(store._database._engine, "checkout")
        def _limit(connection: sqlite3.Connection, *_: object) -> None:
            connection.execute("PRAGMA max_page_count = 120")

        with pytest.raises(StorageError, match="磁盘已满"):
            load_rows(store, ROWS)
        assert store.firm_count() == 1
    with Store.open(url) as store:
        assert store.firm_count() == 1


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"无法建立数据目录.*ZYZ_HOME"):
        Store.open(sqlite_url(tmp_path / "file" / "zyz.db"))


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "zyz.db").mkdir()
    with pytest.raises(StorageError, match="无法打开"):
        Store.open(sqlite_url(tmp_path / "zyz.db"))


@contextmanager
def nobody() -> Iterator[None]:
    """Without root's leave to write everywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("name", ["zyz.db", "new.db", "sub/new.db"])
def test_a_place_without_permission_is_told_with_the_cure(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with Store.open(sqlite_url(folder / "zyz.db")) as store:
            load(store, {"name": "甲"})
        (folder / "zyz.db").chmod(0o444)
        folder.chmod(0o555)
        with nobody(), pytest.raises(StorageError, match="权限"):
            Store.open(sqlite_url(folder / name))
        folder.chmod(0o755)


def test_a_read_only_disk_still_lets_one_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sqlite_url(tmp_path / "有 空格%20.db")
    with Store.open(url) as store:
        load(store, {"name": "甲"})
    monkeypatch.setattr("zyz_match.storage.database._on_read_only_disk", lambda _path: True)
    with Store.open(url) as store:
        assert store.firm_count() == 1
        with pytest.raises(StorageError, match=r"不可写.*ZYZ_HOME"):
            load(store, {"name": "乙"})


def test_a_server_that_does_not_answer_is_told_without_the_password() -> None:
    with pytest.raises(StorageError, match=r"连接不上.*PostgreSQL 已启动") as caught:
        Store.open("postgresql://zyz:geheim@127.0.0.1:1/zyz")
    assert "geheim" not in caught.value.message


@pytest.mark.slow
def test_a_server_that_goes_away_is_told_and_found_again(
    request: pytest.FixtureRequest,
) -> None:
    server = request.getfixturevalue("postgres_server")
    name = server.migrated()
    with Store.open(server.address(name)) as store:
        load(store, {"name": "甲"})
        end = psycopg.sql.SQL(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
        ).format(name)

        def cut(_done: int, _total: int) -> None:
            server.admin(end)

        with pytest.raises(StorageError, match="连接不上"):
            load_rows(store, ROWS, cut)
        assert store.firm_count() == 1
    server.drop(name)


def test_a_database_that_does_not_exist_is_told(request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("postgres_server")
    with pytest.raises(StorageError, match="库名"):
        Store.open(server.address("no_such_database"))


@pytest.mark.parametrize(
    "url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "zyz.db", "", "postgresql://h:port/x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        Store.open(url)
