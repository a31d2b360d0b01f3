"""Compiled loops over texts, their n-grams and the weights of these, for building an index.

Every kernel has one fixed signature and runs without Python's lock (see `kernels.kernel`). An
n-gram's key packs its one or two code points, the first one higher: sorted keys are sorted n-grams.
"""

from typing import Any

import numpy as np
from numba import njit, types

from zyz_match.matching.kernels import fetch, kernel

POINT_BITS = np.uint64(21)  # of a code point in a key
MOST_TIMES = 255  # an n-gram that a text repeats more often counts as repeated so often
STRANGE, SEPARATES = 1, 2  # kinds of code points
_SLOTS = 1 << 14  # of a hash table, to begin with
_TOGETHER = 16  # texts whose parts are looked up once all of them are cut
_SOON = 16  # of n-grams or phrases in a row the one whose place is fetched is so far ahead
_LINE = 64  # bytes that the memory gives at once
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _array(item: Any, dimensions: int = 1) -> Any:
    return types.Array(item, dimensions, "C", readonly=True)


_I32, _I64, _U8 = _array(types.int32), _array(types.int64), _array(types.uint8)
_U32, _U64, _F32 = _array(types.uint32), _array(types.uint64), _array(types.float32)
_OUT_U8, _OUT_I32, _OUT_I64 = types.uint8[::1], types.int32[::1], types.int64[::1]
_OUT_U32, _OUT_U64, _OUT_F32 = types.uint32[::1], types.uint64[::1], types.float32[::1]


@njit(inline="always")
def _read(data: Any, at: Any) -> Any:
    """The code point of a character of UTF-8 and how many bytes it takes."""
    one_on, two_on = np.uint64(1), np.uint64(2)
    first = np.uint32(data[at])
    if first < 0x80:
        return first, one_on
    one = np.uint32(data[at + one_on] & 0x3F)
    if first < 0xE0:
        return (first & np.uint32(0x1F)) << np.uint32(6) | one, two_on
    two = one << np.uint32(6) | np.uint32(data[at + two_on] & 0x3F)
    if first < 0xF0:
        return (first & np.uint32(0x0F)) << np.uint32(12) | two, np.uint64(3)
    three = two << np.uint32(6) | np.uint32(data[at + np.uint64(3)] & 0x3F)
    return (first & np.uint32(0x07)) << np.uint32(18) | three, np.uint64(4)


@njit(inline="always")
def _slot(key: Any, table: Any) -> Any:
    """Where a hash table has a key, or is free for it: there is the key, then its number + 1."""
    at = _first_slot(key, table)
    while table[at + 1] and table[at] != key:
        at = at + 2 & len(table) - 1
    return at


@njit(inline="always")
def _first_slot(key: Any, table: Any) -> Any:
    return np.int64(key * _GOLDEN >> np.uint64(32)) * 2 & (len(table) - 1)


@njit
def _table(entries: Any) -> Any:
    """An empty hash table that has room for so many entries."""
    slots = _SLOTS
    while slots < 2 * entries:
        slots *= 2
    return np.zeros(2 * slots, np.uint64)


@njit
def _grown(table: Any) -> Any:
    """A hash table with the same entries and twice the room."""
    more = np.zeros(2 * len(table), np.uint64)
    for old in range(0, len(table), 2):
        if table[old + 1]:
            at = _slot(table[old], more)
            more[at], more[at + 1] = table[old], table[old + 1]
    return more


