"""What the database or the disk complains about, as a StorageError with the cure."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import URL

from zyz_match.errors import InputError, StorageError

_BUSY = "数据库正被另一个任务写入，等了 10 秒仍未轮到。请稍后再试。"
_FULL = "磁盘已满，本次改动没有写入，原有数据不受影响。请清出空间后再试。"
_READ_ONLY = "{where}不可写。请检查文件夹和文件的权限，或用 ZYZ_HOME 换一个可写的数据目录。"
_CANNOT_OPEN = "{where}无法打开。请检查路径是否存在、权限是否允许，或用 ZYZ_HOME 换一个数据目录。"
_BROKEN = (
    "{where}已损坏。请停止使用，把 ZYZ_DATABASE_URL 换成空的数据库，"
    "再用 zyz-match db restore 恢复最近的备份；没有备份时重新导入。"
)
_BROKEN_FILE = (
    "{where}已损坏。请停止使用，把它和同名的 -wal、-shm 文件移走，"
    "再用 zyz-match db restore 恢复最近的备份；没有备份时重新导入。"
)
_NOT_OURS = "{where}不是 zyz-match 的数据库文件。请核对 ZYZ_DATABASE_URL 或 ZYZ_HOME。"
_DISK = "读写{where}时磁盘出错。请检查磁盘，并保留最近的备份。"
_UNREACHABLE = "连接不上{where}。请确认 PostgreSQL 已启动，地址、用户、密码和库名无误。"
_OTHER = "数据库操作失败（{kind}），本次改动没有写入。请重试；仍失败时请把此信息交给管理员。"

_SQLITE: tuple[tuple[str, str], ...] = (
    ("database is locked", _BUSY),
    ("table is locked", _BUSY),
    ("disk is full", _FULL),
    ("readonly", _READ_ONLY),
    ("unable to open", _CANNOT_OPEN),
    ("malformed", _BROKEN_FILE),
    ("not a database", _NOT_OURS),
    ("disk i/o error", _DISK),
)
_POSTGRESQL: tuple[tuple[str, str], ...] = (  # beginnings of SQLSTATE
    ("53100", _FULL),
    ("25006", _READ_ONLY),
    ("55P03", _BUSY),
    ("40", _BUSY),
    ("57014", _BUSY),
    ("XX001", _BROKEN),
    ("XX002", _BROKEN),
    ("08", _UNREACHABLE),
    ("28", _UNREACHABLE),
    ("3D000", _UNREACHABLE),
    ("57P", _UNREACHABLE),
    ("53300", _UNREACHABLE),
)


def is_locked(error: Exception) -> bool:
    """Whether another process holds the lock."""
    return "locked" in str(error).lower()


def shown(url: URL) -> str:
    """The store as a message names it, without its password."""
    if url.get_backend_name() == "sqlite":
        return f"数据库文件“{url.database}”"
    return f"数据库 {url.host or '本机'}/{url.database or ''}"


def broken_file(url: URL) -> str:
    """The Chinese message for a damaged SQLite file."""
    return _BROKEN_FILE.format(where=shown(url))


def message(error: Exception, url: URL) -> str:
    """The Chinese message for a fault of the driver."""
    template = _template(error, url.get_backend_name() == "sqlite")
    return template.format(where=shown(url), kind=type(error).__name__)


def _template(error: Exception, sqlite: bool) -> str:
    cause = getattr(error, "orig", None) or error
    if sqlite:
        text = str(cause).lower()
        return next((m for sign, m in _SQLITE if sign in text), _OTHER)
    state = getattr(cause, "sqlstate", None)
    if state is None:
        lost = isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
        return _UNREACHABLE if lost else _OTHER
    return next((m for sign, m in _POSTGRESQL if state.startswith(sign)), _OTHER)


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn faults of the driver and the disk into StorageError, unstorable text into InputError."""
    try:
        yield
    except (sa.exc.DataError, psycopg.DataError) as error:
        raise InputError("有一个值数据库存不下（过大，或含有不能保存的字符），未写入。") from error
    except sa.exc.TimeoutError as error:
        raise StorageError(_BUSY) from error
    except (sa.exc.SQLAlchemyError, psycopg.Error, sqlite3.Error) as error:
        raise StorageError(message(error, url)) from error
    except UnicodeEncodeError as error:
        raise InputError("文字中含有不能保存的字符（残缺的 Unicode），未写入。") from error
