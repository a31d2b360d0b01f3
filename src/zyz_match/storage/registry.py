"""Fitted artifacts on disk: written aside and renamed, signed, checked before they are parsed.

A folder holds one folder a version: `VERSION/{model.joblib, manifest.json, manifest.sig}`, VERSION
being UTC time + five digits of the sha256. Knows no mathematics.
"""

import contextlib
import hashlib
import hmac
import json
import os
import platform
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import joblib

from zyz_match.errors import StorageError
from zyz_match.outputs import storage_error

FORMAT = 1
MODEL, MANIFEST, SIGNATURE, KEY = "model.joblib", "manifest.json", "manifest.sig", "registry.key"
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas", "numba", "joblib", "zyz-match")
_ASIDE = ".aside-"
_STALE_SECONDS = 3600.0  # an aside folder older than this belongs to a killed writer
_CURE = "删除该文件夹后重新运行，系统会自动重新计算"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `manifest.json` says of the artifact beside it."""

    format: int
    sha256: str  # of model.joblib
    created_at: str  # RFC 3339, UTC
    libraries: Mapping[str, str]
    about: Mapping[str, Any] = field(default_factory=dict)  # the caller's entries


def libraries() -> dict[str, str]:
    """Versions of everything that a fitted artifact depends on."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def save(folder: Path, model: object, about: Mapping[str, Any]) -> str:
    """Keep an artifact as a new version; its name. Nothing is seen of it before it is whole.

    Raises StorageError when the disk refuses; earlier versions are left as they are.
    """
    now = datetime.now(UTC)
    aside = folder / f"{_ASIDE}{secrets.token_hex(8)}"
    try:
        aside.mkdir(parents=True)
        joblib.dump(model, aside / MODEL)  # uncompressed, so that its arrays can be mapped
        digest = _sha256(aside / MODEL)
        manifest = Manifest(FORMAT, digest, now.isoformat(), libraries(), dict(about))
        content = json.dumps(_plain(manifest), ensure_ascii=False, indent=1).encode()
        (aside / MANIFEST).write_bytes(content)
        (aside / SIGNATURE).write_text(_sign(folder, content), encoding="ascii")
        for name in (MODEL, MANIFEST, SIGNATURE, "."):
            _sync(aside / name)
        name = _publish(aside, digest)
    except OSError as error:
        raise storage_error(error, folder) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return name


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
        _sync(aside.parent)
        return name


def load(folder: Path, name: str) -> tuple[Any, Manifest]:
    """An artifact and its manifest, verified before a byte of it is parsed.

    Raises StorageError for a damaged, unsigned or foreign artifact, or one that other library
    versions wrote; the message says the cure.
    """
    manifest = read_manifest(folder, name)
    path = folder / name / MODEL
    if manifest.libraries != libraries():
        raise StorageError(f"模型“{path.parent}”由另一套程序库写成，本程序不读取；{_CURE}。")
    try:
        if _sha256(path) != manifest.sha256:
            raise StorageError(f"模型文件“{path}”与清单不符，可能已损坏；{_CURE}。")
        return joblib.load(path, mmap_mode="r"), manifest
    except OSError as error:
        raise storage_error(error, path) from error
    except (AttributeError, ImportError, TypeError) as error:  # its classes were moved or changed
        raise StorageError(
            f"模型“{path.parent}”由另一版本的程序写成，已读不出；{_CURE}。"
        ) from error


def read_manifest(folder: Path, name: str) -> Manifest:
    """The signed manifest of a version; StorageError when it is missing, changed or unknown."""
    place = folder / name
    try:
        content = (place / MANIFEST).read_bytes()
        signature = (place / SIGNATURE).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise StorageError(f"模型“{place}”的清单缺失或不可读；{_CURE}。") from error
    if not hmac.compare_digest(signature, _sign(folder, content)):
        raise StorageError(f"模型“{place}”的签名不符，可能被改动或来自别处；{_CURE}。")
    entries = json.loads(content)
    if entries.get("format") != FORMAT:
        raise StorageError(f"模型“{place}”的格式（{entries.get('format')}）本程序不认识；{_CURE}。")
    return Manifest(**entries)


def latest(folder: Path, about: Mapping[str, Any]) -> str | None:
    """The newest version of these libraries whose manifest holds these entries; None if none."""
    for name in reversed(versions(folder)):
        with contextlib.suppress(StorageError):
            manifest = read_manifest(folder, name)
            if manifest.libraries == libraries() and about.items() <= manifest.about.items():
                return name
    return None


def versions(folder: Path) -> list[str]:
    """All whole versions, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if (p / MANIFEST).is_file() and p.name[0] != ".")


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` versions, and what killed writers left behind."""
    found = versions(folder)
    for name in found[: max(0, len(found) - keep)]:
        gone = folder / f"{_ASIDE}{secrets.token_hex(8)}"
        with contextlib.suppress(OSError):  # out of sight first: no version is ever half there
            (folder / name).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    for left in folder.glob(f"{_ASIDE}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _plain(manifest: Manifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in Manifest.__slots__}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sign(folder: Path, content: bytes) -> str:
    return hmac.new(_key(folder), content, "sha256").hexdigest()


def _key(folder: Path) -> bytes:
    """The signing key beside the folder, made on first use and readable by its owner only."""
    path = folder.parent / KEY
    try:
        if not path.exists():
            _make_key(path)
        return path.read_bytes()
    except OSError as error:
        raise storage_error(error, path) from error


def _make_key(path: Path) -> None:
    """Write the key aside and link it in place: of two processes at once, the first one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{KEY}{_ASIDE}{secrets.token_hex(4)}")
    number = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(secrets.token_hex(32).encode())
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
