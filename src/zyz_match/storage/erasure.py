"""Personal data taken away again: the contacts of a firm, and those that have run out.

That a firm's contacts were erased is remembered by the firm's id alone, so that no later import
brings them back; a remembered fingerprint of a phone number could be guessed.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from zyz_match.errors import NotFoundError
from zyz_match.storage import audit, bulk, people, rows
from zyz_match.storage.database import Database
from zyz_match.storage.tables import batch, contact, erasure, firm


class Contacts:
    """The contacts of one database; every look and every removal leaves its audit row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def look(self, firm_id: str, *, masked: bool) -> list[tuple[str, str]]:
        """(kind, value) of a firm's contacts as they may be shown; who looks is written down."""
        with self._database.write_rows() as connection:
            found = people.of(connection, rows.clean(firm_id, "企业编号"))
            detail = {"contacts": len(found), "masked": masked}
            audit.note(connection, "contact.see", firm_id, detail)
        return [(k, mask(k, v)) for k, v in found] if masked else found

    def erase(self, firm_id: str) -> int:
        """Remove a firm's contacts for good; how many there were.

        Imports bring none to this firm from now on, see `allow`. NotFoundError for no such firm.
        """
        with self._database.write() as connection:
            known = sa.select(firm.c.firm_id).where(firm.c.firm_id == firm_id)
            if connection.execute(known).first() is None:
                raise NotFoundError(f"没有企业“{firm_id}”。")
            ours = contact.c.firm_id == firm_id
            removed = connection.execute(sa.delete(contact).where(ours)).rowcount
            mark = bulk.inserting(connection, erasure)
            mark = mark.values(firm_id=firm_id, at=rows.utc_now())
            connection.execute(mark.on_conflict_do_nothing())
            audit.note(connection, "contact.erase", firm_id, {"contacts": removed})
            return int(removed)

    def allow(self, firm_id: str) -> bool:
        """Let imports bring contacts to a firm again; False when they may already."""
        with self._database.write() as connection:
            ours = erasure.c.firm_id == rows.clean(firm_id, "企业编号")
            done = connection.execute(sa.delete(erasure).where(ours)).rowcount > 0
            if done:
                audit.note(connection, "contact.allow", firm_id)
            return done

    def expire(self, days: int) -> int:
        """Remove the contacts that imports brought more than so many days ago; how many."""
        moment = datetime.now(UTC) - timedelta(days=days)
        old = sa.select(batch.c.id).where(batch.c.created_at < rows.utc_text(moment))
        with self._database.write() as connection:
            gone = sa.delete(contact).where(contact.c.batch_id.in_(old))
            removed = int(connection.execute(gone).rowcount)
            if removed:
                audit.note(connection, "contact.expire", detail={"contacts": removed, "days": days})
            return removed


def mask(kind: str, value: str) -> str:
    """A contact as it is shown to those who must not use it.

    138****1234, of shorter numbers ****56; z***@x.com, of short names ***@x.com; 张*.
    """
    if kind == "phone" and len(value) >= 8:
        return f"{value[:3]}****{value[-4:]}" if len(value) >= 11 else f"****{value[-2:]}"
    if kind == "mail" and "@" in value:
        name, _, host = value.rpartition("@")
        return f"{name[:1] if len(name) > 2 else ''}***@{host}"
    return f"{value[0]}*"
