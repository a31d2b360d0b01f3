"""Firm tables in: any registry export or plain table, as one typed frame or one error."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from zyz_match.domain import Col
from zyz_match.errors import FileError
from zyz_match.storage import contacts, duplicates, firm_frame, rejects
from zyz_match.storage.cells import Notes
from zyz_match.storage.columns import ColumnMapping, Field, find_field, is_ignored
from zyz_match.storage.draft import check, frame_of
from zyz_match.storage.raw import RawTable, load, read_header
from zyz_match.storage.rejects import write_rejects
from zyz_match.storage.row_files import lacking_columns
from zyz_match.storage.sheets import Sheet, best_sheet, open_book

__all__ = ["ColumnMapping", "FirmFile", "read_firms", "write_rejects"]

Tick = Callable[[int, int], None]
_PERSONAL = ("电话", "手机", "邮箱", "联系", "姓名", "身份证")  # no samples of such columns
_COPY = re.compile(r" \(\d+\)$")  # what `raw` puts behind a header that stands there again
_LOADED = 40  # per cent of the work done once the cells are in memory
_KEY_COLUMNS = (Col.NAME, Col.USCC, Col.STOCK_CODE)


@dataclass(frozen=True, slots=True)
class FirmFile:
    """A firm table as it was read: the firms, and everything the reader of the file should know."""

    frame: pd.DataFrame  # the columns of Col, one row a firm
    contacts: pd.DataFrame  # firm_id, kind (phone | mail | person), value
    rejects: pd.DataFrame  # 行号, 原因, the columns of the file
    mapping: tuple[ColumnMapping, ...]  # every column of the file, in its order
    unknown: tuple[str, ...]  # headers that we do not know
    ignored: tuple[str, ...]  # headers that we know and do not need
    file_name: str
    file_hash: str  # sha256 of the file's bytes
    sheet: str  # "" for files without sheets
    charset: str  # "" for workbooks
    header_row: int  # as a spreadsheet counts; 0 for JSON lines
    rows: int  # data rows read, blank ones not counted
    duplicates: int  # rows that were merged into an earlier row of the same firm
    warnings: tuple[str, ...]  # Chinese
    written_ids: dict[str, str] = field(default_factory=dict)  # firm_id -> the file's other word

    @property
    def reject_share(self) -> float:
        """Share of the data rows that were rejected, in [0, 1]."""
        return len(self.rejects) / self.rows if self.rows else 0.0


def read_firms(path: Path, *, progress: Tick | None = None) -> FirmFile:
    """Read a firm table of any supported kind.

    `progress` is called with per cent done and 100. Raises FileError for a file that is no firm
    table; rows that cannot be believed are in `rejects`, never silently dropped or changed.
    """
    tick = progress or (lambda done, total: None)
    path = Path(path)
    tick(0, 100)
    with open_book(path) as book:
        sheet, index = best_sheet(book)
        _check_header(sheet, index, book.name)
        headers, repeated = read_header(sheet, index)
        fields = _first_of_repeated(firm_frame.meanings(headers), headers, repeated)
        raw = load(sheet, index, book.name, fields)
        for column in raw.columns if raw.escaped else ():
            column[:] = [rejects.unescape(c) for c in column]
        tick(_LOADED, 100)
        found = _firms(
            sheet, raw, fields, lambda d, n: tick(_LOADED + (99 - _LOADED) * d // n, 100)
        )
        tick(100, 100)
        return replace(
            found, file_name=book.name, file_hash=book.hash, sheet=sheet.name,
            charset=sheet.charset, header_row=sheet.first + index,
            warnings=(*_about(sheet, raw), *found.warnings),
        )  # fmt: skip


def _check_header(sheet: Sheet, header_index: int, name: str) -> None:
    head = sheet.head()
    if not any(c.strip() for row in head for c in row):
        raise FileError(f"“{name}”是空表，没有任何内容。请重新导出。")
    header = head[header_index]
    if not lacking_columns(header, "leads"):
        raise FileError(
            f"“{name}”像是跟进记录（有专业镇、日期和结果列），请用 zyz-match import leads 导入。"
            "确是企业名单的话，请先删去“专业镇”列。"
        )
    if any(f.target in _KEY_COLUMNS for f in map(find_field, header) if f):
        return
    seen = "、".join(dict.fromkeys(c.strip()[:20] for c in header if c.strip())) or "（空）"
    raise FileError(
        f"“{name}”里找不到企业名称列。前十行中最像表头的一行是：{seen[:300]}。"
        "表头须在前十行内，至少有“企业名称”（或公司名称、系统匹配企业名称）、“统一社会信用代码”、“证券代码”之一。",
        details=tuple(dict.fromkeys(c.strip() for c in header if c.strip())),
    )


def _firms(sheet: Sheet, raw: RawTable, fields: dict[int, Field], tick: Tick) -> FirmFile:
    notes = Notes()
    contacts.check(raw, fields, notes)
    draft = firm_frame.build(raw, fields, notes, tick)
    kept = frame_of(draft)
    merged = duplicates.merge(kept)
    for row, (first, differing) in merged.refused.items():
        notes.reject(
            row,
            f"与第 {raw.numbers[first]} 行是同一家企业，但{'、'.join(differing)}不同；"
            f"请核对后只留一行",
        )
    kept = duplicates.apply(kept, merged)
    owners = list(zip(kept.index, kept[Col.FIRM_ID], strict=True))
    written = {i: w for row, i in owners if (w := draft.written[row]) != i}
    contacts_found = contacts.collect(raw, fields, _rows_of(owners, merged.into))
    ignored = tuple(h for h in raw.headers if find_field(h) is None and is_ignored(h))
    unknown = (h for i, h in enumerate(raw.headers) if h and i not in fields and h not in ignored)
    return FirmFile(
        frame=check(kept),
        contacts=contacts_found,
        rejects=rejects.table(sheet, raw, notes),
        mapping=tuple(_mapping(raw, fields)),
        unknown=tuple(unknown),
        ignored=ignored,
        file_name="", file_hash="", sheet="", charset="", header_row=0,
        rows=raw.rows,
        duplicates=len(merged.into),
        warnings=(*_shared_targets(raw, fields), *notes.lines()),
        written_ids=written,
    )  # fmt: skip


def _first_of_repeated(
    fields: dict[int, Field], headers: Sequence[str], repeated: Sequence[str]
) -> dict[int, Field]:
    """Of a header that stands there twice, word for word, only the first column counts."""
    again = {i for i, h in enumerate(headers) if _COPY.sub("", h) in repeated and _COPY.search(h)}
    return {i: f for i, f in fields.items() if i not in again}


def _rows_of(
    owners: Sequence[tuple[int, str]], into: Mapping[int, int]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every firm with its row and the rows that went into it."""
    more: dict[int, list[int]] = {}
    for row, first in into.items():
        more.setdefault(first, []).append(row)
    return ((firm_id, (row, *more.get(row, ()))) for row, firm_id in owners)


