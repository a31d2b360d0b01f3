"""The whole store into one file while it is written to, and back into an empty one.

One format for both databases: what SQLite held can go on in PostgreSQL, and the other way round.
A backup shows one moment, since it is read in one transaction that sees one state.
"""

import contextlib
import os
import secrets
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

import zyz_match
from zyz_match.errors import InputError
from zyz_match.outputs import private_folder, storage_error, sync, write_bytes
from zyz_match.storage import audit, bulk, rows
from zyz_match.storage.archive import FORMAT, Manifest, Reader, Writer, opened
from zyz_match.storage.database import Database
from zyz_match.storage.migrations import HEAD
from zyz_match.storage.tables import job, metadata

CHUNK = 5_000
LEFT_OUT = frozenset({"session"})  # nobody is signed in because a backup was restored
FILES = ("models", "registry.key", "webhooks.key")  # below the home folder
_ABORTED = "恢复备份时，这个任务还没有做完，已中止。请重新发起。"
Tick = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a backup holds, as a command shows it."""

    created_at: str
    schema: str
    source: str
    rows: dict[str, int]
    files: int
    bytes: int


def _tables() -> list[sa.Table]:
    """Every table that is kept, each after those that it refers to."""
    return [t for t in metadata.sorted_tables if t.name not in LEFT_OUT]


# out ---------------------------------------------------------------------------------------


def write(database: Database, home: Path | None, path: Path, tick: Tick) -> Summary:
    """Write a backup, readable by its owner only; `home` holds the models and keys to take along.

    It is written aside and put in place once the audit says that it was made. Raises InputError
    when the file is there already, StorageError when the disk refuses.
    """
    if path.exists():
        raise _there_already(path)
    aside = path.with_name(f".zyz-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w+b") as stream:
            manifest = _write(database, home, stream, tick)
            stream.flush()
            os.fsync(stream.fileno())
        summary = _summary(manifest, aside)
        with database.write_rows() as connection:
            audit.note(connection, "db.backup", path.name, {"rows": sum(manifest.rows.values())})
        _put(aside, path)
        sync(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    return summary


def _put(aside: Path, path: Path) -> None:
    """Give a whole file its name, unless another one got it meanwhile."""
    try:
        os.link(aside, path)
    except FileExistsError as error:
        raise _there_already(path) from error
    except OSError:  # a disk without hard links
        _claim(path)
        try:
            aside.replace(path)
        except OSError:
            path.unlink()
            raise
    else:
        aside.unlink()


def _claim(path: Path) -> None:
    """Take a name that nobody has by an empty file."""
    try:
        path.touch(0o600, exist_ok=False)
    except FileExistsError as error:
        raise _there_already(path) from error


def _there_already(path: Path) -> InputError:
    return InputError(f"“{path}”已存在。请换一个文件名，备份不覆盖已有文件。")


def _write(database: Database, home: Path | None, stream: IO[bytes], tick: Tick) -> Manifest:
    tables, source = _tables(), database.url.get_backend_name()
    manifest = Manifest(FORMAT, HEAD, zyz_match.__version__, source, rows.utc_now())
    with Writer(stream, manifest) as writer:
        with database.read() as connection:
            manifest.counters.update(_counters(connection))
            for done, table in enumerate(tables):
                tick(done, len(tables))
                with contextlib.closing(_rows(connection, table)) as found:
                    writer.table(table.name, [c.name for c in table.columns], found)
        if home is not None:
            for file in _files(home):
                writer.file(home / file, file.as_posix())
    return manifest


def _rows(connection: Connection, table: sa.Table) -> Generator[sa.Row[Any], None, None]:
    """Rows by primary key, in which what a row refers to in its own table comes first."""
    streamed = connection.execution_options(stream_results=True, yield_per=CHUNK)
    with streamed.execute(sa.select(table).order_by(*table.primary_key)) as found:
        yield from found


def _files(home: Path) -> Iterator[Path]:
    """Files to take along, keys after the models that they signed; nothing half written."""
    for name in FILES:
        found = home / name
        every = sorted(found.rglob("*")) if found.is_dir() else [found]
        for path in every:
            inside = path.relative_to(home)
            if path.is_file() and not any(p.startswith(".") for p in inside.parts):
                yield inside


# in ----------------------------------------------------------------------------------------


def look(path: Path, tick: Tick) -> Summary:
    """What a backup holds, once all of it was checked; FileError when it is damaged."""
    with opened(path, tick) as archive:
        return _summary(archive.manifest, path)


def restore(database: Database, home: Path, path: Path, tick: Tick) -> Summary:
    """Put a backup into an empty store, all or nothing; files that are there are left alone.

    Raises FileError when the backup is damaged, InputError when the store is not empty, other keys
    are there, or the backup is of another version.
    """
    with opened(path, tick) as archive:
        manifest = archive.manifest
        _check_fitting(manifest)
        with database.write() as connection:
            _check_empty(connection)
            for done, table in enumerate(_tables()):
                tick(done, len(metadata.tables))
                if table.name in manifest.columns:
                    _fill(connection, table.name, archive)
            _count_on(connection, manifest.counters)
            _abort_jobs(connection)
            detail = {"created_at": manifest.created_at, "rows": sum(manifest.rows.values())}
            audit.note(connection, "db.restore", path.name, detail)
            for name in manifest.files:
                _put_file(home / name, archive.file(name).read())
        return _summary(manifest, path)


def _check_fitting(manifest: Manifest) -> None:
    known = {t.name: {c.name for c in t.columns} for t in metadata.tables.values()}
    fits = manifest.schema <= HEAD and all(
        set(columns) <= known.get(table, set()) for table, columns in manifest.columns.items()
    )
    if not fits:
        raise InputError(
            f"备份的结构版本是 {manifest.schema}（zyz-match {manifest.program}），"
            f"本程序是 {HEAD}，不能恢复。请用同一版本的 zyz-match 恢复，再升级。"
        )


def _check_empty(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise InputError(
                f"这个数据库里已有数据（表 {table.name}），备份只能恢复到空的数据库。"
                "请把 ZYZ_DATABASE_URL 或 ZYZ_HOME 换成新的。"
            )


def _fill(connection: Connection, table: str, archive: Reader) -> None:
    columns = archive.manifest.columns[table]
    every = archive.rows(table)
    while part := list(islice(every, CHUNK)):
        bulk.fill(connection, table, columns, part)


def _abort_jobs(connection: Connection) -> None:
    values = {"state": "failed", "slot": None, "owner": "", "error": _ABORTED}
    ended = values | {"finished_at": rows.utc_now()}
    connection.execute(sa.update(job).where(job.c.slot.is_not(None)).values(ended))


def _put_file(path: Path, content: bytes) -> None:
    """Put a file in place, readable by its owner only, unless it is there."""
    try:
        if path.exists():
            if path.suffix == ".key" and path.read_bytes() != content:
                raise InputError(
                    f"“{path}”是另一把密钥，恢复出的模型或网络钩子会用不了。请换一个空的数据目录。"
                )
            return
        private_folder(path.parent)
        write_bytes(path, content, mode=0o600)
    except OSError as error:
        raise storage_error(error, path) from error


# numbers that are never given out twice ------------------------------------------------------


def _counted() -> list[tuple[str, str]]:
    """Table and column of every number that the database gives out."""
    return [(t.name, c.name) for t in _tables() for c in t.primary_key if c.autoincrement is True]


def _counters(connection: Connection) -> dict[str, int]:
    """The last number given out in each table."""
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence").all()
        return {str(name): int(last) for name, last in found}
    counters = {}
    for table, column in _counted():
        sequence = sa.func.pg_get_serial_sequence(f'"{table}"', column)
        name = connection.execute(sa.select(sequence)).scalar_one()
        last, called = connection.exec_driver_sql(f"SELECT last_value, is_called FROM {name}").one()
        if called:
            counters[table] = int(last)
    return counters


def _count_on(connection: Connection, counters: dict[str, int]) -> None:
    """Go on counting where the other store was."""
    for table, column in _counted():
        last = counters.get(table)
        if last is None:
            continue
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            connection.exec_driver_sql(
                "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last)
            )
        else:
            sequence = sa.func.pg_get_serial_sequence(f'"{table}"', column)
            connection.execute(sa.select(sa.func.setval(sequence, last)))


def _summary(manifest: Manifest, path: Path) -> Summary:
    return Summary(
        manifest.created_at, manifest.schema, manifest.source, manifest.rows,
        len(manifest.files), path.stat().st_size,
    )  # fmt: skip
