"""The desk where people and machines are recognised, and their accounts and keys looked after."""

import contextlib
import time
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from zyz_match import credentials
from zyz_match.access import (
    Caller,
    Scope,
    checked_name,
    checked_role,
    checked_towns,
)
from zyz_match.acting import ROLE_NAMES, Role, acting, actor
from zyz_match.errors import InputError, SignInRefused, StorageError
from zyz_match.settings import Settings
from zyz_match.storage.accounts import LOCKED_FOR, MAX_FAILED, Account, NewAccount
from zyz_match.storage.keys import ApiKey, NewKey
from zyz_match.storage.store import Store

if TYPE_CHECKING:
    from zyz_match.domain import Town

__all__ = ["AccessDesk", "Account", "ApiKey"]

FIRST: tuple[tuple[str, Role], ...] = (("admin", Role.ADMIN), ("security", Role.SECURITY))
MAX_DAYS = 3_660
_UNKNOWN_EVERY = 60.0  # seconds between two audit rows about names that there are not
_REFUSED = (
    "用户名或密码不对，或者账号已停用、已锁定。"
    f"连续 {MAX_FAILED} 次输错会锁定 {LOCKED_FOR.seconds // 60} 分钟，"
    "请稍后再试或找安全管理员重置。"
)


class AccessDesk:
    """Identity and roles; `Service` inherits it."""

    store: Store
    settings: Settings
    _identity = False  # once on it stays on: accounts and keys are never removed
    _unknown_noted = 0.0

    if TYPE_CHECKING:  # what the rest of the hall lends

        def town(self, text: str) -> Town:
            """See `Service`."""

    # who is there --------------------------------------------------------------------------

    def identity_on(self) -> bool:
        """Whether callers must say who they are: asked for, or since the first account or key."""
        if not self._identity:
            self._identity = self.settings.auth == "on" or self.store.accounts.any()
        return self._identity

    def by_session(self, token: str) -> Caller | None:
        """Whose session token this is, while it lasts."""
        if not credentials.is_token(token):
            return None
        return self.store.sessions.find(credentials.digest(token))

    def by_key(self, key: str) -> tuple[Caller, str] | None:
        """Whose key this is, while it is in force, and the minute of its last use."""
        return self.store.keys.find(credentials.digest(key)) if credentials.is_key(key) else None

    def note_use(self, key_id: str, minute: str) -> None:
        """Keep when a key was used; a database that is busy is no reason to fail."""
        with contextlib.suppress(StorageError):
            self.store.keys.used(key_id, minute)

    # signing in ----------------------------------------------------------------------------

    def sign_in(self, name: str, password: str) -> str:
        """A new session's token; SignInRefused, in the same words whatever the reason."""
        account = self._recognised(name, password)
        token = self._session(account, "password") if account else None
        if token is None:
            raise SignInRefused(_REFUSED)
        return token

    def sign_in_subject(self, issuer: str, subject: str, name: str) -> str | None:
        """A new session's token for who was recognised elsewhere; None without an account."""
        try:
            name = checked_name(name)
        except InputError:  # no account can have it
            name = ""
        account = self.store.accounts.by_subject(f"{issuer} {subject}", name)
        return self._session(account, "oidc") if account else None

    def sign_out(self, token: str) -> None:
        """End a session."""
        self.store.sessions.end(credentials.digest(token))

    def change_password(self, caller: Caller, old: str, new: str) -> str:
        """Another password; all sessions of the account end, the token is that of a new one.

        Raises SignInRefused for a wrong old one, InputError for a new one that will not do.
        """
        credentials.check_password(new, caller.name)
        if new == old:
            raise InputError("新密码与旧密码相同，请另选一个。")
        account = self._recognised(caller.name, old)
        if account is None:
            raise SignInRefused(_REFUSED)
        changed = self.store.accounts.change_password(account.id, credentials.hash_password(new))
        token = self._session(account, "password") if changed else None
        if token is None:
            raise SignInRefused(_REFUSED)
        return token

    def _recognised(self, name: str, password: str) -> Account | None:
        try:
            found = self.store.accounts.with_password(checked_name(name))
        except InputError:
            found = None
        account, kept = found or (None, "")
        if credentials.is_password(password, kept):
            return account
        if account is not None:
            self.store.accounts.failed(account.id)
        elif time.monotonic() - self._unknown_noted > _UNKNOWN_EVERY:
            self._unknown_noted = time.monotonic()
            self.store.accounts.refused_unknown()
        return None

    def _session(self, account: Account, how: str) -> str | None:
        token = credentials.new_token()
        with acting(replace(actor(), name=account.name, role=account.role)):
            began = self.store.sessions.start(account.id, credentials.digest(token), how)
        return token if began else None

    # accounts ------------------------------------------------------------------------------

    def accounts(self) -> list[Account]:
        """All accounts, by name."""
        return self.store.accounts.all()

    def account(self, text: str) -> Account:
        """The account with this id or name; NotFoundError when there is none."""
        return self.store.accounts.get(text)

    def add_account(
        self,
        name: str,
        role: str,
        *,
        label: str = "",
        towns: Collection[str] | None = None,
        oidc: bool = False,
    ) -> tuple[Account, str]:
        """Add an account; with its one-time password, "" for who signs in by OIDC alone.

        Raises InputError for a name that is taken, or towns that do not go with the role.
        """
        known = checked_role(role)
        limits = checked_towns(known, self._town_ids(towns))
        password, kept = ("", "") if oidc else _one_time()
        new = NewAccount(checked_name(name), known, label.strip(), limits, kept)
        return self.store.accounts.add([new])[0], password

    def add_first_accounts(self) -> list[tuple[Account, str]]:
        """The first accounts with their one-time passwords; InputError when there are any."""
        secrets = [_one_time() for _ in FIRST]
        new = [
            NewAccount(name, role, ROLE_NAMES[role], None, kept)
            for (name, role), (_, kept) in zip(FIRST, secrets, strict=True)
        ]
        added = self.store.accounts.add(new, first=True)
        return [(account, told) for account, (told, _) in zip(added, secrets, strict=True)]

    def change_account(
        self,
        text: str,
        *,
        label: str | None = None,
        role: str | None = None,
        towns: Collection[str] | None = None,
        every_town: bool = False,
    ) -> Account:
        """Change what is given; InputError for towns that do not go with the role."""
        values: dict[str, object] = {}
        if label is not None:
            values["label"] = label.strip()
        if role is not None:
            values["role"] = checked_role(role)
        if towns is not None or every_town:
            values["towns"] = self._town_ids(towns)
        return self.store.accounts.change(self.account(text).id, **values)

    def reset_password(self, text: str) -> tuple[Account, str]:
        """Another one-time password, which also unlocks the account and ends its sessions."""
        account, (password, kept) = self.account(text), _one_time()
        return self.store.accounts.reset_password(account.id, kept), password

    def disable_account(self, text: str) -> Account:
        """Shut an account at once; InputError for the last one that looks after accounts."""
        return self.store.accounts.disable(text)

    def enable_account(self, text: str) -> Account:
        """Open an account again."""
        return self.store.accounts.enable(text)

    # keys ----------------------------------------------------------------------------------

    def api_keys(self) -> list[ApiKey]:
        """All keys, newest first; revoked ones too."""
        return self.store.keys.all()

    def api_key(self, key_id: str) -> ApiKey:
        """The key with this id; NotFoundError when there is none."""
        return self.store.keys.get(key_id)

    def add_key(
        self,
        name: str,
        role: str,
        *,
        scopes: Collection[str] = (Scope.READ, Scope.WRITE),
        towns: Collection[str] | None = None,
        days: int | None = None,
    ) -> tuple[ApiKey, str]:
        """Add a key for a machine; with the key itself, which is nowhere kept.

        Raises InputError for a name that is taken, or scopes, towns or days that will not do.
        """
        known = checked_role(role)
        if unknown := sorted(set(scopes) - set(Scope)):
            raise InputError(f"没有权限“{unknown[0]}”。可用：{'、'.join(Scope)}。")
        if not scopes:
            raise InputError(f"至少要有一项权限：{'、'.join(Scope)}。")
        if days is not None and not 1 <= days <= MAX_DAYS:
            raise InputError(f"有效天数应为 1 到 {MAX_DAYS}，现为 {days}。")
        limits = checked_towns(known, self._town_ids(towns))
        key = credentials.new_key()
        new = NewKey(
            checked_name(name), known, tuple(s for s in Scope if s in set(scopes)), limits,
            credentials.digest(key), datetime.now(UTC) + timedelta(days=days) if days else None,
        )  # fmt: skip
        return self.store.keys.add(new), key

    def revoke_key(self, key_id: str) -> ApiKey:
        """Put a key out of force at once and for good."""
        return self.store.keys.revoke(key_id)

    def _town_ids(self, towns: Collection[str] | None) -> list[str] | None:
        return None if towns is None else [self.town(t).id for t in towns]


def _one_time() -> tuple[str, str]:
    password = credentials.one_time_password()
    return password, credentials.hash_password(password)
