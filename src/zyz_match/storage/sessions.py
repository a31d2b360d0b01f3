"""The sessions of people: of a token its hash alone is kept, and it runs out."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from zyz_match.access import Caller
from zyz_match.acting import Role
from zyz_match.storage import audit, rows
from zyz_match.storage.accounts import is_shut, towns_of
from zyz_match.storage.database import Database
from zyz_match.storage.tables import account
from zyz_match.storage.tables import session as table

LASTS = timedelta(hours=12)
_FIND = (
    "SELECT account.id, account.name, account.label, account.role, account.towns, "
    "account.must_change, session.expires_at FROM session "
    "JOIN account ON account.id = session.account_id "
    "WHERE session.token_hash = '{}' AND account.disabled_at IS NULL"
)


class Sessions:
    """The sessions of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, account_id: str, token_hash: str, how: str) -> bool:
        """Begin a session, unless the account is locked or shut by now; what ran out goes."""
        now = datetime.now(UTC)
        with self._database.write() as connection:
            query = sa.select(account).where(account.c.id == account_id)
            found = connection.execute(query).mappings().one()
            if is_shut(found):
                return False
            values = {"failed": 0, "locked_until": None}
            connection.execute(sa.update(account).where(account.c.id == account_id).values(values))
            connection.execute(sa.delete(table).where(table.c.expires_at < rows.utc_now()))
            connection.execute(
                sa.insert(table).values(
                    token_hash=token_hash, account_id=account_id, created_at=rows.utc_text(now),
                    expires_at=rows.utc_text(now + LASTS),
                )
            )  # fmt: skip
            audit.note(connection, "session.start", account_id, {"how": how})
            return True

    def find(self, token_hash: str) -> Caller | None:
        """Whose session it is, while it lasts; one indexed look, so that its end is seen at once.

        `token_hash` must be hexadecimal.
        """
        rows_found = self._database.glance(_FIND.format(token_hash))
        if not rows_found:
            return None
        [(account_id, name, label, role, towns, must_change, ends)] = rows_found
        expires_at = datetime.fromisoformat(ends)
        if expires_at <= datetime.now(UTC):
            return None
        seen = towns_of(towns)
        return Caller(
            name, Role(role), "session", None if seen is None else frozenset(seen), id=account_id,
            label=label, must_change=bool(must_change), expires_at=expires_at,
        )  # fmt: skip

    def end(self, token_hash: str) -> bool:
        """End a session; False when there was none."""
        with self._database.write() as connection:
            this = table.c.token_hash == token_hash
            owner = connection.execute(sa.select(table.c.account_id).where(this)).scalar()
            if owner is None:
                return False
            connection.execute(sa.delete(table).where(this))
            audit.note(connection, "session.end", owner)
            return True
