"""What every command needs: the opened service, JSON out, the numbers of an option checked."""

import contextlib
import getpass
import json
import math
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zyz_match.console import Meter, clean, note
from zyz_match.errors import InputError
from zyz_match.settings import load_settings

if TYPE_CHECKING:
    from zyz_match.service import Service


@contextmanager
def office(*, seed: bool = True) -> Iterator[tuple["Service", Meter]]:
    """The opened service and a progress meter; print only after leaving it.

    Without `seed` an empty store stays empty.
    """
    with Meter("启动") as meter:
        from zyz_match.service import Service  # loads the mathematics and the database: seconds

        with Service.open(load_settings(), seed=seed, progress=meter) as service:
            yield service, meter


def emit_json(value: Any) -> None:
    """Pure JSON on stdout; plain ASCII where stdout is not UTF-8, which every reader decodes."""
    unicode_out = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not unicode_out, indent=2, allow_nan=False)
    sys.stdout.write(text.encode(errors="replace").decode() + "\n")


def checked(name: str, value: float | None) -> float | None:
    """A number option as given; InputError for NaN, infinity and negative numbers."""
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name} 应为不小于 0 的有限数，现为 {value}。")
    return value


def checked_range(name: str, low: float | None, high: float | None) -> None:
    """InputError when a lower bound lies above the upper one."""
    if low is not None and high is not None and low > high:
        raise InputError(f"{name}的下限 {low:g} 大于上限 {high:g}，请对调。")


def existing_file(path: Path) -> Path:
    """The path, when there is something to read; InputError otherwise."""
    try:
        there = path.exists()
    except (OSError, ValueError):
        there = False
    if not there:
        raise InputError(f"没有文件“{path}”。请核对路径，文件名有空格时用引号括起来。")
    return path


def user() -> str:
    """Who runs the command, for the receipt of a list."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def program() -> str:
    """How the user can call this program from where they are, to be named in hints."""
    if shutil.which("zyz-match"):
        return "zyz-match"
    beside = Path(sys.executable).with_name("zyz-match")
    if not beside.exists():
        return "python -m zyz_match"
    with contextlib.suppress(ValueError, OSError):
        beside = beside.relative_to(Path.cwd())
    return shlex.quote(str(beside)) if " " in str(beside) else str(beside)


def written(path: Path, what: str) -> None:
    """Say on stderr that a file was written."""
    note(f"已写入{what}：{clean(path)}", "green")
