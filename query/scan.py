"""The exact scan: every window compared, in threads, with one answer for any number of them.

The scan finds all windows within a limit and keeps the first `top` of them by distance, then start.
The limit comes from the law of the distance, a little above the expected `top`-th best; where fewer
are found the scan starts again with a wider one. It is lowered as soon as `top` windows are known:
a chunk that begins behind the worst of them needs to find only closer ones. So ties cost nothing,
and the answer does not depend on the order in which chunks are finished.
"""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.ir import Job
from indexer.progress import Progress, Step, silent
from indexer.window import count_windows
from query.assembly.layout import (
    GUARD,
    JOB,
    LETTER_POSITIONS,
    MAX_KINDS,
    MAX_LETTERS,
    PLAIN,
    POSITIONS,
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
_THOROUGH = 200_000_000
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
    wanted = min(top, n_windows)
    count = enough(wanted)
    while True:
        limit = table.law.closest(n_windows, count)
        best = Best(wanted, limit)
        _Scan(digits, table, best, kernel, threads).run(progress)
        ranking = best.ranking()
        if len(ranking.starts) == wanted:
            return ranking
        count *= 16  # past the number of windows the limit is the highest distance


class _Scan:
    """One pass over all windows."""

    def __init__(
        self,
        digits: NDArray[np.uint8],
        table: CostTable,
        best: Best,
        kernel: Kernel,
        threads: int,
    ) -> None:
        self._digits = digits
        self._n_windows = count_windows(len(digits))
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
        self._next = 0
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
                self._next = self._n_windows
            for worker in workers:
                worker.join()

    def _work(self, plan: Plan | None) -> None:
        try:
            task = _Task(self._kernel, self._digits, self._costs)
            while (chunk := self._take()) is not None:
                plan = self._scan_chunk(task, plan, *chunk)
                with self._lock:
                    self._done += chunk[1] - chunk[0]
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._failed = error
        finally:
            self._news.set()

    def _take(self) -> tuple[int, int] | None:
        """The next chunk of starts, in ascending order; None where nothing is left to find."""
        with self._lock:
            begin = self._next
            end = min(begin + self._chunk, self._n_windows)
            self._next = end
        if begin >= end or self._best.limit_from(begin) < self._lowest:
            return None
        return begin, end

    def _scan_chunk(self, task: "_Task", plan: Plan | None, begin: int, end: int) -> Plan | None:
        task.begin(begin, end, self._block)
        tested = passed = 0
        while not task.finished:
            limit = self._best.limit_from(task.position)
            if limit < self._lowest:
                break
            before = task.position
            task.run(plan, limit)
            if task.count:
                self._best.add(task.found())
            tested += task.position - before
            passed += task.count
            # Ties can let far more through than the law of the first limit said.
            if self._planner is not None and plan is not None and passed > 1000 + (tested >> 8):
                tighter = self._best.limit_from(task.position)
                if self._lowest <= tighter < limit:
                    plan = self._planner.plan(tighter)
        return plan


class _Task:
    """One thread's job: its arguments, its work space and what it found."""

    def __init__(self, kernel: Kernel, digits: NDArray[np.uint8], costs: NDArray[np.int32]) -> None:
        self._kernel = kernel
        # The job holds addresses; the arrays are kept here so that they stay valid.
        self._n_digits = len(digits)
        self._arrays: dict[str, NDArray[Any]] = {
            "digits": digits,
            "levels": aligned(MAX_LETTERS, LETTER_POSITIONS, kernel.isa.lanes),
            "planes": aligned(MAX_KINDS, GUARD + POSITIONS, kernel.isa.lanes),
            "costs": costs,
        }
        self._found = np.empty((_CAPACITY, 2), dtype=np.int64)
        self._job = Job(JOB)
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

    def begin(self, begin: int, end: int, block: int) -> None:
        """Take the starts [begin, end)."""
        readable = min(end, self._n_digits - _OVERRUN)
        vector_end = readable if block and readable >= block else begin
        self._job.set(position=begin, step=0, end=end, vector_end=max(begin, vector_end))

    def run(self, plan: Plan | None, limit: int) -> None:
        """Go on until the chunk is done or the table of finds is full."""
        self._job.set(limit=limit, count=0)
        if plan is not None:
            self._plan = plan
            self._job.set(
                letters=plan.letters.ctypes.data,
                n_letters=len(plan.letters),
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
