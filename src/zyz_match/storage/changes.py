"""What happened to the firms since a state of the store, firm by firm where that is known."""

from dataclasses import dataclass, replace

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.storage import firms, links, stamps
from zyz_match.storage.tables import batch, data_change, firm, firm_before


@dataclass(frozen=True, slots=True)
class Contents:
    """Firms and all events in one state of the store."""

    stamp: str
    firms: pd.DataFrame
    events: pd.DataFrame
    ids: tuple[str, ...] | None = None  # of all firms, where some may have gone


def since(connection: Connection, stamp: str, most: int) -> Contents | None:
    """The firms that are new or changed since a state, and all events.

    After an undo, which removes firms and restores others, also the ids of all that are left. None
    when the state is not one of this store's past, or more than `most` firms are new or changed.
    """
    own = sa.select(data_change.c.id).where(data_change.c.stamp == stamp)
    at = connection.execute(own).scalar()
    if at is None:
        return None
    later = data_change.c.id > at
    undone = sa.select(data_change.c.batch_id).where(later, data_change.c.kind == "undo")
    taken_back = connection.execute(undone).scalars().all()
    if None in taken_back:  # by a program that did not say which
        return None
    batches = sa.select(data_change.c.batch_id).where(later, data_change.c.batch_id.is_not(None))
    query = sa.select(firm_before.c.firm_id).distinct()
    query = query.where(firm_before.c.batch_id.in_(batches), firm_before.c.action != "seen")
    changed = set(connection.execute(query.limit(most + 1)).scalars())
    if taken_back:
        since_then = sa.select(sa.func.min(batch.c.undone_at)).where(batch.c.id.in_(taken_back))
        restored = sa.select(firm.c.firm_id).where(
            firm.c.updated_at >= since_then.scalar_subquery()
        )
        changed |= set(connection.execute(restored.limit(most + 1)).scalars())
    if len(changed) > most:
        return None
    found = _contents(connection, firms.table_of(connection, changed))
    if not taken_back:
        return found
    ids = sa.select(firm.c.firm_id).order_by(firm.c.firm_id)
    return replace(found, ids=tuple(connection.execute(ids).scalars()))


def whole(connection: Connection, tick: firms.Tick) -> Contents:
    """All firms and all events."""
    return _contents(connection, firms.whole_table(connection, tick=tick))


def _contents(connection: Connection, frame: pd.DataFrame) -> Contents:
    return Contents(stamps.read(connection, stamps.FIRMS), frame, links.events(connection))
