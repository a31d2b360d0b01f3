"""Commands about what others are told: the sender."""

import contextlib
from typing import Annotated

import typer

from zyz_match.console import Meter, note, say
from zyz_match.settings import load_settings


def deliver(
    once: Annotated[
        bool, typer.Option("--once", help="只做眼下到期的，做完就结束（可放进定时任务）。")
    ] = False,
) -> None:
    """推送变更给已登记的系统，并处理收到的消息；serve 自带，不运行 serve 时才需要。"""
    with Meter("启动"):
        from zyz_match.delivering import Deliverer
        from zyz_match.service import Service

        service = Service.open(load_settings())
    with service, contextlib.suppress(KeyboardInterrupt):
        if not once:
            note("正在推送，按 Ctrl+C 停止。")
        tried = Deliverer(service).run(once=once)
        say(f"已尝试推送 {tried} 次。" if tried else "眼下没有到期的推送。")
    if not once:
        note("已停止。")
