"""The shapes of requests and answers about webhooks, changes and other systems' messages."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from api.schemas import Answer, LeadReason, LeadStage, Strict, Text

ChangeType = Literal[
    "list.published", "lead.changed", "model.promoted", "model.rejected", "import.finished"
]
Url = Annotated[str, Field(min_length=1, max_length=2000)]
Types = Annotated[list[ChangeType], Field(max_length=20)]
Towns = Annotated[list[Text], Field(min_length=1, max_length=1000)]
Note = Annotated[str, Field(max_length=500)]


# requests ----------------------------------------------------------------------------------


class WebhookBody(Strict):
    """A receiver to tell."""

    url: Url = Field(description="推送到哪里；主机:端口须在管理员的名单（ZYZ_WEBHOOK_TARGETS）中")
    types: Types = Field(default=[], description="推送哪些类型；空 = 全部")
    towns: Towns | None = Field(
        default=None, description="只推送这些专业镇（编号）的变更；null = 调用者可见的全部"
    )
    note: Note = Field(default="", description="说明，给人看")


class WebhookChange(Strict):
    """What to change of a receiver; what is left out, or null, stays as it is."""

    url: Url | None = Field(default=None, description="新的推送地址")
    types: Types | None = Field(default=None, description="推送哪些类型；空 = 全部")
    towns: Towns | None = Field(default=None, description="只推送这些专业镇（编号）的变更")
    note: Note | None = Field(default=None, description="说明，给人看")
    enabled: bool | None = Field(default=None, description="false = 暂停；true = 恢复并补发")


# answers -----------------------------------------------------------------------------------


class WebhookView(Answer):
    """A receiver."""

    id: str
    url: str
    types: list[ChangeType] = Field(description="空 = 全部")
    towns: list[str] | None = Field(description="null = 全部")
    note: str | None
    state: Literal["ok", "failing", "disabled"]
    failing_since: datetime | None = Field(description="从何时起一直没有推送成功")
    disabled_at: datetime | None
    disabled_because: str | None = Field(description="为什么停用")
    waiting: int = Field(description="还没有送到的条数")
    rotating_until: datetime | None = Field(description="旧密钥用到何时；null 表示没有在轮换")
    created_at: datetime
    created_by: str


class WebhookList(Answer):
    """The receivers, oldest first."""

    items: list[WebhookView]


class WebhookIssued(Answer):
    """A receiver with its secret, told this once."""

    webhook: WebhookView
    secret: str = Field(description="签名密钥，whsec_ 开头，只显示这一次")


class WebhookRemoved(Answer):
    """A receiver that is no more."""

    id: str
    removed: Literal[True]


class WebhookTested(Answer):
    """What a test message came to."""

    delivered: bool
    status: int | None = Field(description="对方的状态码；null 表示没有回答")
    milliseconds: int
    error: str | None = Field(description="没有送到的原因")


class TryView(Answer):
    """One try."""

    at: datetime
    status: int | None = Field(description="对方的状态码；null 表示没有回答")
    milliseconds: int
    error: str | None


class ToldView(Answer):
    """Which change a delivery is about."""

    id: str = Field(description="事件编号，即 webhook-id，每次重试都相同")
    type: ChangeType
    subject: str
    timestamp: datetime


class DeliveryView(Answer):
    """One delivery."""

    id: int
    webhook_id: str
    event: ToldView
    state: Literal["waiting", "delivered", "failed"]
    attempts: int = Field(description="已试次数；重新投递后从零数起")
    next_at: datetime | None = Field(description="下一次不早于；null 表示不再尝试")
    delivered_at: datetime | None
    tries: list[TryView] = Field(description="最近 30 天的尝试，旧的在前")


class DeliveryPage(Answer):
    """One page of deliveries, of the newest changes first."""

    items: list[DeliveryView]
    next_cursor: str | None = Field(description="下一页游标；null 表示没有了")


class _Told(Answer):
    """What every change says; the body of a webhook is the same."""

    id: str = Field(description="事件编号，即推送时的 webhook-id；按它去重")
    timestamp: datetime = Field(description="发生的时间，UTC")
    subject: str = Field(description="关于什么；同一 subject 的事件按先后给出")


class LeadData(Answer):
    """An entry that was added or taken back."""

    change: Literal["added", "removed"] = Field(description="removed：随导入批次撤销")
    lead_id: int
    town_id: str
    firm_id: str
    stage: LeadStage
    date: date
    reason: LeadReason | None
    owner: str | None = Field(description="跟进人")
    list_id: str | None
    corrects: int | None = Field(description="它更正的那一条")
    via: str


class LeadChanged(_Told):
    """An entry between a town and a firm."""

    type: Literal["lead.changed"]
    town_id: str
    data: LeadData


class ListData(Answer):
    """A list that was handed on."""

    list_id: str
    town_id: str
    model: str
    firms: int = Field(description="名单上的企业数")
    published_at: datetime


class ListPublished(_Told):
    """A list was published."""

    type: Literal["list.published"]
    town_id: str
    data: ListData


class PromotedData(Answer):
    """Which model serves now."""

    version: str | None = Field(description="正在使用的版本；null 为先验")
    previous: str | None = Field(description="之前的版本；null 为先验")
    action: Literal["promote", "rollback"]
    note: str | None = Field(description="评判结论或说明")


class ModelPromoted(_Told):
    """Another model serves."""

    type: Literal["model.promoted"]
    town_id: None
    data: PromotedData


class RejectedData(Answer):
    """Why a trained model was not promoted."""

    serving: str | None = Field(description="仍在使用的版本；null 为先验")
    note: str | None = Field(description="评判结论")


class ModelRejected(_Told):
    """A trained model was no better."""

    type: Literal["model.rejected"]
    town_id: None
    data: RejectedData


class ImportData(Answer):
    """What an import did."""

    batch_id: str
    kind: str = Field(description="firms、leads 或 events")
    rows: int
    created: int
    updated: int
    unchanged: int


class ImportFinished(_Told):
    """A file is in the store."""

    type: Literal["import.finished"]
    town_id: None
    data: ImportData


ChangeView = Annotated[
    LeadChanged | ListPublished | ModelPromoted | ModelRejected | ImportFinished,
    Field(discriminator="type"),
]


class ChangePage(Answer):
    """What happened, oldest first."""

    items: list[ChangeView]
    next_cursor: str = Field(description="下一次的 since；没有新变更时也给出，请保存")
    more: bool = Field(description="true：现在就还有更多，请马上接着读")


class ListPublishView(Answer):
    """A list that was handed on."""

    change: Literal["published", "unchanged"]
    id: str
    published_at: datetime


class RecordView(Answer):
    """What became of one record of a message."""

    index: int
    change: Literal["created", "unchanged", "ignored", "refused"]
    lead_id: int | None
    reason: str | None = Field(description="退回的原因和办法")


class MessageView(Answer):
    """A message of another system; its body is never shown."""

    id: str
    system: str
    received_at: datetime
    state: Literal["waiting", "done", "refused"] = Field(
        description="waiting 已收下待处理；done 已处理；refused 至少一条记录被退回"
    )
    records: list[RecordView]


class MessagePage(Answer):
    """One page of messages, newest first."""

    items: list[MessageView]
    next_cursor: str | None = Field(description="下一页游标；null 表示没有了")


class MessageTaken(Answer):
    """A message that is kept."""

    id: str = Field(description="消息编号；同一编号只有一次效果")
    state: Literal["waiting", "done", "refused"]
