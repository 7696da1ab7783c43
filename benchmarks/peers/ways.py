"""Other people's ways to look at every window: NumPy, numba, stumpy, FFT and FAISS's flat index.

Each is what its users would write with some care: blocks that stay in the cache, integers as small
as the sums allow, two threads where the library lets go of the interpreter's lock.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faiss
import numba
import numpy as np
import scipy.signal
import stumpy
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from indexer.window import WINDOW, count_windows
from peers.loops import TOP, Best, merge, shares

_ZERO = ord("0")
# Windows a block: what was fastest here of the powers of two.
NUMPY_BLOCK = 1 << 18
FFT_BLOCK = 1 << 17
STUMPY_BLOCK = 1 << 16
# Windows materialised at a time for FAISS: 88 MB.
_FAISS_BLOCK = 1 << 18


class Nearest:
    """The best ten of distances that come in blocks, by ascending start."""

    def __init__(self) -> None:
        self._best: Best = []

    def add(self, first: int, distances: NDArray[Any]) -> None:
        """Take in the distances of consecutive windows, the first of which is at start `first`."""
        if len(self._best) == TOP and distances.min() >= self._best[-1][1]:
            return
        highest = distances.max()
        if len(distances) > TOP:
            highest = np.partition(distances, TOP - 1)[TOP - 1]
        near = np.flatnonzero(distances <= highest)
        found = [(first + int(k), int(distances[k])) for k in near]
        self._best = merge([self._best, found])

    def best(self) -> Best:
        """The ten."""
        return self._best


class Blocks:
    """A way that makes the distances of a block of windows at a time, in one thread or several.

    `measure` gets the digits of a block (uint8, ASCII) and returns a distance for each window.
    """

    def __init__(
        self,
        digits: NDArray[np.uint8],
        measure: Callable[[NDArray[np.uint8]], NDArray[Any]],
        block: int,
        threads: int,
    ) -> None:
        self._digits = digits
        self._measure = measure
        self._block = block
        self._threads = threads

    def __call__(self) -> Best:
        """The best ten."""
        parts = shares(count_windows(len(self._digits)), self._threads, 64 * self._block)
        if self._threads == 1:
            return merge(map(self._walk, parts))
        with ThreadPoolExecutor(self._threads) as pool:
            return merge(pool.map(self._walk, parts))

    def _walk(self, share: tuple[int, int]) -> Best:
        first, n_windows = share
        nearest = Nearest()
        for start in range(first, first + n_windows, self._block):
            stop = min(start + self._block, first + n_windows)
            nearest.add(start, self._measure(self._digits[start : stop + WINDOW - 1]))
        return nearest.best()


def by_numpy(bitmap: NDArray[np.uint8], metric: str) -> Callable[..., NDArray[np.uint16]]:
    """NumPy: for each shade one plane of costs, then 84 shifted planes added up.

    8 times as fast as np.abs(sliding_window_view(digits, 84) - bitmap).sum(1), which makes 84
    numbers for each window. All sums fit 16 bits (84 · 81 = 6804).
    """
    reference = bitmap.reshape(WINDOW).tolist()
    shades = sorted(set(reference))

    def measure(digits: NDArray[np.uint8]) -> NDArray[np.uint16]:
        levels = digits.astype(np.int16) - _ZERO
        planes = {}
        for shade in shades:
            steps = levels - shade
            planes[shade] = (np.abs(steps) if metric == "l1" else steps * steps).view(np.uint16)
        n_windows = len(digits) - WINDOW + 1
        total = np.zeros(n_windows, dtype=np.uint16)
        for i, shade in enumerate(reference):
            np.add(total, planes[shade][i : i + n_windows], out=total)
        return total

    return measure


def by_fft(bitmap: NDArray[np.uint8]) -> Callable[..., NDArray[np.float32]]:
    """FFT (scipy.signal.oaconvolve): Σd² - 2 Σdr + Σr², for l2 alone.

    Digits and reference less 4.5, which keeps the sums small: the running sums of squares are
    quarters below 2²², so float32 holds them exactly for FFT_BLOCK digits, and the error of the
    correlation is about 0.001. What is rounded is the whole distance.
    """
    centred = bitmap.reshape(WINDOW).astype(np.float32) - np.float32(4.5)
    kernel = np.ascontiguousarray(-2 * centred[::-1])
    constant = np.float32(np.square(centred).sum())

    def measure(digits: NDArray[np.uint8]) -> NDArray[np.float32]:
        levels = digits.astype(np.float32)
        levels -= np.float32(_ZERO + 4.5)
        distances: NDArray[np.float32] = scipy.signal.oaconvolve(levels, kernel, "valid")
        levels *= levels
        sums = np.zeros(len(digits) + 1, dtype=np.float32)
        np.cumsum(levels, out=sums[1:])
        distances += sums[WINDOW:]
        distances -= sums[:-WINDOW]
        distances += constant
        return np.rint(distances, out=distances)

    return measure


def by_stumpy(bitmap: NDArray[np.uint8], metric: str) -> Callable[..., NDArray[np.int64]]:
    """stumpy.mass without normalisation: Minkowski's distance of every window, p = 1 or 2.

    It is scipy's cdist over rolling windows, 84 doubles each; so it gets blocks.
    """
    query = bitmap.reshape(WINDOW).astype(np.float64)
    power = 1 if metric == "l1" else 2

    def measure(digits: NDArray[np.uint8]) -> NDArray[np.int64]:
        series = digits.astype(np.float64) - _ZERO
        profile = stumpy.mass(query, series, normalize=False, p=float(power))
        return np.rint(profile**power).astype(np.int64)

    return measure


@numba.njit(nogil=True)
def _absolute(window, reference):  # type: ignore[no-untyped-def]
    total = 0
    for i in range(WINDOW):
        total += abs(np.int32(window[i]) - np.int32(reference[i]))
    return total


@numba.njit(nogil=True)
def _squared(window, reference):  # type: ignore[no-untyped-def]
    total = 0
    for i in range(WINDOW):
        step = np.int32(window[i]) - np.int32(reference[i])
        total += step * step
    return total


@numba.njit(nogil=True)
def _keep(start, distance, starts, distances):  # type: ignore[no-untyped-def]
    k = TOP - 1
    while k > 0 and distances[k - 1] > distance:
        distances[k] = distances[k - 1]
        starts[k] = starts[k - 1]
        k -= 1
    distances[k] = distance
    starts[k] = start
    return distances[TOP - 1]


def by_numba(metric: str, *, parallel: bool) -> Callable[..., None]:
    """numba: two nested loops and an insertion; with `parallel` by prange over chunks.

    The function takes digits, reference (uint8[84], ASCII), the bounds of chunks (int64[k + 1]),
    and writes starts and distances int64[k, 10], of which distances come in as large numbers. A
    function of its own for one window's distance: with its loop in the other one LLVM makes no
    vector code, and all takes six times as long.
    """
    distance = _absolute if metric == "l1" else _squared

    @numba.njit(nogil=True)
    def walk(digits, reference, first, stop, starts, distances):  # type: ignore[no-untyped-def]
        limit = distances[TOP - 1]
        for start in range(first, stop):
            total = distance(digits[start : start + WINDOW], reference)
            if total < limit:
                limit = _keep(start, total, starts, distances)

    @numba.njit(nogil=True, parallel=parallel)
    def walk_chunks(digits, reference, bounds, starts, distances):  # type: ignore[no-untyped-def]
        for k in numba.prange(len(bounds) - 1):
            walk(digits, reference, bounds[k], bounds[k + 1], starts[k], distances[k])

    compiled: Callable[..., None] = walk_chunks
    return compiled


class NumbaLoop:
    """numba's loop over decimals; it is compiled when it is made, over a few of them."""

    def __init__(
        self, digits: NDArray[np.uint8], bitmap: NDArray[np.uint8], metric: str, threads: int
    ) -> None:
        self._digits = digits
        self._reference = bitmap.reshape(WINDOW) + np.uint8(_ZERO)
        self._threads = threads
        self._walk = by_numba(metric, parallel=threads > 1)
        self._run(digits[: 100 * WINDOW])

    def __call__(self) -> Best:
        """The best ten."""
        return self._run(self._digits)

    def _run(self, digits: NDArray[np.uint8]) -> Best:
        if self._threads > 1:
            numba.set_num_threads(min(self._threads, numba.config.NUMBA_NUM_THREADS))
        parts = shares(count_windows(len(digits)), self._threads)
        firsts = [first for first, _ in parts]
        best: list[Best] = []
        # a call cannot be interrupted: a chunk for each thread at a time
        for k in range(0, len(parts), self._threads):
            chunk = [*firsts[k : k + self._threads], sum(parts[k : k + self._threads][-1])]
            starts = np.zeros((len(chunk) - 1, TOP), dtype=np.int64)
            distances = np.full_like(starts, np.iinfo(np.int64).max)
            self._walk(digits, self._reference, np.array(chunk), starts, distances)
            pairs = zip(starts.ravel().tolist(), distances.ravel().tolist(), strict=True)
            best.append([pair for pair in pairs if pair[1] < np.iinfo(np.int64).max])
        return merge(best)


