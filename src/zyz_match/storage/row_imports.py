"""A file of leads or events into the store and out again: judged first, then all or nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from zyz_match.acting import actor
from zyz_match.domain import LeadEntry, Town
from zyz_match.errors import ZyzError
from zyz_match.profiles import resolve_town
from zyz_match.storage import bulk, firm_lookup, imports, leads, links, stamps, towns
from zyz_match.storage.cells import shown
from zyz_match.storage.identity import chunks
from zyz_match.storage.imports import BatchResult, UndoResult
from zyz_match.storage.tables import batch_row, event, lead
from zyz_match.storage.values import BadValue

if TYPE_CHECKING:  # loaded where a file is read
    from zyz_match.storage.row_files import Kind, RowFile

Tick = Callable[[int, int], None]
VIA_FILE = "file"
_TABLES: Mapping[str, sa.Table] = {"leads": lead, "events": event}
_HINTED = 200  # so many unknown towns are looked up with the nearest names, which takes time


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do: the rows it refuses, and what each other one brings."""

    faults: Mapping[int, str]  # row of the file -> why it is refused
    keys: Sequence[str]  # contents that the good rows speak of, each once
    new: Sequence[dict[str, Any]]  # rows of the table that are not there yet
    repeated: int  # good rows that say only what an earlier row of the file says

    @property
    def unchanged(self) -> int:
        """How many contents are there already."""
        return len(self.keys) - len(self.new)


@dataclass(frozen=True, slots=True)
class _Item:
    """One content of a row of the file; a row may bring two."""

    row: int
    key: str
    values: Any  # a LeadEntry, or a row of the table


# judged ------------------------------------------------------------------------------------


def plan(connection: Connection, file: "RowFile") -> Plan:
    """Compare a file with the store; nothing is written."""
    faults = dict(file.faults)
    firms = _firms(connection, file, faults)
    items = _lead_items(connection, file, firms, faults) if file.kind == "leads" else []
    if file.kind == "events":
        items = _event_items(file, firms, faults)
    once: dict[str, _Item] = {}
    for item in items:
        once.setdefault(item.key, item)
    there = _stored(connection, _TABLES[file.kind], list(once))
    new = [item for key, item in once.items() if key not in there]
    if file.kind == "leads":
        new = _without_contradictions(connection, new, faults)
        made = leads.to_rows([i.values for i in new], by_hand=0)
    else:
        made = [i.values for i in new]
    keys = [k for k in once if k in there] + [i.key for i in new]
    good = {i.row for i in items} - set(faults)
    speaking = {once[k].row for k in keys}
    return Plan(dict(sorted(faults.items())), keys, made, len(good - speaking))


def _firms(connection: Connection, file: "RowFile", faults: dict[int, str]) -> dict[int, str]:
    """The firm of every good row; rows whose firm is not known, or not certain, get a fault."""
    rows = [r for r in range(file.rows) if r not in faults]
    known = firm_lookup.find_all(connection, (t for r in rows for t in file.firms[r]))
    found: dict[int, str] = {}
    for row in rows:
        meant = [known[t] for t in file.firms[row] if t]
        ids = dict.fromkeys(m for m in meant if isinstance(m, str))
        if len(ids) == 1:
            found[row] = next(iter(ids))
        elif ids:
            faults[row] = f"代码与名称指不同的企业（{'、'.join(ids)}），请核对"
        else:
            faults[row] = str(meant[0])
    return found


def _lead_items(
    connection: Connection, file: "RowFile", firms: Mapping[int, str], faults: dict[int, str]
) -> list[_Item]:
    every = [t for t in towns.every(connection) if actor().sees(t.id)]
    known = _towns(every, {file.columns["town"][r] for r in firms})
    items = []
    c = file.columns
    for row, firm_id in firms.items():
        town = known[c["town"][row]]
        if isinstance(town, BadValue):
            faults[row] = str(town)
            continue
        for stage in c["stages"][row]:
            entry = LeadEntry(
                0, town, firm_id, c["date"][row], stage, c["reason"][row], c["owner"][row],
                c["note"][row], c["list_id"][row], via=VIA_FILE,
            )  # fmt: skip
            items.append(_Item(row, leads.key_of(entry), entry))
    return items


def _towns(every: Sequence[Town], texts: Iterable[str]) -> dict[str, str | BadValue]:
    """The town of every text: by id, else by an unambiguous name."""
    ids = {t.id for t in every}
    found: dict[str, str | BadValue] = {}
    hints = 0
    for text in sorted(texts):
        if text in ids:
            found[text] = text
        elif hints < _HINTED:
            found[text] = _town(every, text)
            hints += isinstance(found[text], BadValue)
        else:
            found[text] = BadValue(f"没有专业镇{shown(text)}")
    return found


