"""The lists of several shards searched together, in threads.

    shards = ListShards([IndexedShard(0, index, digits, n_windows), …], threads=2)
    shards.count(query, limits)                      # windows in the lists within the limits
    shards.look(query, Pass(limits, previous), best) # what is found goes into best

What is counted follows from the cells of windows and not from how windows are cut into shards.
"""

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from indexer.errors import StoreDamaged
from indexer.home import build_command
from indexer.index_files import Index
from indexer.window import count_windows
from query.lists import NOWHERE, Limits, ListQuery, Lists, ListSearch, Probes
from query.ranking import Best, Ranking

# Windows looked at between two looks at Ctrl-C and at the limit found so far: a slice. A shard's
# part of a pass has about so many slices.
_LARGEST_SLICE = 1 << 21
_SMALLEST_SLICE = 1 << 16
_SLICES = 64
# Under so many windows a second thread is not worth its start; to open a list costs as much as to
# look at so many of them.
_WORTH_THREADS = 2_500_000
_WINDOWS_A_LIST = 200
# Of a pass over many windows a sample is looked at first: every such list, chosen by its cell.
_SAMPLE = 16
_HASH = np.uint32(0x9E3779B1)


class Part(Enum):
    """Which of the lists within the limits to look at: the sample, the others, or both."""

    ALL = 0
    SAMPLE = 1
    REST = 2


@dataclass(frozen=True)
class Pass:
    """How far to look, how far was looked before, and at which of the lists."""

    limits: Limits
    previous: Limits = NOWHERE
    part: Part = Part.ALL


@dataclass(frozen=True)
class Work:
    """What a search did: lists opened, codes looked at, windows scored."""

    n_lists: int = 0
    n_scanned: int = 0
    n_scored: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.n_lists + other.n_lists,
            self.n_scanned + other.n_scanned,
            self.n_scored + other.n_scored,
        )


@dataclass(frozen=True, eq=False)
class IndexedShard:
    """An index and the decimals it is of (uint8[n] ASCII), whose windows begin at start `first`.

    Of the windows the first n_windows can be answers.
    """

    first: int
    index: Index
    digits: NDArray[np.uint8]
    n_windows: int


class _Shard:
    """A shard and what searches its lists: one for each thread."""

    def __init__(self, shard: IndexedShard, threads: int, kernel: str | None) -> None:
        self.first = shard.first
        self.folder = shard.index.folder
        index = shard.index
        n_stored = count_windows(index.n)
        lists = Lists(index.directory, index.lists, shard.digits, shard.n_windows, n_stored)
        self.sizes: NDArray[np.int64] = index.directory[:, 0]
        self.searches = [ListSearch(lists, kernel) for _ in range(threads)]

    def damage(self, what: str) -> StoreDamaged:
        remedy = build_command(self.folder.parent)
        return StoreDamaged(f"{self.folder} has {what}; next: {remedy}")


@dataclass(frozen=True)
class _Slice:
    """A range of a shard's probes."""

    shard: _Shard
    probes: Probes
    begin: int
    end: int


class ListShards:
    """Searches the lists of shards; one question at a time."""

    def __init__(
        self, shards: Sequence[IndexedShard], threads: int, kernel: str | None = None
    ) -> None:
        self._threads = threads
        self._shards = [_Shard(shard, threads, kernel) for shard in shards]
        self._probes: dict[int, Probes] = {}

    def count(self, query: ListQuery, limits: Limits) -> int:
        """How many windows the lists within the limits hold."""
        return sum(self._find(number, query, limits).n_windows for number in self._numbers)

    def sizes(self) -> NDArray[np.int64]:
        """How many windows each cell holds: int64[n_cells]."""
        found: NDArray[np.int64] = np.sum([shard.sizes for shard in self._shards], axis=0)
        return found

    def look(self, query: ListQuery, taken: Pass, best: Best, lowest: int) -> Work:
        """Look as far as the pass says; what is found goes into best, by starts of the whole.

        lowest is the least distance there is. Raises StoreDamaged where a list holds what it
        cannot, KeyboardInterrupt within milliseconds of Ctrl-C. O(lists + windows + candidates).
        """
        slices: list[_Slice] = []
        total = n_lists = 0
        for number in self._numbers:
            probes = _part(self._find(number, query, taken.limits), taken.part)
            n_lists += probes.n_lists
            total += probes.n_windows
            shard = self._shards[number]
            slices += [_Slice(shard, probes, begin, end) for begin, end in _ranges(probes)]
        queue = _Queue(slices, taken.previous, best, lowest)
        queue.run(self._threads if total + _WINDOWS_A_LIST * n_lists > _WORTH_THREADS else 1)
        return Work(n_lists, queue.n_scanned, queue.n_scored)

    @property
    def _numbers(self) -> range:
        return range(len(self._shards))

    def _find(self, number: int, query: ListQuery, limits: Limits) -> Probes:
        """The probes of a shard; those found last are kept."""
        found = self._probes.get(number)
        if found is None or found.query is not query or found.limits != limits:
            shard = self._shards[number]
            found = shard.searches[0].find_probes(query, limits)
            self._probes[number] = found
            if found.n_damaged:
                raise shard.damage("lists outside of its files")
        return found


