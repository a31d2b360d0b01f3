"""Ranked lists of firms for a town."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from api.deps import Cursor, FirmId, Limit, QueryDep, ServiceDep, TownId
from api.openapi import answers, body_examples
from api.pages import MatchQuery, ranked_page
from api.ready import ReadyRoute
from api.schemas import ExplanationView, MatchPage, MatchRequest
from api.views import answer, explanation, list_answer
from zyz_match.profiles import town_from

router = APIRouter(route_class=ReadyRoute, tags=["匹配"])
RequestBody = Annotated[MatchRequest, Body(openapi_examples=body_examples("match_request"))]


@router.get(
    "/towns/{town_id}/matches", summary="专业镇的目标企业", responses=answers("matches", MatchPage)
)
def list_matches(
    service: ServiceDep,
    town_id: TownId,
    query: QueryDep,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """按总分从高到低，分页返回；每家有一句话理由。

    include=reasons 时带各项得分和依据，include=features 时带各项特征值。
    """
    return list_answer(ranked_page(service, town_id, query, limit, cursor))


@router.get(
    "/towns/{town_id}/matches/{firm_id}",
    summary="某企业对某镇的排名说明",
    responses=answers("explanation", ExplanationView),
)
def explain_match(service: ServiceDep, town_id: TownId, firm_id: FirmId) -> Response:
    """名次、各项得分与依据、失分之处、怎样能靠前；不作候选的说明原因。"""
    return answer(explanation(service.explain(town_id, firm_id)))


@router.post(
    "/matches", summary="按随附画像匹配（画像不入库）", responses=answers("post_matches", MatchPage)
)
def match_profile(service: ServiceDep, body: RequestBody) -> Response:
    """为尚未入库的专业镇试排名：画像随请求发送，不进专业镇列表；名单照样留痕，可凭编号查回。"""
    town = town_from(body.town.model_dump(exclude_unset=True))
    query = MatchQuery(body.filters.filters(), body.diversify, frozenset(body.include))
    return list_answer(ranked_page(service, town, query, body.limit, body.cursor))
