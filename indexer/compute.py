"""Computing decimals: what it will take, the child process that does it, the store it becomes."""

import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from indexer.decimals import MappedDecimals
from indexer.digits import (
    DigitStore,
    check_request,
    find_store,
    record_decimals,
    store_of,
    summarise_file,
)
from indexer.durable import translated_os_errors
from indexer.errors import ResourceError, StoreDamaged
from indexer.home import short_count, store_folder
from indexer.known import compare_known
from indexer.manifest import DECIMALS_NAME, Manifest
from indexer.progress import Progress, Step, silent
from indexer.resources import require_disk, require_memory, usable_threads
from indexer.workspace import Workspace

# The series: seconds against pi's, and bytes a decimal at the peak. Measured at 10^7 with the
# allocator set as in _environment, for pi at 10^9 too (8.05 bytes; at 5 * 10^7 it is 7.0).
_COSTS = {
    "pi": (1.0, 8.0),
    "e": (0.35, 5.4),
    "sqrt2": (0.1, 3.6),
    "ln2": (1.7, 11.5),
    "phi": (0.1, 3.6),
}
_LARGEST_LINE = 4096
# series.NO_FILE, spelled out: importing series loads FLINT. A test compares them.
NO_FILE = "-"
# Refuse where clearly too little is free: the plan is an estimate, not a law.
_CLEARLY = 0.9


@dataclass(frozen=True)
class ComputePlan:
    """What computing will take: seconds on a machine like ours, bytes of memory, bytes of disk."""

    seconds: float
    series_seconds: float
    scale_seconds: float
    memory_bytes: int
    disk_bytes: int


def plan_compute(n: int, constant: str = "pi", threads: int | None = None) -> ComputePlan:
    """What n decimals of a constant will take, before anything is started.

    Measured on 2 cores: 4 s at 10^7, 62 s at 10^8, 1,000 s at 10^9, so n^1.2; a quarter of it
    is conversion, which depends on the constant no more.
    """
    check_request(constant, n)
    factor, bytes_a_digit = _COSTS[constant]
    speed = min(threads or usable_threads(), 16) ** 0.7 / 2**0.7
    whole = 4.0 * (n / 1e7) ** 1.2 / speed
    series, scale, convert = 0.70 * whole * factor, 0.05 * whole, 0.25 * whole
    return ComputePlan(
        seconds=0.3 + series + scale + convert + 4e-9 * n,
        series_seconds=0.2 + series,
        scale_seconds=0.05 + scale,
        memory_bytes=int(80e6 + bytes_a_digit * n),
        disk_bytes=n + 65_536,
    )


def plan_recompute(n: int, constant: str = "pi", threads: int | None = None) -> ComputePlan:
    """What `recompute_hash` will take: computing without conversion, and no disk."""
    plan = plan_compute(n, constant, threads)
    seconds = 0.3 + plan.series_seconds + plan.scale_seconds
    return dataclasses.replace(plan, seconds=seconds, disk_bytes=0)


class _Reporter:
    """Turns what the child says, and the silence between, into Steps."""

    def __init__(self, plan: ComputePlan, n: int, progress: Progress) -> None:
        self._seconds = {"series": plan.series_seconds, "scale": plan.scale_seconds}
        self._n = n
        self._progress = progress
        self._stage = ""
        self._since = time.monotonic()

    def hear(self, message: dict[str, Any]) -> None:
        stage = message.get("stage")
        if not isinstance(stage, str):
            return
        if stage != self._stage:
            self._stage, self._since = stage, time.monotonic()
        if stage == "convert":
            self._progress(Step("convert", int(message["done"]), self._n, "digits"))
        else:
            self.tick()

    def tick(self) -> None:
        """FLINT is silent inside a stage: go by the estimate, and stop short of the end."""
        estimate = self._seconds.get(self._stage)
        if estimate:
            done = min(99.0, 100 * (time.monotonic() - self._since) / estimate)
            self._progress(Step(self._stage, done, 100, "%"))


