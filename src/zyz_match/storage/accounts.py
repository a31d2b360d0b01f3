"""The accounts of people: added, changed, locked, and never removed."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.access import checked_towns
from zyz_match.acting import Role
from zyz_match.errors import InputError, NotFoundError
from zyz_match.storage import audit, rows
from zyz_match.storage.database import Database
from zyz_match.storage.tables import account as table
from zyz_match.storage.tables import session

MAX_FAILED = 5  # in a row
LOCKED_FOR = timedelta(minutes=15)
MAX_LABEL = 100
_ANY = "SELECT EXISTS (SELECT 1 FROM account) OR EXISTS (SELECT 1 FROM api_key)"


@dataclass(frozen=True, slots=True)
class Account:
    """One account as it stands; of its password nothing but whether there is one."""

    id: str
    name: str
    label: str
    role: Role
    towns: tuple[str, ...] | None  # None is every town
    has_password: bool
    must_change: bool
    has_subject: bool  # was recognised by OIDC
    locked_until: datetime | None
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be added; `password` is a hash, "" for who signs in by OIDC alone."""

    name: str
    role: Role
    label: str = ""
    towns: tuple[str, ...] | None = None
    password: str = ""


class Accounts:
    """The accounts of one database; every method is one short transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def any(self) -> bool:
        """Whether there ever was an account or a key."""
        [(found,)] = self._database.glance(_ANY)
        return bool(found)

    def add(self, new: Sequence[NewAccount], *, first: bool = False) -> list[Account]:
        """Add accounts, all or none, whose passwords must be changed at the first sign-in.

        Raises InputError for a name that is taken or, with `first`, when anybody is there already.
        """
        with self._database.write() as connection:
            if first and connection.execute(sa.select(table.c.id).limit(1)).first() is not None:
                raise InputError("已有账号，不能再建首批账号。可用 zyz-match user list 查看。")
            return [_add(connection, one) for one in new]

    def all(self) -> list[Account]:
        """All accounts, by name."""
        with self._database.read() as connection:
            found = connection.execute(sa.select(table).order_by(table.c.name)).mappings()
            return [_account(r) for r in found]

    def get(self, text: str) -> Account:
        """The account with this id or name; NotFoundError when there is none."""
        with self._database.read() as connection:
            return _account(_get(connection, rows.clean(text, "账号")))

    def with_password(self, name: str) -> tuple[Account, str] | None:
        """The account with this name and the hash of its password."""
        with self._database.read() as connection:
            query = sa.select(table).where(table.c.name == name)
            found = connection.execute(query).mappings().first()
            return None if found is None else (_account(found), found["password"])

    def change(self, account_id: str, **values: Any) -> Account:
        """Change label, role or towns; somebody else's sessions see it at their next request.

        Raises InputError when it would leave nobody to look after the accounts, and for towns that
        do not go with the role.
        """
        with self._database.write() as connection:
            before = _get(connection, account_id)
            given = {"role": before["role"], "towns": _account(before).towns} | values
            wanted = checked_towns(Role(given["role"]), given["towns"])
            kept = {"towns": _towns_text(wanted)}
            values.pop("towns", None)
            kept |= {n: rows.clean(str(v), "说明", MAX_LABEL) for n, v in values.items()}
            changed = sorted(n for n, v in kept.items() if before[n] != v)
            if not changed:
                return _account(before)
            if kept.get("role", before["role"]) != before["role"]:
                _keep_one_security(connection, before)
            _update(connection, before["id"], kept)
            after = _account(_get(connection, account_id))
            said = {"name": after.name, "changed": changed, "role": after.role}
            audit.note(connection, "account.change", after.id, said | {"towns": after.towns})
            return after

    def reset_password(self, account_id: str, password: str) -> Account:
        """Give an account a password (a hash) to be changed, unlock it, and end its sessions."""
        with self._database.write() as connection:
            found = _get(connection, account_id)
            values = {"must_change": 1, "failed": 0, "locked_until": None}
            _set_password(connection, found, "account.reset", {"password": password, **values})
            return _account(_get(connection, account_id))

    def change_password(self, account_id: str, password: str) -> bool:
        """Take the owner's own password (a hash) and end all sessions, unless the account is shut.

        Who guesses at the old one by way of a session is shut out by the lock as well.
        """
        with self._database.write() as connection:
            found = _get(connection, account_id)
            if is_shut(found):
                return False
            values = {"password": password, "must_change": 0}
            _set_password(connection, found, "account.password", values)
            return True

    def disable(self, account_id: str) -> Account:
        """Shut an account and end its sessions; InputError for the last one of its kind."""
        with self._database.write() as connection:
            before = _get(connection, account_id)
            if before["disabled_at"] is not None:
                return _account(before)
            _keep_one_security(connection, before)
            _update(connection, before["id"], {"disabled_at": rows.utc_now()})
            _end_sessions(connection, before["id"])
            audit.note(connection, "account.disable", before["id"], {"name": before["name"]})
            return _account(_get(connection, before["id"]))

    def enable(self, account_id: str) -> Account:
        """Open an account again."""
        with self._database.write() as connection:
            before = _get(connection, account_id)
            if before["disabled_at"] is None:
                return _account(before)
            _update(connection, before["id"], {"disabled_at": None})
            audit.note(connection, "account.enable", before["id"], {"name": before["name"]})
            return _account(_get(connection, before["id"]))

    def failed(self, account_id: str) -> None:
        """Count a wrong password; the last of too many in a row locks the account for a while."""
        with self._database.write() as connection:
            found = _get(connection, account_id)
            if is_shut(found):
                return
            failed = found["failed"] + 1
            locked = failed >= MAX_FAILED
            until = rows.utc_text(datetime.now(UTC) + LOCKED_FOR)
            values = {"failed": 0 if locked else failed, "locked_until": until if locked else None}
            _update(connection, account_id, values)
            action = "account.lock" if locked else "session.refused"
            audit.note(connection, action, account_id, {"name": found["name"], "failed": failed})

    def refused_unknown(self) -> None:
        """Write down that somebody tried a name that there is not; the name is not kept."""
        with self._database.write() as connection:
            audit.note(connection, "session.refused", detail={"name": None})

    def by_subject(self, subject: str, name: str) -> Account | None:
        """The account of an OIDC subject.

        One that was prepared without a password under this name becomes this subject's.
        """
        with self._database.write() as connection:
            mine = sa.select(table).where(table.c.subject == subject)
            if (found := connection.execute(mine).mappings().first()) is not None:
                return _account(found)
            prepared = sa.and_(
                table.c.name == name, table.c.subject.is_(None), table.c.password == ""
            )
            found = connection.execute(sa.select(table).where(prepared)).mappings().first()
            if found is None or is_shut(found):
                return None
            _update(connection, found["id"], {"subject": subject})
            audit.note(connection, "account.bind", found["id"], {"name": name})
            return _account(_get(connection, found["id"]))


def is_shut(found: sa.RowMapping) -> bool:
    """Whether an account is disabled, or locked at this moment."""
    locked = found["locked_until"]
    return found["disabled_at"] is not None or (locked is not None and locked > rows.utc_now())


def _add(connection: Connection, new: NewAccount) -> Account:
    name = rows.filled(new.name, "名称")
    if connection.execute(sa.select(table.c.id).where(table.c.name == name)).first() is not None:
        raise InputError(f"已有账号“{name}”，请换一个名称。")
    number = f"U{secrets.token_hex(6)}"
    values = {
        "id": number, "name": name, "role": new.role.value,
        "label": rows.clean(new.label, "说明", MAX_LABEL), "towns": _towns_text(new.towns),
        "password": new.password, "must_change": int(bool(new.password)),
        "created_at": rows.utc_now(),
    }  # fmt: skip
    connection.execute(sa.insert(table).values(values))
    said = {"name": name, "role": new.role.value, "towns": new.towns}
    audit.note(connection, "account.add", number, said)
    return _account(_get(connection, number))


def _get(connection: Connection, text: str) -> sa.RowMapping:
    query = sa.select(table).where(sa.or_(table.c.id == text, table.c.name == text))
    found = connection.execute(query.order_by(table.c.id != text)).mappings().first()
    if found is None:
        raise NotFoundError(f"没有账号“{text}”。可用 zyz-match user list 查看。")
    return found


def _update(connection: Connection, account_id: str, values: dict[str, Any]) -> None:
    connection.execute(sa.update(table).where(table.c.id == account_id).values(values))


def _set_password(
    connection: Connection, found: sa.RowMapping, action: str, values: dict[str, Any]
) -> None:
    _update(connection, found["id"], values)
    _end_sessions(connection, found["id"])
    audit.note(connection, action, found["id"], {"name": found["name"]})


def _end_sessions(connection: Connection, account_id: str) -> None:
    connection.execute(sa.delete(session).where(session.c.account_id == account_id))


def _keep_one_security(connection: Connection, leaving: sa.RowMapping) -> None:
    """InputError when nobody but this account could look after the accounts."""
    if leaving["role"] != Role.SECURITY or leaving["disabled_at"] is not None:
        return
    others = sa.select(table.c.id).where(
        table.c.role == Role.SECURITY.value, table.c.disabled_at.is_(None),
        table.c.id != leaving["id"],
    )  # fmt: skip
    if connection.execute(others.limit(1)).first() is None:
        raise InputError("这是最后一个可用的安全管理员账号，请先另建一个。")


def _towns_text(towns: tuple[str, ...] | None) -> str | None:
    return None if towns is None else json.dumps(towns, ensure_ascii=False)


def towns_of(text: str | None) -> tuple[str, ...] | None:
    """The towns of a row; None is every town."""
    return None if text is None else tuple(json.loads(text))


def moment(text: str | None) -> datetime | None:
    """A moment of a row."""
    return None if text is None else datetime.fromisoformat(text)


def _account(row: sa.RowMapping) -> Account:
    return Account(
        id=row["id"], name=row["name"], label=row["label"], role=Role(row["role"]),
        towns=towns_of(row["towns"]), has_password=bool(row["password"]),
        must_change=bool(row["must_change"]), has_subject=row["subject"] is not None,
        locked_until=moment(row["locked_until"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        disabled_at=moment(row["disabled_at"]),
    )  # fmt: skip
