"""The contacts of a firm: shown by role, erased for good; every look leaves its trace."""

from fastapi import APIRouter, Response

from api.deps import FirmId, ServiceDep
from api.openapi import answers
from api.schemas_ops import ContactList, Erased
from api.strict_route import StrictRoute
from api.views import answer
from api.views_ops import contact_list

router = APIRouter(prefix="/firms", route_class=StrictRoute, tags=["联系人"])


@router.get(
    "/{firm_id}/contacts", summary="企业的联系人", responses=answers("contacts", ContactList)
)
def list_contacts(service: ServiceDep, firm_id: FirmId) -> Response:
    """市级管理员和专业镇专班看到全部，分析员和对接系统看到打码的；每次查看都记入审计。"""
    return answer(contact_list(service.contacts(firm_id)))


@router.delete(
    "/{firm_id}/contacts",
    summary="删除企业的联系人",
    responses=answers("contacts_delete", Erased),
)
def erase_contacts(service: ServiceDep, firm_id: FirmId) -> Response:
    """永久删除；以后的导入也不会再带回，除非管理员用 zyz-match contacts --allow 重新允许。"""
    firm = service.firm(firm_id)
    return answer({"firm_id": firm.firm_id, "erased": service.erase_contacts(firm.firm_id)})
