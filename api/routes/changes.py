"""What happened, for those who poll."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.deps import Limit, ListId, ServiceDep
from api.openapi import answers
from api.schemas_hooks import ChangePage, ChangeType, ListPublishView
from api.strict_route import StrictRoute
from api.views import answer
from api.views_hooks import change_page, place_of

router = APIRouter(route_class=StrictRoute, tags=["推送"])


@router.get("/changes", summary="变更", responses=answers("changes", ChangePage))
def list_changes(
    service: ServiceDep,
    since: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=2000,
            description="上一次的 next_cursor；不写则从最早保留的变更读起",
        ),
    ] = None,
    types: Annotated[
        list[ChangeType], Query(max_length=20, description="只要这些类型，可重复；不写 = 全部")
    ] = [],  # noqa: B006  # read only; the framework copies defaults
    limit: Limit = 100,
) -> Response:
    """与推送内容相同的事件，旧的在前，至少保留 90 天；请保存 next_cursor，下次作 since。"""
    return answer(change_page(service.changes(place_of(since), types, limit)))


@router.post(
    "/lists/{list_id}:publish", summary="发布名单",
    responses=answers("list_publish", ListPublishView),
)  # fmt: skip
def publish_list(service: ServiceDep, list_id: ListId) -> Response:
    """记下这份名单已交出去用，并通知订阅者；再次发布不重复通知。"""
    new, moment = service.publish(list_id)
    view = {"change": "published" if new else "unchanged", "id": list_id, "published_at": moment}
    return answer(view)
