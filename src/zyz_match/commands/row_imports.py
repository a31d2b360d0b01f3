"""A file of leads or events from the command line; refused rows shown without contacts."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zyz_match.commands.office import emit_json, office, program
from zyz_match.console import Column, say, show_pairs, show_table

if TYPE_CHECKING:
    from pandas import DataFrame

    from zyz_match.leads_desk import RowReport

_CONTACTS = ("phone", "mail", "person")
_SHOWN_REJECTS = 5
_PHONE_OR_MAIL = re.compile(
    r"[\w.+-]+@[\w.-]+|(?<!\d)(?:\+?86[- ]?)?(?:1\d{10}|0\d{2,3}[- ]?\d{7,8})(?!\d)"
)


def import_rows(
    kind: Literal["leads", "events"],
    file: Path,
    dry_run: bool,
    yes: bool,
    rejects: Path | None,
    as_json: bool,
) -> None:
    """Import a file of this kind and say what happened."""
    with office() as (service, meter):
        report = service.import_rows(
            kind, file, dry_run=dry_run, confirmed=yes, rejects_path=rejects, progress=meter
        )
    if as_json:
        emit_json(_rows_json(report))
    else:
        _show_rows(report)


def _rows_json(report: "RowReport") -> dict[str, Any]:
    from zyz_match import reports

    file, plan = report.file, report.plan
    return {
        "dry_run": report.batch is None,
        "kind": file.kind,
        "file": file.file_name,
        "sheet": file.sheet,
        "rows": file.rows,
        "created": len(plan.new),
        "unchanged": plan.unchanged,
        "repeated": plan.repeated,
        "rejected": len(plan.faults),
        "rejects_file": str(report.rejects_path) if report.rejects_path else None,
        "columns": [{"header": h, "target": t or None} for h, t in file.targets],
        "warnings": list(file.warnings),
        "batch": reports.as_json(report.batch),
    }


def say_how_to_import(rows: int, refused: int) -> None:
    """The end of a preview: what to do next."""
    from zyz_match.leads_desk import asks_first

    how = "把 --dry-run 换成 --yes" if asks_first(rows, refused) else "去掉 --dry-run "
    say(f"以上是预览，没有写入任何数据。{how}即导入。", "green")


def _show_rows(report: "RowReport") -> None:
    file, plan, batch = report.file, report.plan, report.batch
    if unknown := [h for h, target in file.targets if h and not target]:
        say(f"不认识的列（{len(unknown)} 个，未使用）：{'、'.join(unknown)}")
    for warning in file.warnings:
        say(f"注意：{warning}", "yellow")
    show_refused(report.rejects, "退回原因", report.rejects_path)
    show_pairs(
        (
            ("读入", f"{file.rows:,} 行"),
            ("可导入" if batch is None else "新增", f"{len(plan.new):,} 条"),
            ("已有", f"{plan.unchanged:,} 条"), ("文件内重复", f"{plan.repeated:,} 行"),
            ("拒绝", f"{len(plan.faults):,} 行"),
        )
    )  # fmt: skip
    say()
    if batch is None:
        say_how_to_import(file.rows, len(plan.faults))
    elif not plan.new:
        say("没有新的内容，库中未变。", "yellow")
    else:
        say(f"已导入，批次 {batch.batch_id}。撤销：{program()} undo {batch.batch_id}", "green")


def masked(text: str, target: str | None) -> str:
    """A sample without contacts: nothing of a contact column, no phone or mail of any other."""
    if target in _CONTACTS:
        return "（已隐去）"
    return _PHONE_OR_MAIL.sub("***", text)


def show_refused(rejects: "DataFrame", reason: str, path: Path | None) -> None:
    """The first refused rows with their reasons, and where all of them are."""
    if not len(rejects):
        return
    head = rejects.head(_SHOWN_REJECTS)
    say()
    show_table(
        (Column("行号", right=True), Column("原因")),
        [(r, masked(why, None)) for r, why in zip(head["行号"], head[reason], strict=True)],
        title=f"有问题的行（共 {len(rejects):,} 行，前 {len(head)} 行）",
    )
    if path is not None:
        say(f"全部问题行和原因：{path}（改好后可直接再导入）", "yellow")
