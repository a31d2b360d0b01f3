"""Records of other systems in, up to some hundred at once, each judged apart."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from api.deps import ServiceDep
from api.openapi import answers, body_examples
from api.schemas_upsert import (
    EventsUpsert,
    FirmsUpsert,
    LeadsUpsert,
    TownsUpsert,
    UpsertResult,
)
from api.strict_route import StrictRoute
from api.views import answer
from api.views_upsert import upserted
from zyz_match.upsert_desk import Given, Refused

router = APIRouter(route_class=StrictRoute, tags=["批量写入"])
Firms = Annotated[FirmsUpsert, Body(openapi_examples=body_examples("firms_upsert"))]
Towns = Annotated[TownsUpsert, Body(openapi_examples=body_examples("towns_upsert"))]
Leads = Annotated[LeadsUpsert, Body(openapi_examples=body_examples("leads_upsert"))]
Events = Annotated[EventsUpsert, Body(openapi_examples=body_examples("events_upsert"))]


def _given(items: Sequence[Any]) -> list[Given[Any]]:
    """The items, and why some are none."""
    return [i if isinstance(i, Refused) else i.item() for i in items]


@router.post(
    "/firms:upsert", summary="批量写入企业", responses=answers("firms_upsert", UpsertResult)
)
def upsert_firms(service: ServiceDep, body: Firms) -> Response:
    """按对方编号、企业编号、信用代码、证券代码、名称依次认企业：有则补充更新，无则新建。

    没写或为 null 的字段保持原样，写了的以新值为准（较粗的行业代码不覆盖较细的）。逐条给结果，一条有
    问题不影响其他；同一次请求多次写同一家，按顺序算，后写的为准。有变动时记为一个批次，可撤销。
    """
    done = service.upsert_firms(_given(body.items), all_or_none=body.all_or_none)
    return answer(upserted(done))


@router.post(
    "/towns:upsert", summary="批量写入专业镇", responses=answers("towns_upsert", UpsertResult)
)
def upsert_towns(service: ServiceDep, body: Towns) -> Response:
    """整份替换档案，没有的新建；随即可排名。不归您管理的镇按不存在处理。"""
    done = service.upsert_towns(_given(body.items), all_or_none=body.all_or_none)
    return answer(upserted(done))


@router.post(
    "/leads:upsert", summary="批量写入跟进", responses=answers("leads_upsert", UpsertResult)
)
def upsert_leads(service: ServiceDep, body: Leads) -> Response:
    """记下进展。同一对方编号：内容相同不变，内容不同则更正上一条。

    被更正的记录保留，effective 为 false。
    """
    done = service.upsert_leads(_given(body.items), all_or_none=body.all_or_none)
    return answer(upserted(done))


@router.post(
    "/events:upsert", summary="批量写入投资事件", responses=answers("events_upsert", UpsertResult)
)
def upsert_events(service: ServiceDep, body: Events) -> Response:
    """记下投资事件。同一对方编号：内容相同不变，内容不同则替换原来的事件。"""
    done = service.upsert_events(_given(body.items), all_or_none=body.all_or_none)
    return answer(upserted(done))
