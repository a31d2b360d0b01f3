"""The command line: which commands there are, and how every error ends."""

import contextlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from zyz_match import __version__, console
from zyz_match.commands import (
    access,
    audit,
    chinese,
    data,
    database,
    hooks,
    index,
    leads,
    lists,
    look,
    models,
    system,
)
from zyz_match.errors import (
    InputError,
    NeedsConfirmation,
    NotFoundError,
    StorageError,
    ZyzError,
)
from zyz_match.outputs import private_folder, storage_error
from zyz_match.settings import load_settings

EXIT_CODES: tuple[tuple[type[ZyzError], int], ...] = (  # the first class that fits
    (NeedsConfirmation, 4), (InputError, 2), (NotFoundError, 3), (StorageError, 5), (ZyzError, 1),
)  # fmt: skip
INTERRUPTED, PIPE_CLOSED = 130, 141  # 128 + the number of the signal, as shells do

app = typer.Typer(
    name="zyz-match",
    cls=chinese.ChineseGroup,
    help="专业镇精准招商匹配：为专业镇排出目标投资企业，并说明理由。",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)


class _Command(NamedTuple):
    """One row of the table of commands."""

    name: str
    function: Callable[..., None]
    panel: str
    kind: type[chinese.ChineseCommand] = chinese.ChineseCommand


COMMANDS: tuple[_Command, ...] = (
    _Command("run", lists.run, "出名单"),
    _Command("rank", lists.rank, "出名单", chinese.ListCommand),
    _Command("explain", look.explain, "出名单"),
    _Command("similar", lists.similar, "出名单"),
    _Command("towns", look.towns, "查资料"),
    _Command("town", look.town, "查资料"),
    _Command("firm", look.firm, "查资料"),
    _Command("outcome", leads.outcome, "记进展"),
    _Command("leads", leads.leads, "记进展"),
    _Command("list", leads.receipt, "记进展"),
    _Command("import", data.import_, "管数据"),
    _Command("batches", data.batches, "管数据"),
    _Command("undo", data.undo, "管数据"),
    _Command("init", data.init, "管数据"),
    _Command("retrain", models.retrain, "管模型"),
    _Command("jobs", models.jobs, "管模型"),
    _Command("watch", look.watch, "管模型"),
    _Command("index", index.index, "系统"),
    _Command("worker", models.worker, "系统"),
    _Command("backtest", system.backtest, "系统"),
    _Command("serve", system.serve, "系统"),
    _Command("deliver", hooks.deliver, "系统"),
    _Command("settings", system.show_settings, "系统"),
    _Command("audit", audit.audit, "管账号"),
    _Command("contacts", audit.contacts, "查资料"),
)
for _row in COMMANDS:
    app.command(_row.name, cls=_row.kind, rich_help_panel=_row.panel)(_row.function)
app.add_typer(models.models_app, name="models", rich_help_panel="管模型")
app.add_typer(access.user_app, name="user", rich_help_panel="管账号")
app.add_typer(access.key_app, name="key", rich_help_panel="管账号")
app.add_typer(database.db_app, name="db", rich_help_panel="系统")


def _show_version(asked: bool) -> None:
    if asked:
        console.say(f"zyz-match {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="显示版本号。"),
    ] = False,
) -> None:
    pass


def main(args: Sequence[str] | None = None) -> int:
    """Run one command; the exit code says how it ended, and no error leaves as a traceback."""
    console.prepare_streams()
    code = _run(sys.argv[1:] if args is None else list(args))
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = code or PIPE_CLOSED
        _silence_stdout()
    except OSError as error:
        code = code or _tell(storage_error(error))
        _silence_stdout()
    return code


def _run(args: list[str]) -> int:
    try:
        return int(app(args, prog_name="zyz-match", standalone_mode=False) or 0)
    except ZyzError as error:
        return _tell(error)
    except (KeyboardInterrupt, typer.Abort):
        console.note("已中断。", "yellow")
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return PIPE_CLOSED
    except SystemExit as end:  # typer ends so when a pipe is closed
        _silence_stdout()
        return PIPE_CLOSED if isinstance(end.__context__, BrokenPipeError) else 1
    except UnicodeEncodeError:
        return _tell(InputError("参数里有无法识别的字符。请把终端的编码设为 UTF-8 后重试。"))
    except OSError as error:
        return _tell(storage_error(error))
    except MemoryError:
        return _tell(ZyzError("内存不足。请关闭其他程序，或换一台内存更大的机器。"))
    except Exception as error:
        return _usage(error) if hasattr(error, "format_message") else _unexpected(error)


def _tell(error: ZyzError) -> int:
    with contextlib.suppress(OSError):
        console.note(f"错误：{error.message}", "bold red")
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


def _usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # its help page is on the screen by now
        return 0
    return _tell(InputError(chinese.usage_message(error)))


def _unexpected(error: Exception) -> int:
    """One sentence for the user; the traceback goes to a file that can be sent along."""
    report = "".join(traceback.format_exception(error))
    where = _write_log(report)
    place = f"详细记录在 {where}，请连同当时的命令交给管理员。" if where else "详细记录没有写成。"
    return _tell(ZyzError(f"程序出了未预料的问题（{type(error).__name__}）。{place}"))


def _write_log(report: str) -> Path | None:
    folders = [Path(tempfile.gettempdir())]
    with contextlib.suppress(ZyzError):
        folders.insert(0, load_settings().home / "logs")
    for folder in folders:
        path = folder / f"zyz-match-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.log"
        with contextlib.suppress(OSError):
            private_folder(folder)
            path.write_text(report, "utf-8", errors="replace")
            return path
    return None


def _silence_stdout() -> None:
    """Point stdout at nothing, so that closing it at exit does not fail a second time."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
