"""The shapes of answers about models and jobs."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.schemas import Answer


class JobResult(Answer):
    """What a training came to."""

    version: str | None = Field(description="新模型的版本；试训练时为 null")
    promoted: bool = Field(description="是否已启用")
    verdict: str = Field(description="评判结论：为什么启用或不启用")
    card: dict[str, Any] | None = Field(description="试训练的说明卡；已保存的模型见 /v1/models")


class ColumnView(Answer):
    """What a column of a file was taken for."""

    header: str
    target: str | None = Field(description="本系统的字段；null 表示没有使用")


class ImportResult(Answer):
    """What the import of a file came to; what is not known is null."""

    kind: Literal["firms", "leads", "events", "towns"]
    file_name: str
    batch: str | None = Field(description="批次号，可凭它撤销；预览或没有写入时为 null")
    rows: int | None = Field(description="读入的行数")
    created: int | None
    updated: int | None
    unchanged: int | None
    rejected: int | None = Field(description="退回的行数，内容见 /v1/jobs/{job_id}/rejects")
    repeated: bool = Field(description="这个文件以前导入过，条数是当时的")
    code: str | None = Field(description="失败的原因代码，如 needs_confirmation、invalid_file")
    warnings: list[str]
    columns: list[ColumnView]
    verdict: str = Field(description="一句话结果")


class JobView(Answer):
    """One job."""

    id: str
    kind: Literal["retrain", "import"]
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    what: str | None = Field(description="正在做什么")
    done: int
    total: int
    dry_run: bool
    cancel_requested: bool
    attempts: int = Field(description="第几次执行；中断后接着做算一次")
    result: JobResult | ImportResult | None
    error: str | None = Field(description="失败的原因和办法")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobList(Answer):
    """The newest jobs."""

    items: list[JobView]


class ServingView(Answer):
    """Which version serves."""

    version: str = Field(description="正在使用的版本")
    previous: str | None = Field(description="退回时的版本；还没有启用过别的版本时为 null")
    since: datetime | None
    note: str | None = Field(default=None, description="正在使用的版本不可用时：原因和暂用的版本")


class ModelSummary(Answer):
    """One version in the list."""

    version: str
    created_at: datetime | None = Field(description="训练时间；先验为 null")
    serving: bool
    previous: bool
    verdict: str = Field(description="评判结论")
    unusable: str | None = Field(description="不能使用的原因和办法")


class ModelList(Answer):
    """All versions and the one that serves."""

    serving: ServingView
    items: list[ModelSummary]


class ModelView(ModelSummary):
    """One version with its card."""

    card: dict[str, Any] = Field(description="说明卡，内容随版本而定")


class DriftView(Answer):
    """How far the newest values of one quantity have moved."""

    name: str
    label: str
    psi: float = Field(description="群体稳定性指数")
    limit: float = Field(description="随样本量而定的界限，超过才算漂移")
    before: int = Field(description="较早的个数")
    now: int = Field(description="最新的个数")
    fired: bool


class ExposureView(Answer):
    """How much of everything shown was shown for a town."""

    town_id: str
    lists: int
    share: float = Field(description="曝光占比，按名次折减")
    merit: float | None = Field(description="成果占比；还没有成果时为 null")


class WatchView(Answer):
    """What is watched, at one moment."""

    sufficiency: str = Field(description="数据够不够，用一句话说")
    drifts: list[DriftView]
    exposure: list[ExposureView]
    models: dict[str, float] = Field(description="各模型所出名单的占比")
