"""The loops one would write first, in C, over decimals in memory, and how answers are merged."""

import ctypes
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.window import WINDOW, count_windows
from measuring.machine import address, compile_c
from query.metrics import CostTable

TOP = 10
# A call of C cannot be interrupted, so it gets about a second's worth of windows.
_MOST_WINDOWS = 1 << 26
_BY_DIFFERENCE = {"l1": "absolute_loop", "l2": "squared_loop"}

# (start, distance) of the best windows, in order.
Best = list[tuple[int, int]]


def merge(parts: Iterable[Best]) -> Best:
    """The best of several answers: by distance, then start.

    >>> merge([[(5, 20), (9, 30)], [(2, 20)]])
    [(2, 20), (5, 20), (9, 30)]
    """
    found = [pair for part in parts for pair in part]
    return sorted(found, key=lambda pair: (pair[1], pair[0]))[:TOP]


def shares(n_windows: int, threads: int, most: int = _MOST_WINDOWS) -> list[tuple[int, int]]:
    """(first, number) of windows in turn: so many for every thread alike, `most` or fewer each.

    >>> shares(10, threads=2, most=4)
    [(0, 3), (3, 3), (6, 3), (9, 1)]
    """
    rounds = -(-n_windows // (threads * most))
    size = max(1, -(-n_windows // (threads * rounds))) if rounds else 1
    return [(first, min(size, n_windows - first)) for first in range(0, n_windows, size)]


class Loops:
    """Plain loops over all windows, made by gcc -O3 -march=native, in one thread or several.

    With more than one, consecutive windows go to each, with a top ten of their own; these are
    merged.
    """

    def __init__(self, digits: NDArray[np.uint8]) -> None:
        self.library = compile_c("loops.c")
        self._digits = digits

    def by_table(self, table: CostTable, n: int, threads: int = 1) -> Best:
        """The best of the first n decimals by the sum of 84 entries of the cost table."""
        costs = np.ascontiguousarray(table.costs)
        return self._search(self.library.cost_loop, costs, n, threads)

    def by_difference(
        self, bitmap: NDArray[np.uint8], metric: str, n: int, threads: int = 1
    ) -> Best:
        """The same for l1 or l2 alone: the sum of |d - r| or (d - r)², without a table."""
        ascii_ = bitmap.reshape(WINDOW) + np.uint8(ord("0"))
        return self._search(getattr(self.library, _BY_DIFFERENCE[metric]), ascii_, n, threads)

    def _search(self, function: Any, reference: NDArray[Any], n: int, threads: int) -> Best:
        walk = partial(self._walk, function, reference)
        with ThreadPoolExecutor(threads) as pool:
            return merge(pool.map(walk, shares(count_windows(n), threads)))

    def _walk(self, function: Any, reference: NDArray[Any], share: tuple[int, int]) -> Best:
        first, n_windows = share
        starts = np.zeros(TOP, dtype=np.int64)
        distances = np.full(TOP, np.iinfo(np.int64).max)
        results = (address(starts), address(distances), TOP)
        digits = self._digits[first:]
        function(address(digits), ctypes.c_int64(n_windows), address(reference), *results)
        found = min(TOP, n_windows)
        pairs = zip(starts[:found].tolist(), distances[:found].tolist(), strict=True)
        return [(first + start, distance) for start, distance in pairs]
