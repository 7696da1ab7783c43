"""Answers from an index: candidates from its lists, scored exactly, and what may be missing.

A question is asked in passes. Each has two limits, on the prediction by cell and on that by cell
and code, from the calibration (query/calibration.py): first for the distance at which the answer's
worst match is expected, with what may be lost of it. When the pass is over the worst match is
known. Where that leaves more to be expected missing than is allowed, because it is farther away
than expected, the next pass looks further, at what the passes before it have left out.
"""

import math
import threading
from dataclasses import dataclass
from typing import Protocol

from indexer.cells import Coder
from query.calibration import Calibration, make_simulator
from query.list_shards import Part, Pass, Work
from query.lists import NOWHERE, Limits, ListQuery
from query.metrics import CostTable
from query.ranking import Best, Ranking, enough

# What a search takes, in seconds on one thread, for the choice between index and scan.
SECONDS_A_LIST = 4e-8
SECONDS_A_WINDOW = 2e-10
SECONDS_A_CANDIDATE = 2.8e-8
SECONDS_A_QUESTION = 1.5e-3
_MOST_PASSES = 4
# A pass aims below what is allowed, so that few questions need another; less so once the worst
# match is known.
_AIM = 0.85
_AIM_KNOWN = 0.98
_MOST_LOST = 0.3
# The normal law of errors is trusted this far out; who allows less wants a scan.
_LEAST_MISSED = 1e-9
# Where many windows are to be looked at, a first glance that loses this much of the answer shows
# where its worst match is, or nearly, for a tenth of the work: then no more is looked at than that
# takes.
_MANY_WINDOWS = 5_000_000
_GLANCE = 0.05
# From so many windows on a sample of the lists shows first how many candidates there are.
_WORTH_SAMPLE = 1 << 20


class Looker(Protocol):
    """What searches the lists of all shards: query/list_shards.py, or a cluster."""

    def count(self, query: ListQuery, limits: Limits) -> int:
        """How many windows the lists within the limits hold."""

    def look(self, query: ListQuery, taken: Pass, best: Best, lowest: int) -> Work:
        """Look as far as the pass says; what is found goes into best, by starts of the whole."""


@dataclass(frozen=True)
class Found:
    """A ranking from the index; how many of the true top it is expected to lack; its cost.

    n_lists, n_windows and n_candidates were opened, looked at and scored exactly.
    """

    ranking: Ranking
    expected_missed: float
    n_lists: int
    n_windows: int
    n_candidates: int
    n_passes: int


class IndexSearch:
    """Answers from lists of n_windows windows, coded by one coder, whoever looks into them.

    Everything that is decided follows from the question, the coder and sums over all windows: the
    answer does not depend on how the windows are cut into shards, nor on threads.
    """

    def __init__(self, coder: Coder, n_windows: int, looker: Looker) -> None:
        self._coder = coder
        self._n_windows = n_windows
        self._looker = looker
        self._simulator = make_simulator(coder)
        self._lock = threading.Lock()

    def closest_windows(
        self,
        table: CostTable,
        top: int,
        missed: float,
        *,
        scan_seconds: float = math.inf,
    ) -> Found | None:
        """The `top` closest windows, or None where a scan would be cheaper.

        missed is how many of them may be expected to be lacking; scan_seconds what a scan would
        take on one thread. Raises KeyboardInterrupt within milliseconds of Ctrl-C, StoreDamaged
        where a list holds what it cannot. O(lists + windows in them + candidates). Questions of
        several threads are answered one after the other.
        """
        hopeless = missed < _LEAST_MISSED or self._n_windows <= enough(top)
        if hopeless or scan_seconds < SECONDS_A_QUESTION:
            return None
        with self._lock:
            return self._ask(table, top, missed, scan_seconds)

    def _ask(self, table: CostTable, top: int, missed: float, scan_seconds: float) -> Found | None:
        # as many as are within the worst match's distance nine times out of ten
        planned = top + 1.3 * top**0.5
        distance = table.law.closest(self._n_windows, planned)
        if distance >= table.law.highest:
            return None
        calibration = Calibration(self._coder, table, distance, self._simulator)
        if calibration.theta <= 0:
            return None
        query = ListQuery(calibration.of_cells, calibration.of_codes, table.padded())
        passes = _Passes(self._looker, query, table, top, self._n_windows)
        lost = min(_AIM * missed / planned, _MOST_LOST)
        limits = calibration.limits(distance, lost)
        if passes.count(limits) > _MANY_WINDOWS:
            limits = calibration.limits(distance, max(_GLANCE, lost))
        for _ in range(_MOST_PASSES):
            if not passes.look(limits, scan_seconds):
                return None
            ranking = passes.best.ranking()
            if len(ranking.starts) < top:
                planned *= 2
                distance = table.law.closest(self._n_windows, planned)
                lost = min(_AIM * missed / planned, _MOST_LOST)
                limits = calibration.limits(distance, lost)
                continue
            distance = int(ranking.distances[-1])
            closer = expected_before(table, ranking, self._n_windows)
            lacking = closer * calibration.lost(distance, passes.limits)
            if lacking <= missed:
                return passes.found(ranking, min(lacking, float(top)))
            lost = min(_AIM_KNOWN * missed / closer, _MOST_LOST)
            limits = calibration.limits(distance, lost)
        return None


