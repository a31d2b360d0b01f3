"""The keys of machines: shown once, kept as a hash, revoked for good."""

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.access import Caller, Scope
from zyz_match.acting import Role, actor
from zyz_match.errors import InputError, NotFoundError
from zyz_match.storage import audit, rows
from zyz_match.storage.accounts import moment, towns_of
from zyz_match.storage.database import Database
from zyz_match.storage.tables import api_key as table

_FIND = (
    "SELECT id, name, role, scopes, towns, expires_at, used_at FROM api_key "
    "WHERE key_hash = '{}' AND revoked_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as it stands; the key itself is nowhere kept."""

    id: str
    name: str
    role: Role
    scopes: tuple[Scope, ...]
    towns: tuple[str, ...] | None  # None is every town
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None  # to the minute


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be added."""

    name: str
    role: Role
    scopes: tuple[Scope, ...]
    towns: tuple[str, ...] | None
    key_hash: str
    expires_at: datetime | None


class Keys:
    """The keys of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewKey) -> ApiKey:
        """Keep a key; InputError while another one of this name is in force."""
        name, now = rows.filled(new.name, "名称"), rows.utc_now()
        with self._database.write() as connection:
            same = sa.and_(table.c.name == name, _in_force(now))
            if connection.execute(sa.select(table.c.id).where(same)).first() is not None:
                raise InputError(f"已有名为“{name}”的有效密钥，请换一个名称，或先吊销它。")
            number = f"K{secrets.token_hex(6)}"
            values = {
                "id": number, "name": name, "key_hash": new.key_hash,
                "role": new.role.value, "scopes": json.dumps(new.scopes),
                "towns": None if new.towns is None else json.dumps(new.towns, ensure_ascii=False),
                "created_at": now, "created_by": actor().name,
                "expires_at": _text(new.expires_at),
            }  # fmt: skip
            connection.execute(sa.insert(table).values(values))
            said = {"name": name, "role": new.role.value, "scopes": new.scopes, "towns": new.towns,
                    "expires_at": values["expires_at"]}  # fmt: skip
            audit.note(connection, "key.add", number, said)
            return _key(_get(connection, number))

    def find(self, key_hash: str) -> tuple[Caller, str] | None:
        """Whose key it is, while it is in force, and the minute of its last use ("" for none).

        One indexed look, so that a revocation is seen at once. `key_hash` must be hexadecimal.
        """
        found = self._database.glance(_FIND.format(key_hash))
        if not found:
            return None
        [(key_id, name, role, scopes, towns, ends, used)] = found
        expires_at = moment(ends)
        if expires_at is not None and expires_at <= datetime.now(UTC):
            return None
        seen = towns_of(towns)
        caller = Caller(
            name, Role(role), "key", None if seen is None else frozenset(seen),
            frozenset(Scope(s) for s in json.loads(scopes)), key_id, expires_at=expires_at,
        )  # fmt: skip
        return caller, used or ""

    def used(self, key_id: str, minute: str) -> None:
        """Keep the minute of a key's last use, unless somebody has done so."""
        older = sa.or_(table.c.used_at.is_(None), table.c.used_at < minute)
        with self._database.write_rows() as connection:
            connection.execute(
                sa.update(table).where(table.c.id == key_id, older).values(used_at=minute)
            )

    def all(self) -> list[ApiKey]:
        """All keys, newest first; revoked ones too."""
        query = sa.select(table).order_by(table.c.created_at.desc(), table.c.id)
        with self._database.read() as connection:
            return [_key(r) for r in connection.execute(query).mappings()]

    def get(self, key_id: str) -> ApiKey:
        """The key with this id; NotFoundError when there is none."""
        with self._database.read() as connection:
            return _key(_get(connection, rows.clean(key_id, "密钥编号")))

    def revoke(self, key_id: str) -> ApiKey:
        """Put a key out of force for good; one that is so stays as it is."""
        with self._database.write() as connection:
            found = _get(connection, rows.clean(key_id, "密钥编号"))
            if found["revoked_at"] is None:
                this = table.c.id == found["id"]
                connection.execute(sa.update(table).where(this).values(revoked_at=rows.utc_now()))
                audit.note(connection, "key.revoke", found["id"], {"name": found["name"]})
            return _key(_get(connection, found["id"]))


def _in_force(now: str) -> sa.ColumnElement[bool]:
    lasts = sa.or_(table.c.expires_at.is_(None), table.c.expires_at > now)
    return sa.and_(table.c.revoked_at.is_(None), lasts)


def _get(connection: Connection, key_id: str) -> sa.RowMapping:
    query = sa.select(table).where(table.c.id == key_id)
    found = connection.execute(query).mappings().first()
    if found is None:
        raise NotFoundError(f"没有密钥“{key_id}”。可用 zyz-match key list 查看。")
    return found


def _text(value: datetime | None) -> str | None:
    return None if value is None else rows.utc_text(value.astimezone(UTC))


def _key(row: sa.RowMapping) -> ApiKey:
    return ApiKey(
        id=row["id"], name=row["name"], role=Role(row["role"]),
        scopes=tuple(Scope(s) for s in json.loads(row["scopes"])), towns=towns_of(row["towns"]),
        created_at=datetime.fromisoformat(row["created_at"]), created_by=row["created_by"],
        expires_at=moment(row["expires_at"]), revoked_at=moment(row["revoked_at"]),
        used_at=moment(row["used_at"]),
    )  # fmt: skip
