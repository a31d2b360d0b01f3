"""Receipts: which firm was shown to whom, at which rank, by which model."""

import hashlib
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.acting import Actor, actor
from zyz_match.domain import Filters, Receipt, ReceiptItem, Shortlist, Town
from zyz_match.errors import InputError, NotFoundError
from zyz_match.profiles import town_from
from zyz_match.storage import audit, bulk, outbox, rows, towns
from zyz_match.storage.tables import shortlist as table
from zyz_match.storage.tables import shortlist_item as item


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, apart from town and filters; with it a list can be made again."""

    k: int
    diversify: bool = False
    after: tuple[float, str] | None = None
    existing: Collection[str] = ()  # firms that were in the town


@dataclass(frozen=True, slots=True)
class Unkept:
    """A receipt that can be stored; it gets its id when it is."""

    who: Actor  # to whom the list is shown
    values: Mapping[str, Any]
    items: Sequence[Mapping[str, Any]]


def unkept(shortlist: Shortlist, asked: Asked | None, by: str, via: str) -> Unkept:
    """What a list was made from and its items; InputError for what cannot be stored."""
    values = {
        "town_id": rows.filled(shortlist.town.id, "专业镇编号"),
        "asked_at": rows.utc_now(),
        "by": rows.clean(by, "使用者"),
        "via": rows.clean(via, "来源"),
        "filters": _filters(shortlist),
        "model": rows.clean(shortlist.model, "模型版本"),
        "data": rows.clean(shortlist.data, "数据版本"),
        "pool": shortlist.pool,
        "total": shortlist.total,
    } | (_inputs(shortlist.town, asked) if asked else {})
    return Unkept(actor(), values, _items(shortlist))


def keep(connection: Connection, receipts: Sequence[Unkept]) -> list[str]:
    """Store receipts, which get into the audit; their ids."""
    ids = [_insert(connection, r.values) for r in receipts]
    kept = list(zip(ids, receipts, strict=True))
    bulk.insert(connection, item, [{"shortlist_id": i, **row} for i, r in kept for row in r.items])
    audit.note_all(connection, [_seen(i, r) for i, r in kept])
    return ids


def _seen(receipt: str, kept: Unkept) -> audit.Act:
    detail = {"town": kept.values["town_id"], "firms": len(kept.items)}
    return audit.Act(kept.who, "list.see", receipt, detail)


def _inputs(town: Town, asked: Asked) -> dict[str, Any]:
    profile = towns.to_json(town)
    return {
        "k": asked.k,
        "diversify": int(asked.diversify),
        "after": json.dumps(asked.after, ensure_ascii=False) if asked.after else "",
        "profile": rows.clean(profile, "画像", len(profile)),
        "existing": hash_of(asked.existing),
    }


def publish(connection: Connection, list_id: str) -> tuple[bool, str]:
    """Note that a list was handed on: whether that is new, and when it was.

    Raises NotFoundError for no such list, InputError for one by another profile than the town has.
    """
    columns = (table.c.town_id, table.c.model, table.c.published_at, table.c.profile)
    query = sa.select(*columns).where(table.c.id == rows.clean(list_id, "名单编号"))
    found = connection.execute(query).first()
    if found is None:
        raise NotFoundError(f"没有名单“{list_id}”。编号印在清单上，形如 L20250630120000ab3f1。")
    if found.published_at is not None:
        return False, str(found.published_at)
    made_from = town_from(json.loads(found.profile)) if found.profile else None
    if made_from is not None and made_from != towns.get(connection, found.town_id):
        raise InputError(
            f"名单“{list_id}”所用的画像不是专业镇“{found.town_id}”现在的档案，不能发布。"
            "请按现在的档案重新出一份名单再发布。"
        )
    moment = rows.utc_now()
    connection.execute(sa.update(table).where(table.c.id == list_id).values(published_at=moment))
    items = sa.select(sa.func.count()).where(item.c.shortlist_id == list_id)
    data = {
        "list_id": list_id, "town_id": found.town_id, "model": found.model,
        "firms": connection.execute(items).scalar_one(), "published_at": moment,
    }  # fmt: skip
    outbox.add(connection, "list.published", f"list:{list_id}", found.town_id, data)
    audit.note(connection, "list.publish", list_id, {"town": found.town_id})
    return True, moment


def hash_of(firm_ids: Collection[str]) -> str:
    """The same 32 hex digits for the same firms, in whatever order."""
    content = "\x1f".join(sorted(firm_ids))
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _insert(connection: Connection, values: Mapping[str, Any]) -> str:
    """Add a receipt under a new id, also while others do the same; the id."""
    adding = bulk.inserting(connection, table).on_conflict_do_nothing().returning(table.c.id)
    while True:
        moment = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
        receipt = f"L{moment}{secrets.token_hex(3)[:5]}"
        if connection.execute(adding, {"id": receipt, **values}).first() is not None:
            return receipt


def _filters(shortlist: Shortlist) -> str:
    given = {k: v for k, v in asdict(shortlist.filters).items() if v not in (None, (), "")}
    try:
        text = json.dumps(given, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InputError("筛选条件中的数应为有限数。") from error
    return rows.clean(text, "筛选条件", 32_767)


def _items(shortlist: Shortlist) -> list[dict[str, Any]]:
    items = []
    for match in shortlist.matches:
        score = rows.finite(match.score, "得分")
        if score is None:
            raise InputError(f"企业“{match.firm.firm_id}”没有得分，名单未保存。")
        firm_id = rows.filled(match.firm.firm_id, "企业编号")
        items.append({"rank": match.rank, "firm_id": firm_id, "score": score})
    return items


def get(connection: Connection, receipt: str) -> Receipt | None:
    """A receipt with its items by rank; None when there is no such receipt."""
    query = sa.select(table).where(table.c.id == receipt)
    found = connection.execute(query).mappings().first()
    if found is None:
        return None
    columns = sa.select(item.c.rank, item.c.firm_id, item.c.score)
    items = connection.execute(columns.where(item.c.shortlist_id == receipt).order_by(item.c.rank))
    after = json.loads(found["after"]) if found["after"] else None
    return Receipt(
        id=receipt,
        town_id=found["town_id"],
        town=town_from(json.loads(found["profile"])) if found["profile"] else None,
        asked_at=found["asked_at"],
        by=found["by"],
        via=found["via"],
        filters=_read_filters(found["filters"]),
        model=found["model"],
        data=found["data"],
        pool=found["pool"],
        total=found["total"],
        k=found["k"],
        diversify=bool(found["diversify"]),
        after=(after[0], after[1]) if after else None,
        existing=found["existing"],
        items=tuple(ReceiptItem(*i) for i in items),
        published_at=found["published_at"],
    )


def shown(connection: Connection, lists: int) -> pd.DataFrame:
    """Every item of the newest lists: list_id, town_id, model, asked_at, rank, score."""
    newest = sa.select(table).order_by(table.c.asked_at.desc(), table.c.id.desc()).limit(lists)
    kept = newest.subquery()
    columns = (
        kept.c.id.label("list_id"), kept.c.town_id, kept.c.model, kept.c.asked_at, item.c.rank,
        item.c.score,
    )  # fmt: skip
    query = sa.select(*columns).join(item, item.c.shortlist_id == kept.c.id)
    found = connection.execute(query.order_by(kept.c.asked_at, kept.c.id, item.c.rank)).all()
    return pd.DataFrame([tuple(row) for row in found], columns=[c.name for c in columns])


def _read_filters(text: str) -> Filters:
    given: dict[str, Any] = json.loads(text)
    given |= {k: tuple(v) for k, v in given.items() if isinstance(v, list)}
    return Filters(**given)
