"""Leads of another system: an entry that it knows by an id is corrected when it says otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy.engine import Connection

from zyz_match.acting import actor
from zyz_match.days import today
from zyz_match.domain import LeadEntry, Stage, Town
from zyz_match.errors import NotFoundError
from zyz_match.profiles import resolve_town
from zyz_match.storage import firm_lookup, leads, towns
from zyz_match.storage.upsert_items import Given, Item, ItemError, Links, Result, Status, each
from zyz_match.storage.values import BadValue

_SAID = ("town_id", "firm_id", "date", "stage", "reason", "owner", "note", "list_id")


@dataclass(frozen=True, slots=True)
class LeadContent:
    """What another system says of a town and a firm, in words that may name them."""

    town: str
    firm: str
    stage: Stage
    on: date | None = None  # None: that of the entry it corrects, else today
    reason: str = ""
    owner: str = ""
    note: str = ""
    list_id: str = ""


class LeadUpserts:
    """The entries of one call; those of towns that the actor does not see are not found."""

    def __init__(self, connection: Connection, items: Sequence[Given[LeadContent]]) -> None:
        self._connection, self._items = connection, items
        self._links = Links(connection, "lead", items)
        self._towns: list[Town] = [t for t in towns.every(connection) if actor().sees(t.id)]
        given = [i.content for i in items if isinstance(i, Item)]
        self._firms = firm_lookup.find_all(connection, sorted({c.firm for c in given}), hints=0)

    def run(self) -> tuple[tuple[Result, ...], int]:
        """Write everything that is good: results, and the count of new links."""
        results = each(self._items, self._take)
        self._links.write()
        return results, self._links.new

    def _take(self, _at: int, item: Item[LeadContent]) -> tuple[Status, str]:
        linked = self._links.own(item.external)
        said = leads.get(self._connection, int(linked)) if linked else None
        if said is not None and not actor().sees(said.town_id):
            raise ItemError(
                "external_conflict", "这个外部编号已用于别处的一条跟进，请换一个 object 或 id。",
                ("external",),
            )  # fmt: skip
        entry = self._entry(item.content, said)
        if said is not None and all(getattr(said, n) == getattr(entry, n) for n in _SAID):
            return "unchanged", linked
        if said is not None:
            entry = replace(entry, corrects=self._replaced(item, said))
        change, known = leads.record(self._connection, entry)
        self._links.name(item.external, str(known.id))
        if change == "unchanged":
            return "unchanged", str(known.id)
        return ("updated" if said else "created"), str(known.id)

    def _replaced(self, item: Item[LeadContent], said: LeadEntry) -> int | None:
        """The entry that this one replaces; none where another record of theirs says it as well."""
        newest = leads.latest(self._connection, said.id)
        theirs = any(self._links.shared(str(n), but=item.external) for n in {said.id, newest})
        return None if theirs else newest

    def _entry(self, content: LeadContent, said: LeadEntry | None) -> LeadEntry:
        town = resolve_town(content.town, self._towns)
        firm = self._firms[content.firm]
        if isinstance(firm, BadValue):
            raise NotFoundError(f"{firm}。")
        on = content.on or (said.date if said else today())
        return LeadEntry(
            0, town.id, firm, on, content.stage, content.reason, content.owner.strip(),
            content.note.strip(), content.list_id.strip(), via="api",
        )  # fmt: skip
