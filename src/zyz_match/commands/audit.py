"""Commands about who did what and about personal data: audit, contacts."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from zyz_match.commands.lists import Json
from zyz_match.commands.office import emit_json, office
from zyz_match.console import Column, figures, say, show_table
from zyz_match.days import BEIJING
from zyz_match.errors import InputError, StorageError

_KINDS = {"phone": "电话", "mail": "邮箱", "person": "联系人"}


def audit(
    verify: Annotated[
        bool, typer.Option("--verify", help="核对整条审计链：改动、删除、插入都会被发现。")
    ] = False,
    anchor: Annotated[
        Path | None,
        typer.Option(
            metavar="文件",
            help="与 --verify 同用：对照上次封存的末条，再封存这次的；能发现末尾被截去。",
        ),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="日期", help="只看这一天（UTC）及以后，如 2026-11-01。")
    ] = "",
    action: Annotated[str, typer.Option(metavar="动作", help="如 list.see、model.promote。")] = "",
    actor: Annotated[str, typer.Option(metavar="谁", help="账号、密钥或系统用户的名字。")] = "",
    k: Annotated[int, typer.Option("-k", "--count", metavar="条数", help="最多显示几条。")] = 50,
    as_json: Json = False,
) -> None:
    """谁在何时看了、改了、导出了、启用了什么；或核对审计链。"""
    if anchor is not None and not verify:
        raise InputError("--anchor 须与 --verify 同用。")
    if verify:
        _verify(anchor, as_json)
        return
    from zyz_match.ops_desk import Wanted

    wanted = Wanted(_day(since), action, actor)
    with office(seed=False) as (service, _):
        rows = service.audit(wanted, k=k)
    if as_json:
        from zyz_match.reports import as_json as plain

        emit_json(plain(rows))
        return
    columns = (
        figures("序号"), Column("时间（UTC）", whole=True), Column("谁"), Column("动作"),
        Column("对象"), Column("说明"),
    )  # fmt: skip
    said = ("，".join(f"{n}={v}" for n, v in r.detail.items()) for r in rows)
    show_table(
        columns,
        [
            (r.id, r.at[:19].replace("T", " "), f"{r.actor}（{r.via}）", r.action, r.object, text)
            for r, text in zip(rows, said, strict=True)
        ],
    )


def _verify(anchor: Path | None, as_json: bool) -> None:
    with office(seed=False) as (service, meter):
        meter("核对审计链", 0, 1)
        verdict = service.verify_audit(anchor)
    if as_json:
        last = {"id": verdict.last.id, "hash": verdict.last.hash}
        emit_json({"rows": verdict.rows, "last": last, "fault": verdict.fault})
    if verdict.fault:
        raise StorageError(f"审计链不完整：{verdict.fault}请保留现场，对照备份查明原因。")
    if not as_json:
        say(f"审计链完整：{verdict.rows:,} 条，末条第 {verdict.last.id} 条。", "green")


def _day(text: str) -> str:
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
        known = moment if moment.tzinfo else moment.replace(tzinfo=BEIJING)
        return known.astimezone(UTC).isoformat(timespec="milliseconds")
    except ValueError:
        raise InputError(f"--since 应为日期，如 2026-11-01，现为“{text}”。") from None


def contacts(
    firm: Annotated[str, typer.Argument(metavar="企业", help="企业的名称、代码或编号。")],
    erase: Annotated[
        bool, typer.Option("--erase", help="永久删除这家企业的联系人，以后导入也不再带回。")
    ] = False,
    allow: Annotated[
        bool, typer.Option("--allow", help="删除之后，重新允许导入带来联系人。")
    ] = False,
    as_json: Json = False,
) -> None:
    """看一家企业的联系人（记入审计），或把它们永久删除。"""
    if erase and allow:
        raise InputError("--erase 和 --allow 请二选一。")
    with office(seed=False) as (service, _):
        found = service.firm(firm)
        if erase:
            removed = service.erase_contacts(found.firm_id)
        elif allow:
            done = service.allow_contacts(found.firm_id)
        else:
            seen = service.contacts(found.firm_id)
    if erase:
        say(f"已删除 {found.name} 的 {removed} 条联系方式；以后的导入不会再带回。", "green")
    elif allow:
        say(f"{found.name}：" + ("已重新允许导入联系人。" if done else "本来就允许导入联系人。"))
    elif as_json:
        emit_json([{"kind": kind, "value": value} for kind, value in seen.contacts])
    else:
        rows = [(_KINDS[kind], value) for kind, value in seen.contacts]
        show_table((Column("种类"), Column("内容")), rows, title=f"{found.name} 的联系人")
