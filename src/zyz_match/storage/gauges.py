"""How much of everything there is: numbers to be watched, none of them about anybody."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.storage import tables


@dataclass(frozen=True, slots=True)
class Gauges:
    """One moment of the store."""

    firms: int
    towns: int
    leads: int
    lists: int
    audit: int  # rows
    changes: int  # the number of the newest one
    jobs: dict[str, int]  # by state
    deliveries: dict[str, int]  # by state


def look(connection: Connection) -> Gauges:
    """Count."""
    return Gauges(
        firms=_count(connection, tables.firm),
        towns=_count(connection, tables.town),
        leads=_count(connection, tables.lead),
        lists=_count(connection, tables.shortlist),
        audit=_newest(connection, tables.audit),
        changes=_newest(connection, tables.change),
        jobs=_by_state(connection, tables.job),
        deliveries=_by_state(connection, tables.delivery),
    )


def _count(connection: Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _newest(connection: Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.max(table.c.id))).scalar_one() or 0)


def _by_state(connection: Connection, table: sa.Table) -> dict[str, int]:
    query = sa.select(table.c.state, sa.func.count()).group_by(table.c.state)
    return {str(state): int(n) for state, n in connection.execute(query)}
