"""Commands about what became of a list: outcome, leads, list."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any

import typer

from zyz_match.commands.lists import Json, Town
from zyz_match.commands.look import FirmName
from zyz_match.commands.office import emit_json, office, program, user
from zyz_match.console import Column, figures, note, say, show_pairs, show_table
from zyz_match.domain import REASONS, STAGE_NAMES, LeadEntry, Receipt, Reproduction
from zyz_match.errors import InputError
from zyz_match.stages import reason_of, stage_of

_HAPPENED = {"created": "已记下", "unchanged": "此前已记过，未重复"}
_VERDICTS = {True: "可以重现", False: "不能重现", None: "不能重现"}


def outcome(
    town: Town,
    firm: FirmName,
    stage: Annotated[
        str,
        typer.Argument(metavar="阶段", help=f"中文或英文：{'、'.join(STAGE_NAMES.values())}。"),
    ],
    reason: Annotated[
        str, typer.Option(metavar="原因", help=f"中文或英文：{'、'.join(REASONS.values())}。")
    ] = "",
    on: Annotated[
        str, typer.Option("--date", metavar="日期", help="发生的日期，如 2025-06-30，默认今天。")
    ] = "",
    owner: Annotated[
        str, typer.Option(metavar="姓名", help="跟进人，默认当前用户；写 - 表示没有。")
    ] = "",
    remark: Annotated[str, typer.Option("--note", metavar="文字", help="备注。")] = "",
    list_id: Annotated[
        str, typer.Option("--list", metavar="编号", help="出自哪份名单（清单编号）。")
    ] = "",
    corrects: Annotated[
        int | None, typer.Option(metavar="编号", help="更正哪一条记录，编号见 leads。")
    ] = None,
    as_json: Json = False,
) -> None:
    """记下一家企业与专业镇的进展；从不覆盖以前的记录，记错了用 --corrects 更正。"""
    found, why, day = stage_of(stage), reason_of(reason), _day(on)
    who = "" if owner == "-" else owner or user()
    with office() as (service, _):
        done = service.record_outcome(
            town, firm, found, on=day, reason=why, owner=who, note=remark, list_id=list_id,
            corrects=corrects,
        )  # fmt: skip
        names = _names(service, [done.entry])
    if as_json:
        emit_json({"change": done.change, "entry": _entry_json(done.entry)})
        return
    entry = done.entry
    say(
        f"{_HAPPENED[done.change]}：{entry.date} {names[0][entry.town_id]} · "
        f"{names[1].get(entry.firm_id, entry.firm_id)} — {STAGE_NAMES[entry.stage]}"
        f"（第 {entry.id} 条）",
        "green",
    )
    say(f"更正：{program()} outcome … --corrects {entry.id}", "dim")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip()) if text.strip() else None
    except ValueError as error:
        raise InputError(f"--date 应为日期，例：2025-06-30，现为“{text}”。") from error


def _names(
    service: Any, entries: Sequence[LeadEntry]
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Names of the towns and of the firms that entries speak of."""
    towns = {t.id: t.name for t in service.towns()}
    towns |= {e.town_id: e.town_id for e in entries if e.town_id not in towns}
    return towns, service.firm_names(list({e.firm_id for e in entries}))


def _entry_json(entry: LeadEntry) -> dict[str, Any]:
    from zyz_match.reports import as_json

    values: dict[str, Any] = as_json(entry)
    return values


def leads(
    town: Annotated[
        str, typer.Argument(metavar="[专业镇]", help="只看这个专业镇（编号或名称）。")
    ] = "",
    firm: Annotated[
        str, typer.Option(metavar="企业", help="只看这家企业（名称、代码或编号）。")
    ] = "",
    k: Annotated[int, typer.Option("-k", "--count", metavar="条数", help="最多列几条。")] = 50,
    as_json: Json = False,
) -> None:
    """列出跟进记录，最近的在前；被更正的也列出。"""
    with office() as (service, _):
        found = service.leads(town, firm, k=k)
        towns, firms = _names(service, found)
    if as_json:
        emit_json([_entry_json(e) for e in found])
        return
    if not found:
        note(f"没有跟进记录。用 {program()} outcome 记一条，或用 import leads 导入。", "yellow")
        return
    columns = (
        figures("编号"),
        Column("日期", whole=True),
        Column("专业镇"),
        Column("企业"),
        Column("阶段", whole=True),
        Column("原因"),
        Column("跟进人"),
        Column("备注"),
        Column("更正"),
    )
    rows = [
        (e.id, e.date, towns[e.town_id], firms.get(e.firm_id, e.firm_id), STAGE_NAMES[e.stage],
         REASONS.get(e.reason, ""), e.owner, e.note, _standing(e))
        for e in found
    ]  # fmt: skip
    show_table(columns, rows)
    say()
    say(f"共列出 {len(found)} 条。")


def _standing(entry: LeadEntry) -> str:
    replaces = f"更正第 {entry.corrects} 条" if entry.corrects else ""
    return replaces if entry.effective else "；".join(filter(None, (replaces, "已被更正")))


def receipt(
    list_id: Annotated[str, typer.Argument(metavar="清单编号", help="印在清单上，以 L 开头。")],
    as_json: Json = False,
) -> None:
    """查一份给出过的名单：谁在何时要的、凭什么排的，以及现在能否原样重现。"""
    with office() as (service, meter):
        found = service.receipt(list_id)
        service.index(progress=meter)
        verdict = service.reproduce(list_id)
        names = service.firm_names([i.firm_id for i in found.items])
    if as_json:
        from zyz_match import reports

        values = reports.as_json(found)
        emit_json(values | {"reproduction": reports.as_json(verdict)})
        return
    _show_receipt(found, names)
    _show_verdict(verdict)


def _show_receipt(found: Receipt, names: Mapping[str, str]) -> None:
    from zyz_match.reports import filters_in_words

    town = found.town.name if found.town else found.town_id
    asked_at = datetime.fromisoformat(found.asked_at).astimezone()
    show_pairs(
        (
            ("专业镇", town), ("时间", f"{asked_at:%Y-%m-%d %H:%M}"), ("谁要的", found.by),
            ("来自", found.via),
            ("筛选条件", filters_in_words(found.filters)), ("家数", found.k),
            ("分环节", "是" if found.diversify else ""), ("模型", found.model),
            ("数据", found.data), ("候选企业", f"{found.pool:,} 家（共 {found.total:,} 家）"),
        ),
        title=f"名单 {found.id}",
    )  # fmt: skip
    say()
    columns = (figures("名次"), Column("企业"), Column("编号"), figures("得分"))
    rows = [(i.rank, names.get(i.firm_id, "（已删除）"), i.firm_id, f"{i.score:.1f}")
            for i in found.items]  # fmt: skip
    show_table(columns, rows)


def _show_verdict(verdict: Reproduction) -> None:
    say()
    say(_VERDICTS[verdict.same], "green" if verdict.same else "yellow")
    for remark in verdict.remarks:
        say(f"  · {remark}")
