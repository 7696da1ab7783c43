"""Asking: the truth, our index, and every setting of one of FAISS's; see curves.py."""

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.errors import ClaimFailed
from indexer.progress import Progress, Step
from indexer.window import HEIGHT, WIDTH
from measuring.machine import address, compile_c
from peers.fronts import Point, count_found, to_point
from peers.loops import TOP, shares
from peers.plain_faiss import to_vectors
from query.finder import Finder
from query.metrics import cost_table

METRICS = ("l2", "l1")  # FAISS's own first
FEWEST_LOGOS = 10
_MISSED = (9, 8, 6, 4, 2, 1, 0.5, 0.2, 0.1, 0.03, 0.01)
_DEPTHS = (10, 100, 1000, 10_000, 100_000, 1_000_000)
# A setting whose questions take more seconds is left out.
_SLOWEST = 2.0
_PILOTS = 3
# From here on scoring is worth the start of a thread.
_SHARED = 4096
# For one query: parallel_mode 1 shares its lists out, 0 does not. Fast scan does it by implem 14
# (heap) and 15 (reservoir); 0 is its choice for one thread.
_MODES = {"ivfpq": ("parallel_mode", (1, 0)), "ivfpqfs": ("implem", (0, 14, 15))}


class Truth:
    """The true distances of every logo by every metric, and what the scan takes for them."""

    def __init__(self, finder: Finder, logos: NDArray[np.uint8], report: Progress) -> None:
        self.distances: dict[str, list[list[int]]] = {}
        self.scan_ms: dict[str, float] = {}
        for metric in METRICS:
            finder.find(logos[0].reshape(HEIGHT, WIDTH), metric=metric, exact=True)
            seconds, ranked = [], []
            for number, logo in enumerate(logos, 1):
                began = time.perf_counter()
                answer = finder.find(logo.reshape(HEIGHT, WIDTH), metric=metric, exact=True)
                seconds.append(time.perf_counter() - began)
                ranked.append([int(match.distance) for match in answer.matches])
                report(Step(f"scan, {metric}", number, len(logos), "logos"))
            self.distances[metric] = ranked
            self.scan_ms[metric] = 1e3 * float(np.median(seconds))

    def found(self, metric: str, logo: int, distances: list[int]) -> int:
        """The places an answer fills; ClaimFailed where it is closer than the truth."""
        truth = self.distances[metric][logo]
        if any(d < t for d, t in zip(sorted(distances), truth, strict=False)):
            raise ClaimFailed(
                f"logo {logo}, {metric}: {distances} is closer than the scan's {truth}"
            )
        return count_found(distances, truth)


class Scorer:
    """Exact distances of windows anywhere, by C, and the ten closest."""

    def __init__(self, digits: NDArray[np.uint8], threads: int) -> None:
        self._digits = digits
        self._function = compile_c("windows.c").rescore
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)

    def distances(self, starts: NDArray[np.int64], costs: NDArray[np.int32]) -> NDArray[np.int32]:
        """The distance of each window, by a cost table."""
        found = np.empty(len(starts), dtype=np.int32)

        def score(share: tuple[int, int]) -> None:
            first, count = share
            part = (address(starts[first:]), ctypes.c_int64(count))
            self._function(address(self._digits), *part, address(costs), address(found[first:]))

        if len(starts) < _SHARED:
            score((0, len(starts)))
        else:
            list(self._pool.map(score, shares(len(starts), self._threads)))
        return found

    def closest(self, starts: NDArray[np.int64], costs: NDArray[np.int32]) -> NDArray[np.int32]:
        """The distances of the ten closest, in order."""
        distances = self.distances(starts, costs)
        if len(distances) > TOP:
            distances = np.partition(distances, TOP - 1)[:TOP]
        return np.sort(distances)


def ask_ours(
    finder: Finder, logos: NDArray[np.uint8], metric: str, truth: Truth, report: Progress
) -> list[Point]:
    """A point for each value of `missed`."""
    points = []
    for done, missed in enumerate(_MISSED, 1):
        finder.find(logos[0].reshape(HEIGHT, WIDTH), metric=metric, missed=missed)
        seconds, found, scans = [], [], 0
        for number, logo in enumerate(logos):
            began = time.perf_counter()
            answer = finder.find(logo.reshape(HEIGHT, WIDTH), metric=metric, missed=missed)
            seconds.append(time.perf_counter() - began)
            distances = [int(match.distance) for match in answer.matches]
            found.append(truth.found(metric, number, distances))
            scans += answer.mode == "scan"
        note = f"{scans} of {len(logos)} by a scan" if scans else ""
        points.append(to_point(found, TOP, seconds, f"missed {missed:g}", note))
        report(Step(f"pilogo, {metric}", done, len(_MISSED), "settings"))
    return points


