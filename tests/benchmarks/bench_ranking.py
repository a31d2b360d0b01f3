"""How fast is a ranked list, beside peers, each in a process of its own, asked in turn.

python tests/benchmarks/bench_ranking.py [--firms 100000] [--rounds 5] [--write]
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import common
from tests.benchmarks.common import Spread, Target
from tests.benchmarks.making import agreement, material
from tests.benchmarks.material import TERMS, TOWNS, Request, names
from tests.benchmarks.ours import ONE_CORE, TWENTY, WHAT_IF, WHOLE
from tests.benchmarks.peers import ONE_THREAD, PEERS, TWO_THREADS

OURS, FIRST = "zyz-match", "first request of a town"
SLOW = 300.0  # ms; what takes longer is asked once a town
Key = tuple[str, str]  # engine, call


class Child:
    """An engine at the other end of a pipe."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        command = [sys.executable, str(Path(__file__).with_name("engine.py")), name, str(folder)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.told = self._answer()
        self.peak_mb = 0.0

    def ask(self, request: Request) -> dict[str, Any]:
        """The answer to one request."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request._asdict()) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def milliseconds(self, request: Request) -> float:
        """How long it took in there."""
        answer = self.ask(request)
        self.peak_mb = answer["peak_mb"]
        return float(answer["ms"])

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended early")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Run:
    """Everybody's times on the towns of one kind."""

    def __init__(self, kind: str, children: list[Child], rounds: int) -> None:
        self.kind, self.children, self.rounds = kind, children, rounds
        self.taken: dict[Key, list[float]] = defaultdict(list)
        ours = children[0]
        self.taken[OURS, FIRST] = [
            ours.milliseconds(Request(WHOLE, town)) for town in names(kind)
        ]  # fmt: skip
        self.work = {town: ours.ask(Request("work", town)) for town in names(kind)}
        self._measure()

    def _measure(self) -> None:
        keys = [(child, call) for child in self.children for call in child.told["calls"]]
        for r in range(self.rounds):
            for i, town in enumerate(names(self.kind)):
                first = (r + i) % len(keys)  # each follows each: caches favour nobody
                for child, call in keys[first:] + keys[:first]:
                    self._ask(child, call, town)

    def _ask(self, child: Child, call: str, town: str) -> None:
        times = self.taken[child.name, call]
        if len(times) >= TOWNS and times[0] > SLOW:
            return
        if call == TWENTY and not town.endswith("-0"):  # one town of a round stands for all
            return
        times.append(child.milliseconds(Request(call, town, int(self.work[town]["bytes"]))))

    def median(self, call: str, engine: str = OURS) -> float:
        """Milliseconds."""
        return Spread.of(self.taken[engine, call]).median

    def bytes_read(self) -> float:
        """That ours must read for a town, mean."""
        return float(np.mean([w["bytes"] for w in self.work.values()]))

    def rows(self) -> list[list[str]]:
        """For the table: ours first, then the others as they are in the table of engines."""
        memory = {c.name: (c.told["mb"], c.peak_mb) for c in self.children}
        base = self.median(WHOLE)
        found = []
        for (engine, call), times in sorted(self.taken.items(), key=lambda x: x[0][0] != OURS):
            spread = Spread.of(times)
            held = ["", ""] if engine == "memory limit" else [f"{m:,.0f}" for m in memory[engine]]
            ratio = f"{spread.median / base:.2f}"
            found.append([engine, call, f"{spread.median:.2f}", f"{spread.p99:.2f}", ratio, *held])
        return found


HEAD = "engine | asked for | median ms | p99 ms | x ours | index MB | peak MB"


def aims(runs: dict[str, Run]) -> list[Target]:
    """What is aimed at, for the towns of 60 terms and of 5."""
    long, short = runs["long"], runs["short"]
    whole, alone = long.median(WHOLE), "words alone"
    return [
        Target.most(
            "60 terms, whole score / bm25s (numba), words alone",
            whole / long.median(alone, "bm25s (numba)"), 0.5,
        ),
        Target.most(
            "60 terms, whole score / reading its bytes, two threads each",
            whole / long.median(TWO_THREADS, "memory limit"), 2,
        ),
        Target.most(
            "60 terms, whole score / reading its bytes, one core each",
            long.median(ONE_CORE) / long.median(ONE_THREAD, "memory limit"), 2,
        ),
        Target.least(
            "60 terms, linear_kernel / whole score",
            long.median(alone, "scikit-learn linear_kernel") / whole, 100,
        ),
        Target.most(
            "5 terms, whole score / plain numba kernel",
            short.median(WHOLE) / short.median(alone, "plain numba kernel"), 1.3,
        ),
        Target.most("60 terms, twenty towns / one town", long.median(TWENTY) / whole, 6),
        Target.most("60 terms, what-if / one town", long.median(WHAT_IF) / whole, 1),
    ]  # fmt: skip


def counted(run: Run) -> str:
    """What ours must read, in words."""
    means = {n: np.mean([w[n] for w in run.work.values()]) for n in next(iter(run.work.values()))}
    speed = run.bytes_read() / run.median(ONE_THREAD, "memory limit") / 1e6
    told = ", ".join(f"{value:,.0f} {name}" for name, value in means.items())
    return f"{TERMS[run.kind]} terms: ours counts {told} a town; read in order at {speed:.1f} GB/s."


def main() -> None:
    """Measure, print, and with --write keep the tables in docs/benchmarks.md."""
    options = argparse.ArgumentParser()
    options.add_argument("--firms", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    shared = material(given.firms)
    with ExitStack() as stack:
        children = []
        for name in (OURS, *PEERS):
            children.append(Child(name, shared.folder))
            stack.callback(children[-1].close)
        runs = {kind: Run(kind, children, given.rounds) for kind in TERMS}
    lines = [
        f"{given.firms:,} made-up firms, {shared.told['n-grams']:,} n-grams, {TOWNS} fresh towns "
        f"of a kind, {given.rounds} rounds (what takes more than {SLOW:.0f} ms: one). "
        f"bm25s is filled with its weights, not indexed; over 2,000 firms its scores differ by "
        f"at most {agreement():.0e} from its own indexing.",
        "",
    ]
    for kind, run in runs.items():
        lines += [f"### {TERMS[kind]} terms", "", *common.table(HEAD, run.rows()), ""]
    lines += [*map(counted, runs.values()), "", *common.targets(aims(runs))]
    title = f"Ranking, {given.firms:,} firms"
    common.report(title, common.command(), lines, write=given.write)


if __name__ == "__main__":
    main()
