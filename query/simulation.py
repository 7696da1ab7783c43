"""What a coder makes of simulated answers: their distances and predictions, by a compiled routine.

    simulator = Simulator(coder, uniforms)                      # once for a coder, 1 ms
    distances, by_cell, by_both = simulator.run(p, costs, *coder.parts(slopes))

is, number for number, what these say of the same uniforms, in a seventh of the time:

    windows = draw_windows(p, uniforms)
    distances = costs[np.arange(WINDOW), windows].sum(axis=1)
    cells, codes = coder.quantise(coder.projection.project(windows))
    by_cell, by_both = coder.predictions(cells, codes, slopes)
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.cells import CODEWORDS, GROUPS, SUBCODES, Coder
from indexer.ir import MachineCode, once
from indexer.projection import DIRECTIONS, FEATURES
from indexer.window import SHADES, WINDOW
from query.assembly.simulate import (
    BOUNDS,
    LANES,
    NO_SCORE,
    PIXELS,
    SIMULATE_JOB,
    TILE,
    simulate_assembly,
)

# Bytes of the largest vector. One that lies across two cache lines takes twice as long to load.
_ALIGNMENT = 64


@once
def _compiled() -> tuple[MachineCode, Callable[[int], None]]:
    """The routine of query/assembly/simulate.py, and the code it lives in; made once (20 ms)."""
    code = MachineCode(simulate_assembly(), light=True)
    return code, code.routine("simulate")


def _zeros(dtype: type[np.generic], *shape: int) -> NDArray[Any]:
    """Zeros that begin with a cache line."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(n_bytes + _ALIGNMENT, dtype=np.uint8)
    begin = -raw.ctypes.data % _ALIGNMENT
    return raw[begin : begin + n_bytes].view(dtype).reshape(shape)


def _columns(centres: NDArray[np.int8]) -> NDArray[np.float32]:
    """Centres int8[c, k, d] as the routine scores them: float32[c, vectors, 1 + d, 16].

    Lanes are centres; first what their scores start with, -⌈|c|²/2⌉, then each dimension. Lanes
    without a centre never win.
    """
    codebooks, k, dimensions = centres.shape
    n_vectors = -(-k // LANES)
    wide = centres.astype(np.int64)
    lanes = np.zeros((codebooks, n_vectors * LANES, 1 + dimensions))
    lanes[:, :, 0] = NO_SCORE
    lanes[:, :k, 0] = -((wide**2).sum(axis=2) + 1 >> 1)
    lanes[:, :k, 1:] = wide
    columns = _zeros(np.float32, codebooks, n_vectors, 1 + dimensions, LANES)
    columns[:] = lanes.reshape(codebooks, n_vectors, LANES, -1).swapaxes(2, 3)
    return columns


class Simulator:
    """A coder and the uniforms of k simulated answers, ready for one question after the other.

    uniforms is float32[k, 84], of any k above 0. After a run, cells (uint32[k]) and codes
    (uint64[k]) are those of its draws, until the next. A Simulator belongs to one thread at a time.
    It takes 0.4 MB, and no memory of the coder's.
    """

    def __init__(self, coder: Coder, uniforms: NDArray[np.float32]) -> None:
        k = len(uniforms)
        if k == 0 or uniforms.shape != (k, WINDOW):
            raise ValueError(f"uniforms are {list(uniforms.shape)}; they must be [k, {WINDOW}]")
        n_draws = -(-k // TILE) * TILE
        n_centroids = 1 << coder.bits
        weights = coder.projection.weights.astype(np.int32)
        arrays = {
            "uniforms": _zeros(np.float32, n_draws, PIXELS),
            "bounds": _zeros(np.float32, BOUNDS, PIXELS),
            "costs": _zeros(np.int32, WINDOW, SHADES),
            "sums": _zeros(np.int32, WINDOW, SHADES, DIRECTIONS),
            "factors": coder.projection.factors.astype(np.float32),
            "columns": _columns(coder.centroids),
            "centroids": coder.centroids.astype(np.float32, order="C"),
            "words": _columns(coder.codewords),
            "of_cells": _zeros(np.float32, GROUPS, n_centroids),
            "of_codes": _zeros(np.float32, SUBCODES, CODEWORDS),
            "distances": _zeros(np.int64, n_draws),
            "by_cell": _zeros(np.float64, n_draws),
            "by_both": _zeros(np.float64, n_draws),
            "cells": _zeros(np.uint32, n_draws),
            "codes": _zeros(np.uint64, n_draws),
        }
        arrays["uniforms"][:k, :WINDOW] = uniforms
        arrays["sums"][:] = np.einsum("dfi,fv->ivd", weights, FEATURES)
        numbers = {
            "n_draws": n_draws,
            "n_centroids": n_centroids,
            "n_vectors": arrays["columns"].shape[1],
            "bits": coder.bits,
        }
        # The job holds addresses; the arrays are kept so that they stay valid.
        self._arrays = arrays
        addresses = {name: array.ctypes.data for name, array in arrays.items()}
        fields = numbers | addresses
        self._job = np.array([fields[name] for name in SIMULATE_JOB.fields], dtype=np.int64)
        self._address = self._job.ctypes.data
        self._bounds = arrays["bounds"][:, :WINDOW]
        self.cells = arrays["cells"][:k]
        self.codes = arrays["codes"][:k]
        self._routine = _compiled()[1]

    def run(
        self,
        p: NDArray[np.float64],
        costs: NDArray[np.int32],
        of_cells: NDArray[np.float32],
        of_codes: NDArray[np.float32],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """(distances int64[k], by cell alone float64[k], by cell and code float64[k]).

        p is float64[84, 10], the law of each pixel's digit; costs int32[84, 10]; of_cells
        float32[2, 2**bits] and of_codes float32[12, 16] as Coder.parts gives them. What comes back
        is the caller's. O(k (84 · 48 + 48 · 2**bits)); 0.1 ms for 384 draws at 8 bits.
        """
        self._fill("costs", costs)
        self._fill("of_cells", of_cells)
        self._fill("of_codes", of_codes)
        if p.shape != (WINDOW, SHADES):
            raise ValueError(f"p is {list(p.shape)}; it must be [{WINDOW}, {SHADES}]")
        # rounded after it is summed, as draw_windows does
        self._bounds[:] = np.cumsum(p, axis=1).T[:BOUNDS]
        self._routine(self._address)
        k = len(self.cells)
        distances, by_cell, by_both = (
            self._arrays[name][:k].copy() for name in ("distances", "by_cell", "by_both")
        )
        return distances, by_cell, by_both

    def _fill(self, name: str, values: NDArray[Any]) -> None:
        array = self._arrays[name]
        if values.shape != array.shape or values.dtype != array.dtype:
            raise ValueError(
                f"{name} is {values.dtype}{list(values.shape)}; "
                f"it must be {array.dtype}{list(array.shape)}"
            )
        array[:] = values
