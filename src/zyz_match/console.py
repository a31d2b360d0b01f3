"""What the terminal shows: two consoles, plain tables, progress that appears after a moment."""

import os
import sys
import threading
import time
import unicodedata
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Literal, NamedTuple, Self, TextIO

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 160  # columns when nobody can tell us the width
NARROW = 110  # below this, tables give up columns that can be had elsewhere
PATIENCE, PIPED_PATIENCE = 0.8, 3.0  # seconds before a terminal, a log file sees progress
_PROBE = "中"


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `cli.main`, which ends quietly; rich itself would exit with 1."""
        raise BrokenPipeError


class Column(NamedTuple):
    """One column of a table: its heading and how its cells behave."""

    heading: str
    right: bool = False
    whole: bool = False  # never wrapped
    style: str = ""


def figures(heading: str) -> Column:
    """A column of numbers: to the right, never wrapped."""
    return Column(heading, right=True, whole=True)


def prepare_streams() -> None:
    """Make stdout and stderr take Chinese whatever the locale says.

    An encoding that knows Chinese (GB18030) is kept; any other becomes UTF-8. What still cannot be
    encoded is replaced, never an error.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is None:
            continue
        try:
            _PROBE.encode(stream.encoding)
            reconfigure(errors="replace")
        except (LookupError, UnicodeEncodeError):
            reconfigure(encoding="utf-8", errors="replace")


def out() -> Console:
    """The console for results."""
    return _console(sys.stdout)


def err() -> Console:
    """The console for notes, progress and errors."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    columns = os.environ.get("COLUMNS", "")
    given = int(columns) if columns.isdecimal() and int(columns) >= 20 else PIPED_WIDTH
    return _Console(
        file=stream, width=None if stream.isatty() else given,
        markup=False, emoji=False, highlight=False, soft_wrap=False,
    )  # fmt: skip


def clean(text: object) -> str:
    """Text without control and format characters, so that data cannot steer a terminal."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in str(text))


def say(text: str = "", style: str = "") -> None:
    """One result line on stdout."""
    out().print(Text(clean(text), style=style), soft_wrap=True)


def note(text: str, style: str = "") -> None:
    """One remark on stderr, so that stdout stays pure."""
    err().print(Text(clean(text), style=style), soft_wrap=True)


def show_table(
    columns: Sequence[Column], rows: Iterable[Sequence[object]], *, title: str = ""
) -> None:
    """A table on stdout; cells wrap and are never cut."""
    table = Table(
        title=Text(clean(title), style="bold") if title else None, title_justify="left",
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False,
    )  # fmt: skip
    for column in columns:
        justify: Literal["right", "left"] = "right" if column.right else "left"
        table.add_column(
            column.heading,
            justify=justify,
            no_wrap=column.whole,
            style=column.style,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    _print_trimmed(table)


def _print_trimmed(table: Table) -> None:
    """Print a table; where no terminal needs the padding, without blanks at the ends of lines."""
    console = out()
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def show_pairs(pairs: Iterable[tuple[str, object]], *, title: str = "") -> None:
    """Name and value, one a line; pairs without a value are left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="cyan")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, "", ()):
            grid.add_row(Text(name), Text(clean(value)))
    if title:
        say(title, "bold")
    _print_trimmed(grid)


class Meter:
    """Progress on stderr: a bar on a terminal, else a line a stage; nothing below a second.

    Calling it as `meter(what, done, total)` is the `Progress` of the service. Use as a context.
    """

    def __init__(self, what: str = "准备") -> None:
        self._stage = (what, 0, 0)
        self._started = time.monotonic()
        self._lock = threading.RLock()
        self._patience = PATIENCE if sys.stderr.isatty() else PIPED_PATIENCE
        self._timer = threading.Timer(self._patience, self._show)
        self._timer.daemon = True
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._said: set[str] = set()

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        with self._lock:
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say what is going on and how far it is."""
        with self._lock:
            self._stage = (what, done, total)
            if time.monotonic() - self._started >= self._patience:
                self._show()

    def _show(self) -> None:
        with self._lock:
            what, done, total = self._stage
            console = err()
            if not console.is_terminal:
                if what not in self._said and done < max(total, 1):
                    console.print(f"{what}……")
                    self._said.add(what)
                return
            if self._bar is None:
                self._bar = Progress(
                    TextColumn("{task.description}"), BarColumn(),
                    TextColumn("{task.fields[count]}"), TimeElapsedColumn(),
                    console=console, transient=True,
                )  # fmt: skip
                self._bar.start()
                self._task = self._bar.add_task(what, total=None, count="")
            if self._task is not None:
                count = f"{done:,}/{total:,}" if total > 1 else ""
                self._bar.update(
                    self._task, description=what, completed=done, total=total or None, count=count
                )
