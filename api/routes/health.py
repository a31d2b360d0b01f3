"""Whether the service can do its work."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response

import zyz_match
from api.deps import ServiceDep
from api.openapi import answers
from api.schemas import Health
from api.strict_route import StrictRoute
from api.views import answer

router = APIRouter(route_class=StrictRoute, tags=["运行状态"])


@router.get("/healthz", summary="服务是否可用", responses=answers("health", Health))
def healthz(service: ServiceDep) -> Response:
    """存储可读时返回专业镇数、企业数、模型与数据版本；存储不可用时返回 503。"""
    counts = service.status()
    note = counts.pop("model_note") or None
    about = {"version": zyz_match.__version__, "model_note": note, **counts}
    return answer({"status": "ok", "time": datetime.now(UTC), **about})