def _town(every: Sequence[Town], text: str) -> str | BadValue:
    try:
        return resolve_town(text, every).id
    except ZyzError as error:
        return BadValue(error.message.rstrip("。"))


def _event_items(
    file: "RowFile", firms: Mapping[int, str], faults: Mapping[int, str]
) -> list[_Item]:
    rows = [r for r in firms if r not in faults]
    c = file.columns
    frame = pd.DataFrame(
        {"firm_id": [firms[r] for r in rows]}
        | {n: [c[n][r] for r in rows] for n in ("date", *links.EVENT_TEXTS, "amount")}
    )
    made = links.event_rows(frame)
    return [
        _Item(row, values["key"], values | {"by_hand": 0})
        for row, values in zip(rows, made, strict=True)
    ]


def _stored(connection: Connection, table: sa.Table, keys: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for part in chunks(keys):
        query = sa.select(table.c.key).where(table.c.key.in_(part))
        found |= set(connection.execute(query).scalars())
    return found


def _without_contradictions(
    connection: Connection, items: Sequence[_Item], faults: dict[int, str]
) -> list[_Item]:
    """The items that can stand; a row is refused with all that it brings."""
    left = [i for i in items if i.row not in faults]
    while found := leads.judge(connection, [i.values for i in left]):
        for at, why in found.items():
            faults.setdefault(left[at].row, why.rstrip("。"))
        left = [i for i in left if i.row not in faults]
    return left


# in ----------------------------------------------------------------------------------------


def import_rows(
    connection: Connection, file: "RowFile", accept: Callable[[Plan], None], tick: Tick
) -> tuple[Plan, BatchResult]:
    """Store a file as one batch, once `accept` has seen what it would do and raised nothing."""
    found = plan(connection, file)
    accept(found)
    earlier = imports.in_force(connection, file.file_hash, file.kind)
    if earlier is not None and not found.new:
        return found, earlier
    number = imports.begin(connection, file.file_name, file.file_hash, file.rows, file.kind)
    _insert(connection, file.kind, found.new, tick)
    bulk.insert(connection, batch_row, ({"batch_id": number, "key": k} for k in found.keys))
    counts = {"created": len(found.new), "unchanged": found.unchanged}
    imports.note_counts(connection, number, counts)
    if found.new:
        _renew(connection, file.kind)
    if file.kind == "leads":
        leads.tell(connection, [new["key"] for new in found.new], "added")
    result = BatchResult(str(number), len(found.new), 0, found.unchanged)
    imports.tell(connection, result, file.kind, file.rows)
    return found, result


def _insert(
    connection: Connection, kind: "Kind", new: Sequence[dict[str, Any]], tick: Tick
) -> None:
    done = 0
    for part in chunks(new):
        connection.execute(sa.insert(_TABLES[kind]), part)
        done += len(part)
        tick(done, len(new))


# out ---------------------------------------------------------------------------------------


def undo(connection: Connection, batch_id: str, kind: str) -> UndoResult:
    """Take a batch back, but for what a person or another file said too, or an entry corrects."""
    number, _ = imports.mark_undone(connection, batch_id)
    table = _TABLES[kind]
    spoken = sa.select(batch_row.c.key).where(batch_row.c.batch_id == number)
    before = _count(connection, table, spoken)
    other = batch_row.alias("other")
    elsewhere = sa.exists().where(other.c.key == table.c.key, other.c.batch_id != number)
    going = [table.c.key.in_(spoken), table.c.by_hand == 0, ~elsewhere]
    if table is lead:
        later = lead.alias("later")
        going.append(~sa.exists().where(later.c.corrects == lead.c.id))
        keys = connection.execute(sa.select(lead.c.key).where(*going)).scalars().all()
        leads.tell(connection, keys, "removed")
    removed = connection.execute(sa.delete(table).where(*going)).rowcount
    connection.execute(sa.delete(batch_row).where(batch_row.c.batch_id == number))
    if removed:
        _renew(connection, kind)
    return UndoResult(removed, 0, before - removed, kind)


def _count(connection: Connection, table: sa.Table, spoken: sa.Select[tuple[str]]) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(table.c.key.in_(spoken))
    return int(connection.execute(query).scalar_one())


def _renew(connection: Connection, kind: str) -> None:
    if kind == "leads":
        stamps.renew(connection, stamps.LEADS)
    else:
        stamps.renew_firms(connection, "links")
