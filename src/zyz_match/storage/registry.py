"""Fitted artifacts on disk: written aside and renamed, signed, checked before they are parsed.

A folder holds one folder a version: `VERSION/{model.joblib, manifest.json, manifest.sig}` and,
where the caller gives one, `card.json`; VERSION being UTC time + five digits of the sha256. Knows
no mathematics.
"""

import contextlib
import hashlib
import hmac
import json
import platform
import secrets
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import joblib

from zyz_match.errors import ArtifactError
from zyz_match.outputs import private_folder, storage_error, sync
from zyz_match.storage.key_files import ASIDE, key_of
from zyz_match.storage.unpickling import load_allowed

FORMAT = 2
MODEL, CARD, KEY = "model.joblib", "card.json", "registry.key"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas", "numba", "joblib", "zyz-match")
_STALE_SECONDS = 3600.0  # an aside folder older than this belongs to a killed writer


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `manifest.json` says of the artifact beside it."""

    format: int
    sha256: str  # of model.joblib
    created_at: str  # RFC 3339, UTC
    libraries: Mapping[str, str]
    about: Mapping[str, Any] = field(default_factory=dict)  # the caller's entries
    card: str = ""  # sha256 of card.json, "" when there is none


def libraries() -> dict[str, str]:
    """Versions of everything that a fitted artifact may depend on."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@dataclass(frozen=True, slots=True)
