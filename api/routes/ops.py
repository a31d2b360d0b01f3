"""For whoever runs the service: does it live, is it ready, how much does it do."""

from fastapi import APIRouter, Request, Response

from api.deps import ServiceDep
from api.metrics import MEDIA_TYPE
from api.openapi import answers
from api.problems import Refusal
from api.ready import Moment
from api.schemas_ops import Probe
from api.strict_route import StrictRoute
from api.views import answer

router = APIRouter(route_class=StrictRoute, tags=["运行状态"])


@router.get("/livez", summary="进程是否在运行", responses=answers("livez", Probe))
async def livez() -> Response:
    """不看存储，只说明进程能应答。"""
    return answer({"status": "alive"})


@router.get("/readyz", summary="是否可以接请求", responses=answers("readyz", Probe))
async def readyz(service: ServiceDep, request: Request) -> Response:
    """存储可读、索引就绪、没有在停止时返回 200，否则 503。"""
    if request.app.state.lifecycle.draining:
        raise Refusal(503, "not_ready", "服务正在停止，请把请求发给别的实例。")
    if not (await Moment.present(service)).state.served:
        raise Refusal(503, "not_ready", "索引还没有就绪，请稍后再试。")
    return answer({"status": "ready"})


@router.get("/metrics", summary="运行指标（Prometheus）", include_in_schema=False)
def metrics(service: ServiceDep, request: Request) -> Response:
    """请求数与耗时、库中各类记录的数目；不含任何企业和个人的信息。"""
    text = request.app.state.metrics.text(service.gauges())
    return Response(text, media_type=MEDIA_TYPE)
