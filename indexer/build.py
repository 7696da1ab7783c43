"""Building the index of a store: the work in parts, the rename at the end.

learn the coder → code and sort part after part → merge the parts into lists → index.faiss →
manifests → index.wip becomes index. What a killed run has finished, the next one takes up: the
coder, each part, each shard; of an index that is damaged, the shards that are sound. Everything is
a function of decimals, corpus and seed.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.blas import ONE_BLAS_THREAD
from indexer.build_plan import SMALLEST_PART, BuildPlan, plan_build
from indexer.cells import Coder
from indexer.check import check_index_files, check_shard_files
from indexer.checksums import FileRecord
from indexer.coding import WindowCoder
from indexer.digits import DigitStore
from indexer.durable import sync_folder, translated_os_errors, write_file
from indexer.errors import StoreDamaged, StoreForeign
from indexer.faiss_files import FAISS_VERSION, index_file_bytes
from indexer.home import build_command
from indexer.index_files import (
    Index,
    coder_bytes,
    open_index,
    prove_shard_manifest,
    read_coder,
    read_manifest_of,
    read_proven,
)
from indexer.index_folders import (
    INDEX_NAME,
    WORK_DOCUMENT,
    WORK_NAME,
    publish_index,
    remove_tree,
    require_ours,
    restore_index,
)
from indexer.index_manifest import (
    CODER_NAME,
    FAISS_NAME,
    LISTS_NAME,
    MANIFEST_NAME,
    VERSION,
    IndexManifest,
    ShardManifest,
    shard_name,
    write_index_manifest,
    write_shard_manifest,
)
from indexer.learning import SEED, learn_coder
from indexer.locks import can_lock, locked
from indexer.mapping import open_plain
from indexer.merge import list_directory, write_lists
from indexer.parts import PartRange, is_whole, make_part, open_part, split
from indexer.progress import Progress, Tally, silent
from indexer.resources import require_disk, require_memory, usable_threads
from indexer.window import count_windows

Say = Callable[[str], None]

# A place in a part is 32 bits; a shard is cut so that plans, merges and repairs stay of one size.
LARGEST_SHARD = 1 << 32
_LARGEST_OWN = 1 << 20


def build_index(
    store: DigitStore,
    *,
    threads: int | None = None,
    shard_windows: int = LARGEST_SHARD,
    replace: bool = False,
    progress: Progress = silent,
    say: Say | None = None,
) -> Index:
    """The index of a store, built where it is not there yet, mended where it is damaged.

    Stages reported: check, learn, code, merge. say hears what is reused. An index that is there is
    read through; its damaged shards are built again, the sound ones kept. Raises ResourceError
    before anything is written where memory or disk are short, StoreBusy where another process
    builds, StoreDamaged where the decimals are not what their manifest says, StoreForeign where
    the index is of other decimals or another version and is not to be replaced. Ctrl-C leaves the
    parts that are finished for the next run.
    """
    threads = threads or usable_threads()
    say = say or (lambda text: None)
    home, name = store.folder.parent, store.folder.name
    final, work = store.folder / INDEX_NAME, store.folder / WORK_NAME
    if (
        final.is_dir()
        and not (replace or can_lock(home, name))  # to be kept it must only be read
        and not _look_through(store, final, threads, progress).damages
    ):
        return open_index(store)
    with translated_os_errors(store.folder), locked(home, name):
        restore_index(store.folder)
        found = _Found(None, [], 1.0)
        if final.is_dir() and not replace:
            found = _look_through(store, final, threads, progress)
            if not found.damages:
                remove_tree(work)  # of a replacement that was begun and not gone on with
                return open_index(store)
            for damage in found.damages:
                say(f"to be mended: {damage}")
        require_ours(final)
        require_ours(work)
        plan = plan_build(store.n, threads)
        what = f"the index of {store.n:,} decimals"
        require_memory(plan.memory_bytes, what)
        require_disk(int(found.share * plan.disk_bytes) - _tree_bytes(work), store.folder, what)
        store.require_sound(threads, progress)
        builder = _Builder(store, plan, shard_windows, progress, say)
        if final.is_dir() and not replace:
            builder.mend(final, found.manifest)
        write_index_manifest(work, builder.run())
        publish_index(store.folder)
    return open_index(store)


@dataclass(frozen=True)
class _Found:
    """An index that is there: its manifest, if sound, what is wrong, and the share of windows."""

    manifest: IndexManifest | None
    damages: list[StoreDamaged]
    share: float


def _look_through(store: DigitStore, folder: Path, threads: int, progress: Progress) -> _Found:
    """Every byte of an index; StoreForeign where it is of other decimals or another version."""
    try:
        manifest = read_manifest_of(store, folder, build_command(store.folder, replace=True))
    except StoreForeign:
        raise
    except StoreDamaged as error:
        return _Found(None, [error], 1.0)
    checks = check_index_files(folder, manifest, threads, progress, deep=True)
    damages = [check.damage for check in checks if check.damage]
    for damage in damages:
        if isinstance(damage, StoreForeign):
            raise damage
    bad = {check.shard for check in checks if check.damage}
    windows = sum(count for first, count in manifest.shards if first in bad)
    return _Found(manifest, damages, windows / count_windows(store.n))


class _Builder:
    """One run of a build: takes up what is there, makes what is missing."""

    def __init__(
        self,
        store: DigitStore,
        plan: BuildPlan,
        shard_windows: int,
        progress: Progress,
        say: Say,
    ) -> None:
        self._store = store
        self._work = store.folder / WORK_NAME
        self._plan = plan
        self._progress = progress
        self._say = say
        total = plan.n_windows
        firsts = range(0, total, shard_windows)
        self._shards = [(first, min(shard_windows, total - first)) for first in firsts]
        self._digits = store.open()
        self._there: Path | None = None
        self._manifest: IndexManifest | None = None

    def mend(self, folder: Path, manifest: IndexManifest | None) -> None:
        """Use what is sound of the index in a folder; its manifest, if that is.

        Shards are linked, not copied; where links cannot be they are made again.
        """
        self._there, self._manifest = folder, manifest
        if manifest:
            self._shards = list(manifest.shards)

    def run(self) -> IndexManifest:
        self._prepare()
        coder, record = self._coder()
        build = self._build_id(record)
        for first, n_windows in self._shards:
            self._shard(coder, build, first, n_windows)
        return IndexManifest(
            build, self._store.n, self._store.record.sha256, record, tuple(self._shards)
        )

    def _share(
        self, there: Path, here: Path, build: str, windows: tuple[int, int], n_cells: int
    ) -> None:
        """Link a shard of this very build that stands elsewhere, if every byte of it is sound."""
        threads = self._plan.threads
        checks = check_shard_files(there, build, windows, threads, n_cells)
        if any(check.damage for check in checks):
            return
        here.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            for name in (FAISS_NAME, LISTS_NAME, MANIFEST_NAME):  # the manifest last
                (here / name).unlink(missing_ok=True)
                os.link(there / name, here / name)
        sync_folder(here)

    def _purpose(self) -> dict[str, object]:
        """What decides every byte of the work but the parts' sizes."""
        return {
            "version": VERSION,
            "n": self._store.n,
            "decimals_sha256": self._store.record.sha256,
            "seed": SEED,
            "shards": self._shards,
        }

    def _prepare(self) -> None:
        """A work folder for this very build: an earlier run's, or an empty one."""
        document = self._work / WORK_DOCUMENT
        purpose = json.loads(json.dumps(self._purpose()))
        try:
            same = json.loads(_read_own(document)) == purpose
        except (OSError, ValueError, RecursionError):
            same = False
        if not same:
            remove_tree(self._work)
            self._work.mkdir(exist_ok=True)
            write_file(document, json.dumps(purpose).encode())
            sync_folder(self._store.folder)

    def _coder(self) -> tuple[Coder, FileRecord]:
        path = self._work / CODER_NAME
        if self._there and self._manifest and not path.exists():
            with contextlib.suppress(StoreDamaged):
                write_file(path, read_proven(self._there / CODER_NAME, self._manifest.coder, ""))
        with contextlib.suppress(StoreDamaged, OSError):
            content = _read_own(path)
            record = FileRecord(len(content), hashlib.sha256(content).hexdigest())
            coder = read_coder(path, record, "")
            self._say("reusing the codebooks that are there")
            return coder, record
        coder = learn_coder(self._plan.n_windows, self._progress)
        content = coder_bytes(coder)
        write_file(path, content)
        return coder, FileRecord(len(content), hashlib.sha256(content).hexdigest())

    def _build_id(self, coder: FileRecord) -> str:
        purpose = json.dumps([self._purpose(), coder.sha256], sort_keys=True)
        return hashlib.sha256(purpose.encode()).hexdigest()

    def _shard(self, coder: Coder, build: str, first: int, n_windows: int) -> None:
        folder = self._work / shard_name(first)
        windows = first, n_windows
        if self._there and not (folder / MANIFEST_NAME).exists():
            self._share(self._there / shard_name(first), folder, build, windows, coder.n_cells)
        with contextlib.suppress(StoreDamaged):
            prove_shard_manifest(folder, build, windows, "")
            self._say(f"reusing {folder.name}, {n_windows:,} windows")
            _remove(folder, "part-*")
            return
        folder.mkdir(exist_ok=True)
        for name in (LISTS_NAME, FAISS_NAME):  # of a run that ended here: their room is needed
            _remove(folder, name + "*")
        ranges = self._parts(coder, folder, first, n_windows)
        opened = [open_part(part, folder, coder) for part in ranges]
        sizes = np.zeros(coder.n_cells, dtype=np.int64)
        for whole in opened:
            sizes += whole.counts
        directory = list_directory(sizes)
        tally = Tally("merge", n_windows, "windows", self._progress)
        lists = write_lists(opened, directory, folder / LISTS_NAME, self._plan.threads, tally.add)
        content, at = index_file_bytes(coder, directory, LISTS_NAME, lists.n_bytes, n_windows)
        write_file(folder / FAISS_NAME, content)
        index = FileRecord(len(content), hashlib.sha256(content).hexdigest())
        manifest = ShardManifest(build, first, n_windows, at, FAISS_VERSION, index, lists)
        write_shard_manifest(folder, manifest)
        sync_folder(self._work)
        _remove(folder, "part-*")

    def _parts(self, coder: Coder, folder: Path, first: int, n_windows: int) -> list[PartRange]:
        """Every part of a shard, made in threads where an earlier run has not made it."""
        ranges = _existing_split(folder, first, n_windows) or split(
            first, n_windows, self._plan.part_windows
        )
        missing = [part for part in ranges if not is_whole(part, folder, coder)]
        done = n_windows - sum(part.n_windows for part in missing)
        if done:
            self._say(f"reusing {len(ranges) - len(missing)} parts, {done:,} windows")
        tally = Tally("code", n_windows, "windows", self._progress, done)
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


def _read_own(path: Path) -> bytes:
    """A small file of an earlier run; OSError where it is a link or no file."""
    with open_plain(path) as file:
        return file.read(_LARGEST_OWN)


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
            if count >= SMALLEST_PART and at + count < first + n_windows:
                return split(first, n_windows, count)
            if (at, count) == (first, n_windows):
                return split(first, n_windows, count)
    return None


def _remove(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink()


def _tree_bytes(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
