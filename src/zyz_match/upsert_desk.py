"""The desk for other systems: their records in, pages of everything out, answers given once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from zyz_match.domain import Event, ExternalId, Firm, LeadEntry, Town
from zyz_match.errors import InputError, NotFoundError
from zyz_match.storage.external_ids import Kind
from zyz_match.storage.firm_upserts import FirmCells
from zyz_match.storage.idempotency import (
    LEASE_SECONDS,
    Answers,
    Asked,
    InFlight,
    Kept,
    Lease,
    Mismatch,
)
from zyz_match.storage.lead_upserts import LeadContent
from zyz_match.storage.listing import Listing, Stored
from zyz_match.storage.store import Store
from zyz_match.storage.upsert_items import Given, Item, ItemError, Refused, Result, Upserted
from zyz_match.storage.upserts import TownProfile

__all__ = [
    "LEASE_SECONDS",
    "Asked",
    "FirmCells",
    "Given",
    "InFlight",
    "Item",
    "ItemError",
    "Kept",
    "LeadContent",
    "Lease",
    "Listing",
    "Mismatch",
    "Refused",
    "Result",
    "Stored",
    "TownProfile",
    "UpsertDesk",
    "Upserted",
    "since_text",
]

OVERLAP = timedelta(seconds=5)
_MAX_PAGE = 1000


def since_text(moment: datetime) -> str:
    """A moment as lists compare it, a few seconds earlier, for clocks that differ."""
    try:
        return (moment - OVERLAP).isoformat(timespec="milliseconds")
    except OverflowError:
        return moment.isoformat(timespec="milliseconds")


class UpsertDesk:
    """What the hall does for systems that keep records of their own; `Service` inherits it."""

    store: Store

    if TYPE_CHECKING:  # what the rest of the hall lends

        def firm(self, text: str) -> Firm:
            """See `Service`."""

        def town(self, text: str) -> Town:
            """See `Service`."""

    # in ------------------------------------------------------------------------------------

    def upsert_firms(
        self, items: Sequence[Given[FirmCells]], *, all_or_none: bool = False
    ) -> Upserted:
        """Create firms or add to them: a present value wins, a missing one keeps what is there."""
        return self.store.upserts.firms(items, all_or_none=all_or_none)

    def upsert_towns(
        self, items: Sequence[Given[TownProfile]], *, all_or_none: bool = False
    ) -> Upserted:
        """Create or replace towns."""
        return self.store.upserts.towns(items, all_or_none=all_or_none)

    def upsert_leads(
        self, items: Sequence[Given[LeadContent]], *, all_or_none: bool = False
    ) -> Upserted:
        """Write entries down; one known by an external id is corrected."""
        return self.store.upserts.leads(items, all_or_none=all_or_none)

    def upsert_events(
        self, items: Sequence[Given[Event]], *, all_or_none: bool = False
    ) -> Upserted:
        """Write events down; one known by an external id is replaced."""
        return self.store.upserts.events(items, all_or_none=all_or_none)

    # out -----------------------------------------------------------------------------------

    def list_firms(self, asked: Listing) -> list[Stored[Firm]]:
        """One page of firms, without contacts."""
        return self.store.lists.firms(_checked(asked))

    def stored_firm(self, text: str) -> Stored[Firm]:
        """One firm, by any word for it, with what else is known of it."""
        own_id = self.firm(text).firm_id
        found = self.store.lists.firms(Listing(1, where={"firm_id": [own_id]}))
        if not found:  # it went just now
            raise NotFoundError(f"没有找到企业“{text}”。")
        return found[0]

    def list_towns(self, asked: Listing) -> list[Stored[Town]]:
        """One page of the towns that the actor sees."""
        return self.store.lists.towns(_checked(asked))

    def list_leads(self, asked: Listing) -> list[Stored[LeadEntry]]:
        """One page of entries of the towns that the actor sees; `where` may name a town or firm."""
        return self.store.lists.leads(self._by_ids(_checked(asked)))

    def list_events(self, asked: Listing) -> list[Stored[Event]]:
        """One page of events; `where` may name a firm by any word."""
        return self.store.lists.events(self._by_ids(_checked(asked)))

    def lead(self, number: int) -> LeadEntry:
        """One entry; NotFoundError when there is none in sight."""
        found = self.store.lists.lead(number)
        if found is None:
            raise NotFoundError(f"没有第 {number} 条跟进记录，请核对编号。")
        return found

    def external_ids(self, kind: Kind, own_id: str) -> tuple[ExternalId, ...]:
        """What other systems call one record."""
        return self.store.lists.external(kind, own_id)

    def _by_ids(self, asked: Listing) -> Listing:
        where = dict(asked.where)
        if "town_id" in where:
            where["town_id"] = [self.town(t).id for t in where["town_id"]]
        if "firm_id" in where:
            where["firm_id"] = [self.firm(f).firm_id for f in where["firm_id"]]
        return replace(asked, where=where)

    # once ----------------------------------------------------------------------------------

    @property
    def answers(self) -> Answers:
        """The answers kept under the keys of requests."""
        return self.store.answers


def _checked(asked: Listing) -> Listing:
    if not 1 <= asked.limit <= _MAX_PAGE:
        raise InputError(f"条数应为 1 到 {_MAX_PAGE} 之间的整数，现为 {asked.limit}。")
    return asked
