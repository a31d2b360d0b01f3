"""Files of flat arrays: whole and as they were written, or refused by name with the cure."""

import json
import multiprocessing
import os
import re
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash

from zyz_match.errors import ArtifactError, StorageError
from zyz_match.storage import flat
from zyz_match.storage.flat import Shelf

ROOT = Path(__file__).parents[2]
SPAWN = multiprocessing.get_context("spawn")
MANY = 64 << 20  # bytes


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "index", ".flat", 7)


def small(shelf: Shelf) -> str:
    """A file of two arrays, with zeros behind one of them."""
    return shelf.save({"词": 1}, {"a": np.arange(5, dtype="i2"), "b": np.ones(16)}, {"data": "1"})


# whole -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", flat.TYPES)
@pytest.mark.parametrize("shape", [(7,), (3, 5), (0,), (4, 0, 2), ()])
def test_arrays_of_every_type_come_back_read_only(
    shelf: Shelf, kind: str, shape: tuple[int, ...]
) -> None:
    written = np.random.default_rng(0).integers(0, 2, shape).astype(kind)
    beside = np.arange(3, dtype="u1")
    name = shelf.save({"n": [1, "文"]}, {"x": written, "beside": beside}, {"data": "7"})
    meta, arrays = shelf.open(name)
    assert meta == {"n": [1, "文"]}
    assert list(arrays) == ["x", "beside"]
    np.testing.assert_array_equal(arrays["x"], written)
    np.testing.assert_array_equal(arrays["beside"], beside)
    assert (arrays["x"].dtype, arrays["x"].shape) == (np.dtype(kind), shape)
    assert arrays["x"].ctypes.data % flat.ALIGN == 0
    assert not arrays["x"].flags.writeable


def test_arrays_may_come_one_after_the_other_and_in_any_layout(shelf: Shelf) -> None:
    across = np.arange(12.0).reshape(3, 4).T[::2]
    name = shelf.save({}, ((f"a{i}", across + i) for i in range(3)), {})
    for i, array in enumerate(shelf.open(name)[1].values()):
        np.testing.assert_array_equal(array, across + i)


def test_a_file_without_arrays_is_a_file(shelf: Shelf) -> None:
    assert shelf.open(shelf.save({"n": 1}, {}, {})) == ({"n": 1}, {})


def test_the_label_is_read_without_the_arrays(shelf: Shelf) -> None:
    name = small(shelf)
    label = shelf.label(name)
    assert (label.about, label.meta) == ({"data": "1"}, {"词": 1})
    assert label.size == shelf.path(name).stat().st_size
    assert f"{label.written_at:%Y%m%dT%H%M}" in name
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{5}", name)
    damage(shelf.path(name), flat._BEGIN)
    assert shelf.label(name) == label


@pytest.mark.parametrize(
    "array", [np.array(["文"]), np.array([None]), np.zeros(2, ">f4"), np.zeros(2, "c8")], ids=str
)
def test_other_types_are_not_kept(shelf: Shelf, array: Any) -> None:
    with pytest.raises(ValueError, match="x: no array of"):
        shelf.save({}, {"ok": np.ones(3), "x": array}, {})
    with pytest.raises(ValueError, match="twice"):
        shelf.save({}, [("x", np.ones(1)), ("x", np.ones(1))], {})
    assert list(shelf.folder.iterdir()) == []


# not whole -------------------------------------------------------------------------------------


def damage(path: Path, at: int, bit: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= bit
    path.write_bytes(content)


def test_no_flipped_byte_goes_unnoticed(shelf: Shelf) -> None:
    path = shelf.path(name := small(shelf))
    for at in range(path.stat().st_size):
        bit = 1 << at % 8
        damage(path, at, bit)
        with pytest.raises(ArtifactError, match=name):
            shelf.open(name)
        damage(path, at, bit)
    assert shelf.open(name)[0] == {"词": 1}


def test_no_other_length_goes_unnoticed(shelf: Shelf) -> None:
    path = shelf.path(name := small(shelf))
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ArtifactError, match=name):
            shelf.open(name)
    for more in (b"\0", content):
        path.write_bytes(content + more)
        with pytest.raises(ArtifactError, match="不完整"):
            shelf.open(name)


def test_a_missing_or_foreign_file_is_named_with_the_cure(shelf: Shelf) -> None:
    with pytest.raises(ArtifactError, match=r"nix.flat”不存在；删除该文件后重新运行"):
        shelf.open("nix")
    shelf.folder.mkdir()
    shelf.path("zip").write_bytes(b"PK\3\4" * 99)
    with pytest.raises(ArtifactError, match="不是本程序的数据文件"):
        shelf.label("zip")


@pytest.mark.parametrize(("theirs", "says"), [(6, "格式（6）较旧"), (8, "格式 8.*请升级")])
def test_another_format_is_refused_with_its_number(shelf: Shelf, theirs: int, says: str) -> None:
    name = small(Shelf(shelf.folder, shelf.suffix, theirs))
    with pytest.raises(ArtifactError, match=f"{says}.*重新运行"):
        shelf.open(name)
    assert shelf.latest({}) is None
    ours = small(shelf)
    assert shelf.latest({}) == ours