def _environment() -> dict[str, str]:
    """The child's environment.

    Large numbers go straight back to the system when freed: by glibc's own rule the heap keeps
    them (at 10^7: 9.3 bytes a decimal at the peak instead of 6.8, in the same time).
    """
    package = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    tuning = {"MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "1048576"}
    return {**os.environ, **tuning, "PYTHONPATH": path}


@contextlib.contextmanager
def _child(arguments: list[str], errors: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    """A child that is dead when the block is left, whatever the reason."""
    process = subprocess.Popen(  # noqa: S603 - our own module, arguments checked
        # -P: a file in the current folder must not be imported in place of a library
        [sys.executable, "-P", "-m", "indexer.series", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=_environment(),
        start_new_session=True,  # Ctrl-C comes to us, and we end the child
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def _listen(process: "subprocess.Popen[bytes]", reporter: _Reporter) -> dict[str, Any]:
    """The last message of a child that has ended; reports progress while it runs."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    pipe = cast(IO[bytes], process.stdout)

    def read() -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := pipe.readline(_LARGEST_LINE):
                lines.put(line)
        lines.put(b"")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    message: dict[str, Any] = {}
    while True:
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            reporter.tick()
            continue
        if not line:
            break
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            reporter.hear(message)
    process.wait()
    reader.join()
    return message


def _run_series(
    request: tuple[str, int, int], file: Path | None, plan: ComputePlan, progress: Progress
) -> tuple[int, str]:
    """(decimal hash of the proven integer, versions) after a child has written the decimals.

    request is (constant, n, threads); without a file the child only proves the integer.
    """
    constant, n, threads = request
    arguments = [constant, str(n), str(threads), str(file or NO_FILE), str(os.getpid())]
    with tempfile.TemporaryFile() as errors:
        with _child(arguments, errors) as process:
            last = _listen(process, _Reporter(plan, n, progress))
        if process.returncode == 0 and isinstance(last.get("decimal_hash"), int):
            return last["decimal_hash"], str(last.get("versions", ""))
        if isinstance(last.get("errno"), int):
            raise OSError(last["errno"], str(last["error"]), str(file or "the child"))
        errors.seek(0)
        words = errors.read(100_000).decode("utf-8", "replace").split("\n")
    said = str(last.get("error") or " ".join(words[-3:]).strip() or "nothing")[:300]
    ended = process.returncode
    how = f"was ended by signal {-ended}" if ended < 0 else f"ended with status {ended}"
    raise ResourceError(
        f"the process computing {n:,} decimals of {constant} {how}, saying {said!r}; "
        f"it needs about {plan.memory_bytes:,} bytes of memory"
    )


def _prove(work: Workspace, constant: str, n: int, decimal_hash: int, progress: Progress) -> Any:
    """Summary of the file just written; StoreDamaged unless it is what was computed."""
    size = work.decimals.stat().st_size
    if size != n:
        raise StoreDamaged(f"{work.decimals} has {size} bytes; {n} were written: check the disk")
    decimals = MappedDecimals(np.memmap(work.decimals, np.uint8, "r"))
    summaries = summarise_file(decimals, constant, 1, progress)
    if summaries[n].decimal_hash != decimal_hash:
        raise StoreDamaged(
            f"{work.decimals}: decimal hash {summaries[n].decimal_hash}, but the number computed "
            f"has {decimal_hash}: check memory and disk, and compute again"
        )
    for claim in compare_known(constant, decimals, summaries):
        if not claim.ok:
            raise StoreDamaged(
                f"{work.decimals}: {claim.claim} is {claim.found}; known is {claim.expected}: "
                "check memory and disk, and compute again"
            )
    return summaries[n]


def compute_digits(
    home: Path,
    n: int,
    constant: str = "pi",
    *,
    threads: int | None = None,
    progress: Progress = silent,
    replace: bool = False,
) -> DigitStore:
    """The store of n decimals of a constant, computed unless it is there.

    Stages reported: series, scale (by the estimate, in %), convert, check (in digits). Raises
    ResourceError before anything starts where memory or disk is short, StoreBusy where another
    process is making the same store. Cost: see plan_compute.
    """
    plan = plan_compute(n, constant, threads)
    what = f"computing {short_count(n)} decimals of {constant}"
    with translated_os_errors(home):
        there = None if replace else find_store(home, constant, n)
        if there:
            return there
        require_memory(plan.memory_bytes, what, _CLEARLY)
        require_disk(plan.disk_bytes, home, what)
        with Workspace(home, store_folder(home, constant, n).name) as work:
            there = None if replace else find_store(home, constant, n)
            if there:  # made by another process while we waited for the lock
                return there
            begun = time.monotonic()
            request = (constant, n, threads or usable_threads())
            decimal_hash, versions = _run_series(request, work.decimals, plan, progress)
            summary = _prove(work, constant, n, decimal_hash, progress)
            made: dict[str, str | int | float] = {
                "how": "computed",
                "with": versions,
                "threads": request[2],
                "seconds": round(time.monotonic() - begun, 2),
                "when": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            record = record_decimals(work.decimals, 0, summary, request[2])
            manifest = Manifest(constant, n, DECIMALS_NAME, False, n, 0, summary, record, made)
            return store_of(work.publish(manifest, replace=replace), manifest)


def require_recompute(n: int, constant: str, threads: int) -> ComputePlan:
    """The plan of `recompute_hash`; ResourceError where memory is short for it."""
    plan = plan_recompute(n, constant, threads)
    what = f"computing {short_count(n)} decimals of {constant} again"
    require_memory(plan.memory_bytes, what, _CLEARLY)
    return plan


def recompute_hash(store: DigitStore, threads: int, progress: Progress = silent) -> int:
    """Decimal hash of the store's constant to its n decimals, computed and proven anew.

    The store's own decimals are not looked at, and nothing is written. Stages reported: series,
    scale. Raises ResourceError before anything starts where memory is short. Cost: three quarters
    of computing, see plan_recompute.
    """
    plan = require_recompute(store.n, store.constant, threads)
    with translated_os_errors(store.folder):
        return _run_series((store.constant, store.n, threads), None, plan, progress)[0]
