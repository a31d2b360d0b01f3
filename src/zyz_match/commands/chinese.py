"""Typer in Chinese: help pages, usage lines and the messages about wrong options."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from typer.core import TyperCommand, TyperGroup

_TITLES = {
    "DEFAULT_STRING": "[默认：{}]",
    "REQUIRED_LONG_STRING": "[必填]",
    "ARGUMENTS_PANEL_TITLE": "参数",
    "OPTIONS_PANEL_TITLE": "选项",
    "COMMANDS_PANEL_TITLE": "命令",
    "ERRORS_PANEL_TITLE": "错误",
}
_EXPECTED = (  # what pydantic says about a value, and what we say
    (re.compile(r"valid int|integer"), "应为整数"),
    (re.compile("valid number|valid float|finite"), "应为数字"),
    (re.compile("path|file"), "应为文件路径"),
)


class _Chinese:
    """What commands and groups share."""

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.help = "显示本帮助。"
        return option

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        pieces = self.collect_usage_pieces(ctx)  # type: ignore[attr-defined]
        formatter.write_usage(ctx.command_path, " ".join(pieces), prefix="用法：")

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _speak_chinese()
        for param in self.get_params(ctx):  # type: ignore[attr-defined]
            if getattr(param, "is_flag", False) or param.param_type_name == "argument":
                param.display_type_rich = lambda ctx: None  # <bool> and <str> tell nobody anything
        super().format_help(ctx, formatter)  # type: ignore[misc]


@cache
def _speak_chinese() -> None:
    """Titles of typer's help pages; and text without spaces is folded there, not cut off."""
    from typer import rich_utils

    for name, title in _TITLES.items():
        setattr(rich_utils, name, title)
    make: Callable[..., Any] = rich_utils._make_rich_text

    def folded(**kwargs: Any) -> Any:
        text = make(**kwargs)
        text.overflow = "fold"
        return text

    rich_utils._make_rich_text = folded


class ChineseCommand(_Chinese, TyperCommand):
    """A command whose help is Chinese."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["options_metavar"] = "[选项]"
        super().__init__(*args, **kwargs)


class ChineseGroup(_Chinese, TyperGroup):
    """The group of all commands; its help is Chinese."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["options_metavar"] = "[选项]"
        kwargs["subcommand_metavar"] = "命令 [参数]…"
        super().__init__(*args, **kwargs)

    def list_commands(self, ctx: Any) -> list[str]:
        """Commands in the order in which they were written down, not by the alphabet."""
        return list(self.commands)


class ListCommand(ChineseCommand):
    """A command whose `--csv` may stand without a file: then the list goes to stdout."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a bare `--csv` the file `-`."""
        filled = []
        for i, arg in enumerate(args):
            filled.append(arg)
            following = args[i + 1] if i + 1 < len(args) else "--"
            if arg == "--csv" and following.startswith("-") and following != "-":
                filled.append("-")
        return super().parse_args(ctx, filled)


def usage_message(error: Any) -> str:
    """What was wrong with the command line, in Chinese, with the way to the help page.

    The exceptions are told apart by their class names: they come from typer or from click,
    depending on the version of typer.
    """
    name = type(error).__name__
    said = next((say(error) for kind, say in _USAGE.items() if kind == name), None)
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "zyz-match"
    return f"{said or _other(error)}用 {command} --help 查看用法。"


def _hint(error: Any) -> str:
    param = getattr(error, "param", None)
    if param is None:
        return str(getattr(error, "param_hint", "") or "")
    if param.param_type_name == "argument":
        return str(param.metavar or param.name)
    return " / ".join(param.opts)


def _bad_value(error: Any) -> str:
    said = str(error.message)
    ours = next((text for pattern, text in _EXPECTED if pattern.search(said)), said)
    return f"{_hint(error)} 的值不对：{ours.rstrip('。')}。"


def _missing(error: Any) -> str:
    kind = "参数" if getattr(error.param, "param_type_name", "") == "argument" else "选项"
    return f"缺少{kind} {_hint(error)}。"


def _no_such_option(error: Any) -> str:
    near = "、".join(sorted(error.possibilities or ()))
    return f"没有选项 {error.option_name}。" + (f"是不是 {near}？" if near else "")


def _option_usage(error: Any) -> str:
    if "does not take a value" in error.message:
        return f"选项 {error.option_name} 不需要值。"
    return f"选项 {error.option_name} 后面缺少值。"


_USAGE: dict[str, Callable[[Any], str]] = {
    "BadParameter": _bad_value,
    "MissingParameter": _missing,
    "NoSuchOption": _no_such_option,
    "BadOptionUsage": _option_usage,
}
_SENTENCES = (
    (re.compile(r"No such command '(?P<it>.*?)'\.?(?: Did you mean (?P<near>.*)\?)?"), "没有命令"),
    (re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((?P<it>.*)\)"), "多余的参数"),
    (re.compile(r"Missing command\.(?P<it>)"), "缺少命令"),
)


def _other(error: Any) -> str:
    message = str(getattr(error, "message", error))
    for pattern, ours in _SENTENCES:
        if found := pattern.match(message):
            near = found.groupdict().get("near")
            said = f"{ours} {found['it']}".strip()
            guess = near.replace("'", "").replace(", ", "、") if near else ""
            return f"{said}。" + (f"是不是 {guess}？" if guess else "")
    return f"命令写法不对：{message.rstrip('.')}。"
