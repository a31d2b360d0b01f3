"""Databases for the tests: every test that asks gets a fresh one, of either kind.

Where a test asks for a data folder instead, its database is a SQLite file; with
ZYZ_TEST_HOMES=postgresql it is one of PostgreSQL, so that the same tests run on both.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import postgres
from zyz_match import settings
from zyz_match.storage.store import Store


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    with postgres.server() as server:
        yield server


# how long an example takes says how busy the machine is, and nothing of the code
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


class Homes:
    """The databases of data folders on a server; a folder that was seen keeps its own."""

    def __init__(self, server: postgres.Server) -> None:
        self._server = server
        self._names: dict[Path, str] = {}

    def url(self, home: Path) -> str:
        """The address of a folder's database, which is made when it is asked for first."""
        if home not in self._names:
            self._names[home] = self._server.migrated()
        return self._server.address(self._names[home])

    def copy(self, home: Path, to: Path) -> None:
        """Give another folder a copy of a folder's database, which nobody uses now."""
        self._names[to] = self._server.create(self._names[home])

    def drop(self, folder: Path) -> None:
        """Remove the databases of all homes in a folder."""
        for home in [h for h in self._names if h.is_relative_to(folder)]:
            self._server.drop(self._names.pop(home))


@pytest.fixture(scope="session", autouse=True)
def homes(request: pytest.FixtureRequest) -> Iterator[Homes | None]:
    if os.environ.get("ZYZ_TEST_HOMES") != "postgresql":
        yield None
        return
    homes = Homes(request.getfixturevalue("postgres_server"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "database_of", homes.url)
        yield homes


@pytest.fixture(autouse=True)
def own_homes(request: pytest.FixtureRequest, homes: Homes | None) -> Iterator[None]:
    if homes is not None and request.node.get_closest_marker("sqlite"):
        pytest.skip("looks into the file of a SQLite database")
    asked = homes is not None and "tmp_path" in request.fixturenames
    folder: Path | None = request.getfixturevalue("tmp_path") if asked else None
    yield
    if homes is not None and folder is not None:
        homes.drop(folder)


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
