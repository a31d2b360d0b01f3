"""Who did what, for the auditor."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.deps import ServiceDep
from api.listing import Since
from api.openapi import answers
from api.schemas_ops import AuditPage
from api.strict_route import StrictRoute
from api.views import answer
from api.views_ops import audit_page
from zyz_match.ops_desk import MAX_NOTED, Wanted

router = APIRouter(prefix="/audit", route_class=StrictRoute, tags=["审计"])
Word = Annotated[str | None, Query(min_length=1, max_length=200)]


@router.get("", summary="审计记录", responses=answers("audit", AuditPage))
def list_audit(
    service: ServiceDep,
    since: Since = None,
    action: Annotated[Word, Query(description="做了什么，如 model.promote")] = None,
    actor: Annotated[Word, Query(description="谁做的")] = None,
    object: Annotated[Word, Query(description="对什么做的")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_NOTED, description="返回条数")] = 50,
    cursor: Annotated[int | None, Query(ge=1, lt=2**31, description="上一页的 next_cursor")] = None,
) -> Response:
    """谁在何时看了、改了、导出了、启用了什么，新的在前；只增不改，每条与前一条链在一起。"""
    wanted = Wanted(since or "", action or "", actor or "", object or "")
    return answer(audit_page(service.audit(wanted, before=cursor, k=limit), limit))
