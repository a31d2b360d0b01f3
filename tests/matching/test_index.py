"""Each kernel against the line of numpy that it stands for, and the index across a save."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tests.worlds import TOWN, world
from zyz_match.matching import index as layout
from zyz_match.matching import kernels
from zyz_match.matching.features import Cover
from zyz_match.matching.index import Index, Postings, top_k
from zyz_match.matching.model import Model

KERNELS = (
    kernels.sum_columns, kernels.cover, kernels.dot_rows, kernels.by_best, kernels.spread,
    kernels.add_shares, kernels.best_rows,
)  # fmt: skip
Wide = npt.NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=40, deadline=None)


def random_words(seed: int, firms: int, grams: int) -> sparse.csr_matrix:
    """Weights in (0, 2.5] at random places; early n-grams in most firms, late ones in few."""
    rng = np.random.default_rng(seed)
    held = rng.random((firms, grams)) < np.geomspace(0.9, 0.01, grams)
    weights = rng.uniform(0.05, 2.5, (firms, grams)) * held
    return sparse.csr_matrix(weights.astype(np.float32))


def laid_out(words: sparse.csr_matrix) -> Postings:
    return Postings.of(words, np.full(words.shape[1], 2.5, np.float32))


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array


@quick
@given(seeds, st.integers(1, 200), st.integers(1, 60))
def test_words_are_the_matrix_product(seed: int, firms: int, grams: int) -> None:
    words = random_words(seed, firms, grams)
    rng = np.random.default_rng(seed)
    columns = np.flatnonzero(rng.random(grams) < 0.5)
    weights = rng.uniform(0.1, 3, len(columns)).astype(np.float32)
    plain = words.toarray().astype(np.float64)[:, columns] @ weights
    found = laid_out(words).sums(columns, weights)
    rounding = (2.5 / layout.TOP_CODE) * float(weights.sum()) + 1e-5 * plain.max(initial=0.0)
    np.testing.assert_allclose(found, plain, rtol=0, atol=rounding)


@quick
@given(seeds, st.integers(1, 200), st.integers(1, 40), st.integers(0, 8))
def test_coverage_counts_the_firms_that_hold_every_n_gram(
    seed: int, firms: int, grams: int, count: int
) -> None:
    words = random_words(seed, firms, grams)
    rng = np.random.default_rng(seed)
    terms = [
        (np.unique(rng.integers(0, grams, rng.integers(1, 5))), float(rng.uniform(0.1, 3)))
        for _ in range(count)
    ]
    held = words.toarray() > 0
    plain = np.zeros(firms)
    for columns, weight in terms:
        covering = held[:, columns].all(axis=1)
        df = covering.sum()
        plain += weight * np.log1p((firms - df + 0.5) / (df + 0.5)) * covering
    np.testing.assert_allclose(
        laid_out(words).coverage(Cover.of(terms)), plain, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("firms", [kernels.BLOCK - 1, kernels.BLOCK, kernels.BLOCK + 65])
def test_a_pool_larger_than_a_block_is_no_different(firms: int) -> None:
    words = random_words(7, firms, 12)
    columns, weights = np.arange(12), np.linspace(0.5, 2, 12).astype(np.float32)
    plain = words.toarray().astype(np.float64)
    found = laid_out(words)
    rounding = 2.5 / layout.TOP_CODE * float(weights.sum())
    np.testing.assert_allclose(found.sums(columns, weights), plain @ weights, atol=rounding)
    rare = found.coverage(Cover.of([(np.array([11]), 1.0)]))
    np.testing.assert_array_equal(rare > 0, plain[:, 11] > 0)
    both = found.coverage(Cover.of([(np.array([0, 11]), 1.0)]))
    np.testing.assert_array_equal(both > 0, (plain[:, 0] > 0) & (plain[:, 11] > 0))


@quick
@given(seeds, st.integers(0, 70), st.integers(1, 200))
def test_latent_scores_are_the_matrix_product(seed: int, firms: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-127, 128, (firms, size)).astype(np.int8)
    scale = rng.uniform(0.001, 0.01, firms).astype(np.float32)
    vector = rng.normal(size=size).astype(np.float32)
    out = np.zeros(firms, np.float32)
    kernels.dot_rows(frozen(matrix), frozen(scale), frozen(vector), out)
    plain = matrix.astype(np.float64) @ vector.astype(np.float64) * scale
    np.testing.assert_allclose(out, plain, rtol=0, atol=1e-5 * size**0.5)


@quick
@given(seeds, st.integers(1, 100), st.booleans())
def test_the_best_firm_is_one_and_unknown_ones_are_neutral(
    seed: int, size: int, mean: bool
) -> None:
    rng = np.random.default_rng(seed)
    raw = np.where(rng.random(size) < 0.3, np.nan, rng.normal(size=size)).astype(np.float32)
    firms = rng.integers(0, 4, size).astype(np.float32)
    values = raw.copy()
    top = kernels.by_best(values, firms, mean)
    known = ~np.isnan(raw) & (firms > 0)
    best = max(raw[known].max(initial=0.0), 0.0)
    assert top == best
    if best == 0:
        np.testing.assert_array_equal(values, raw)
        return
    neutral = np.average(raw[known].astype(np.float64), weights=firms[known]) / best if mean else 0
    plain = np.where(np.isnan(raw), neutral, np.clip(raw / best, 0, 1))
    np.testing.assert_allclose(values, plain, rtol=1e-5, atol=1e-6)


@settings(max_examples=300, deadline=None)
@given(seeds, st.integers(0, 80), st.integers(1, 8), st.integers(0, 90))
def test_top_k_is_the_head_of_the_whole_order_with_ties_by_row(
    seed: int, firms: int, levels: int, k: int
) -> None:
    rng = np.random.default_rng(seed)
    scores, allowed = rng.integers(0, levels, firms).astype(np.float64), rng.random(firms) < 0.8
    whole = sorted(np.flatnonzero(allowed), key=lambda row: (-scores[row], row))
    for size in (k, k // 8):  # also a pool much larger than the list
        assert top_k(scores, allowed, size).tolist() == whole[:size]


def test_where_nothing_is_allowed_the_list_is_empty() -> None:
    assert top_k(np.ones(5), np.zeros(5, bool), 3).tolist() == []


@quick
@given(seeds, st.integers(0, 50))
def test_shares_add_up_in_double_precision(seed: int, firms: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.asarray(rng.random((4, firms)), dtype=np.float32)
    total = rng.random(firms)
    shares = np.array([12.5, 0.0, 3.25, 40.0])
    plain: Wide = total + shares @ np.asarray(values, np.float64)
    kernels.add_shares(*(frozen(v) for v in values), frozen(shares), total)
    np.testing.assert_allclose(total, plain, rtol=1e-14)


@pytest.mark.parametrize("firms", [1, 2, 5, 40])
def test_latent_scores_on_two_threads_are_those_of_the_whole_matrix(firms: int) -> None:
    index = Index("synthetic").fit(world().iloc[:firms])
    whole = np.hstack([index.latent, index.latent_rest]).astype(np.float64)
    vector = np.random.default_rng(1).normal(size=len(whole.T)).astype(np.float32)
    plain = whole @ vector * index.latent_scale
    np.testing.assert_allclose(index.latent_scores(vector), plain, atol=1e-5)


def test_a_helper_that_asks_for_help_does_not_wait_for_itself() -> None:
    def twice(x: int) -> tuple[int, int]:
        return layout.beside(lambda y: y + x, 1, 2)

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(layout.beside, twice, i, 10 * i) for i in range(50)]
        found = [a.result(timeout=30) for a in asked]
    assert found == [((i + 1, i + 2), (10 * i + 1, 10 * i + 2)) for i in range(50)]


def reopened(index: Index, folder: Path, mode: str | None) -> Index:
    joblib.dump(index, folder / "index.joblib")
    found = joblib.load(folder / "index.joblib", mmap_mode=mode)
    assert isinstance(found, Index)
    return found


@pytest.mark.parametrize("mode", [None, "r"])
def test_an_index_read_back_or_mapped_gives_the_same_scores_without_compiling_again(
    tmp_path: Path, mode: str | None
) -> None:
    index = Index("synthetic").fit(world())
    before = Model().score(TOWN, index)
    found = reopened(index, tmp_path, mode)
    assert found.latent.flags.writeable is (mode is None)
    after = Model().score(TOWN, found)
    np.testing.assert_array_equal(before.total, after.total)
    for one, other in zip(before.parts, after.parts, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.missing, other.missing)
    assert [len(k.signatures) for k in KERNELS] == [1] * len(KERNELS)


def test_what_was_kept_for_speed_is_not_part_of_the_artifact() -> None:
    index = Index("synthetic").fit(world())
    before = len(pickle.dumps(index))
    Model().score(TOWN, index)
    assert len(pickle.dumps(index)) == before


def test_the_kernels_work_where_no_cache_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, cache: bool = False, **options: object) -> Callable[[Any], Any]:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(kernels, "njit", refuse)
    assert kernels.kernel("int64(int64)")(abs)(-3) == 3


def test_importing_the_kernels_again_compiles_nothing() -> None:
    asked = (
        "from zyz_match.matching import kernels as k;"
        "print(sum(f.stats.cache_misses[s] for f in (k.cover, k.dot_rows) for s in f.signatures"
        " if s in f.stats.cache_misses))"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "0"