def _mapping(raw: RawTable, fields: dict[int, Field]) -> list[ColumnMapping]:
    out = []
    for position, header in enumerate(raw.headers):
        target = fields[position].target if position in fields else None
        personal = any(w in header for w in _PERSONAL) or not (
            target is None or isinstance(target, Col)
        )
        out.append(ColumnMapping(header, target, () if personal else raw.samples[position]))
    return out


def _shared_targets(raw: RawTable, fields: dict[int, Field]) -> list[str]:
    """A remark for each meaning that several columns have with equal right."""
    groups: dict[Field, list[str]] = {}
    for position, meaning in fields.items():
        if isinstance(meaning.target, Col) and meaning.target is not Col.MARKS:
            groups.setdefault(meaning, []).append(raw.headers[position])
    return [
        f"{'、'.join(f'“{h}”' for h in headers)}含义相同，每行取第一个非空的值"
        for headers in groups.values() if len(headers) > 1
    ]  # fmt: skip


def _about(sheet: Sheet, raw: RawTable) -> list[str]:
    out = [f"表头“{h}”重复，只用第一列" for h in raw.repeated]
    if sheet.merged > 1:
        out.append(
            f"工作表“{sheet.name}”有 {sheet.merged} 处合并单元格，只有左上角的一格有值，"
            f"其余按空处理"
        )
    if sheet.hidden:
        out.append(f"读取的是隐藏的工作表“{sheet.name}”")
    return out
