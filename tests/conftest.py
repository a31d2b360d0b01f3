"""Databases for the tests: every test that asks gets a fresh one, of either kind."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from zyz_match.storage.store import Store


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    with postgres.server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own, with all tables on PostgreSQL and not yet there on SQLite."""
    yield from _database(request, tmp_path, migrated=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    yield from _database(request, tmp_path, migrated=False)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store with all tables and nothing else."""
    file = tmp_path_factory.mktemp("template") / "zyz.db"
    Store.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def store(database_url: str, migrated_file: Path) -> Iterator[Store]:
    if database_url.startswith("sqlite"):
        file = Path(database_url.removeprefix("sqlite:///"))
        file.parent.mkdir()
        shutil.copy(migrated_file, file)
    with Store.open(database_url) as store:
        yield store


def _database(request: pytest.FixtureRequest, folder: Path, *, migrated: bool) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{folder / 'store' / 'zyz.db'}"
        return
    server: postgres.Server = request.getfixturevalue("postgres_server")
    name = server.migrated() if migrated else server.create()
    yield server.address(name)
    server.drop(name)
