"""The shapes of answers about the service itself, the audit and contacts."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.schemas import Answer


class Probe(Answer):
    """Whether a process lives, or takes requests."""

    status: Literal["alive", "ready"]


class AuditRow(Answer):
    """One row of the audit."""

    id: int = Field(description="序号，从 1 起连续")
    at: datetime | None = Field(description="记录被改坏、时间读不出时为 null")
    actor: str = Field(description="账号、密钥或系统用户的名字")
    role: str
    via: str = Field(description="cli、api 或 worker")
    request_id: str | None
    action: str = Field(description="做了什么，如 lead.record、list.see、model.promote")
    object: str | None = Field(description="对什么做的")
    detail: dict[str, Any] = Field(description="补充说明，无个人信息；记录被改坏时有 damaged")


class AuditPage(Answer):
    """Rows, newest first."""

    items: list[AuditRow]
    next_cursor: int | None = Field(description="下一页的 cursor；没有更早的记录时为 null")


class Contact(Answer):
    """One contact of a firm."""

    kind: Literal["phone", "mail", "person"]
    value: str = Field(description="masked 为 true 时已打码")


class ContactList(Answer):
    """The contacts of a firm."""

    firm_id: str
    masked: bool = Field(description="是否因角色而打码")
    items: list[Contact]


class Erased(Answer):
    """What was erased."""

    firm_id: str
    erased: int = Field(description="删除了几条联系方式")
