"""How long a retraining on 100,000 leads takes, and what lists notice of it. Synthetic data.

python tests/benchmarks/bench_training.py [--leads 100000] [--firms 20000] [--write]
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.common import Spread, command, milliseconds, report, table
from tests.benchmarks.corpus import Corpus
from zyz_match.domain import Stage, Town
from zyz_match.matching.index import Index
from zyz_match.matching.model import Model
from zyz_match.matching.ranking import rank
from zyz_match.matching.training import retrain

TOWNS, IDLE_CALLS = 20, 200


def world(firms: int, leads: int) -> tuple[Index, list[Town], pd.DataFrame]:
    """An index with events, towns, and rounds over two years."""
    corpus = Corpus()
    frame = corpus.firms(firms)
    index = Index("synthetic").fit(frame, corpus.events(frame, 2 * firms))
    towns = [corpus.town(f"合成{i}", 20) for i in range(TOWNS)]
    rng = np.random.default_rng(1)
    dates = pd.Timestamp("2024-02-01") + pd.to_timedelta(rng.integers(0, 650, leads), "D")
    good = rng.random(leads) < 0.1
    rounds = pd.DataFrame(
        {
            "town_id": rng.choice([t.id for t in towns], leads),
            "firm_id": rng.choice(frame["firm_id"].to_numpy(), leads),
            "date": dates,
            "closed": dates + pd.to_timedelta(rng.integers(5, 90, leads), "D"),
            "stage": np.where(good, Stage.SIGNED.value, Stage.NO_INTEREST.value),
            "best": np.where(good, Stage.SIGNED.value, Stage.CONTACTED.value),
            "owner": rng.choice(["合成甲", "合成乙", "合成丙", ""], leads),
        }
    )
    return index, towns, rounds


def train(firms: int, leads: int) -> None:
    """The child: say when it begins, retrain, say how long it took."""
    index, towns, rounds = world(firms, leads)
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    start = time.perf_counter()
    found = retrain(index, towns, rounds, Model())
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{seconds} {peak} {found.promote}\n")


def main() -> None:
    """Measure, print, and with --write keep the figures in docs/benchmarks.md."""
    options = argparse.ArgumentParser()
    options.add_argument("--leads", type=int, default=100_000)
    options.add_argument("--firms", type=int, default=20_000)
    options.add_argument("--child", action="store_true")
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    if given.child:
        train(given.firms, given.leads)
        return
    index, towns, _ = world(given.firms, 10)

    def one(i: int) -> float:
        return milliseconds(lambda: rank(index, towns[i % TOWNS], k=20))

    for i in range(2 * TOWNS):
        one(i)
    before = [one(i) for i in range(IDLE_CALLS)]
    child_of = [sys.executable, __file__, "--child", "--firms", str(given.firms), "--leads"]
    with subprocess.Popen(
        [*child_of, str(given.leads)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: os.nice(10),
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "begin\n"
        during: list[float] = []
        while child.poll() is None:
            during.append(one(len(during)))
            time.sleep(0.05)
        seconds, peak, _ = child.stdout.read().split()
    idle, beside = Spread.of(before), Spread.of(during)
    rows = [
        (name, f"{times.median:.1f}", f"{times.p99:.1f}")
        for name, times in (("nothing else runs", idle), ("a retraining runs", beside))
    ]
    lines = [
        f"Retraining on {given.leads:,} synthetic leads of {TOWNS} towns, {given.firms:,} "
        f"firms, {2 * given.firms:,} events: {float(seconds):.1f} s beside a busy ranker, "
        f"peak memory {float(peak):,.0f} MB.",
        "",
        *table("a list of 20 while | median ms | p99 ms", rows),
        "",
        f"p99 while training / idle: {beside.p99 / idle.p99:.2f}",
    ]
    report("Retraining", command(), lines, write=given.write)


if __name__ == "__main__":
    main()
