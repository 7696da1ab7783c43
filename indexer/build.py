"""Building the index of a store: the work in parts, the rename at the end.

learn the coder → code and sort part after part → merge the parts into lists → index.faiss →
manifest → index.wip becomes index. What a killed run has finished, the next one takes up: the
coder, each part, the whole index that only lacks its name; of an index that is damaged, the coder.
Everything is a function of decimals, corpus and seed, or of decimals and a coder that is given.
"""

import contextlib
import json
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from indexer.blas import ONE_BLAS_THREAD
from indexer.build_plan import SMALLEST_PART, BuildPlan, plan_build
from indexer.cells import Coder
from indexer.check import check_index_files
from indexer.checksums import FileRecord, record_bytes
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
    parse_coder,
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
    VERSION,
    IndexManifest,
    write_index_manifest,
)
from indexer.learning import SEED, learn_coder
from indexer.locks import can_lock, locked
from indexer.mapping import open_plain
from indexer.merge import list_directory, write_lists
from indexer.parts import PartRange, is_whole, make_part, open_part, split
from indexer.progress import Progress, Tally, silent
from indexer.resources import require_disk, require_memory, usable_threads

Say = Callable[[str], None]

_LARGEST_OWN = 1 << 20


def build_index(
    store: DigitStore,
    *,
    threads: int | None = None,
    replace: bool = False,
    coder: bytes | None = None,
    progress: Progress = silent,
    say: Say | None = None,
) -> Index:
    """The index of a store, built where it is not there yet, mended where it is damaged.

    coder is the content of a coder.npz that the caller has proven; without it an index that is
    mended keeps its own, and for any other one is learned. Stages reported: check, learn, code,
    merge. say hears what is reused. An index that is there is read through.

    Raises UsageError where one index cannot hold the windows, ResourceError before anything is
    written where memory or disk are short, StoreBusy where another process builds, StoreDamaged
    where the decimals are not what their manifest says, StoreForeign where the index is of other
    decimals, another version or another coder than is given, and is not to be replaced. Ctrl-C
    leaves the parts that are finished for the next run.
    """
    threads = threads or usable_threads()
    say = say or (lambda text: None)
    home, name = store.folder.parent, store.folder.name
    final, work = store.folder / INDEX_NAME, store.folder / WORK_NAME
    if (
        final.is_dir()
        and not (replace or can_lock(home, name))  # to be kept it must only be read
        and not _look_through(store, coder, threads, progress)[0]
    ):
        return open_index(store)
    with translated_os_errors(store.folder), locked(home, name):
        restore_index(store.folder)
        if final.is_dir() and not replace:
            damages, sound_coder = _look_through(store, coder, threads, progress)
            if not damages:
                remove_tree(work)  # of a replacement that was begun and not gone on with
                return open_index(store)
            for damage in damages:
                say(f"to be mended: {damage}")
            coder = coder or sound_coder
        require_ours(final)
        require_ours(work)
        n_lists = parse_coder(coder, final / CODER_NAME, "").n_cells if coder else None
        plan = plan_build(store.n, threads, n_lists=n_lists)
        what = f"the index of {store.n:,} decimals"
        require_memory(plan.memory_bytes, what)
        require_disk(plan.disk_bytes - _tree_bytes(work), store.folder, what)
        store.require_sound(threads, progress)
        _Builder(store, plan, coder, progress, say).run()
        publish_index(store.folder)
    return open_index(store)


def _look_through(
    store: DigitStore, given: bytes | None, threads: int, progress: Progress
) -> tuple[list[StoreDamaged], bytes | None]:
    """What is wrong with an index, every byte of it read; and its coder, if that is sound.

    StoreForeign where it is of other decimals, another version or another coder than is given.
    """
    folder, remedy = store.folder / INDEX_NAME, build_command(store.folder)
    try:
        manifest = read_manifest_of(store, folder, remedy)
    except StoreForeign:
        raise
    except StoreDamaged as error:
        return [error], None
    if given is not None and record_bytes(given) != manifest.coder:
        raise StoreForeign(
            f"{folder} was built with another coder than the one given; next: {remedy} --replace"
        )
    checks = check_index_files(folder, manifest, threads, progress, deep=True)
    path, coder = folder / CODER_NAME, None
    if not any(check.damage for check in checks if check.path == path):
        coder = read_proven(path, manifest.coder, remedy)
    return [check.damage for check in checks if check.damage], coder


