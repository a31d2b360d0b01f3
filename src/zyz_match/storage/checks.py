"""Is the database whole? Its tables, what refers to what, and the audit."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.storage import audit
from zyz_match.storage.database import Database
from zyz_match.storage.migrations import HEAD
from zyz_match.storage.tables import metadata


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str  # Chinese
    fault: str  # Chinese, "" when all is well
    said: str = ""  # Chinese: what was found


def of(database: Database) -> list[Finding]:
    """Look at everything in one state of the store; nothing is changed."""
    with database.read() as connection:
        return [
            _version(connection),
            *_tables(connection),
            _references(connection),
            _audit(connection),
        ]


def _version(connection: Connection) -> Finding:
    statement = "SELECT sqlite_version()" if _is_sqlite(connection) else "SHOW server_version"
    server = connection.exec_driver_sql(statement).scalar_one()
    name = "SQLite" if _is_sqlite(connection) else "PostgreSQL"
    return Finding("版本", "", f"表结构 {HEAD}，{name} {server}")


def _tables(connection: Connection) -> Iterator[Finding]:
    if _is_sqlite(connection):
        said = connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars().all()
        fault = "" if said == ["ok"] else f"数据库文件已损坏：{'；'.join(map(str, said))}。"
        yield Finding("数据库文件", fault, "完好")
    counts = {t.name: _count(connection, t) for t in metadata.sorted_tables}
    filled = "、".join(f"{name} {n:,}" for name, n in counts.items() if n)
    yield Finding("表和行数", "", filled or "没有数据")


def _count(connection: Connection, table: sa.Table) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return int(connection.execute(query).scalar_one())


def _references(connection: Connection) -> Finding:
    """Rows that refer to none."""
    lost = [f"{c.table.name} 有 {n} 行" for c, n in _lost(connection) if n]
    return Finding("表间引用", f"引用的行不存在：{'、'.join(lost)}。" if lost else "", "完好")


def _lost(connection: Connection) -> Iterator[tuple[sa.ForeignKeyConstraint, int]]:
    for table in metadata.sorted_tables:
        for constraint in table.foreign_key_constraints:
            (key,) = constraint.elements
            other = key.column.table.alias("other")
            there = sa.exists().where(other.c[key.column.name] == key.parent)
            query = sa.select(sa.func.count()).select_from(table)
            query = query.where(key.parent.is_not(None), ~there)
            yield constraint, int(connection.execute(query).scalar_one())


def _audit(connection: Connection) -> Finding:
    verdict = audit.verify(connection)
    return Finding("审计链", verdict.fault, f"{verdict.rows:,} 条，首尾相接")


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"
