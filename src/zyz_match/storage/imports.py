"""A file of firms into the store and out again: one batch, all or nothing, undone at will."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from zyz_match.domain import Col
from zyz_match.errors import InputError, NotFoundError
from zyz_match.storage import bulk, identity, outbox, people, rows, stamps
from zyz_match.storage.identity import CHUNK, Known, chunks
from zyz_match.storage.merging import merge
from zyz_match.storage.rows import Record
from zyz_match.storage.tables import batch, erasure, event, existing, firm, firm_before, lead

Tick = Callable[[int, int], None]
UPSERT = "upsert:"  # the file hash of a batch that no file brought begins with it
FIRMS = "firms"  # the kind of a batch; the others are those of `row_files.Kind`
_FIRM_COLUMNS = [firm.c[c] for c in rows.COLUMNS]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What an import did; after `repeated` the counts are those of the first time."""

    batch_id: str
    created: int
    updated: int
    unchanged: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class UndoResult:
    """What taking a batch back did; what was kept, another file or a person spoke of too."""

    removed: int
    restored: int
    kept: int
    kind: str = FIRMS


@dataclass(frozen=True, slots=True)
class Batch:
    """One import as the list of imports shows it."""

    batch_id: str
    file_name: str
    file_hash: str
    rows: int
    created: int
    updated: int
    unchanged: int
    created_at: datetime
    undone_at: datetime | None
    kind: str = FIRMS


# in ----------------------------------------------------------------------------------------


def import_firms(
    connection: Connection,
    frame: pd.DataFrame,
    contacts: pd.DataFrame | None,
    file: tuple[str, str],
    tick: Tick,
) -> BatchResult:
    """Store a checked frame as one batch; `file` is its name and hash."""
    if (earlier := in_force(connection, file[1], FIRMS)) is not None:
        return earlier
    batch_id = begin(connection, *file, len(frame), FIRMS)
    positions, firms = _targets(connection, frame)
    done = {"created": 0, "updated": 0, "unchanged": 0}
    stored = 0
    for part in chunks(positions.items(), CHUNK):
        order = [at for _, every in part for at in every]
        records = iter(rows.records(frame.iloc[order]))
        news = [(firms[key], [next(records) for _ in every]) for key, every in part]
        _store(connection, batch_id, news, done)
        stored += len(order)
        tick(stored, len(frame))
    people.add(connection, batch_id, contacts, _translation(frame, positions))
    note_counts(connection, batch_id, done)
    if done["created"] or done["updated"]:
        stamps.renew_firms(connection, "firms", batch_id)
    result = BatchResult(str(batch_id), done["created"], done["updated"], done["unchanged"])
    tell(connection, result, FIRMS, len(frame))
    return result


def tell(connection: Connection, done: BatchResult, kind: str, count: int) -> None:
    """Tell that a file of so many rows is in the store."""
    data = {
        "batch_id": done.batch_id, "kind": kind, "rows": count, "created": done.created,
        "updated": done.updated, "unchanged": done.unchanged,
    }  # fmt: skip
    outbox.add(connection, "import.finished", f"import:{done.batch_id}", None, data)


def in_force(connection: Connection, file_hash: str, kind: str) -> BatchResult | None:
    """The batch that already brought this file, unless it was undone."""
    query = sa.select(batch).where(
        batch.c.file_hash == file_hash, batch.c.kind == kind, batch.c.undone_at.is_(None)
    )
    found = connection.execute(query.order_by(batch.c.id.desc())).mappings().first()
    if found is None:
        return None
    counts = (found["created"], found["updated"], found["unchanged"])
    return BatchResult(str(found["id"]), *counts, repeated=True)


def begin(connection: Connection, file_name: str, file_hash: str, count: int, kind: str) -> int:
    """A new batch; its number."""
    values = {"file_name": file_name, "file_hash": file_hash, "rows": count, "kind": kind}
    statement = sa.insert(batch).values(values | {"created_at": rows.utc_now()})
    return int(connection.execute(statement.returning(batch.c.id)).scalar_one())


def note_counts(connection: Connection, batch_id: int, counts: dict[str, int]) -> None:
    """Write down what a batch did."""
    connection.execute(sa.update(batch).where(batch.c.id == batch_id).values(counts))


