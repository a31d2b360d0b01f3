"""Compiled loops over texts, their n-grams and the weights of these, for building an index.

Every kernel has one fixed signature and runs without Python's lock (see `kernels.kernel`). An
n-gram's key packs its one or two code points, the first one higher: sorted keys are sorted n-grams.
"""

from typing import Any

import numpy as np
from numba import njit, types

from zyz_match.matching.kernels import kernel

POINT_BITS = np.uint64(21)  # of a code point in a key
MOST_TIMES = 255  # an n-gram that a text repeats more often counts as repeated so often
_SLOTS = 1 << 14  # of a hash table, to begin with
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _array(item: Any, dimensions: int = 1) -> Any:
    return types.Array(item, dimensions, "C", readonly=True)


_I32, _I64, _U8 = _array(types.int32), _array(types.int64), _array(types.uint8)
_U32, _U64, _F32 = _array(types.uint32), _array(types.uint64), _array(types.float32)
_OUT_U8, _OUT_I32, _OUT_I64 = types.uint8[::1], types.int32[::1], types.int64[::1]
_OUT_U64, _OUT_F32 = types.uint64[::1], types.float32[::1]


@njit(inline="always")
def _read(data: Any, at: Any) -> Any:
    """The code point of a character of UTF-8 and how many bytes it takes."""
    first = np.uint32(data[at])
    if first < 0x80:
        return first, 1
    one = np.uint32(data[at + 1] & 0x3F)
    if first < 0xE0:
        return (first & np.uint32(0x1F)) << np.uint32(6) | one, 2
    two = one << np.uint32(6) | np.uint32(data[at + 2] & 0x3F)
    if first < 0xF0:
        return (first & np.uint32(0x0F)) << np.uint32(12) | two, 3
    three = two << np.uint32(6) | np.uint32(data[at + 3] & 0x3F)
    return (first & np.uint32(0x07)) << np.uint32(18) | three, 4


@njit(inline="always")
def _slot(key: Any, table: Any) -> Any:
    """The row of a hash table that has a key, or the free one for it; it has (key, number + 1)."""
    at = np.int64(key * _GOLDEN >> np.uint64(32)) & (len(table) - 1)
    while table[at, 1] and table[at, 0] != key:
        at = at + 1 & len(table) - 1
    return at


@njit
def _grown(table: Any) -> Any:
    """A hash table with the same entries and twice the rows."""
    more = np.zeros((2 * len(table), 2), np.uint64)
    for old in range(len(table)):
        if table[old, 1]:
            at = _slot(table[old, 0], more)
            more[at, 0], more[at, 1] = table[old, 0], table[old, 1]
    return more


@kernel(_U8, _I64, _array(types.boolean), _OUT_I64, _OUT_I32, _OUT_I64, _OUT_U8)
def cut_texts(
    data: Any, ends: Any, separates: Any, starts: Any, ids: Any, part_ends: Any, parts: Any
) -> Any:
    """Cut UTF-8 texts at the separators; gives how many distinct parts there are, none empty.

    Text t is `data[ends[t]:ends[t + 1]]` and has the parts `ids[starts[t]:starts[t + 1]]`; part p
    is `parts[part_ends[p]:part_ends[p + 1]]`. `separates` has an entry for each code point;
    a space separates. Parts are told apart by 64 bits of a hash.
    """
    table = np.zeros((_SLOTS, 2), np.uint64)
    found, distinct, space = 0, np.uint64(0), np.uint32(0x20)  # as if one ended every text
    starts[0] = part_ends[0] = 0
    for t in range(len(ends) - 1):
        first = i = ends[t]
        value = np.uint64(0)
        while i <= ends[t + 1]:
            point, size = _read(data, i) if i < ends[t + 1] else (space, 1)
            if not separates[point]:
                value = (value ^ np.uint64(point)) * _GOLDEN
                i += size
                continue
            if i > first:
                at = _slot(value, table)
                if not table[at, 1]:
                    end = part_ends[distinct]
                    for b in range(first, i):
                        parts[end] = data[b]
                        end += 1
                    distinct += np.uint64(1)
                    part_ends[distinct] = end
                    table[at, 0], table[at, 1] = value, distinct
                ids[found] = table[at, 1] - np.uint64(1)
                found += 1
                if np.uint64(2) * distinct > len(table):
                    table = _grown(table)
            i += size
            first, value = i, np.uint64(0)
        starts[t + 1] = found
    return distinct


