"""The peers: words alone, top 100, no filter, over the same n-grams as ours; and the memory limit.

All answer on one thread, but for the limit where it says so.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import sparse

from tests.benchmarks.material import Asked, Call, K, Material, Request

ONE_THREAD, TWO_THREADS = "one thread", "two threads"
Floats = npt.NDArray[np.float32]


class Peer:
    """An engine over the matrix of BM25 weights; each says how it answers."""

    calls: tuple[str, ...] = ("words alone",)
    size = 0  # bytes that it keeps

    def __init__(self, material: Material) -> None:
        self.asked = material.asked()
        self.load(material)

    def load(self, material: Material) -> None:
        """Take what is needed of the material."""
        raise NotImplementedError

    def call(self, asked: Asked) -> Call:
        """The top 100 of a town, ready to be timed."""
        raise NotImplementedError

    def prepared(self, request: Request) -> Call:
        """One request, ready to be timed."""
        return self.call(self.asked[request.town])

    def work(self, request: Request) -> dict[str, Any]:
        """Peers do not count."""
        return {}


def best(scores: Floats) -> npt.NDArray[np.int64]:
    """Rows of the greatest scores, best first."""
    rows = np.argpartition(-scores, K)[:K]
    return np.asarray(rows[np.argsort(-scores[rows], kind="stable")])


def by_gram(peer: Any, material: Material) -> sparse.csc_matrix:
    """The postings of every n-gram in memory, with their bytes noted."""
    mapped = material.columns()
    parts = (np.array(mapped.data), np.array(mapped.indices), np.array(mapped.indptr))
    peer.size = sum(a.nbytes for a in parts)
    return sparse.csc_matrix(parts, shape=mapped.shape, copy=False)


@njit(nogil=True)
def add_up(
    data: Any, rows: Any, starts: Any, columns: Any, weights: Any, firms: Any, k: Any
) -> Any:
    """The plain kernel: one accumulator a firm, then the best k by a heap."""
    sums = np.zeros(firms, np.float32)
    for j in range(len(columns)):
        weight = weights[j]
        for p in range(starts[columns[j]], starts[columns[j] + 1]):
            sums[rows[p]] += weight * data[p]
    heap, kept = np.full(k, np.float32(-1)), np.zeros(k, np.int64)
    for i in range(firms):
        if sums[i] > heap[0]:
            at = 0
            while 2 * at + 1 < k:
                child = 2 * at + 1
                if child + 1 < k and heap[child + 1] < heap[child]:
                    child += 1
                if heap[child] >= sums[i]:
                    break
                heap[at], kept[at] = heap[child], kept[child]
                at = child
            heap[at], kept[at] = sums[i], i
    return kept, heap


class Plain(Peer):
    """The plain numba kernel: postings by n-gram, one float32 accumulator."""

    def load(self, material: Material) -> None:
        """Copied into memory, as an engine would hold them."""
        self.matrix = by_gram(self, material)

    def call(self, asked: Asked) -> Call:
        """Sum, then a heap."""
        m = self.matrix
        return lambda: add_up(
            m.data, m.indices, m.indptr, asked.columns, asked.weights, m.shape[0], K
        )


class Bm25s(Peer):
    """bm25s with numba; each n-gram asked for once, since it knows no query weights.

    Its arrays are filled with the weights it would compute: its own indexing is pure Python.
    """

    def load(self, material: Material) -> None:
        """Ours divided by k1 + 1, which is the weight in the variant called lucene."""
        matrix = by_gram(self, material)
        self.engine = filled(matrix)

    def call(self, asked: Asked) -> Call:
        """Its own retrieval."""
        tokens = [asked.columns.tolist()]
        return lambda: self.engine.retrieve(tokens, k=K, show_progress=False, n_threads=1)


def filled(matrix: sparse.csc_matrix) -> Any:
    """A bm25s index with the given BM25 weights (firms x n-grams)."""
    import bm25s

    engine = bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend="numba")
    engine.scores = {
        "data": matrix.data / np.float32(engine.k1 + 1), "indices": matrix.indices,
        "indptr": matrix.indptr.astype(np.int64), "num_docs": matrix.shape[0],
    }  # fmt: skip
    engine.nonoccurrence_array = None
    engine.unique_token_ids_set = set(range(matrix.shape[1]))
    return engine


def difference(matrix: sparse.csc_matrix, tokens: list[list[int]], asked: Asked) -> float:
    """Largest difference of scores between a filled bm25s and one that indexed the tokens."""
    import bm25s

    own = bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend="numba")
    vocabulary = {str(i): i for i in range(matrix.shape[1])}
    own.index(bm25s.tokenization.Tokenized(ids=tokens, vocab=vocabulary), show_progress=False)
    ours = filled(matrix)
    for name in ("data", "indices", "indptr"):
        assert ours.scores[name].dtype == own.scores[name].dtype, name
    one, other = (
        e.retrieve([asked.columns.tolist()], k=K, show_progress=False, n_threads=1).scores
        for e in (ours, own)
    )
    return float(np.abs(one - other).max())


class Scipy(Peer):
    """scipy: the columns asked for, times their weights."""

    def load(self, material: Material) -> None:
        """By n-gram."""
        self.matrix = by_gram(self, material)

    def call(self, asked: Asked) -> Call:
        """A column slice and a product."""
        return lambda: best(self.matrix[:, asked.columns] @ asked.weights)


class LinearKernel(Peer):
    """scikit-learn's linear_kernel, sparse by sparse."""

    def load(self, material: Material) -> None:
        """By firm."""
        self.matrix = material.rows()
        self.size = sum(
            a.nbytes for a in (self.matrix.data, self.matrix.indices, self.matrix.indptr)
        )

    def call(self, asked: Asked) -> Call:
        """The kernel's only row."""
        from sklearn.metrics.pairwise import linear_kernel

        query = row(asked, self.matrix.shape[1])
        return lambda: best(linear_kernel(query, self.matrix).ravel())


