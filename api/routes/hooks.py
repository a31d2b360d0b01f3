"""Messages of other systems, each with its own signature."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api import strict_json
from api.deps import Cursor, Limit, ServiceDep
from api.examples_hooks import HOOK_BODIES
from api.openapi import answers
from api.schemas_hooks import MessagePage, MessageTaken, MessageView
from api.strict_route import Handler, StrictRequest, StrictRoute, read_body
from api.views import answer
from api.views_hooks import message_page, message_place, message_view
from zyz_match.signing import Incoming


class MessageRoute(StrictRoute):
    """A route whose messages are told apart by their own ids, never by an Idempotency-Key."""

    async def answer_once(
        self, request: StrictRequest, handle: Handler, *, takes_body: bool
    ) -> Response:
        """Answer a request that passed the checks."""
        return await self.respond(request, handle)


router = APIRouter(prefix="/hooks", route_class=StrictRoute, tags=["接收"])
receiving = APIRouter(prefix="/hooks", route_class=MessageRoute, tags=["接收"])
System = Annotated[
    str,
    Path(
        min_length=1, max_length=40, description="系统名，见设置 ZYZ_HOOKS 的文件",
        examples=["crm"],
    ),
]  # fmt: skip
MessageId = Annotated[
    str,
    Path(
        min_length=1, max_length=100, description="消息编号",
        examples=["msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"],
    ),
]  # fmt: skip
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "该系统自己的格式，字段对照见 ZYZ_HOOKS 的文件；最多 200 条记录",
        "content": {
            "application/json": {
                "schema": {},
                "examples": {
                    "hook": dict(zip(("summary", "value"), HOOK_BODIES["hook"], strict=True))
                },
            }
        },
    }
}


async def _incoming(
    request: Request,
    service: ServiceDep,
    system: System,
    token: Annotated[str, Query(max_length=500, description="不能签名的系统：地址里的口令")] = "",
) -> Incoming:
    known = service.hook_system(system)
    return Incoming(
        request.method, known.url, dict(request.headers), token, await read_body(request),
        datetime.now(UTC),
    )  # fmt: skip


@receiving.post(
    "/{system}", summary="接收消息", status_code=202, openapi_extra=_BODY,
    responses=answers("hook", MessageTaken, status=202),
)  # fmt: skip
def receive_message(
    request: Request,
    service: ServiceDep,
    system: System,
    message: Annotated[Incoming, Depends(_incoming)],
) -> Response:
    """验过签名、存好之后才返回 202，随后处理；同一条消息再来没有第二次效果。"""
    found = service.receive(system, message, strict_json.parse)
    request.app.state.deliverer.wake()
    return answer({"id": found.id, "state": found.state}, 202)


@router.get("/{system}/messages", summary="消息列表", responses=answers("messages", MessagePage))
def list_messages(
    service: ServiceDep,
    system: System,
    state: Annotated[
        Literal["waiting", "done", "refused"] | None, Query(description="只看这种状态")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """新的在前，分页返回；每条记录的结果，退回的写明原因。正文不显示。"""
    before = message_place(system, cursor)
    return answer(message_page(system, service.messages(system, state, before, limit + 1), limit))


@router.post(
    "/{system}/messages/{message_id}:retry", summary="重新处理消息",
    responses=answers("message_retry", MessageView),
)  # fmt: skip
def retry_message(service: ServiceDep, system: System, message_id: MessageId) -> Response:
    """退回的消息在补好缺的资料后再处理一次；已处理过的记录不会重复。"""
    return answer(message_view(service.retry_message(system, message_id)))
