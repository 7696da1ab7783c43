"""The windows that an index's own predictions put first: what it finds without exact distances.

    best = ByPrediction(coder, lists)
    best.closest(table, 10)          # starts of the ten windows of least prediction

The same windows as FAISS's search of the index over all lists, with the inner product and minus the
question's slopes, in a hundredth of its time: only lists and codes within a limit are looked at.
The limit is raised until it is certain that the ten are within.
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from indexer.cells import SUBCODES, Coder
from indexer.window import SHADES, WINDOW
from query.lists import Limits, ListQuery, Lists, ListSearch
from query.metrics import CostTable

_SAMPLE = 20_000
_SEED = 2718
# Windows to expect within the first limit, for each one wanted; each next one expects more.
_FIRST, _MORE = 4, 8


def quantise_at(
    coder: Coder, digits: NDArray[np.uint8], starts: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """Cells and codes of the windows of uint8[n] ASCII at some starts: uint32[k], uint64[k]."""
    windows = digits[starts[:, None] + np.arange(WINDOW)] & np.uint8(15)
    return coder.quantise(coder.projection.project(windows))


class RandomWindows:
    """What a coder predicts for random windows."""

    def __init__(self, coder: Coder) -> None:
        self._coder = coder
        random = np.random.default_rng(_SEED)
        windows = random.integers(0, SHADES, (_SAMPLE, WINDOW), dtype=np.uint8)
        self._coded = coder.quantise(coder.projection.project(windows))

    def law(self, slopes: NDArray[np.float64]) -> NormalDist:
        """The normal law of mean and deviation of the predictions for a question's slopes."""
        predictions = self._coder.predictions(*self._coded, slopes)[1]
        return NormalDist(float(predictions.mean()), max(float(predictions.std()), 1e-9))


class ByPrediction:
    """Ranks the windows of an index's lists by their predicted distances, smaller starts first."""

    def __init__(self, coder: Coder, lists: Lists) -> None:
        self._coder = coder
        self._lists = lists
        self._search = ListSearch(lists)
        self._random = RandomWindows(coder)

    def closest(self, table: CostTable, top: int) -> NDArray[np.int64]:
        """Starts of the `top` windows of least prediction: int64[top]."""
        slopes = self._coder.projection.slopes(table.costs)[1]
        query = ListQuery(*self._coder.parts(slopes), table.padded())
        law = self._random.law(slopes)
        # The routine compares codes in whole levels: each of the parts is off by half a one.
        margin = (SUBCODES / 2 + 1) * query.unit
        wanted = float(_FIRST * top)
        while True:
            share = wanted / self._lists.n_windows
            limit = law.inv_cdf(share) if share < 0.5 else np.inf
            starts = self._within(query, limit, table.law.highest)
            values = self._predict(starts, slopes)
            order = np.lexsort((starts, values))[:top]
            certain = len(order) == top and values[order[-1]] <= limit - margin
            if certain or np.isinf(limit):
                return starts[order]
            wanted *= _MORE

    def _within(self, query: ListQuery, limit: float, highest: int) -> NDArray[np.int64]:
        """Starts of the windows whose prediction, in levels, is within a limit."""
        probes = self._search.find_probes(query, Limits(np.inf, limit))
        self._search.begin(probes, 0, probes.n_lists)
        found = [np.empty(0, dtype=np.int64)]
        while not self._search.finished:
            found.append(self._search.run(highest)[:, 0])
        return np.concatenate(found)

    def _predict(
        self, starts: NDArray[np.int64], slopes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Predictions by cell and code of the windows at some starts: float64[k]."""
        coded = quantise_at(self._coder, self._lists.digits, starts)
        return self._coder.predictions(*coded, slopes)[1]
