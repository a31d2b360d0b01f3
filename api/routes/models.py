"""The models: what there is, which one serves, how to get a better one."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.deps import ServiceDep, Version
from api.openapi import answers
from api.schemas_models import JobView, ModelList, ModelView, ServingView, WatchView
from api.strict_route import StrictRoute
from api.views import answer
from api.views_models import job_view, model_list, model_view, serving_view, watch_view

router = APIRouter(route_class=StrictRoute, tags=["模型"])


@router.get("/models", summary="模型列表", responses=answers("models", ModelList))
def list_models(service: ServiceDep) -> Response:
    """全部版本，新的在前，最后是先验；以及正在使用的版本。"""
    return answer(model_list(service))


@router.post(
    "/models:retrain", status_code=202, summary="重新训练",
    responses=answers("retrain", JobView, status=202),
)  # fmt: skip
def retrain(
    service: ServiceDep,
    dry_run: Annotated[bool, Query(description="只训练和评判，不保存也不启用")] = False,
) -> Response:
    """发起一次训练，立即返回任务；同时只有一次，已在进行的直接返回。名单照常可查。"""
    job = service.retrain_job(dry_run=dry_run)
    return answer(job_view(job), 202, {"Location": f"/v1/jobs/{job.id}"})


@router.post("/models:rollback", summary="退回上一版本", responses=answers("serving", ServingView))
def rollback(service: ServiceDep) -> Response:
    """退回上一个启用过的版本，马上生效；再次退回则换回来。"""
    return answer(serving_view(service.rollback()))


@router.get("/watch", summary="运行监测", responses=answers("watch", WatchView))
def watch(service: ServiceDep) -> Response:
    """数据够不够、输入和得分有没有漂移、各专业镇的曝光、各模型出了多少名单。"""
    return answer(watch_view(service.watch()))


@router.get("/models/{version}", summary="模型说明卡", responses=answers("model", ModelView))
def read_model(service: ServiceDep, version: Version) -> Response:
    """一个版本的状态和说明卡：学自哪些数据、效果如何、有什么限度。"""
    return answer(model_view(service, version))


@router.post(
    "/models/{version}:promote", summary="启用模型", responses=answers("promote", ServingView)
)
def promote(service: ServiceDep, version: Version) -> Response:
    """先在另一进程中试载，得分一致才启用；没有的版本 404，损坏的版本 409。"""
    return answer(serving_view(service.promote(version)))