class FlatIndex:
    """FAISS brute force: every window materialised as 84 float32, in an IndexFlat a thread.

    One query is one thread's work for IndexFlat, so the windows are cut into IndexShards.
    """

    def __init__(
        self, digits: NDArray[np.uint8], bitmap: NDArray[np.uint8], metric: str, threads: int
    ) -> None:
        kind = faiss.METRIC_L1 if metric == "l1" else faiss.METRIC_L2
        self._query = bitmap.reshape(1, WINDOW).astype(np.float32)
        windows = sliding_window_view(digits, WINDOW)
        self._flats = []  # a child does not keep its parent alive, nor the other way round
        for first, count in shares(len(windows), threads):
            flat = faiss.IndexFlat(WINDOW, kind)
            for start in range(first, first + count, _FAISS_BLOCK):
                stop = min(start + _FAISS_BLOCK, first + count)
                flat.add(windows[start:stop].astype(np.float32) - np.float32(_ZERO))
            self._flats.append(flat)
        self._shards = {}
        for threaded in (False, True):
            shards = faiss.IndexShards(WINDOW, threaded, True)
            for flat in self._flats:
                shards.add_shard(flat)
            self._shards[threaded] = shards

    def search(self, *, threaded: bool) -> Best:
        """The best ten, in FAISS's own order among equals; one shard after the other or all."""
        distances, labels = self._shards[threaded].search(self._query, TOP)
        found = zip(labels[0].tolist(), np.rint(distances[0]).astype(int).tolist(), strict=True)
        return merge([list(found)])


def same_answer(found: Best, right: Best, *, ties: bool = True) -> bool:
    """Whether an answer is the right one; without `ties`, but for windows as far as the last.

    Among windows of the tenth's distance a library may choose any.

    >>> same_answer([(5, 20), (9, 30)], [(5, 20), (7, 30)], ties=False)
    True
    """
    if ties:
        return found == right
    last = right[-1][1] if right else 0
    closer = [{pair for pair in best if pair[1] < last} for best in (found, right)]
    distances = [sorted(pair[1] for pair in best) for best in (found, right)]
    return closer[0] == closer[1] and distances[0] == distances[1]
