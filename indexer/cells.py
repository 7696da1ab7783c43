"""Cells and codes: what the index keeps of a window besides its start.

The 48 directions are quantised twice. A *cell* is one of K centroids for each of two groups of 24
directions, so K² cells; it decides in which inverted list a window is. The *residual*, what the
centroids leave, is coded by one of 16 codewords for each of twelve groups of 4 directions: 6 bytes.
(Jégou, Douze and Schmid 2011, product quantization; Babenko and Lempitsky 2012, the inverted
multi-index.) Both are nearest by the Euclidean distance, the smaller index where two are equal.

    x          = 48 integers of -127 … 127
    cell       = index₀ | index₁ << b                          (K = 2^b)
    residual   = x - centroids, clipped to -128 … 127
    code       = index₀ | index₁ << 4 | … | index₁₁ << 44

All numbers are integers below 2²⁴, exact in float32, so the matrix product of any BLAS on any
number of threads finds the same cell and code as the compiled routine.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from indexer.projection import DIRECTIONS, Projection

GROUPS = 2
GROUP_DIRECTIONS = DIRECTIONS // GROUPS
SUBCODES = 12
SUBCODE_DIRECTIONS = DIRECTIONS // SUBCODES
SUBCODE_BITS = 4
CODEWORDS = 1 << SUBCODE_BITS
CODE_BYTES = SUBCODES * SUBCODE_BITS // 8
# Starts are kept as int64; a list holds a code and an id for each window.
ID_BYTES = 8
ENTRY_BYTES = CODE_BYTES + ID_BYTES
CODE_WORDS = CODE_BYTES // 2
SMALLEST_BITS = 1
LARGEST_BITS = 8
_SHIFTS = (SUBCODE_BITS * np.arange(SUBCODES, dtype=np.uint64))[:, None]


def nearest(points: NDArray[np.int8], centres: NDArray[np.int8]) -> NDArray[np.int64]:
    """Index of the nearest of centres int8[c, d] for each of points int8[k, d]: int64[k].

    argmax of ⟨x, c⟩ - ⌈|c|²/2⌉: rounded up, so that it is an integer. Exact in float32.
    """
    wide = centres.astype(np.float32)
    halves = np.ceil((wide**2).sum(axis=1) / 2)
    index: NDArray[np.int64] = np.argmax(points.astype(np.float32) @ wide.T - halves, axis=1)
    return index


@dataclass(frozen=True, eq=False)
class Coder:
    """Projection and codebooks: what turns a window into a cell and a code.

    centroids is int8[2, 2**bits, 24], codewords int8[12, 16, 4].
    """

    projection: Projection
    centroids: NDArray[np.int8]
    codewords: NDArray[np.int8]

    @property
    def bits(self) -> int:
        """Bits of a cell's index in one group."""
        return int(self.centroids.shape[1]).bit_length() - 1

    @property
    def n_cells(self) -> int:
        """Inverted lists, empty ones too."""
        return 1 << GROUPS * self.bits

    def quantise(
        self, directions: NDArray[np.int8]
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
        """(cells uint32[k], codes uint64[k]) of directions int8[k, 48]."""
        cells = np.zeros(len(directions), dtype=np.uint32)
        residual = np.empty(directions.shape, dtype=np.int8)
        for group, centroids in enumerate(self.centroids):
            span = slice(group * GROUP_DIRECTIONS, (group + 1) * GROUP_DIRECTIONS)
            index = nearest(directions[:, span], centroids)
            cells |= index.astype(np.uint32) << np.uint32(group * self.bits)
            left = directions[:, span].astype(np.int16) - centroids[index]
            residual[:, span] = np.clip(left, -128, 127)
        parts = residual.reshape(-1, SUBCODES, SUBCODE_DIRECTIONS).transpose(1, 0, 2)
        scores = parts.astype(np.float32) @ self._words - self._word_halves
        codes = np.argmax(scores, axis=2).astype(np.uint64) << _SHIFTS
        return cells, np.bitwise_or.reduce(codes, axis=0)

    @cached_property
    def _words(self) -> NDArray[np.float32]:
        """The codewords as the second factor of matrix products: float32[12, 4, 16]."""
        return np.ascontiguousarray(self.codewords.transpose(0, 2, 1), dtype=np.float32)

    @cached_property
    def _word_halves(self) -> NDArray[np.float32]:
        """⌈|p|²/2⌉ of every codeword: float32[12, 1, 16]."""
        halves: NDArray[np.float32] = np.ceil((self._words**2).sum(axis=1, keepdims=True) / 2)
        return halves

    def parts(self, slopes: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(float32[2, 2**bits], float32[12, 16]): slopes · x, centroid by centroid.

        A prediction from cell and code is the intercept and the sum of 2 + 12 of these.
        """
        by_group = slopes.reshape(GROUPS, GROUP_DIRECTIONS)
        by_subcode = slopes.reshape(SUBCODES, SUBCODE_DIRECTIONS)
        of_cells = self.centroids @ by_group[:, :, None]
        of_codes = self.codewords @ by_subcode[:, :, None]
        return of_cells[..., 0].astype(np.float32), of_codes[..., 0].astype(np.float32)

    def predictions(
        self,
        cells: NDArray[np.uint32],
        codes: NDArray[np.uint64],
        slopes: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(by cell alone, by cell and code): slopes · x of coded windows, both float64[k]."""
        of_cells, of_codes = self.parts(slopes)
        by_cell = np.zeros(len(cells))
        for group in range(GROUPS):
            index = cells >> np.uint32(group * self.bits) & np.uint32((1 << self.bits) - 1)
            by_cell += of_cells[group][index]
        index = codes >> _SHIFTS & np.uint64(CODEWORDS - 1)
        by_both = by_cell + np.take_along_axis(of_codes, index.astype(np.int64), axis=1).sum(axis=0)
        return by_cell, by_both


def pack(codes: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Codes uint64[k] as they are stored: uint16[k, 3], little-endian, the low 16 bits first."""
    words = codes.astype("<u8").view("<u2").reshape(-1, 4)
    return np.ascontiguousarray(words[:, :CODE_WORDS])
