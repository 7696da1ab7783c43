"""The exact scan for many cost tables at once, from planes of keys that they share.

The same answers as one scan after the other, in two thirds of the time (ARCHITECTURE.md): each
step of each block is bounded for all tables while its keys are in the caches. Tables that fit into
no common plan, and all where the processor lacks look-ups in 64 bytes, are scanned alone.
"""

from collections.abc import Sequence

import numpy as np

from indexer.ir import Job
from indexer.progress import Progress, Step, silent
from query.assembly.layout import SHARED_JOB, SHARED_ROWS, SHARED_TILE, STRETCH
from query.chunks import Chunk, Chunks, Stretch
from query.kernels import Kernel
from query.metrics import CostTable
from query.plan import Plan, aligned
from query.ranking import Best
from query.scan import Task, last_vector, scan_within, too_many
from query.sharing import ALONE, SharedPlanner

# Tables that are bounded together, at most: their look-up tables are in the second cache too.
MOST_TOGETHER = 128
# Fewer have nothing of it.
_LEAST_TOGETHER = 8
# Rows a table can find before it hands them over: those of two tiles, or more.
_CAPACITY = 1 << 14


def scan_together(
    stretches: Sequence[Stretch],
    tables: Sequence[CostTable],
    bests: Sequence[Best],
    *,
    kernel: Kernel,
    threads: int = 1,
    progress: Progress = silent,
) -> None:
    """Add to each best what scan_within adds to it for the table of the same number.

    One stage of progress, in windows compared. Raises as scan_within.
    """
    n_windows = sum(stretch.n_windows for stretch in stretches)
    total = n_windows * len(tables)
    done = 0

    def report(weight: int) -> Progress:
        return lambda step: progress(Step("scan", done + step.done * weight, total, "windows"))

    alone: list[int] = []
    for begin in range(0, len(tables), MOST_TOGETHER):
        batch = list(range(begin, min(begin + MOST_TOGETHER, len(tables))))
        group = _Group([tables[i] for i in batch], [bests[i] for i in batch], kernel)
        alone += [batch[k] for k in group.alone]
        if group.together:
            group.scan(stretches, threads, report(len(group.together)))
            done += n_windows * len(group.together)
    for i in alone:
        scan_within(
            stretches, tables[i], bests[i], kernel=kernel, threads=threads, progress=report(1)
        )
        done += n_windows


class _Group:
    """Tables with planes in common: the numbers of those that are scanned together, and alone."""

    def __init__(self, tables: Sequence[CostTable], bests: Sequence[Best], kernel: Kernel) -> None:
        self.tables, self.bests, self.kernel = tables, bests, kernel
        self.together: list[int] = []
        self.plans: dict[int, Plan] = {}
        self.alone = list(range(len(tables)))
        if not kernel.shares or len(tables) < _LEAST_TOGETHER:
            return
        limits = [
            max(best.limit_from(0), t.law.lowest) for t, best in zip(tables, bests, strict=True)
        ]
        self.planner = SharedPlanner([table.costs for table in tables], limits, kernel.isa)
        if self.planner.keys is None:
            return
        self.keys = self.planner.keys
        plans = [self.planner.plan(i, limit) for i, limit in enumerate(limits)]
        fit = [i for i, plan in enumerate(plans) if plan.effort <= ALONE]
        if len(fit) < _LEAST_TOGETHER:
            return
        self.together = fit
        self.plans = {i: plans[i] for i in fit}
        self.alone = [i for i in self.alone if i not in self.plans]

    def hopeless(self, i: int, start: int) -> bool:
        """Whether no window from a start on can get in for table i."""
        return self.bests[i].limit_from(start) < self.tables[i].law.lowest

    def scan(self, stretches: Sequence[Stretch], threads: int, progress: Progress) -> None:
        Chunks(
            stretches,
            self.kernel.isa.lanes * STRETCH,
            threads,
            lambda: _Worker(self),
            lambda start: all(self.hopeless(i, start) for i in self.together),
        ).run(progress)


class _Worker:
    """One thread's share of a scan of many tables: a task for each, planes for all."""

    def __init__(self, group: _Group) -> None:
        self._group = group
        keys, kernel = group.keys, group.kernel
        lanes = kernel.isa.lanes
        self._planes = aligned(keys.n_planes, SHARED_ROWS, lanes)
        capacity = max(_CAPACITY, 2 * SHARED_TILE * lanes)
        self._tasks: dict[int, Task] = {}
        self._planned = {i: group.bests[i].limit_from(0) for i in group.together}
        for i in group.together:
            task = Task(kernel, group.tables[i].padded(), self._planes, capacity)
            task.take(group.plans[i])
            self._tasks[i] = task
        self._job = Job(SHARED_JOB)
        self._job.set(
            letters=keys.letters.ctypes.data,
            kinds=keys.kinds.ctypes.data,
            n_kinds=len(keys.kinds),
            planes=self._planes.ctypes.data,
            sums=keys.sums.ctypes.data,
            n_sums=len(keys.sums),
        )

    def scan(self, chunk: Chunk) -> None:
        """Add to every best what a chunk has."""
        job, group = self._job, self._group
        end = last_vector(chunk, group.kernel.isa.lanes * STRETCH)
        job.set(digits=chunk.digits.ctypes.data, position=chunk.begin, step=0, vector_end=end)
        for task in self._tasks.values():
            task.begin(chunk)
        found = dict.fromkeys(self._tasks, 0)
        while (position := job.get("position")) < end:
            at = chunk.first + position
            active = [i for i in self._tasks if not group.hopeless(i, at)]
            if not active:
                return
            for i in active:
                self._tasks[i].expect(group.bests[i].limit_from(at))
            questions = np.array([self._tasks[i].job.address for i in active], dtype=np.int64)
            job.set(questions=questions.ctypes.data, n_questions=len(questions))
            group.kernel.run_together(job)
            for i in active:
                found[i] += self._tasks[i].count
                self._tasks[i].hand_over(group.bests[i], chunk.first)
                if too_many(found[i], job.get("position") - chunk.begin):
                    self._tighten(i, chunk.first + job.get("position"))
        for i in self._tasks:
            self._finish(i, chunk, max(chunk.begin, end))

    def _tighten(self, i: int, start: int) -> None:
        """Plan anew for what can still get in: ties can let far more through than was foreseen."""
        limit = self._group.bests[i].limit_from(start)
        if self._group.tables[i].law.lowest <= limit < self._planned[i]:
            self._planned[i] = limit
            self._tasks[i].take(self._group.planner.plan(i, limit))

    def _finish(self, i: int, chunk: Chunk, position: int) -> None:
        """The windows from a position on, which are in no whole block, for one table."""
        task, best = self._tasks[i], self._group.bests[i]
        task.begin(chunk, position)
        while not task.finished and not self._group.hopeless(i, chunk.first + task.position):
            task.run(best.limit_from(chunk.first + task.position))
            task.hand_over(best, chunk.first)
