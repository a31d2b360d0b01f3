"""Lists of all towns in one file: Excel and CSV for people, parquet and JSON lines for programs."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from zyz_match.domain import Match, Shortlist
from zyz_match.errors import InputError
from zyz_match.outputs import write_bytes
from zyz_match.reports import csv_cell, is_risky, printable, stage_name

HEADINGS = {
    "town_id": "专业镇编号", "town": "专业镇", "rank": "名次", "firm_id": "企业编号",
    "name": "企业名称", "province": "省", "city": "市", "score": "得分", "fit": "适配",
    "propensity": "意愿", "confidence": "可信度", "status": "登记状态",
    "flags": "提示", "care_stage": "跟进阶段", "care_owner": "跟进人",
    "reason": "主要理由", "list_id": "清单编号",
}  # fmt: skip
_WIDTHS = {"town": 20, "name": 28, "firm_id": 21, "reason": 42, "flags": 18}
_WIDTH = 10
_MOST_ROWS = 1_048_575  # of an Excel sheet, below the header
_FOR_PEOPLE = (".xlsx", ".csv")
_TEXT_LIMIT = 32_000  # Excel refuses cells above 32,767 characters


def check_out(path: Path, rows: int) -> None:
    """InputError unless so many rows can be written under this name."""
    kind = path.suffix.lower()
    if kind not in WRITERS:
        raise InputError(f"--out 的文件名应以 {'、'.join(WRITERS)} 结尾，现为“{path}”。")
    if path.is_dir():
        raise InputError(f"“{path}”是文件夹，请写出文件名。")
    if kind == ".xlsx" and rows > _MOST_ROWS:
        raise InputError(f"一张 Excel 表装不下 {rows:,} 行，请改用 .parquet 或 .csv，或减小 -k。")


def table_of(lists: Sequence[Shortlist], components: Sequence[str]) -> pa.Table:
    """The lists of several towns as one table, with the points of these components."""
    firm: dict[str, Callable[[Shortlist, Match], object]] = {
        "town_id": lambda found, m: found.town.id, "town": lambda found, m: found.town.name,
        "rank": lambda found, m: m.rank, "firm_id": lambda found, m: m.firm.firm_id,
        "name": lambda found, m: m.firm.name, "province": lambda found, m: m.firm.province,
        "city": lambda found, m: m.firm.city, "score": lambda found, m: m.score,
        "fit": lambda found, m: m.fit, "propensity": lambda found, m: m.propensity,
        "confidence": lambda found, m: m.confidence,
    }  # fmt: skip
    texts: dict[str, Callable[[Shortlist, Match], str]] = {
        "status": lambda found, m: m.firm.status, "flags": lambda found, m: "；".join(m.flags),
        "care_stage": lambda found, m: stage_name(m.care_stage),
        "care_owner": lambda found, m: m.care_owner,
        "reason": lambda found, m: m.reason, "list_id": lambda found, m: found.id,
    }  # fmt: skip
    pairs = [(found, m) for found in lists for m in found.matches]
    columns = {n: pa.array([value(*p) for p in pairs]) for n, value in firm.items()}
    points = [{c.name: c.points for c in m.contributions} for _, m in pairs]
    columns |= {n: pa.array([p.get(n) for p in points], pa.float64()) for n in components}
    told = {n: [value(*p) or None for p in pairs] for n, value in texts.items()}
    return pa.table(columns | {n: pa.array(t, pa.string()) for n, t in told.items()})


def write_rows(rows: pa.Table, path: Path, labels: Mapping[str, str]) -> None:
    """Write lists by the file's suffix; `labels` are the Chinese names of the components.

    Programs find the same columns in every file, people only those with something in them.
    Raises StorageError when the file cannot be written; what was there before is then untouched.
    """
    kind = path.suffix.lower()
    if kind in _FOR_PEOPLE:
        rows = rows.select([n for n in rows.column_names if rows[n].null_count < max(1, len(rows))])
    headings = {n: HEADINGS.get(n) or labels[n] for n in rows.column_names}
    write_bytes(path, WRITERS[kind](rows, headings))


def _excel(rows: pa.Table, headings: Mapping[str, str]) -> bytes:
    import xlsxwriter

    buffer = io.BytesIO()
    options = {
        "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
        "strings_to_numbers": False,
    }  # fmt: skip
    with xlsxwriter.Workbook(buffer, options) as book:
        sheet = book.add_worksheet("目标企业清单")
        quoted, bold = book.add_format({"quote_prefix": True}), book.add_format({"bold": True})
        for i, name in enumerate(headings):
            sheet.set_column(i, i, _WIDTHS.get(name, _WIDTH))
        sheet.write_row(0, 0, headings.values(), bold)
        for at, row in enumerate(rows.to_pylist(), start=1):
            for i, value in enumerate(row.values()):
                if isinstance(value, str):
                    text = printable(value)[:_TEXT_LIMIT]
                    sheet.write_string(at, i, text, quoted if is_risky(text) else None)
                elif value is not None:
                    sheet.write_number(at, i, value)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, rows.num_rows, len(headings) - 1)
    return buffer.getvalue()


def _csv(rows: pa.Table, headings: Mapping[str, str]) -> bytes:
    text = io.StringIO(newline="")
    out = csv.writer(text, lineterminator="\r\n")
    out.writerow(headings.values())
    for row in rows.to_pylist():
        out.writerow([csv_cell(v) for v in row.values()])
    return ("\ufeff" + text.getvalue()).encode()


def _parquet(rows: pa.Table, _headings: Mapping[str, str]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _json_lines(rows: pa.Table, _headings: Mapping[str, str]) -> bytes:
    lines = (json.dumps(r, ensure_ascii=False, allow_nan=False) for r in rows.to_pylist())
    return "".join(f"{line}\n" for line in lines).encode()


WRITERS: dict[str, Callable[[pa.Table, Mapping[str, str]], bytes]] = {
    ".xlsx": _excel, ".csv": _csv, ".parquet": _parquet, ".jsonl": _json_lines,
}  # fmt: skip
