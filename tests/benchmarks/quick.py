"""Guards against a slower way of working by what is counted, never by time: under two minutes.

python tests/benchmarks/quick.py [--write]

Exits with 1 and the name of every count that grew by more than a tenth over budgets.json;
--write records them anew.
"""

import argparse
import json
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks import common
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.material import TERMS, K, names
from zyz_match.domain import Town
from zyz_match.matching.index import Index
from zyz_match.matching.model import Model

FIRMS = 50_000
ROOM = 1.1  # times a budget is still within it
BUDGETS = Path(__file__).with_name("budgets.json")


def counts() -> Iterator[tuple[str, float]]:
    """Every count and its value, means over the towns of a kind."""
    corpus = Corpus()
    frame = corpus.firms(FIRMS)
    index = Index().fit(frame, corpus.events(frame, FIRMS // 2))
    arrays = index.parts()[1].values()
    yield "index bytes a firm", sum(a.nbytes for a in arrays) / FIRMS
    for kind, terms in TERMS.items():
        towns = [corpus.town(name, terms) for name in names(kind)]
        work = [asked(index, town) for town in towns]
        for name in work[0]:
            yield f"{name}, {terms} terms", float(np.mean([w[name] for w in work]))
        yield f"bytes allocated at once, {terms} terms", allocated(index, towns)


def asked(index: Index, town: Town) -> dict[str, int]:
    """What a town's whole score and its exact top 100 take."""
    scores = Model().score(town, index)
    scores.best(K, index.active)
    return dict(scores.work)


def allocated(index: Index, towns: list[Town]) -> float:
    """Most bytes at once of scoring a town that was scored before, mean."""
    peaks = []
    tracemalloc.start()
    for town in towns:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        asked(index, town)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    return float(np.mean(peaks))


def main() -> int:
    """Count, print, compare."""
    options = argparse.ArgumentParser()
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    found = {name: round(value) for name, value in counts()}
    if given.write:
        BUDGETS.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    budgets = json.loads(BUDGETS.read_text("utf-8"))
    if found.keys() != budgets.keys():
        print("other counts than in budgets.json: record them with --write")
        return 1
    grown = {n for n, value in found.items() if value > ROOM * budgets[n]}
    rows = [
        (n, f"{value:,}", f"{budgets[n]:,}", "**grew**" if n in grown else "within")
        for n, value in found.items()
    ]  # fmt: skip
    print("\n".join(common.table(f"{FIRMS:,} made-up firms | counted | budget | ", rows)))
    for name in sorted(grown):
        print(f"{name}: {found[name]:,}, more than {ROOM} x {budgets[name]:,}")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
