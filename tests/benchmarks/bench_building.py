"""How fast is an index built, extended and opened, and what memory that takes. Synthetic corpus.

python tests/benchmarks/bench_building.py [--firms 1000000] [--write]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import common
from tests.benchmarks.common import MB, Target, memory, milliseconds
from tests.benchmarks.corpus import CHUNK, Corpus, cache_folder
from tests.benchmarks.making import shelf
from tests.benchmarks.material import TOWNS, K
from zyz_match.matching.index import Index
from zyz_match.matching.model import Model

APPENDED, REPEATS = 1_000, 5
FOLDER = cache_folder() / "built"


def stored(firms: int) -> pd.DataFrame:
    """The firms, read from the cache: nothing of the generator is in memory."""
    parts = [pq.read_table(path) for path in Corpus().stored(firms)]
    frame: pd.DataFrame = pa.concat_tables(parts).to_pandas()
    return frame


def build(firms: int, cores: int) -> dict[str, Any]:
    """Fit on so many cores; on all of them also extend, and keep."""
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
    frame = stored(firms)
    Index().fit(frame.head(2_000))  # compiled kernels are read from numba's cache
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, start = memory("VmRSS"), time.perf_counter()
    index = Index("synthetic").fit(frame)
    seconds, peak = time.perf_counter() - start, memory("VmHWM")
    sizes = {name: array.nbytes / MB for name, array in index.parts()[1].items()}
    told = {
        "seconds": seconds, "before_mb": before, "peak_mb": peak, "mb": sum(sizes.values()),
        "table_mb": sum(size for name, size in sizes.items() if name.endswith(".firms")),
    }  # fmt: skip
    if cores == 1:
        return told
    more = Corpus().chunk(firms // CHUNK + 1).slice(0, APPENDED).to_pandas()
    some = [milliseconds(lambda: index.updated(more)) for _ in range(REPEATS)]
    for old in FOLDER.glob("*.zyz"):
        old.unlink()
    kept = milliseconds(lambda: shelf(FOLDER).save(*index.parts(), {}))
    return told | {"append_s": float(np.median(some)) / 1000, "save_s": kept / 1000}


def own_memory() -> float:
    """Megabytes that this process shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text("utf-8").splitlines()
    return sum(int(x.split()[1]) for x in lines if x.startswith("Private_")) * 1024 / MB


def use(name: str) -> dict[str, Any]:
    """Open what was kept, ask for towns; what this process has for itself since before."""
    corpus = Corpus()
    towns = [corpus.town(f"合成{i}") for i in range(TOWNS)]
    before, start = own_memory(), time.perf_counter()
    index = Index.from_parts(*shelf(FOLDER).open(name))
    opened = time.perf_counter() - start
    for town in towns:
        Model().score(town, index).best(K, index.active)
    return {"open_ms": 1000 * opened, "own_mb": own_memory() - before, "rss_mb": memory("VmRSS")}


def child(*arguments: object) -> subprocess.Popen[str]:
    """This script in a process of its own, which lives until its input is closed."""
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a child has to say."""
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a child has to say, once it is gone."""
    found = answer(process)
    process.communicate()
    return found


def as_child(arguments: list[str]) -> None:
    """Do one thing, tell, wait."""
    if arguments[0] == "build":
        told = build(int(arguments[1]), int(arguments[2]))
    else:
        told = use(arguments[1])
    print(json.dumps(told), flush=True)
    sys.stdin.read()


def aims(firms: int, one: dict[str, Any], two: dict[str, Any], opened: dict[str, Any]) -> Any:
    """What is aimed at."""
    speed = firms / one["seconds"]
    beyond = max(x["peak_mb"] - x["before_mb"] for x in (one, two))
    return [
        Target.least("building on one core", speed, 60_000, "firms/s"),
        Target.least("building, two cores / one", one["seconds"] / two["seconds"], 1.7),
        Target.most(
            f"appending {APPENDED:,} firms / building on one core",
            100 * two["append_s"] / one["seconds"], 0.5, "%",
        ),
        Target.most(
            "peak memory of building beyond the table given",
            beyond, 2 * one["mb"] + 200, "MB (2 x index + 200)",
        ),
        Target.most("index, with the firms' own table", one["mb"], 250, "MB"),
        Target.most("opening", opened["open_ms"], 100, "ms"),
        Target.most("a second process on the same index", opened["own_mb"], 50, "MB of its own"),
    ]  # fmt: skip


def main() -> None:
    """Measure, print, and with --write keep the figures in docs/benchmarks.md."""
    options = argparse.ArgumentParser()
    options.add_argument("--firms", type=int, default=1_000_000)
    options.add_argument("--child", nargs="+")
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    if given.child:
        as_child(given.child)
        return
    Corpus().stored(given.firms)
    one, two = (ended(child("build", given.firms, cores)) for cores in (1, 2))
    (name,) = shelf(FOLDER).names()
    first = child("use", name)
    answer(first)
    opened = ended(child("use", name))
    first.communicate()
    rows = [
        (f"fit, {cores}", f"{x['seconds']:.1f}", f"{given.firms / x['seconds']:,.0f}",
         f"{x['before_mb']:,.0f}", f"{x['peak_mb']:,.0f}")
        for cores, x in (("one core", one), ("two cores", two))
    ]  # fmt: skip
    lines = [
        f"{given.firms:,} made-up firms, read from parquet before the clock starts.",
        "",
        *common.table("step | seconds | firms/s | MB before | MB at the peak", rows),
        "",
        f"Index {one['mb']:,.0f} MB, of which {one['table_mb']:,.0f} MB are the firms' own table; "
        f"written in {two['save_s']:.1f} s with its checksums; {APPENDED:,} firms appended in "
        f"{1000 * two['append_s']:.0f} ms (median of {REPEATS}). Opened and checked in full in "
        f"{opened['open_ms']:.0f} ms; after {TOWNS} towns a second process has "
        f"{opened['own_mb']:.0f} MB of its own more than before it was opened.",
        "",
        *common.targets(aims(given.firms, one, two, opened)),
    ]
    common.report("Building", common.command(), lines, write=given.write)


if __name__ == "__main__":
    main()