@kernel(_U8, _I64, _U8, _OUT_I64, _OUT_I32, _OUT_I64, _OUT_U32, _OUT_U8)
def cut_texts(
    data: Any, ends: Any, kinds: Any, starts: Any, ids: Any, part_ends: Any, points: Any,
    strange: Any,
) -> Any:  # fmt: skip
    """Cut UTF-8 texts at the separators; gives how many distinct parts there are, none empty.

    Text t is `data[ends[t]:ends[t + 1]]` and has the parts `ids[starts[t]:starts[t + 1]]`; part p
    has the code points `points[part_ends[p]:part_ends[p + 1]]`. `kinds` has an entry for each code
    point: `SEPARATES`, `STRANGE` or 0; a part with a strange one is `strange`. A space separates.
    Parts are told apart by 64 bits of a hash.
    """
    most = 0
    for low in range(0, len(ends) - 1, _TOGETHER):
        most = max(most, ends[min(low + _TOGETHER, len(ends) - 1)] - ends[low])
    hashes, stops = np.empty(most + 1, np.uint64), np.empty(most + 1, np.int64)
    odd = np.zeros(most + 1, np.uint8)
    table = _table(len(data) // 32)
    found, distinct, space = 0, np.uint64(0), np.uint32(0x20)  # as if one ended every text
    starts[0] = part_ends[0] = 0
    for low in range(0, len(ends) - 1, _TOGETHER):
        first, begin = found, part_ends[distinct]
        at = begin
        value, kinds_seen = np.uint64(0), np.uint8(0)
        for t in range(low, min(low + _TOGETHER, len(ends) - 1)):
            i, end = np.uint64(ends[t]), np.uint64(ends[t + 1])
            while i <= end:
                point, size = _read(data, i) if i < end else (space, np.uint64(1))
                i += size
                kind = kinds[point]
                if kind != SEPARATES:
                    points[at] = point
                    at += 1
                    value = (value ^ np.uint64(point)) * _GOLDEN
                    kinds_seen |= kind
                elif at > begin:
                    hashes[found - first], stops[found - first] = value, at
                    odd[found - first] = kinds_seen
                    fetch(table, _first_slot(value, table))
                    found += 1
                    begin, value, kinds_seen = at, np.uint64(0), np.uint8(0)
            starts[t + 1] = found
        begin = part_ends[distinct]
        for k in range(found - first):
            at = _slot(hashes[k], table)
            if not table[at + 1]:
                place = part_ends[distinct]
                for b in range(begin, stops[k]):
                    points[place] = points[b]
                    place += 1
                strange[distinct] = odd[k]
                distinct += np.uint64(1)
                part_ends[distinct] = place
                table[at], table[at + 1] = hashes[k], distinct
            ids[first + k] = table[at + 1] - np.uint64(1)
            begin = stops[k]
            if np.uint64(4) * distinct > len(table):
                table = _grown(table)
    return distinct


@kernel(_U32, _I64, _I64, _OUT_I64, _OUT_I32, _OUT_U64)
def number_grams(
    points: Any, starts: Any, ends: Any, gram_starts: Any, grams: Any, keys: Any
) -> Any:  # fmt: skip
    """Number the distinct 1- and 2-grams of phrases by first use; gives how many there are.

    The code points of phrase p are `points[starts[p]:ends[p]]`; no n-gram goes across a 0. Phrase p
    has the n-grams `grams[gram_starts[p]:gram_starts[p + 1]]`; `keys` are those of the distinct.
    """
    most = np.uint32(0)
    for point in points:
        most = max(most, point)
    table, singles = _table(len(points) // 4), np.zeros(most + 1, np.int32)  # number + 1
    n, distinct, last = np.uint64(0), np.uint64(0), len(points) - 1
    gram_starts[0] = 0
    for p in range(len(starts)):
        for i in range(starts[p], ends[p]):
            soon = min(i + _SOON, last)
            key = np.uint64(points[soon]) << POINT_BITS | np.uint64(points[min(soon + 1, last)])
            fetch(table, _first_slot(key, table))
            point = points[i]
            if not point:
                continue
            key = np.uint64(point) << POINT_BITS
            if not singles[point]:
                keys[distinct] = key
                distinct += np.uint64(1)
                singles[point] = distinct
            grams[n] = singles[point] - 1
            n += np.uint64(1)
            if i + 1 < ends[p] and points[i + 1]:
                key |= np.uint64(points[i + 1])
                at = _slot(key, table)
                if not table[at + 1]:
                    keys[distinct] = key
                    distinct += np.uint64(1)
                    table[at], table[at + 1] = key, distinct
                grams[n] = table[at + 1] - np.uint64(1)
                n += np.uint64(1)
                if np.uint64(4) * distinct > len(table):
                    table = _grown(table)
        gram_starts[p + 1] = n
    return distinct


@kernel(_U64, _U64, _OUT_I64)
def places(known: Any, keys: Any, out: Any) -> None:
    """The place of every key among the known ones, -1 where it is not; both ascend."""
    j = 0
    for i in range(len(keys)):
        while j < len(known) and known[j] < keys[i]:
            j += 1
        out[i] = j if j < len(known) and known[j] == keys[i] else -1


@njit(inline="always")
def _fetch_row(flat: Any, row: Any, size: Any) -> None:
    """Ask the memory for all of a row of so many entries, wherever its lines begin."""
    line = _LINE // flat.itemsize
    for k in range(0, size + line - 1, line):
        fetch(flat, np.uint32(row) * size + min(k, size - 1))


@njit(inline="always")
def _grams_of(i: Any, ids: Any, gram_starts: Any, grams: Any) -> Any:
    """The n-grams of the i-th phrase; the memory is asked for those of some phrases after it."""
    last = len(ids) - 1
    fetch(gram_starts, ids[min(i + _SOON, last)])
    fetch(grams, gram_starts[ids[min(i + _SOON // 2, last)]])
    return grams[gram_starts[ids[i]] : gram_starts[ids[i] + 1]]


@kernel(_I64, _I32, _I64, _I32, _OUT_I32)
def count_users(starts: Any, ids: Any, gram_starts: Any, grams: Any, users: Any) -> None:
    """How many firms use each n-gram; firm f has the phrases `ids[starts[f]:starts[f + 1]]`."""
    seen = np.zeros((len(users), 2), np.int32)  # how many, and the last of them + 1: side by side
    for f in range(len(starts) - 1):
        for i in range(starts[f], starts[f + 1]):
            for gram in _grams_of(i, ids, gram_starts, grams):
                g = np.uint32(gram)
                seen[g, 0] += seen[g, 1] <= f
                seen[g, 1] = f + 1
    users[:] = seen[:, 0]


@kernel(
    _I64, _I32, _I64, _I32, types.int64, types.int64, types.int64, _OUT_I64, _OUT_I32, _OUT_U8,
    _OUT_F32,
)  # fmt: skip
def count_grams(
    phrase_starts: Any, ids: Any, gram_starts: Any, grams: Any, size: Any, low: Any, step: Any,
    starts: Any, out: Any, times: Any, lengths: Any,
) -> Any:  # fmt: skip
    """The n-grams of every step-th firm from firm low on, and how often each is, by first use.

    Gives the number of entries. `size` is above all n-grams; `lengths` are with repeats.
    """
    entry = np.full(size, -1, np.int32)  # the last one of each n-gram
    n, starts[0] = np.uint64(0), 0
    for row in range(len(starts) - 1):
        f, first, length = low + row * step, np.int32(n), 0
        for i in range(phrase_starts[f], phrase_starts[f + 1]):
            own = _grams_of(i, ids, gram_starts, grams)
            length += len(own)
            for gram in own:
                g = np.uint32(gram)
                at = entry[g]
                if at < first:
                    out[n], times[n], entry[g] = g, 1, n
                    n += np.uint64(1)
                else:
                    times[np.uint32(at)] += times[np.uint32(at)] < MOST_TIMES
        starts[row + 1], lengths[row] = n, length
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
    rows, shares, flat = np.zeros(most, np.uint32), np.zeros(most, np.float32), codes.ravel()
    for f in range(len(starts) - 1):
        n = 0
        for e in range(starts[f], starts[f + 1]):
            p = place[np.uint32(grams[e])]
            if p >= 0:
                _fetch_row(flat, p, codes.shape[1])
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
    size, last = sides.shape[1], len(rows) - 1
    sums, flat_sides, flat_out = np.empty(size, np.float32), sides.ravel(), out.ravel()
    for j in range(len(starts) - 1):
        low, high = starts[j], starts[j + 1]
        sums[:] = 0
        for e in range(low, high):
            _fetch_row(flat_sides, rows[min(e + 1, last)], size)
            side, weight = sides[np.uint32(rows[e])], weights[e]
            for k in range(len(sums)):
                sums[k] += weight * side[k]
        for e in range(low, high):
            _fetch_row(flat_out, rows[min(e + 1, last)], size)
            row, weight = out[np.uint32(rows[e])], weights[e]
            for k in range(len(sums)):
                row[k] += weight * sums[k]