def test_another_format_of_the_container_is_refused_too(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = small(shelf)
    monkeypatch.setattr(flat, "FORMAT", 2)
    with pytest.raises(ArtifactError, match="格式（1）较旧"):
        shelf.open(name)


def _rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Put another directory behind the arrays, with checksums that fit."""
    content = path.read_bytes()
    magic, container, contents, at, length, _ = flat._PREAMBLE.unpack(content[:56])
    entries = json.loads(content[at : at + length])
    change(entries)
    directory = json.dumps(entries).encode()
    head = flat._PREAMBLE.pack(
        magic, container, contents, at, len(directory), xxhash.xxh3_64_intdigest(directory)
    )
    head += struct.pack("<Q", xxhash.xxh3_64_intdigest(head))
    path.write_bytes(head + content[64:at] + directory)


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e["arrays"][0].update(shape=[500]),
        lambda e: e["arrays"][0].update(shape=[-5]),
        lambda e: e["arrays"][0].update(shape=[5.0]),
        lambda e: e["arrays"].append({"name": "c", "dtype": "<f8", "shape": [0, 1 << 70],
                                      "checksum": xxhash.xxh3_64_hexdigest(b"")}),
        lambda e: e["arrays"][0].update(shape="5"),
        lambda e: e["arrays"][0].update(shape=None),
        lambda e: e["arrays"][1].update(dtype="|O8"),
        lambda e: e["arrays"][1].update(dtype="<U2"),
        lambda e: e["arrays"][1].update(dtype=8),
        lambda e: e["arrays"][1].update(name="a"),
        lambda e: e["arrays"][1].update(name=["b"]),
        lambda e: e["arrays"][1].update(offset=0),
        lambda e: e["arrays"][1].pop("checksum"),
        lambda e: e["arrays"].reverse(),
        lambda e: e["arrays"].pop(),
        lambda e: e["arrays"].append(e["arrays"][1]),
        lambda e: e.update(arrays=7),
        lambda e: e.update(meta=7),
        lambda e: e.update(about=["data"]),
        lambda e: e.update(written_at="gestern"),
        lambda e: e.pop("written_at"),
    ],
)  # fmt: skip
def test_a_directory_that_lies_is_refused(
    shelf: Shelf, change: Callable[[dict[str, Any]], None]
) -> None:
    name = small(shelf)
    _rewrite(shelf.path(name), lambda entries: None)
    assert shelf.open(name)[0] == {"词": 1}
    _rewrite(shelf.path(name), change)
    with pytest.raises(ArtifactError, match="可能已损坏"):
        shelf.open(name)
    assert shelf.latest({"data": "2"}) is None


# the folder ------------------------------------------------------------------------------------


def test_the_newest_file_with_the_entries_is_found(shelf: Shelf) -> None:
    assert shelf.latest({}) is None
    names = [shelf.save({}, {}, {"data": d, "k": 1}) for d in ("1", "2", "1")]
    assert shelf.names() == names
    assert shelf.latest({"data": "1"}) == names[2]
    assert shelf.latest({"data": "2", "k": 1}) == names[1]
    assert shelf.latest({"data": "2", "k": 2}) is None
    shelf.path(names[2]).write_bytes(b"")
    assert shelf.latest({"data": "1"}) == names[0]


def test_pruning_keeps_the_newest_and_what_is_open(shelf: Shelf) -> None:
    names = [shelf.save({}, {"i": np.full(9, i)}, {}) for i in range(4)]
    arrays = shelf.open(names[0])[1]
    young, old = (shelf.folder / f".aside-{n}" for n in ("1", "2"))
    young.touch()
    old.touch()
    os.utime(old, (0, 0))
    shelf.prune(9)
    assert shelf.names() == names
    shelf.prune(2)
    assert shelf.names() == names[2:]
    assert young.exists()  # it may belong to a writer at work
    assert not old.exists()
    assert arrays["i"].sum() == 0
    shelf.prune(0)
    shelf.sweep()
    assert list(shelf.folder.iterdir()) == []
    Shelf(shelf.folder / "nowhere", ".flat", 1).prune(1)


# the disk and other processes ------------------------------------------------------------------


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_no_more_leaves_the_old_files(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = small(shelf)
    with file_limit(1 << 20), pytest.raises(StorageError, match=r"无法读写.*请放宽限制"):
        shelf.save({}, {"a": np.zeros(1 << 20)}, {})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="磁盘已满"):
        small(shelf)
    assert list(shelf.folder.iterdir()) == [shelf.path(kept)]
    assert shelf.open(kept)[0] == {"词": 1}


def test_every_step_of_saving_can_be_the_last(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.storage.flat_sweep", str(tmp_path / "index")],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15


def _save_at(shelf: Shelf, start: float, value: int) -> None:
    time.sleep(max(0.0, start - time.time()))
    shelf.save({"value": value}, {"a": np.full(1 << 20, value)}, {})


@pytest.mark.slow
def test_two_who_save_at_once_both_do(shelf: Shelf) -> None:
    start = time.time() + 1.5
    writers = [SPAWN.Process(target=_save_at, args=(shelf, start, v)) for v in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    opened = [shelf.open(n) for n in shelf.names()]
    assert {meta["value"] for meta, _ in opened} == {0, 1}
    assert all((arrays["a"] == meta["value"]).all() for meta, arrays in opened)


def _private_bytes() -> int:
    text = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * sum(int(kb) for kb in re.findall(r"Private_\w+: +(\d+) kB", text))


def _grown(shelf: Shelf, name: str) -> None:
    before = _private_bytes()
    arrays = shelf.open(name)[1]
    assert arrays["a"].sum() == MANY
    sys.exit(_private_bytes() - before > 20 << 20)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_two_processes_share_the_memory_of_a_file(shelf: Shelf) -> None:
    name = shelf.save({}, {"a": np.ones(MANY, "u1")}, {})
    arrays = shelf.open(name)[1]
    other = SPAWN.Process(target=_grown, args=(shelf, name))
    other.start()
    other.join(60)
    assert other.exitcode == 0
    assert arrays["a"].nbytes == MANY
