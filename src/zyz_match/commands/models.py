"""Commands about models: retrain, jobs, models and what can be done with one."""

import os
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zyz_match.commands.chinese import ChineseCommand, ChineseGroup
from zyz_match.commands.lists import Json
from zyz_match.commands.model_text import card_lines
from zyz_match.commands.office import emit_json, office, program, user
from zyz_match.console import Column, figures, note, say, show_pairs, show_table
from zyz_match.errors import InputError, ZyzError

if TYPE_CHECKING:
    from zyz_match.jobs_desk import Job
    from zyz_match.models_desk import ModelDiff, ModelInfo, TownMoves

_STATES = {
    "queued": "排队中", "running": "进行中", "done": "已完成", "failed": "失败",
    "cancelled": "已取消",
}  # fmt: skip
_NICE = 10  # a job gives way to the lists


class JobKind(StrEnum):
    """What a worker does."""

    RETRAIN = "retrain"
    IMPORT = "import"


Version = Annotated[
    str, typer.Argument(metavar="版本", help="版本号，或其中无歧义的一段（如末五位）。")
]


# retrain and jobs ----------------------------------------------------------------------------


def retrain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="只训练和评判，不保存也不启用新模型。")
    ] = False,
    as_json: Json = False,
) -> None:
    """用成交结果和投资事件重新训练；新模型确实更好才启用。Ctrl+C 取消。"""
    with office() as (service, meter):
        job = service.retrain(dry_run=dry_run, by=user(), progress=meter)
    if job.error:
        raise ZyzError(job.error)
    if as_json:
        emit_json(_plain(job))
        return
    _show_result(job, dry_run)


def _show_result(job: "Job", dry_run: bool) -> None:
    result = job.result
    if result is None:
        note("训练已取消，正在使用的模型不变。", "yellow")
        return
    if bool(job.params["dry_run"]) != dry_run:
        note("已有一次训练在进行，以下是它的结果。", "yellow")
    say(result["verdict"])
    if result["promoted"]:
        say(f"新模型 {result['version']} 已启用。退回：{program()} models rollback", "green")
        return
    _show_card(result["card"])
    say("以上是试训练，没有保存任何模型。" if job.params["dry_run"] else "正在使用的模型不变。")


def jobs(
    job_id: Annotated[
        str | None, typer.Argument(metavar="任务", help="任务编号；不写则列出全部。")
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="取消这个任务。")] = False,
    as_json: Json = False,
) -> None:
    """列出训练任务，查看或取消其中一个；中断的任务会接着做。"""
    if cancel and job_id is None:
        raise InputError(f"取消任务请写明任务编号，可用 {program()} jobs 查看。")
    with office() as (service, _):
        if job_id is None:
            found = service.jobs()
        else:
            found = [service.cancel_job(job_id) if cancel else service.job(job_id)]
    if as_json:
        plain = [_plain(j) for j in found]
        emit_json(plain if job_id is None else plain[0])
    elif job_id is not None:
        _show_job(found[0])
    elif found:
        _show_jobs(found)
    else:
        note(f"还没有训练任务。发起：{program()} retrain", "yellow")


def _show_jobs(found: "list[Job]") -> None:
    columns = (
        Column("任务", whole=True), Column("状态", whole=True), Column("发起", whole=True),
        Column("结束", whole=True), Column("结果"),
    )  # fmt: skip
    show_table(
        columns,
        [(j.id, _state(j), _time(j.created_at), _time(j.finished_at), _said(j)) for j in found],
    )


def _show_job(job: "Job") -> None:
    result = job.result or {}
    show_pairs(
        [
            ("任务", job.id), ("状态", _state(job)), ("发起人", job.params.get("by")),
            ("发起", _time(job.created_at)), ("开始", _time(job.started_at)),
            ("结束", _time(job.finished_at)), ("第几次执行", job.attempts or ""),
            ("模型", result.get("version")), ("结果", _said(job)),
        ]
    )  # fmt: skip


def _state(job: "Job") -> str:
    if job.cancel_requested and not job.ended:
        return "正在取消"
    return _STATES[job.state]


def _said(job: "Job") -> str:
    if job.ended:
        return job.error or (job.result or {}).get("verdict", "")
    return f"{job.what} {job.done:,}/{job.total:,}" if job.total > 1 else job.what


def _time(moment: Any) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else ""


def _plain(value: object) -> Any:
    from zyz_match import reports

    return reports.as_json(value)


