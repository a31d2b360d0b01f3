"""Makes what the engines share (material.py): python tests/benchmarks/making.py FIRMS FOLDER."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.common import memory
from tests.benchmarks.corpus import SEED, Corpus, kept
from tests.benchmarks.material import TERMS, WARM, Asked, Material, names
from tests.benchmarks.peers import difference
from zyz_match import matching
from zyz_match.domain import Town
from zyz_match.matching.index import Index
from zyz_match.matching.phrases import cut
from zyz_match.matching.query import prepare
from zyz_match.matching.words import WordFeatures
from zyz_match.storage.flat import Shelf


def shelf(folder: Path) -> Shelf:
    """Where our index lies."""
    return Shelf(folder, ".zyz", Index.FORMAT)


def opened(material: Material) -> Index:
    """Our index, mapped from its file."""
    found = shelf(material.folder)
    return Index.from_parts(*found.open(found.names()[-1]))


def towns(corpus: Corpus) -> Iterator[Town]:
    """All towns that are asked for, and one that warms up."""
    yield corpus.town(WARM, TERMS["long"])
    for kind, terms in TERMS.items():
        yield from (corpus.town(name, terms) for name in names(kind))


def version() -> str:
    """Changes with the mathematics, so that no index of an older one is measured."""
    sources = sorted(Path(matching.__path__[0]).glob("*.py"))
    return hashlib.sha256(b"".join(s.read_bytes() for s in sources)).hexdigest()[:8]


def material(firms: int) -> Material:
    """The material of a size, made unless it is there."""
    command = [sys.executable, __file__, str(firms)]
    return Material(
        kept(
            f"material-{firms}-{SEED}", f"-{version()}",
            lambda folder: subprocess.run([*command, str(folder)], check=True),
        )
    )  # fmt: skip


def make(firms: int, folder: Path) -> None:
    """Fit our index, and lay the words of the same features out for the others."""
    corpus = Corpus()
    frame = corpus.firms(firms)
    events = corpus.events(frame, firms // 2)
    start = time.perf_counter()
    index = Index("synthetic").fit(frame, events)
    words = index.features.words_
    told = {
        "firms": firms, "n-grams": len(words.idf_), "fit_s": time.perf_counter() - start,
        "peak_mb": memory("VmHWM"),
    }  # fmt: skip
    shelf(folder).save(*index.parts(), {})
    found = (prepare(town, words) for town in towns(corpus))
    asked = {q.town.id: (q.columns.tolist(), q.weights.tolist()) for q in found}
    (folder / "asked.json").write_text(json.dumps(asked), "utf-8")
    counts = words.counts(cut(frame))
    np.save(folder / "csr-times.npy", counts.times)
    rows = words.matrix(counts)
    for matrix in (rows, rows.tocsc()):
        for name in ("data", "indices", "indptr"):
            np.save(folder / f"{matrix.format}-{name}.npy", getattr(matrix, name))
    (folder / "told.json").write_text(json.dumps(told), "utf-8")


def agreement(firms: int = 2000) -> float:
    """Largest difference of scores between bm25s as peers.py fills it and by its own indexing."""
    corpus = Corpus()
    some = cut(corpus.firms(firms))
    words = WordFeatures().fit_cut(some)
    counts = words.counts(some)
    tokens = [
        np.repeat(counts.grams[a:b], counts.times[a:b]).tolist() for a, b in pairwise(counts.starts)
    ]
    query = prepare(corpus.town(WARM), words)
    asked = Asked(query.columns, query.weights)
    return difference(words.matrix(counts).tocsc(), tokens, asked)


if __name__ == "__main__":
    make(int(sys.argv[1]), Path(sys.argv[2]))
