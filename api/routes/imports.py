"""Files in over the interface, each one a job; and the batches that they became."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import FileResponse

from api.deps import Cursor, JobId, Limit, ServiceDep
from api.openapi import answers
from api.pages import number_page
from api.schemas_models import JobView
from api.schemas_upsert import BatchPage, BatchView, UndoView
from api.strict_route import StrictRoute
from api.uploads import Upload, UploadRoute
from api.views import answer
from api.views_models import job_view
from api.views_upsert import batch_view, undo_view
from zyz_match.imports_desk import ImportKind

router = APIRouter(route_class=StrictRoute, tags=["文件导入"])
uploading = APIRouter(route_class=UploadRoute, tags=["文件导入"])
BatchId = Annotated[str, Path(min_length=1, max_length=20, description="批次号", examples=["12"])]
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "文件。用表单的 file 字段；或整个请求体就是文件，在 X-File-Name 头写文件名",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}
_CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "成功",
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "行号,原因,企业名称\r\n7,统一社会信用代码：应为 18 位,合成甲公司\r\n",
            }
        },
    }
}


@uploading.post(
    "/imports", status_code=202, summary="导入一个文件", openapi_extra=_BODY,
    responses=answers("import_post", JobView, status=202),
)  # fmt: skip
def import_file(
    service: ServiceDep,
    request: Request,
    kind: Annotated[ImportKind, Query(description="文件里是什么：企业、跟进、投资事件、专业镇")],
    dry_run: Annotated[bool, Query(description="只预览，不写入")] = False,
    confirmed: Annotated[bool, Query(description="问题行超过两成时仍导入其余行")] = False,
) -> Response:
    """收下文件即返回任务，进度与结果见 /v1/jobs；同一文件再发仍是同一批次。

    整个文件要么全进要么不进。问题行超过两成的，任务以 needs_confirmation 结束，核对后带
    confirmed=true 再发一次。
    """
    upload: Upload = request.state.upload
    job = service.import_job(kind, upload.path, upload.digest, dry_run=dry_run, confirmed=confirmed)
    return answer(job_view(job), 202, {"Location": f"/v1/jobs/{job.id}"})


@router.get("/imports", summary="导入批次", responses=answers("imports", BatchPage))
def list_imports(service: ServiceDep, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """文件导入的批次，新的在前；批量写入接口的批次不在其中，其编号见当时的答复。"""
    found = number_page("imports", service.imports, lambda b: int(b.batch_id), limit, cursor)
    return answer({"items": [batch_view(b) for b in found[0]], "next_cursor": found[1]})


@router.get("/imports/{batch}", summary="一个批次", responses=answers("import", BatchView))
def read_import(service: ServiceDep, batch: BatchId) -> Response:
    """一个批次的文件、条数和时间。"""
    return answer(batch_view(service.import_batch(batch)))


@router.post(
    "/imports/{batch}:undo", summary="撤销一个批次", responses=answers("import_undo", UndoView)
)
def undo_import(service: ServiceDep, batch: BatchId) -> Response:
    """撤销整个批次；后来的导入或人工记录也提到的保留并计数。撤销过的返回 422。"""
    return answer(undo_view(batch, service.undo(batch)))


@router.get(
    "/jobs/{job_id}/rejects", summary="被退回的行", responses=_CSV, response_class=FileResponse
)
def read_rejects(service: ServiceDep, job_id: JobId) -> Response:
    """一次导入中被退回的行和原因（CSV），改好后可直接再导入；保留 7 天。"""
    path = service.import_rejects(job_id)
    return FileResponse(path, media_type="text/csv; charset=utf-8", filename=path.name)
