"""The shards of a store, opened in this process: decimals and lists, searched in threads.

A store without shards is its own only shard. A shard that cannot be opened leaves a gap: the others
are searched, and the answer says which windows are not covered.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.cells import Coder
from indexer.decimals import Decimals, MappedDecimals
from indexer.digits import DigitStore
from indexer.errors import StoreDamaged, StoreError, StoreForeign
from indexer.home import build_command
from indexer.index_files import Index, open_index
from indexer.mapping import bring_in
from indexer.progress import Progress, silent
from indexer.resources import available_memory
from indexer.shards import ShardPlace, read_shard
from indexer.window import WINDOW
from query.chunks import Stretch
from query.kernels import Kernel, load_kernel
from query.list_shards import IndexedShard, ListShards, Pass, Work
from query.lists import Limits, ListQuery
from query.metrics import CostTable
from query.ranking import Best
from query.scan import scan_within
from query.together import scan_together


@dataclass(frozen=True)
class Gap:
    """Windows [first, first + n_windows) of the whole that cannot be searched, and why not."""

    first: int
    n_windows: int
    error: StoreError


class Shards(Protocol):
    """What searches the windows of all shards: in this process, or query/cluster.py."""

    def gaps(self, *, lists: bool) -> Sequence[Gap]:
        """What cannot be searched: by its lists, or by its decimals."""

    def coder(self) -> Coder:
        """The coder of all lists."""

    def prepare(self, *, lists: bool, scan: bool) -> None:
        """Open and compile what a question will need."""

    def scan(self, table: CostTable, best: Best, progress: Progress = silent) -> None:
        """Add to best every window within its limit that can get in."""

    def scan_many(
        self, tables: Sequence[CostTable], bests: Sequence[Best], progress: Progress = silent
    ) -> None:
        """The same for many tables, each with its best."""

    def count(self, query: ListQuery, limits: Limits) -> int:
        """How many windows the lists within the limits hold."""

    def look(self, query: ListQuery, taken: Pass, best: Best, lowest: int) -> Work:
        """Look as far as the pass says; what is found goes into best."""

    def read(self, begin: int, end: int) -> bytes:
        """The decimals from start `begin` up to `end`; StoreError where a shard is missing."""

    def sequences(self, starts: NDArray[np.int64]) -> list[bytes]:
        """The 84 decimals at each start."""

    def bring_in(self) -> None:
        """Map everything as a whole, where there is room for it."""


class _Opened:
    """One shard: what of it could be opened, and why not the rest."""

    def __init__(self, place: ShardPlace) -> None:
        self.place = place
        self.store: DigitStore | None = None
        self.decimals: Decimals | None = None
        self.index: Index | None = None
        self.error: StoreError | None = None
        self.index_error: StoreError | None = None
        try:
            self.store = read_shard(place)
            self.decimals = self.store.decimals()
        except StoreError as error:
            self.error = error

    def open_index(self) -> None:
        if self.store is None or self.decimals is None:
            self.index_error = self.error
        elif self.index is None:
            self.index_error = None
            try:
                index = open_index(self.store)
                if self.place.build not in {"", index.build}:
                    raise StoreForeign(
                        f"{index.folder} is another index than the one its set was built with; "
                        f"next: {build_command(self.store.folder)}"
                    )
                self.index = index
            except StoreError as error:
                self.index_error = error

    def gap(self, error: StoreError) -> Gap:
        return Gap(self.place.first, self.place.n_windows, error)


class LocalShards:
    """Shards opened in this process; kernel names an instruction set, the best by default.

    A question at a time: several threads may ask, one after the other is answered.
    """

    def __init__(
        self, places: Sequence[ShardPlace], threads: int, kernel: str | None = None
    ) -> None:
        self._threads = threads
        self._kernel_name = kernel
        self._opened = [_Opened(place) for place in places]
        self._lock = threading.Lock()
        self._lists: ListShards | None = None
        self._kernel: Kernel | None = None

    def gaps(self, *, lists: bool) -> list[Gap]:
        """What cannot be searched."""
        if lists:
            self.prepare(lists=True, scan=False)
            return [one.gap(one.index_error) for one in self._opened if one.index_error]
        return [one.gap(one.error) for one in self._opened if one.error]

    def coder(self) -> Coder:
        """The coder of the first index that could be opened; its error where none could."""
        self.prepare(lists=True, scan=False)
        for one in self._opened:
            if one.index:
                return one.index.coder
        raise next(one.index_error for one in self._opened if one.index_error)

    def prepare(self, *, lists: bool, scan: bool) -> None:
        """Open the indexes, compile the routines of the scan: once."""
        with self._lock:
            if scan and self._kernel is None:
                self._kernel = load_kernel(self._kernel_name)
            if lists and self._lists is None:
                for one in self._opened:
                    one.open_index()
                self._lists = ListShards(self._indexed(), self._threads)

    def _indexed(self) -> list[IndexedShard]:
        return [
            IndexedShard(one.place.first, one.index, one.decimals.digits, one.place.n_windows)
            for one in self._opened
            if one.index and isinstance(one.decimals, MappedDecimals)
        ]

    def scan(self, table: CostTable, best: Best, progress: Progress = silent) -> None:
        """Add to best every window within its limit that can get in."""
        kernel, stretches = self._scanned()
        scan_within(stretches, table, best, kernel=kernel, threads=self._threads, progress=progress)

    def scan_many(
        self, tables: Sequence[CostTable], bests: Sequence[Best], progress: Progress = silent
    ) -> None:
        """The same for many tables, each with its best, together."""
        kernel, stretches = self._scanned()
        scan_together(
            stretches, tables, bests, kernel=kernel, threads=self._threads, progress=progress
        )

    def _scanned(self) -> tuple[Kernel, list[Stretch]]:
        self.prepare(lists=False, scan=True)
        if self._kernel is None:
            raise AssertionError
        return self._kernel, [
            Stretch(one.place.first, one.place.n_windows, one.decimals)
            for one in self._opened
            if one.decimals
        ]

    def count(self, query: ListQuery, limits: Limits) -> int:
        """How many windows the lists within the limits hold."""
        return self._searched().count(query, limits)

    def look(self, query: ListQuery, taken: Pass, best: Best, lowest: int) -> Work:
        """Look as far as the pass says; what is found goes into best."""
        return self._searched().look(query, taken, best, lowest)

    def sizes(self) -> NDArray[np.int64]:
        """How many windows each cell holds in all lists: int64[n_cells]."""
        return self._searched().sizes()

    def _searched(self) -> ListShards:
        self.prepare(lists=True, scan=False)
        if self._lists is None:
            raise AssertionError
        return self._lists

    def read(self, begin: int, end: int) -> bytes:
        """The decimals from start `begin` up to `end`."""
        text = b""
        for one in self._opened:
            at = begin + len(text)
            first, last = one.place.first, one.place.first + one.place.n_windows + WINDOW - 1
            if first <= at < min(end, last):
                if one.decimals is None:
                    raise one.error or StoreDamaged(f"{one.place.folder} is not open")
                text += one.decimals.read(at - first, min(end, last) - first).tobytes()
        return text

    def sequences(self, starts: NDArray[np.int64]) -> list[bytes]:
        """The 84 decimals at each start."""
        firsts = np.array([one.place.first for one in self._opened])
        found = []
        for start in starts.tolist():
            one = self._opened[int(np.searchsorted(firsts, start, side="right")) - 1]
            if one.decimals is None:
                raise one.error or StoreDamaged(f"{one.place.folder} is not open")
            at = start - one.place.first
            found.append(one.decimals.read(at, at + WINDOW).tobytes())
        return found

    def bring_in(self) -> None:
        """Map everything as a whole, where there is room for it: 2 s for 10^9 decimals."""
        mapped = [one.decimals for one in self._opened]
        arrays = [decimals.digits for decimals in mapped if isinstance(decimals, MappedDecimals)]
        arrays += [one.index.lists for one in self._opened if one.index]
        if sum(array.nbytes for array in arrays) < available_memory():
            for array in arrays:
                bring_in(array)
