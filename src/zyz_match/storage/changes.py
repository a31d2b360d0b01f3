"""What happened to the firms since a state of the store, firm by firm where that is known."""

from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.storage import firms, links, stamps
from zyz_match.storage.tables import data_change, firm_before


@dataclass(frozen=True, slots=True)
class Contents:
    """Firms and all events in one state of the store."""

    stamp: str
    firms: pd.DataFrame
    events: pd.DataFrame


def since(connection: Connection, stamp: str, most: int) -> Contents | None:
    """The firms that are new or changed since a state, and all events.

    None when that is not known firm by firm, as after an undo or when the state is not one of this
    store's past, or when there are more than `most` firms.
    """
    own = sa.select(data_change.c.id).where(data_change.c.stamp == stamp)
    at = connection.execute(own).scalar()
    if at is None:
        return None
    later = data_change.c.id > at
    undone = sa.select(data_change.c.id).where(later, data_change.c.kind == "undo")
    if connection.execute(undone.limit(1)).first() is not None:
        return None
    batches = sa.select(data_change.c.batch_id).where(later, data_change.c.batch_id.is_not(None))
    query = sa.select(firm_before.c.firm_id).distinct()
    query = query.where(firm_before.c.batch_id.in_(batches), firm_before.c.action != "seen")
    changed = connection.execute(query.limit(most + 1)).scalars().all()
    if len(changed) > most:
        return None
    return _contents(connection, firms.table_of(connection, changed))


def whole(connection: Connection, tick: firms.Tick) -> Contents:
    """All firms and all events."""
    return _contents(connection, firms.whole_table(connection, tick=tick))


def _contents(connection: Connection, frame: pd.DataFrame) -> Contents:
    return Contents(stamps.read(connection, stamps.FIRMS), frame, links.events(connection))
