"""The layout of a set of firms: their words by n-gram, their latent rows, all in flat arrays.

A word weight is an eight-bit code: the share of its n-gram's ceiling idf x (k1 + 1) that a firm's
BM25 weight reaches. The codes, not the numbers they were rounded from, *are* the word weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from zyz_match.matching import kernels
from zyz_match.matching.features import FirmFeatures
from zyz_match.matching.kernels import BLOCK, GROUP
from zyz_match.matching.phrases import Block, Cut
from zyz_match.matching.threads import beside, in_order
from zyz_match.matching.words import Counts, Cover

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Whole = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint64]
DENSE_FROM = 0.125  # share of the firms from which an n-gram is one row of codes
RARE_BELOW = 4  # firms a block, on average, below which an n-gram is one list for all blocks
LARGEST = 2**31 - 1
TOGETHER = 1024  # firms whose latent rows are packed before the next ones are made
MANY = 1024  # latent rows that are worth a second thread


@dataclass(frozen=True, slots=True)
class Asked:
    """The n-grams of a query by where a segment keeps them, with whole-numbered weights."""

    in_runs: Ints
    run_weights: Whole
    in_dense: Ints
    dense_weights: Whole
    in_rare: Ints
    rare_weights: Whole


def whole_weights(weights: npt.NDArray[np.floating]) -> Whole:
    """Weights as whole numbers, as fine as sums of `TOP_CODE` times all of them allow."""
    largest = float(np.abs(weights.astype(np.float64)).sum()) * kernels.TOP_CODE
    if largest <= 0:
        return np.zeros(len(weights), dtype=np.int32)
    fine = (LARGEST - kernels.TOP_CODE * len(weights)) / largest
    return np.rint(weights.astype(np.float64) * fine).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Firms in blocks of `kernels.BLOCK`; an n-gram is dense, in runs, or rare.

    Dense ones have a code for every firm. One in runs has in each block the rows of the firms that
    use it once (their code is the firm's `ones`), then (row, code) of the others. A rare one has
    one list for the whole segment. `place` numbers the n-grams in this order.
    """

    ones: npt.NDArray[np.uint8]  # (firms,) code of an n-gram that a firm uses once
    place: Whole  # (n-grams,) number in the layout
    bases: Ints  # (blocks,) first entry of `runs` of each block
    offsets: npt.NDArray[np.uint32]  # (blocks, 2 x n-grams in runs + 1) from there
    runs: npt.NDArray[np.uint16]
    dense: npt.NDArray[np.uint8]  # (dense n-grams, firms)
    held: Bits  # (dense n-grams, words) bit i of word j: firm 64 j + i uses it
    rare_starts: Ints  # (rare n-grams + 1,)
    rare_rows: Whole
    rare_codes: npt.NDArray[np.uint8]
    latent: npt.NDArray[np.uint8]  # (firms, directions / 2) see kernels.near_rows
    latent_scale: Floats  # (firms,)

    @classmethod
    def build(cls, features: FirmFeatures, cut: Cut) -> Self:
        """Lay out the firms of a cut table, block by block."""
        return cls.from_arrays(_Builder(features, cut).arrays())

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """A segment over arrays that were read or mapped; nothing is copied."""
        return cls(**{f.name: arrays[f.name] for f in fields(cls)})

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything there is, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __len__(self) -> int:
        return len(self.ones)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self.bases)

    def ask(self, columns: Ints, weights: Whole) -> Asked:
        """The n-grams of a query by where they are kept."""
        place = self.place[columns].astype(np.int64)
        low, high = len(self.dense), self._first_rare
        dense, rare = place < low, place >= high
        runs = ~dense & ~rare
        return Asked(
            place[runs] - low, weights[runs], place[dense], weights[dense],
            place[rare] - high, weights[rare],
        )  # fmt: skip

    @property
    def _first_rare(self) -> int:
        return len(self.dense) + int(self.offsets.shape[1] - 1) // 2

    def sum_words(
        self, asked: Asked, active: Mask, blocks: range, out: Whole, tops: Whole
    ) -> None:  # fmt: skip
        """Weight x code summed for the firms of some blocks, and the best of every `GROUP`."""
        kernels.sum_words(
            self.ones, self.bases, self.offsets, self.runs, self.dense, self.rare_starts,
            self.rare_rows, self.rare_codes, asked.in_runs, asked.run_weights, asked.in_dense,
            asked.dense_weights, asked.in_rare, asked.rare_weights, active, blocks.start,
            blocks.stop, out, tops,
        )  # fmt: skip

    def cover(self, asked: Cover, alive: Bits, blocks: range, out: Bits, counts: Ints) -> None:
        """Which living firms of some blocks hold every n-gram of each term, as bit sets.

        To `counts` is added how many.
        """
        kernels.cover(
            self.bases, self.offsets, self.runs, self.held, self.rare_starts, self.rare_rows,
            len(self.dense), self._first_rare, self.place[asked.columns], asked.starts,
            asked.needed, alive, blocks.start, blocks.stop, out, counts,
        )  # fmt: skip

    def near(self, rows: Ints, vector: Floats) -> Floats:
        """Inner product of the latent rows of some firms with a vector of all directions."""
        out, half = np.empty(len(rows), dtype=np.float32), len(rows) // 2

        def look(some: slice) -> None:
            kernels.near_rows(self.latent, self.latent_scale, rows[some], vector, out[some])

        if len(rows) < MANY:
            look(slice(None))
        else:
            beside(look, slice(half), slice(half, None))
        return out

    def latent_rows(self, rows: Ints) -> Floats:
        """The latent rows of some firms (firms x directions)."""
        return unpack(self.latent[rows], self.latent_scale[rows])

    def reads(self, asked: Asked) -> tuple[int, int]:
        """Entries that a sum of these n-grams reads, and their bytes, each counted once."""
        at = 2 * asked.in_runs
        runs = int(self.offsets[:, at + 2].astype(np.int64).sum() - self.offsets[:, at].sum())
        rare = int((self.rare_starts[asked.in_rare + 1] - self.rare_starts[asked.in_rare]).sum())
        dense = len(asked.in_dense) * len(self)
        return runs + rare + dense, 2 * runs + 5 * rare + dense + self.ones.nbytes