def _part(probes: Probes, part: Part) -> Probes:
    """The probes of a part. A list is in the sample by its cell's sum, in every shard alike."""
    if part is Part.ALL:
        return probes
    sums = np.ascontiguousarray(probes.rows["sum"]).view(np.uint32)
    sampled = (sums * _HASH) >> np.uint32(16) < (1 << 16) // _SAMPLE
    rows = probes.rows[sampled if part is Part.SAMPLE else ~sampled]
    return Probes(probes.query, probes.limits, rows, int(rows["size"].sum()), 0)


def _ranges(probes: Probes) -> list[tuple[int, int]]:
    """Ranges of probes of about equal numbers of windows, _SMALLEST_SLICE of them or more."""
    if not probes.n_lists:
        return []
    size = max(_SMALLEST_SLICE, min(_LARGEST_SLICE, probes.n_windows // _SLICES))
    if probes.n_windows <= 2 * size:
        return [(0, probes.n_lists)]
    done = np.cumsum(probes.rows["size"])
    inner = np.unique(np.searchsorted(done, np.arange(size, probes.n_windows, size)) + 1)
    bounds = [0, *inner[inner < probes.n_lists].tolist(), probes.n_lists]
    return list(itertools.pairwise(bounds))


class _Queue:
    """Hands out slices to any thread, and adds up the work."""

    def __init__(self, slices: Sequence[_Slice], previous: Limits, best: Best, lowest: int) -> None:
        self.n_scanned = self.n_scored = 0
        self._failed: BaseException | None = None
        self._lock = threading.Lock()
        self._slices = list(slices)[::-1]
        self._previous = previous
        self._best = best
        self._lowest = lowest

    def run(self, n_threads: int) -> None:
        """Search every slice; what any thread raises is raised here."""
        threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True)
            for number in range(1, n_threads)
        ]
        for thread in threads:
            thread.start()
        try:
            self._work(0)
            for thread in threads:
                thread.join()
        except BaseException:
            self._stop()
            for thread in threads:  # a slice is soon over; then others may ask
                thread.join()
            raise
        if self._failed is not None:
            raise self._failed

    def _work(self, number: int) -> None:
        try:
            for taken in self._taken():
                self._search(taken, taken.shard.searches[number])
        except BaseException as error:  # noqa: BLE001 - the asking thread raises it
            self._failed = error
            self._stop()

    def _search(self, taken: _Slice, search: ListSearch) -> None:
        search.begin(taken.probes, taken.begin, taken.end, self._previous)
        while not search.finished:
            limit = self._best.limit_from(0)
            if limit < self._lowest:
                break
            rows = search.run(limit)
            if len(rows):
                self._best.add(Ranking(rows[:, 0] + taken.shard.first, rows[:, 1]))
        counts = search.counts
        if counts.n_bad:
            raise taken.shard.damage("windows past its decimals")
        with self._lock:
            self.n_scanned += counts.n_scanned
            self.n_scored += counts.n_scored

    def _taken(self) -> Iterator[_Slice]:
        while True:
            with self._lock:
                if not self._slices:
                    return
                taken = self._slices.pop()
            yield taken

    def _stop(self) -> None:
        with self._lock:
            self._slices.clear()