def row(asked: Asked, grams: int) -> sparse.csr_matrix:
    """A query as a matrix of one row."""
    parts = (asked.weights, asked.columns.astype(np.int32), np.array([0, len(asked.columns)]))
    return sparse.csr_matrix(parts, shape=(1, grams))


class TopN(Peer):
    """sparse_dot_topn: the product with only the best kept."""

    def load(self, material: Material) -> None:
        """n-grams x firms."""
        self.matrix = by_gram(self, material).T

    def call(self, asked: Asked) -> Call:
        """One row times everything."""
        from sparse_dot_topn import sp_matmul_topn

        query = row(asked, self.matrix.shape[0])
        return lambda: sp_matmul_topn(query, self.matrix, top_n=K, sort=True)


class Tantivy(Peer):
    """tantivy: one field of ready tokens, its own BM25, the n-grams' weights as boosts."""

    def load(self, material: Material) -> None:
        """Opened from disk; made the first time."""
        import tantivy

        self.module = tantivy
        schema = tantivy.SchemaBuilder()
        schema.add_unsigned_field("row", fast=True)
        schema.add_text_field("words", tokenizer_name="whitespace", index_option="freq")
        self.schema = schema.build()
        folder = material.folder / "tantivy"
        made = folder.exists()
        folder.mkdir(exist_ok=True)
        self.index = tantivy.Index(self.schema, path=str(folder), reuse=made)
        if not made:
            self._fill(material)
        self.index.reload()
        self.searcher = self.index.searcher()
        self.size = sum(f.stat().st_size for f in folder.iterdir())

    def _fill(self, material: Material) -> None:
        writer = self.index.writer(heap_size=500_000_000, num_threads=1)
        rows, times = material.rows(), material.array("csr-times")
        starts = rows.indptr
        for i in range(rows.shape[0]):
            some = slice(starts[i], starts[i + 1])
            tokens = np.repeat(rows.indices[some], times[some]).tolist()
            document = self.module.Document()
            document.add_unsigned("row", i)
            document.add_text("words", " ".join(map(str, tokens)))
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()

    def call(self, asked: Asked) -> Call:
        """Its own top list."""
        query = self.module.Query
        some = query.boolean_query(
            [
                (
                    self.module.Occur.Should,
                    query.boost_query(
                        query.term_query(self.schema, "words", str(c), "freq"), float(w)
                    ),
                )
                for c, w in zip(asked.columns.tolist(), asked.weights, strict=True)
            ]
        )
        return lambda: self.searcher.search(some, K, count=False)


@njit(nogil=True, fastmath=True)
def read(words: Any) -> Any:
    """Add up whole words of memory: nothing that looks at them at all can be faster."""
    total = np.uint64(0)
    for i in range(len(words)):
        total += words[i]
    return total


class Limit(Peer):
    """The memory limit: as many bytes as ours must read for the town, read in order."""

    calls = (ONE_THREAD, TWO_THREADS)

    def load(self, material: Material) -> None:
        """More memory than any cache holds."""
        self.words = np.arange(1 << 26, dtype=np.uint64)  # half a gigabyte
        self.size = self.words.nbytes
        self.pool = ThreadPoolExecutor(1)
        self.at = 0

    def prepared(self, request: Request) -> Call:
        """A stretch of memory that was not read just before."""
        n = request.bytes // 8
        self.at = self.at + n if self.at + 2 * n <= len(self.words) else 0
        some = self.words[self.at : self.at + n]
        if request.call == ONE_THREAD:
            return lambda: read(some)
        return lambda: self._both(some[: n // 2], some[n // 2 :])

    def _both(self, one: Any, two: Any) -> Any:
        other = self.pool.submit(read, two)
        return read(one), other.result()


PEERS: dict[str, type[Peer]] = {
    "plain numba kernel": Plain, "bm25s (numba)": Bm25s, "scipy CSC slice": Scipy,
    "scikit-learn linear_kernel": LinearKernel, "sparse_dot_topn": TopN, "tantivy": Tantivy,
    "memory limit": Limit,
}  # fmt: skip
