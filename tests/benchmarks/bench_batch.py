"""Many towns over ten million firms in parquet: a loop, and Dask with two local workers.

python tests/benchmarks/bench_batch.py [--firms 10000000] [--write]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import common
from tests.benchmarks.common import MB, Target
from tests.benchmarks.corpus import Corpus, cache_folder
from tests.benchmarks.material import TERMS, TOWNS, K, names
from zyz_match.matching.model import Model
from zyz_match.scale import batch, parquet
from zyz_match.scale.engines import LOCAL_WORKERS
from zyz_match.scale.work import Job

ENGINES = {"loop": batch.local, "dask": batch.on_dask()}
STEPS = ("count", "fit", "lay out", "put together", "score", "merge")
NAMES = {"loop": "loop, one core", "dask": f"Dask, {LOCAL_WORKERS} local workers"}


def answered(engine: str, firms: int, rows: Path) -> dict[str, Any]:
    """Do the batch, keep the rows, tell what each pass took."""
    if engine == "loop":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    corpus = Corpus()
    found, _ = parquet.partitions(corpus.stored(firms)[0].parent)
    towns = tuple(corpus.town(name, TERMS["long"]) for name in names("long"))
    folder = cache_folder() / f"batch-{engine}"
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    answer = batch.run(folder, Job(tuple(found), towns, Model(), K, ""), ENGINES[engine])
    seconds = time.perf_counter() - start
    kept = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    pq.write_table(answer.rows, rows)
    answer.work.forget()
    return {
        "seconds": seconds, "kept_mb": kept / MB, "partitions": len(found),
        "passes": [
            (step, p.partitions, p.seconds, p.busy, p.peak / MB)
            for step, p in zip(STEPS, answer.passes, strict=True)
        ],
    }  # fmt: skip


def child(engine: str, firms: int, rows: Path) -> dict[str, Any]:
    """The batch in a process of its own."""
    command = [sys.executable, __file__, "--firms", str(firms), "--child", engine, str(rows)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def ideal(loop: dict[str, Any]) -> float:
    """Seconds of the tasks shared evenly among the workers, and of what one process does alone."""
    tasks = sum(busy for _, parts, _, busy, _ in loop["passes"] if parts)
    alone = sum(seconds for _, parts, seconds, *_ in loop["passes"] if not parts)
    return float(tasks / LOCAL_WORKERS + alone)


def main() -> None:
    """Measure, print, and with --write keep the figures in docs/benchmarks.md."""
    options = argparse.ArgumentParser()
    options.add_argument("--firms", type=int, default=10_000_000)
    options.add_argument("--child", nargs=2)
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    if given.child:
        print(json.dumps(answered(given.child[0], given.firms, Path(given.child[1]))))
        return
    Corpus().stored(given.firms)
    files = {engine: cache_folder() / f"answer-{engine}.parquet" for engine in ENGINES}
    told = {engine: child(engine, given.firms, rows) for engine, rows in files.items()}
    same = pq.read_table(files["loop"]).equals(pq.read_table(files["dask"]))
    rows = [
        (NAMES[engine], name, parts or "", f"{seconds:.1f}", f"{busy:.1f}", f"{peak:,.0f}")
        for engine, found in told.items()
        for name, parts, seconds, busy, peak in found["passes"]
    ]
    loop, dask = told["loop"], told["dask"]
    lines = [
        f"{TOWNS} towns of {TERMS['long']} terms, the best {K} of each among {given.firms:,} "
        f"made-up firms in {loop['partitions']} partitions; {dask['kept_mb']:,.0f} MB of files "
        f"between the passes. Loop {loop['seconds']:.0f} s on one core "
        f"({given.firms / loop['seconds']:,.0f} firms/s), Dask {dask['seconds']:.0f} s "
        f"({given.firms / dask['seconds']:,.0f} firms/s).",
        "",
        *common.table(
            "engine | pass | partitions | seconds | seconds of all tasks | MB at a worker's peak",
            rows,
        ),
        "",
        *common.targets(
            [
                Target("both give the same answer, bit for bit", "yes" if same else "no", same),
                Target.most(
                    f"Dask / ideal (the loop's tasks in {LOCAL_WORKERS}, the rest as it is)",
                    dask["seconds"] / ideal(loop), 1.3,
                ),
            ]
        ),
    ]  # fmt: skip
    common.report("Batch", common.command(), lines, write=given.write)


if __name__ == "__main__":
    main()
