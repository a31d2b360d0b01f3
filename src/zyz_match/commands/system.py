"""Commands about the system: backtest, serve, settings."""

import contextlib
import os
import re
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import typer

from zyz_match.commands.access import show_issued
from zyz_match.commands.lists import Json
from zyz_match.commands.model_text import card_lines
from zyz_match.commands.office import emit_json, existing_file, written
from zyz_match.console import Column, Meter, figures, note, say, show_table
from zyz_match.errors import InputError
from zyz_match.settings import SETTINGS, Settings, load_settings


def backtest(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="文件夹", help="装有 enterprises.*、towns.jsonl、truth.csv 等文件。"
        ),
    ],
    outfile: Annotated[
        Path | None, typer.Option("--out", metavar="文件", help="把排出的名单写成 CSV。")
    ] = None,
    k: Annotated[
        int, typer.Option("-k", "--count", metavar="家数", help="每个专业镇排出几家。")
    ] = 100,
    leads: Annotated[
        bool, typer.Option("--leads", help="先用 leads.csv 重新训练，再排名单。")
    ] = False,
    as_json: Json = False,
) -> None:
    """用一个文件夹里的数据回测：排出名单，与真实结果对照，并与常见基线比较。"""
    existing_file(folder)
    with Meter("启动") as meter:
        from zyz_match.service import MAX_K, Service

        if not 1 <= k <= MAX_K:
            raise InputError(f"-k 应为 1 到 {MAX_K} 之间的整数，现为 {k}。")
        report = Service.backtest(folder, out=outfile, k=k, leads=leads, progress=meter)
    if outfile is not None:
        written(outfile, f"名单（{len(report.run):,} 行）")
    if as_json:
        from zyz_match import reports

        values = reports.as_json(report)
        values.pop("run")
        emit_json(values | {"run_rows": len(report.run)})
        return
    say(f"专业镇 {report.towns} 个，其中有真实结果可对照的 {report.judged} 个。")
    if report.verdict:
        say(f"线索训练：{report.verdict}")
        for line in card_lines(report.metrics, {}):
            say(f"　{line}")
    if not report.rows:
        note("没有 truth.csv，只排出了名单，没有可对照的结果。", "yellow")
        return
    columns = (
        Column("方法"),
        figures("nDCG@10"),
        figures("recall@50"),
        Column("本系统 nDCG 高出", right=True),
        Column("本系统 recall 高出", right=True),
    )
    rows = [
        (r.name, _interval(r.ndcg10), _interval(r.recall50), _interval(r.ndcg_gain, signed=True),
         _interval(r.recall_gain, signed=True))
        for r in report.rows
    ]  # fmt: skip
    show_table(columns, rows)
    say()
    say(
        "方括号内为 95% 区间（按专业镇重抽样）；“高出”按同一专业镇配对计算，区间不含 0 才算有把握。"
    )


def _interval(value: Any, *, signed: bool = False) -> str:
    if value is None:
        return ""
    form = "+.3f" if signed else ".3f"
    return f"{value.mean:{form}} [{value.low:{form}}, {value.high:{form}}]"


def serve(
    host: Annotated[
        str | None, typer.Option(metavar="地址", help="监听地址，默认取 ZYZ_HOST。")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="端口", help="监听端口，默认取 ZYZ_PORT。")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="个数", help="进程数，默认取 ZYZ_WORKERS。")
    ] = None,
) -> None:
    """启动接口服务，按 Ctrl+C 停止；监听本机以外的地址须启用身份认证。"""
    if port is not None and not 0 < port < 65536:
        raise InputError(f"--port 应为 1-65535 的整数，现为 {port}。")
    if workers is not None and not 0 < workers <= 64:
        raise InputError(f"--workers 应为 1-64 的整数，现为 {workers}。")
    found = load_settings()
    settings = replace(
        found, host=host or found.host, port=port or found.port, workers=workers or found.workers
    )
    identity = _identity(settings)
    with Meter("启动"):
        from api import serving
        from api.main import check_bind
        from zyz_match.service import Service

        check_bind(settings.host, identity=identity)
        listening = _listen(settings)
        with contextlib.ExitStack() as stack:
            stack.callback(listening.close)
            Service.open(settings).close()  # a broken store is told before the server starts
            stack.pop_all()
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    say(f"接口地址：http://{shown}:{settings.port}　说明文档：http://{shown}:{settings.port}/docs")
    with listening, contextlib.suppress(KeyboardInterrupt):
        serving.run(settings, listening)
    note("已停止。")


def _identity(settings: Settings) -> bool:
    """Whether callers of an address beyond this machine must say who they are.

    On a terminal the first start makes the first accounts; where the output may be kept in a log,
    their passwords must not go, and nothing is made.
    """
    with Meter("启动"):
        from api.middleware import is_loopback
        from zyz_match.service import Service

        if is_loopback(settings.host):
            return False
        with Service.open(settings) as service:
            if service.identity_on() or not sys.stdout.isatty():
                return service.identity_on()
            issued = service.add_first_accounts()
    show_issued(issued)
    return True


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise InputError(
            f"无法监听 {settings.host}:{settings.port}（{error.strerror or error}）。"
            "端口可能已被占用，请用 --port 换一个。"
        ) from error


def show_settings(as_json: Json = False) -> None:
    """显示各项设置、现值和含义（用环境变量设置）。"""
    found = load_settings()
    values = found.environment | {
        "ZYZ_DATABASE_URL": without_password(found.database_url),
        "ZYZ_OIDC_CLIENT_SECRET": "***" if found.oidc_client_secret else "",
    }
    rows = [
        (s.name, values.get(s.name, ""), "环境变量" if os.environ.get(s.name) else "默认", s.help)
        for s in SETTINGS
    ]
    if as_json:
        keys = ("name", "value", "origin", "help")
        origins = {"环境变量": "environment", "默认": "default"}
        emit_json([dict(zip(keys, (r[0], r[1], origins[r[2]], r[3]), strict=True)) for r in rows])
        return
    columns = (
        Column("设置", whole=True),
        Column("现值"),
        Column("来自", whole=True),
        Column("含义"),
    )
    show_table(columns, rows)


def without_password(url: str) -> str:
    """A database address that may be shown."""
    try:
        parts = urlsplit(url)
        query = re.sub(r"(?i)\b(\w*pass\w*)=[^&]*", r"\1=***", parts.query)
        if parts.password is None:
            return url if query == parts.query else urlunsplit(parts._replace(query=query))
        login = parts.netloc.rpartition("@")
        netloc = f"{login[0].partition(':')[0]}:***@{login[2]}"
        return urlunsplit(parts._replace(netloc=netloc, query=query))
    except ValueError:
        return "（无法识别，未显示）"
