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
LANES = 16
AHEAD = 8  # rows that are fetched before they are read
LINE = 32  # entries of a run that the memory gives at once, and
LINES_AHEAD = 20  # so many of them are fetched before they are read
TOP_CODE = 255
NONE = np.float32(-1e30)


def _array(item: Any, dimensions: int = 1) -> Any:
    return types.Array(item, dimensions, "C", readonly=True)


_B, _I32, _I64 = _array(types.boolean), _array(types.int32), _array(types.int64)
_U8, _U16, _U32 = _array(types.uint8), _array(types.uint16), _array(types.uint32)
_F32, _F64 = _array(types.float32), _array(types.float64)
_U8_2, _U32_2, _U64_2 = _array(types.uint8, 2), _array(types.uint32, 2), _array(types.uint64, 2)
_U64 = _array(types.uint64)
_OUT32, _OUT64, _OUT_I32 = types.float32[::1], types.float64[::1], types.int32[::1]
_OUT_I64, _OUT_U16, _OUT_U8 = types.int64[::1], types.uint16[::1], types.uint8[::1]
_OUT_U32 = types.uint32[::1]
_OUT_U64_2, _OUT_U8_2 = types.uint64[:, ::1], types.uint8[:, ::1]


def kernel(*signature: Any, fastmath: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile for one signature; kept in numba's cache where a folder for it can be written."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return njit([signature], cache=True, nogil=True, fastmath=fastmath)(function)
        except RuntimeError:  # no folder can be written: compiled anew by every process
            return njit([signature], nogil=True, fastmath=fastmath)(function)

    return compiled


def _prefetch(_context: Any, array: Any, at: Any) -> Any:
    """Ask the memory for a place that is read soon; LLVM's prefetch, which waits for nothing."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        held = context.make_array(signature.args[0])(context, builder, given[0])
        place = cgutils.get_item_pointer(  # type: ignore[no-untyped-call]
            context, builder, signature.args[0], held, [given[1]], wraparound=False
        )
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, kind, "llvm.prefetch.p0"
        )
        builder.call(prefetch, [builder.bitcast(place, byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, at), generate


fetch: Any = intrinsic(_prefetch)

# laying out ----------------------------------------------------------------------------------


@kernel(_I64, _I32, _U8, _OUT_I32, _OUT_U32)
def turn_counts(starts: Any, grams: Any, times: Any, free: Any, entries: Any) -> None:
    """Put the counts of a block by n-gram, as row << 8 | times; `free` are the next free places."""
    for i in range(len(starts) - 1):
        for e in range(starts[i], starts[i + 1]):
            g = np.uint32(grams[e])
            entries[np.uint32(free[g])] = np.uint32(i) << np.uint32(8) | np.uint32(times[e])
            free[g] += 1


@njit(inline="always")
def _code(times: Any, norm: Any) -> Any:
    """The eight-bit share of its ceiling that an n-gram's weight reaches, at least 1."""
    share = np.float32(TOP_CODE) * np.float32(times) / (np.float32(times) + norm)
    return max(np.uint8(1), np.uint8(np.rint(share)))


@kernel(
    _I64, _U32, _F32, _I32, types.int64, types.int64, types.int64, _OUT_U32, _OUT_U16, _OUT_U8_2,
    _OUT_I64, _OUT_I32, _OUT_U8,
)  # fmt: skip
def lay_out(
    starts: Any, entries: Any, norms: Any, place: Any, low: Any, high: Any, first: Any,
    offsets: Any, runs: Any, dense: Any, at_rare: Any, rare_rows: Any, rare_codes: Any,
) -> Any:  # fmt: skip
    """Put the turned counts of a block where they belong; gives how much of `runs` is filled.

    The n-gram of `entries[starts[k]:starts[k + 1]]` has the number `place[k]` in the layout, -1 if
    it has none: those below `low` are dense, below `high` in runs, and these ascend. `first` is
    the row of the block's first firm in its segment; `at_rare` are the next free places. A run
    holds the rows of the firms that use its n-gram once, then (row, code) of the others; rows
    count from the block's start. Run m begins at `offsets[2 m]`, its others at `offsets[2 m + 1]`.
    """
    others = np.empty(len(norms), np.uint32)
    end, runs_begun = 0, 0
    for k in range(len(place)):
        at = place[k]
        some = entries[starts[k] : starts[k + 1]]
        if at < 0:
            continue
        if at < low:
            for entry in some:
                row = entry >> np.uint32(8)
                dense[at, first + row] = _code(entry & np.uint32(255), norms[row])
        elif at >= high:
            free = at_rare[at - high]
            for entry in some:
                row = entry >> np.uint32(8)
                rare_rows[free] = first + row
                rare_codes[free] = _code(entry & np.uint32(255), norms[row])
                free += 1
            at_rare[at - high] = free
        else:
            offsets[runs_begun : 2 * (at - low) + 1] = end
            more = 0
            for entry in some:  # no branch: every entry is written both ways, one of which stays
                once = entry & np.uint32(255) == 1
                runs[end], others[more] = entry >> np.uint32(8), entry
                end += once
                more += not once
            offsets[2 * (at - low) + 1] = end
            for entry in others[:more]:
                row = entry >> np.uint32(8)
                runs[end], runs[end + 1] = row, _code(entry & np.uint32(255), norms[row])
                end += 2
            runs_begun = 2 * (at - low) + 2
    offsets[runs_begun:] = end
    return end


@njit(fastmath=True)
def _usual_and_peak(row: Any) -> Any:
    """The root mean square of some values, and the greatest size."""
    square, peak = np.float32(0.0), np.float32(0.0)
    for x in row:
        square += x * x
        peak = max(peak, abs(x))
    return np.sqrt(square / np.float32(len(row))), peak


@njit(inline="always")
def _four_bits(value: Any) -> Any:
    """The nearest whole number of -7 to 7, and 8 more."""
    return np.int32(max(np.float32(-7.0), min(np.float32(7.0), np.rint(value)))) + 8


@kernel(_array(types.float32, 2), _OUT_U8_2, _OUT32)
def pack_rows(latent: Any, packed: Any, scale: Any) -> None:
    """What `segment.pack` says, of an even number of directions."""
    half = packed.shape[1]
    for i in range(len(packed)):
        usual, peak = _usual_and_peak(latent[i])
        unit = max(np.float32(1e-12), min(peak, np.float32(3.0) * usual)) / np.float32(7.0)
        low, high, codes = latent[i, :half], latent[i, half:], packed[i]
        for j in range(half):
            codes[j] = _four_bits(low[j] / unit) | _four_bits(high[j] / unit) << 4
        scale[i] = unit


# words ---------------------------------------------------------------------------------------


@njit
def _fetch_on(runs: Any, starts: Any, ends: Any, run: Any, at: Any) -> Any:
    """Fetch one more line of some runs that are read one after the other; gives what is next."""
    while run < len(starts) and at >= ends[run]:
        run += 1
        at = starts[run] if run < len(starts) else at
    if run < len(starts):
        fetch(runs, at)
        at = (at | (LINE - 1)) + 1
    return run, at


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

    `tops` receives the greatest sum of the active ones of every `GROUP` firms (0 for none). Runs
    are short and far apart: each is asked of the memory while those before it are summed.
    """
    some = len(in_runs)
    starts, ends = np.empty(2 * some, np.int64), np.empty(2 * some, np.int64)
    for block in range(low_block, high_block):
        start = block * BLOCK
        end = min(start + BLOCK, len(out))
        sums, base, offset = out[start:end], bases[block], offsets[block]
        for j in range(some):  # what is used once, of all n-grams; then the others
            m = 2 * in_runs[j]
            starts[j], ends[j] = base + offset[m], base + offset[m + 1]
            starts[some + j], ends[some + j] = base + offset[m + 1], base + offset[m + 2]
        run, line = 0, starts[0] if some else 0
        for _ in range(LINES_AHEAD):
            run, line = _fetch_on(runs, starts, ends, run, line)
        for i in range(len(sums)):
            sums[i] = 0
        for j in range(some):
            weight, p = run_weights[j], starts[j]
            while p < ends[j]:
                run, line = _fetch_on(runs, starts, ends, run, line)
                stop = min((p | (LINE - 1)) + 1, ends[j])
                for row in runs[p:stop]:
                    sums[row] += weight
                p = stop
        once = ones[start:end]
        for i in range(len(sums)):
            sums[i] *= np.int32(once[i])
        for j in range(some, 2 * some):
            weight, p = run_weights[j - some], starts[j]
            while p < ends[j]:
                run, line = _fetch_on(runs, starts, ends, run, line)
                stop = min((p | (LINE - 1)) + 1, ends[j])
                stop += (stop - p) & 1  # whole pairs
                for q in range(p, stop, 2):
                    sums[runs[q]] += weight * np.int32(runs[q + 1])
                p = stop
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
            rare = rare_rows[rare_starts[in_rare[j]] : rare_starts[in_rare[j] + 1]]
            codes = rare_codes[rare_starts[in_rare[j]] : rare_starts[in_rare[j] + 1]]
            for q in range(np.searchsorted(rare, start), len(rare)):
                if rare[q] >= end:
                    break
                out[rare[q]] += weight * np.int32(codes[q])
        for group in range(start // GROUP, -(-end // GROUP)):
            first, last = group * GROUP, min(group * GROUP + GROUP, end)
            values, counts, top = out[first:last], active[first:last], np.int32(0)
            for i in range(len(values)):
                value = values[i] * np.int32(counts[i])
                top = value if value > top else top
            tops[group] = top


@kernel(_I32, _B, _I64, types.int32, _OUT_I64)
def rows_from(values: Any, active: Any, some: Any, least: Any, rows: Any) -> Any:
    """The active rows of at least a value in some groups, into `rows`; gives how many there are."""
    size = 0
    for k in range(len(some)):
        soon = some[min(k + AHEAD, len(some) - 1)] * GROUP
        for at in range(soon, min(soon + GROUP, len(values)), LANES):
            fetch(values, at)
        for i in range(some[k] * GROUP, min(some[k] * GROUP + GROUP, len(values))):
            rows[size] = i  # no branch that the processor would have to guess
            size += active[i] & (values[i] >= least)
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
    _I64, _U32_2, _U16, _U64_2, _I64, _I32, types.int64, types.int64, _I32, _I64, _I64, _U64,
    types.int64, types.int64, _OUT_U64_2, _OUT_I64,
)  # fmt: skip
def cover(
    bases: Any, offsets: Any, runs: Any, held: Any, rare_starts: Any, rare_rows: Any, low: Any,
    high: Any, places: Any, term_starts: Any, needed: Any, alive: Any, low_block: Any,
    high_block: Any, out: Any, counts: Any,
) -> None:  # fmt: skip
    """The living firms of some blocks that hold every n-gram of a term, as a bit set for each term.

    `places` are the layout numbers of distinct n-grams; term t needs all of
    `needed[term_starts[t]:term_starts[t + 1]]`, at least one, numbers into `places`. Bit i of
    word j of `alive` and of a row of `out` (or of `held`, the bit sets of the dense n-grams) is
    firm 64 j + i. To `counts` is added how many firms cover each term.
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
        here = alive[start : start + some]
        for t in range(len(term_starts) - 1):
            both, own = out[t, start : start + some], bits[needed[term_starts[t]]]
            for i in range(some):
                both[i] = here[i] & own[i]
            for k in range(term_starts[t] + 1, term_starts[t + 1]):
                own = bits[needed[k]]
                for i in range(some):
                    both[i] &= own[i]
            count = 0
            for i in range(some):
                count += _count_bits(both[i])
            counts[t] += count


@njit
def _fetch_covers(flat: Any, width: Any, row: Any) -> None:
    """Ask the memory for the bits of a firm in each row of bit sets."""
    for at in range(row // GROUP, len(flat), width):
        fetch(flat, at)


@kernel(_U64_2, _I64, types.boolean[:, ::1])
def read_covered(bits: Any, rows: Any, out: Any) -> None:
    """Which terms each of some firms covers (firms x terms)."""
    flat, width = bits.reshape(-1), bits.shape[1]
    for i in range(len(rows)):
        _fetch_covers(flat, width, rows[min(i + 1, len(rows) - 1)])
        word, bit = rows[i] // GROUP, np.uint64(rows[i] % GROUP)
        for t in range(len(bits)):
            out[i, t] = bits[t, word] >> bit & np.uint64(1)


@kernel(_U64_2, _I64, _F32, _OUT32)
def sum_covered(bits: Any, rows: Any, weights: Any, out: Any) -> None:
    """The weights of the terms that each of some firms covers, added up in their order."""
    flat, width = bits.reshape(-1), bits.shape[1]
    for i in range(len(rows)):
        _fetch_covers(flat, width, rows[min(i + 1, len(rows) - 1)])
        word, bit = rows[i] // GROUP, np.uint64(rows[i] % GROUP)
        total = np.float32(0.0)
        for t in range(len(weights)):
            if bits[t, word] >> bit & np.uint64(1):
                total += weights[t]
        out[i] = total


# latent --------------------------------------------------------------------------------------


@kernel(_U8_2, _F32, _I64, _F32, _OUT32, fastmath=True)
def near_rows(packed: Any, scale: Any, rows: Any, vector: Any, out: Any) -> None:
    """Inner product of some firms' latent rows with a vector, the same wherever a row stands.

    Byte j of a row holds direction j in its low four bits and j + half in its high ones, each 8
    too great.
    """
    half, flat = packed.shape[1], packed.reshape(-1)
    offset = np.float32(0.0)
    for j in range(2 * half):
        offset += np.float32(8.0) * vector[j]
    low, high = vector[:half], vector[half : 2 * half]
    for i in range(len(rows)):
        soon = rows[min(i + AHEAD, len(rows) - 1)]  # no branch: one way to add, one rounding
        fetch(flat, soon * half)
        fetch(flat, soon * half + half - 1)
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


@kernel(_F32, types.float32, types.float32, _F32, _F32, _F32, _OUT32)
def add_column(
    numbers: Any, best: Any, neutral: Any, share: Any, at: Any, slopes: Any, out: Any
) -> None:
    """Add share[0] x (each number / best, bent) to `out`; the neutral value stands for NaN.

    The curve begins with share[1], and from each of `at` on but the last its slope changes by that
    of `slopes`.
    """
    weight, none, full = share[0], share[1], at[-1]
    for j in range(len(slopes)):
        slope, begin = weight * slopes[j], at[j]
        constant = weight * none if j == 0 else np.float32(0.0)
        for i in range(len(out)):
            value = numbers[i] / best
            value = value if value < full else full
            value = value if numbers[i] == numbers[i] else neutral
            value -= begin
            out[i] += constant + slope * (value if value > np.float32(0.0) else np.float32(0.0))


@kernel(
    _I32, _F32, _F32, _F32, _F32, _I32, _F32, _I32, _F32, _I64, _F32, _B, types.int64,
    types.int64, types.float32, _OUT_I32, _OUT32, fastmath=True,
)  # fmt: skip
def quick_rows(
    words: Any, share: Any, at: Any, slopes: Any, first: Any, first_of: Any, second: Any,
    second_of: Any, base: Any, own: Any, points: Any, allowed: Any, low: Any, high: Any,
    least: Any, rows: Any, values: Any,
) -> Any:  # fmt: skip
    """The allowed rows of [low, high) whose quick score is at least so much, with the scores.

    It is share[1] x (words x share[0], bent) + share[2] x base + first + second, and of the rows
    `own`, which ascend, their `points`; the curve begins with share[3], and from each of `at` on
    but the last its slope changes by that of `slopes`. Gives how many there are, in order; rounding
    decides of those just below. Tables are looked up only for those that may do.
    """
    enough = least - (first.max() + second.max())
    scale, word_points, own_points, none = share[0], share[1], share[2], share[3]
    begin, full, slope = at[0], at[-1], slopes[0]
    bent, some = np.zeros(GROUP, np.float32), np.empty(GROUP, np.float32)
    few, p = 0, np.searchsorted(own, low)
    for start in range(low, high, GROUP):
        end = min(start + GROUP, high)
        sums, kept = words[start:end], base[start:end]
        if len(slopes) > 1:
            bent[:] = np.float32(0.0)
        for j in range(1, len(slopes)):
            for i in range(len(sums)):
                word = min(np.float32(sums[i]) * scale, full)
                bent[i] += slopes[j] * max(np.float32(0.0), word - at[j])
        for i in range(len(sums)):
            word = max(np.float32(0.0), min(np.float32(sums[i]) * scale, full) - begin)
            some[i] = word_points * (none + slope * word + bent[i]) + own_points * kept[i]
        while p < len(own) and own[p] < end:
            some[own[p] - start] += points[p]
            p += 1
        some[len(sums) :] = NONE
        for lane in range(0, len(sums), LANES):
            top = NONE
            for i in range(lane, lane + LANES):
                top = max(top, some[i])
            if top >= enough:
                for i in range(lane, min(lane + LANES, len(sums))):
                    rows[few], values[few] = start + i, some[i]
                    few += some[i] >= enough  # no branch that the processor would have to guess
    size = 0
    for i in range(few):
        soon = rows[min(i + AHEAD, few - 1)]
        fetch(first_of, soon)
        fetch(second_of, soon)
        fetch(allowed, soon)
        row, value = rows[i], values[i]
        value += first[np.uint32(first_of[row])] + second[np.uint32(second_of[row])]
        if value >= least and allowed[row]:
            rows[size], values[size] = row, value
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
