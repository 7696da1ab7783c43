"""The best windows so far, whoever finds them."""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Ranking:
    """Windows in order: distance, then start. starts int64[k], 0-based; distances int64[k]."""

    starts: NDArray[np.int64]
    distances: NDArray[np.int64]


def join(rankings: Sequence[Ranking], top: int) -> Ranking:
    """The first `top` of the union of windows found, each once, by distance and then start.

    A join: associative, commutative and idempotent, so that what is found twice, late or in any
    order changes nothing. The parts need not be in order. O(k log k) for k windows.

    >>> join([Ranking([5, 9], [20, 30]), Ranking([9, 2], [30, 20])], top=2)   # arrays, rather
    Ranking([2, 5], [20, 20])
    """
    starts = np.concatenate([ranking.starts for ranking in rankings])
    distances = np.concatenate([ranking.distances for ranking in rankings])
    order = np.lexsort((starts, distances))
    starts, distances = starts[order], distances[order]
    fresh = np.ones(len(starts), dtype=bool)  # a window has one distance: what is equal is adjacent
    fresh[1:] = starts[1:] != starts[:-1]
    return Ranking(starts[fresh][:top], distances[fresh][:top])


class Best:
    """The best `top` windows so far, shared by the threads of one scan.

    What is found waits in a pile until there is as much of it as of the best, so that sorting costs
    O(log n) for each window found, also where hundreds of thousands are asked for.
    """

    _SMALLEST_PILE = 1024

    def __init__(self, top: int, limit: int) -> None:
        self.top = top
        self._limit = limit
        self._ranking = Ranking(np.empty(0, np.int64), np.empty(0, np.int64))
        self._pile: list[Ranking] = []
        self._piled = 0
        self._lock = threading.Lock()

    def add(self, found: Ranking) -> None:
        """Take in windows, in any order."""
        with self._lock:
            self._pile.append(found)
            self._piled += len(found.starts)
            ranked = len(self._ranking.starts)
            enough = ranked < self.top <= ranked + self._piled  # there is a worst one now
            if enough or self._piled >= max(ranked, self._SMALLEST_PILE):
                self._sort()

    def _sort(self) -> None:
        self._ranking = join([self._ranking, *self._pile], self.top)
        self._pile, self._piled = [], 0

    def ranking(self) -> Ranking:
        """The best windows of all that were added."""
        with self._lock:
            self._sort()
            return self._ranking

    def limit_from(self, start: int) -> int:
        """The largest distance with which a window at `start` or later can still get in."""
        with self._lock:
            if len(self._ranking.starts) < self.top:
                return self._limit
            worst = int(self._ranking.distances[-1])
            return worst - 1 if start > self._ranking.starts[-1] else worst


def enough(wanted: int) -> float:
    """How many windows a limit should be expected to hold, so that `wanted` are within it.

    6 deviations above it: that fewer are found happens once in 10^8 searches of random digits.
    """
    return wanted + 6 * math.sqrt(wanted) + 10
