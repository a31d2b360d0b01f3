"""Fitted artifacts: whole or not there, verified before they are parsed, rebuilt when damaged."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from zyz_match.errors import StorageError
from zyz_match.service import Service
from zyz_match.settings import load_settings
from zyz_match.storage import registry
from zyz_match.storage.registry import Registry

WEIGHTS = np.arange(50_000, dtype=np.float32)
MODEL = {"weights": WEIGHTS, "name": "合成"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "models"


def test_what_was_saved_is_loaded(folder: Path) -> None:
    name = Registry(folder).save(MODEL, {"data": "1"})
    model, manifest = Registry(folder).load(name)
    assert np.array_equal(model["weights"], WEIGHTS)
    assert manifest.about == {"data": "1"}
    assert manifest.libraries == registry.libraries()
    assert name.split("-")[1] == manifest.sha256[:5]


def test_the_newest_of_the_asked_state_is_found(folder: Path) -> None:
    first = Registry(folder).save(MODEL, {"data": "1"})
    second = Registry(folder).save(MODEL, {"data": "1"})
    other = Registry(folder).save(MODEL, {"data": "2"})
    assert Registry(folder).versions() == [first, second, other]
    assert Registry(folder).latest({"data": "1"}) == second
    assert Registry(folder).latest({"data": "3"}) is None


@pytest.mark.parametrize("position", [0, 1_000, -1])
def test_one_flipped_bit_is_refused_before_parsing(folder: Path, position: int) -> None:
    path = folder / Registry(folder).save(MODEL, {}) / registry.MODEL
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match="损坏"):
        Registry(folder).load(path.parent.name)


def test_a_truncated_or_missing_model_is_refused(folder: Path) -> None:
    path = folder / Registry(folder).save(MODEL, {}) / registry.MODEL
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StorageError):
        Registry(folder).load(path.parent.name)
    path.unlink()
    with pytest.raises(StorageError):
        Registry(folder).load(path.parent.name)


def test_a_changed_manifest_is_refused_though_its_sum_is_right(folder: Path) -> None:
    name = Registry(folder).save(MODEL, {"data": "1"})
    path = folder / name / registry.MANIFEST
    path.write_text(path.read_text("utf-8").replace('"1"', '"2"'), "utf-8")
    with pytest.raises(StorageError, match="签名"):
        Registry(folder).load(name)
    assert Registry(folder).latest({"data": "2"}) is None


def test_an_artifact_of_another_key_is_refused(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other" / "models"
    name = Registry(elsewhere).save(MODEL, {})
    Registry(folder).save(MODEL, {})
    (elsewhere / name).rename(folder / name)
    with pytest.raises(StorageError, match="签名"):
        Registry(folder).load(name)


@pytest.mark.parametrize(("entry", "value", "why"), [
    ("format", 99, "格式"), ("libraries", {"numpy": "0.1"}, "程序库"),
])  # fmt: skip
def test_another_format_or_library_is_refused(
    folder: Path, entry: str, value: object, why: str
) -> None:
    name = Registry(folder).save(MODEL, {})
    path = folder / name / registry.MANIFEST
    content = json.dumps(json.loads(path.read_text("utf-8")) | {entry: value}).encode()
    path.write_bytes(content)
    (folder / name / registry.SIGNATURE).write_text(Registry(folder)._sign(content), "ascii")
    with pytest.raises(StorageError, match=why):
        Registry(folder).load(name)


def test_pruning_keeps_the_newest_and_sweeps_up_after_killed_writers(folder: Path) -> None:
    names = [Registry(folder).save(MODEL, {}) for _ in range(4)]
    stale, fresh = folder / ".aside-stale", folder / ".aside-fresh"
    stale.mkdir()
    fresh.mkdir()
    os.utime(stale, (1.0, 1.0))
    Registry(folder).prune(2)
    assert Registry(folder).versions() == names[2:]
    assert not stale.exists()
    assert fresh.exists(), "another process may be writing it"


def test_a_writer_killed_at_any_moment_leaves_no_half_version(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from zyz_match.storage import registry\n"
        "print('ready', flush=True)\n"
        "while True: registry.Registry(Path(sys.argv[1])).save({'a': np.zeros(3_000_000)}, {})\n"
    )
    for delay in (0.01, 0.05, 0.12):
        writer = subprocess.Popen(
            [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    for name in Registry(folder).versions():
        Registry(folder).load(name)


def test_a_kept_index_gives_the_same_list_as_a_fresh_one(tmp_path: Path) -> None:
    settings = load_settings({"ZYZ_HOME": str(tmp_path)})
    with Service.open(settings) as service:
        before = service.rank("潞绸", k=20)
    with Service.open(settings) as service:
        after = service.rank("潞绸", k=20)
    assert after.matches == before.matches
    assert len(list(settings.index.glob("*.index"))) == 1
