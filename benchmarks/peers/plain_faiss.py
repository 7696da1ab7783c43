"""FAISS used plainly: indexes of raw windows by `index_factory`, built by parts.

    IVF{nlist},PQ6x8       IndexIVFPQ, residual codes of 6 bytes
    IVF{nlist},PQ12x4fs    the same bytes, 4-bit codes for fast scan

Vectors are 84 float32, digit - 4.5; METRIC_L2. With an id of 8 bytes a window takes 14, as in
pilogo's index.

    WORK/ivfpq-4096-100000000/trained.faiss     centroids and codewords
    WORK/ivfpq-4096-100000000/part-0.faiss      the windows of up to 10^8 starts
    WORK/ivfpq-4096-100000000/lists.bin, index.faiss    all parts merged, where there are several
    WORK/ivfpq-4096-100000000/seconds.json      what each of these took

An assignment to lists is FAISS's own. Its encoder takes 3 µs a window for 14 dimensions a subcode,
an hour at 10⁹; PQ6x8's codes come from windows.c instead, are compared with FAISS's, and go in
by `add_sa_codes`.
"""

import contextlib
import ctypes
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import faiss
import numpy as np
from faiss.contrib.ondisk import merge_ondisk
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from indexer.errors import ClaimFailed, ResourceError
from indexer.mapping import POPULATE_READ
from indexer.progress import Progress, Step
from indexer.resources import require_disk, require_memory
from indexer.window import WINDOW, count_windows
from measuring.machine import address, compile_c
from peers.loops import shares
from query.plan import aligned

FACTORIES = {"ivfpq": "PQ6x8", "ivfpqfs": "PQ12x4fs"}
WINDOW_BYTES = 14
_PART = 100_000_000
_BLOCK = 1 << 18
_MIDDLE = np.float32(ord("0") + 4.5)
# Distances to centroids a second, 2 cores, and what a build of up to 10^8 and of more may take.
_ASSIGNED = 1.2e9
_SHORT, _LONG = 480.0, 2400.0
# Lists in memory grow by doubling, and fast scan's cannot be mapped.
_GROWTH = 1.4
_SUBCODES, _CODEWORDS = 6, 256


def default_nlist(n: int) -> int:
    """How many lists: the power of two below 4√n, or what the machine can assign n windows to.

    >>> [default_nlist(10**k) for k in (6, 7, 8, 9)]
    [2048, 8192, 4096, 2048]
    """
    affordable = _ASSIGNED * (_SHORT if n <= _PART else _LONG) / n
    return 1 << int(math.log2(max(64, min(4 * math.sqrt(n), affordable))))


@dataclass(frozen=True)
class Recipe:
    """One index of the windows of the first n decimals; kind is a key of FACTORIES."""

    kind: str
    nlist: int
    n: int

    @property
    def factory(self) -> str:
        """What index_factory makes it of."""
        return f"IVF{self.nlist},{FACTORIES[self.kind]}"

    @property
    def n_windows(self) -> int:
        """How many it holds."""
        return count_windows(self.n)

    @property
    def parts(self) -> list[tuple[int, int]]:
        """(first, number) of each part's windows. Fast scan's lists cannot be merged: one part."""
        most = _PART if self.kind == "ivfpq" else self.n_windows
        return shares(self.n_windows, 1, most)

    def require_room(self, work: Path) -> None:
        """ResourceError where disk or memory is not there."""
        n_bytes = self.n_windows * WINDOW_BYTES
        copies = 1 if len(self.parts) == 1 else 2  # the parts, and all of them merged
        require_disk(int(1.05 * copies * n_bytes), work, f"FAISS {self.factory}")
        largest = max(count for _, count in self.parts) * WINDOW_BYTES
        require_memory(int(_GROWTH * largest) + (1 << 30), f"FAISS {self.factory} in memory")


