"""Building the index of a store: what it will take, the work in parts, the rename at the end.

learn the coder → code and sort part after part → merge the parts into lists → index.faiss →
manifests → index.wip becomes index. What a killed run has finished, the next one takes up: the
coder, each part, each shard. Everything is a function of decimals, corpus and seed.
"""

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from indexer import parts
from indexer.blas import ONE_BLAS_THREAD
from indexer.cells import GROUPS, Coder
from indexer.coding import WindowCoder
from indexer.digits import DigitStore
from indexer.documents import write_document
from indexer.errors import ClaimFailed, StoreBusy, StoreDamaged
from indexer.faiss_files import write_index_file
from indexer.index_files import (
    CODER_NAME,
    FAISS_NAME,
    INDEX_NAME,
    LISTS_NAME,
    LOCK_NAME,
    MANIFEST_NAME,
    OLD_NAME,
    VERSION,
    WORK_DOCUMENT,
    WORK_NAME,
    FileRecord,
    Index,
    IndexManifest,
    ShardManifest,
    coder_bytes,
    open_index,
    read_coder,
    read_shard_manifest,
    remove_tree,
    sha256_of,
    shard_name,
    write_index_manifest,
    write_shard_manifest,
)
from indexer.learning import SEED, cell_bits, learn_coder, stand_in
from indexer.merge import ENTRY_BYTES, MEMORY_A_BATCH, list_directory, write_lists
from indexer.parts import PartRange, is_whole, make_part, open_part, split
from indexer.progress import Progress, Step, silent
from indexer.resources import (
    available_memory,
    duration,
    gigabytes,
    require_disk,
    require_memory,
    usable_threads,
)
from indexer.window import count_windows
from indexer.workspace import sync_folder, translated_os_errors

Say = Callable[[str], None]

# A place in a part is 32 bits; a shard is cut so that plans, merges and repairs stay of one size.
LARGEST_SHARD = 1 << 32
_LOCK_SECONDS = 0.5
# Interpreter and libraries; k-means on its sample.
_BASE_MEMORY = 350_000_000
_SMALLEST_PART = 1 << 18
# Seconds a window on one thread of the machine of ARCHITECTURE.md, beside coding.
_SORT_SECONDS = 3.0e-8
_MERGE_SECONDS = 4.0e-8
_BYTES_A_SECOND = 400e6


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


