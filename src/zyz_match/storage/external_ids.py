"""What other systems call our records: (system, object, id) names one firm, town, lead or event."""

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.domain import ExternalId
from zyz_match.storage import bulk, rows
from zyz_match.storage.identity import chunks
from zyz_match.storage.tables import external_id as table

Kind = Literal["firm", "town", "lead", "event"]
KIND_NAMES: Mapping[str, str] = {
    "firm": "企业", "town": "专业镇", "lead": "跟进记录", "event": "投资事件",
}  # fmt: skip
Owner = tuple[str, str]  # kind and our id


def find(connection: Connection, given: Iterable[ExternalId | None]) -> dict[ExternalId, Owner]:
    """Kind and own id of every external id that is known."""
    c, found = table.c, dict[ExternalId, Owner]()
    key = sa.tuple_(c.system, c.object, c.external_id)
    for part in chunks(dict.fromkeys(e for e in given if e is not None), 300):
        keys = [(e.system, e.object, e.id) for e in part]
        query = sa.select(c.system, c.object, c.external_id, c.kind, c.own_id)
        for system, thing, number, kind, own_id in connection.execute(query.where(key.in_(keys))):
            found[ExternalId(system, thing, number)] = (kind, own_id)
    return found


def of(
    connection: Connection, kind: Kind, own_ids: Collection[str]
) -> dict[str, tuple[ExternalId, ...]]:
    """The external ids of our records, in order; those without any are left out."""
    c, found = table.c, dict[str, list[ExternalId]]()
    query = sa.select(c.own_id, c.system, c.object, c.external_id).where(c.kind == kind)
    for part in chunks(own_ids):
        some = query.where(c.own_id.in_(part)).order_by(c.system, c.object, c.external_id)
        for own_id, *parts in connection.execute(some):
            found.setdefault(own_id, []).append(ExternalId(*parts))
    return {own_id: tuple(several) for own_id, several in found.items()}


def put(connection: Connection, kind: Kind, owners: Mapping[ExternalId, str]) -> None:
    """Let external ids name these records of ours from now on."""
    moment = rows.utc_now()
    values = [
        {"system": e.system, "object": e.object, "external_id": e.id, "kind": kind,
         "own_id": own_id, "updated_at": moment}
        for e, own_id in owners.items()
    ]  # fmt: skip
    for part in chunks(values):
        added = bulk.inserting(connection, table)
        newer = {n: added.excluded[n] for n in ("kind", "own_id", "updated_at")}
        key = [c.name for c in table.primary_key]
        connection.execute(added.on_conflict_do_update(index_elements=key, set_=newer), part)