@kernel(_U32, _I64, _OUT_I64, _OUT_U64)
def key_grams(points: Any, starts: Any, gram_starts: Any, keys: Any) -> Any:
    """The keys of the 1- and 2-grams of phrases, none across a 0; gives how many there are.

    The code points of phrase p are `points[starts[p]:starts[p + 1]]`.
    """
    n = 0
    gram_starts[0] = 0
    for p in range(len(starts) - 1):
        for i in range(starts[p], starts[p + 1]):
            point = np.uint64(points[i]) << POINT_BITS
            if point:
                keys[n] = point
                n += 1
                if i + 1 < starts[p + 1] and points[i + 1]:
                    keys[n] = point | np.uint64(points[i + 1])
                    n += 1
        gram_starts[p + 1] = n
    return n


@kernel(_U64, _OUT_I32, _OUT_U64)
def number_keys(keys: Any, numbers: Any, known: Any) -> Any:
    """Number the distinct keys in the order of their first use; gives how many there are."""
    table = np.zeros((_SLOTS, 2), np.uint64)
    distinct = np.uint64(0)
    for i in range(len(keys)):
        at = _slot(keys[i], table)
        if not table[at, 1]:
            known[distinct] = keys[i]
            distinct += np.uint64(1)
            table[at, 0], table[at, 1] = keys[i], distinct
        numbers[i] = table[at, 1] - np.uint64(1)
        if np.uint64(2) * distinct > len(table):
            table = _grown(table)
    return distinct


@kernel(_U64, _U64, _OUT_I64)
def places(known: Any, keys: Any, out: Any) -> None:
    """The place of every key among the known ones, -1 where it is not; both ascend."""
    j = 0
    for i in range(len(keys)):
        while j < len(known) and known[j] < keys[i]:
            j += 1
        out[i] = j if j < len(known) and known[j] == keys[i] else -1


@kernel(_I64, _I32, _I64, _I32, _OUT_I32)
def count_users(starts: Any, ids: Any, gram_starts: Any, grams: Any, users: Any) -> None:
    """How many firms use each n-gram; firm f has the phrases `ids[starts[f]:starts[f + 1]]`."""
    seen = np.zeros((len(users), 2), np.int32)  # how many, and the last of them + 1: side by side
    for f in range(len(starts) - 1):
        for i in range(starts[f], starts[f + 1]):
            for j in range(gram_starts[ids[i]], gram_starts[ids[i] + 1]):
                g = np.uint32(grams[j])
                seen[g, 0] += seen[g, 1] <= f
                seen[g, 1] = f + 1
    users[:] = seen[:, 0]


@njit(inline="always")
def _lowest(word: Any) -> Any:
    """The number of the lowest bit set; compiled to the processor's bit count."""
    below, count = (word & (~word + np.uint64(1))) - np.uint64(1), 0
    while below:
        below &= below - np.uint64(1)
        count += 1
    return count


@kernel(
    _I64, _I32, _I64, _I32, _array(types.boolean), types.int64, types.int64,
    _OUT_I64, _OUT_I32, _OUT_U8,
)  # fmt: skip
def count_grams(
    phrase_starts: Any, ids: Any, gram_starts: Any, grams: Any, known: Any,
    low: Any, step: Any, starts: Any, out: Any, times: Any,
) -> Any:  # fmt: skip
    """The known n-grams of every step-th firm from firm low on, ascending, and how often each is.

    Gives the number of entries. A set of bits whose words are noted in another one brings a firm's
    n-grams into order.
    """
    seen, wanted = np.zeros(len(known), np.uint8), np.zeros((len(known) >> 6) + 1, np.uint64)
    bits, words = np.zeros(len(wanted), np.uint64), np.zeros((len(wanted) >> 6) + 1, np.uint64)
    one, n = np.uint64(1), np.int64(0)
    for k in range(len(known)):
        wanted[k >> 6] |= np.uint64(known[k]) << np.uint64(k & 63)
    starts[0] = 0
    for row in range(len(starts) - 1):
        f = low + row * step
        for i in range(phrase_starts[f], phrase_starts[f + 1]):
            for j in range(gram_starts[ids[i]], gram_starts[ids[i] + 1]):
                g = np.uint32(grams[j])
                seen[g] += seen[g] < MOST_TIMES
                bits[g >> np.uint32(6)] |= one << np.uint64(g & np.uint32(63))
                words[g >> np.uint32(12)] |= one << np.uint64(g >> np.uint32(6) & np.uint32(63))
        for top in range(len(words)):
            while words[top]:
                at = np.uint32(top << 6 | _lowest(words[top]))
                words[top] &= words[top] - one
                word, bits[at] = bits[at], 0
                while word:
                    lowest = _lowest(word)
                    g = at << np.uint32(6) | np.uint32(lowest)
                    word &= word - one
                    out[n], times[n] = g, seen[g]
                    n += np.int64(wanted[at] >> np.uint64(lowest) & one)
                    seen[g] = 0
        starts[row + 1] = n
    return n


