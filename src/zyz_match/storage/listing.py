"""Pages of everything that is kept, by id or by the moment of the last change."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.acting import actor
from zyz_match.domain import Col, Event, ExternalId, Firm, LeadEntry, Town
from zyz_match.firms import firm_from_row
from zyz_match.profiles import town_from
from zyz_match.storage import external_ids, leads, rows
from zyz_match.storage.database import Database
from zyz_match.storage.external_ids import Kind
from zyz_match.storage.tables import event, firm, lead, town

Sort = Literal["id", "updated_at", "date"]  # date: of entries alone, the newest first
Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Listing:
    """What one page is asked for; `where` holds exact values by column, each one of several."""

    limit: int
    sort: Sort = "id"
    since: str = ""  # ISO, UTC: not changed before; "" is any
    after: tuple[str, str] | None = None  # moment and id of the last one of the page before
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    external: ExternalId | None = None


@dataclass(frozen=True, slots=True)
class Stored(Generic[Thing]):
    """One record with what is known about it besides its content."""

    thing: Thing
    id: str
    updated_at: str  # ISO, UTC; "" when that is not known
    external: tuple[ExternalId, ...] = ()


class Lists:
    """Pages of the records of one database; what the actor does not see is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def firms(self, asked: Listing) -> list[Stored[Firm]]:
        """Firms, without contacts."""
        columns = [firm.c[c] for c in rows.COLUMNS]
        query = sa.select(*columns, firm.c.updated_at)
        if marks := asked.where.get(Col.MARKS):
            held = (firm.c.marks.contains(m, autoescape=True) for m in marks)
            query = query.where(sa.or_(*held))
        where = {n: v for n, v in asked.where.items() if n != Col.MARKS}
        return self._page(
            "firm", query, firm.c.firm_id, firm.c.updated_at, asked, where,
            lambda r: firm_from_row({str(k): v for k, v in r.items()}),
        )  # fmt: skip

    def towns(self, asked: Listing) -> list[Stored[Town]]:
        """Towns."""
        query = sa.select(town.c.id, town.c.profile, town.c.updated_at)
        return self._page(
            "town", _seen(query, town.c.id), town.c.id, town.c.updated_at, asked, asked.where,
            lambda r: town_from(json.loads(r["profile"])),
        )  # fmt: skip

    def leads(self, asked: Listing) -> list[Stored[LeadEntry]]:
        """Entries, corrected ones too."""
        query = _seen(leads.selected(), lead.c.town_id)
        return self._page(
            "lead", query, lead.c.id, lead.c.recorded_at, asked, asked.where, leads.as_entry
        )

    def events(self, asked: Listing) -> list[Stored[Event]]:
        """Events."""
        return self._page(
            "event", sa.select(event), event.c.key, event.c.recorded_at, asked, asked.where, _event
        )

    def external(self, kind: Kind, own_id: str) -> tuple[ExternalId, ...]:
        """What other systems call one record."""
        with self._database.read() as connection:
            return external_ids.of(connection, kind, [own_id]).get(own_id, ())

    def lead(self, number: int) -> LeadEntry | None:
        """One entry, of a town that the actor sees."""
        with self._database.read() as connection:
            found = leads.get(connection, number)
        return found if found is not None and actor().sees(found.town_id) else None

    def _page(
        self,
        kind: Kind,
        query: sa.Select[Any],
        key: sa.Column[Any],
        moment: sa.Column[str],
        asked: Listing,
        where: Mapping[str, Sequence[str]],
        make: Callable[[sa.RowMapping], Thing],
    ) -> list[Stored[Thing]]:
        query = query.where(*(key.table.c[n].in_(values) for n, values in where.items()))
        if asked.since:
            query = query.where(moment >= asked.since)
        query = _ordered(query, key, moment, asked).limit(asked.limit)
        with self._database.read() as connection:
            if asked.external is not None:
                query = query.where(key == _own_id(connection, kind, asked.external, key))
            found = list(connection.execute(query).mappings())
            ids = [str(r[key.name]) for r in found]
            named = external_ids.of(connection, kind, ids)
        return [
            Stored(make(row), own_id, row[moment.name], named.get(own_id, ()))
            for own_id, row in zip(ids, found, strict=True)
        ]


def _seen(query: sa.Select[Any], town_id: sa.Column[str]) -> sa.Select[Any]:
    seen = actor().towns
    return query if seen is None else query.where(town_id.in_(sorted(seen)))


def _ordered(
    query: sa.Select[Any], key: sa.Column[Any], moment: sa.Column[str], asked: Listing
) -> sa.Select[Any]:
    first = {"updated_at": moment, "date": lead.c.date}.get(asked.sort)
    place = (key,) if first is None else (first, key)
    if asked.after is not None:
        values = (asked.after[0], _typed(key, asked.after[1]))[-len(place) :]
        seen, last = sa.tuple_(*place), sa.tuple_(*(sa.literal(v) for v in values))
        query = query.where(seen < last if asked.sort == "date" else seen > last)
    return query.order_by(*(p.desc() if asked.sort == "date" else p for p in place))


def _typed(key: sa.Column[Any], own_id: str) -> str | int:
    return int(own_id) if isinstance(key.type, sa.Integer) else own_id


def _own_id(
    connection: Connection, kind: Kind, external: ExternalId, key: sa.Column[Any]
) -> str | int:
    """Our id of what another system means; one that nothing has when it means nothing here."""
    owner = external_ids.find(connection, [external]).get(external)
    if owner is not None and owner[0] == kind:
        return _typed(key, owner[1])
    return -1 if isinstance(key.type, sa.Integer) else ""


def _event(row: sa.RowMapping) -> Event:
    return Event(
        row["firm_id"], date.fromisoformat(row["date"]), row["region"], row["industry"],
        row["target"], row["kind"], row["amount"],
    )  # fmt: skip
