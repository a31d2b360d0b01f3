"""The towns in the store."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Body, Query, Response

from api.deps import Cursor, Limit, ServiceDep, TownId, town_of
from api.openapi import answers, body_examples
from api.pages import town_page
from api.schemas import TownBody, TownPage, TownProfile, TownPut
from api.strict_route import StrictRoute
from api.views import answer, town_profile

router = APIRouter(prefix="/towns", route_class=StrictRoute, tags=["专业镇"])
ProfileBody = Annotated[TownBody, Body(openapi_examples=body_examples("town"))]


@router.get("", summary="专业镇列表", responses=answers("towns", TownPage))
def list_towns(
    service: ServiceDep, limit: Annotated[Limit, Query()] = 50, cursor: Cursor = None
) -> Response:
    """按编号排序，分页返回。"""
    return answer(town_page(service.towns(), limit, cursor))


@router.get("/{town_id}", summary="专业镇档案", responses=answers("town", TownProfile))
def read_town(service: ServiceDep, town_id: TownId) -> Response:
    """按编号或名称取一个专业镇的档案；空项省略，可原样 PUT 回去。"""
    return answer(town_profile(service.town(town_id)))


@router.put(
    "/{town_id}",
    summary="新建或更新专业镇",
    responses=answers("town_put", TownPut, created=True),
)
def put_town(service: ServiceDep, town_id: TownId, body: ProfileBody) -> Response:
    """整份替换档案，随即可排名；新建返回 201，更新或无变化返回 200。"""
    town = town_of(body, town_id)
    change = service.put_town(town)
    view = {"change": change, "town": town_profile(town)}
    if change == "created":
        return answer(view, 201, {"Location": f"/v1/towns/{quote(town.id, safe='')}"})
    return answer(view)
