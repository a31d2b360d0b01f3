"""Flat arrays on disk: one file an artifact, written in one pass, checked in full when opened.

    preamble   64 bytes: magic, formats, place and checksum of the directory, its own checksum
    arrays     raw, each from a multiple of 64 bytes on, zeros in between
    directory  JSON: what the caller says, and each array's name, type, shape and checksum

Where an array lies follows from the types and shapes before it, so that no file can claim two
things. The directory comes last, so that the arrays are written as they come. Knows no mathematics.
"""

import contextlib
import json
import math
import mmap
import os
import secrets
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from zyz_match.errors import ArtifactError, StorageError
from zyz_match.outputs import storage_error, sync

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array] | Iterable[tuple[str, Array]]

FORMAT = 1  # of the container; what it holds has a format of its own
MAGIC = b"zyzflat\n"
ALIGN = 64
TYPES = ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")
_CHUNK = 4 << 20  # bytes hashed and written at a time
_CHECKERS = 2
_ASIDE = ".aside-"
_STALE_SECONDS = 3600.0  # an aside file older than this belongs to a killed writer
_PREAMBLE = struct.Struct("<8sIIQQQ16x")  # magic, formats, directory: offset, bytes, checksum
_SUM = struct.Struct("<Q")
_BEGIN = _PREAMBLE.size + _SUM.size
_DAMAGED = "可能已损坏"
_NONSENSE = (KeyError, OverflowError, RecursionError, TypeError, ValueError)  # in a directory


class Label(NamedTuple):
    """What the header of a file says."""

    about: Mapping[str, Any]  # the caller's entries, by which `latest` finds a file
    meta: Mapping[str, Any]  # the caller's
    written_at: datetime
    size: int  # bytes on disk


class _Part(NamedTuple):
    """One array of a file."""

    name: str
    dtype: str
    shape: Sequence[int]
    checksum: str  # xxh3_64 of its bytes and the zeros behind it, 16 hex digits

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def room(self) -> int:
        """Bytes, zeros behind it included."""
        return _padded(self.size * np.dtype(self.dtype).itemsize)


