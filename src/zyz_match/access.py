"""Who may be let in: a caller that was recognised, and the rules for names, roles and towns."""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from zyz_match.acting import ROLE_NAMES, Actor, Role
from zyz_match.errors import InputError

MAX_NAME = 64
_NAME = re.compile(rf"\w[\w.@-]{{0,{MAX_NAME - 1}}}")
_LIMITED = (Role.TOWN, Role.ANALYST, Role.CRM)  # whose towns may be named; the first must


class Scope(StrEnum):
    """What a key may be used for, within what its role may do."""

    READ = "read"
    WRITE = "write"
    WEBHOOKS = "webhooks"


SCOPE_NAMES = {Scope.READ: "读取", Scope.WRITE: "写入", Scope.WEBHOOKS: "管理推送"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was recognised, and what this one may ask for."""

    name: str
    role: Role
    kind: Literal["session", "key", "local"]
    towns: frozenset[str] | None = None  # None is every town
    scopes: frozenset[Scope] = frozenset(Scope)
    id: str = ""  # of the account or the key
    label: str = ""
    must_change: bool = False  # the password was given out by somebody else
    expires_at: datetime | None = None

    @property
    def roles(self) -> frozenset[Role]:
        """The roles this one has; who sits at the machine itself has two."""
        both = frozenset({Role.ADMIN, Role.AUDITOR})
        return both if self.kind == "local" else frozenset({self.role})

    def actor(self, request_id: str) -> Actor:
        """This one at work on a request."""
        name = f"key:{self.name}" if self.kind == "key" else self.name
        return Actor(name, self.role, "api", self.towns, request_id)


def checked_name(text: str) -> str:
    """The one spelling of a name; InputError for what is no name."""
    name = unicodedata.normalize("NFKC", text).strip().lower()
    if not _NAME.fullmatch(name):
        raise InputError(
            f"名称应为 1-{MAX_NAME} 个字母、汉字、数字或 . _ @ -，以字母、汉字或数字开头。"
        )
    return name


def checked_role(text: str) -> Role:
    """The role of a text; InputError names those that there are."""
    if text not in set(Role):
        known = "、".join(f"{r}（{ROLE_NAMES[r]}）" for r in Role)
        raise InputError(f"没有角色“{text}”。可用的角色：{known}。")
    return Role(text)


def checked_towns(role: Role, towns: Collection[str] | None) -> tuple[str, ...] | None:
    """Ids of the towns that somebody is limited to; InputError when they do not go with the role.

    None is every town, which a town team never has.
    """
    if towns is None:
        if role is Role.TOWN:
            raise InputError("专业镇专班须指定至少一个专业镇。")
        return None
    if role not in _LIMITED:
        raise InputError(f"{ROLE_NAMES[role]}不能限定专业镇，请去掉。")
    if not towns:
        raise InputError("专业镇一个也没有写；不限定请不要写这一项。")
    return tuple(sorted(set(towns)))
