"""Commands about what is in the store: init, import, undo, batches."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from zyz_match.commands.lists import Json
from zyz_match.commands.office import emit_json, existing_file, office, program
from zyz_match.commands.row_imports import import_rows, masked, say_how_to_import, show_refused
from zyz_match.console import Column, figures, note, say, show_pairs, show_table
from zyz_match.errors import InputError

if TYPE_CHECKING:
    from zyz_match.imports_desk import ImportReport

_MEANINGS = {
    "firm_id": "企业编号", "name": "企业名称", "uscc": "统一社会信用代码", "stock_code": "证券代码",
    "status": "登记状态", "province": "省", "city": "市", "county": "区县", "address": "地址",
    "industry": "行业", "industry_text": "行业", "capital": "注册资本", "capital_text": "注册资本",
    "capital_paid": "实缴资本", "founded": "成立日期", "size": "企业规模", "kind": "企业类型",
    "employees": "参保人数", "scope": "经营范围", "products": "主营产品", "website": "网址",
    "former_names": "曾用名", "marks": "资质", "listing": "上市状态", "revenue": "营业收入",
    "patents": "专利数", "source": "资料来源", "division": "行政区划代码", "standing": "存续情况",
    "phone": "电话（另存，不进入评分）", "mail": "邮箱（另存，不进入评分）",
    "person": "联系人（另存，不进入评分）",
}  # fmt: skip
_TOWN_ONLY = {"products", "chain", "sector", "level", "regions", "exclude_regions", "anchors"}
_HAPPENED = {"created": "新建", "updated": "更新", "unchanged": "未变"}
Kind = Literal["firms", "towns", "leads", "events"]
_KINDS: tuple[Kind, ...] = get_args(Kind)
_KIND_NAMES = {"firms": "企业名单", "leads": "跟进记录", "events": "投资事件"}
_PEEK = 1_000_000


def init(as_json: Json = False) -> None:
    """建好企业库，载入随附的专业镇和样例企业（可重复运行，不会重复载入）。"""
    with office(seed=False) as (service, meter):
        report = service.init(progress=meter)
        home = service.settings.home
    if as_json:
        from zyz_match import reports

        emit_json(reports.as_json(report))
        return
    say(f"企业库已就绪，数据目录：{home}", "green")
    say(f"专业镇 {len(report.towns)} 个：{_counted(report.towns)}。")
    firms = report.firms
    if firms is not None:
        total = firms.created + firms.updated + firms.unchanged
        again = "，此前已载入" if firms.repeated else ""
        say(f"样例企业 {total:,} 家（批次 {firms.batch_id}{again}），可用 {program()} undo 撤销。")
    say(f"接下来：{program()} run 为每个专业镇出一份名单。")


def _counted(happened: Mapping[str, str]) -> str:
    values = list(happened.values())
    return "、".join(f"{name} {values.count(key)}" for key, name in _HAPPENED.items())


def import_(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[firms|towns|leads|events] 文件",
            help="企业名单、专业镇档案（yaml jsonl）、跟进记录 leads 或投资事件 events；"
            "不写种类时自动区分前两种。",
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只预览，不写入任何数据。")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="有问题的行超过两成时，仍导入其余各行。")
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option("--rejects", metavar="文件", help="有问题的行写到哪里（默认在原文件旁边）。"),
    ] = None,
    towns: Annotated[bool, typer.Option("--towns", help="按专业镇档案读取。")] = False,
    as_json: Json = False,
) -> None:
    """导入企业名单、专业镇档案、跟进记录或投资事件：有问题的行另存并写明原因，可整批撤销。"""
    kind, file = _kind_and_file(words)
    existing_file(file)
    if kind == "leads" or kind == "events":
        import_rows(kind, file, dry_run, yes, rejects, as_json)
        return
    if kind == "towns" or (not kind and (towns or looks_like_towns(file))):
        _import_towns(file, dry_run, as_json)
        return
    with office() as (service, meter):
        report = service.import_firms(
            file, dry_run=dry_run, confirmed=yes, rejects_path=rejects, progress=meter
        )
    if as_json:
        emit_json(_import_json(report))
    else:
        _show_import(report, yes)


def _kind_and_file(words: list[str]) -> tuple[Kind | None, Path]:
    """The kind of the file, None when it was not said, and its path."""
    if len(words) == 1:
        return None, Path(words[0])
    word, file, *more = words
    kind = next((k for k in _KINDS if k == word), None)
    if kind is None:
        raise InputError(f"“{word}”不是可导入的种类；可用：{'、'.join(_KINDS)}。一次导入一个文件。")
    if more:
        raise InputError(f"一次导入一个文件，多出：{'、'.join(more)}。文件名有空格时用引号括起来。")
    return kind, Path(file)


def looks_like_towns(path: Path) -> bool:
    """Whether a file holds town profiles: YAML, a folder, or JSON lines whose first object does."""
    if path.is_dir() or path.suffix.lower() in (".yaml", ".yml"):
        return True
    if path.suffix.lower() != ".jsonl":
        return False
    with path.open("rb") as stream:
        data = stream.read(_PEEK)
    text = data.decode(
        "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace"
    )
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        found = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"id", "name"} <= found.keys() and (
        not _TOWN_ONLY.isdisjoint(found) or len(found) == 2
    )  # fmt: skip


def _import_towns(path: Path, dry_run: bool, as_json: bool) -> None:
    if dry_run:
        from zyz_match.profiles import read_towns

        happened = {t.id: "valid" for t in read_towns(path)}
    else:
        with office() as (service, _):
            happened = service.import_towns(path)
    if as_json:
        emit_json({"towns": happened, "dry_run": dry_run})
    elif dry_run:
        say(f"{len(happened)} 份专业镇档案都正确，未写入：{'、'.join(happened)}。")
    else:
        say(f"专业镇 {len(happened)} 个：{_counted(happened)}。", "green")
        say(f"马上可用：{program()} rank {next(iter(happened), '专业镇')}")


def _import_json(report: "ImportReport") -> dict[str, Any]:
    from zyz_match import reports

    file, batch = report.file, report.batch
    return {
        "dry_run": batch is None,
        "file": file.file_name,
        "sheet": file.sheet,
        "rows": file.rows,
        "accepted": len(file.frame),
        "merged": file.duplicates,
        "rejected": len(file.rejects),
        "rejects_file": str(report.rejects_path) if report.rejects_path else None,
        "columns": [{"header": m.header, "target": m.target or None} for m in file.mapping],
        "unknown_columns": list(file.unknown),
        "warnings": list(file.warnings),
        "batch": reports.as_json(batch),
    }


def _show_import(report: "ImportReport", confirmed: bool) -> None:
    file, batch = report.file, report.batch
    _show_mapping(report)
    if file.unknown:
        say(f"不认识的列（{len(file.unknown)} 个，不参与评分）：{'、'.join(file.unknown)}")
    for warning in file.warnings:
        say(f"注意：{warning}", "yellow")
    show_refused(file.rejects, "原因", report.rejects_path)
    say()
    counts: list[tuple[str, object]] = [("读入", f"{file.rows:,} 行")]
    if batch is not None:
        counts += [
            ("新增", f"{batch.created:,} 家"), ("更新", f"{batch.updated:,} 家"),
            ("未变", f"{batch.unchanged:,} 家"),
        ]  # fmt: skip
    else:
        counts.append(("可导入", f"{len(file.frame):,} 家"))
    counts += [("合并重复", f"{file.duplicates:,} 行"), ("拒绝", f"{len(file.rejects):,} 行")]
    if kinds := _contact_counts(report):
        counts.append(("联系方式", kinds))
    show_pairs(counts)
    say()
    if batch is None:
        say_how_to_import(file.rows, len(file.rejects))
    elif batch.repeated:
        say(f"这个文件已在批次 {batch.batch_id} 导入过，本次没有重复写入。", "yellow")
    else:
        say(f"已导入，批次 {batch.batch_id}。撤销：{program()} undo {batch.batch_id}", "green")


def _show_mapping(report: "ImportReport") -> None:
    file = report.file
    where = "，".join(
        x for x in (f"工作表“{file.sheet}”" if file.sheet else "",
                    f"表头在第 {file.header_row} 行" if file.header_row else "",
                    f"编码 {file.charset}" if file.charset else "") if x
    )  # fmt: skip
    columns = (Column("文件列名"), Column("识别为"), Column("样例"))
    rows = []
    for m in file.mapping:
        meaning = _MEANINGS.get(m.target, m.target) if m.target else "—"
        if m.target is None and m.header in file.ignored:
            meaning = "—（无需使用）"
        rows.append((m.header, meaning, masked("；".join(m.samples), m.target)))
    show_table(columns, rows, title=f"{file.file_name}{f'（{where}）' if where else ''}")


def _contact_counts(report: "ImportReport") -> str:
    kinds = report.file.contacts["kind"].tolist()
    names = {"phone": "电话", "mail": "邮箱", "person": "联系人"}
    counted = [f"{names[k]} {kinds.count(k):,} 个" for k in names if k in kinds]
    return "、".join(counted) + "（另存，名单和预览中不出现）" if counted else ""


def undo(
    batch: Annotated[str, typer.Argument(metavar="批次", help="批次编号，见 batches。")],
    as_json: Json = False,
) -> None:
    """撤销一次导入：新增的删除，更新的恢复原样。"""
    if not batch.strip():
        raise InputError("请给出批次编号，可用 batches 查看。")
    with office() as (service, meter):
        meter("撤销导入", 0, 1)
        done = service.undo(batch.strip())
    if as_json:
        from zyz_match import reports

        emit_json(reports.as_json(done))
        return
    if done.kind == "firms":
        said = (f"删除 {done.removed:,} 家，恢复原样 {done.restored:,} 家，"
                f"因后来的导入、跟进、事件或专业镇也提到而保留 {done.kept:,} 家。")  # fmt: skip
    else:
        said = f"删除 {done.removed:,} 条，因另有来源或已被更正而保留 {done.kept:,} 条。"
    say(f"批次 {batch.strip()} 已撤销：{said}", "green")


def batches(as_json: Json = False) -> None:
    """列出各次导入，最近的在前。"""
    with office() as (service, _):
        found = service.batches()
    if as_json:
        from zyz_match import reports

        emit_json(reports.as_json(found))
        return
    if not found:
        note("还没有导入过文件。", "yellow")
        return
    columns = (
        figures("批次"),
        Column("时间", whole=True),
        Column("种类", whole=True),
        Column("文件"),
        figures("行数"),
        figures("新增"),
        figures("更新"),
        figures("未变"),
        Column("状态", whole=True),
    )
    rows = [
        (b.batch_id, f"{b.created_at.astimezone():%Y-%m-%d %H:%M}", _KIND_NAMES[b.kind],
         b.file_name, f"{b.rows:,}", f"{b.created:,}", f"{b.updated:,}", f"{b.unchanged:,}",
         "已撤销" if b.undone_at else "有效")
        for b in found
    ]  # fmt: skip
    show_table(columns, rows)