def expected_before(table: CostTable, ranking: Ranking, n_windows: int) -> float:
    """How many random windows come before the worst of a ranking: closer, or as close and earlier.

    So many of the true ranking there are on average, found and lost together.
    """
    start, distance = int(ranking.starts[-1]), int(ranking.distances[-1])
    closer = table.law.expected(distance - 1, n_windows)
    as_close = table.law.expected(distance, n_windows) - closer
    return closer + as_close * (start + 1) / n_windows


class _Passes:
    """One question's passes over the lists of all shards, each further than the one before."""

    def __init__(
        self, looker: Looker, query: ListQuery, table: CostTable, top: int, n_windows: int
    ) -> None:
        self.limits = NOWHERE
        self.best = Best(top, table.law.closest(n_windows, enough(top)))
        self._lowest = table.law.lowest
        self._looker = looker
        self._query = query
        self._counted: tuple[Limits, int] = NOWHERE, 0
        self._work = Work()
        self._n_passes = 0

    def count(self, limits: Limits) -> int:
        """How many windows there are to look at within limits."""
        if self._counted[0] != limits:
            self._counted = limits, self._looker.count(self._query, limits)
        return self._counted[1]

    def look(self, limits: Limits, scan_seconds: float) -> bool:
        """Look as far as `limits`, past where the last pass ended; False: better scan."""
        limits = Limits(
            max(limits.cell, self.limits.cell), max(limits.prediction, self.limits.prediction)
        )
        n_windows = self.count(limits)
        n_cells = self._query.count_cells(limits)
        seconds = SECONDS_A_QUESTION + SECONDS_A_LIST * n_cells + SECONDS_A_WINDOW * n_windows
        if seconds > scan_seconds:
            return False
        if n_windows < _WORTH_SAMPLE:
            self._take(limits, Part.ALL)
        else:
            sample = self._take(limits, Part.SAMPLE)
            share = sample.n_scored / max(1, sample.n_scanned)
            if seconds + SECONDS_A_CANDIDATE * share * n_windows > scan_seconds:
                return False
            self._take(limits, Part.REST)
        self._n_passes += 1
        self.limits = limits
        return True

    def _take(self, limits: Limits, part: Part) -> Work:
        taken = Pass(limits, self.limits, part)
        work = self._looker.look(self._query, taken, self.best, self._lowest)
        self._work += work
        return work

    def found(self, ranking: Ranking, expected_missed: float) -> Found:
        """The result, with what it took."""
        work = self._work
        return Found(
            ranking,
            expected_missed,
            work.n_lists,
            work.n_scanned,
            work.n_scored,
            self._n_passes,
        )
