"""The shapes of requests and answers about sessions, accounts and keys."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.schemas import Answer, Strict, Text
from zyz_match.access import MAX_NAME
from zyz_match.access_desk import MAX_DAYS

RoleName = Literal["admin", "town", "analyst", "security", "auditor", "crm"]
ScopeName = Literal["read", "write", "webhooks"]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Password = Annotated[str, Field(min_length=1, max_length=200)]
Towns = Annotated[list[Text], Field(min_length=1, max_length=1000)]
Label = Annotated[str, Field(max_length=100)]
_TOWNS = "限定在哪些专业镇（编号或名称）；null 表示不限，专业镇专班必须写"


class SignInBody(Strict):
    """A name and a password."""

    name: Name = Field(description="用户名")
    password: Password = Field(description="密码")


class PasswordBody(Strict):
    """The old and the new password."""

    old: Password = Field(description="现在的密码")
    new: Password = Field(description="新密码，至少 12 个字符，不能含用户名")


class AccountBody(Strict):
    """An account to be added."""

    name: Name = Field(description="用户名：字母、汉字、数字和 . _ @ -，不分大小写")
    role: RoleName = Field(description="角色")
    label: Label = Field(default="", description="说明，如姓名和单位")
    towns: Towns | None = Field(default=None, description=_TOWNS)
    oidc: bool = Field(default=False, description="true：只用统一身份认证登录，不设密码")


class AccountChange(Strict):
    """What is to be changed of an account; what is left out stays."""

    role: RoleName | None = Field(default=None, description="角色；null 表示不改")
    label: Label | None = Field(default=None, description="说明；null 表示不改")
    towns: Towns | None = Field(
        default=None, description="限定在哪些专业镇；写 null 表示改为不限，不写表示不改"
    )


class KeyBody(Strict):
    """A key to be added."""

    name: Name = Field(description="名称，如对接系统名；有效的密钥不能重名")
    role: RoleName = Field(default="crm", description="角色")
    scopes: Annotated[list[ScopeName], Field(min_length=1, max_length=3)] = Field(
        default=["read", "write"],
        description="权限：读取 read、写入 write、管理推送 webhooks，不超出角色",
    )
    towns: Towns | None = Field(default=None, description=_TOWNS)
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] | None = Field(
        default=None, description="有效天数；null 表示不过期"
    )


class CallerView(Answer):
    """Who is asking."""

    name: str
    label: str | None
    role: RoleName
    role_name: str
    kind: Literal["session", "key", "local"] = Field(
        description="凭什么：会话、密钥，或未启用身份认证时的本机用户"
    )
    towns: list[str] | None = Field(description="限定的专业镇；null 表示不限")
    scopes: list[ScopeName]
    must_change: bool = Field(description="true：须先改密码")
    expires_at: datetime | None


class SignedOut(Answer):
    """What a DELETE did."""

    signed_out: Literal[True]


class AccountView(Answer):
    """One account."""

    id: str
    name: str
    label: str | None
    role: RoleName
    role_name: str
    towns: list[str] | None = Field(description="限定的专业镇；null 表示不限")
    password: bool = Field(description="是否可用密码登录")
    oidc: bool = Field(description="是否已与统一身份认证的用户对应")
    must_change: bool = Field(description="一次性密码还没有改")
    locked_until: datetime | None
    created_at: datetime
    disabled_at: datetime | None


class AccountList(Answer):
    """All accounts."""

    items: list[AccountView]


class AccountIssued(Answer):
    """An account with its one-time password."""

    account: AccountView
    one_time_password: str | None = Field(description="只显示这一次；只用统一身份认证的为 null")


class KeyView(Answer):
    """One key; the key itself is nowhere kept."""

    id: str
    name: str
    role: RoleName
    role_name: str
    scopes: list[ScopeName]
    towns: list[str] | None = Field(description="限定的专业镇；null 表示不限")
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None = Field(description="最近一次使用，精确到分钟")


class KeyList(Answer):
    """All keys, newest first."""

    items: list[KeyView]


class KeyIssued(Answer):
    """A key as it was given out."""

    key: KeyView
    secret: str = Field(description="密钥本身，只显示这一次")
