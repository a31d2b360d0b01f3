"""The firms in the store; contacts have an address of their own."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.deps import Cursor, FilterDep, FirmId, Included, Limit, ServiceDep
from api.etags import TaggedRoute
from api.listing import ListingDep, among
from api.openapi import answers
from api.pages import record_page
from api.schemas import FirmDetail, FirmPage, Mark, Similars, TownFits, Words
from api.views import answer, firm_detail, similars, town_fits

router = APIRouter(prefix="/firms", route_class=TaggedRoute, tags=["企业"])


@router.get("", summary="企业列表", responses=answers("firms", FirmPage))
def list_firms(
    service: ServiceDep,
    asked: ListingDep,
    province: Annotated[Words, Query(description="省份，可重复")] = [],  # noqa: B006
    city: Annotated[Words, Query(description="城市，可重复")] = [],  # noqa: B006
    mark: Annotated[list[Mark], Query(max_length=50, description="资质，可重复")] = [],  # noqa: B006
    uscc: Annotated[
        str | None, Query(min_length=1, max_length=18, description="统一社会信用代码")
    ] = None,
    cursor: Cursor = None,
) -> Response:
    """分页返回，可按变动时间对账：下次以见过的最大 updated_at 作 updated_since，不会漏。"""
    where = among(province=province, city=city, marks=mark, uscc=uscc)
    return answer(record_page(service.list_firms, firm_detail, replace(asked, where=where), cursor))


@router.get("/{firm_id}", summary="企业信息", responses=answers("firm", FirmDetail))
def read_firm(service: ServiceDep, firm_id: FirmId) -> Response:
    """按编号、统一社会信用代码、证券代码或名称取一家企业；不含联系人和电话。"""
    return answer(firm_detail(service.stored_firm(firm_id)))


@router.get(
    "/{firm_id}/towns", summary="企业适合的专业镇", responses=answers("firm_towns", TownFits)
)
def list_firm_towns(
    service: ServiceDep, firm_id: FirmId, include: Included, limit: Limit = 10
) -> Response:
    """反向匹配：按企业在各镇名单中的名次排序。"""
    firm = service.firm(firm_id)
    return answer(town_fits(firm, service.towns_for(firm.firm_id, k=limit), include))


@router.get("/{firm_id}/similar", summary="相似企业", responses=answers("similar", Similars))
def list_similar(
    service: ServiceDep, firm_id: FirmId, filters: FilterDep, limit: Limit = 10
) -> Response:
    """业务文字最相近的企业及共有的词，可加筛选条件。"""
    firm = service.firm(firm_id)
    return answer(similars(firm, service.similar([firm.firm_id], k=limit, filters=filters)))
