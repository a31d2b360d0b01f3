"""How fast is a ranked list, beside peers in the same run. Synthetic corpus; compare ratios only.

python tests/benchmarks/bench_ranking.py [--firms 100000] [--rounds 5] [--write]
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # peers answer one query on one thread

import bm25s
import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics.pairwise import linear_kernel

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.corpus import Corpus
from zyz_match.domain import Town
from zyz_match.matching.features import phrases
from zyz_match.matching.index import Index, top_k
from zyz_match.matching.model import Model
from zyz_match.matching.query import prepare

K, TOWNS = 100, 20
OURS, FIRST = "zyz-match, whole score", "the same, first request of a town"
ONE_CORE = "the same, held to one core"
Timed = dict[str, list[float]]


def milliseconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


@contextmanager
def one_core() -> Iterator[None]:
    """Every thread of this process on one core; how much our second thread brings."""
    tasks = [int(t.name) for t in Path("/proc/self/task").iterdir()]
    before = os.sched_getaffinity(0)
    for task in tasks:
        os.sched_setaffinity(task, {min(before)})
    yield
    for task in tasks:
        os.sched_setaffinity(task, before)


@njit(nogil=True)
def touch(starts: Any, rows: Any, codes: Any, dense: Any, place: Any, columns: Any) -> Any:
    """Read every posting of the given n-grams once: no engine that looks at all can be faster."""
    total = np.int64(0)
    for c in columns:
        for block in range(starts.shape[0]):
            for p in range(starts[block, c], starts[block, c + 1]):
                total += np.int64(rows[p]) + np.int64(codes[p])
        if place[c] >= 0:
            for i in range(dense.shape[1]):
                total += np.int64(dense[place[c], i])
    return total


class Bench:
    """Everybody's index over the same firms and the same n-grams."""

    def __init__(self, firms: int) -> None:
        corpus = Corpus()
        frame = corpus.firms(firms)
        self.long = [corpus.town(f"合成{i}", 60) for i in range(TOWNS)]
        self.short = [corpus.town(f"合成短{i}", 5) for i in range(TOWNS)]
        start = time.perf_counter()
        self.index = Index().fit(frame, corpus.events(frame, firms // 2))
        self.fit_seconds = time.perf_counter() - start
        self.fit_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.allowed = self.index.active & (np.arange(firms) % 10 > 0)  # as a filter would
        self.ours(corpus.town("合成预热", 60))  # what any first request loads
        words = self.index.features.words_
        number = words.vocabulary_
        tokens = [
            [number[g] for p in phrases(s, t, n) for g in words.grams(p)]
            for s, t, n in zip(frame["scope"], frame["products"], frame["name"], strict=True)
        ]
        self.bm25 = bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend="numba")
        self.bm25.index(bm25s.tokenization.Tokenized(ids=tokens, vocab=number), show_progress=False)
        self.tfidf = TfidfTransformer()
        self.matrix = self.tfidf.fit_transform(self._counts(tokens))

    def _counts(self, tokens: list[list[int]]) -> sparse.csr_matrix:
        columns = np.fromiter((c for t in tokens for c in t), np.int32)
        starts = np.append(0, np.cumsum([len(t) for t in tokens]))
        grams = len(self.index.features.words_.vocabulary_)
        counts = sparse.csr_matrix(
            (np.ones(len(columns), np.float32), columns, starts), shape=(len(tokens), grams)
        )
        counts.sum_duplicates()
        return counts

    def ours(self, town: Town) -> object:
        """The whole score of a town, and its exact top 100."""
        return top_k(Model().score(town, self.index).total, self.allowed, K)

    def theirs(self, tokens: list[int]) -> object:
        """bm25s: words alone, top 100."""
        return self.bm25.retrieve([tokens], k=K, show_progress=False, n_threads=1)

    def linear(self, tokens: list[int]) -> object:
        """scikit-learn: words alone, top 100."""
        query = self.tfidf.transform(self._counts([tokens]))
        scores = linear_kernel(query, self.matrix).ravel()
        return np.argpartition(-scores, K)[:K]

    def limit(self, tokens: list[int]) -> object:
        """The postings of a town's n-grams, only read."""
        p = self.index.postings
        return touch(p.starts, p.rows, p.codes, p.dense, p.place, np.array(tokens))

    def size(self) -> int:
        """Bytes of the arrays that a score reads."""
        p = self.index.postings
        arrays = (p.starts, p.rows, p.codes, p.dense, p.held, p.place, p.scale)
        latent = (self.index.latent, self.index.latent_rest, self.index.latent_scale)
        return sum(a.nbytes for a in (*arrays, *latent))

    def engines(self, town: Town) -> dict[str, Callable[[], object]]:
        """What is measured for one town, ours first."""
        words = self.index.features.words_
        grams = (g for t in prepare(town, words).terms for g in words.grams(t.text))
        often = [words.vocabulary_[g] for g in grams if g in words.vocabulary_]
        once = sorted(set(often))
        return {
            OURS: partial(self.ours, town),
            ONE_CORE: partial(self.ours, town),
            "bm25s (numba), words alone": partial(self.theirs, once),
            "bm25s, n-grams as often as asked for": partial(self.theirs, often),
            "scikit-learn linear_kernel, words alone": partial(self.linear, often),
            "our postings only read, nothing computed": partial(self.limit, once),
        }

    def run(self, towns: list[Town], rounds: int) -> Timed:
        """Milliseconds of everybody in turn; before that, ours once for each fresh town."""
        taken: Timed = {FIRST: [milliseconds(partial(self.ours, town)) for town in towns]}
        engines = [self.engines(town) for town in towns]
        for r in range(rounds + 1):
            for i, calls in enumerate(engines):
                names = list(calls)
                first = (r + i) % len(names)  # each follows each: caches favour nobody
                for name in names[first:] + names[:first]:
                    with one_core() if name == ONE_CORE else nullcontext():
                        some = milliseconds(calls[name])
                    if r:
                        taken.setdefault(name, []).append(some)
        return taken


def table(name: str, taken: Timed) -> list[str]:
    """Markdown rows: median, p99, ratio to ours."""
    base = float(np.median(taken[OURS]))
    rows = []
    for engine, values in sorted(taken.items(), key=lambda x: x[0] != OURS):
        times: npt.NDArray[np.float64] = np.array(values)
        median, tail = float(np.median(times)), float(np.percentile(times, 99))
        rows.append(f"| {name} | {engine} | {median:.2f} | {tail:.2f} | {median / base:.2f} |")
    return rows


def processor() -> str:
    """The model name of the processor."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def main() -> None:
    """Measure, print, and with --write keep the table in docs/benchmarks.md."""
    options = argparse.ArgumentParser()
    options.add_argument("--firms", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    bench = Bench(given.firms)
    grams = len(bench.index.features.words_.vocabulary_)
    lines = [
        f"Synthetic corpus, {given.firms:,} firms, {grams:,} n-grams; {TOWNS} profiles x "
        f"{given.rounds} rounds, in turn in one process. Ours uses a second thread where a core is "
        "free; the peers answer one query on one.",
        f"Fit {bench.fit_seconds:.1f} s ({given.firms / bench.fit_seconds:,.0f} firms/s), peak "
        f"memory {bench.fit_peak:,.0f} MB, arrays that a score reads {bench.size() / 1e6:,.0f} MB. "
        f"{processor()}, {os.cpu_count()} cores.",
        "",
        "| profile | engine | median ms | p99 ms | x ours |",
        "|---|---|---|---|---|",
        *table("60 terms and chain", bench.run(bench.long, given.rounds)),
        *table("5 terms and chain", bench.run(bench.short, given.rounds)),
    ]
    text = "\n".join(lines)
    print(text)
    if given.write:
        page = Path(__file__).parents[2] / "docs" / "benchmarks.md"
        _, mark, rest = page.read_text("utf-8").partition("\n## Retraining\n")
        page.write_text(
            "# Benchmarks\n\nCommand: `make bench` (`tests/benchmarks/bench_ranking.py --write` "
            "keeps the table here). The corpus is synthetic and seeded: Zipfian Chinese business "
            "scopes.\nExact top 100; ours is the whole score (words, terms, latent, peers, "
            "structure, events) under a filter, the others score words alone without one. The "
            "towns are not those that the settings were chosen on.\nCompare ratios only.\n\n"
            f"{text}\n{mark}{rest}",
            "utf-8",
        )


if __name__ == "__main__":
    main()
