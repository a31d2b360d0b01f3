"""The layout of a set of firms: their words by n-gram, their latent rows, all in flat arrays.

A word weight is an eight-bit code: the share of its n-gram's ceiling idf x (k1 + 1) that a firm's
BM25 weight reaches. The codes, not the numbers they were rounded from, *are* the word weights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from zyz_match.matching import kernels
from zyz_match.matching.features import FirmFeatures
from zyz_match.matching.kernels import BLOCK, GROUP
from zyz_match.matching.phrases import Cut
from zyz_match.matching.threads import beside, in_order
from zyz_match.matching.words import Counts, Cover

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Whole = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint64]
DENSE_FROM = 0.2  # share of the firms from which an n-gram is one row of codes
RARE_BELOW = 4  # firms a block, on average, below which an n-gram is one list for all blocks
LARGEST = 2**31 - 1
MANY = 4096  # latent rows that are worth a second thread


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

    def cover(self, asked: Cover, blocks: range, out: Bits) -> None:
        """Which firms of some blocks hold every n-gram of each term, as bit sets."""
        kernels.cover(
            self.bases, self.offsets, self.runs, self.held, self.rare_starts, self.rare_rows,
            len(self.dense), self._first_rare, self.place[asked.columns], asked.starts,
            asked.needed, blocks.start, blocks.stop, out,
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


class _Builder:
    """Streams the counts of a cut table into the arrays of a segment, one block at a time."""

    def __init__(self, features: FirmFeatures, cut: Cut) -> None:
        self.features, self.cut = features, cut
        self.firms = len(cut)
        self.blocks = max(1, -(-self.firms // BLOCK))
        used = features.words_.frequencies(cut)
        self.place, self.low, self.high = _places(used, self.firms, self.blocks)
        rare = used[np.argsort(self.place, kind="stable")[self.high :]]
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
        runs, offsets = [], []
        for first, counts, packed in self._counted():
            some = slice(first, first + len(counts.lengths))
            norms = self.features.words_.norms(counts.lengths)
            ones[some] = np.maximum(1, np.rint(kernels.TOP_CODE / (1 + norms)))
            at = self._offsets(counts)
            run = np.zeros(at[-1], np.uint16)
            kernels.fill_runs(
                counts.starts, counts.grams, counts.times, norms, self.place, self.low, self.high,
                first, at[:-1].copy(), run, dense, at_rare, *rare,
            )  # fmt: skip
            runs.append(run)
            offsets.append(at.astype(np.uint32))
            latent[some], scale[some] = packed
        bases = np.append(0, np.cumsum([len(r) for r in runs]))[:-1].astype(np.int64)
        return {
            "ones": ones, "place": self.place, "bases": bases, "offsets": np.array(offsets),
            "runs": np.concatenate(runs), "dense": dense, "held": held_bits(dense),
            "rare_starts": self.rare_starts, "rare_rows": rare[0], "rare_codes": rare[1],
            "latent": latent, "latent_scale": scale,
        }  # fmt: skip

    def _counted(self) -> Iterator[tuple[int, Counts, tuple[npt.NDArray[np.uint8], Floats]]]:
        """First row, counts and latent rows of each block, made on two threads."""
        words, latent = self.features.words_, self.features.latent_

        def count(first: int) -> tuple[int, Counts, tuple[npt.NDArray[np.uint8], Floats]]:
            counts = words.counts(self.cut, first, min(first + BLOCK, self.firms))
            return first, counts, pack(latent.rows(counts, words.weights(counts)))

        return in_order(count, range(0, max(self.firms, 1), BLOCK))

    def _offsets(self, counts: Counts) -> Ints:
        sizes = np.zeros(2 * (self.high - self.low), np.int64)
        kernels.size_runs(
            counts.starts, counts.grams, counts.times, self.place, self.low, self.high, sizes
        )
        return np.append(0, np.cumsum(sizes)).astype(np.int64)


def _places(used: Ints, firms: int, blocks: int) -> tuple[Whole, int, int]:
    """The layout number of every n-gram, how many are dense, and the first rare one."""
    dense, rare = used > DENSE_FROM * firms, used < RARE_BELOW * blocks
    order = np.argsort(np.where(dense, 0, np.where(rare, 2, 1)), kind="stable")
    place = np.empty(len(used), np.int32)
    place[order] = np.arange(len(used), dtype=np.int32)
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
    usual = 3 * np.sqrt(np.mean(latent * latent, axis=1))
    peak = np.minimum(np.abs(latent).max(axis=1, initial=0.0), usual)
    scale = (np.maximum(peak, 1e-12) / 7).astype(np.float32)
    codes = (np.rint(latent / scale[:, None]).clip(-7, 7) + 8).astype(np.uint8)
    half = codes.shape[1] // 2
    return codes[:, :half] | (codes[:, half:] << 4), scale


def unpack(packed: npt.NDArray[np.uint8], scale: Floats) -> Floats:
    """The latent rows (firms x directions) that `pack` made the codes and scales of."""
    codes = np.hstack([packed & 15, packed >> 4]).astype(np.float32) - 8
    return np.asarray(codes * scale[:, None], dtype=np.float32)
