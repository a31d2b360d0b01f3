"""Domain objects as what the door answers: units in the names, missing is null, no contacts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from starlette.responses import Response

from api.written import Matches, Written
from zyz_match.domain import (
    Contribution,
    Event,
    Explanation,
    ExternalId,
    Filters,
    Firm,
    LeadEntry,
    Match,
    Receipt,
    Reproduction,
    Shortlist,
    Similar,
    Town,
    TownFit,
)
from zyz_match.profiles import town_to
from zyz_match.service import KEPT_K, KEPT_LISTS
from zyz_match.upsert_desk import Stored

View = dict[str, Any]


class Answer(Response):
    """A JSON answer; one that may be sent again says what it was made from."""

    media_type = "application/json"
    made_from: tuple[str, str] = ("", "")  # stamp of the index, version of the model
    list_id: str = ""  # the receipt of the list that it shows


def answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer, written by orjson."""
    return Answer(written(content), status_code=status, headers=dict(headers or {}))


def written(content: object) -> bytes:
    """JSON as all answers are written."""
    return orjson.dumps(content, option=orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY)


def town_ref(town: Town) -> View:
    """A town's id and name."""
    return {"id": town.id, "name": town.name}


def town_summary(town: Town) -> View:
    """A town in a list."""
    return {
        **town_ref(town),
        "province": town.province or None,
        "city": town.city or None,
        "county": town.county or None,
        "level": town.level or None,
        "sector": town.sector or None,
        "segments": len(town.chain),
    }


def town_profile(town: Town) -> View:
    """A town as it may be put back."""
    return town_to(town)


def firm_summary(firm: Firm) -> View:
    """A firm in a list."""
    return {
        "firm_id": firm.firm_id,
        "name": firm.name,
        "uscc": firm.uscc or None,
        "stock_code": firm.stock_code or None,
        "status": firm.status or None,
        "province": firm.province or None,
        "city": firm.city or None,
        "county": firm.county or None,
        "industry": firm.industry or None,
        "industry_text": firm.industry_text or None,
        "capital_10k_cny": firm.capital,
        "founded": firm.founded,
        "size": firm.size or None,
        "employees": firm.employees,
        "marks": list(firm.marks),
        "listing": firm.listing or None,
        "revenue_10k_cny": firm.revenue,
        "patents": firm.patents,
    }


def externals(ids: Sequence[ExternalId]) -> list[View]:
    """What other systems call a record."""
    return [asdict(e) for e in ids]


def firm_detail(found: Stored[Firm]) -> View:
    """A firm with all its fields."""
    firm = found.thing
    return {
        **firm_summary(firm),
        "standing": firm.standing.value,
        "division": firm.division or None,
        "address": firm.address or None,
        "capital_text": firm.capital_text or None,
        "capital_paid_10k_cny": firm.capital_paid,
        "kind": firm.kind or None,
        "scope": firm.scope or None,
        "products": [p for p in firm.products.split("；") if p],
        "website": firm.website or None,
        "former_names": list(firm.former_names),
        "source": firm.source or None,
        "updated_at": found.updated_at,
        "external": externals(found.external),
    }


def town_item(found: Stored[Town]) -> View:
    """A town in the list of all."""
    more = {"updated_at": found.updated_at, "external": externals(found.external)}
    return town_summary(found.thing) | more


def _contribution(part: Contribution) -> View:
    return {
        "name": part.name,
        "label": part.label,
        "part": part.part,
        "points": part.points,
        "max_points": part.maximum,
        "value": part.value,
        "evidence": list(part.evidence),
        "missing": part.missing or None,
    }


def match_view(match: Match, include: Collection[str]) -> View:
    """One firm on a list, with the parts of its score and its features when asked for."""
    parts = match.contributions
    return {
        "rank": match.rank,
        "score": match.score,
        "fit": match.fit,
        "propensity": match.propensity,
        "confidence": match.confidence,
        "chance": asdict(match.chance) if match.chance else None,
        "reason": match.reason,
        "segment": match.segment or None,
        "flags": list(match.flags),
        "care_stage": match.care_stage or None,
        "care_owner": match.care_owner or None,
        "firm": firm_summary(match.firm),
        "contributions": [_contribution(c) for c in parts] if "reasons" in include else None,
        "features": {c.name: c.value for c in parts} if "features" in include else None,
    }


def _match_items(matches: Matches, include: frozenset[str]) -> bytes:
    return written([match_view(m, include) for m in matches])


