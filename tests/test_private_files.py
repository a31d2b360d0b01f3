"""Who else has an account on the machine reads nothing of ours, whatever the umask."""

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.api.api_world import client_of, firm_rows, make_world, write_firms
from zyz_match.outputs import private_folder, write_bytes
from zyz_match.service import Service
from zyz_match.settings import load_settings
from zyz_match.storage import database, key_files
from zyz_match.storage.store import Store

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The usual one, by which everybody reads everything."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def spoilt(path: Path) -> Path:
    """A firm table with one row that is refused."""
    rows = firm_rows(10, first=100)
    rows[0][4] = "昨天"
    return write_firms(path, rows)


def test_missing_folders_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    private_folder(tmp_path / "一" / "二")
    assert (mode(tmp_path / "一"), mode(tmp_path / "一" / "二")) == (0o700, 0o700)


@pytest.mark.sqlite
def test_a_new_store_is_its_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "数据"
    with Store.open(f"sqlite:///{home / 'zyz.db'}") as store:
        store.firm_count()
        assert mode(home) == 0o700
        assert {p.name: mode(p) for p in home.iterdir()} == {
            "zyz.db": 0o600, "zyz.db-wal": 0o600, "zyz.db-shm": 0o600,
        }  # fmt: skip


@pytest.mark.sqlite
def test_a_folder_and_a_file_that_are_there_keep_their_modes(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    url = f"sqlite:///{tmp_path / 'zyz.db'}"
    Store.open(url).close()
    (tmp_path / "zyz.db").chmod(0o640)
    Store.open(url).close()
    assert (mode(tmp_path), mode(tmp_path / "zyz.db")) == (0o750, 0o640)


@pytest.mark.sqlite
@pytest.mark.parametrize(("before", "after"), [(0o755, 0o700), (0o770, 0o770)])
def test_the_default_folder_that_earlier_versions_left_open_is_shut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    monkeypatch.setattr(database, "default_home", lambda: tmp_path)
    tmp_path.chmod(before)
    Store.open(f"sqlite:///{tmp_path / 'zyz.db'}").close()
    assert mode(tmp_path) == after


def test_a_key_makes_its_folder_for_its_owner_alone(tmp_path: Path) -> None:
    key_files.key_of(tmp_path / "数据" / "registry.key")
    assert mode(tmp_path / "数据") == 0o700


def test_rejects_beside_a_file_are_their_owners_alone(tmp_path: Path) -> None:
    settings, path = load_settings({"ZYZ_HOME": str(tmp_path / "数据")}), tmp_path / "企业.csv"
    beside = tmp_path / "企业.rejects.csv"
    beside.write_text("以前的", "utf-8")
    with Service.open(settings, seed=False) as service:
        found = service.import_firms(spoilt(path))
    assert found.rejects_path == beside
    assert mode(beside) == 0o600


def test_what_is_sent_and_refused_over_the_interface_is_the_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "_start_worker", lambda self, kind: None)
    home = tmp_path / "数据"
    home.mkdir()  # its owner lets others in
    with client_of(replace(make_world(home, firm_rows(20)), rate="off")) as client:
        sent = client.post(
            "/v1/imports?kind=firms", files={"file": spoilt(tmp_path / "企业.csv").read_bytes()}
        )
        assert sent.status_code == 202, sent.text
        assert [mode(p) for p in (home / "uploads").iterdir()] == [0o700]
        app: Any = client.app
        app.state.service.work("import")
        job = client.get(sent.headers["location"]).json()
    assert job["result"]["rejected"] == 1
    assert {mode(p) for p in (home / "uploads").iterdir()} == {0o600}
    assert (mode(home), mode(home / "uploads"), mode(home / "index")) == (0o755, 0o700, 0o700)


def test_lists_that_are_handed_out_keep_to_the_umask(tmp_path: Path) -> None:
    write_bytes(tmp_path / "清单" / "清单.xlsx", b"x")
    assert (mode(tmp_path / "清单"), mode(tmp_path / "清单" / "清单.xlsx")) == (0o755, 0o644)