class Registry:
    """A folder of artifacts of one kind, what may be in them, and what to do about a bad one.

    `allowed` are the classes that may be loaded, see `load_allowed`; `depends` the libraries that
    must be of the same release (2.3 of 2.3.1) as those that wrote an artifact.
    """

    folder: Path
    allowed: Collection[str] = ()
    depends: Collection[str] = LIBRARIES
    cure: str = "删除该文件夹后重新运行，系统会自动重新计算"

    def save(
        self, model: object, about: Mapping[str, Any], card: Mapping[str, Any] | None = None
    ) -> str:
        """Keep an artifact as a new version; its name. Nothing is seen of it before it is whole.

        Raises StorageError when the disk refuses; earlier versions are left as they are.
        """
        aside = self.folder / f"{ASIDE}{secrets.token_hex(8)}"
        try:
            private_folder(aside)
            digest = self._write(aside, model, about, card)
            for path in (*sorted(aside.iterdir()), aside):
                sync(path)
            return _publish(aside, digest)
        except OSError as error:
            raise storage_error(error, self.folder) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _write(
        self, aside: Path, model: object, about: Mapping[str, Any], card: Mapping[str, Any] | None
    ) -> str:
        joblib.dump(model, aside / MODEL)  # uncompressed, so that its arrays can be mapped
        digest, said = _sha256(aside / MODEL), ""
        if card is not None:
            (aside / CARD).write_bytes(_json(card))
            said = _sha256(aside / CARD)
        now = datetime.now(UTC).isoformat()
        manifest = Manifest(FORMAT, digest, now, libraries(), dict(about), said)
        content = _json({name: getattr(manifest, name) for name in Manifest.__slots__})
        (aside / MANIFEST).write_bytes(content)
        (aside / SIGNATURE).write_text(self._sign(content), encoding="ascii")
        return digest

    def load(self, name: str, about: Mapping[str, Any] | None = None) -> tuple[Any, Manifest]:
        """An artifact and its manifest, verified before a byte of it is parsed.

        Raises ArtifactError for a damaged, unsigned or foreign artifact, one of other libraries or
        one whose entries are not these; the message says the cure.
        """
        manifest, path = self.manifest(name), self.folder / name / MODEL
        self._check_libraries(name, manifest)
        if not (about or {}).items() <= manifest.about.items():
            raise self._refusal(name, "是按另一套特征算出的，不能用于现在的程序")
        with self._explained(path):
            if _sha256(path) != manifest.sha256:
                raise self._refusal(name, f"的文件 {MODEL} 与清单不符，可能已损坏")
            try:
                return load_allowed(path, self.allowed), manifest
            except OSError:
                raise
            except Exception as error:  # its classes were moved or changed, or never allowed
                raise self._refusal(
                    name, f"由另一版本的程序写成，或混入了不该有的内容，已拒绝读取（{error}）"
                ) from error

    def card(self, name: str) -> dict[str, Any]:
        """The card of a version, verified; {} for a version without one."""
        manifest, path = self.manifest(name), self.folder / name / CARD
        if not manifest.card:
            return {}
        with self._explained(path):
            content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != manifest.card:
            raise self._refusal(name, f"的文件 {CARD} 与清单不符，可能已损坏")
        found: dict[str, Any] = json.loads(content)
        return found

    def manifest(self, name: str) -> Manifest:
        """The signed manifest of a version; ArtifactError when missing, changed or unknown."""
        place = self.folder / name
        try:
            content = (place / MANIFEST).read_bytes()
            signature = (place / SIGNATURE).read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise self._refusal(name, "的清单缺失或不可读") from error
        if not hmac.compare_digest(signature, self._sign(content)):
            raise self._refusal(name, "的签名不符，可能被改动或来自别处")
        entries = json.loads(content)
        self._check_format(name, entries.get("format"))
        return Manifest(**entries)

    def _check_format(self, name: str, found: object) -> None:
        if found == FORMAT:
            return
        if isinstance(found, int) and found > FORMAT:
            raise self._refusal(
                name, f"由更新版本的程序写成（格式 {found}，本程序为 {FORMAT}），请升级 zyz-match"
            )
        raise self._refusal(name, f"的格式（{found}）较旧，本程序（格式 {FORMAT}）已不读取")

    def _check_libraries(self, name: str, manifest: Manifest) -> None:
        ours = libraries()
        for library in sorted(self.depends):
            theirs, mine = manifest.libraries.get(library, ""), ours.get(library, "")
            if _release(theirs) != _release(mine):
                raise self._refusal(
                    name, f"由另一版本的程序库写成（{library} {theirs}，现为 {mine}），本程序不读取"
                )

    def latest(self, about: Mapping[str, Any]) -> str | None:
        """The newest readable version whose manifest holds these entries; None when none does."""
        for name in reversed(self.versions()):
            with contextlib.suppress(ArtifactError):
                manifest = self.manifest(name)
                self._check_libraries(name, manifest)
                if about.items() <= manifest.about.items():
                    return name
        return None

    def versions(self) -> list[str]:
        """All whole versions, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(
            p.name for p in self.folder.iterdir() if p.name[0] != "." and (p / MANIFEST).is_file()
        )

    def prune(self, keep: int) -> None:
        """Remove all but the newest `keep` versions, and what writers killed long ago left."""
        found = self.versions()
        self._remove(found[: max(0, len(found) - keep)])
        self.sweep(older_than=_STALE_SECONDS)

    def collect(self, keep: Collection[str]) -> list[str]:
        """Remove every version but those to keep; the names of the removed."""
        gone = [name for name in self.versions() if name not in keep]
        self._remove(gone)
        return gone

    def sweep(self, *, older_than: float = 0.0) -> None:
        """Remove what killed writers left behind; without an age, nobody may be writing now."""
        for left in (*self.folder.glob(f"{ASIDE}*"), *self.folder.parent.glob(f"{KEY}{ASIDE}*")):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime >= older_than:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _remove(self, names: Collection[str]) -> None:
        for name in names:
            gone = self.folder / f"{ASIDE}{secrets.token_hex(8)}"
            with contextlib.suppress(OSError):  # out of sight first: no version is ever half there
                (self.folder / name).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _refusal(self, name: str, why: str) -> ArtifactError:
        return ArtifactError(f"“{self.folder / name}”{why}；{self.cure}。")

    @contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise self._refusal(path.parent.name, f"缺少文件 {path.name}") from error
        except OSError as error:
            raise storage_error(error, path) from error

    def _sign(self, content: bytes) -> str:
        return hmac.new(key_of(self.folder.parent / KEY), content, "sha256").hexdigest()


def _publish(aside: Path, digest: str) -> str:
    """Put a written version in its place; its name, free even when two writers are as quick."""
    while True:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{digest[:5]}"
        try:
            aside.rename(aside.with_name(name))
        except OSError:
            if aside.with_name(name).exists():
                continue
            raise
        sync(aside.parent)
        return name


def _release(number: str) -> str:
    return ".".join(number.split(".")[:2])


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1).encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