def _targets(
    connection: Connection, frame: pd.DataFrame
) -> tuple[dict[str, list[int]], dict[str, Known]]:
    """Positions of the rows of each firm, firms in order of appearance; and the firms."""
    keys = (frame[c].to_list() for c in (Col.FIRM_ID, Col.USCC, Col.STOCK_CODE, Col.NAME))
    every = identity.rows_of(zip(*keys, strict=True))
    found = identity.resolve(identity.load(connection, every), every)
    positions: dict[str, list[int]] = {}
    for at, known in enumerate(found):
        positions.setdefault(known.firm_id, []).append(at)
    return positions, {k.firm_id: k for k in found}


def _translation(frame: pd.DataFrame, positions: dict[str, list[int]]) -> dict[str, str]:
    """The file's ids that the store knows by another id."""
    given = frame[Col.FIRM_ID].to_list()
    pairs = ((given[at], key) for key, every in positions.items() for at in every)
    return {given_id: key for given_id, key in pairs if given_id != key}


def _store(
    connection: Connection,
    batch_id: int,
    news: Sequence[tuple[Known, list[Record]]],
    done: dict[str, int],
) -> None:
    """Insert what is new, merge what is known, and note what was done to each firm."""
    moment = rows.utc_now()
    merged = [(known, _as_one(known, several)) for known, several in news]
    created = [rows.to_store(_named(new), moment) for known, new in merged if not known.row_hash]
    stored = [(known, new) for known, new in merged if known.row_hash]
    updated, before = _updates(connection, stored, moment)
    bulk.insert(connection, firm, created)
    bulk.update(connection, firm, updated)
    _note(connection, batch_id, [known for known, _ in merged], before)
    done["created"] += len(created)
    done["updated"] += len(updated)
    done["unchanged"] += len(stored) - len(updated)


def _named(new: Record) -> Record:
    """A new firm; one that the file gives no name is called by its code until another one does."""
    return new if new[Col.NAME] else {**new, Col.NAME: new[Col.FIRM_ID]}


def _as_one(known: Known, several: list[Record]) -> Record:
    first, *rest = several
    for record in rest:
        first = merge(first, record)
    first[Col.FIRM_ID] = known.firm_id
    return first


def _updates(
    connection: Connection, stored: Sequence[tuple[Known, Record]], moment: str
) -> tuple[list[Record], dict[str, str]]:
    """The firms that the new rows really change, and those firms as they were."""
    maybe = [(known, new) for known, new in stored if rows.row_hash(new) != known.row_hash]
    olds = fetch(connection, [known.firm_id for known, _ in maybe])
    updated, before = [], {}
    for known, new in maybe:
        old = olds[known.firm_id]
        merged = rows.to_store(merge(old, new), moment)
        if merged["row_hash"] != known.row_hash:
            updated.append(merged)
            before[known.firm_id] = rows.to_json(old)
    return updated, before


def fetch(connection: Connection, firm_ids: Iterable[str]) -> dict[str, Record]:
    """Stored firms by id, as records."""
    found: dict[str, Record] = {}
    for part in chunks(firm_ids):
        query = sa.select(*_FIRM_COLUMNS).where(firm.c.firm_id.in_(part))
        for row in connection.execute(query).mappings():
            found[row[Col.FIRM_ID]] = dict(row)
    return found


def _note(
    connection: Connection, batch_id: int, firms: Sequence[Known], before: dict[str, str]
) -> None:
    """Write down what the batch did to each firm, and how each changed firm was before."""
    notes = []
    for known in firms:
        old = before.get(known.firm_id)
        action = "updated" if old else "seen" if known.row_hash else "created"
        note = {"batch_id": batch_id, "firm_id": known.firm_id, "action": action, "before": old}
        notes.append(note)
    bulk.insert(connection, firm_before, notes)


# out ---------------------------------------------------------------------------------------


def undo(connection: Connection, batch_id: str) -> UndoResult:
    """Take a batch back, but for the firms that a later batch still in force spoke of.

    Those are kept, and go when the later batch is undone too; so are new firms to which a lead, an
    event or the firms of a town refer. Raises NotFoundError for no such batch, InputError when it
    was undone before.
    """
    number, moment = mark_undone(connection, batch_id)
    people.remove(connection, number)
    kept = _kept(connection, number)
    pending = sa.select(firm_before.c.batch_id).distinct().join(batch)
    pending = pending.where(batch.c.undone_at.is_not(None)).order_by(firm_before.c.batch_id.desc())
    done = [_take_back(connection, n, moment) for n in connection.execute(pending).scalars().all()]
    removed, restored = (sum(counts) for counts in zip(*done, strict=True)) if done else (0, 0)
    if removed or restored:
        stamps.renew_firms(connection, "undo", number)
    return UndoResult(removed, restored, kept)


