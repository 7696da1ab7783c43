"""The index asked without calibration: as many cells, and as many windows scored, for every logo.

That is how an inverted file is used plainly: one `nprobe`, and one number of candidates to score
again. Both are chosen as well as can be, from the true answers themselves: the least numbers with
which as many of them are lost as the calibrated search loses, three tenths of these at the cells.
The limits that give a question its number of cells and of windows are found before the clock
starts. So what is measured is less than such a search would take.
"""

import heapq
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ablations.predicted import RandomWindows, quantise_at
from indexer.cells import GROUPS, Coder
from measuring.index_questions import TOP, Asked, Opened
from query.candidates import Found
from query.list_shards import ListShards, Pass
from query.lists import Limits, ListQuery
from query.metrics import CostTable
from query.ranking import Best, Ranking, enough

CELLS_SHARE = 0.3
# A number of windows scored may be off by so much of itself.
_TOLERANCE = 0.02
_STEPS = 24


@dataclass(frozen=True)
class Setting:
    """The same for every logo: cells probed, empty ones too, and windows scored."""

    n_cells: int
    n_scored: int


@dataclass(frozen=True, eq=False)
class Prepared:
    """A question as the lists need it, and where its true answers are.

    of_cells float32[k] and predictions float64[k] are those of the true windows.
    """

    table: CostTable
    query: ListQuery
    slopes: NDArray[np.float64]
    of_cells: NDArray[np.float32]
    predictions: NDArray[np.float64]


class FixedSearch:
    """Asks an index with one setting for all questions."""

    def __init__(self, opened: Opened) -> None:
        self._coder = opened.coder
        self._lists: ListShards = opened.lists
        self._digits = opened.digits
        self._n_windows = opened.n_windows
        self._random = RandomWindows(opened.coder)

    def prepare(self, table: CostTable, truth: Ranking) -> Prepared:
        """What tuning and asking need of a question."""
        slopes = self._coder.projection.slopes(table.costs)[1]
        cells, codes = quantise_at(self._coder, self._digits, truth.starts)
        predictions = self._coder.predictions(cells, codes, slopes)[1]
        of_cells = cell_sums(self._coder, slopes, cells)
        return Prepared(table, _query(self._coder, table), slopes, of_cells, predictions)

    def tune(self, questions: Sequence[Prepared], n_lost: int) -> Setting:
        """The least numbers with which about n_lost of the questions' true windows are lost."""
        ranks = np.sort(np.concatenate([cell_ranks(one.query, one.of_cells) for one in questions]))
        n_cells = int(ranks[-1 - min(round(CELLS_SHARE * n_lost), len(ranks) - 1)])
        lost = int((ranks > n_cells).sum())
        scored = heapq.merge(*(self._ranks(one, n_cells) for one in questions), reverse=True)
        n_scored = next(itertools.islice(scored, max(0, n_lost - lost), None), 0)
        return Setting(n_cells, n_scored)

    def _ranks(self, question: Prepared, n_cells: int) -> Iterator[int]:
        """How many windows in so many cells are predicted as close as each true one, falling."""
        cell = cell_limit(question.query, n_cells)
        kept = question.predictions[question.of_cells <= cell]
        for prediction in np.sort(kept)[::-1]:
            yield self._count(question, Limits(cell, float(prediction)))

    def limits(self, question: Prepared, setting: Setting) -> Limits:
        """Those within which the setting's numbers of cells and windows are."""
        cell = cell_limit(question.query, setting.n_cells)
        law = self._random.law(question.slopes)
        share = min(max(setting.n_scored / self._n_windows, 1e-9), 0.5)
        low, step = law.inv_cdf(share) - law.stdev / 2, law.stdev / 4
        high = low
        while self._count(question, Limits(cell, high)) < setting.n_scored:
            low, high = high, high + step
            if high > law.mean + 10 * law.stdev:  # there are no more in these cells
                break
        for _ in range(_STEPS):
            middle = (low + high) / 2
            count = self._count(question, Limits(cell, middle))
            if abs(count - setting.n_scored) <= _TOLERANCE * setting.n_scored:
                return Limits(cell, middle)
            low, high = (middle, high) if count < setting.n_scored else (low, middle)
        return Limits(cell, high)

    def ask(self, question: Prepared, limits: Limits) -> Asked:
        """The answer of the second of two runs."""
        table = question.table
        highest = table.law.closest(self._n_windows, enough(TOP))
        seconds = 0.0
        for _ in range(2):
            began = time.perf_counter()
            best = Best(TOP, highest)
            query = _query(self._coder, table)
            work = self._lists.look(query, Pass(limits), best, table.law.lowest)
            ranking = best.ranking()
            seconds = time.perf_counter() - began
        done = (work.n_lists, work.n_scanned, work.n_scored, 1)
        return Asked(1e3 * seconds, Found(ranking, math.nan, *done))

    def _count(self, question: Prepared, limits: Limits) -> int:
        """How many windows would be scored."""
        lowest = question.table.law.lowest
        # Nothing is as close as that: all are scored and none is kept.
        best = Best(1, lowest - 1)
        return self._lists.look(question.query, Pass(limits), best, lowest - 1).n_scored


def _query(coder: Coder, table: CostTable) -> ListQuery:
    slopes = coder.projection.slopes(table.costs)[1]
    return ListQuery(*coder.parts(slopes), table.padded())


def cell_sums(
    coder: Coder, slopes: NDArray[np.float64], cells: NDArray[np.uint32]
) -> NDArray[np.float32]:
    """Predictions by cell alone as lists compare them, group 1 + group 0: float32[k]."""
    of_cells = coder.parts(slopes)[0]
    mask = np.uint32((1 << coder.bits) - 1)
    first, second = (
        of_cells[group][cells >> np.uint32(group * coder.bits) & mask] for group in range(GROUPS)
    )
    sums: NDArray[np.float32] = second + first
    return sums


def _all_sums(query: ListQuery) -> NDArray[np.float32]:
    """The sums of all cells, rising: float32[n_cells]."""
    sums: NDArray[np.float32] = np.sort((query.values[1, :-1, None] + query.values[0, :-1]).ravel())
    return sums


def cell_ranks(query: ListQuery, of_cells: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many cells are as near as those of these sums: int64[k]."""
    return np.searchsorted(_all_sums(query), of_cells, side="right")


def cell_limit(query: ListQuery, n_cells: int) -> float:
    """The sum of the n-th nearest cell."""
    sums = _all_sums(query)
    return float(sums[min(max(n_cells, 1), len(sums)) - 1])
