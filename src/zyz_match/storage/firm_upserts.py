"""Firms of another system: cells as of a one-row file, identity by external id before all else."""

import uuid
from collections.abc import Mapping, Sequence

from sqlalchemy.engine import Connection

from zyz_match.domain import Col
from zyz_match.errors import ZyzError
from zyz_match.storage import bulk, identity, imports, rows, stamps
from zyz_match.storage.columns import Field
from zyz_match.storage.identity import Known, Row
from zyz_match.storage.merging import merge
from zyz_match.storage.rows import Record
from zyz_match.storage.tables import firm, firm_before
from zyz_match.storage.upsert_items import (
    Given,
    Item,
    ItemError,
    Links,
    Refused,
    Result,
    Status,
    each,
)

FirmCells = Mapping[Col, str]  # as a file writes them; what is left out is not known
FILE_NAME = "接口写入"
_DERIVED = (Col.STANDING, Col.DIVISION)  # from status and address
COLUMNS = tuple(c for c in Col if c not in _DERIVED)
_KEYS = (Col.FIRM_ID, Col.NAME, Col.USCC, Col.STOCK_CODE)
_FIELDS = {
    at: Field(Col.INDUSTRY_TEXT, (), 0 if c is Col.INDUSTRY else 1)
    if c in (Col.INDUSTRY, Col.INDUSTRY_TEXT) else Field(c, ())
    for at, c in enumerate(COLUMNS)
}  # fmt: skip


class FirmUpserts:
    """The firms of one call: typed, found or made, merged in order, written together."""

    def __init__(self, connection: Connection, items: Sequence[Given[FirmCells]]) -> None:
        self._connection, self._items = connection, items
        self._links = Links(connection, "firm", items)
        self._records, self._faults = _typed(items)
        every = identity.rows_of(
            (r[Col.FIRM_ID], r[Col.USCC], r[Col.STOCK_CODE], r[Col.NAME])
            for r in self._records.values()
        )
        self._rows = {
            at: self._with_own_id(at, row) for at, row in zip(self._records, every, strict=True)
        }
        linked = [Row(own_id, "", "", "", "") for own_id in sorted(self._links.owners)]
        self._index = identity.load(connection, [*self._rows.values(), *linked])
        self._before: dict[str, Record | None] = {}
        self._now: dict[str, Record] = {}

    def _with_own_id(self, at: int, row: Row) -> Row:
        item = self._items[at]
        given = item.content.get(Col.FIRM_ID, "") if isinstance(item, Item) else ""
        return Row(given, row.uscc, row.stock_code, row.name, row.key) if given else row

    def run(self) -> tuple[tuple[Result, ...], str, int]:
        """Write everything that is good: results, number of the batch, count of new links."""
        targets = {at: self._target(at) for at in range(len(self._items))}
        stored = {t.firm_id for t in targets.values() if isinstance(t, Known) and t.row_hash}
        self._now = imports.fetch(self._connection, sorted(stored))

        def take(at: int, _item: Item[FirmCells]) -> tuple[Status, str]:
            target = targets[at]
            if isinstance(target, ZyzError):
                raise target
            return self._merged(target.firm_id, self._records[at]), target.firm_id

        results = each(self._items, take)
        batch = self._write() if self._before else ""
        self._links.write()
        return results, batch, self._links.new

    # which firm --------------------------------------------------------------------------------

    def _target(self, at: int) -> Known | ZyzError:
        """The firm that an item is about; the items after it know it by the same ids."""
        item = self._items[at]
        if isinstance(item, Refused):
            return item.error
        if at in self._faults:
            return _fault(self._faults[at])
        try:
            known = self._found(at, item)
            if not (known.row_hash or known.name or self._records[at][Col.NAME]):
                why = "库中没有这家企业，新企业须写名称 name。"
                raise ItemError("missing_name", why, ("name",))
        except ItemError as error:
            return error
        known.name = known.name or self._records[at][Col.NAME]
        self._links.name(item.external, known.firm_id)
        return known

    def _found(self, at: int, item: Item[FirmCells]) -> Known:
        index, row = self._index, self._rows[at]
        given = item.content.get(Col.FIRM_ID, "")
        linked = index.by_id.get(self._links.own(item.external))
        known = linked or index.by_id.get(given)
        if known is None:
            return identity.resolve(index, [row])[0]
        if given not in ("", known.firm_id):
            raise ItemError(
                "identity_conflict",
                f"外部编号指企业“{known.firm_id}”，firm_id 写的是“{given}”，请核对。", ("firm_id",),
            )  # fmt: skip
        same = [k for k in index.by_uscc.get(row.uscc, ()) if k is not known]
        if row.uscc and (same or known.uscc not in ("", row.uscc)):
            owner = f"属于企业“{same[0].firm_id}”" if same else f"与库中的“{known.uscc}”不同"
            raise ItemError(
                "identity_conflict",
                f"企业“{known.firm_id}”：统一社会信用代码“{row.uscc}”{owner}，请核对是哪家企业。",
                ("uscc",),
            )
        named = index.by_name.get(row.key, [])
        code = row.uscc or known.uscc
        if known not in named and any(not (code and k.uscc) for k in named):
            raise ItemError(
                "identity_conflict",
                f"企业“{known.firm_id}”：新名称是另一家企业“{named[0].firm_id}”的，"
                "又没有两个统一社会信用代码来区分，请核对是哪家企业。",
                ("name",),
            )
        index.learn(known, row.uscc, row.stock_code, row.key)
        return known

    # what it is now ----------------------------------------------------------------------------

    def _merged(self, firm_id: str, record: Record) -> Status:
        old, new = self._now.get(firm_id), record | {Col.FIRM_ID: firm_id}
        if old is None:
            self._before[firm_id], self._now[firm_id] = None, new
            return "created"
        merged = merge(old, new)
        if rows.row_hash(merged) == rows.row_hash(old):
            return "unchanged"
        self._before.setdefault(firm_id, old)
        self._now[firm_id] = merged
        return "updated"

    def _write(self) -> str:
        """One batch of the firms that are new or changed; its number."""
        connection, moment = self._connection, rows.utc_now()
        file = (FILE_NAME, f"{imports.UPSERT}{uuid.uuid4().hex}")
        number = imports.begin(connection, *file, len(self._before), imports.FIRMS)
        every = {i: rows.to_store(self._now[i], moment) for i in self._before}
        bulk.insert(connection, firm, [r for i, r in every.items() if self._before[i] is None])
        changed = [r for i, r in every.items() if self._before[i] is not None]
        bulk.update(connection, firm, changed)
        bulk.insert(connection, firm_before, [
            {"batch_id": number, "firm_id": i, "action": "updated" if old else "created",
             "before": rows.to_json(old) if old else None}
            for i, old in self._before.items()
        ])  # fmt: skip
        counts = {"created": len(every) - len(changed), "updated": len(changed)}
        imports.note_counts(connection, number, counts)
        stamps.renew_firms(connection, "firms", number)
        return str(number)


