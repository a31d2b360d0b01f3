"""One database, SQLite or PostgreSQL: opened, migrated, and read or written in transactions."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from zyz_match.errors import InputError, StorageError
from zyz_match.outputs import PRIVATE, private_folder
from zyz_match.settings import default_home
from zyz_match.storage import audit, faults, guard
from zyz_match.storage.migrations import FOLDER, HEAD, VERSION_TABLE
from zyz_match.storage.tables import metadata

WAIT_SECONDS = 10
NAP_SECONDS, NAP_SHARE = 0.0005, 0.1  # a writer looks again after so much, or of what it waited
_WRITE_LOCK = 0x7A797A  # advisory lock of PostgreSQL: one writer at a time, as in SQLite


class Database:
    """Connections and transactions; every fault of the driver leaves as a StorageError."""

    def __init__(self, url: URL, engine: Engine) -> None:
        self.url = url
        self._engine = engine
        self._readers = engine.execution_options(**_snapshot(url))
        self._writers = engine.execution_options(zyz_write=True)
        self._rows = engine.execution_options(zyz_rows=True)
        self._glancers = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._glancing = threading.Lock()
        self._glancer: Connection | None = None
        self.upgraded_from: str | None = None  # revision of the tables before this program came

    @classmethod
    def open(cls, text: str) -> Self:
        """Connect, create or migrate the tables, and refuse a store of a newer version."""
        url = parse_url(text)
        with faults.translated(url):
            _make_place(url)
            database = cls(url, _engine(url))
            try:
                database._migrate()
            except BaseException:
                database.close()
                raise
        return database

    def close(self) -> None:
        """Close every connection."""
        with self._glancing:
            self._drop_glancer()
        self._engine.dispose()

    @property
    def at_hand(self) -> bool:
        """Whether a glance takes microseconds, because no network lies between."""
        return self.url.get_backend_name() == "sqlite"

    def glance(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows that one statement finds now, on a connection kept for such looks.

        It goes around SQLAlchemy, which takes many times longer than the look itself.
        """
        with faults.translated(self.url), self._glancing:
            try:
                return self._glanced(statement)
            except (sqlite3.Error, psycopg.Error):  # the server went away: asked once more
                self._drop_glancer()
                return self._glanced(statement)

    def _glanced(self, statement: str) -> list[tuple[Any, ...]]:
        if self._glancer is None:
            self._glancer = self._glancers.connect()
        driver: Any = self._glancer.connection.driver_connection
        found: list[tuple[Any, ...]] = driver.execute(statement).fetchall()
        return found

    def _drop_glancer(self) -> None:
        glancer, self._glancer = self._glancer, None
        if glancer is not None:
            glancer.invalidate()
            glancer.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view of the store."""
        with faults.translated(self.url), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """All or nothing, one writer at a time; no change without its audit row."""
        begin = self._writers.begin
        with faults.translated(self.url), begin() as connection, guard.watched(connection):
            yield connection

    @contextmanager
    def write_rows(self) -> Iterator[Connection]:
        """All or nothing for a few rows: on PostgreSQL it waits for these rows, not for imports.

        Here, too, nothing changes without its audit row.
        """
        begin = self._rows.begin
        with faults.translated(self.url), begin() as connection, guard.watched(connection):
            yield connection

    def _migrate(self) -> None:
        with _retried(self._readers.begin) as connection:
            self.upgraded_from = _version(connection)
        if self.upgraded_from == HEAD:
            return
        with _retried(self._writers.begin) as connection:
            version = _version(connection)
            if version != HEAD:
                _refuse_foreign(connection, version)
                _upgrade(connection)
                if version is not None:
                    audit.note(connection, "db.upgrade", HEAD, {"from": version})


def parse_url(text: str) -> URL:
    """The address of a store; InputError unless it is a SQLite file or a PostgreSQL database."""
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise InputError(
            "数据库地址写法不对。例：sqlite:////data/zyz.db 或 postgresql://用户:密码@主机/库名。"
        ) from error
    kind = url.get_backend_name()
    if kind == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise InputError("SQLite 数据库须是一个文件，例：sqlite:////data/zyz.db。")
        return url.set(drivername="sqlite+pysqlite")
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise InputError(f"不支持数据库“{kind}”，只支持 sqlite 和 postgresql。")


# engines -----------------------------------------------------------------------------------


def _engine(url: URL) -> Engine:
    engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)
    guard.install(engine)
    return engine


def _snapshot(url: URL) -> dict[str, str]:
    """Readers see one moment; writers, who wait for each other, see what the last one left."""
    return {} if url.get_backend_name() == "sqlite" else {"isolation_level": "REPEATABLE READ"}


def _make_place(url: URL) -> None:
    """The folder of a SQLite file, and the file, both for their owner alone when they are new."""
    if url.get_backend_name() != "sqlite":
        return
    path = Path(str(url.database)).expanduser()
    folder = path.parent
    try:
        private_folder(folder)
    except OSError as error:
        raise StorageError(
            f"无法建立数据目录“{folder}”：{error.strerror}。"
            "请检查路径和权限，或用 ZYZ_HOME 换一个可写的目录。"
        ) from error
    if folder == default_home():
        _shut(folder)
    with suppress(OSError):  # it is there, or SQLite says what is wrong
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # its log follows it


def _shut(folder: Path) -> None:
    """Close to others the folder that we made ourselves: earlier versions left it open."""
    with suppress(OSError):
        if folder.stat().st_mode & 0o007:
            folder.chmod(PRIVATE)


def _sqlite(url: URL) -> Engine:
    path = Path(str(url.database)).expanduser()
    frozen = _on_read_only_disk(path)
    if frozen:  # nobody can write there, so that SQLite may read without its lock files
        url = url.set(database=path.absolute().as_uri())
        url = url.update_query_dict({"mode": "ro", "immutable": "1", "uri": "true"})
    else:
        url = url.set(database=str(path))
    engine = sa.create_engine(url, isolation_level=None, connect_args={"timeout": WAIT_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}")
        cursor.execute("PRAGMA foreign_keys = ON")
        if not frozen:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("zyz_write") or options.get("zyz_rows"):
            _begin_writing(connection)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _begin_writing(connection: Connection) -> None:
    """Begin as soon as the writer before is done, or with SQLite's error after WAIT_SECONDS.

    SQLite would nap ever longer while it waits, and the store lie idle (docs/decisions/0025).
    """
    driver: Any = connection.connection.driver_connection
    begun = time.monotonic()
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while (waited := time.monotonic() - begun) < WAIT_SECONDS:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not faults.is_locked(error):
                    raise
                time.sleep(max(NAP_SECONDS, NAP_SHARE * waited))
            else:
                return
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        driver.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}")


def _on_read_only_disk(path: Path) -> bool:
    """Whether the file lies on a disk mounted read-only, with nothing left in its log."""
    log = path.with_name(path.name + "-wal")
    if not path.is_file() or not hasattr(os, "statvfs"):
        return False
    mounted = os.statvfs(path).f_flag & os.ST_RDONLY
    return bool(mounted) and not (log.exists() and log.stat().st_size)


def _postgresql(url: URL) -> Engine:
    options = f"-c lock_timeout={WAIT_SECONDS}s -c timezone=UTC"
    engine = sa.create_engine(
        url,
        pool_pre_ping=True,
        connect_args={"connect_timeout": WAIT_SECONDS, "options": options},
    )

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("zyz_write"):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")

    return engine


# migration ---------------------------------------------------------------------------------


@contextmanager
def _retried(begin: Any) -> Iterator[Connection]:
    """A transaction; waits while another process turns a new SQLite file into WAL mode."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            transaction = begin()
            connection = transaction.__enter__()
            break
        except sa.exc.OperationalError as error:
            if not faults.is_locked(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    try:
        yield connection
    except BaseException as error:
        transaction.__exit__(type(error), error, error.__traceback__)
        raise
    transaction.__exit__(None, None, None)


def _version(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    rows = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all()
    return str(rows[0]) if rows else None


def _refuse_foreign(connection: Connection, version: str | None) -> None:
    if version is not None and version > HEAD:
        raise StorageError(
            f"数据库由更新版本的 zyz-match 建立（结构版本 {version}，本版本为 {HEAD}），"
            "已停止以免损坏数据。请升级 zyz-match 后再用。"
        )
    ours = set(metadata.tables) & set(sa.inspect(connection).get_table_names())
    if version is None and ours:
        raise StorageError(
            f"数据库中已有不属于 zyz-match 的同名表：{'、'.join(sorted(ours))}。"
            "请为 ZYZ_DATABASE_URL 换一个空的数据库。"
        )


def _upgrade(connection: Connection) -> None:
    from alembic import command  # heavy, and needed on the first start only
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
