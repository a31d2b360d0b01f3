"""The command about the index: show it, estimate a build, build it."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from zyz_match.commands.lists import Json
from zyz_match.commands.office import emit_json, office, program
from zyz_match.console import note, say, show_pairs
from zyz_match.errors import InputError

if TYPE_CHECKING:
    from zyz_match.index_desk import Estimate, IndexReport


def index(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="马上重新计算并换用；平时由系统自动进行。")
    ] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="估算计算一次要占多少磁盘、内存和时间。")
    ] = False,
    firms: Annotated[
        int | None,
        typer.Option("--firms", metavar="家数", help="按这么多企业估算，默认是库中的企业数。"),
    ] = None,
    as_json: Json = False,
) -> None:
    """显示企业索引（排名单用的预先计算）；估算或马上重新计算。"""
    if rebuild and estimate:
        raise InputError("--rebuild 和 --estimate 只能用一个。")
    if firms is not None and not estimate:
        raise InputError("--firms 要与 --estimate 一起用。")
    found: Estimate | IndexReport
    with office(seed=False) as (service, meter):
        if estimate:
            found = service.estimate_index(firms, progress=meter)
            show = partial(_show_estimate, found)
        else:
            found = service.rebuild_index(progress=meter) if rebuild else service.index_report()
            show = partial(_show, found)
    if as_json:
        from zyz_match import reports

        emit_json(reports.as_json(found))
    else:
        show()


def _show(found: "IndexReport") -> None:
    for fault in found.faults:
        note(fault, "yellow")
    if found.file is None:
        note(
            f"还没有企业索引；第一次出名单时会自动计算，也可用 {program()} index --rebuild。",
            "yellow",
        )
        return
    file = found.file
    same = "与企业库一致" if file.data == found.data else f"企业库现为 {found.data}"
    show_pairs(
        [
            ("数据版本", f"{file.data}（{same}）"),
            ("企业", f"{file.firms:,} 家（企业库现有 {found.firms:,} 家）"),
            ("分段", file.segments), ("大小", _size(file.bytes)),
            ("计算于", f"{datetime.fromisoformat(file.built_at).astimezone():%Y-%m-%d %H:%M}，"
                       f"用时 {file.seconds:,.1f} 秒"),
            ("位置", file.path),
        ]
    )  # fmt: skip


def _show_estimate(found: "Estimate") -> None:
    say(f"按库中前 {found.sample:,} 家企业实测推算，{found.firms:,} 家企业的索引大约需要：")
    show_pairs(
        [
            ("磁盘", _size(found.bytes)), ("内存峰值", _size(found.memory)),
            ("时间", f"{found.seconds:,.0f} 秒" if found.seconds >= 1 else "不到 1 秒"),
        ]
    )  # fmt: skip
    say("这是估算：磁盘和内存多半偏高，时间看机器忙闲；新旧几份会并存，磁盘请留出三四倍。")


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
