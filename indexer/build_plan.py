"""What building an index will take, before anything is started."""

import time
from dataclasses import dataclass

import numpy as np

from indexer import parts
from indexer.cells import ENTRY_BYTES, GROUPS
from indexer.coding import WindowCoder
from indexer.errors import UsageError
from indexer.learning import cell_bits, stand_in
from indexer.merge import MEMORY_A_BATCH, ROOM
from indexer.resources import available_memory, duration, gigabytes, usable_threads
from indexer.window import count_windows

# Interpreter and libraries; k-means on its sample.
_BASE_MEMORY = 350_000_000
SMALLEST_PART = 1 << 18
# Windows of one index: plans, merges and repairs stay of one size.
LARGEST_INDEX = 1 << 32
LEARNING_SECONDS = 6
# Seconds a window on one thread of the machine of ARCHITECTURE.md, beside coding.
_SORT_SECONDS = 3.0e-8
_MERGE_SECONDS = 4.0e-8
_BYTES_A_SECOND = 400e6
# Codebooks, manifests and what a file system needs for itself.
_SMALL_FILES = 1_000_000


@dataclass(frozen=True)
class BuildPlan:
    """What a build will take. disk_bytes is the peak; index_bytes is what stays of it."""

    n_windows: int
    n_lists: int
    threads: int
    part_windows: int
    seconds: float
    memory_bytes: int
    disk_bytes: int
    index_bytes: int


def count_lists(n_windows: int) -> int:
    """How many lists codebooks that are learned for so many windows make."""
    return 1 << GROUPS * cell_bits(n_windows)


def plan_build(
    n: int, threads: int | None = None, rate: float | None = None, n_lists: int | None = None
) -> BuildPlan:
    """What the index of n decimals will take; UsageError where they are too many for one.

    rate is windows coded a second on one thread, as measured (`measure_rate`), or an assumption;
    n_lists is of codebooks that are given. Parts are as large as memory allows: half of what is
    available is left alone.
    """
    threads = threads or usable_threads()
    n_windows = count_windows(n)
    if n_windows > LARGEST_INDEX:
        raise UsageError(
            f"{n_windows:,} windows; an index of one store holds at most {LARGEST_INDEX:,}; "
            "next: pilogo build --shards K"
        )
    n_lists = n_lists or count_lists(n_windows)
    room = max(available_memory() // 2 - _BASE_MEMORY, 0)
    fitting = room // (threads * parts.MEMORY_A_WINDOW)
    part_windows = min(parts.LARGEST_PART, n_windows, max(fitting, SMALLEST_PART))
    n_parts = -(-n_windows // part_windows)
    coding = part_windows * parts.MEMORY_A_WINDOW + 4 * n_lists
    merging = MEMORY_A_BATCH
    tables = 24 * n_lists * 4
    index_bytes = ENTRY_BYTES * n_windows + n_lists * (24 + ENTRY_BYTES * (ROOM - 1)) + _SMALL_FILES
    work_bytes = parts.DISK_A_WINDOW * n_windows + 4 * n_lists * n_parts
    a_window = (1 / (rate or 5e6) + _SORT_SECONDS + _MERGE_SECONDS) / threads
    return BuildPlan(
        n_windows=n_windows,
        n_lists=n_lists,
        threads=threads,
        part_windows=part_windows,
        seconds=LEARNING_SECONDS
        + n_windows * a_window
        + (index_bytes + work_bytes) / _BYTES_A_SECOND,
        memory_bytes=_BASE_MEMORY + max(threads * coding, threads * merging + tables),
        disk_bytes=index_bytes + work_bytes,
        index_bytes=index_bytes,
    )


def describe_plan(plan: BuildPlan, n: int, constant: str) -> str:
    """A plan in one sentence."""
    return (
        f"the index of {n:,} decimals of {constant}, {plan.threads} threads: about "
        f"{duration(plan.seconds)}, {gigabytes(plan.memory_bytes)} of memory, "
        f"{gigabytes(plan.index_bytes)} on disk and {gigabytes(plan.disk_bytes)} while it is "
        f"being built; {plan.n_lists:,} lists"
    )


def measure_rate() -> float:
    """Windows coded a second on one thread of this machine. Takes a fraction of a second."""
    random = np.random.default_rng(0)
    digits = random.integers(48, 58, 60_083, dtype=np.uint8)
    coder = WindowCoder(stand_in(cell_bits(10**9)))
    coder.code(digits[:1000])
    began = time.perf_counter()
    coder.code(digits)
    return 60_000 / (time.perf_counter() - began)
