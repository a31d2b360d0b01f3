"""Compiled loops over all firms of a pool; what each computes is one line of numpy, see its test.

Every kernel has one fixed signature, so it is compiled once and then read from numba's cache;
the arrays of an index may be read-only (a memory-mapped file). Sums of words are whole numbers:
they come out the same whatever the order, the blocks, the threads or the partitions.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

BLOCK = 1 << 15  # firms whose sums stay in the processor's cache; their rows fit 16 bits
GROUP = 64  # firms to a maximum, and to a word of a bit set
FEW = 10  # set bits of a word that are visited one by one faster than all 64 side by side
LANES = 16
AHEAD = 8  # rows that are fetched before they are read
TOP_CODE = 255
NONE = np.float32(-1e30)


def _array(item: Any, dimensions: int = 1) -> Any:
    return types.Array(item, dimensions, "C", readonly=True)


_B, _I32, _I64 = _array(types.boolean), _array(types.int32), _array(types.int64)
_U8, _U16, _U32 = _array(types.uint8), _array(types.uint16), _array(types.uint32)
_F32, _F64 = _array(types.float32), _array(types.float64)
_U8_2, _U32_2, _U64_2 = _array(types.uint8, 2), _array(types.uint32, 2), _array(types.uint64, 2)
_OUT32, _OUT64, _OUT_I32 = types.float32[::1], types.float64[::1], types.int32[::1]
_OUT_I64, _OUT_U16, _OUT_U8 = types.int64[::1], types.uint16[::1], types.uint8[::1]
_OUT_U64_2, _OUT_U8_2 = types.uint64[:, ::1], types.uint8[:, ::1]


def kernel(*signature: Any, fastmath: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile for one signature; kept in numba's cache where a folder for it can be written."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return njit([signature], cache=True, nogil=True, fastmath=fastmath)(function)
        except RuntimeError:  # no folder can be written: compiled anew by every process
            return njit([signature], nogil=True, fastmath=fastmath)(function)

    return compiled


# laying out ----------------------------------------------------------------------------------


@kernel(_I64, _I32, _U8, _I32, types.int64, types.int64, _OUT_I64)
def size_runs(
    starts: Any, grams: Any, times: Any, place: Any, low: Any, high: Any, sizes: Any
) -> None:
    """Count what a block's runs take: `sizes[2 m]` ones, `sizes[2 m + 1]` the others, twice each.

    `place` numbers the n-grams of the layout: those below `low` are dense, below `high` in runs.
    """
    for e in range(starts[0], starts[-1]):
        at = place[grams[e]]
        if low <= at < high:
            if times[e] == 1:
                sizes[2 * (at - low)] += 1
            else:
                sizes[2 * (at - low) + 1] += 2


@njit(inline="always")
def _code(times: Any, norm: Any) -> Any:
    """The eight-bit share of its ceiling that an n-gram's weight reaches, at least 1."""
    share = np.float32(TOP_CODE) * np.float32(times) / (np.float32(times) + norm)
    return max(np.uint8(1), np.uint8(np.rint(share)))


@kernel(
    _I64, _I32, _U8, _F32, _I32, types.int64, types.int64, types.int64, _OUT_I64, _OUT_U16,
    _OUT_U8_2, _OUT_I64, _OUT_I32, _OUT_U8,
)  # fmt: skip
def fill_runs(
    starts: Any, grams: Any, times: Any, norms: Any, place: Any, low: Any, high: Any, first: Any,
    at_run: Any, runs: Any, dense: Any, at_rare: Any, rare_rows: Any, rare_codes: Any,
) -> None:  # fmt: skip
    """Put a block's counts where they belong; `at_run` and `at_rare` are the next free places.

    `first` is the row of the block's first firm in its segment. A run holds the rows of the firms
    that use its n-gram once, then (row, code) of the others; rows count from the block's start.
    """
    for i in range(len(starts) - 1):
        for e in range(starts[i], starts[i + 1]):
            at = place[grams[e]]
            if at < low:
                dense[at, first + i] = _code(times[e], norms[i])
            elif at >= high:
                free = at_rare[at - high]
                rare_rows[free] = first + i
                rare_codes[free] = _code(times[e], norms[i])
                at_rare[at - high] = free + 1
            elif times[e] == 1:
                free = at_run[2 * (at - low)]
                runs[free] = i
                at_run[2 * (at - low)] = free + 1
            else:
                free = at_run[2 * (at - low) + 1]
                runs[free] = i
                runs[free + 1] = _code(times[e], norms[i])
                at_run[2 * (at - low) + 1] = free + 2