class _Builder:
    """One run of a build: takes up what is there, makes what is missing."""

    def __init__(
        self,
        store: DigitStore,
        plan: BuildPlan,
        given: bytes | None,
        progress: Progress,
        say: Say,
    ) -> None:
        self._store = store
        self._work = store.folder / WORK_NAME
        self._plan = plan
        self._given = given
        self._progress = progress
        self._say = say
        self._digits = store.open()

    def run(self) -> None:
        """Leave an index that only lacks its name in the work folder."""
        self._prepare()
        coder, record = self._coder()
        if self._is_built(record):
            self._say(f"reusing the lists, {self._plan.n_windows:,} windows")
        else:
            self._build(coder, record)
        _remove(self._work, "part-*")

    def _purpose(self) -> dict[str, object]:
        """What decides every byte of the work but the parts' sizes."""
        return {
            "version": VERSION,
            "n": self._store.n,
            "decimals_sha256": self._store.record.sha256,
            "seed": SEED,
            "given_coder": record_bytes(self._given).sha256 if self._given else None,
        }

    def _prepare(self) -> None:
        """A work folder for this very build: an earlier run's, or an empty one."""
        document = self._work / WORK_DOCUMENT
        purpose = self._purpose()
        try:
            same = json.loads(read_own(document)) == purpose
        except (OSError, ValueError, RecursionError):
            same = False
        if not same:
            remove_tree(self._work)
            self._work.mkdir(exist_ok=True)
            write_file(document, json.dumps(purpose).encode())
            sync_folder(self._store.folder)

    def _coder(self) -> tuple[Coder, FileRecord]:
        path, content = self._work / CODER_NAME, self._given
        if content is None:
            with contextlib.suppress(StoreDamaged, OSError):
                content = read_own(path)
                coder = parse_coder(content, path, "")
                self._say("reusing the codebooks that are there")
                return coder, record_bytes(content)
            content = coder_bytes(learn_coder(self._plan.n_windows, self._progress))
        write_file(path, content)
        return parse_coder(content, path, ""), record_bytes(content)

    def _is_built(self, coder: FileRecord) -> bool:
        with contextlib.suppress(StoreDamaged):
            return read_manifest_of(self._store, self._work, "").coder == coder
        return False

    def _build(self, coder: Coder, record: FileRecord) -> None:
        folder, n_windows = self._work, self._plan.n_windows
        for name in (LISTS_NAME, FAISS_NAME):  # of a run that ended here: their room is needed
            _remove(folder, name + "*")
        opened = [open_part(part, folder, coder) for part in self._parts(coder)]
        sizes = np.zeros(coder.n_cells, dtype=np.int64)
        for whole in opened:
            sizes += whole.counts
        directory = list_directory(sizes)
        tally = Tally("merge", n_windows, "windows", self._progress)
        lists = write_lists(opened, directory, folder / LISTS_NAME, self._plan.threads, tally.add)
        content, at = index_file_bytes(coder, directory, LISTS_NAME, lists.n_bytes, n_windows)
        write_file(folder / FAISS_NAME, content)
        decimals = self._store.record.sha256
        facts = (self._store.n, decimals, FAISS_VERSION, at)
        write_index_manifest(folder, IndexManifest(*facts, record, record_bytes(content), lists))

    def _parts(self, coder: Coder) -> list[PartRange]:
        """Every part of the index, made in threads where an earlier run has not made it."""
        folder, n_windows = self._work, self._plan.n_windows
        ranges = _existing_split(folder, n_windows) or split(n_windows, self._plan.part_windows)
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


def read_own(path: Path) -> bytes:
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


def _existing_split(folder: Path, n_windows: int) -> list[PartRange] | None:
    """The split that an earlier run chose (memory may have been another), if parts tell it."""
    for path in sorted(folder.glob("part-*.bin")):
        fields = path.stem.split("-")
        if len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal():
            at, count = int(fields[1]), int(fields[2])
            if count >= SMALLEST_PART and at + count < n_windows:
                return split(n_windows, count)
            if (at, count) == (0, n_windows):
                return split(n_windows, count)
    return None


def _remove(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink()


def _tree_bytes(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
