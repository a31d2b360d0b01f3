"""Upserts: records of another system, each judged apart, in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Connection

from zyz_match.acting import actor
from zyz_match.domain import Event
from zyz_match.errors import NotFoundError
from zyz_match.profiles import town_from
from zyz_match.storage import audit, towns
from zyz_match.storage.database import Database
from zyz_match.storage.event_upserts import EventUpserts
from zyz_match.storage.firm_upserts import FirmCells, FirmUpserts
from zyz_match.storage.lead_upserts import LeadContent, LeadUpserts
from zyz_match.storage.upsert_items import (
    STATUSES,
    Given,
    Item,
    ItemError,
    Links,
    Result,
    Status,
    Upserted,
    each,
)

TownProfile = Mapping[str, Any]  # as of a file, its id may be left out


class _TakenBack(Exception):
    """One item was rejected, and all or none were asked for."""

    def __init__(self, done: Upserted) -> None:
        super().__init__()
        self.done = done


class Upserts:
    """Upserts into one database; each method is one transaction, whatever becomes of the items.

    With `all_or_none` one rejected item keeps all of them out. Items that name the same record are
    taken in order. What is the same already changes nothing, so that a call may be sent again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def firms(self, items: Sequence[Given[FirmCells]], *, all_or_none: bool = False) -> Upserted:
        """Create firms or add to them; the changed ones are one batch, undone like a file."""

        def run(connection: Connection) -> tuple[Upserted, int]:
            results, batch, links = FirmUpserts(connection, items).run()
            return Upserted(results, batch=batch), links

        return self._run("firm.upsert", run, all_or_none)

    def towns(self, items: Sequence[Given[TownProfile]], *, all_or_none: bool = False) -> Upserted:
        """Create or replace towns; the id may be left out once an external id names the town."""

        def run(connection: Connection) -> tuple[Upserted, int]:
            links = Links(connection, "town", items)

            def take(_at: int, item: Item[TownProfile]) -> tuple[Status, str]:
                return _town(connection, links, item)

            results = each(items, take)
            links.write()
            return Upserted(results), links.new

        return self._run("town.upsert", run, all_or_none)

    def leads(self, items: Sequence[Given[LeadContent]], *, all_or_none: bool = False) -> Upserted:
        """Write entries down, or correct those known by an external id."""

        def run(connection: Connection) -> tuple[Upserted, int]:
            results, links = LeadUpserts(connection, items).run()
            return Upserted(results), links

        return self._run("lead.upsert", run, all_or_none)

    def events(self, items: Sequence[Given[Event]], *, all_or_none: bool = False) -> Upserted:
        """Write events down, or replace those known by an external id."""

        def run(connection: Connection) -> tuple[Upserted, int]:
            results, links = EventUpserts(connection, items).run()
            return Upserted(results), links

        return self._run("event.upsert", run, all_or_none)

    def _run(
        self, action: str, run: Callable[[Connection], tuple[Upserted, int]], all_or_none: bool
    ) -> Upserted:
        try:
            with self._database.write() as connection:
                done, links = run(connection)
                if all_or_none and done.count("rejected"):
                    raise _TakenBack(done)
                if links or done.count("created") or done.count("updated"):
                    audit.note(connection, action, done.batch, _told(done))
                return done
        except _TakenBack as back:
            return replace(back.done, written=False, batch="")


def _town(connection: Connection, links: Links, item: Item[TownProfile]) -> tuple[Status, str]:
    linked, given = links.own(item.external), str(item.content.get("id") or "")
    if linked and given and linked != given:
        raise ItemError(
            "identity_conflict", f"外部编号指专业镇“{linked}”，id 写的是“{given}”，请核对。",
            ("id",),
        )  # fmt: skip
    town_id = given or linked
    if not town_id:
        raise ItemError("missing_id", "新专业镇须写编号 id。", ("id",))
    if not actor().sees(town_id):
        raise NotFoundError(f"没有找到专业镇“{town_id}”。")
    change = towns.put(connection, town_from({**item.content, "id": town_id}))
    links.name(item.external, town_id)
    return change, town_id


def _told(done: Upserted) -> dict[str, Any]:
    """Counts, and the ids of what changed, for the audit."""
    changed = [r.id for r in done.results if r.status in ("created", "updated")]
    return {s: done.count(s) for s in STATUSES} | {"ids": list(dict.fromkeys(changed))}


__all__ = ["Given", "Item", "ItemError", "Result", "Upserted", "Upserts"]
