"""What shards will take: how many, and what 10^12 decimals ask of many machines."""

import math
from dataclasses import dataclass

from indexer.build_plan import (
    LARGEST_INDEX,
    LEARNING_SECONDS,
    BuildPlan,
    count_lists,
    plan_build,
)
from indexer.errors import UsageError
from indexer.home import StoreName
from indexer.resources import available_memory, duration, gigabytes, usable_threads
from indexer.shards import MOST_SHARDS, OVERLAP
from indexer.window import WINDOW, count_windows

# Windows of a shard that nobody has chosen: 15 GB of index, 4 minutes of work, on two threads.
_SHARD_WINDOWS = 1 << 30
# What a machine is taken to do; measured or assumed, see ARCHITECTURE.md, "Past one machine".
_DISK_BYTES_A_SECOND = 400e6
_SECONDS_A_READ = 1e-4
_SECONDS_A_ROUND = 0.02
_ROUNDS = 2
_SECONDS_A_TASK = 1e-3
_TASKS_A_THREAD = 2
_SCAN_SECONDS_A_WINDOW = 2.0e-10
_SECONDS_A_LIST = 4e-8
_SECONDS_A_WINDOW = 2e-10
_SECONDS_A_CANDIDATE = 2.8e-8
# The median logo at 10^9, and how that grows (benchmarks/index.py --growth).
_LISTS, _WINDOWS, _SCORED = 9_700, 1_100_000, 17_000
_WINDOWS_POWER, _SCORED_POWER = 0.40, 0.31
_LARGEST_COMPUTED = 10**11
_ASSUMED = (
    "this machine's rate of coding; disks of 0.4 GB/s and 10,000 reads a second and thread;",
    f"{_ROUNDS} rounds of 20 ms a question, 1,000 tasks a second from one scheduler;",
    "growth as measured up to 10^9 (benchmarks/index.py)",
)


@dataclass(frozen=True)
class ScalePlan:
    """What decimals take on machines like this one. Bytes of disk and memory are a machine's."""

    n: int
    workers: int
    threads: int
    n_shards: int
    shard: BuildPlan
    disk_bytes: int
    work_bytes: int
    memory_bytes: int
    build_seconds: float
    scan_seconds: float
    query_seconds: float
    reads: int
    resident: bool
    tasks: int


