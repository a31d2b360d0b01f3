"""Is the database whole? Its tables, what refers to what, and the audit."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from zyz_match.errors import StorageError
from zyz_match.storage import audit, faults
from zyz_match.storage.database import Database
from zyz_match.storage.migrations import HEAD
from zyz_match.storage.tables import event, firm, lead, metadata


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str  # Chinese
    fault: str  # Chinese, "" when all is well
    said: str = ""  # Chinese: what was found


def of(database: Database) -> list[Finding]:
    """Look at everything in one state of the store; nothing is changed.

    What cannot be read is a finding, too, and ends the look.
    """
    found = list[Finding]()
    try:
        with database.read() as connection:
            for finding in _looked(connection, database.url):  # kept when a later one fails
                found.append(finding)
    except StorageError as error:
        if not any(error.message in f.fault for f in found):
            found.append(Finding("数据库", error.message))
    return found


def _looked(connection: Connection, url: URL) -> Iterator[Finding]:
    yield _version(connection)
    if _is_sqlite(connection):
        yield _file(connection, url)
    yield _counts(connection)
    yield _references(connection)
    yield _audit(connection)


def _version(connection: Connection) -> Finding:
    statement = "SELECT sqlite_version()" if _is_sqlite(connection) else "SHOW server_version"
    server = connection.exec_driver_sql(statement).scalar_one()
    name = "SQLite" if _is_sqlite(connection) else "PostgreSQL"
    return Finding("版本", "", f"表结构 {HEAD}，{name} {server}")


def _file(connection: Connection, url: URL) -> Finding:
    said = connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars().all()
    whole = said == ["ok"]
    told = f"{faults.broken_file(url)}检查结果：{'；'.join(map(str, said))}。"
    return Finding("数据库文件", "" if whole else told, "完好")


def _counts(connection: Connection) -> Finding:
    counts = {t.name: _count(connection, t) for t in metadata.sorted_tables}
    filled = "、".join(f"{name} {n:,}" for name, n in counts.items() if n)
    return Finding("表和行数", "", filled or "没有数据")


def _count(connection: Connection, table: sa.Table) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return int(connection.execute(query).scalar_one())


def _references(connection: Connection) -> Finding:
    """Rows that refer to none."""
    found = [(c.table.name, n) for c, n in _lost(connection)] + list(_firmless(connection))
    lost = [f"{what} 有 {n} 行" for what, n in found if n]
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


def _firmless(connection: Connection) -> Iterator[tuple[str, int]]:
    """Leads and events of no firm; no constraint binds them."""
    for column in (lead.c.firm_id, event.c.firm_id):
        there = sa.exists().where(firm.c.firm_id == column)
        query = sa.select(sa.func.count()).select_from(column.table).where(~there)
        yield str(column), int(connection.execute(query).scalar_one())


def _audit(connection: Connection) -> Finding:
    verdict = audit.verify(connection)
    return Finding("审计链", verdict.fault, f"{verdict.rows:,} 条，首尾相接")


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"