class _Turned(NamedTuple):
    """A block's counts by n-gram, as `kernels.lay_out` takes them, and its latent rows."""

    starts: Ints  # (n-grams of the block + 1,)
    entries: npt.NDArray[np.uint32]
    place: Whole  # (n-grams of the block,) number in the layout, -1 without
    norms: Floats  # (firms,)
    packed: tuple[npt.NDArray[np.uint8], Floats]


class _Builder:
    """Streams the counts of a cut table into the arrays of a segment, one block at a time."""

    def __init__(self, features: FirmFeatures, cut: Cut) -> None:
        self.features, self.cut = features, cut
        self.firms = len(cut)
        self.blocks = max(1, -(-self.firms // BLOCK))
        used = features.words_.frequencies(cut)
        self.place, self.low, self.high = _places(used, self.firms, self.blocks)
        by_place = np.empty_like(used)
        by_place[self.place] = used
        rare = by_place[self.high :]
        self.rare_starts = np.append(0, np.cumsum(rare)).astype(np.int64)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays of a segment, filled."""
        n, half = self.firms, -(-self.features.latent_.components // 2)
        dense = np.zeros((self.low, n), np.uint8)
        rare = np.zeros(self.rare_starts[-1], np.int32), np.zeros(self.rare_starts[-1], np.uint8)
        at_rare = self.rare_starts[:-1].copy()
        ones, latent, scale = (
            np.zeros(n, np.uint8),
            np.zeros((n, half), np.uint8),
            np.zeros(n, "f4"),
        )
        offsets = np.zeros((self.blocks, 2 * (self.high - self.low) + 1), np.uint32)
        runs, first = [np.empty(0, np.uint16)], 0
        for at, turned in zip(offsets, in_order(self._turned, self.cut.blocks), strict=False):
            some = slice(first, first + len(turned.norms))
            ones[some] = np.maximum(1, np.rint(kernels.TOP_CODE / (1 + turned.norms)))
            run = np.empty(2 * len(turned.entries), np.uint16)
            end = kernels.lay_out(
                turned.starts, turned.entries, turned.norms, turned.place, self.low, self.high,
                first, at, run, dense, at_rare, *rare,
            )  # fmt: skip
            runs.append(run[:end].copy())
            latent[some], scale[some] = turned.packed
            first = some.stop
        bases = np.cumsum([len(r) for r in runs[: self.blocks]]).astype(np.int64)
        return {
            "ones": ones, "place": self.place, "bases": bases, "offsets": offsets,
            "runs": np.concatenate(runs), "dense": dense, "held": held_bits(dense),
            "rare_starts": self.rare_starts, "rare_rows": rare[0], "rare_codes": rare[1],
            "latent": latent, "latent_scale": scale,
        }  # fmt: skip

    def _turned(self, block: Block) -> _Turned:
        """The counts of a block by n-gram, and its latent rows."""
        columns, counts = self.features.words_.block_counts(block)
        place = np.empty(len(columns), np.int32)
        place[block.place] = np.append(self.place, np.int32(-1))[columns]
        starts = np.append(0, np.cumsum(block.users, dtype=np.int64))
        entries, free = np.empty(starts[-1], np.uint32), starts.astype(np.int32)[block.place]
        kernels.turn_counts(counts.starts, counts.grams, counts.times, free, entries)
        norms = self.features.words_.norms(counts.lengths)
        return _Turned(starts, entries, place, norms, self._packed(columns, counts))

    def _packed(self, columns: Whole, counts: Counts) -> tuple[npt.NDArray[np.uint8], Floats]:
        """The latent rows of a block, a few at a time so that they stay in the cache."""
        words, latent = self.features.words_, self.features.latent_
        weights = words.weights(counts, columns)
        place = np.append(latent.place_, np.int32(-1))[columns]
        firms, half = len(counts.lengths), -(-latent.components // 2)
        packed, scale = np.empty((firms, half), np.uint8), np.empty(firms, np.float32)
        for low in range(0, firms, TOGETHER):
            some = counts._replace(starts=counts.starts[low : low + TOGETHER + 1])
            rows = slice(low, low + TOGETHER)
            packed[rows], scale[rows] = pack(latent.rows(some, weights, place))
        return packed, scale


def _places(used: Ints, firms: int, blocks: int) -> tuple[Whole, int, int]:
    """The layout number of every n-gram, how many are dense, and the first rare one."""
    dense, rare = used > DENSE_FROM * firms, used < RARE_BELOW * blocks
    place, first = np.empty(len(used), np.int32), 0
    for some in (dense, ~dense & ~rare, rare & ~dense):
        behind = first + int(np.count_nonzero(some))
        place[some] = np.arange(first, behind)
        first = behind
    return place, int(dense.sum()), len(used) - int((rare & ~dense).sum())


def held_bits(dense: npt.NDArray[np.uint8]) -> Bits:
    """Bit sets of the codes that are not 0, 64 firms to a word."""
    words = -(-dense.shape[1] // GROUP)
    held = np.zeros((len(dense), words * GROUP // 8), np.uint8)
    for row, codes in zip(held, dense, strict=True):
        packed = np.packbits(codes > 0, bitorder="little")
        row[: len(packed)] = packed
    return held.view("<u8")


def pack(latent: Floats) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Four-bit codes, two a byte, and one scale a row; they *are* the model's latent rows.

    A row's scale is set by its greatest value, but for what is beyond three times its root mean
    square, which is cut: measured, the ranking is as good as with eight bits.
    """
    if latent.shape[1] % 2:
        latent = np.hstack([latent, np.zeros((len(latent), 1), np.float32)])
    packed = np.empty((len(latent), latent.shape[1] // 2), np.uint8)
    scale = np.empty(len(latent), np.float32)
    kernels.pack_rows(latent, packed, scale)
    return packed, scale


def unpack(packed: npt.NDArray[np.uint8], scale: Floats) -> Floats:
    """The latent rows (firms x directions) that `pack` made the codes and scales of."""
    codes = np.hstack([packed & 15, packed >> 4]).astype(np.float32) - 8
    return np.asarray(codes * scale[:, None], dtype=np.float32)