def choose_shards(n: int, wanted: int | None, n_threads: int) -> int:
    """How many shards n decimals are cut into: as asked, or one for each thread, or more."""
    n_windows = count_windows(n)
    fitting = max(-(-n_windows // _SHARD_WINDOWS), n_threads)
    return min(wanted or fitting, n_windows, MOST_SHARDS)


def plan_scale(n: int, workers: int, n_shards: int | None, rate: float) -> ScalePlan:
    """What n decimals take on so many machines; rate is windows coded a second on one thread."""
    threads = usable_threads()
    n_windows = count_windows(n)
    if n_windows > MOST_SHARDS * LARGEST_INDEX:
        raise UsageError(
            f"{n:,} decimals are more than one store holds: {MOST_SHARDS:,} shards of "
            f"{LARGEST_INDEX:,} windows; plan for several stores"
        )
    count = choose_shards(n, n_shards, workers * threads)
    shard = plan_build(-(-n_windows // count) + OVERLAP, 1, rate, count_lists(n_windows))
    # every thread builds a shard of its own; the last turn may leave some without
    turns = -(-count // (workers * threads))
    written = count * (shard.index_bytes + shard.n_windows + WINDOW)
    lists = _LISTS * (n / 1e9) ** (_WINDOWS_POWER - 1) * count
    windows = _WINDOWS * (n / 1e9) ** _WINDOWS_POWER
    scored = _SCORED * (n / 1e9) ** _SCORED_POWER
    resident = written / workers < available_memory()
    # threads of a machine share its disk
    waits = shard.disk_bytes / _DISK_BYTES_A_SECOND
    cutting = 2 * n / workers / _DISK_BYTES_A_SECOND
    work = lists * _SECONDS_A_LIST + windows * _SECONDS_A_WINDOW + scored * _SECONDS_A_CANDIDATE
    reads = 0 if resident else int(lists + scored)
    at_once = workers * threads
    tasks = min(count, _TASKS_A_THREAD * at_once) if workers > 1 else 0
    from_disk = n / workers > available_memory()
    scan = n * _SCAN_SECONDS_A_WINDOW / at_once
    return ScalePlan(
        n=n,
        workers=workers,
        threads=threads,
        n_shards=count,
        shard=shard,
        disk_bytes=-(-written // workers),
        work_bytes=threads * (shard.disk_bytes - shard.index_bytes),
        memory_bytes=threads * shard.memory_bytes,
        build_seconds=turns * (shard.seconds - LEARNING_SECONDS + (threads - 1) * waits) + cutting,
        scan_seconds=max(scan, n / workers / _DISK_BYTES_A_SECOND) if from_disk else scan,
        query_seconds=_ROUNDS * (_SECONDS_A_ROUND + tasks * _SECONDS_A_TASK)
        + work / at_once
        + reads * _SECONDS_A_READ / at_once,
        reads=reads,
        resident=resident,
        tasks=tasks,
    )


def describe_shards(name: StoreName, n_shards: int, threads: int, rate: float) -> str:
    """What shards will take on this machine, in one sentence."""
    n_lists = count_lists(count_windows(name.n))
    n_windows = -(-count_windows(name.n) // n_shards)
    plan = plan_build(n_windows + OVERLAP, threads, rate, n_lists)
    seconds = LEARNING_SECONDS + n_shards * (plan.seconds - LEARNING_SECONDS)
    total = n_shards * (plan.index_bytes + plan.n_windows)
    return (
        f"{n_shards} shards of {n_windows:,} windows of {name.constant}, {threads} threads: about "
        f"{duration(seconds)}, "
        f"{gigabytes(plan.memory_bytes)} of memory, {gigabytes(total)} on disk and "
        f"{gigabytes(total + plan.disk_bytes - plan.index_bytes)} while they are being built"
    )


def describe_scale(plan: ScalePlan) -> str:
    """A plan for many machines, with what it assumes and what breaks first."""
    shard = plan.shard
    decimals = "y-cruncher's files, or text (pilogo digits import --in-place)"
    if plan.n <= _LARGEST_COMPUTED:
        decimals += "; or computed, as pilogo digits compute says"
    power = math.log10(plan.n)
    lines = [
        f"decimals          {plan.n:,} (10^{power:.3g}), from {decimals}",
        f"machines          {plan.workers:,}, like this one: {plan.threads} threads",
        f"shards            {plan.n_shards:,} of {shard.n_windows:,} windows",
        (
            f"disk              {gigabytes(plan.disk_bytes)} a machine, "
            f"{gigabytes(plan.disk_bytes * plan.workers)} in all; "
            f"{gigabytes(plan.work_bytes)} more while it builds"
        ),
        f"memory            {gigabytes(plan.memory_bytes)} a machine to build",
        f"build             {duration(plan.build_seconds)}",
        f"scan              {duration(plan.scan_seconds)} a logo",
        f"query             {plan.query_seconds * 1000:,.0f} ms (median logo, --missed 0.1)"
        + ("" if plan.resident else f", {plan.reads:,} reads from disk"),
        f"breaks first      {_weakest(plan)}",
        f"assumed           {_ASSUMED[0]}",
        *(f"                  {line}" for line in _ASSUMED[1:]),
    ]
    return "\n".join(lines)


def _weakest(plan: ScalePlan) -> str:
    """What will be short before anything else."""
    if plan.memory_bytes > available_memory():
        return (
            f"memory while building: {gigabytes(plan.memory_bytes)} a machine, "
            f"{gigabytes(available_memory())} here"
        )
    if _ROUNDS * plan.tasks * _SECONDS_A_TASK > plan.query_seconds / 2:
        return (
            f"the scheduler: {plan.tasks:,} tasks a round; fewer threads and larger groups, or "
            "several stores with a scheduler each"
        )
    if not plan.resident:
        return (
            f"memory for queries: {gigabytes(plan.disk_bytes)} of lists and decimals a machine, "
            f"{gigabytes(available_memory())} of memory here, so lists are read from disk"
        )
    return "nothing on this list: lists and decimals fit into memory"
