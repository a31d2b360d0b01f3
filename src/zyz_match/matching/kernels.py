"""Compiled loops over all firms of a pool; what each computes is one line of numpy, see its test.

Every kernel has one fixed signature, so it is compiled once and then read from numba's cache;
the arrays of an index may be read-only (a memory-mapped artifact).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types

BLOCK = 1 << 15  # firms whose sums stay in the processor's cache; their rows fit 16 bits
LANES = 16
PARTS = 4  # parts of a score that are added in one pass
WORD = 64  # firms to a word of a bit set
FEW = 10  # set bits of a word that are visited one by one faster than all 64 side by side


def _array(item: Any, dimensions: int = 1) -> Any:
    return types.Array(item, dimensions, "C", readonly=True)


_B, _I32, _I64 = _array(types.boolean), _array(types.int32), _array(types.int64)
_U8, _U16 = _array(types.uint8), _array(types.uint16)
_F32, _F64 = _array(types.float32), _array(types.float64)
_U8_2, _I64_2, _U64_2 = _array(types.uint8, 2), _array(types.int64, 2), _array(types.uint64, 2)
_OUT32, _OUT64 = types.float32[::1], types.float64[::1]


def kernel(*signature: Any, fastmath: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile for one signature; kept in numba's cache where a folder for it can be written."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return njit([signature], cache=True, nogil=True, fastmath=fastmath)(function)
        except RuntimeError:  # no folder can be written: compiled anew by every process
            return njit([signature], nogil=True, fastmath=fastmath)(function)

    return compiled


@njit(inline="always")
def _note(value: Any, firms: Any, lane: Any, tops: Any, totals: Any, known: Any) -> None:
    """One value into its lane's maximum, sum and count; NaN and values of no firm do not count."""
    count = firms if value == value else np.float32(0.0)
    value = value if count > np.float32(0.0) else np.float32(0.0)
    tops[lane] = value if value > tops[lane] else tops[lane]
    totals[lane] += np.float64(value) * np.float64(count)
    known[lane] += np.float64(count)


@kernel(_I64_2, _U16, _U8, _U8_2, _I32, _I64, _F32, _OUT32)
def sum_columns(
    starts: Any, rows: Any, codes: Any, dense: Any, place: Any, columns: Any, weights: Any, out: Any
) -> None:
    """Add weight x code of the given columns to every firm's sum, block by block.

    A column is dense (row `place` of `dense`) or, at place -1, a run of postings in each block.
    """
    for block in range(starts.shape[0]):
        low = block * BLOCK
        high = min(low + BLOCK, len(out))
        sums = out[low:high]
        for j in range(len(columns)):
            c, weight = columns[j], weights[j]
            for p in range(starts[block, c], starts[block, c + 1]):
                sums[rows[p]] += weight * np.float32(codes[p])
        full = np.flatnonzero(place[columns] >= 0)
        for first in range(0, len(full) - len(full) % 4, 4):
            a, b, c, d = full[first], full[first + 1], full[first + 2], full[first + 3]
            w0, w1, w2, w3 = weights[a], weights[b], weights[c], weights[d]
            d0, d1 = dense[place[columns[a]], low:high], dense[place[columns[b]], low:high]
            d2, d3 = dense[place[columns[c]], low:high], dense[place[columns[d]], low:high]
            for i in range(len(sums)):
                sums[i] += (
                    w0 * np.float32(d0[i]) + w1 * np.float32(d1[i])
                    + w2 * np.float32(d2[i]) + w3 * np.float32(d3[i])
                )  # fmt: skip
        for first in range(len(full) - len(full) % 4, len(full)):
            weight, d0 = weights[full[first]], dense[place[columns[full[first]]], low:high]
            for i in range(len(sums)):
                sums[i] += weight * np.float32(d0[i])


@njit(inline="always")
def _count_bits(word: Any) -> Any:
    """How many bits are set; compiled to the processor's bit count."""
    count = 0
    while word:
        word &= word - np.uint64(1)
        count += 1
    return count


