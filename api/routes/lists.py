"""The lists that were shown."""

from fastapi import APIRouter, Response

from api.deps import ListId, ServiceDep
from api.etags import TaggedRoute
from api.openapi import answers
from api.schemas import ListReceipt
from api.views import answer, receipt

router = APIRouter(prefix="/lists", route_class=TaggedRoute, tags=["匹配"])


@router.get("/{list_id}", summary="查一份给出过的名单", responses=answers("list", ListReceipt))
def read_list(service: ServiceDep, list_id: ListId) -> Response:
    """当时的条件、各企业的名次与得分；并重排一次，说明能否原样重现、哪些输入已不在。"""
    return answer(receipt(service.receipt(list_id), service.reproduce(list_id)))
