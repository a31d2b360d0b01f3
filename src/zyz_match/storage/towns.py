"""Towns in the store: the profile as JSON, beside the columns one searches by."""

import json
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.domain import Town
from zyz_match.errors import ProfileError
from zyz_match.profiles import check_id, town_from, town_to
from zyz_match.storage import stamps
from zyz_match.storage.rows import utc_now
from zyz_match.storage.tables import town as table

Change = Literal["created", "updated", "unchanged"]
_COLUMNS = ("name", "province", "city", "county", "sector")


def put(connection: Connection, town: Town) -> Change:
    """Create or replace a town.

    Raises ProfileError when its profile would not be read back, or when another town has its name.
    """
    profile = to_json(town)
    query = sa.select(table.c.profile).where(table.c.id == town.id)
    before = connection.execute(query).scalar()
    if before == profile:
        return "unchanged"
    others = sa.select(table.c.id).where(table.c.name == town.name, table.c.id != town.id)
    if connection.execute(others).first() is not None:
        raise ProfileError(f"已有别的专业镇叫“{town.name}”，请换一个名称：按名称查时会分不清。")
    values: dict[str, Any] = {c: getattr(town, c) for c in _COLUMNS}
    values |= {"profile": profile, "updated_at": utc_now()}
    if before is None:
        check_id(town)
        connection.execute(sa.insert(table).values(id=town.id, **values))
    else:
        connection.execute(sa.update(table).where(table.c.id == town.id).values(values))
    stamps.renew(connection, stamps.TOWNS)
    return "created" if before is None else "updated"


def to_json(town: Town) -> str:
    """A town as text that is read back the same; ProfileError when it would not be."""
    checked = town_to(town_from(town_to(town)))
    return json.dumps(checked, ensure_ascii=False, allow_nan=False)


def get(connection: Connection, town_id: str) -> Town | None:
    """The town with this id."""
    query = sa.select(table.c.profile).where(table.c.id == town_id)
    found = connection.execute(query).scalar()
    return None if found is None else town_from(json.loads(found))


def every(connection: Connection) -> list[Town]:
    """All towns, by id."""
    found = connection.execute(sa.select(table.c.profile).order_by(table.c.id)).scalars()
    return [town_from(json.loads(p)) for p in found]


def remove(connection: Connection, town_id: str) -> bool:
    """Forget a town; its shortlists and the firms known to be there stay on record."""
    done = connection.execute(sa.delete(table).where(table.c.id == town_id)).rowcount > 0
    if done:
        stamps.renew(connection, stamps.TOWNS)
    return done
