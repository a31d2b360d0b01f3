"""What became of a list: entries and events, each written down once and never changed."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Body, Response

from api.deps import Cursor, LeadQueryDep, Limit, ServiceDep
from api.openapi import answers, body_examples
from api.pages import lead_page
from api.schemas import EventBody, EventRecorded, LeadBody, LeadPage, LeadRecorded
from api.strict_route import StrictRoute
from api.views import answer, event, lead
from zyz_match.domain import Stage

router = APIRouter(route_class=StrictRoute, tags=["跟进"])
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
    return answer({"change": done.change, "lead": lead(done.entry)}, _status(done.change))


@router.get("/leads", summary="跟进记录", responses=answers("leads", LeadPage))
def list_leads(
    service: ServiceDep, query: LeadQueryDep, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """按日期从近到远，分页返回；被更正的记录也在其中，effective 为 false。"""
    return answer(lead_page(service, query, limit, cursor))


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