def plan_build(n: int, threads: int | None = None, rate: float | None = None) -> BuildPlan:
    """What the index of n decimals will take, before anything is started.

    rate is windows coded a second on one thread, as measured (`measure_rate`), or an assumption.
    Parts are as large as memory allows: half of what is available is left alone.
    """
    threads = threads or usable_threads()
    n_windows = count_windows(n)
    n_lists = 1 << GROUPS * cell_bits(n_windows)
    room = max(available_memory() // 2 - _BASE_MEMORY, 0)
    fitting = room // (threads * parts.MEMORY_A_WINDOW)
    part_windows = min(parts.LARGEST_PART, n_windows, max(fitting, _SMALLEST_PART))
    n_parts = -(-n_windows // part_windows)
    coding = part_windows * parts.MEMORY_A_WINDOW + 4 * n_lists
    merging = MEMORY_A_BATCH
    tables = 24 * n_lists * 4
    index_bytes = ENTRY_BYTES * n_windows + n_lists * (24 + ENTRY_BYTES // 2) + 1_000_000
    work_bytes = parts.DISK_A_WINDOW * n_windows + 4 * n_lists * n_parts
    a_window = (1 / (rate or 5e6) + _SORT_SECONDS + _MERGE_SECONDS) / threads
    return BuildPlan(
        n_windows=n_windows,
        n_lists=n_lists,
        threads=threads,
        part_windows=part_windows,
        seconds=6 + n_windows * a_window + (index_bytes + work_bytes) / _BYTES_A_SECOND,
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


class _Interrupted(Exception):
    """Raised in a worker when the build is being abandoned."""


class _Tally:
    """Windows done, summed over threads and reported; raises in workers when asked to stop."""

    def __init__(self, stage: str, total: int, done: int, progress: Progress) -> None:
        self._stage, self._total, self._done = stage, total, done
        self._progress = progress
        self._lock = threading.Lock()
        self.stop = threading.Event()
        progress(Step(stage, done, total, "windows"))

    def add(self, count: int) -> None:
        if self.stop.is_set():
            raise _Interrupted
        with self._lock:
            self._done += count
            self._progress(Step(self._stage, self._done, self._total, "windows"))


def build_index(
    store: DigitStore,
    *,
    threads: int | None = None,
    shard_windows: int = LARGEST_SHARD,
    replace: bool = False,
    progress: Progress = silent,
    say: Say | None = None,
) -> Index:
    """The index of a store, built where it is not there yet.

    Stages reported: learn, code, merge. say hears what is reused of an earlier run. Returns the
    index there is unless told to replace it. Raises ResourceError before anything is written where
    memory or disk are short, StoreBusy where another process builds. Ctrl-C leaves the parts that
    are finished for the next run.
    """
    threads = threads or usable_threads()
    say = say or (lambda text: None)
    with translated_os_errors(store.folder), _locked(store):
        _restore(store.folder)
        final = store.folder / INDEX_NAME
        if final.is_dir() and not replace:
            return open_index(store)
        plan = plan_build(store.n, threads)
        what = f"the index of {store.n:,} decimals"
        require_memory(plan.memory_bytes, what)
        work = store.folder / WORK_NAME
        require_disk(plan.disk_bytes - _tree_bytes(work), store.folder, what)
        builder = _Builder(store, work, plan, shard_windows, progress, say)
        manifest = builder.run()
        write_index_manifest(work, manifest)
        sync_folder(work)
        _publish(store.folder)
    return open_index(store)


class _Builder:
    """One run of a build: takes up what is there, makes what is missing."""

    def __init__(
        self,
        store: DigitStore,
        work: Path,
        plan: BuildPlan,
        shard_windows: int,
        progress: Progress,
        say: Say,
    ) -> None:
        self._store = store
        self._work = work
        self._plan = plan
        self._progress = progress
        self._say = say
        total = plan.n_windows
        firsts = range(0, total, shard_windows)
        self._shards = [(first, min(shard_windows, total - first)) for first in firsts]
        self._digits = store.open()

    def run(self) -> IndexManifest:
        self._prepare()
        coder, record = self._coder()
        build = self._build_id(record)
        for first, n_windows in self._shards:
            self._shard(coder, build, first, n_windows)
        return IndexManifest(
            build, self._store.n, self._store.summary.sha256, record, tuple(self._shards)
        )

    def _purpose(self) -> dict[str, object]:
        """What decides every byte of the work but the parts' sizes."""
        return {
            "format": "pilogo-index-work",
            "version": VERSION,
            "n": self._store.n,
            "decimals_sha256": self._store.summary.sha256,
            "seed": SEED,
            "shards": self._shards,
        }

    def _prepare(self) -> None:
        """A work folder for this very build: an earlier run's, or an empty one."""
        document = self._work / WORK_DOCUMENT
        purpose = json.loads(json.dumps(self._purpose()))
        try:
            same = json.loads(document.read_bytes()) == purpose
        except (OSError, ValueError, RecursionError):
            same = False
        if not same:
            remove_tree(self._work)
            self._work.mkdir(exist_ok=True)
            write_document(document, purpose)
            sync_folder(self._work)

    def _coder(self) -> tuple[Coder, FileRecord]:
        path = self._work / CODER_NAME
        if path.is_file():
            record = FileRecord(path.stat().st_size, sha256_of(path))
            with contextlib.suppress(StoreDamaged):
                coder = read_coder(path, record, "")
                self._say("reusing the codebooks of an earlier run")
                return coder, record
        coder = learn_coder(self._plan.n_windows, self._progress)
        content = coder_bytes(coder)
        partial = path.with_name(path.name + ".tmp")
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        return coder, FileRecord(len(content), hashlib.sha256(content).hexdigest())

    def _build_id(self, coder: FileRecord) -> str:
        purpose = json.dumps([self._purpose(), coder.sha256], sort_keys=True)
        return hashlib.sha256(purpose.encode()).hexdigest()

    def _shard(self, coder: Coder, build: str, first: int, n_windows: int) -> None:
        folder = self._work / shard_name(first)
        if (folder / MANIFEST_NAME).is_file():
            with contextlib.suppress(StoreDamaged):
                if read_shard_manifest(folder, "").build == build:
                    self._say(f"reusing {folder.name}, {n_windows:,} windows")
                    return
        folder.mkdir(exist_ok=True)
        ranges = self._parts(coder, folder, first, n_windows)
        opened = [open_part(part, folder, coder) for part in ranges]
        sizes = np.zeros(coder.n_cells, dtype=np.int64)
        for whole in opened:
            sizes += whole.counts
        directory = list_directory(sizes)
        lists = folder / LISTS_NAME
        tally = _Tally("merge", n_windows, 0, self._progress)
        lists_sha256 = write_lists(opened, directory, lists, self._plan.threads, tally.add)
        wanted = int((ENTRY_BYTES * directory[:, 1]).sum())
        _require_size(lists, wanted)
        at = write_index_file(folder / FAISS_NAME, coder, directory, lists, n_windows)
        manifest = ShardManifest(
            build,
            first,
            n_windows,
            at,
            FileRecord((folder / FAISS_NAME).stat().st_size, sha256_of(folder / FAISS_NAME)),
            FileRecord(wanted, lists_sha256),
        )
        write_shard_manifest(folder, manifest)
        sync_folder(folder)
        del opened
        for part in ranges:
            part.path(folder).unlink()

    def _parts(self, coder: Coder, folder: Path, first: int, n_windows: int) -> list[PartRange]:
        """Every part of a shard, made in threads where an earlier run has not made it."""
        ranges = _existing_split(folder, first, n_windows) or split(
            first, n_windows, self._plan.part_windows
        )
        missing = [part for part in ranges if not is_whole(part, folder, coder)]
        done = n_windows - sum(part.n_windows for part in missing)
        if done:
            self._say(f"reusing {len(ranges) - len(missing)} parts, {done:,} windows")
        tally = _Tally("code", n_windows, done, self._progress)
        machine = WindowCoder(coder)
        with ONE_BLAS_THREAD, ThreadPoolExecutor(self._plan.threads) as pool:
            futures = [
                pool.submit(
                    make_part, part, self._digits, machine, coder.n_cells, folder, tally.add
                )
                for part in missing
            ]
            try:
                _wait(futures)
            except BaseException:
                tally.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return ranges


def _wait(futures: "list[Future[None]]") -> None:
    """Wait for all; the first error ends the wait. Short waits, so that Ctrl-C is heard."""
    left = set(futures)
    while left:
        done, left = wait(left, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


def _existing_split(folder: Path, first: int, n_windows: int) -> list[PartRange] | None:
    """The split that an earlier run chose (memory may have been another), if parts tell it."""
    for path in sorted(folder.glob("part-*.bin")):
        fields = path.stem.split("-")
        if len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal():
            at, count = int(fields[1]), int(fields[2])
            if count >= _SMALLEST_PART and at + count < first + n_windows:
                return split(first, n_windows, count)
            if (at, count) == (first, n_windows):
                return split(first, n_windows, count)
    return None


def _require_size(path: Path, wanted: int) -> None:
    found = path.stat().st_size
    if found != wanted:
        raise ClaimFailed(f"{path} has {found} bytes after writing {wanted}; is the disk full?")


def _tree_bytes(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def _locked(store: DigitStore) -> Iterator[None]:
    """The lock of whoever builds this store's index; it dies with its process."""
    lock = FileLock(store.folder / LOCK_NAME)
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except Timeout:
        raise StoreBusy(
            f"the index of {store.folder} is being built by another process; wait for it to end"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _restore(folder: Path) -> None:
    """Finish or undo a replacement that was killed between its two renames."""
    old, final = folder / OLD_NAME, folder / INDEX_NAME
    if old.exists() and not final.exists():
        old.rename(final)
    remove_tree(old)
    (final / WORK_DOCUMENT).unlink(missing_ok=True)


def _publish(folder: Path) -> None:
    """Give the work its name. Readers of the index before keep their maps of its files."""
    work, final, old = (folder / name for name in (WORK_NAME, INDEX_NAME, OLD_NAME))
    if final.exists():
        final.rename(old)
    work.rename(final)
    (final / WORK_DOCUMENT).unlink()
    sync_folder(folder)
    remove_tree(old)
