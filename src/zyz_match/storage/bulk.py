"""Many rows at once, by the fastest way of each database."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from zyz_match.storage import guard

_Rows = Iterable[Mapping[str, Any]]


def insert(connection: Connection, table: sa.Table, rows: _Rows) -> None:
    """Insert rows that give every column of the table."""
    names = [c.name for c in table.columns]
    fill(connection, table.name, names, _tuples(names, rows))


def inserting(connection: Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT in the words of the database, which may say what becomes of rows that are there."""
    own = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return own(table)


def update(connection: Connection, table: sa.Table, rows: _Rows) -> None:
    """Overwrite the rows of these primary keys in every column."""
    key = [c.name for c in table.primary_key]
    names = [c.name for c in table.columns]
    others = [n for n in names if n not in key]
    if connection.dialect.name == "sqlite":
        changes = ", ".join(f'"{n}" = ?' for n in others)
        where = " AND ".join(f'"{n}" = ?' for n in key)
        statement = f'UPDATE "{table.name}" SET {changes} WHERE {where}'
        _run_many(connection, statement, _tuples([*others, *key], rows))
        return
    aside = f"{table.name}_aside"
    connection.exec_driver_sql(
        f'CREATE TEMPORARY TABLE IF NOT EXISTS "{aside}" (LIKE "{table.name}") ON COMMIT DROP'
    )
    fill(connection, aside, names, _tuples(names, rows))
    changes = ", ".join(f'"{n}" = a."{n}"' for n in others)
    where = " AND ".join(f't."{n}" = a."{n}"' for n in key)
    connection.exec_driver_sql(
        f'UPDATE "{table.name}" t SET {changes} FROM "{aside}" a WHERE {where}'
    )
    connection.exec_driver_sql(f'TRUNCATE "{aside}"')


def fill(
    connection: Connection, table: str, names: Sequence[str], tuples: list[tuple[Any, ...]]
) -> None:
    """Insert rows that give these columns of a table, in this order."""
    columns = ", ".join(f'"{n}"' for n in names)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        _run_many(connection, f'INSERT INTO "{table}" ({columns}) VALUES ({marks})', tuples)
    elif tuples:
        driver: Any = connection.connection.driver_connection
        statement = f'COPY "{table}" ({columns}) FROM STDIN'
        _copy(driver, statement, tuples)
        guard.told(connection, statement, len(tuples))


def _run_many(connection: Connection, statement: str, tuples: list[tuple[Any, ...]]) -> None:
    if tuples:
        connection.exec_driver_sql(statement, tuples)


def _copy(driver: "psycopg.Connection[Any]", statement: str, tuples: list[tuple[Any, ...]]) -> None:
    with driver.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for row in tuples:
            copy.write_row(row)


def _tuples(names: Sequence[str], rows: _Rows) -> list[tuple[Any, ...]]:
    return [tuple([row[n] for n in names]) for row in rows]
