"""Receipts: which firm was shown to whom, at which rank, by which model."""

import json
import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.domain import Shortlist
from zyz_match.errors import InputError
from zyz_match.storage import rows
from zyz_match.storage.tables import shortlist as table
from zyz_match.storage.tables import shortlist_item as item


def keep(connection: Connection, shortlist: Shortlist, by: str, via: str) -> str:
    """Store what a list was made from and its items; the id of the receipt."""
    receipt = _new_id(connection)
    values = {
        "id": receipt,
        "town_id": rows.filled(shortlist.town.id, "专业镇编号"),
        "asked_at": rows.utc_now(),
        "by": rows.clean(by, "使用者"),
        "via": rows.clean(via, "来源"),
        "filters": _filters(shortlist),
        "model": rows.clean(shortlist.model, "模型版本"),
        "data": rows.clean(shortlist.data, "数据版本"),
        "pool": shortlist.pool,
        "total": shortlist.total,
    }
    connection.execute(sa.insert(table).values(values))
    if items := _items(shortlist, receipt):
        connection.execute(sa.insert(item), items)
    return receipt


def _new_id(connection: Connection) -> str:
    while True:
        moment = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
        receipt = f"L{moment}{secrets.token_hex(3)[:5]}"
        if connection.execute(sa.select(table.c.id).where(table.c.id == receipt)).first() is None:
            return receipt


def _filters(shortlist: Shortlist) -> str:
    given = {k: v for k, v in asdict(shortlist.filters).items() if v not in (None, (), "")}
    try:
        text = json.dumps(given, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InputError("筛选条件中的数应为有限数。") from error
    return rows.clean(text, "筛选条件", 32_767)


def _items(shortlist: Shortlist, receipt: str) -> list[dict[str, Any]]:
    items = []
    for match in shortlist.matches:
        score = rows.finite(match.score, "得分")
        if score is None:
            raise InputError(f"企业“{match.firm.firm_id}”没有得分，名单未保存。")
        firm_id = rows.filled(match.firm.firm_id, "企业编号")
        items.append(
            {"shortlist_id": receipt, "rank": match.rank, "firm_id": firm_id, "score": score}
        )
    return items


def get(connection: Connection, receipt: str) -> dict[str, Any] | None:
    """A receipt with its items by rank; None when there is no such receipt."""
    query = sa.select(table).where(table.c.id == receipt)
    found = connection.execute(query).mappings().first()
    if found is None:
        return None
    columns = sa.select(item.c.firm_id, item.c.rank, item.c.score)
    items = connection.execute(columns.where(item.c.shortlist_id == receipt).order_by(item.c.rank))
    record = dict(found) | {"filters": json.loads(found["filters"])}
    return record | {"items": [dict(i) for i in items.mappings()]}