def _typed(
    items: Sequence[Given[FirmCells]],
) -> tuple[dict[int, Record], dict[int, list[str]]]:
    """The record of every item by its place, and why some cannot be believed."""
    from zyz_match.storage import firm_frame  # heavy, as are those below
    from zyz_match.storage.cells import Notes
    from zyz_match.storage.draft import frame_of
    from zyz_match.storage.raw import RawTable

    places = [at for at, item in enumerate(items) if isinstance(item, Item)]
    contents = [_recognisable(i.content) for i in items if isinstance(i, Item)]
    columns = tuple([content.get(c, "") for content in contents] for c in COLUMNS)
    raw = RawTable(tuple(COLUMNS), columns, list(range(len(places))), {}, (), False, ())
    notes = Notes()
    frame = frame_of(firm_frame.build(raw, _FIELDS, notes, lambda _done, _total: None))
    good = [places[row] for row in frame.index]
    records = rows.records(rows.check_frame(frame))
    faults = {places[row]: reasons for row, reasons in notes.reasons.items()}
    return dict(zip(good, records, strict=True)), faults


def _recognisable(cells: FirmCells) -> FirmCells:
    """Cells that name a firm: a stand-in where only an external id does."""
    if any(cells.get(c) for c in _KEYS):
        return cells
    return {**cells, Col.FIRM_ID: f"item:{uuid.uuid4().hex}"}


def _fault(reasons: Sequence[str]) -> ItemError:
    fields = {r.partition("：")[0] for r in reasons}
    known = [c.value for c in COLUMNS if c.value in fields]
    return ItemError("invalid_field", "；".join(dict.fromkeys(reasons)) + "。", known)
