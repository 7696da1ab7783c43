"""Answers from an index: candidates from its lists, scored exactly, and what may be missing.

A question is asked in passes. Each has two limits, on the prediction by cell and on that by cell
and code, from the calibration (query/calibration.py): first for the distance at which the answer's
worst match is expected, with what may be lost of it. When the pass is over the worst match is
known. Where that leaves more to be expected missing than is allowed, because it is farther away
than expected, the next pass looks further, at what the passes before it have left out.
"""

import itertools
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.errors import StoreDamaged
from indexer.home import build_command
from indexer.index_files import Index
from indexer.window import count_windows
from query.calibration import Calibration, make_simulator
from query.lists import NOWHERE, Limits, ListQuery, Lists, ListSearch, Probes
from query.metrics import CostTable
from query.ranking import Best, Ranking, enough

# Windows looked at between two looks at Ctrl-C and at the limit found so far: a slice. A pass has
# about so many slices, and every 16th is the sample that shows how many candidates there are.
_LARGEST_SLICE = 1 << 21
_SMALLEST_SLICE = 1 << 16
_SLICES = 64
_SAMPLE = 16
# What a search takes, in seconds on one thread, for the choice between index and scan.
SECONDS_A_LIST = 4e-8
SECONDS_A_WINDOW = 2e-10
SECONDS_A_CANDIDATE = 2.8e-8
SECONDS_A_QUESTION = 1.5e-3
# Under so many seconds on one thread a second thread is not worth its start.
_WORTH_THREADS = 5e-4
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
    """Searches an index; digits (uint8[n] ASCII) are those of its store, or the first of them."""

    def __init__(
        self, index: Index, digits: NDArray[np.uint8], threads: int, kernel: str | None = None
    ) -> None:
        self._index = index
        self._n_windows = count_windows(len(digits))
        self._simulator = make_simulator(index.coder)
        self._lock = threading.Lock()
        n_stored = count_windows(index.n)
        self._shards = [
            [
                ListSearch(
                    Lists(shard.directory, shard.lists, digits, self._n_windows, n_stored), kernel
                )
                for _ in range(threads)
            ]
            for shard in index.shards
            if shard.first_start < self._n_windows
        ]

    @property
    def arrays(self) -> list[NDArray[np.uint8]]:
        """The mapped lists of all shards."""
        return [shard.lists for shard in self._index.shards]

    def closest_windows(
        self,
        table: CostTable,
        top: int,
        missed: float,
        *,
        scan_seconds: float = math.inf,
    ) -> Found | None:
        """The `top` closest windows, or None where a scan of scan_seconds would be cheaper.

        missed is how many of them may be expected to be lacking. Raises KeyboardInterrupt within
        milliseconds of Ctrl-C, StoreDamaged where a list holds what it cannot. O(lists + windows in
        them + candidates). Questions of several threads are answered one after the other.
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
        calibration = Calibration(self._index.coder, table, distance, self._simulator)
        if calibration.theta <= 0:
            return None
        query = ListQuery(calibration.of_cells, calibration.of_codes, table.padded())
        passes = _Passes(self._shards, query, table, top, self._n_windows, self._index.folder)
        lost = min(_AIM * missed / planned, _MOST_LOST)
        limits = calibration.limits(distance, lost)
        if passes.find(limits) > _MANY_WINDOWS:
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
            closer = _expected_before(table, ranking, self._n_windows)
            lacking = closer * calibration.lost(distance, passes.limits)
            if lacking <= missed:
                return passes.found(ranking, min(lacking, float(top)))
            lost = min(_AIM_KNOWN * missed / closer, _MOST_LOST)
            limits = calibration.limits(distance, lost)
        return None


def _expected_before(table: CostTable, ranking: Ranking, n_windows: int) -> float:
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
        self,
        shards: list[list[ListSearch]],
        query: ListQuery,
        table: CostTable,
        top: int,
        n_windows: int,
        folder: Path,
    ) -> None:
        self.limits = NOWHERE
        self._folder = folder
        self.best = Best(top, table.law.closest(n_windows, enough(top)))
        self._lowest = table.law.lowest
        self._shards = shards
        self._query = query
        self._probes: list[Probes] = []
        self._n_lists = self._n_scanned = self._n_candidates = self._n_passes = 0

    def find(self, limits: Limits) -> int:
        """How many windows there are to look at within limits; their lists are what look opens."""
        if not self._probes or self._probes[0].limits != limits:
            self._probes = [threads[0].find_probes(self._query, limits) for threads in self._shards]
        return sum(probes.n_windows for probes in self._probes)

    def look(self, limits: Limits, scan_seconds: float) -> bool:
        """Look as far as `limits`, past where the last pass ended; False: better scan."""
        limits = Limits(
            max(limits.cell, self.limits.cell), max(limits.prediction, self.limits.prediction)
        )
        n_windows = self.find(limits)
        probes = self._probes
        n_lists = sum(found.n_lists for found in probes)
        if sum(found.n_damaged for found in probes):
            raise self._damage("lists outside of its files")
        n_threads = len(self._shards[0])
        seconds = SECONDS_A_LIST * n_lists + SECONDS_A_WINDOW * n_windows
        budget = (scan_seconds - SECONDS_A_QUESTION) * n_threads
        if seconds > budget:
            return False
        for threads, found in zip(self._shards, probes, strict=True):
            workers = threads if seconds > _WORTH_THREADS else threads[:1]
            if not self._search(workers, found, budget - seconds):
                return False
        self._n_lists += n_lists
        self._n_passes += 1
        self.limits = limits
        return True

    def _damage(self, what: str) -> StoreDamaged:
        remedy = build_command(self._folder.parent)
        return StoreDamaged(f"{self._folder} has {what}; next: {remedy}")

    def found(self, ranking: Ranking, expected_missed: float) -> Found:
        """The result, with what it took."""
        return Found(
            ranking,
            expected_missed,
            self._n_lists,
            self._n_scanned,
            self._n_candidates,
            self._n_passes,
        )

    def _search(self, workers: list[ListSearch], probes: Probes, seconds: float) -> bool:
        """Search probes, each worker in a thread; False where candidates take more seconds.

        How many candidates there are shows a sample of the slices. It is the same whatever the
        threads, and so is the choice.
        """
        ranges = _slices(probes)
        sample = ranges[_SAMPLE // 2 :: _SAMPLE] if len(ranges) >= _SAMPLE else []
        rest = [taken for taken in ranges if taken not in set(sample)]
        if sample:
            scanned, scored = self._n_scanned, self._n_candidates
            self._run(workers, probes, sample)
            share = (self._n_candidates - scored) / max(1, self._n_scanned - scanned)
            if SECONDS_A_CANDIDATE * share * probes.n_windows > seconds:
                return False
        self._run(workers, probes, rest)
        return True

    def _run(
        self, workers: list[ListSearch], probes: Probes, ranges: list[tuple[int, int]]
    ) -> None:
        """Search ranges of probes; what any thread raises is raised here."""
        queue = _Queue(ranges)
        if len(workers) == 1:
            self._work(workers[0], probes, queue)
        else:
            threads = [
                threading.Thread(target=self._work, args=(worker, probes, queue), daemon=True)
                for worker in workers[1:]
            ]
            for thread in threads:
                thread.start()
            try:
                self._work(workers[0], probes, queue)
                for thread in threads:
                    thread.join()
            except BaseException:
                queue.stop()
                for thread in threads:  # a slice is soon over; then others may ask
                    thread.join()
                raise
        if queue.failed is not None:
            raise queue.failed
        self._n_scanned += queue.n_scanned
        self._n_candidates += queue.n_scored

    def _work(self, worker: ListSearch, probes: Probes, queue: "_Queue") -> None:
        try:
            for begin, end in queue:
                worker.begin(probes, begin, end, self.limits)
                while not worker.finished:
                    limit = self.best.limit_from(0)
                    if limit < self._lowest:
                        break
                    rows = worker.run(limit)
                    if len(rows):
                        self.best.add(Ranking(rows[:, 0], rows[:, 1]))
                counts = worker.counts
                if counts.n_bad:
                    raise self._damage("windows past its decimals")
                queue.account(counts.n_scanned, counts.n_scored)
        except BaseException as error:  # noqa: BLE001 - the asking thread raises it
            queue.failed = error
            queue.stop()


def _slices(probes: Probes) -> list[tuple[int, int]]:
    """Ranges of probes of about equal numbers of windows, _SMALLEST_SLICE of them or more."""
    size = max(_SMALLEST_SLICE, min(_LARGEST_SLICE, probes.n_windows // _SLICES))
    if probes.n_windows <= 2 * size:
        return [(0, probes.n_lists)]
    done = np.cumsum(probes.rows["size"])
    inner = np.unique(np.searchsorted(done, np.arange(size, probes.n_windows, size)) + 1)
    bounds = [0, *inner[inner < probes.n_lists].tolist(), probes.n_lists]
    return list(itertools.pairwise(bounds))


class _Queue:
    """Hands out ranges of probes to any thread, and adds up the work."""

    def __init__(self, ranges: list[tuple[int, int]]) -> None:
        self.failed: BaseException | None = None
        self.n_scanned = self.n_scored = 0
        self._lock = threading.Lock()
        self._ranges = ranges[::-1]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while True:
            with self._lock:
                if not self._ranges:
                    return
                taken = self._ranges.pop()
            yield taken

    def stop(self) -> None:
        """Hand out no more."""
        with self._lock:
            self._ranges.clear()

    def account(self, n_scanned: int, n_scored: int) -> None:
        """Add to the work done."""
        with self._lock:
            self.n_scanned += n_scanned
            self.n_scored += n_scored
