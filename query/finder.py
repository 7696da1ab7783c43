"""The library's front door: open a store once, ask it often."""

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.digits import DEFAULT_DIGITS, choose_store, default_home
from indexer.errors import StoreDamaged, StoreMissing, UsageError
from indexer.home import build_command
from indexer.index_files import has_index, open_index
from indexer.index_folders import is_half_built
from indexer.mapping import bring_in
from indexer.progress import Progress, silent
from indexer.resources import available_memory, usable_threads
from indexer.window import WINDOW, count_windows, offset_of
from query.answer import Answer, Match
from query.bitmap import check_bitmap, format_digits
from query.candidates import IndexSearch
from query.kernels import Kernel, load_kernel
from query.metrics import CostTable, cost_table
from query.ranking import Ranking
from query.scan import closest_windows, expected_seconds

MOST_MATCHES = 100_000
MISSED = 0.01
# A scan that takes less than this is what the planner will often prefer.
_QUICK_SCAN = 0.02


@dataclass(frozen=True, eq=False)
class _Outcome:
    """A ranking and how it was got; windows and candidates as in Answer."""

    ranking: Ranking
    mode: str
    expected_missed: float
    windows: int
    candidates: int


class Finder:
    """Finds the windows of one store that are closest to a bitmap.

    home is the folder of all stores (default: PILOGO_HOME or the platform's data folder); digits
    how many decimals to search: the first that many of a store that has them (default: all of the
    largest store); threads how many run at once; kernel the name of an instruction set
    (query.kernels.INSTRUCTION_SETS; default: the best there is). The store's index, where it has
    one (`pilogo build`), is opened when it is first asked.

    Raises StoreMissing where there is no such store and StoreDamaged where it contradicts itself.

    >>> finder = Finder(digits=10**7)
    >>> finder.find(read_logo("logo.png"), metric="l2", top=3).matches[0].offset
    """

    def __init__(
        self,
        home: str | Path | None = None,
        *,
        digits: int | None = None,
        constant: str = "pi",
        threads: int | None = None,
        kernel: str | None = None,
    ) -> None:
        self._store = choose_store(Path(home) if home else default_home(), digits, constant)
        self.constant = constant
        self.digits = digits or self._store.n
        self._decimals = self._store.open(self.digits)
        self._threads = threads or usable_threads()
        self._kernel_name = kernel
        self._has_index = has_index(self._store)
        self._opening = threading.Lock()
        self._opened: IndexSearch | None = None

    @cached_property
    def _kernel(self) -> Kernel:
        """Compiled when the first scan needs it."""
        return load_kernel(self._kernel_name)

    @property
    def _index(self) -> IndexSearch:
        """The store's index, opened when it is first asked, by whichever thread asks."""
        with self._opening:
            if self._opened is None:
                index = open_index(self._store)
                self._opened = IndexSearch(index, self._decimals, self._threads)
            return self._opened

    @property
    def has_index(self) -> bool:
        """Whether the store has an index."""
        return self._has_index

    def read_digits(self, offset: int, length: int) -> str:
        """`length` decimals from an offset on; StoreDamaged where the file has no digits there."""
        return self._text(self._decimals[offset - 1 : offset - 1 + length], offset)

    def bring_in(self) -> None:
        """Map decimals and index as a whole, where many questions follow: 2 s for 10⁹ decimals.

        Does nothing where they are larger than the memory that is available.
        """
        arrays = [self._decimals]
        if self._has_index:
            arrays += self._index.arrays
        if sum(array.nbytes for array in arrays) < available_memory():
            for array in arrays:
                bring_in(array)

    def unfinished_build(self) -> str:
        """The next step where the store's index was begun and not finished; else nothing."""
        half = is_half_built(self._store.folder)
        return f"next: {build_command(self._store.folder)}" if half else ""

    def find(  # noqa: PLR0913 - the options of `pilogo find`, all but the first with a default
        self,
        bitmap: NDArray[np.uint8],
        *,
        metric: str = "l1",
        costs: CostTable | None = None,
        top: int = 10,
        distinct: bool = False,
        exact: bool = False,
        missed: float = MISSED,
        logo: str = "",
        progress: Progress = silent,
    ) -> Answer:
        """The `top` closest windows to a bitmap (uint8[6, 14], digits 0 to 9).

        From the index where there is one and it pays, with `missed` of the top expected to be
        lacking at most; else, and with exact, certified by a scan. costs takes the place of the
        metric's table. distinct leaves out windows that overlap a closer one that stays. logo is a
        name that the answer repeats. Raises UsageError for a metric that is unknown, a top that is
        not 1 to 100,000 or a missed that is not above 0, LogoError for another bitmap.
        """
        if not 1 <= top <= MOST_MATCHES:
            raise UsageError(f"top is {top}; allowed are 1 to {MOST_MATCHES:,}")
        if not 0 < missed < float("inf"):
            raise UsageError(f"missed is {missed}; allowed are numbers above 0")
        bitmap = check_bitmap(bitmap)
        table = costs or cost_table(bitmap, metric)
        self._prepare(exact)
        began = time.perf_counter()

        def search(count: int) -> _Outcome:
            found = None if exact else self._ask_index(table, count, missed)
            return found or self._scan(table, count, progress)

        outcome = self._distinct(top, search) if distinct else search(top)
        matches = tuple(self._matches(outcome.ranking, table))
        seconds = time.perf_counter() - began
        return Answer(
            logo=logo,
            bitmap=format_digits(bitmap),
            metric=table.name,
            constant=self.constant,
            digits=self.digits,
            mode=outcome.mode,
            certified=outcome.mode == "scan",
            expected_missed=outcome.expected_missed,
            seconds=seconds,
            matches=matches,
            windows=outcome.windows,
            candidates=outcome.candidates,
        )

    def _prepare(self, exact: bool) -> None:
        """Open and compile what the question will need: once, and not part of its time."""
        n_windows = count_windows(self.digits)
        quick = expected_seconds(n_windows, self._threads, self._kernel_name) < _QUICK_SCAN
        if self._has_index and not exact:
            _ = self._index
        if exact or quick or not self._has_index:
            _ = self._kernel

    def _ask_index(self, table: CostTable, count: int, missed: float) -> _Outcome | None:
        """The answer from the index; None where there is none, or a scan is cheaper."""
        if not self._has_index:
            return None
        n_windows = count_windows(self.digits)
        found = self._index.closest_windows(
            table,
            count,
            missed,
            scan_seconds=expected_seconds(n_windows, self._threads, self._kernel_name),
        )
        if found is None:
            return None
        return _Outcome(
            found.ranking, "index", found.expected_missed, found.n_windows, found.n_candidates
        )

    def _scan(self, table: CostTable, count: int, progress: Progress) -> _Outcome:
        ranking = closest_windows(
            self._decimals,
            table,
            count,
            kernel=self._kernel,
            threads=self._threads,
            progress=progress,
        )
        n_windows = count_windows(self.digits)
        return _Outcome(ranking, "scan", 0.0, n_windows, n_windows)

    def _matches(self, ranking: Ranking, table: CostTable) -> list[Match]:
        n_windows = count_windows(self.digits)
        expected: dict[int, float] = {}  # many windows share few distances
        matches = []
        sequences = self._sequences(ranking.starts)
        triples = zip(ranking.starts.tolist(), ranking.distances.tolist(), sequences, strict=True)
        for rank, (start, distance, sequence) in enumerate(triples, 1):
            if distance not in expected:
                expected[distance] = table.law.expected(distance, n_windows)
            matches.append(
                Match(
                    rank=rank,
                    offset=offset_of(start),
                    distance=table.in_units(distance),
                    expected=expected[distance],
                    sequence=sequence,
                )
            )
        return matches

    def _sequences(self, starts: NDArray[np.int64]) -> list[str]:
        """The 84 digits at each start; StoreDamaged where the file has something else there."""
        windows = self._decimals[starts[:, None] + np.arange(WINDOW)]
        return [
            self._text(window, offset_of(start))
            for window, start in zip(windows, starts.tolist(), strict=True)
        ]

    def _text(self, digits: NDArray[np.uint8], offset: int) -> str:
        """Digits from an offset on as text."""
        text = digits.tobytes()
        if not text.isdigit():
            place = int(np.flatnonzero((digits - np.uint8(ord("0"))) > 9)[0])
            raise StoreDamaged(
                f"{self._store.path}: byte {digits[place]:#04x} at offset {offset + place} "
                f"is no digit; next: pilogo digits check"
            )
        return text.decode("ascii")

    def _distinct(self, top: int, search: Callable[[int], _Outcome]) -> _Outcome:
        """The `top` closest windows none of which overlaps a closer one of them."""
        n_windows = count_windows(self.digits)
        count = 2 * top + 8  # overlapping matches are rare, but not in a picture that repeats
        while True:
            outcome = search(count)
            ranking = outcome.ranking
            kept = _without_overlaps(ranking.starts, top)
            if len(kept) == top or count >= n_windows:
                ranking = Ranking(ranking.starts[kept], ranking.distances[kept])
                return dataclasses.replace(outcome, ranking=ranking)
            count *= 4


def _without_overlaps(starts: NDArray[np.int64], top: int) -> list[int]:
    """Indices of the first `top` windows, in order, that overlap no earlier one of them.

    Two windows overlap where their starts are less than 84 apart; so in each stretch of 84 starts
    at most one window stays, and only it and its neighbours' need a look. O(len(starts)).
    """
    kept: list[int] = []
    by_stretch: dict[int, int] = {}
    for index, start in enumerate(starts.tolist()):
        stretch = start // WINDOW
        near = (by_stretch.get(k) for k in (stretch - 1, stretch, stretch + 1))
        if all(other is None or abs(start - other) >= WINDOW for other in near):
            by_stretch[stretch] = start
            kept.append(index)
            if len(kept) == top:
                break
    return kept


def needs_default_store(home: Path, constant: str, digits: int | None) -> bool:
    """Whether the default store is what is to be made: none that would do, and 10⁷ decimals would.

    Also where its index was begun and not finished. Raises StoreDamaged where the store to use is
    there and broken.
    """
    try:
        store = choose_store(home, digits, constant)
    except StoreMissing:
        return digits is None or digits <= DEFAULT_DIGITS
    return store.n == DEFAULT_DIGITS and is_half_built(store.folder)
