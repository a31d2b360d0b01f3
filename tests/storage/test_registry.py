"""The rest of test_artifacts: keys, hostile files, killed writers, disks that fail."""

import multiprocessing
import os
import re
import signal
import time
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
import pytest

from zyz_match.errors import ArtifactError, StorageError
from zyz_match.storage import registry
from zyz_match.storage.registry import Registry

SPAWN = multiprocessing.get_context("spawn")


class Evil:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_an_artifact_comes_back_with_its_arrays_mapped(folder: Path) -> None:
    name = Registry(folder).save({"a": np.arange(1000.0), "b": "文"}, {"data": "7"})
    model, manifest = Registry(folder).load(name)
    assert isinstance(model["a"], np.memmap)
    assert (model["a"].sum(), model["b"]) == (499500.0, "文")
    assert manifest.about == {"data": "7"}
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{5}", name)
    assert manifest.sha256.startswith(name[-5:])
    assert {"python", "numpy", "scikit-learn", "pandas", "joblib"} <= set(manifest.libraries)
    assert (folder.parent / registry.KEY).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("file", [registry.MODEL, registry.MANIFEST, registry.SIGNATURE])
@pytest.mark.parametrize("damage", ["cut", "emptied", "removed"])
def test_a_file_that_is_not_whole_is_refused(folder: Path, file: str, damage: str) -> None:
    name = Registry(folder).save(np.arange(100.0), {})
    path = folder / name / file
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    if damage == "removed":
        path.unlink()
    with pytest.raises(StorageError):
        Registry(folder).load(name)


def test_a_swapped_model_is_never_unpickled(folder: Path, tmp_path: Path) -> None:
    name, trace = Registry(folder).save("good", {}), tmp_path / "trace"
    joblib.dump(Evil(trace), folder / name / registry.MODEL)
    digest = registry._sha256(folder / name / registry.MODEL)
    with pytest.raises(StorageError):
        Registry(folder).load(name)
    manifest = folder / name / registry.MANIFEST
    manifest.write_text(re.sub(r'"sha256": "\w+"', f'"sha256": "{digest}"', manifest.read_text()))
    with pytest.raises(StorageError, match="签名"):
        Registry(folder).load(name)
    assert not trace.exists()


class Moved:
    """Was here when an artifact was written."""


def test_a_class_that_has_moved_is_refused_without_a_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Registry(folder, [f"{__name__}.Moved"])
    name = shelf.save(Moved(), {})
    assert isinstance(shelf.load(name)[0], Moved)
    monkeypatch.delattr(f"{__name__}.Moved")
    with pytest.raises(ArtifactError, match="另一版本的程序"):
        shelf.load(name)


def _save_and_hang(folder: Path, reached: Path) -> None:
    def hang(*_: object) -> None:
        reached.touch()
        time.sleep(600)

    joblib.dump = hang
    Registry(folder).save("x", {})


def test_a_killed_writer_leaves_no_visible_version(folder: Path, tmp_path: Path) -> None:
    kept = Registry(folder).save("whole", {})
    reached = tmp_path / "reached"
    writer = SPAWN.Process(target=_save_and_hang, args=(folder, reached))
    writer.start()
    deadline = time.monotonic() + 60
    while not reached.exists():
        assert time.monotonic() < deadline
        assert writer.is_alive()
        time.sleep(0.02)
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    [left] = folder.glob(".aside-*")
    assert Registry(folder).versions() == [kept]
    Registry(folder).prune(1)
    assert left.exists()  # a young one may belong to a writer at work
    os.utime(left, (0, 0))
    Registry(folder).prune(1)
    assert not left.exists()
    assert Registry(folder).load(kept)[0] == "whole"


def test_a_failing_disk_leaves_the_earlier_versions(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Registry(folder).save("whole", {})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(joblib, "dump", full)
    with pytest.raises(StorageError, match="磁盘已满"):
        Registry(folder).save("x", {})
    assert [p.name for p in folder.iterdir()] == [kept]


def test_pruning_keeps_the_newest(folder: Path) -> None:
    names = [Registry(folder).save(i, {}) for i in range(4)]
    Registry(folder).prune(9)
    assert Registry(folder).versions() == names
    Registry(folder).prune(2)
    assert sorted(p.name for p in folder.iterdir()) == names[2:]
    Registry(folder).prune(0)
    assert list(folder.iterdir()) == []
    Registry(folder / "nowhere").prune(1)


def _save(folder: Path, start: float) -> None:
    time.sleep(max(0.0, start - time.time()))
    Registry(folder).save("x", {})


@pytest.mark.slow
def test_writers_that_start_at_once_share_one_key(folder: Path) -> None:
    start = time.time() + 2
    writers = [SPAWN.Process(target=_save, args=(folder, start)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert len(Registry(folder).versions()) == 3
    for name in Registry(folder).versions():
        assert Registry(folder).load(name)[0] == "x"


def test_two_writers_of_the_same_microsecond_get_names_of_their_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        ticks = iter([0, 0, 0, 0, 1])

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls(2026, 1, 1, 0, 0, 0, next(cls.ticks), tz)

    monkeypatch.setattr(registry, "datetime", Clock)
    first, second = (Registry(folder).save("x", {}) for _ in range(2))
    assert (first[:22], second[:22]) == ("20260101T000000.000000", "20260101T000000.000001")