_ITEMS = Written(_match_items, KEPT_LISTS, KEPT_K)


def match_page(shortlist: Shortlist, next_cursor: str | None, include: frozenset[str]) -> View:
    """One page of a town's list."""
    return {
        "town": town_ref(shortlist.town),
        "items": _ITEMS.of(shortlist.matches, include),
        "next_cursor": next_cursor,
        "pool": shortlist.pool,
        "total": shortlist.total,
        "model": shortlist.model,
        "data": shortlist.data,
        "shortlist_id": shortlist.id,
        "notes": list(shortlist.notes),
    }


def list_answer(page: View) -> Answer:
    """A page of a town's list as an answer that may be sent again."""
    found = answer(page)
    found.made_from, found.list_id = (page["data"], page["model"]), page["shortlist_id"]
    return found


def explanation(found: Explanation) -> View:
    """Where one firm stands for a town."""
    return {
        "town": town_ref(found.town),
        "firm": firm_summary(found.firm),
        "rank": found.rank,
        "pool": found.pool,
        "excluded": found.excluded or None,
        "match": match_view(found.match, ("reasons",)) if found.match else None,
        "holds_back": list(found.holds_back),
        "would_change": list(found.would_change),
    }


def town_fits(firm: Firm, fits: Sequence[TownFit], include: Collection[str]) -> View:
    """The best towns for a firm."""
    items = [
        {"rank": f.rank, "town": town_ref(f.town), "match": match_view(f.match, include)}
        for f in fits
    ]
    return {"firm": firm_summary(firm), "items": items}


def similars(firm: Firm, found: Sequence[Similar]) -> View:
    """Firms most like a firm."""
    items = [
        {
            "rank": s.rank,
            "similarity": s.similarity,
            "shared": list(s.shared),
            "same_industry": s.same_industry or None,
            "firm": firm_summary(s.firm),
        }
        for s in found
    ]
    return {"firm": firm_summary(firm), "items": items}


def lead(entry: LeadEntry, external: Sequence[ExternalId]) -> View:
    """One entry as it was written down."""
    return {
        "id": entry.id,
        "town_id": entry.town_id,
        "firm_id": entry.firm_id,
        "date": entry.date,
        "stage": entry.stage.value,
        "reason": entry.reason or None,
        "owner": entry.owner or None,
        "note": entry.note or None,
        "list_id": entry.list_id or None,
        "corrects": entry.corrects,
        "effective": entry.effective,
        "recorded_at": entry.recorded_at,
        "via": entry.via,
        "external": externals(external),
    }


def lead_item(found: Stored[LeadEntry]) -> View:
    """An entry in the list of all."""
    return lead(found.thing, found.external)


def event(found: Event) -> View:
    """One event."""
    return {
        "firm_id": found.firm_id,
        "date": found.date,
        "region": found.region or None,
        "industry": found.industry or None,
        "target": found.target or None,
        "kind": found.kind or None,
        "amount_10k_cny": found.amount,
    }


def event_item(found: Stored[Event]) -> View:
    """An event in the list of all."""
    return {
        "id": found.id, **event(found.thing), "recorded_at": found.updated_at or None,
        "external": externals(found.external),
    }  # fmt: skip


def receipt(found: Receipt, verdict: Reproduction) -> View:
    """A list as it was shown, and whether it comes out the same again."""
    return {
        "id": found.id,
        "town_id": found.town_id,
        "asked_at": found.asked_at,
        "by": found.by or None,
        "via": found.via,
        "filters": _filters(found.filters),
        "limit": found.k,
        "diversify": found.diversify,
        "model": found.model,
        "data": found.data,
        "pool": found.pool,
        "total": found.total,
        "items": [{"rank": i.rank, "firm_id": i.firm_id, "score": i.score} for i in found.items],
        "published_at": found.published_at,
        "reproduction": {"same": verdict.same, "remarks": list(verdict.remarks)},
    }


def _filters(filters: Filters) -> View:
    """Filters under the names that a request gives them."""
    return {
        "province": list(filters.provinces),
        "city": list(filters.cities),
        "industry": list(filters.industries),
        "capital_min": filters.capital_min,
        "capital_max": filters.capital_max,
        "employees_min": filters.employees_min,
        "employees_max": filters.employees_max,
        "mark": list(filters.marks),
        "listed": filters.listed,
        "status": list(filters.statuses),
        "text": filters.text or None,
    }
