"""Files we hand out: written aside, synced, renamed; a failing disk is explained in Chinese."""

import contextlib
import errno
import os
import secrets
import unicodedata
from pathlib import Path

from zyz_match.errors import InputError, StorageError

_CAUSES = {
    errno.ENOSPC: "磁盘已满，请清理空间后重试",
    errno.EDQUOT: "磁盘配额已用完，请清理空间后重试",
    errno.EROFS: "所在磁盘是只读的，请换一个可写的位置",
    errno.EACCES: "没有写入权限，或文件正被其他程序（如 Excel）打开；请关闭文件或换一个位置",
    errno.EPERM: "没有写入权限，请换一个位置",
    errno.ENAMETOOLONG: "文件名太长，请改短",
    errno.EFBIG: "文件超出系统允许的大小，请放宽限制或换一个位置",
    errno.EIO: "磁盘读写出错，请检查磁盘",
    errno.EMFILE: "同时打开的文件过多，请关闭一些程序后重试",
}
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{d}{n}" for d in ("COM", "LPT") for n in range(1, 10))}
_FORBIDDEN = frozenset('<>:"/\\|?*')
_MAX_NAME_BYTES = 180
PRIVATE = 0o700  # of folders with personal data: nobody but their owner enters


def storage_error(error: OSError, path: Path | None = None) -> StorageError:
    """The StorageError that explains an OSError and says what to do about it."""
    place = path if path is not None else error.filename
    cause = _CAUSES.get(error.errno or 0, f"系统提示：{error.strerror or error}")
    return StorageError(f"无法读写“{place}”：{cause}。" if place else f"写入失败：{cause}。")


def write_bytes(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Put a whole file in place or leave what was there; missing folders are made.

    `mode` is what the umask leaves of it.

    Raises InputError when `path` is a folder, StorageError when the disk refuses.
    """
    try:
        if path.is_dir():
            raise InputError(f"“{path}”是文件夹，请写出文件名。")
        if path.exists() and not path.is_file():  # a device or pipe: nothing to rename over
            with path.open("wb") as stream:
                stream.write(content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, content, mode)
    except OSError as error:
        raise storage_error(error, path) from error


def _replace(path: Path, content: bytes, mode: int) -> None:
    aside = path.with_name(f".zyz-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def private_folder(path: Path) -> None:
    """Make a folder, and those missing above it, for their owner alone, whatever the umask.

    One that is there keeps its mode, which somebody chose. Raises OSError as `Path.mkdir` does.
    """
    if not path.parent.is_dir():
        private_folder(path.parent)
    path.mkdir(PRIVATE, exist_ok=True)


def sync(path: Path) -> None:
    """Bring a written file, or what a folder says of its files, to the disk."""
    if os.name != "posix":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def safe_name(text: str) -> str:
    """A file name, without suffix, that every file system takes and that still reads as `text`."""
    kept = "".join(
        "_" if c in _FORBIDDEN or unicodedata.category(c)[0] == "C" else c
        for c in unicodedata.normalize("NFC", text)
    ).strip(" ._")
    kept = kept.encode()[:_MAX_NAME_BYTES].decode(errors="ignore").rstrip(" .")
    if not kept:
        return "未命名"
    return f"_{kept}" if kept.split(".")[0].upper() in _RESERVED else kept