@kernel(_I64_2, _U16, _U64_2, _I32, _I64, _I64, _I64, _F64, types.int64, _OUT32)
def cover(
    starts: Any, rows: Any, held: Any, place: Any, columns: Any,
    term_starts: Any, needed: Any, weights: Any, firms: Any, out: Any,
) -> None:  # fmt: skip
    """Add weight x ln(1 + (n - df + .5) / (df + .5)) of every term to the firms that cover it.

    `columns` are distinct n-grams; term t needs all of `needed[term_starts[t]:term_starts[t + 1]]`,
    numbers into `columns`; df of the n firms cover it. Works on bit sets: row `place` of `held`,
    or, at place -1, made here from the postings. `out` is as long as a whole number of blocks.
    """
    bits = np.empty((len(columns), held.shape[1]), np.uint64)
    for j in range(len(columns)):
        c = columns[j]
        if place[c] >= 0:
            bits[j] = held[place[c]]
            continue
        bits[j] = np.uint64(0)
        for block in range(starts.shape[0]):
            own = bits[j, block * (BLOCK // WORD) :]
            for p in range(starts[block, c], starts[block, c + 1]):
                own[rows[p] // WORD] |= np.uint64(1) << np.uint64(rows[p] % WORD)
    both = np.empty(held.shape[1], np.uint64)
    for t in range(len(weights)):
        both[:] = bits[needed[term_starts[t]]]
        for k in range(term_starts[t] + 1, term_starts[t + 1]):
            both &= bits[needed[k]]
        df = 0
        for i in range(len(both)):
            df += _count_bits(both[i])
        value = np.float32(weights[t] * np.log1p((firms - df + 0.5) / (df + 0.5)))
        for i in range(len(both)):
            word = both[i]
            if _count_bits(word) > FEW:
                for b in range(WORD):
                    held_by = word >> np.uint64(b) & np.uint64(1)
                    out[i * WORD + b] += value if held_by else np.float32(0.0)
                continue
            while word:
                lowest = word & (~word + np.uint64(1))
                out[i * WORD + _count_bits(lowest - np.uint64(1))] += value
                word ^= lowest


@kernel(_array(types.int8, 2), _F32, _F32, _OUT32, fastmath=True)
def dot_rows(matrix: Any, scale: Any, vector: Any, out: Any) -> None:
    """Add every quantised row's inner product with a vector; reads four places at once."""
    step = matrix.shape[0] // 4
    for i in range(step):
        s0, s1, s2, s3 = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for j in range(matrix.shape[1]):
            x = vector[j]
            s0 += np.float32(matrix[i, j]) * x
            s1 += np.float32(matrix[i + step, j]) * x
            s2 += np.float32(matrix[i + 2 * step, j]) * x
            s3 += np.float32(matrix[i + 3 * step, j]) * x
        out[i] += scale[i] * s0
        out[i + step] += scale[i + step] * s1
        out[i + 2 * step] += scale[i + 2 * step] * s2
        out[i + 3 * step] += scale[i + 3 * step] * s3
    for i in range(4 * step, matrix.shape[0]):
        total = np.float32(0.0)
        for j in range(matrix.shape[1]):
            total += np.float32(matrix[i, j]) * vector[j]
        out[i] += scale[i] * total


@kernel(_OUT32, _F32, types.boolean)
def by_best(values: Any, firms: Any, mean_for_missing: Any) -> Any:
    """Divide by the best value and cut to [0, 1], where each value stands for so many active firms.

    NaN becomes the firms' mean, or 0. Gives that best value; nothing changes unless it is above 0.
    """
    tops, totals, known = np.zeros(LANES, np.float32), np.zeros(LANES), np.zeros(LANES)
    whole = len(values) - len(values) % LANES
    for i in range(0, whole, LANES):
        for j in range(LANES):  # side by side, so that the processor does all lanes at once
            _note(values[i + j], firms[i + j], j, tops, totals, known)
    for i in range(whole, len(values)):
        _note(values[i], firms[i], i - whole, tops, totals, known)
    top, count = tops.max(), known.sum()
    if top <= 0:
        return top
    neutral = np.float32(totals.sum() / count / top) if mean_for_missing else np.float32(0.0)
    for i in range(len(values)):
        share = values[i] / top
        cut = min(max(share, np.float32(0.0)), np.float32(1.0))
        values[i] = cut if share == share else neutral
    return top


@kernel(_F32, _B, _I32, _OUT32, types.boolean[::1])
def spread(table: Any, lacking: Any, labels: Any, values: Any, missing: Any) -> None:
    """Give every firm the value of its label, and whether the label lacks one."""
    for i in range(len(labels)):
        values[i] = table[labels[i]]
        missing[i] = lacking[labels[i]]


@kernel(_F32, _F32, _F32, _F32, _F64, _OUT64)
def add_shares(one: Any, two: Any, three: Any, four: Any, shares: Any, total: Any) -> None:
    """Add share x value of four parts to every firm's total, in their order."""
    a, b, c, d = shares[0], shares[1], shares[2], shares[3]
    for i in range(len(total)):
        some = total[i] + a * np.float64(one[i]) + b * np.float64(two[i])
        total[i] = some + c * np.float64(three[i]) + d * np.float64(four[i])


@kernel(_F64, _B, types.int64[::1], _OUT64)
def best_rows(scores: Any, allowed: Any, rows: Any, kept: Any) -> Any:
    """Put the best allowed rows into `rows`, unordered, ties by row; gives how many there are.

    `kept` holds their scores as a heap whose root is the worst one: lowest score, then highest row.
    """
    size = 0
    for i in range(len(scores)):
        score = scores[i]
        if size < len(rows):
            if allowed[i]:
                at = size
                size += 1
                while at > 0 and score <= kept[(at - 1) // 2]:  # of equals the later is the worse
                    kept[at], rows[at] = kept[(at - 1) // 2], rows[(at - 1) // 2]
                    at = (at - 1) // 2
                kept[at], rows[at] = score, i
        elif score > kept[0] and allowed[i]:
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