class Builder:
    """Makes the index of one recipe in a folder of its own, or goes on with what is there."""

    def __init__(
        self, recipe: Recipe, digits: NDArray[np.uint8], work: Path, threads: int, report: Progress
    ) -> None:
        self._recipe = recipe
        self._digits = digits[: recipe.n]
        self._windows = sliding_window_view(self._digits, WINDOW)
        self._threads = threads
        self._report = report
        self.folder = work / f"{recipe.kind}-{recipe.nlist}-{recipe.n}"
        self._single = len(recipe.parts) == 1
        self._index_path = self.folder / ("part-0.faiss" if self._single else "index.faiss")

    def build(self, *, reuse: bool) -> Any:
        """The index, in memory or mapped; a finished one that is there is taken with `reuse`."""
        if self._index_path.exists() and not reuse:
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._index_path.exists():
            self._recipe.require_room(self.folder)
        faiss.omp_set_num_threads(self._threads)
        trained = self._timed("trained", self._train)
        parts = [self._part_path(k) for k in range(len(self._recipe.parts))]
        if self._single or not self._index_path.exists():
            for k, path in enumerate(parts):
                self._timed(path.stem, lambda k=k: self._add(trained, k))
        if not self._single:
            self._timed("index", lambda: self._merge(parts))
            for path in parts:
                path.unlink(missing_ok=True)
        index = self._open()
        check_lists(index, self._windows, self._recipe.n_windows)
        return index

    def seconds(self) -> float:
        """What all steps took, in whichever runs."""
        return math.fsum(self._steps().values())

    def remove(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.folder)

    def _part_path(self, k: int) -> Path:
        return self.folder / f"part-{k}.faiss"

    def _steps(self) -> dict[str, float]:
        try:
            steps: dict[str, float] = json.loads((self.folder / "seconds.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return steps

    def _timed(self, step: str, work: Any) -> Path:
        """The file of a step, made if it is not there; its seconds are written down first."""
        path = self.folder / f"{step}.faiss"
        if path.exists():
            return path
        began = time.perf_counter()
        index = work()
        made = path.with_suffix(".wip")
        faiss.write_index(index, os.fspath(made))
        sync(made, index)
        steps = self._steps() | {step: time.perf_counter() - began}
        (self.folder / "seconds.json").write_text(json.dumps(steps), "utf-8")
        made.rename(path)
        return path

    def _train(self) -> Any:
        """Centroids and codewords, of random windows of the same decimals."""
        recipe = self._recipe
        # 40 a list, so that FAISS has no warning to give
        count = min(max(1 << 18, 40 * recipe.nlist), recipe.n_windows)
        self._report(Step(f"{recipe.factory}: training", 0, count, "windows"))
        starts = np.sort(np.random.default_rng(1).integers(0, recipe.n_windows, count))
        index: Any = faiss.index_factory(WINDOW, recipe.factory, faiss.METRIC_L2)
        index.train(to_vectors(self._windows[starts]))
        self._report(Step(f"{recipe.factory}: training", count, count, "windows"))
        return index

    def _add(self, trained: Path, k: int) -> Any:
        """The index of one part's windows."""
        recipe = self._recipe
        first, count = recipe.parts[k]
        index: Any = faiss.read_index(os.fspath(trained))
        encoder = Encoder(index, self._threads) if recipe.kind == "ivfpq" else None
        vectors = np.empty((min(_BLOCK, count), WINDOW), dtype=np.float32)
        stage = f"{recipe.factory}: part {k + 1} of {len(recipe.parts)}"
        self._report(Step(stage, 0, count, "windows"))
        for start in range(first, first + count, _BLOCK):
            stop = min(start + _BLOCK, first + count)
            block = vectors[: stop - start]
            line = to_vectors(self._digits[start : stop + WINDOW - 1])
            np.copyto(block, sliding_window_view(line, WINDOW))
            ids = np.arange(start, stop, dtype=np.int64)
            if encoder is None:
                index.add_with_ids(block, ids)
            else:
                index.add_sa_codes(encoder.encode(block), ids)
            self._report(Step(stage, stop - first, count, "windows"))
        return index

    def _merge(self, parts: list[Path]) -> Any:
        """All parts as one index, its lists in a file that is mapped."""
        self._report(Step(f"{self._recipe.factory}: merging", 0, 0, "parts"))
        require_disk(self._recipe.n_windows * WINDOW_BYTES, self.folder, "merging FAISS's parts")
        index: Any = faiss.read_index(os.fspath(self.folder / "trained.faiss"))
        lists = self.folder / "lists.bin"
        lists.unlink(missing_ok=True)
        with stdout_on_stderr():
            merge_ondisk(index, [os.fspath(path) for path in parts], os.fspath(lists))
        return index

    def _open(self) -> Any:
        if self._single:
            return faiss.read_index(os.fspath(self._index_path))
        lists = self.folder / "lists.bin"
        with lists.open("rb") as file:  # once through, so that it is in the page cache
            done = 0
            while block := file.read(1 << 26):
                done += len(block)
                stage = f"{self._recipe.factory}: reading"
                self._report(Step(stage, done, lists.stat().st_size, "bytes"))
        flags = faiss.IO_FLAG_READ_ONLY | faiss.IO_FLAG_ONDISK_SAME_DIR
        with stdout_on_stderr():
            index = faiss.read_index(os.fspath(self._index_path), flags)
        map_pages(index)
        return index


class Encoder:
    """FAISS's codes of windows, PQ6x8, several times as fast as FAISS makes them."""

    def __init__(self, index: Any, threads: int) -> None:
        self._index = index
        self._threads = threads
        self._function = compile_c("windows.c").encode
        self._centroids = np.ascontiguousarray(index.quantizer.reconstruct_n(0, index.nlist))
        width = WINDOW // _SUBCODES
        words = faiss.vector_to_array(index.pq.centroids).reshape(_SUBCODES, _CODEWORDS, width)
        self._words = aligned(words.nbytes).view(np.float32).reshape(_SUBCODES, width, _CODEWORDS)
        self._words[:] = words.transpose(0, 2, 1)
        self._lengths = aligned(4 * _SUBCODES * _CODEWORDS).view(np.float32)
        self._lengths[:] = np.square(words).sum(axis=2).ravel()
        self._compared = False

    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        """List and code of each window, as sa_encode: uint8[k, bytes].

        ClaimFailed where more than one in a thousand of the first is not FAISS's: sums are rounded
        in another order, so two codewords that are equally near may change places.
        """
        prefix = self._index.coarse_code_size()
        _, lists = self._index.quantizer.search(vectors, 1)
        lists = np.ascontiguousarray(lists.ravel())
        codes = np.empty((len(vectors), prefix + _SUBCODES), dtype=np.uint8)

        def run(share: tuple[int, int]) -> None:
            first, count = share
            part = (address(vectors[first:]), address(lists[first:]), ctypes.c_int64(count))
            book = (address(self._centroids), address(self._words), address(self._lengths))
            self._function(*part, *book, ctypes.c_int64(prefix), address(codes[first:]))

        with ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(run, shares(len(vectors), self._threads)))
        if not self._compared:
            sample = vectors[:4096]
            same = (self._index.sa_encode(sample) == codes[: len(sample)]).all(axis=1).mean()
            if same < 0.999:
                raise ClaimFailed(f"{same:.2%} of FAISS's codes come back, not all of them")
            self._compared = True
        return codes


def to_vectors(digits: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What FAISS gets for digits in ASCII: each less 4.5."""
    return digits.astype(np.float32) - _MIDDLE


def check_lists(index: Any, windows: NDArray[np.uint8], n_windows: int) -> None:
    """ClaimFailed unless the index holds as many windows as there are, some known ones in place.

    FAISS can store wrong ids without a word, so for a few windows the list they belong to is read.
    """
    if index.ntotal != n_windows:
        raise ClaimFailed(f"FAISS's index holds {index.ntotal:,} windows, not {n_windows:,}")
    starts = np.random.default_rng(2).integers(0, n_windows, 64)
    lists = index.quantizer.assign(to_vectors(windows[starts]), 1).ravel()
    for start, number in zip(starts.tolist(), lists.tolist(), strict=True):
        size = index.invlists.list_size(number)
        ids = faiss.rev_swig_ptr(index.invlists.get_ids(number), size)
        if start not in ids:
            raise ClaimFailed(f"FAISS's list {number} lacks window {start:,}")


def sync(path: Path, index: Any) -> None:
    """Bring FAISS's file to the disk; ResourceError where it is short, which FAISS may hide."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        n_bytes = file.seek(0, os.SEEK_END)
    mapped = isinstance(faiss.downcast_InvertedLists(index.invlists), faiss.OnDiskInvertedLists)
    if not mapped and n_bytes < index.ntotal * WINDOW_BYTES:
        raise ResourceError(f"{path} has {n_bytes:,} bytes only; free some disk")


def map_pages(index: Any) -> None:
    """Map every page of lists on disk, as `Finder.bring_in` does for ours.

    Then there is nothing to read ahead, for which FAISS starts 32 threads a search: 16 lists of
    10^7 windows take 0.4 ms without them, 1.6 with.
    """
    lists = faiss.downcast_InvertedLists(index.invlists)
    lists.prefetch_nthread = 0
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    pages = (ctypes.c_void_p(int(lists.ptr)), ctypes.c_size_t(lists.totsize))
    if madvise(*pages, POPULATE_READ):
        error = os.strerror(ctypes.get_errno())
        click.echo(f"FAISS's lists cannot be mapped at once: {error}", err=True)


@contextlib.contextmanager
def stdout_on_stderr() -> Iterator[None]:
    """What C prints on standard output, on standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
