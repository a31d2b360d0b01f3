"""Who is told what happens, and what became of the telling."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Response

from api.deps import Cursor, Limit, ServiceDep
from api.openapi import answers, body_examples
from api.schemas_hooks import (
    DeliveryPage,
    DeliveryView,
    WebhookBody,
    WebhookChange,
    WebhookIssued,
    WebhookList,
    WebhookRemoved,
    WebhookTested,
    WebhookView,
)
from api.strict_route import StrictRoute
from api.views import answer
from api.views_hooks import (
    delivery_page,
    delivery_place,
    delivery_view,
    tested_view,
    webhook_view,
)

router = APIRouter(route_class=StrictRoute, tags=["推送"])
WebhookId = Annotated[
    str,
    Path(
        min_length=1, max_length=100, description="推送编号",
        examples=["whk_3fa9c2d1b07e4a5566778899"],
    ),
]  # fmt: skip
DeliveryId = Annotated[int, Path(ge=1, le=2**31 - 1, description="投递编号", examples=[31])]
BodyDep = Annotated[WebhookBody, Body(openapi_examples=body_examples("webhook"))]
ChangeDep = Annotated[WebhookChange, Body(openapi_examples=body_examples("webhook_change"))]


@router.get("/webhooks", summary="推送列表", responses=answers("webhooks", WebhookList))
def list_webhooks(service: ServiceDep) -> Response:
    """调用者可见的全部推送，旧的在前；state 为 failing 表示从 failing_since 起一直没有送到。"""
    return answer({"items": [webhook_view(w) for w in service.webhooks()]})


@router.post(
    "/webhooks", summary="新建推送", status_code=201,
    responses=answers("webhook_post", WebhookIssued, status=201),
)  # fmt: skip
def add_webhook(service: ServiceDep, body: BodyDep) -> Response:
    """从现在起的变更按 Standard Webhooks v1 签名推送到这个地址；密钥只显示这一次。"""
    made, secret = service.add_webhook(body.url, body.types, body.towns, body.note)
    view = {"webhook": webhook_view(made), "secret": secret}
    return answer(view, 201, {"Location": f"/v1/webhooks/{made.id}"})


@router.get("/webhooks/{webhook_id}", summary="一个推送", responses=answers("webhook", WebhookView))
def read_webhook(service: ServiceDep, webhook_id: WebhookId) -> Response:
    """地址、类型、状态和还没有送到的条数；密钥不再显示。"""
    return answer(webhook_view(service.webhook(webhook_id)))


@router.patch(
    "/webhooks/{webhook_id}", summary="修改推送", responses=answers("webhook_change", WebhookView)
)
def change_webhook(service: ServiceDep, webhook_id: WebhookId, body: ChangeDep) -> Response:
    """只改写了的项；enabled 为 false 时暂停，恢复后从停下的地方补发。"""
    values = body.model_dump(exclude_none=True)
    return answer(webhook_view(service.change_webhook(webhook_id, values)))


@router.delete(
    "/webhooks/{webhook_id}", summary="删除推送",
    responses=answers("webhook_remove", WebhookRemoved),
)  # fmt: skip
def remove_webhook(service: ServiceDep, webhook_id: WebhookId) -> Response:
    """连同投递记录一起删除，不能恢复。"""
    service.remove_webhook(webhook_id)
    return answer({"id": webhook_id, "removed": True})


@router.post(
    "/webhooks/{webhook_id}:test", summary="试推送",
    responses=answers("webhook_test", WebhookTested),
)  # fmt: skip
def test_webhook(service: ServiceDep, webhook_id: WebhookId) -> Response:
    """马上推送一条类型为 webhook.test 的消息，返回对方的反应；停用的也可以试。"""
    return answer(tested_view(service.test_webhook(webhook_id)))


@router.post(
    "/webhooks/{webhook_id}:rotate", summary="换密钥",
    responses=answers("webhook_rotate", WebhookIssued),
)  # fmt: skip
def rotate_webhook(service: ServiceDep, webhook_id: WebhookId) -> Response:
    """换用新密钥，只显示这一次；被换下的密钥 24 小时内仍一同签名（连续换的，最多四个签名）。"""
    found, secret = service.rotate_webhook(webhook_id)
    return answer({"webhook": webhook_view(found), "secret": secret})


@router.post(
    "/webhooks/{webhook_id}:enable", summary="重新启用",
    responses=answers("webhook_enable", WebhookView),
)  # fmt: skip
def enable_webhook(service: ServiceDep, webhook_id: WebhookId) -> Response:
    """对方返回 410 或被暂停后重新启用；没有送到的马上补发。"""
    return answer(webhook_view(service.enable_webhook(webhook_id)))


@router.get(
    "/webhooks/{webhook_id}/deliveries", summary="投递记录",
    responses=answers("deliveries", DeliveryPage),
)  # fmt: skip
def list_deliveries(
    service: ServiceDep, webhook_id: WebhookId, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """最新的变更在前，分页返回；每次尝试的状态码、用时和原因。"""
    before = delivery_place(webhook_id, cursor)
    found = service.deliveries(webhook_id, before, limit + 1)
    return answer(delivery_page(webhook_id, found, limit))


@router.post(
    "/deliveries/{delivery_id}:redeliver", summary="重新投递",
    responses=answers("redeliver", DeliveryView),
)  # fmt: skip
def redeliver(service: ServiceDep, delivery_id: DeliveryId) -> Response:
    """再送一次，事件编号不变；已送到的也可以，失败的从头重试。"""
    return answer(delivery_view(service.redeliver(delivery_id)))
