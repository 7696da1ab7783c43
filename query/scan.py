"""The exact scan: every window compared, in threads, with one answer for any number of them.

The scan finds all windows within a limit and keeps the first `top` of them by distance, then start.
The limit comes from the law of the distance, a little above the expected `top`-th best; where fewer
are found the scan starts again with a wider one. It is lowered as soon as `top` windows are known:
a chunk that begins behind the worst of them needs to find only closer ones. So ties cost nothing,
and the answer does not depend on the order in which chunks are finished.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.decimals import Decimals, MappedDecimals
from indexer.ir import Job
from indexer.progress import Progress, Step, silent
from indexer.window import WINDOW, count_windows
from query.assembly.layout import (
    JOB,
    MAX_KINDS,
    PLAIN,
    PLANE_ROWS,
    POSITIONS,
    RING,
    STRETCH,
)
from query.kernels import Kernel, available
from query.metrics import CostTable
from query.plan import Plan, Planner, aligned
from query.ranking import Best, Ranking, enough

# Windows a thread takes at once: short enough to end within milliseconds of Ctrl-C.
_LARGEST_CHUNK = 1 << 23
# At least so many a thread, so that no thread waits long for the last one.
_CHUNKS_A_THREAD = 4
# From here on a scan takes longer than the search for its best plan.
_THOROUGH = 50_000_000
# Rows a thread can find before it hands them over.
_CAPACITY = 1 << 15
# Seconds a window on one thread, by instruction set: the machine of ARCHITECTURE.md, l1.
_SECONDS_A_WINDOW = {
    "avx512vbmi": 2.0e-10,
    "avx512bw": 2.7e-10,
    "avx2": 3.5e-10,
    "ssse3": 6e-10,
    "neon": 6e-10,
    "plain": 1.7e-8,
}
# Planning and starting.
_SECONDS_A_SCAN = 1e-3
# Reads of the transpose behind the last window of a block.
_OVERRUN = POSITIONS - STRETCH


def expected_seconds(n_windows: int, threads: int, name: str | None = None) -> float:
    """About how long a scan takes by the named instruction set, or the best of this processor."""
    isa = name or available()[0].name
    return _SECONDS_A_SCAN + n_windows * _SECONDS_A_WINDOW[isa] / threads


@dataclass(frozen=True, eq=False)
class Stretch:
    """Consecutive windows: those at the first n_windows starts of some decimals.

    The first of them is the window at start `first` of the whole.
    """

    first: int
    n_windows: int
    decimals: Decimals


def closest_windows(
    digits: NDArray[np.uint8],
    table: CostTable,
    top: int,
    *,
    kernel: Kernel,
    threads: int = 1,
    progress: Progress = silent,
) -> Ranking:
    """The `top` windows of least distance: all of them where there are fewer.

    digits is uint8[n] ASCII, C-contiguous, n >= 84. Raises KeyboardInterrupt within milliseconds of
    Ctrl-C. O(84 n) table look-ups at worst, about n / 3 on AVX-512 for a logo.
    """
    n_windows = count_windows(len(digits))
    stretches = [Stretch(0, n_windows, MappedDecimals(digits))]

    def search(best: Best) -> None:
        scan_within(stretches, table, best, kernel=kernel, threads=threads, progress=progress)

    return widen(table, n_windows, top, search)


def widen(table: CostTable, n_windows: int, top: int, search: Callable[[Best], None]) -> Ranking:
    """The `top` of n windows by a search that adds to a Best what is within its limit.

    The limit comes from the law of the distance; the search is repeated with a wider one where
    fewer are found.
    """
    wanted = min(top, n_windows)
    count = enough(wanted)
    while True:
        best = Best(wanted, table.law.closest(n_windows, count))
        search(best)
        ranking = best.ranking()
        if len(ranking.starts) == wanted or best.limit_from(0) >= table.law.highest:
            return ranking
        count *= 16  # past the number of windows the limit is the highest distance


def scan_within(
    stretches: Sequence[Stretch],
    table: CostTable,
    best: Best,
    *,
    kernel: Kernel,
    threads: int = 1,
    progress: Progress = silent,
) -> None:
    """Add to best every window of the stretches that is within its limit, and can get in.

    Raises KeyboardInterrupt within milliseconds of Ctrl-C, StoreDamaged where packed decimals are
    none.
    """
    _Scan(stretches, table, best, kernel, threads).run(progress)


class _Scan:
    """One pass over all windows."""

    def __init__(
        self,
        stretches: Sequence[Stretch],
        table: CostTable,
        best: Best,
        kernel: Kernel,
        threads: int,
    ) -> None:
        self._stretches = stretches
        self._n_windows = sum(stretch.n_windows for stretch in stretches)
        self._lowest = table.law.lowest
        self._best = best
        self._kernel = kernel
        self._costs = table.padded()
        self._block = kernel.isa.lanes * STRETCH
        self._planner = (
            None
            if kernel.isa is PLAIN
            else Planner(table.costs, kernel.isa, thorough=self._n_windows > _THOROUGH)
        )
        self._threads = threads
        # A whole number of blocks, so that only the last chunk has an overlapping one.
        chunk = min(_LARGEST_CHUNK, self._n_windows // (threads * _CHUNKS_A_THREAD) + 1)
        self._chunk = -(-chunk // self._block) * self._block if self._block else chunk
        self._lock = threading.Lock()
        self._at = 0, 0  # the next chunk: its stretch, and its first start in there
        self._done = 0
        self._failed: BaseException | None = None
        self._news = threading.Event()

    def run(self, progress: Progress) -> None:
        plan = None if self._planner is None else self._planner.plan(self._best.limit_from(0))
        if self._threads == 1 and self._n_windows <= self._chunk * _CHUNKS_A_THREAD:
            self._work(plan)
        else:
            self._run_threads(plan, progress)
        if self._failed is not None:
            raise self._failed
        progress(Step("scan", self._n_windows, self._n_windows, "windows"))

    def _run_threads(self, plan: Plan | None, progress: Progress) -> None:
        workers = [
            threading.Thread(target=self._work, args=(plan,), name=f"scan-{i}", daemon=True)
            for i in range(self._threads)
        ]
        for worker in workers:
            worker.start()
        try:
            while any(worker.is_alive() for worker in workers):
                self._news.wait(0.1)
                self._news.clear()
                progress(Step("scan", self._done, self._n_windows, "windows"))
        finally:  # on Ctrl-C too: nothing runs on behind the caller's back
            with self._lock:
                self._at = len(self._stretches), 0
            for worker in workers:
                worker.join()

    def _work(self, plan: Plan | None) -> None:
        try:
            task = _Task(self._kernel, self._costs)
            while (chunk := self._take()) is not None:
                plan = self._scan_chunk(task, plan, *chunk)
                with self._lock:
                    self._done += chunk[2] - chunk[1]
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._failed = error
        finally:
            self._news.set()

    def _take(self) -> tuple[Stretch, int, int] | None:
        """The next chunk of starts of a stretch; None where nothing is left to find.

        Within a stretch chunks ascend. Once nothing of a stretch can get in, its rest is left out.
        """
        with self._lock:
            number, begin = self._at
            while number < len(self._stretches):
                stretch = self._stretches[number]
                hopeless = self._best.limit_from(stretch.first + begin) < self._lowest
                if begin < stretch.n_windows and not hopeless:
                    end = min(begin + self._chunk, stretch.n_windows)
                    self._at = number, end
                    return stretch, begin, end
                number, begin = number + 1, 0
            self._at = number, begin
        return None

    def _scan_chunk(
        self, task: "_Task", plan: Plan | None, stretch: Stretch, begin: int, end: int
    ) -> Plan | None:
        first = stretch.first
        decimals = stretch.decimals
        if isinstance(decimals, MappedDecimals):
            digits = decimals.digits
        else:  # unpacked: the chunk, what its last window needs, and what the transpose reads
            digits = decimals.read(begin, min(end + WINDOW - 1 + _OVERRUN, decimals.n))
            first, begin, end = first + begin, 0, end - begin
        task.begin(digits, begin, end, self._block)
        tested = passed = 0
        while not task.finished:
            limit = self._best.limit_from(first + task.position)
            if limit < self._lowest:
                break
            before = task.position
            task.run(plan, limit)
            if task.count:
                found = task.found()
                self._best.add(Ranking(found.starts + first, found.distances))
            tested += task.position - before
            passed += task.count
            # Ties can let far more through than the law of the first limit said.
            if self._planner is not None and plan is not None and passed > 1000 + (tested >> 8):
                tighter = self._best.limit_from(first + task.position)
                if self._lowest <= tighter < limit:
                    plan = self._planner.plan(tighter)
        return plan


class _Task:
    """One thread's job: its arguments, its work space and what it found."""

    def __init__(self, kernel: Kernel, costs: NDArray[np.int32]) -> None:
        self._kernel = kernel
        # The job holds addresses; the arrays are kept here so that they stay valid.
        self._digits: NDArray[np.uint8] | None = None
        self._arrays: dict[str, NDArray[Any]] = {
            "planes": aligned(MAX_KINDS, PLANE_ROWS, kernel.isa.lanes),
            "costs": costs,
        }
        self._found = np.empty((_CAPACITY, 2), dtype=np.int64)
        self._job = Job(JOB)
        self._job.set(ring=RING * kernel.isa.lanes)
        self._job.set(capacity=_CAPACITY, found=self._found.ctypes.data)
        self._job.set(**{name: array.ctypes.data for name, array in self._arrays.items()})

    @property
    def position(self) -> int:
        """Every start of the chunk below this one is done."""
        return self._job.get("position")

    @property
    def count(self) -> int:
        """How many rows the last run found."""
        return self._job.get("count")

    @property
    def finished(self) -> bool:
        """Whether the chunk is done."""
        return self.position >= self._job.get("end")

    def begin(self, digits: NDArray[np.uint8], begin: int, end: int, block: int) -> None:
        """Take the starts [begin, end) of uint8[n] ASCII digits, C-contiguous."""
        self._digits = digits
        self._job.set(digits=digits.ctypes.data)
        readable = min(end, len(digits) - _OVERRUN)
        vector_end = readable if block and readable >= block else begin
        self._job.set(position=begin, step=0, end=end, vector_end=max(begin, vector_end))

    def run(self, plan: Plan | None, limit: int) -> None:
        """Go on until the chunk is done or the table of finds is full."""
        self._job.set(limit=limit, count=0)
        if plan is not None:
            self._plan = plan
            self._job.set(
                letters=plan.letters.ctypes.data,
                kinds=plan.kinds.ctypes.data,
                n_kinds=len(plan.kinds),
                group_size=plan.group_size,
                groups=plan.groups.ctypes.data,
                tables=plan.tables.ctypes.data,
                n_first=plan.n_first,
                n_groups=len(plan.groups),
                threshold=plan.threshold,
            )
        self._kernel.run(self._job)

    def found(self) -> Ranking:
        """What the last run found, in no order."""
        rows = self._found[: self.count]
        return Ranking(rows[:, 0].copy(), rows[:, 1].copy())
