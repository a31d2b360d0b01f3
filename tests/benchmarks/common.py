"""What every bench needs: a clock, memory, the machine, and its own section of the page."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
MB = 1e6


def milliseconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


class Spread(NamedTuple):
    """Median and 99th percentile of some times."""

    median: float
    p99: float

    @classmethod
    def of(cls, times: Iterable[float]) -> "Spread":
        """From times in any unit."""
        values: npt.NDArray[np.float64] = np.fromiter(times, np.float64)
        return cls(float(np.median(values)), float(np.percentile(values, 99)))


def memory(field: str, process: int | str = "self") -> float:
    """Megabytes of a process: VmRSS now, VmHWM at its peak, RssAnon of its own."""
    for line in Path(f"/proc/{process}/status").read_text("utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / MB
    raise KeyError(field)


def machine() -> str:
    """Processor and cores."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return f"unknown processor, {os.cpu_count()} cores"


@contextmanager
def one_core() -> Iterator[None]:
    """Every thread of this process on one core."""
    tasks = [int(t.name) for t in Path("/proc/self/task").iterdir()]
    before = os.sched_getaffinity(0)
    for task in tasks:
        os.sched_setaffinity(task, {min(before)})
    try:
        yield
    finally:
        for task in tasks:
            os.sched_setaffinity(task, before)


def told(value: float) -> str:
    """A number in three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


class Target(NamedTuple):
    """What is aimed at beside what came out."""

    aim: str
    measured: str
    met: bool

    @classmethod
    def most(cls, aim: str, value: float, limit: float, unit: str = "x") -> "Target":
        """A target that is met by a value up to the limit."""
        return cls(f"{aim}: <= {told(limit)} {unit}", f"{told(value)} {unit}", value <= limit)

    @classmethod
    def least(cls, aim: str, value: float, limit: float, unit: str = "x") -> "Target":
        """A target that is met by a value from the limit on."""
        return cls(f"{aim}: >= {told(limit)} {unit}", f"{told(value)} {unit}", value >= limit)


def table(head: str, rows: Iterable[Iterable[object]]) -> list[str]:
    """A Markdown table; `head` names the columns, separated by |."""
    columns = head.count("|") + 1
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return [f"| {head} |", "|" + "---|" * columns, *lines]


def targets(found: Iterable[Target]) -> list[str]:
    """The targets table."""
    words = {True: "met", False: "**not met**"}
    return table("target | measured | ", ((t.aim, t.measured, words[t.met]) for t in found))


def report(title: str, command: str, lines: Iterable[str], *, write: bool) -> None:
    """Print a section, and keep it in docs/benchmarks.md in the place of the one before it."""
    text = "\n".join([f"Command: `{command}`. {machine()}.", "", *lines])
    print(f"## {title}\n\n{text}\n")
    if not write:
        return
    page = PAGE.read_text("utf-8")
    section = f"\n## {title}\n\n{text}\n"
    there = re.compile(rf"\n## {re.escape(title)}\n.*?(?=\n## |\Z)", re.DOTALL)
    found = there.search(page)
    kept = (
        page.rstrip("\n") + "\n" + section
        if found is None
        else (page[: found.start()] + section + page[found.end() :])
    )
    PAGE.write_text(kept, "utf-8")


def command() -> str:
    """How this script was called."""
    return " ".join(["python", f"tests/benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