# words ---------------------------------------------------------------------------------------


@kernel(
    _U8, _I64, _U32_2, _U16, _U8_2, _I64, _I32, _U8, _I64, _I32, _I64, _I32, _I64, _I32, _B,
    types.int64, types.int64, _OUT_I32, _OUT_I32,
)  # fmt: skip
def sum_words(
    ones: Any, bases: Any, offsets: Any, runs: Any, dense: Any, rare_starts: Any, rare_rows: Any,
    rare_codes: Any, in_runs: Any, run_weights: Any, in_dense: Any, dense_weights: Any,
    in_rare: Any, rare_weights: Any, active: Any, low_block: Any, high_block: Any, out: Any,
    tops: Any,
) -> None:  # fmt: skip
    """Sum weight x code of the asked n-grams of every firm of some blocks, and find the best.

    `tops` receives the greatest sum of the active ones of every `GROUP` firms (0 for none).
    """
    for block in range(low_block, high_block):
        start = block * BLOCK
        end = min(start + BLOCK, len(out))
        sums = out[start:end]
        for i in range(len(sums)):
            sums[i] = 0
        base, offset = bases[block], offsets[block]
        for j in range(len(in_runs)):
            weight, m = run_weights[j], 2 * in_runs[j]
            for row in runs[base + offset[m] : base + offset[m + 1]]:
                sums[row] += weight
        once = ones[start:end]
        for i in range(len(sums)):
            sums[i] *= np.int32(once[i])
        for j in range(len(in_runs)):
            weight, m = run_weights[j], 2 * in_runs[j]
            pairs = runs[base + offset[m + 1] : base + offset[m + 2]]
            for p in range(0, len(pairs), 2):
                sums[pairs[p]] += weight * np.int32(pairs[p + 1])
        whole = len(in_dense) - len(in_dense) % 4
        for j in range(0, whole, 4):
            w0, w1 = dense_weights[j], dense_weights[j + 1]
            w2, w3 = dense_weights[j + 2], dense_weights[j + 3]
            d0, d1 = dense[in_dense[j], start:end], dense[in_dense[j + 1], start:end]
            d2, d3 = dense[in_dense[j + 2], start:end], dense[in_dense[j + 3], start:end]
            for i in range(len(sums)):
                sums[i] += (
                    w0 * np.int32(d0[i]) + w1 * np.int32(d1[i])
                    + w2 * np.int32(d2[i]) + w3 * np.int32(d3[i])
                )  # fmt: skip
        for j in range(whole, len(in_dense)):
            weight, d0 = dense_weights[j], dense[in_dense[j], start:end]
            for i in range(len(sums)):
                sums[i] += weight * np.int32(d0[i])
        for j in range(len(in_rare)):
            weight = rare_weights[j]
            some = rare_rows[rare_starts[in_rare[j]] : rare_starts[in_rare[j] + 1]]
            codes = rare_codes[rare_starts[in_rare[j]] : rare_starts[in_rare[j] + 1]]
            for p in range(np.searchsorted(some, start), len(some)):
                if some[p] >= end:
                    break
                out[some[p]] += weight * np.int32(codes[p])
        for group in range(start // GROUP, -(-end // GROUP)):
            top = np.int32(0)
            for i in range(group * GROUP, min(group * GROUP + GROUP, end)):
                top = max(top, out[i] if active[i] else np.int32(0))
            tops[group] = top


@kernel(_I32, _I32, _B, types.int32, _OUT_I64)
def rows_from(values: Any, tops: Any, active: Any, least: Any, rows: Any) -> Any:
    """The active rows of at least a value, in order, into `rows`; gives how many there are."""
    size = 0
    for group in range(len(tops)):
        if tops[group] >= least:
            for i in range(group * GROUP, min(group * GROUP + GROUP, len(values))):
                if active[i] and values[i] >= least:
                    rows[size] = i
                    size += 1
    return size


# terms ---------------------------------------------------------------------------------------


@njit(inline="always")
def _count_bits(word: Any) -> Any:
    """How many bits are set; compiled to the processor's bit count."""
    count = 0
    while word:
        word &= word - np.uint64(1)
        count += 1
    return count


@njit(inline="always")
def _set(bits: Any, row: Any) -> None:
    bits[row // GROUP] |= np.uint64(1) << np.uint64(row % GROUP)


@kernel(
    _I64, _U32_2, _U16, _U64_2, _I64, _I32, types.int64, types.int64, _I32, _I64, _I64,
    types.int64, types.int64, _OUT_U64_2,
)  # fmt: skip
def cover(
    bases: Any, offsets: Any, runs: Any, held: Any, rare_starts: Any, rare_rows: Any, low: Any,
    high: Any, places: Any, term_starts: Any, needed: Any, low_block: Any, high_block: Any,
    out: Any,
) -> None:  # fmt: skip
    """The firms of some blocks that hold every n-gram of a term, as a bit set for each term.

    `places` are the layout numbers of distinct n-grams; term t needs all of
    `needed[term_starts[t]:term_starts[t + 1]]`, numbers into `places`. Bit i of word j of a row of
    `out` (or of `held`, the bit sets of the dense n-grams) is firm 64 j + i.
    """
    words = BLOCK // GROUP
    bits = np.empty((len(places), words), np.uint64)
    for block in range(low_block, high_block):
        start = block * words
        some = min(words, out.shape[1] - start)
        base, offset = bases[block], offsets[block]
        for j in range(len(places)):
            at, own = places[j], bits[j]
            if at < low:
                own[:some] = held[at, start : start + some]
                continue
            own[:] = np.uint64(0)
            if at < high:
                m = 2 * (at - low)
                for row in runs[base + offset[m] : base + offset[m + 1]]:
                    _set(own, row)
                pairs = runs[base + offset[m + 1] : base + offset[m + 2]]
                for p in range(0, len(pairs), 2):
                    _set(own, pairs[p])
            else:
                rare = rare_rows[rare_starts[at - high] : rare_starts[at - high + 1]]
                for p in range(np.searchsorted(rare, block * BLOCK), len(rare)):
                    if rare[p] >= (block + 1) * BLOCK:
                        break
                    _set(own, rare[p] - block * BLOCK)
        for t in range(len(term_starts) - 1):
            both = out[t, start : start + some]
            both[:] = bits[needed[term_starts[t]], :some]
            for k in range(term_starts[t] + 1, term_starts[t + 1]):
                both &= bits[needed[k], :some]


@kernel(_U64_2, _OUT_I64)
def count_covered(bits: Any, counts: Any) -> None:
    """How many bits are set in each row of bit sets."""
    for t in range(bits.shape[0]):
        total = 0
        for i in range(bits.shape[1]):
            total += _count_bits(bits[t, i])
        counts[t] = total


@kernel(_U64_2, _I64, _F32, _OUT32)
def sum_covered(bits: Any, rows: Any, weights: Any, out: Any) -> None:
    """The weights of the terms that each of some firms covers, added up in their order."""
    for i in range(len(rows)):
        word, bit = rows[i] // GROUP, np.uint64(rows[i] % GROUP)
        total = np.float32(0.0)
        for t in range(len(weights)):
            if bits[t, word] >> bit & np.uint64(1):
                total += weights[t]
        out[i] = total


# latent --------------------------------------------------------------------------------------


@intrinsic
def _fetch(_context: Any, array: Any, row: Any, column: Any) -> Any:
    """Ask the memory for a place that is read soon; LLVM's prefetch, which waits for nothing."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        held = context.make_array(signature.args[0])(context, builder, given[0])
        place = cgutils.get_item_pointer(  # type: ignore[no-untyped-call]
            context, builder, signature.args[0], held, [given[1], given[2]], wraparound=False
        )
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, kind, "llvm.prefetch.p0"
        )
        builder.call(prefetch, [builder.bitcast(place, byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, row, column), generate


@kernel(_U8_2, _F32, _I64, _F32, _OUT32, fastmath=True)
def near_rows(packed: Any, scale: Any, rows: Any, vector: Any, out: Any) -> None:
    """Inner product of some firms' latent rows with a vector, the same wherever a row stands.

    Byte j of a row holds direction j in its low four bits and j + half in its high ones, each 8
    too great.
    """
    half = packed.shape[1]
    offset = np.float32(0.0)
    for j in range(2 * half):
        offset += np.float32(8.0) * vector[j]
    low, high = vector[:half], vector[half : 2 * half]
    for i in range(len(rows)):
        soon = rows[min(i + AHEAD, len(rows) - 1)]  # no branch: one way to add, one rounding
        _fetch(packed, soon, 0)  # type: ignore[call-arg]
        _fetch(packed, soon, half - 1)
        row, total = packed[rows[i]], np.float32(0.0)
        for j in range(half):
            byte = row[j]
            total += np.float32(byte & 15) * low[j] + np.float32(byte >> 4) * high[j]
        out[i] = scale[rows[i]] * (total - offset)


# the whole score -----------------------------------------------------------------------------


@njit(inline="always")
def _note(value: Any, firms: Any, lane: Any, tops: Any, totals: Any, known: Any) -> None:
    """One value into its lane's maximum, sum and count; NaN and values of no firm do not count."""
    count = firms if value == value else np.float32(0.0)
    value = value if count > np.float32(0.0) else np.float32(0.0)
    tops[lane] = value if value > tops[lane] else tops[lane]
    totals[lane] += np.float64(value) * np.float64(count)
    known[lane] += np.float64(count)


@kernel(_F32, _F32)
def best_of(values: Any, firms: Any) -> Any:
    """Best value (0 or more), sum and number, where each value stands for so many active firms.

    NaN does not count.
    """
    tops, totals, known = np.zeros(LANES, np.float32), np.zeros(LANES), np.zeros(LANES)
    whole = len(values) - len(values) % LANES
    for i in range(0, whole, LANES):
        for j in range(LANES):  # side by side, so that the processor does all lanes at once
            _note(values[i + j], firms[i + j], j, tops, totals, known)
    for i in range(whole, len(values)):
        _note(values[i], firms[i], i - whole, tops, totals, known)
    return np.float64(tops.max()), totals.sum(), known.sum()


@kernel(
    _I32, _F32, _F32, _F32, _F32, _I32, _F32, _I32, _F32, _B, types.int64, types.int64,
    types.float32, _OUT_I32, _OUT32, fastmath=True,
)  # fmt: skip
def quick_rows(
    words: Any, share: Any, at: Any, slopes: Any, first: Any, first_of: Any, second: Any,
    second_of: Any, base: Any, allowed: Any, low: Any, high: Any, least: Any, rows: Any,
    values: Any,
) -> Any:  # fmt: skip
    """The allowed rows of [low, high) whose quick score is at least so much, with the scores.

    It is share[1] x (words x share[0], bent) + first + second + share[2] x base; the curve begins
    with share[3], and from each of `at` on but the last its slope changes by that of `slopes`.
    Gives how many there are, in order.
    """
    size = 0
    bent, some = np.zeros(GROUP, np.float32), np.empty(GROUP, np.float32)
    for start in range(low, high, GROUP):
        end, top = min(start + GROUP, high), NONE
        if len(slopes) > 1:
            bent[:] = np.float32(0.0)
        for j in range(1, len(slopes)):
            for i in range(start, end):
                word = min(np.float32(words[i]) * share[0], at[-1])
                bent[i - start] += slopes[j] * max(np.float32(0.0), word - at[j])
        for i in range(start, end):
            word = min(np.float32(words[i]) * share[0], at[-1])
            word = share[3] + slopes[0] * max(np.float32(0.0), word - at[0]) + bent[i - start]
            value = share[1] * word + share[2] * base[i]
            value += first[np.uint32(first_of[i])] + second[np.uint32(second_of[i])]
            some[i - start] = value
            top = max(top, value)
        if top >= least:
            for i in range(start, end):
                if some[i - start] >= least and allowed[i]:
                    rows[size], values[size] = i, some[i - start]
                    size += 1
    return size


@kernel(_F64, types.int64[::1], _OUT64)
def best_rows(scores: Any, rows: Any, kept: Any) -> Any:
    """Put the places of the best scores into `rows`, unordered, ties by place; how many there are.

    `kept` holds their scores as a heap whose root is the worst one: lowest score, then last place.
    """
    size = 0
    for i in range(len(scores)):
        score = scores[i]
        if size < len(rows):
            at = size
            size += 1
            while at > 0 and score <= kept[(at - 1) // 2]:  # of equals the later is the worse
                kept[at], rows[at] = kept[(at - 1) // 2], rows[(at - 1) // 2]
                at = (at - 1) // 2
            kept[at], rows[at] = score, i
        elif score > kept[0]:
            at = 0
            while 2 * at + 1 < size:
                child = 2 * at + 1
                if child + 1 < size and (
                    kept[child + 1] < kept[child]
                    or (kept[child + 1] == kept[child] and rows[child + 1] > rows[child])
                ):
                    child += 1
                if kept[child] >= score:
                    break
                kept[at], rows[at] = kept[child], rows[child]
                at = child
            kept[at], rows[at] = score, i
    return size
