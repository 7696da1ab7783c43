"""The compiled coder: cells and codes of every window of a stretch of digits.

`Coder.quantise(projection.project_stretch(digits))` is the definition, and the way of processors
without AVX-512 VNNI. For those with it the routine of indexer/coding_assembly.py gives the same, 20
times as fast as the matrix products.
"""

import numpy as np
from numpy.typing import NDArray

from indexer.cells import LARGEST_BITS, Coder
from indexer.coding_assembly import BLOCK, BLOCK_DIGITS, JOB, PASS, QUADS, assembly
from indexer.errors import UsageError
from indexer.ir import MachineCode, host_features, once
from indexer.projection import FEATURES
from indexer.window import SHADES, WINDOW, count_windows

COMPILED = "avx512vnni"
NUMPY = "numpy"
# Of every processor with VNNI. VBMI 2, which nearly all of them have, makes a key in one step.
REQUIRED_FEATURES = ("avx512f", "avx512bw", "avx512vl", "avx512vnni")

# Windows of a block of the matrix products: 4 MB of scores. With twice as many the allocator gives
# them back to the system each time, which takes a third of the time.
NUMPY_BLOCK = 1 << 12

# From |factor| = 4096 on any sum but 0 leaves -127 … 127; up to there products fit an int32.
_LARGEST_FACTOR = 4096.0

_CellsAndCodes = tuple[NDArray[np.uint32], NDArray[np.uint64]]


def available() -> tuple[str, ...]:
    """The ways of coding that this processor has, best first; numpy is always the last."""
    return (COMPILED, NUMPY) if host_features().issuperset(REQUIRED_FEATURES) else (NUMPY,)


class WindowCoder:
    """Codes all windows of stretches of digits, by the named way or the best there is.

    `name` is the way in use. A WindowCoder may be used by several threads at once.
    Raises UsageError for a way that is unknown or that this processor lacks.
    """

    def __init__(self, coder: Coder, name: str | None = None) -> None:
        choices = available()
        if name not in {None, *choices}:
            names = ", ".join(choices)
            raise UsageError(f"way of coding {name} is not one of this processor's: {names}")
        self.name = name or choices[0]
        self._coder = coder
        if self.name == COMPILED:
            self._tables = _tables(coder)
            self._routine = _machine_code().routine("code")
        else:
            self._band = coder.projection.band()

    def code(self, ascii_digits: NDArray[np.uint8]) -> _CellsAndCodes:
        """(cells uint32[n], codes uint64[n]) of the n = len - 83 windows of uint8[len], ASCII.

        The bytes are '0' … '9', which nothing checks. Releases the interpreter's lock.
        O(n × (84 × 2 × 48 + 48 × 2**bits)) products of bytes; 55 ns a window at 8 bits by
        AVX-512 VNNI, 1.2 µs by numpy.
        """
        digits = np.ascontiguousarray(ascii_digits, dtype=np.uint8)
        run = self._multiply if self.name == NUMPY else self._run
        return run(digits, count_windows(len(digits)))

    def _multiply(self, digits: NDArray[np.uint8], n_windows: int) -> _CellsAndCodes:
        cells = np.empty(n_windows, dtype=np.uint32)
        codes = np.empty(n_windows, dtype=np.uint64)
        for begin in range(0, n_windows, NUMPY_BLOCK):
            span = slice(begin, begin + NUMPY_BLOCK)
            stretch = digits[begin : begin + NUMPY_BLOCK + WINDOW - 1] & np.uint8(15)
            directions = self._coder.projection.project_stretch(stretch, self._band)
            cells[span], codes[span] = self._coder.quantise(directions)
        return cells, codes

    def _run(self, digits: NDArray[np.uint8], n_windows: int) -> _CellsAndCodes:
        if n_windows < BLOCK:
            # A block needs 147 digits: zeros follow, and the windows they are in are cut off.
            digits = np.pad(digits, (0, BLOCK_DIGITS - len(digits)), constant_values=ord("0"))
        size = max(n_windows, BLOCK)
        cells, codes = np.empty(size, dtype=np.uint32), np.empty(size, dtype=np.uint64)
        arrays = {**self._tables, "digits": digits, "cells": cells, "codes": codes}
        values = {name: array.ctypes.data for name, array in arrays.items()}
        values["n_windows"] = size
        values["n_centroids"] = self._coder.centroids.shape[1]
        values["bits"] = self._coder.bits
        job = np.array([values[field] for field in JOB.fields], dtype=np.int64)
        self._routine(job.ctypes.data)
        return cells[:n_windows], codes[:n_windows]


def _tables(coder: Coder) -> dict[str, NDArray[np.generic]]:
    """The fields of a job that depend on the coder alone."""
    weights, factors = coder.projection.weights, coder.projection.factors
    least = FEATURES.min(axis=1)
    features = np.zeros((2, 4, 16), dtype=np.uint8)
    features[:, :, :SHADES] = (FEATURES - least[:, None])[:, None]
    by_pass = weights.reshape(-1, PASS, 2, QUADS, 4).transpose(0, 3, 2, 1, 4)
    return {
        "features": features,
        "weights": np.ascontiguousarray(by_pass),
        "offsets": (weights.sum(axis=2, dtype=np.int64) @ least).astype(np.int32),
        "factors": np.clip(factors, -_LARGEST_FACTOR, _LARGEST_FACTOR).astype(np.float32),
        "centroids": np.ascontiguousarray(coder.centroids),
        "centroid_records": _records(coder.centroids),
        "codeword_records": _records(coder.codewords),
    }


def _records(centres: NDArray[np.int8]) -> NDArray[np.int32]:
    """int32[..., k, packs + 2] of centres int8[..., k, 4 · packs]: weights, first term, key."""
    wide = centres.astype(np.int64)
    halves = ((wide**2).sum(axis=-1) + 1) // 2
    ranks = (1 << LARGEST_BITS) - 1 - np.arange(centres.shape[-2], dtype=np.uint32)
    weights = np.ascontiguousarray(centres).view(np.int32)
    starts = -halves - 128 * wide.sum(axis=-1)
    # The rank is what the shift moves in from the right: the upper 8 bits.
    keys = np.broadcast_to((ranks << np.uint32(32 - LARGEST_BITS)).view(np.int32), starts.shape)
    return np.concatenate([weights, starts[..., None], keys[..., None]], axis=-1, dtype=np.int32)


@once
def _machine_code() -> MachineCode:
    """The routine, compiled once a process."""
    return MachineCode(assembly())