@kernel(_I64, _I32, _U8, _F32, _F32, types.float64, _OUT_F32)
def weigh(
    starts: Any, grams: Any, times: Any, norms: Any, idf: Any, k1: Any, out: Any
) -> None:  # fmt: skip
    """The BM25 weight idf x f x (k1 + 1) / (f + the firm's norm) of every entry."""
    for f in range(len(starts) - 1):
        norm = np.float64(norms[f])
        for e in range(starts[f], starts[f + 1]):
            used = np.float64(times[e])
            out[e] = used * (k1 + 1) / (used + norm) * np.float64(idf[grams[e]])


@kernel(
    _I64, _I32, _F32, _I32, _array(types.int8, 2), _F32, types.float32[:, ::1], fastmath=True
)  # fmt: skip
def project(
    starts: Any, grams: Any, weights: Any, place: Any, codes: Any, scale: Any, out: Any
) -> None:
    """Every firm's weighted sum of rows of the basis, scaled to length one; `out` begins as 0.

    N-gram g has the row scale[p] x codes[p], p = place[g]; none where that is -1.
    """
    most = 4
    for f in range(len(starts) - 1):
        most = max(most, starts[f + 1] - starts[f] + 4)
    rows, shares = np.zeros(most, np.uint32), np.zeros(most, np.float32)
    for f in range(len(starts) - 1):
        n = 0
        for e in range(starts[f], starts[f + 1]):
            p = place[np.uint32(grams[e])]
            if p >= 0:
                rows[n], shares[n] = p, weights[e] * scale[p]
                n += 1
        shares[n : n + 4] = 0
        row = out[f]
        for e in range(0, n, 4):  # four at once, so that the sums are read and written less
            a, b, c, d = codes[rows[e]], codes[rows[e + 1]], codes[rows[e + 2]], codes[rows[e + 3]]
            w0, w1, w2, w3 = shares[e], shares[e + 1], shares[e + 2], shares[e + 3]
            for k in range(len(row)):
                row[k] += (
                    w0 * np.float32(a[k]) + w1 * np.float32(b[k])
                    + w2 * np.float32(c[k]) + w3 * np.float32(d[k])
                )  # fmt: skip
        square = np.float32(0.0)
        for k in range(len(row)):
            square += row[k] * row[k]
        if square > 0:
            row *= np.float32(1.0) / np.sqrt(square)


@kernel(_I64, _I32, _F32, _array(types.float32, 2), types.float32[:, ::1], fastmath=True)
def add_gram_products(starts: Any, rows: Any, weights: Any, sides: Any, out: Any) -> None:
    """Add W W' x sides to `out`; column j of W has `weights[starts[j]:starts[j + 1]]` in `rows`."""
    sums = np.empty(sides.shape[1], np.float32)
    for j in range(len(starts) - 1):
        low, high = starts[j], starts[j + 1]
        sums[:] = 0
        for e in range(low, high):
            side, weight = sides[np.uint32(rows[e])], weights[e]
            for k in range(len(sums)):
                sums[k] += weight * side[k]
        for e in range(low, high):
            row, weight = out[np.uint32(rows[e])], weights[e]
            for k in range(len(sums)):
                row[k] += weight * sums[k]
