"""What workers do beside the lists."""

from fastapi import APIRouter, Response

from api.deps import JobId, ServiceDep
from api.openapi import answers
from api.schemas_models import JobList, JobView
from api.strict_route import StrictRoute
from api.views import answer
from api.views_models import job_view

router = APIRouter(prefix="/jobs", route_class=StrictRoute, tags=["任务"])


@router.get("", summary="任务列表", responses=answers("jobs", JobList))
def list_jobs(service: ServiceDep) -> Response:
    """最近 50 个任务，新的在前；执行中断的任务会接着做。"""
    return answer({"items": [job_view(j) for j in service.jobs()]})


@router.get("/{job_id}", summary="任务进度", responses=answers("job", JobView))
def read_job(service: ServiceDep, job_id: JobId) -> Response:
    """一个任务的状态、进度和结果。"""
    return answer(job_view(service.job(job_id)))


@router.post("/{job_id}:cancel", summary="取消任务", responses=answers("job_cancel", JobView))
def cancel_job(service: ServiceDep, job_id: JobId) -> Response:
    """排队的任务马上取消，进行中的在下一步停下；已结束的任务保持原样。"""
    return answer(job_view(service.cancel_job(job_id)))