def _take_back(connection: Connection, number: int, moment: str) -> tuple[int, int]:
    """Remove and restore the firms of a batch that nothing keeps."""
    ours = (firm_before.c.batch_id == number) & ~_keeps()
    noted = sa.select(firm_before.c.firm_id).where(ours)
    created = connection.scalars(noted.where(firm_before.c.action == "created")).all()
    updated = connection.scalars(noted.where(firm_before.c.action == "updated")).all()
    for part in chunks(created):
        connection.execute(sa.delete(firm).where(firm.c.firm_id.in_(part)))
    for part in chunks(updated):
        images = sa.select(firm_before.c.before).where(
            firm_before.c.batch_id == number, firm_before.c.firm_id.in_(part)
        )
        olds = [rows.from_json(i) for i in connection.scalars(images)]
        bulk.update(connection, firm, [rows.to_store(old, moment) for old in olds])
    connection.execute(sa.delete(firm_before).where(ours))
    return len(created), len(updated)


def mark_undone(connection: Connection, batch_id: str) -> tuple[int, str]:
    """Note that a batch is taken back now: its number and the moment."""
    found, moment = find(connection, batch_id), rows.utc_now()
    number = int(found["id"])
    if found["undone_at"] is not None:
        raise InputError(f"批次 {number}（{found['file_name']}）已于 {found['undone_at']} 撤销过。")
    connection.execute(sa.update(batch).where(batch.c.id == number).values(undone_at=moment))
    return number, moment


def find(connection: Connection, batch_id: str) -> RowMapping:
    """The batch of this number; NotFoundError with the newest ones when there is none."""
    number = int(batch_id) if batch_id.isascii() and batch_id.isdecimal() else 0
    found = None
    if 0 < number < 2**31:
        found = connection.execute(sa.select(batch).where(batch.c.id == number)).mappings().first()
    if found is None:
        newest = connection.execute(sa.select(batch.c.id).order_by(batch.c.id.desc()).limit(5))
        near = tuple(str(i) for i in newest.scalars())
        known = f"最近的批次：{'、'.join(near)}。" if near else "还没有导入过文件。"
        raise NotFoundError(f"没有批次“{batch_id}”。{known}", details=near)
    return found


def _keeps() -> sa.ColumnElement[bool]:
    """Whether the firm of a note is to stay as it is."""
    return _later_too() | ((firm_before.c.action == "created") & _referred_to())


def _referred_to() -> sa.ColumnElement[bool]:
    """Whether a lead, an event, the firms of a town or an erasure refer to the firm of a note."""
    ids = (sa.select(table.c.firm_id) for table in (lead, event, existing, erasure))
    return sa.or_(*(firm_before.c.firm_id.in_(every) for every in ids))


def _later_too() -> sa.Exists:
    """Whether a later batch, still in force or waiting, spoke of the firm of a note."""
    later = firm_before.alias()
    same = later.c.firm_id == firm_before.c.firm_id
    return sa.exists().where(same, later.c.batch_id > firm_before.c.batch_id)


def _kept(connection: Connection, number: int) -> int:
    noted = sa.select(sa.func.count()).select_from(firm_before)
    noted = noted.where(firm_before.c.batch_id == number, firm_before.c.action != "seen", _keeps())
    return int(connection.execute(noted).scalar_one())


def batches(connection: Connection) -> list[Batch]:
    """All imports, newest first."""
    found = connection.execute(sa.select(batch).order_by(batch.c.id.desc())).mappings()
    return [as_batch(b) for b in found]


def page(connection: Connection, before: int | None, limit: int) -> list[Batch]:
    """Imports of files, newest first; `before` is the number of the last of the page before."""
    query = sa.select(batch).where(batch.c.file_hash.not_like(f"{UPSERT}%"))
    if before is not None:
        query = query.where(batch.c.id < before)
    found = connection.execute(query.order_by(batch.c.id.desc()).limit(limit)).mappings()
    return [as_batch(b) for b in found]


def as_batch(row: RowMapping) -> Batch:
    """The batch of a row."""
    undone = row["undone_at"]
    return Batch(
        str(row["id"]), row["file_name"], row["file_hash"], row["rows"], row["created"],
        row["updated"], row["unchanged"], datetime.fromisoformat(row["created_at"]),
        datetime.fromisoformat(undone) if undone else None, row["kind"],
    )  # fmt: skip
