"""The towns in the store."""

from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Body, Query, Request, Response

from api.deps import Cursor, ServiceDep, TownId, town_of
from api.etags import TaggedRoute, check_match
from api.listing import ListingDep, among
from api.openapi import answers, body_examples
from api.pages import record_page
from api.schemas import TownBody, TownPage, TownProfile, TownPut, Words
from api.views import answer, town_item, town_profile
from zyz_match.domain import Town

router = APIRouter(prefix="/towns", route_class=TaggedRoute, tags=["专业镇"])
ProfileBody = Annotated[TownBody, Body(openapi_examples=body_examples("town"))]


@router.get("", summary="专业镇列表", responses=answers("towns", TownPage))
def list_towns(
    service: ServiceDep,
    asked: ListingDep,
    province: Annotated[Words, Query(description="省份，可重复")] = [],  # noqa: B006
    city: Annotated[Words, Query(description="城市，可重复")] = [],  # noqa: B006
    cursor: Cursor = None,
) -> Response:
    """按编号或变动时间排序，分页返回。"""
    where = among(province=province, city=city)
    page = record_page(service.list_towns, town_item, replace(asked, where=where), cursor)
    return answer({**page, "total": len(service.towns())})


@router.get("/{town_id}", summary="专业镇档案", responses=answers("town", TownProfile))
def read_town(service: ServiceDep, town_id: TownId) -> Response:
    """按编号或名称取一个专业镇的档案；空项省略，可原样 PUT 回去。"""
    return answer(town_profile(service.town(town_id)))


@router.put(
    "/{town_id}",
    summary="新建或更新专业镇",
    responses=answers("town_put", TownPut, created=True),
)
def put_town(service: ServiceDep, request: Request, town_id: TownId, body: ProfileBody) -> Response:
    """整份替换档案，随即可排名；新建返回 201，更新或无变化返回 200。

    带 If-Match（GET 时的 ETag）则只在档案没有被别人改过时写入，
    带 If-None-Match: * 则只新建，否则 412。
    """

    def accept(now: Town | None) -> None:
        check_match(request, None if now is None else bytes(answer(town_profile(now)).body))

    town = town_of(body, town_id)
    change = service.put_town(town, accept)
    view = {"change": change, "town": town_profile(town)}
    if change == "created":
        return answer(view, 201, {"Location": f"/v1/towns/{quote(town.id, safe='')}"})
    return answer(view)
