"""How fast is a ranked list, beside peers in the same run. Synthetic corpus; compare ratios only.

python tests/benchmarks/bench_ranking.py [--firms 100000] [--rounds 5] [--write]
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # one thread for everybody

import bm25s
import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import linear_kernel

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.corpus import Corpus
from zyz_match.domain import Town
from zyz_match.matching.features import phrases
from zyz_match.matching.index import Index, top_k
from zyz_match.matching.model import Model
from zyz_match.matching.query import prepare

K, TOWNS = 100, 20
Timed = dict[str, list[float]]


def milliseconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


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
        self.allowed = self.index.active.copy()
        words = self.index.features.words_
        number = words.vocabulary_
        texts = [
            phrases(s, p, n) for s, p, n in zip(frame["scope"], frame["products"], frame["name"],
                                                strict=True)
        ]  # fmt: skip
        tokens = [[number[g] for p in t for g in words.grams(p)] for t in texts]
        self.bm25 = bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend="numba")
        self.bm25.index(bm25s.tokenization.Tokenized(ids=tokens, vocab=number), show_progress=False)
        del tokens
        joined = ["；".join(t) for t in texts]
        self.tfidf = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), dtype=np.float32)
        self.matrix = self.tfidf.fit_transform(joined)

    def ours(self, town: Town) -> object:
        """The whole score of a town, and its exact top 100."""
        return top_k(Model().score(town, self.index).total, self.allowed, K)

    def bm25_tokens(self, town: Town) -> list[str]:
        """The n-grams of a town, each as often as it is asked for."""
        words = self.index.features.words_
        return [
            g for t in prepare(town, words).terms for g in words.grams(t.text)
            if g in words.vocabulary_
        ]  # fmt: skip

    def theirs(self, tokens: list[str]) -> object:
        """bm25s: words alone, top 100."""
        return self.bm25.retrieve([tokens], k=K, show_progress=False, n_threads=1)

    def linear(self, text: str) -> object:
        """scikit-learn: words alone, top 100."""
        scores = linear_kernel(self.tfidf.transform([text]), self.matrix).ravel()
        return np.argpartition(-scores, K)[:K]

    def run(self, towns: list[Town], rounds: int) -> Timed:
        """Milliseconds of everybody in turn, after one round that does not count."""
        taken: Timed = {"ours": [], "bm25s": [], "linear_kernel": []}
        asked = [(t, self.bm25_tokens(t), " ".join(p.term for p in t.products)) for t in towns]
        for r in range(rounds + 1):
            for town, tokens, text in asked:
                some = {
                    "ours": milliseconds(partial(self.ours, town)),
                    "bm25s": milliseconds(partial(self.theirs, tokens)),
                    "linear_kernel": milliseconds(partial(self.linear, text)),
                }
                for name, value in some.items() if r else ():
                    taken[name].append(value)
        return taken


def table(name: str, taken: Timed) -> list[str]:
    """Markdown rows: median, p99, ratio to ours."""
    base = float(np.median(taken["ours"]))
    labels = {
        "ours": "zyz-match, whole score", "bm25s": "bm25s (numba), words alone",
        "linear_kernel": "scikit-learn linear_kernel, words alone",
    }  # fmt: skip
    rows = []
    for key, values in taken.items():
        times: npt.NDArray[np.float64] = np.array(values)
        median, tail = float(np.median(times)), float(np.percentile(times, 99))
        rows.append(f"| {name} | {labels[key]} | {median:.2f} | {tail:.2f} | {median / base:.2f} |")
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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    grams = len(bench.index.features.words_.vocabulary_)
    lines = [
        f"Synthetic corpus, {given.firms:,} firms, {grams:,} n-grams; {TOWNS} profiles x "
        f"{given.rounds} rounds, one thread each, in turn in one process.",
        f"Fit {bench.fit_seconds:.1f} s ({given.firms / bench.fit_seconds:,.0f} firms/s); peak "
        f"memory of the whole run, peers included, {peak:,.0f} MB. {processor()}, "
        f"{os.cpu_count()} cores.",
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
        page.write_text(
            "# Benchmarks\n\nCommand: `make bench` (`tests/benchmarks/bench_ranking.py --write` "
            "keeps the table here). The corpus is synthetic and seeded: Zipfian Chinese business "
            "scopes.\nExact top 100; ours is the whole score (words, terms, latent, peers, "
            f"structure), the peers score words alone.\nCompare ratios only.\n\n{text}\n",
            "utf-8",
        )


if __name__ == "__main__":
    main()