class Searcher:
    """One query at a time, by whichever of FAISS's ways is faster with these threads."""

    def __init__(self, index: Any, kind: str, threads: int) -> None:
        self._index = index
        self._setting, self.modes = _MODES[kind]
        faiss.omp_set_num_threads(threads)

    @cached_property
    def nlist(self) -> int:
        """Lists there are."""
        return int(self._index.nlist)

    def prepare(self, nprobe: int, mode: int) -> str:
        """Set what the next searches use; in words."""
        self._index.nprobe = nprobe
        setattr(self._index, self._setting, mode)
        return f"{self._setting} {mode}"

    def search(self, query: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """Starts of the k windows that seem nearest (fewer where the lists hold no more)."""
        _, labels = self._index.search(query, k)
        starts: NDArray[np.int64] = labels[0]
        return starts[starts >= 0]


class Sweep:
    """All settings of one FAISS index over the same logos, each search scored by both metrics."""

    def __init__(
        self, searcher: Searcher, scorer: Scorer, logos: NDArray[np.uint8], truth: Truth
    ) -> None:
        self._searcher = searcher
        self._scorer = scorer
        self._logos = logos
        self._queries = [to_vectors(logo[None] + np.uint8(ord("0"))) for logo in logos]
        self._truth = truth
        self._costs = {
            metric: [cost_table(logo, metric).costs for logo in logos] for metric in METRICS
        }
        self.points: dict[str, list[Point]] = {metric: [] for metric in METRICS}
        self.left_out: list[str] = []

    def run(self, n_windows: int, budget: float, report: Progress) -> None:
        """Every setting that can pay."""
        settings = list_settings(self._searcher.nlist, n_windows)
        for done, (nprobe, k) in enumerate(settings, 1):
            self._measure(nprobe, k, budget)
            report(Step("FAISS is asked", done, len(settings), "settings"))

    def _measure(self, nprobe: int, k: int, budget: float) -> None:
        label = f"nprobe {nprobe}, k {k}"
        pilots = {}
        for mode in self._searcher.modes:
            self._searcher.prepare(nprobe, mode)
            took = []
            for number in range(min(_PILOTS, len(self._queries))):
                took.append(self._ask(number, k)[0])
                if took[-1] > 2 * _SLOWEST:
                    break
            pilots[mode] = float(np.median(took))
        mode = min(pilots, key=pilots.__getitem__)
        if pilots[mode] > _SLOWEST:
            self.left_out.append(f"{label}: {pilots[mode]:.1f} s a question")
            return
        note = self._searcher.prepare(nprobe, mode)
        n_logos = min(len(self._logos), max(FEWEST_LOGOS, int(budget / pilots[mode])))
        seconds: dict[str, list[float]] = {metric: [] for metric in METRICS}
        found: dict[str, list[int]] = {metric: [] for metric in METRICS}
        for number in range(n_logos):
            searching, starts = self._ask(number, k)
            for metric in METRICS:
                began = time.perf_counter()
                closest = self._scorer.closest(starts, self._costs[metric][number])
                scoring = time.perf_counter() - began
                seconds[metric].append(searching + scoring * (k > TOP))
                found[metric].append(self._truth.found(metric, number, closest.tolist()))
        for metric in METRICS:
            point = to_point(found[metric], TOP, seconds[metric], label, note)
            self.points[metric].append(point)

    def _ask(self, number: int, k: int) -> tuple[float, NDArray[np.int64]]:
        began = time.perf_counter()
        starts = self._searcher.search(self._queries[number], k)
        return time.perf_counter() - began, starts


def list_settings(nlist: int, n_windows: int) -> list[tuple[int, int]]:
    """(nprobe, k) to try: powers of 4 and all lists; k as far as so many lists hold windows.

    And the next k, with which they are scored all.

    >>> list_settings(16, 16_000)[:3]
    [(1, 10), (1, 100), (1, 1000)]
    """
    probes = [4**j for j in range(20) if 4**j < nlist] + [nlist]
    settings = []
    for nprobe in probes:
        held = nprobe * n_windows / nlist
        for before, k in zip((0, *_DEPTHS), _DEPTHS, strict=False):
            if before < held:
                settings.append((nprobe, k))
    return settings
