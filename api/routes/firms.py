"""The firms in the store; contacts are never answered."""

from fastapi import APIRouter, Response

from api.deps import FilterDep, FirmId, Limit, Reasons, ServiceDep
from api.openapi import answers
from api.schemas import FirmDetail, Similars, TownFits
from api.strict_route import StrictRoute
from api.views import answer, firm_detail, similars, town_fits

router = APIRouter(prefix="/firms", route_class=StrictRoute, tags=["企业"])


@router.get("/{firm_id}", summary="企业信息", responses=answers("firm", FirmDetail))
def read_firm(service: ServiceDep, firm_id: FirmId) -> Response:
    """按编号、统一社会信用代码、证券代码或名称取一家企业；不含联系人和电话。"""
    return answer(firm_detail(service.firm(firm_id)))


@router.get(
    "/{firm_id}/towns", summary="企业适合的专业镇", responses=answers("firm_towns", TownFits)
)
def list_firm_towns(
    service: ServiceDep, firm_id: FirmId, reasons: Reasons, limit: Limit = 10
) -> Response:
    """反向匹配：按企业在各镇名单中的名次排序。"""
    firm = service.firm(firm_id)
    return answer(town_fits(firm, service.towns_for(firm.firm_id, k=limit), reasons=reasons))


@router.get("/{firm_id}/similar", summary="相似企业", responses=answers("similar", Similars))
def list_similar(
    service: ServiceDep, firm_id: FirmId, filters: FilterDep, limit: Limit = 10
) -> Response:
    """业务文字最相近的企业及共有的词，可加筛选条件。"""
    firm = service.firm(firm_id)
    return answer(similars(firm, service.similar([firm.firm_id], k=limit, filters=filters)))
