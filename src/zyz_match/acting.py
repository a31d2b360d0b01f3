"""Who acts: the name, role and towns behind whatever a thread does now.

A door says it once (`acting`); the shelves write it into the audit, the hall looks no further than
its towns. What nobody said is done by this machine's own user.
"""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class Role(StrEnum):
    """What somebody may do; api/permissions.py has the table."""

    ADMIN = "admin"  # 市级管理员
    TOWN = "town"  # 专业镇专班：只见自己的镇
    ANALYST = "analyst"  # 分析员：只读，联系人打码
    SECURITY = "security"  # 安全管理员：账号与密钥，不见业务数据
    AUDITOR = "auditor"  # 审计员：只看审计
    CRM = "crm"  # 对接系统


ROLE_NAMES = {
    Role.ADMIN: "市级管理员", Role.TOWN: "专业镇专班", Role.ANALYST: "分析员",
    Role.SECURITY: "安全管理员", Role.AUDITOR: "审计员", Role.CRM: "对接系统",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody at work."""

    name: str
    role: Role
    via: str  # cli | api | worker
    towns: frozenset[str] | None = None  # None is every town
    request_id: str = ""

    def sees(self, town_id: str | None) -> bool:
        """Whether what is about a town, or about none (None), is within this one's sight."""
        return self.towns is None or (town_id is not None and town_id in self.towns)


@cache
def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an account
        return "local"


_ACTOR: ContextVar[Actor | None] = ContextVar("zyz_match_actor", default=None)


def actor() -> Actor:
    """Who acts now."""
    return _ACTOR.get() or Actor(_user(), Role.ADMIN, "cli")


@contextmanager
def acting(somebody: Actor) -> Iterator[None]:
    """Within this, and in the threads it hands its context to, somebody acts."""
    token = _ACTOR.set(somebody)
    try:
        yield
    finally:
        _ACTOR.reset(token)