class _Unusable(Exception):
    """Chinese: what is wrong with a file."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of flat files of one kind, whose contents have a format; what cures a bad one."""

    folder: Path
    suffix: str
    format: int
    cure: str = "删除该文件后重新运行，系统会自动重新计算"

    def save(self, meta: Mapping[str, Any], arrays: Arrays, about: Mapping[str, Any]) -> str:
        """Keep an artifact as a new file; its name: UTC time + five digits of its hash.

        Arrays given as an iterable are written in turn, so that only one need be in memory. Raises
        StorageError when the disk refuses; nothing is seen of a file before it is whole. Raises
        ValueError for an array of a type not in `TYPES`, or a name given twice.
        """
        aside = self.folder / f"{_ASIDE}{secrets.token_hex(8)}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            digest = self._write(aside, meta, arrays, about)
            name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{digest[:5]}"
            aside.rename(self.path(name))
            sync(self.folder)
            return name
        except OSError as error:
            raise storage_error(error, self.folder) from error
        finally:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)

    def _write(
        self, path: Path, meta: Mapping[str, Any], arrays: Arrays, about: Mapping[str, Any]
    ) -> str:
        with path.open("xb", buffering=0) as stream:
            _put(stream, bytes(_BEGIN))
            pairs = arrays.items() if isinstance(arrays, Mapping) else arrays
            parts = [_write_array(stream, name, array) for name, array in pairs]
            if len({p.name for p in parts}) < len(parts):
                raise ValueError("an array is named twice")
            entries = {
                "about": dict(about), "meta": dict(meta),
                "written_at": datetime.now(UTC).isoformat(),
                "arrays": [p._asdict() for p in parts],
            }  # fmt: skip
            directory = json.dumps(entries, ensure_ascii=False, allow_nan=False).encode()
            at, checksum = stream.tell(), xxhash.xxh3_64_intdigest(directory)
            _put(stream, directory)
            stream.seek(0)
            head = _PREAMBLE.pack(MAGIC, FORMAT, self.format, at, len(directory), checksum)
            _put(stream, head + _SUM.pack(xxhash.xxh3_64_intdigest(head)))
            os.fsync(stream.fileno())
        return f"{checksum:016x}"

    def open(self, name: str) -> tuple[Mapping[str, Any], dict[str, Array]]:
        """The caller's meta and read-only arrays over one map of the file, verified in full.

        Processes that open the same file share its memory. Raises ArtifactError for a file that is
        missing, damaged, foreign or of another format.
        """
        with self._explained(name):
            whole = _map(self.path(name))
            label, parts = self._read(whole)
            return label.meta, _arrays(whole, parts)

    def label(self, name: str) -> Label:
        """What the header says; the arrays are not looked at. Raises as `open` does."""
        with self._explained(name):
            return self._read(_map(self.path(name)))[0]

    def _read(self, whole: mmap.mmap) -> tuple[Label, list[_Part]]:
        """The label and the arrays that the header lists, from a file's first and last bytes."""
        head = whole[: _PREAMBLE.size]
        if len(whole) < _BEGIN or head[: len(MAGIC)] != MAGIC:
            raise _Unusable("不是本程序的数据文件，或已不完整")
        if _SUM.unpack(whole[_PREAMBLE.size : _BEGIN])[0] != xxhash.xxh3_64_intdigest(head):
            raise _Unusable(_DAMAGED)
        _, container, contents, at, length, checksum = _PREAMBLE.unpack(head)
        _check_format(container, FORMAT)
        _check_format(contents, self.format)
        if at + length != len(whole):
            raise _Unusable("长短与记录不符，可能不完整")
        directory = whole[at:]
        if xxhash.xxh3_64_intdigest(directory) != checksum:
            raise _Unusable(_DAMAGED)
        entries = json.loads(directory)
        parts = [_part(p) for p in entries["arrays"]]
        if len({p.name for p in parts}) < len(parts) or _BEGIN + sum(p.room for p in parts) != at:
            raise _Unusable(_DAMAGED)
        about, meta = dict(entries["about"]), dict(entries["meta"])
        written_at = datetime.fromisoformat(entries["written_at"])
        return Label(about, meta, written_at, len(whole)), parts

    def latest(
        self, about: Mapping[str, Any], told: Callable[[str], object] | None = None
    ) -> str | None:
        """The newest file whose header holds these entries; None without one.

        `told` is given what is wrong with those whose header cannot be read.
        """
        for name in reversed(self.names()):
            try:
                if about.items() <= self.label(name).about.items():
                    return name
            except StorageError as error:
                if told is not None:
                    told(error.message)
        return None

    def names(self) -> list[str]:
        """All whole files, oldest first."""
        return sorted(p.name.removesuffix(self.suffix) for p in self.folder.glob(f"*{self.suffix}"))

    def path(self, name: str) -> Path:
        """Where a file is."""
        return self.folder / f"{name}{self.suffix}"

    def prune(self, keep: int) -> None:
        """Remove all but the newest `keep` files, and what writers killed long ago left."""
        found = self.names()
        for name in found[: max(0, len(found) - keep)]:
            with contextlib.suppress(OSError):  # who has it open keeps what it holds
                self.path(name).unlink(missing_ok=True)
        self.sweep(older_than=_STALE_SECONDS)

    def sweep(self, *, older_than: float = 0.0) -> None:
        """Remove what killed writers left behind; without an age, nobody may be writing now."""
        for left in self.folder.glob(f"{_ASIDE}*"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime >= older_than:
                    left.unlink()

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise self._refusal(name, "不存在") from error
        except OSError as error:
            raise storage_error(error, self.path(name)) from error
        except _Unusable as error:
            raise self._refusal(name, str(error)) from error
        except _NONSENSE as error:
            raise self._refusal(name, _DAMAGED) from error

    def _refusal(self, name: str, why: str) -> ArtifactError:
        return ArtifactError(f"“{self.path(name)}”{why}；{self.cure}。")


# out -----------------------------------------------------------------------------------------


def _write_array(stream: FileIO, name: str, array: Array) -> _Part:
    """Append an array and the zeros behind it."""
    if array.dtype.str not in TYPES:
        raise ValueError(f"{name}: no array of {array.dtype} can be kept")
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    digest = xxhash.xxh3_64()
    for low in range(0, len(data), _CHUNK):
        digest.update(data[low : low + _CHUNK])
        _put(stream, data[low : low + _CHUNK])
    zeros = bytes(_padded(len(data)) - len(data))
    digest.update(zeros)
    _put(stream, zeros)
    return _Part(name, array.dtype.str, array.shape, digest.hexdigest())


def _put(stream: FileIO, data: bytes | memoryview) -> None:
    """Write all of it; an unbuffered file may take a part at a time."""
    left = memoryview(data)
    while left:
        left = left[stream.write(left) :]


def _padded(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


# in ------------------------------------------------------------------------------------------


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _check_format(found: int, ours: int) -> None:
    if found > ours:
        raise _Unusable(f"由更新版本的程序写成（格式 {found}，本程序为 {ours}），请升级 zyz-match")
    if found < ours:
        raise _Unusable(f"的格式（{found}）较旧，本程序（格式 {ours}）已不读取")


def _part(entry: Mapping[str, Any]) -> _Part:
    """One array as the directory describes it."""
    part = _Part(**entry)
    sizes = [type(n) is int and n >= 0 for n in part.shape]
    if type(part.name) is not str or part.dtype not in TYPES or not all(sizes):
        raise _Unusable(_DAMAGED)
    return part


def _arrays(whole: mmap.mmap, parts: Sequence[_Part]) -> dict[str, Array]:
    """Every array of a file, once the checksums of all of them are right."""
    places, at = [], _BEGIN
    for part in parts:
        places.append(at)
        at += part.room
    rooms = [memoryview(whole)[p : p + part.room] for p, part in zip(places, parts, strict=True)]
    with ThreadPoolExecutor(_CHECKERS) as checkers:  # which hash without Python's lock
        if list(checkers.map(xxhash.xxh3_64_hexdigest, rooms)) != [p.checksum for p in parts]:
            raise _Unusable(_DAMAGED)
    return {
        part.name: np.frombuffer(whole, part.dtype, part.size, at).reshape(part.shape)
        for at, part in zip(places, parts, strict=True)
    }
