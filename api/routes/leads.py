"""What became of a list: entries and events, each written down once and never changed."""

from dataclasses import replace
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Response

from api.deps import Cursor, ServiceDep
from api.etags import TaggedRoute
from api.listing import LeadListingDep, ListingDep, among
from api.openapi import answers, body_examples
from api.pages import record_page
from api.schemas import (
    EventBody,
    EventPage,
    EventRecorded,
    LeadBody,
    LeadPage,
    LeadRecorded,
    LeadStage,
    LeadView,
    Text,
)
from api.views import answer, event, event_item, lead, lead_item
from zyz_match.domain import Stage

router = APIRouter(route_class=TaggedRoute, tags=["跟进"])
LeadDep = Annotated[LeadBody, Body(openapi_examples=body_examples("lead"))]
EventDep = Annotated[EventBody, Body(openapi_examples=body_examples("event"))]


def _status(change: str) -> int:
    return 201 if change == "created" else 200


@router.post(
    "/leads", summary="记一条进展", responses=answers("lead_post", LeadRecorded, created=True)
)
def record_lead(service: ServiceDep, body: LeadDep) -> Response:
    """记下企业与专业镇到了哪一步：新记录返回 201，内容相同的再发返回 200；不覆盖以前的记录。"""
    done = service.record_outcome(
        body.town_id, body.firm_id, Stage(body.stage),
        on=date.fromisoformat(body.date) if body.date else None, reason=body.reason or "",
        owner=body.owner, note=body.note, list_id=body.list_id, corrects=body.corrects, via="api",
    )  # fmt: skip
    view = lead(done.entry, service.external_ids("lead", str(done.entry.id)))
    return answer({"change": done.change, "lead": view}, _status(done.change))


@router.get("/leads", summary="跟进记录", responses=answers("leads", LeadPage))
def list_leads(
    service: ServiceDep,
    asked: LeadListingDep,
    town: Annotated[Text | None, Query(description="只看这个专业镇")] = None,
    firm: Annotated[Text | None, Query(description="只看这家企业")] = None,
    stage: Annotated[list[LeadStage], Query(max_length=20, description="阶段，可重复")] = [],  # noqa: B006
    cursor: Cursor = None,
) -> Response:
    """分页返回，默认按日期从近到远；被更正的记录也在其中，effective 为 false。"""
    where = among(town_id=town, firm_id=firm, stage=stage)
    return answer(record_page(service.list_leads, lead_item, replace(asked, where=where), cursor))


@router.get("/leads/{lead_id}", summary="一条跟进记录", responses=answers("lead", LeadView))
def read_lead(
    service: ServiceDep,
    lead_id: Annotated[int, Path(ge=1, le=2**31 - 1, description="记录编号", examples=[1])],
) -> Response:
    """按编号取一条记录；被更正的也能取到。"""
    return answer(lead(service.lead(lead_id), service.external_ids("lead", str(lead_id))))


@router.get("/events", summary="投资事件", responses=answers("events", EventPage))
def list_events(
    service: ServiceDep,
    asked: ListingDep,
    firm: Annotated[Text | None, Query(description="只看这家企业")] = None,
    cursor: Cursor = None,
) -> Response:
    """分页返回，按编号（由内容算出）或记下的时间排序。"""
    where = among(firm_id=firm)
    return answer(record_page(service.list_events, event_item, replace(asked, where=where), cursor))


@router.post(
    "/events",
    summary="记一个投资事件",
    responses=answers("event_post", EventRecorded, created=True),
)
def record_event(service: ServiceDep, body: EventDep) -> Response:
    """记下企业在别处的投资、设点、并购、扩产：新事件返回 201，内容相同的再发返回 200。"""
    change, found = service.record_event(
        body.firm_id, date.fromisoformat(body.date), region=body.region, industry=body.industry,
        target=body.target, kind=body.kind, amount=body.amount_10k_cny,
    )  # fmt: skip
    return answer({"change": change, "event": event(found)}, _status(change))