def worker(
    check: Annotated[
        str | None,
        typer.Option("--check", metavar="版本", help="不做任务，只试载一个模型，输出它的得分。"),
    ] = None,
    index: Annotated[
        bool, typer.Option("--index", help="不做任务，只把企业索引计算完整。")
    ] = False,
    kind: Annotated[
        JobKind, typer.Option("--kind", metavar="种类", help="做哪种任务：retrain 或 import。")
    ] = JobKind.RETRAIN,
) -> None:
    """做完等着的任务就结束；平时由系统自动启动，不需要手动运行。"""
    from zyz_match.service import Service
    from zyz_match.settings import load_settings

    with Service.open(load_settings(), seed=False) as service:
        if check is not None:
            emit_json(service.check(check))
            return
        with suppress(OSError):  # it works all the same where it may not
            os.nice(_NICE)
        if index:
            service.index(whole=True)
            return
        done: list[Job] = list(iter(partial(service.work, kind.value), None))
    if not done:
        note("没有等着的任务。", "yellow")
    for job in done:
        say(f"任务 {job.id}：{_state(job)}。{_said(job)}")


# models --------------------------------------------------------------------------------------

models_app = typer.Typer(cls=ChineseGroup, invoke_without_command=True, rich_markup_mode="rich")


@models_app.callback()
def models(context: typer.Context, as_json: Json = False) -> None:
    """列出各个模型版本；子命令查看、比较、启用、退回。"""
    if context.invoked_subcommand is not None:
        return
    with office() as (service, _):
        found, remark = service.models(), service.model_note()
    if as_json:
        emit_json(_plain(found))
        return
    columns = (Column("版本", whole=True), Column("训练时间", whole=True),
               Column("状态", whole=True), Column("说明"))  # fmt: skip
    rows = [(m.version, m.created_at[:16].replace("T", " "), _standing(m), m.unusable or m.verdict)
            for m in found]  # fmt: skip
    show_table(columns, rows)
    if remark:
        note(remark, "yellow")


def _standing(info: "ModelInfo") -> str:
    words = [
        word
        for word, holds in (
            ("使用中", info.serving), ("上一版", info.previous), ("不可用", info.unusable),
        )
        if holds
    ]  # fmt: skip
    return "，".join(words)


def show(
    version: Annotated[
        str | None, typer.Argument(metavar="版本", help="不写则是正在使用的版本。")
    ] = None,
    as_json: Json = False,
) -> None:
    """显示一个模型的说明卡：学自哪些数据、效果如何、有什么限度。"""
    with office() as (service, _):
        card = service.model_card(version)
    if as_json:
        emit_json(card)
    else:
        _show_card(card)


def _show_card(card: Mapping[str, Any]) -> None:
    from zyz_match.models_desk import component_names

    for line in card_lines(card, component_names()):
        say(line)


def diff(
    before: Annotated[str, typer.Argument(metavar="版本一", help="比较的起点。")],
    after: Annotated[str, typer.Argument(metavar="版本二", help="比较的终点。")],
    as_json: Json = False,
) -> None:
    """比较两个模型：权重、指标，以及各镇名单里变动最大的企业。"""
    with office() as (service, meter):
        meter("比较各镇名单", 0, 1)
        found = service.diff(before, after)
    if as_json:
        emit_json(_plain(found))
        return
    say(f"从 {found.before} 到 {found.after}", "bold")
    changed = [w for w in found.weights if w.before or w.after]
    show_table(
        (Column("项目"), figures("原权重"), figures("新权重"), figures("变化")),
        [(w.label, f"{w.before:.2f}", f"{w.after:.2f}", f"{w.after - w.before:+.2f}")
         for w in changed],
    )  # fmt: skip
    _show_moves(found)


def _show_moves(found: "ModelDiff") -> None:
    say()
    moved = [t for t in found.towns if t.moves]
    if not moved:
        say("各镇名单的前列没有变化。")
        return
    show_table(
        (Column("专业镇"), figures("新进名单"), Column("变动最大的企业（原名次→新名次）")),
        [(t.name, t.entered, _moves(t)) for t in moved],
    )


def _moves(town: "TownMoves") -> str:
    def place(rank: int | None) -> str:
        return "榜外" if rank is None else str(rank)

    return "；".join(f"{m.name} {place(m.before)}→{place(m.after)}" for m in town.moves)


def promote(version: Version, as_json: Json = False) -> None:
    """启用一个模型版本；先在另一进程中试载，得分一致才启用。"""
    with office() as (service, meter):
        meter("试载模型", 0, 1)
        now = service.promote(version, by=user())
    if as_json:
        emit_json(_plain(now))
    else:
        say(f"已启用模型 {now.version}。退回：{program()} models rollback", "green")


def rollback(as_json: Json = False) -> None:
    """退回上一个启用过的模型版本，马上生效。"""
    with office() as (service, _):
        now = service.rollback(by=user())
    if as_json:
        emit_json(_plain(now))
    else:
        say(f"已退回模型 {now.version}；再次退回将回到 {now.previous}。", "green")


for _name, _function in (
    ("show", show), ("diff", diff), ("promote", promote), ("rollback", rollback),
):  # fmt: skip
    models_app.command(_name, cls=ChineseCommand)(_function)
