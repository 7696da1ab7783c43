"""The exact scan: every window compared, in threads, with one answer for any number of them.

The scan finds all windows within a limit and keeps the first `top` of them by distance, then start.
The limit comes from the law of the distance, a little above the expected `top`-th best; where fewer
are found the scan starts again with a wider one. It is lowered as soon as `top` windows are known:
a chunk that begins behind the worst of them needs to find only closer ones. So ties cost nothing,
and the answer does not depend on the order in which chunks are finished.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.decimals import MappedDecimals
from indexer.ir import Job
from indexer.progress import Progress, silent
from indexer.window import count_windows
from query.assembly.layout import JOB, MAX_KINDS, PLAIN, PLANE_ROWS, STRETCH
from query.chunks import OVERRUN, Chunk, Chunks, Stretch
from query.kernels import Kernel, available
from query.metrics import CostTable
from query.plan import Plan, Planner, aligned
from query.ranking import Best, Ranking, enough

# From here on a scan takes longer than the search for its best plan.
_THOROUGH = 50_000_000
# Rows a thread can find before it hands them over.
_CAPACITY = 1 << 15
# Seconds a window on one thread, by instruction set: the machine of ARCHITECTURE.md, l1, a logo of
# middling effort. NEON is a guess.
_SECONDS_A_WINDOW = {
    "avx512vbmi": 1.6e-10,
    "avx512bw": 2.2e-10,
    "avx2": 3.8e-10,
    "ssse3": 7e-10,
    "neon": 7e-10,
    "plain": 1.7e-8,
}
# Planning and starting.
_SECONDS_A_SCAN = 1e-3


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
    stretches = [Stretch(0, n_windows, MappedDecimals(digits))]

    def search(best: Best) -> None:
        scan_within(stretches, table, best, kernel=kernel, threads=threads, progress=progress)

    return widen(table, n_windows, top, search)


def widen(table: CostTable, n_windows: int, top: int, search: Callable[[Best], None]) -> Ranking:
    """The `top` of n windows by a search that adds to a Best what is within its limit.

    The limit comes from the law of the distance; the search is repeated with a wider one where
    fewer are found.
    """

    def search_one(_tables: Sequence[CostTable], bests: Sequence[Best]) -> None:
        search(bests[0])

    return widen_many([table], n_windows, top, search_one)[0]


def widen_many(
    tables: Sequence[CostTable],
    n_windows: int,
    top: int,
    search: Callable[[Sequence[CostTable], Sequence[Best]], None],
) -> list[Ranking]:
    """The same for many tables; the search takes them together, each with its best."""
    wanted = min(top, n_windows)
    count = enough(wanted)
    rankings: dict[int, Ranking] = {}
    while len(rankings) < len(tables):
        left = [i for i in range(len(tables)) if i not in rankings]
        bests = [Best(wanted, tables[i].law.closest(n_windows, count)) for i in left]
        search([tables[i] for i in left], bests)
        for i, best in zip(left, bests, strict=True):
            ranking = best.ranking()
            if len(ranking.starts) == wanted or best.limit_from(0) >= tables[i].law.highest:
                rankings[i] = ranking
        count *= 16  # past the number of windows the limit is the highest distance
    return [rankings[i] for i in range(len(tables))]


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
    n_windows = sum(stretch.n_windows for stretch in stretches)
    isa, lowest = kernel.isa, table.law.lowest
    planner = plan = None
    if isa is not PLAIN:
        planner = Planner(table.costs, isa, thorough=n_windows > _THOROUGH)
        plan = planner.plan(best.limit_from(0))
    Chunks(
        stretches,
        isa.lanes * STRETCH,
        threads,
        lambda: _Worker(table, best, kernel, planner, plan),
        lambda start: best.limit_from(start) < lowest,
    ).run(progress)


class _Worker:
    """One thread of a scan."""

    def __init__(
        self,
        table: CostTable,
        best: Best,
        kernel: Kernel,
        planner: Planner | None,
        plan: Plan | None,
    ) -> None:
        self._task = Task(kernel, table.padded())
        self._best = best
        self._lowest = table.law.lowest
        self._planner = planner
        if plan is not None:
            self._task.take(plan)

    def scan(self, chunk: Chunk) -> None:
        """Add to the best what a chunk has."""
        task, first = self._task, chunk.first
        task.begin(chunk)
        tested = passed = 0
        while not task.finished:
            limit = self._best.limit_from(first + task.position)
            if limit < self._lowest:
                break
            before = task.position
            task.run(limit)
            task.hand_over(self._best, first)
            tested += task.position - before
            passed += task.count
            # Ties can let far more through than the law of the first limit said.
            if self._planner is not None and too_many(passed, tested):
                tighter = self._best.limit_from(first + task.position)
                if self._lowest <= tighter < limit:
                    task.take(self._planner.plan(tighter))


def too_many(passed: int, tested: int) -> bool:
    """Whether so many windows were found of those tested that a tighter plan may pay."""
    return passed > 1000 + (tested >> 8)


class Task:
    """One thread's job for one table: its arguments, its work space and what it found.

    costs is int32[84, 16]; planes is work space that several tasks share, or its own; capacity is
    how many windows are found before they are handed over, at least those of a tile.
    """

    def __init__(
        self,
        kernel: Kernel,
        costs: NDArray[np.int32],
        planes: NDArray[np.uint8] | None = None,
        capacity: int | None = None,
    ) -> None:
        self._kernel = kernel
        lanes = kernel.isa.lanes
        # The job holds addresses; the arrays are kept here so that they stay valid.
        self._digits: NDArray[np.uint8] | None = None
        self._arrays: dict[str, NDArray[Any]] = {
            "planes": aligned(MAX_KINDS, PLANE_ROWS, lanes) if planes is None else planes,
            "costs": costs,
        }
        capacity = capacity or _CAPACITY
        self._found = np.empty((capacity, 2), dtype=np.int64)
        self.job = Job(JOB)
        self.job.set(capacity=capacity, found=self._found.ctypes.data)
        self.job.set(**{name: array.ctypes.data for name, array in self._arrays.items()})

    @property
    def position(self) -> int:
        """Every start of the chunk below this one is done."""
        return self.job.get("position")

    @property
    def count(self) -> int:
        """How many rows the last run found."""
        return self.job.get("count")

    @property
    def finished(self) -> bool:
        """Whether the chunk is done."""
        return self.position >= self.job.get("end")

    def begin(self, chunk: Chunk, position: int | None = None) -> None:
        """Take the windows of a chunk; those from `position` on, one by one, where it is given."""
        digits, begin, end = chunk.digits, chunk.begin, chunk.end
        self._digits = digits
        if position is None:
            vector_end = last_vector(chunk, self._kernel.isa.lanes * STRETCH)
        else:
            begin = vector_end = position
        self.job.set(digits=digits.ctypes.data)
        self.job.set(position=begin, step=0, end=end, vector_end=vector_end)

    def take(self, plan: Plan) -> None:
        """Bound windows by this plan from now on."""
        self._plan = plan
        self.job.set(
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

    def expect(self, limit: int) -> None:
        """Find windows within this limit, into an empty table of finds."""
        self.job.set(limit=limit, count=0)

    def run(self, limit: int) -> None:
        """Go on until the chunk is done or the table of finds is full."""
        self.expect(limit)
        self._kernel.run(self.job)

    def found(self) -> Ranking:
        """What the last run found, in no order."""
        rows = self._found[: self.count]
        return Ranking(rows[:, 0].copy(), rows[:, 1].copy())

    def hand_over(self, best: Best, first: int) -> None:
        """Add what the last run found to best, by starts of the whole."""
        if self.count:
            found = self.found()
            best.add(Ranking(found.starts + first, found.distances))


def last_vector(chunk: Chunk, block: int) -> int:
    """The first start that the vectors of blocks of so many windows leave to the plain loop."""
    readable = min(chunk.end, len(chunk.digits) - OVERRUN)
    return max(chunk.begin, readable) if 0 < block <= readable else chunk.begin
