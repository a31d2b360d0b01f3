"""Leads in the store: entries that are never changed, what may be added, the rounds they make."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from itertools import groupby
from typing import Any, Literal

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from zyz_match.acting import actor
from zyz_match.days import today
from zyz_match.domain import FORWARD_STAGES, LeadEntry, Stage
from zyz_match.errors import InputError, NotFoundError
from zyz_match.stages import begins_round, order_of
from zyz_match.storage import outbox, rows, stamps
from zyz_match.storage.identity import chunks
from zyz_match.storage.lead_order import Step, contradictions, fault, in_order
from zyz_match.storage.tables import firm, shortlist, shortlist_item, town
from zyz_match.storage.tables import lead as table

LONGEST_NOTE = 2000
ROUND_COLUMNS = (
    "town_id", "firm_id", "date", "closed", "stage", "best", "reason", "owner", "list_id",
    "entries",
)  # fmt: skip
_CONTENT = ("town_id", "firm_id", "date", "stage", "reason", "owner", "note", "list_id", "corrects")
_later = table.alias("correction")
_corrected = sa.exists().where(_later.c.corrects == table.c.id)

Care = tuple[str, str, date]  # stage, owner and date of the newest entry


def key_of(entry: LeadEntry) -> str:
    """What an entry says, in 32 hex digits; when and how it was written down does not count."""
    content = "\x1f".join("" if (v := getattr(entry, c)) is None else str(v) for c in _CONTENT)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


# one entry ---------------------------------------------------------------------------------


def record(connection: Connection, entry: LeadEntry) -> tuple[str, LeadEntry]:
    """Write one entry down, unless it is there: created | unchanged, and the entry as it stands.

    Raises InputError for what cannot be true, NotFoundError for an entry to correct that is not.
    """
    checked = _checked(entry)
    if (known := _same(connection, checked)) is not None:
        connection.execute(sa.update(table).where(table.c.id == known.id).values(by_hand=1))
        return "unchanged", known
    faults = judge(connection, [checked], _target(connection, checked.corrects))
    if faults:
        raise InputError(faults[0])
    (values,) = to_rows([checked], by_hand=1)
    number = connection.execute(sa.insert(table).values(values).returning(table.c.id)).scalar_one()
    stamps.renew(connection, stamps.LEADS)
    kept = replace(checked, id=int(number), recorded_at=values["recorded_at"])
    outbox.add_all(connection, [_news(kept, "added")])
    return "created", kept


def _checked(entry: LeadEntry) -> LeadEntry:
    rows.filled(entry.town_id, "专业镇编号")
    rows.filled(entry.firm_id, "企业编号")
    rows.clean(entry.owner, "跟进人")
    rows.clean(entry.note, "备注", LONGEST_NOTE)
    rows.clean(entry.list_id, "名单编号")
    return entry


def _same(connection: Connection, entry: LeadEntry) -> LeadEntry | None:
    """The entry that already says this; InputError when it was corrected since."""
    query = selected().where(table.c.key == key_of(entry))
    found = connection.execute(query).mappings().first()
    if found is None:
        return None
    known = as_entry(found)
    if not known.effective:
        by = sa.select(table.c.id).where(table.c.corrects == known.id)
        newer = connection.execute(by).scalar_one()
        raise InputError(
            f"这条记录（第 {known.id} 条）已被第 {newer} 条更正。如要改回，请更正第 {newer} 条"
            f"（--corrects {newer}）。"
        )
    return known


def _target(connection: Connection, number: int | None) -> LeadEntry | None:
    """The entry to correct; InputError when another entry corrects it already."""
    if number is None:
        return None
    target = get(connection, number)
    if target is None or not actor().sees(target.town_id):
        raise NotFoundError(f"没有第 {number} 条跟进记录。请用 zyz-match leads 查看编号。")
    if not target.effective:
        raise InputError(f"第 {number} 条已被更正过，请更正更正它的那一条（见 zyz-match leads）。")
    return target


# what may be added -------------------------------------------------------------------------


def judge(
    connection: Connection, entries: Sequence[LeadEntry], corrected: LeadEntry | None = None
) -> dict[int, str]:
    """Why entries cannot be added, by their place; `corrected` is the one that they replace."""
    faults = _bad_dates(connection, entries) | _bad_places(connection, entries)
    faults |= _bad_lists(connection, [(i, e) for i, e in enumerate(entries) if i not in faults])
    good = [(i, e) for i, e in enumerate(entries) if i not in faults]
    return faults | _bad_order(connection, good, corrected)


def _bad_places(connection: Connection, entries: Sequence[LeadEntry]) -> dict[int, str]:
    """Entries of towns that are not in the store."""
    towns = set(connection.execute(sa.select(town.c.id)).scalars())
    return {
        i: f"没有专业镇“{e.town_id}”。请先用 zyz-match import 导入档案。"
        for i, e in enumerate(entries) if e.town_id not in towns
    }  # fmt: skip


def _bad_dates(connection: Connection, entries: Sequence[LeadEntry]) -> dict[int, str]:
    """Entries of firms that are not there, or were not founded yet, or of days to come."""
    founded = _founded(connection, {e.firm_id for e in entries})
    now = today()
    faults = {}
    for i, entry in enumerate(entries):
        since = founded.get(entry.firm_id)
        if since is None:
            faults[i] = f"没有企业“{entry.firm_id}”。请核对编号，或先用 zyz-match import 导入企业。"
        elif entry.date > now:
            faults[i] = f"日期 {entry.date} 晚于今天（{now}），请核对。"
        elif entry.date.isoformat() < since:
            faults[i] = f"日期 {entry.date} 早于企业成立日期 {since}，请核对日期或企业。"
    return faults


def _founded(connection: Connection, firm_ids: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in chunks(sorted(firm_ids)):
        query = sa.select(firm.c.firm_id, firm.c.founded).where(firm.c.firm_id.in_(part))
        found |= {str(i): str(since) for i, since in connection.execute(query)}
    return found


def _bad_lists(connection: Connection, entries: Sequence[tuple[int, LeadEntry]]) -> dict[int, str]:
    """Entries that name a list which is not there, or which does not name the firm."""
    named = {e.list_id for _, e in entries} - {""}
    towns: dict[str, str] = {}
    shown: set[tuple[str, str]] = set()
    for part in chunks(sorted(named)):
        query = sa.select(shortlist.c.id, shortlist.c.town_id).where(shortlist.c.id.in_(part))
        towns |= {str(i): str(t) for i, t in connection.execute(query) if actor().sees(t)}
        item = shortlist_item.c
        pairs = sa.select(item.shortlist_id, item.firm_id).where(item.shortlist_id.in_(part))
        shown |= {(str(i), str(f)) for i, f in connection.execute(pairs)}
    faults = {}
    for i, entry in entries:
        if entry.list_id and entry.list_id not in towns:
            faults[i] = f"没有名单“{entry.list_id}”。请核对编号，或不写名单编号。"
        elif entry.list_id and towns[entry.list_id] != entry.town_id:
            faults[i] = f"名单“{entry.list_id}”是专业镇“{towns[entry.list_id]}”的，请核对。"
        elif entry.list_id and (entry.list_id, entry.firm_id) not in shown:
            faults[i] = f"名单“{entry.list_id}”中没有企业“{entry.firm_id}”，请核对。"
    return faults


def _bad_order(
    connection: Connection,
    entries: Sequence[tuple[int, LeadEntry]],
    corrected: LeadEntry | None,
) -> dict[int, str]:
    """Entries that contradict the history of their town and firm."""
    histories: dict[tuple[str, str], list[Step]] = {}
    for i, e in entries:
        step = Step(e.date.isoformat(), e.stage, key_of(e), at=i)
        histories.setdefault((e.town_id, e.firm_id), []).append(step)
    without = corrected.id if corrected else 0
    for pair, step in _stored_steps(connection, {f for _, f in histories}):
        if pair in histories and step.id != without:
            histories[pair].append(step)
    stages = {i: e.stage for i, e in entries}
    return {
        at: fault(stages[at], other)
        for steps in histories.values()
        for at, other in contradictions(steps).items()
    }


def _stored_steps(
    connection: Connection, firm_ids: Collection[str]
) -> Iterator[tuple[tuple[str, str], Step]]:
    """The effective entries of some firms."""
    c = table.c
    wanted = sa.select(c.town_id, c.firm_id, c.date, c.stage, c.key, c.id).where(~_corrected)
    for part in chunks(sorted(firm_ids)):
        for found in connection.execute(wanted.where(c.firm_id.in_(part))):
            town_id, firm_id, day, stage, key, number = found
            yield (town_id, firm_id), Step(day, Stage(stage), key, number)


def to_rows(entries: Iterable[LeadEntry], *, by_hand: int) -> list[dict[str, Any]]:
    """Entries as rows of the table, written down now."""
    moment = rows.utc_now()
    return [
        {
            "key": key_of(e), "town_id": e.town_id, "firm_id": e.firm_id,
            "date": e.date.isoformat(), "stage": e.stage.value, "reason": e.reason,
            "owner": e.owner, "note": e.note, "list_id": e.list_id, "corrects": e.corrects,
            "recorded_at": moment, "via": e.via, "by_hand": by_hand,
        }
        for e in entries
    ]  # fmt: skip


# told --------------------------------------------------------------------------------------


def tell(connection: Connection, keys: Iterable[str], change: Literal["added", "removed"]) -> None:
    """Tell what became of entries, in the order of their steps."""
    found: list[LeadEntry] = []
    for part in chunks(keys):
        query = selected().where(table.c.key.in_(part))
        found += map(as_entry, connection.execute(query).mappings())
    found.sort(key=lambda e: (e.date, order_of(e.stage), e.id))
    outbox.add_all(connection, (_news(e, change) for e in found))


def _news(entry: LeadEntry, change: Literal["added", "removed"]) -> outbox.News:
    data = {
        "change": change, "lead_id": entry.id, "town_id": entry.town_id, "firm_id": entry.firm_id,
        "stage": entry.stage.value, "date": entry.date.isoformat(), "reason": entry.reason or None,
        "owner": entry.owner or None, "list_id": entry.list_id or None, "corrects": entry.corrects,
        "via": entry.via,
    }  # fmt: skip
    subject = f"lead:{entry.town_id}:{entry.firm_id}"
    return outbox.News("lead.changed", subject, entry.town_id, data)


# looked at ---------------------------------------------------------------------------------


def get(connection: Connection, number: int) -> LeadEntry | None:
    """The entry of this number."""
    if not 0 < number < 2**31:
        return None
    found = connection.execute(selected().where(table.c.id == number)).mappings().first()
    return None if found is None else as_entry(found)


def latest(connection: Connection, number: int) -> int:
    """The entry that stands at the end of the corrections of an entry."""
    query = sa.select(table.c.id)
    while (by := connection.execute(query.where(table.c.corrects == number)).scalar()) is not None:
        number = by
    return number


def selected() -> sa.Select[Any]:
    """Entries as `as_entry` takes them."""
    return sa.select(table, _corrected.label("corrected"))


def as_entry(row: RowMapping) -> LeadEntry:
    """The entry of a selected row."""
    return LeadEntry(
        row["id"], row["town_id"], row["firm_id"], date.fromisoformat(row["date"]),
        Stage(row["stage"]), row["reason"], row["owner"], row["note"], row["list_id"],
        row["corrects"], row["recorded_at"], row["via"], not row["corrected"],
    )  # fmt: skip


def care(connection: Connection, town_id: str, firm_ids: Collection[str]) -> dict[str, Care]:
    """Stage, owner and date of the newest effective entry of each firm in a town."""
    found: dict[str, Care] = {}
    c = table.c
    wanted = sa.select(c.firm_id, c.date, c.stage, c.key, c.id, c.owner).where(~_corrected)
    for part in chunks(sorted(firm_ids)):
        query = wanted.where(c.town_id == town_id, c.firm_id.in_(part)).order_by(c.firm_id)
        for firm_id, several in groupby(connection.execute(query), key=lambda r: r[0]):
            steps = {Step(r[1], Stage(r[2]), r[3], r[4]): str(r[5]) for r in several}
            last = in_order(steps)[-1]
            found[firm_id] = (last.stage.value, steps[last], date.fromisoformat(last.date))
    return found


# rounds ------------------------------------------------------------------------------------


def rounds(connection: Connection) -> pd.DataFrame:
    """One row a round of a town and a firm, by the date of its last entry."""
    query = selected().where(~_corrected).order_by(table.c.town_id, table.c.firm_id)
    found = [
        _round(several)
        for _, pair in groupby(
            map(as_entry, connection.execute(query).mappings()),
            key=lambda e: (e.town_id, e.firm_id),
        )
        for several in _split(pair)
    ]
    found.sort(key=lambda r: (r[3], r[0], r[1], r[2]))
    columns = zip(*found, strict=True) if found else [()] * len(ROUND_COLUMNS)
    frame = pd.DataFrame(dict(zip(ROUND_COLUMNS, map(list, columns), strict=True)))
    for name in ("date", "closed"):
        frame[name] = pd.to_datetime(frame[name], format="%Y-%m-%d").astype("datetime64[us]")
    texts = (c for c in ROUND_COLUMNS if c not in ("date", "closed", "entries"))
    return frame.astype(dict.fromkeys(texts, "str") | {"entries": "int64"})


def _split(pair: Iterable[LeadEntry]) -> Iterator[list[LeadEntry]]:
    """The rounds of a pair's history."""
    current: list[LeadEntry] = []
    ordered = sorted(pair, key=lambda e: (e.date, order_of(e.stage), key_of(e)))
    for entry in ordered:
        if current and begins_round(current[-1].stage, entry.stage):
            yield current
            current = []
        current.append(entry)
    yield current


def _round(several: Sequence[LeadEntry]) -> tuple[Any, ...]:
    first, last = several[0], several[-1]
    reached = [e.stage for e in several if e.stage in FORWARD_STAGES]
    best = max(reached, key=order_of, default="")
    owner = next((e.owner for e in reversed(several) if e.owner), "")
    reason = next((e.reason for e in reversed(several) if e.reason), "")
    named = next((e.list_id for e in several if e.list_id), "")
    return (
        first.town_id, first.firm_id, first.date.isoformat(), last.date.isoformat(),
        str(last.stage), str(best), reason, owner, named, len(several),
    )  # fmt: skip
