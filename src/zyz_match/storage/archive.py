"""A backup as a file: a zip of tables as JSON lines, of files beside them, and a manifest.

The manifest comes last and names the SHA-256 of every other member, so that a file cut off or
damaged anywhere is refused before anything of it is used.
"""

import contextlib
import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any, Self

import orjson

from zyz_match.errors import FileError, StorageError

FORMAT = 1
MANIFEST = "manifest.json"
_BLOCK = 1 << 20
_KINDS = {"format": int, "columns": dict, "rows": dict, "counters": dict, "sha256": dict}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds."""

    format: int
    schema: str  # revision of the tables
    program: str  # version of zyz-match
    source: str  # sqlite | postgresql
    created_at: str  # ISO, UTC: the moment that all of it shows
    columns: dict[str, list[str]] = field(default_factory=dict)  # of each table
    rows: dict[str, int] = field(default_factory=dict)  # of each table
    counters: dict[str, int] = field(default_factory=dict)  # the last number given out
    sha256: dict[str, str] = field(default_factory=dict)  # of each member

    @property
    def files(self) -> list[str]:
        """Paths of the files beside the tables, below the home folder."""
        return [n.removeprefix("files/") for n in self.sha256 if n.startswith("files/")]


class Writer:
    """A backup while it is written."""

    def __init__(self, stream: IO[bytes], manifest: Manifest) -> None:
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self.manifest = manifest

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add a table, row by row; StorageError for a value that no row of ours holds."""
        count = 0

        def lines() -> Iterator[bytes]:
            nonlocal count
            for row in rows:
                count += 1
                try:
                    yield orjson.dumps(list(row)) + b"\n"
                except TypeError as error:
                    raise StorageError(
                        f"数据库的表“{name}”第 {count} 行里有不是文字也不是数的内容，未能备份。"
                        "这不是 zyz-match 写入的，请让管理员改正该行后再备份。"
                    ) from error

        self._add(f"tables/{name}.jsonl", lines())
        self.manifest.columns[name] = list(columns)
        self.manifest.rows[name] = count

    def file(self, path: Path, name: str) -> None:
        """Add a file under its path below the home folder."""
        with path.open("rb") as stream:
            self._add(f"files/{name}", iter(lambda: stream.read(_BLOCK), b""))

    def _add(self, name: str, parts: Iterable[bytes]) -> None:
        digest = hashlib.sha256()
        with self._zip.open(name, "w", force_zip64=True) as member:
            for part in parts:
                digest.update(part)
                member.write(part)
        self.manifest.sha256[name] = digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Add the manifest, unless something failed; without it the file is no backup."""
        if kind is not None:
            with contextlib.suppress(OSError, ValueError):  # the first error is the one to tell
                self._zip.close()
            return
        content = json.dumps(asdict(self.manifest), ensure_ascii=False, indent=1)
        self._zip.writestr(MANIFEST, content)
        self._zip.close()


class Reader:
    """A backup that is whole, see `opened`."""

    def __init__(self, found: zipfile.ZipFile, manifest: Manifest) -> None:
        self._zip = found
        self.manifest = manifest

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a table."""
        with self._zip.open(f"tables/{table}.jsonl") as member:
            for line in member:
                yield tuple(orjson.loads(line))

    def file(self, name: str) -> IO[bytes]:
        """The content of a file."""
        return self._zip.open(f"files/{name}")


@contextmanager
def opened(path: Path, progress: Callable[[int, int], None]) -> Iterator[Reader]:
    """A backup, checked in full; FileError that names what is wrong with it."""
    try:
        found = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise FileError(f"没有文件“{path}”。请核对路径。") from error
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise _damaged(path, "不是备份文件，或不完整") from error
    with found:
        manifest = _manifest(path, found)
        for done, (name, digest) in enumerate(manifest.sha256.items()):
            progress(done, len(manifest.sha256))
            if not _safe(name) or _digest(found, name) != digest:
                raise _damaged(path, f"其中的 {name} 缺失、损坏或被改动过")
        yield Reader(found, manifest)


def _manifest(path: Path, found: zipfile.ZipFile) -> Manifest:
    try:
        entries = json.loads(found.read(MANIFEST))
        if entries["format"] == FORMAT:
            return _as_manifest(entries)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, RuntimeError, zlib.error) as error:
        raise _damaged(path, f"缺少 {MANIFEST}，或它已损坏") from error
    raise _damaged(path, f"格式为 {entries['format']}，本程序只读取格式 {FORMAT}")


def _as_manifest(entries: dict[str, Any]) -> Manifest:
    """ValueError or TypeError for what no backup of ours says."""
    found = Manifest(**entries)
    for field_ in fields(found):
        if type(getattr(found, field_.name)) is not _KINDS.get(field_.name, str):
            raise ValueError(field_.name)
    return found


def _damaged(path: Path, why: str) -> FileError:
    return FileError(f"备份“{path}”不能用：{why}。请换一份备份；没有写入任何数据。")


def _safe(name: str) -> bool:
    """Whether a member stays below the folder that it is written to."""
    parts = PurePosixPath(name).parts
    return parts[:1] in (("tables",), ("files",)) and ".." not in parts and "\\" not in name


def _digest(found: zipfile.ZipFile, name: str) -> str:
    """The SHA-256 of a member, "" when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with found.open(name) as member:
            while part := member.read(_BLOCK):
                digest.update(part)
    except (zipfile.BadZipFile, KeyError, EOFError, OSError, zlib.error, RuntimeError):
        return ""  # RuntimeError: it is encrypted, or packed in a way that nobody reads
    return digest.hexdigest()
