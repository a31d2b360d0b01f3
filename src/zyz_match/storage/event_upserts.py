"""Events of another system: one that it knows by an id is replaced when it says something else."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.days import today
from zyz_match.domain import Event
from zyz_match.errors import InputError, NotFoundError
from zyz_match.storage import firm_lookup, links, stamps
from zyz_match.storage.identity import chunks
from zyz_match.storage.tables import batch_row
from zyz_match.storage.tables import event as table
from zyz_match.storage.upsert_items import Given, Item, Links, Refused, Result, Status, each
from zyz_match.storage.values import BadValue


class EventUpserts:
    """The events of one call; `firm_id` of each may be any word for its firm."""

    def __init__(self, connection: Connection, items: Sequence[Given[Event]]) -> None:
        self._connection = connection
        self._links = Links(connection, "event", items)
        self._items = _with_firms(connection, items)
        good = {at: i.content for at, i in enumerate(self._items) if isinstance(i, Item)}
        made = links.event_rows(pd.DataFrame([asdict(e) for e in good.values()])) if good else []
        self._rows: dict[int, dict[str, Any]] = dict(zip(good, made, strict=True))
        self._there = _stored(connection, {r["key"] for r in made} | self._links.owners)
        self._changed = False

    def run(self) -> tuple[tuple[Result, ...], int]:
        """Write everything that is good: results, and the count of new links."""
        results = each(self._items, self._take)
        if self._changed:
            stamps.renew_firms(self._connection, "links")
        self._links.write()
        return results, self._links.new

    def _take(self, at: int, item: Item[Event]) -> tuple[Status, str]:
        values, linked = self._rows[at], self._links.own(item.external)
        key: str = values["key"]
        self._links.name(item.external, key)
        replaced = linked in self._there and linked != key
        if key not in self._there:
            self._connection.execute(sa.insert(table).values(values | {"by_hand": 1}))
            self._there.add(key)
            self._changed = True
        else:
            self._keep(key)
            if not replaced:
                return "unchanged", key
        if not replaced:
            return "created", key
        self._remove(linked)
        return "updated", key

    def _keep(self, key: str) -> None:
        """No undo of a file may take the event away now."""
        mark = sa.update(table).where(table.c.key == key, table.c.by_hand == 0)
        self._connection.execute(mark.values(by_hand=1))

    def _remove(self, key: str) -> None:
        """Take an event away, unless a file or another external id speaks of it too."""
        by_file = sa.select(batch_row.c.key).where(batch_row.c.key == key).limit(1)
        if self._links.shared(key) or self._connection.execute(by_file).first() is not None:
            return
        self._connection.execute(sa.delete(table).where(table.c.key == key))
        self._there.discard(key)
        self._changed = True


def _with_firms(connection: Connection, items: Sequence[Given[Event]]) -> list[Given[Event]]:
    """The items with the ids of their firms; those that cannot be taken as why."""
    texts = {i.content.firm_id for i in items if isinstance(i, Item)}
    known = firm_lookup.find_all(connection, sorted(texts), hints=0)
    return [_checked(item, known) if isinstance(item, Item) else item for item in items]


def _checked(item: Item[Event], known: Mapping[str, str | BadValue]) -> Given[Event]:
    found, on = known[item.content.firm_id], item.content.date
    if isinstance(found, BadValue):
        return Refused(NotFoundError(f"{found}。"), item.external)
    if on > today():
        return Refused(InputError(f"日期 {on} 晚于今天，请核对。"), item.external)
    return Item(replace(item.content, firm_id=found), item.external)


def _stored(connection: Connection, keys: set[str]) -> set[str]:
    """Those of the keys whose events are there."""
    found: set[str] = set()
    for part in chunks(sorted(keys)):
        query = sa.select(table.c.key).where(table.c.key.in_(part))
        found |= set(connection.execute(query).scalars())
    return found
