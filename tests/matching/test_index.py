"""Each kernel against the line of numpy that it stands for, and the index across a save."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.matching import slow
from tests.worlds import TOWN, firm, table, world
from zyz_match.domain import Col
from zyz_match.matching import kernels, segment, threads
from zyz_match.matching.firm_table import FirmTable
from zyz_match.matching.index import Index, groups
from zyz_match.matching.model import Model
from zyz_match.matching.segment import pack, whole_weights
from zyz_match.matching.survey import as_bits
from zyz_match.matching.words import Cover

KERNELS = (
    kernels.turn_counts, kernels.lay_out, kernels.pack_rows, kernels.sum_words,
    kernels.rows_from, kernels.cover, kernels.read_covered, kernels.sum_covered,
    kernels.near_rows, kernels.best_of, kernels.quick_rows, kernels.best_rows,
)  # fmt: skip
SIGNS = "铁钢铸造管件机械加工制品销售汽车软件"
seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=30, deadline=None)


def random_index(seed: int, firms: int) -> Index:
    """Texts in which early signs are common, late ones rare, and some come more than once."""
    rng = np.random.default_rng(seed)
    share = np.geomspace(1, 0.02, len(SIGNS))
    scopes = [
        "；".join("".join(rng.choice(list(SIGNS), 3, p=share / share.sum())) for _ in range(n))
        for n in rng.integers(0, 9, firms)
    ]
    return Index("synthetic").fit(table(*(firm(f"S{i}", scope=s) for i, s in enumerate(scopes))))


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array


@quick
@given(seeds, st.integers(1, 120))
def test_words_are_the_matrix_product_to_the_last_digit(seed: int, firms: int) -> None:
    index, rng = random_index(seed, firms), np.random.default_rng(seed)
    (laid,) = index.segments
    grams = len(index.features.words_.keys_)
    columns = np.flatnonzero(rng.random(grams) < 0.5)
    weights = whole_weights(rng.normal(size=len(columns)))
    sums, tops = np.empty(firms, np.int32), np.zeros(groups(firms), np.int32)
    active = rng.random(firms) < 0.8
    laid.sum_words(laid.ask(columns, weights), active, range(laid.blocks), sums, tops)
    plain = slow.codes_of(index).astype(np.int64)[:, columns] @ weights.astype(np.int64)
    np.testing.assert_array_equal(sums, plain)
    assert tops.max() == max(0, plain[active].max(initial=0))
    rows = np.empty(firms, np.int64)
    least = int(np.median(plain))
    if least > 0:
        some = np.flatnonzero(tops >= least)
        found = rows[: kernels.rows_from(sums, active, some, least, rows)]
        assert found.tolist() == np.flatnonzero(active & (plain >= least)).tolist()


@quick
@given(seeds, st.integers(1, 120), st.integers(1, 8))
def test_a_term_is_covered_by_the_firms_that_hold_every_n_gram(
    seed: int, firms: int, count: int
) -> None:
    index, rng = random_index(seed, firms), np.random.default_rng(seed)
    (laid,), codes = index.segments, slow.codes_of(index)
    if not codes.shape[1]:
        return
    terms = [
        (np.unique(rng.integers(0, codes.shape[1], rng.integers(1, 5))), float(rng.uniform(0.1, 3)))
        for _ in range(count)
    ]
    bits, counts = np.empty((count, groups(firms)), np.uint64), np.zeros(count, np.int64)
    alive = rng.random(firms) < 0.9
    laid.cover(Cover.of(terms), as_bits(alive), range(laid.blocks), bits, counts)
    plain = np.array([alive & (codes[:, columns] > 0).all(axis=1) for columns, _ in terms])
    assert counts.tolist() == plain.sum(axis=1).tolist()
    weights, rows = np.array([w for _, w in terms], np.float32), rng.integers(0, firms, 20)
    covered = np.empty((20, count), bool)
    kernels.read_covered(bits, frozen(rows), covered)
    np.testing.assert_array_equal(covered, plain[:, rows].T)
    out = np.empty(20, np.float32)
    kernels.sum_covered(bits, frozen(rows), frozen(weights), out)
    np.testing.assert_allclose(out, weights @ plain[:, rows], rtol=1e-5)


@quick
@given(seeds, st.integers(1, 90), st.integers(1, 30))
def test_a_block_is_laid_out_by_n_gram(seed: int, firms: int, grams: int) -> None:
    rng = np.random.default_rng(seed)
    held = rng.integers(1, 4, (firms, grams)) * (rng.random((firms, grams)) < 0.4)
    order, low, high, first = rng.permutation(grams), grams // 3, grams // 2, 5
    place = np.where(rng.random(grams) < 0.2, -1, np.arange(grams)).astype(np.int32)
    norms, used = rng.uniform(0.5, 2, firms).astype(np.float32), (held > 0).sum(axis=0)
    starts = np.append(0, np.cumsum(used))
    rows, columns = np.nonzero(held[:, order])  # the n-grams of the counts are in another order
    entries, free = np.empty(starts[-1], np.uint32), starts[order].astype(np.int32)
    kernels.turn_counts(
        frozen(np.searchsorted(rows, np.arange(firms + 1))), frozen(columns.astype(np.int32)),
        frozen(held[rows, order[columns]].astype(np.uint8)), free, entries,
    )  # fmt: skip
    turned = [np.flatnonzero(held[:, k]) << 8 | held[held[:, k] > 0, k] for k in range(grams)]
    assert entries.tolist() == np.concatenate(turned).tolist()
    offsets = np.zeros(2 * (high - low) + 1, np.uint32)
    runs, dense = np.empty(2 * len(entries), np.uint16), np.zeros((low, first + firms), np.uint8)
    at_rare = np.append(0, np.cumsum(used[high:]))[:-1]
    rare = np.zeros(used[high:].sum(), np.int32), np.zeros(used[high:].sum(), np.uint8)
    end = kernels.lay_out(
        frozen(starts), frozen(entries), frozen(norms), frozen(place), low, high, first, offsets,
        runs, dense, at_rare.copy(), *rare,
    )  # fmt: skip
    codes = np.maximum(1, np.rint(np.float32(255) * held / (held + norms[:, None])))
    codes = np.where((held > 0) & (place >= 0), codes, 0).astype(np.uint8)
    assert (dense[:, first:] == codes[:, :low].T).all()
    for m, k in enumerate(range(low, high)):
        once, others = (np.flatnonzero(codes[:, k] * what[:, k]) for what in (held == 1, held > 1))
        pairs = np.column_stack([others, codes[others, k]]).ravel()
        assert runs[offsets[2 * m] : offsets[2 * m + 1]].tolist() == once.tolist()
        assert runs[offsets[2 * m + 1] : offsets[2 * m + 2]].tolist() == pairs.tolist()
    assert end == offsets[-1]
    for at, k in zip(at_rare, range(high, grams), strict=True):
        (some,) = np.nonzero(codes[:, k])
        assert rare[0][at : at + len(some)].tolist() == (first + some).tolist()
        assert rare[1][at : at + len(some)].tolist() == codes[some, k].tolist()


@quick
@given(seeds, st.integers(1, 70), st.integers(1, 40))
def test_latent_similarity_is_the_matrix_product(seed: int, firms: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(firms, 2 * size)).astype(np.float32)
    codes, scale = pack(latent)
    rows, vector = rng.integers(0, firms, 50), rng.normal(size=2 * size).astype(np.float32)
    out = np.empty(50, np.float32)
    kernels.near_rows(frozen(codes), frozen(scale), frozen(rows), frozen(vector), out)
    kept = (np.hstack([codes & 15, codes >> 4]).astype(np.float64) - 8) * scale[:, None]
    np.testing.assert_allclose(out, kept[rows] @ vector, atol=1e-4)
    usual = 3 * np.sqrt((latent**2).mean(axis=1, keepdims=True))
    np.testing.assert_allclose(7 * scale, np.minimum(usual[:, 0], abs(latent).max(axis=1)), 1e-6)
    assert (np.abs(kept - np.clip(latent, -usual, usual)) <= 0.51 * scale[:, None]).all()


def test_a_latent_similarity_is_the_same_to_the_last_bit_whoever_stands_beside() -> None:
    rng = np.random.default_rng(2)
    codes, scale = pack(rng.normal(size=(200, 192)).astype(np.float32))
    vector, every = rng.normal(size=192).astype(np.float32), np.empty(200, np.float32)
    kernels.near_rows(codes, scale, np.arange(200), vector, every)
    for size in (1, 3, 9, 50):
        rows, out = rng.integers(0, 200, size), np.empty(size, np.float32)
        kernels.near_rows(codes, scale, rows, vector, out)
        np.testing.assert_array_equal(out, every[rows])


@quick
@given(seeds, st.integers(1, 100))
def test_best_sum_and_number_are_those_of_the_known_ones(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(size) < 0.3, np.nan, rng.normal(size=size)).astype(np.float32)
    firms = rng.integers(0, 4, size).astype(np.float32)
    known = ~np.isnan(values) & (firms > 0)
    best, total, count = kernels.best_of(frozen(values), frozen(firms))
    assert best == max(values[known].max(initial=0.0), 0.0)
    assert count == firms[known].sum()
    np.testing.assert_allclose(total, (values[known].astype(float) * firms[known]).sum(), atol=1e-5)


@quick
@given(seeds, st.integers(1, 70))
def test_a_column_is_added_by_its_best_and_bent_by_its_curve(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = np.where(rng.random(size) < 0.3, np.nan, rng.normal(1, 2, size)).astype(np.float32)
    at, counts = np.array([0.0, 0.3, 1.0]), np.array([0.1, 0.9, 1.2])
    slopes = np.diff(np.append(0.0, np.diff(counts) / np.diff(at))).astype(np.float32)
    out = rng.normal(size=size).astype(np.float32)
    values = np.where(np.isnan(numbers), 0.4, (numbers / 2.5).clip(0, 1))
    plain = out + 7 * np.interp(values, at, counts)
    share = np.array([7.0, counts[0]], np.float32)
    kernels.add_column(frozen(numbers), 2.5, 0.4, share, at.astype(np.float32), slopes, out)
    np.testing.assert_allclose(out, plain, atol=1e-4)


@settings(max_examples=200, deadline=None)
@given(seeds, st.integers(0, 80), st.integers(1, 8), st.integers(1, 90))
def test_the_best_are_the_head_of_the_whole_order_with_ties_by_place(
    seed: int, firms: int, levels: int, k: int
) -> None:
    scores = np.random.default_rng(seed).integers(0, levels, firms).astype(np.float64)
    whole = sorted(range(firms), key=lambda row: (-scores[row], row))
    rows = np.empty(min(k, firms), np.int64)
    assert kernels.best_rows(scores, rows, np.empty(len(rows))) == len(rows)
    assert sorted(rows) == sorted(whole[:k])


def test_whole_weights_are_as_fine_as_their_sums_allow() -> None:
    weights = np.random.default_rng(1).uniform(0.1, 40, 200)
    whole = whole_weights(weights)
    assert 2**30 < whole.astype(np.int64).sum() * kernels.TOP_CODE < 2**31
    np.testing.assert_allclose(whole / whole.sum(), weights / weights.sum(), rtol=2e-3, atol=1e-6)
    assert whole_weights(np.zeros(3)).tolist() == [0, 0, 0]


def test_a_helper_that_asks_for_help_does_not_wait_for_itself() -> None:
    def twice(x: int) -> tuple[int, int]:
        return threads.beside(lambda y: y + x, 1, 2)

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(threads.beside, twice, i, 10 * i) for i in range(50)]
        found = [a.result(timeout=30) for a in asked]
    assert found == [((i + 1, i + 2), (10 * i + 1, 10 * i + 2)) for i in range(50)]


def test_what_is_made_ahead_comes_in_order() -> None:
    assert list(threads.in_order(lambda x: x * x, range(20))) == [x * x for x in range(20)]


def test_a_thread_that_is_to_stay_alone_asks_no_other() -> None:
    def here(_: int) -> int:
        return threading.get_ident()

    with threads.alone():
        assert {*threads.beside(here, 1, 2), *threads.in_order(here, range(5))} == {here(0)}
    assert len({*threads.beside(here, 1, 2)}) == 2


# across a save ---------------------------------------------------------------------------------


def deals() -> pd.DataFrame:
    return pd.DataFrame({
        "firm_id": ["合成甲铸管公司", "合成乙铸造公司", "合成不在册公司"],
        "date": pd.to_datetime(["2024-01-02", "2024-05-06", "2024-07-08"]),
        "region": ["晋城市", "", "晋城市"], "industry": ["3391", "3391", ""], "target": list("abc"),
    })  # fmt: skip


def reopened(index: Index) -> Index:
    """An index over read-only copies of what it is made of, as a mapped file gives it."""
    meta, arrays = index.parts()
    return Index.from_parts(meta, {n: frozen(np.array(a)) for n, a in arrays.items()})


@pytest.mark.parametrize("late", [False, True])
def test_an_index_read_back_gives_the_same_scores_without_compiling_again(late: bool) -> None:
    index = Index("synthetic").fit(world(), deals())
    if late:
        changed = table(firm("合成新来公司", scope="灰铸铁件；汽车铸件"))
        index = index.updated(changed, ["合成丁装备公司"], events=deals(), stamp="later")
    found = reopened(index)
    before, after = Model().score(TOWN, index), Model().score(TOWN, found)
    np.testing.assert_array_equal(before.total, after.total)
    every = np.arange(index.size)
    for one, other in zip(before.table(every), after.table(every), strict=True):
        np.testing.assert_array_equal(one, other)
    assert found.stamp == index.stamp
    assert len(found) == len(index)
    assert [len(k.signatures) for k in KERNELS] == [1] * len(KERNELS)


def test_an_index_holds_flat_arrays_of_plain_numbers_alone() -> None:
    _, arrays = Index("synthetic").fit(world(), deals()).parts()
    assert all(a.dtype.kind in "biuf" and a.flags.c_contiguous for a in arrays.values())


def test_a_changed_firm_is_found_as_it_is_now_and_a_removed_one_no_more() -> None:
    index = Index("synthetic").fit(world())
    changed = table(
        firm("合成戊机械公司", scope="球墨铸铁管件"), firm("合成新来公司", scope="糕点")
    )
    later = index.updated(changed, ["合成庚食品公司"], stamp="later")
    assert len(later) == len(index)
    assert later.row("合成庚食品公司") is None
    (record,) = later.records(later.rows_of(["合成戊机械公司"]))
    assert record[Col.SCOPE] == "球墨铸铁管件"
    again = later.updated(table(firm("合成庚食品公司", scope="饼干")), ["合成新来公司"])
    assert len(again.tables) == 2
    assert again.row("合成新来公司") is None
    assert again.texts(Col.SCOPE, again.rows_of(["合成庚食品公司", "合成戊机械公司"])) == [
        "饼干", "球墨铸铁管件",
    ]  # fmt: skip
    assert index.row("合成庚食品公司") is not None  # the index before it is as it was


def test_events_can_be_exchanged_without_a_refit() -> None:
    index = Index("synthetic").fit(world())
    with_deals, fitted = index.with_events(deals(), stamp="x"), Index("x").fit(world(), deals())
    town = Model().score(TOWN, with_deals)
    np.testing.assert_array_equal(town.total, Model().score(TOWN, fitted).total)
    assert with_deals.segments[0].runs is index.segments[0].runs


def test_a_firm_table_finds_every_firm_by_its_id() -> None:
    frame = table(*(firm(f"S{i * 7:05d}") for i in range(300)))
    found = FirmTable.read(FirmTable.of(frame.sample(frac=1, random_state=1)).bytes())
    ids = [f"S{i:05d}" for i in range(0, 2100, 3)]
    rows = found.rows_of(ids)
    assert rows == {f: int(f[1:]) // 7 for f in ids if int(f[1:]) % 7 == 0}
    assert found.place("A") == (0, False)
    assert found.place("Z") == (300, False)


def test_n_grams_of_every_layout_are_there() -> None:
    laid = random_index(5, 120).segments[0]
    asked = laid.ask(np.arange(len(laid.place)), np.ones(len(laid.place), np.int32))
    assert len(asked.in_dense)
    assert len(asked.in_runs)
    assert len(asked.in_rare)
    assert segment.RARE_BELOW > 1


# compiling -------------------------------------------------------------------------------------


def test_the_kernels_work_where_no_cache_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, cache: bool = False, **options: object) -> Callable[[Any], Any]:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(kernels, "njit", refuse)
    assert kernels.kernel("int64(int64)")(abs)(-3) == 3


@pytest.mark.slow
def test_importing_the_kernels_again_compiles_nothing() -> None:
    asked = (
        "from zyz_match.matching import kernels as k;"
        "print(sum(f.stats.cache_misses[s] for f in (k.cover, k.sum_words) for s in f.signatures"
        " if s in f.stats.cache_misses))"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "0"
