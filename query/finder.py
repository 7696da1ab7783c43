"""The library's front door: open a store once, ask it often."""

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.digits import DEFAULT_DIGITS, DigitStore, choose_store, default_home
from indexer.errors import StoreDamaged, StoreMissing, UsageError
from indexer.home import build_command
from indexer.index_files import has_index
from indexer.index_folders import is_half_built
from indexer.progress import Progress, silent
from indexer.resources import usable_threads
from indexer.shards import ShardPlace, is_half_cut, shard_places, shards_folder
from indexer.window import WINDOW, count_windows
from query.answer import Answer, Match
from query.bitmap import check_bitmap, format_digits
from query.candidates import IndexSearch, expected_before
from query.metrics import CostTable, cost_table
from query.ranking import Best, Ranking
from query.scan import expected_seconds, widen, widen_many
from query.shards import Gap, LocalShards, Shards

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
    gaps: Sequence[Gap] = ()


@dataclass(frozen=True, eq=False)
class _Question:
    """A bitmap, what it is called, and what its pixels cost."""

    logo: str
    bitmap: NDArray[np.uint8]
    table: CostTable


# Opens the shards of a store, here or elsewhere.
OpenShards = Callable[[DigitStore, Sequence[ShardPlace]], Shards]


class Finder:
    """Finds the windows of one store that are closest to a bitmap.

    home is the folder of all stores (default: PILOGO_HOME or the platform's data folder); digits
    how many decimals to search: the first that many of a store that has them (default: all of the
    largest store); first_offset that of the store's first decimal, where it is to be a part of the
    number; threads how many run at once; kernel the name of an instruction set
    (query.kernels.INSTRUCTION_SETS; default: the best there is). The store's index, where it has
    one (`pilogo build`), is opened when it is first asked. open_shards opens them elsewhere than
    in this process (query/cluster.py).

    Raises StoreMissing where there is no such store and StoreDamaged where it contradicts itself.

    >>> finder = Finder(digits=10**7)
    >>> finder.find(read_logo("logo.png"), metric="l2", top=3).matches[0].offset
    """

    def __init__(  # noqa: PLR0913 - which store, and how to search it
        self,
        home: str | Path | None = None,
        *,
        digits: int | None = None,
        constant: str = "pi",
        first_offset: int | None = None,
        threads: int | None = None,
        kernel: str | None = None,
        open_shards: OpenShards | None = None,
    ) -> None:
        where = Path(home) if home else default_home()
        self._store = choose_store(where, digits, constant, first_offset)
        self.constant = constant
        self.digits = digits or self._store.n
        self.first_offset = self._store.first_offset
        self._n_windows = count_windows(self.digits)
        self._threads = threads or usable_threads()
        self._kernel_name = kernel
        places = shard_places(self._store, self.digits)
        if open_shards:
            self._shards: Shards = open_shards(self._store, places)
        else:
            self._shards = LocalShards(places, self._threads, kernel)
        self._require_some(self._shards.gaps(lists=False), places)
        folder = self._store.folder
        self._has_index = has_index(self._store) or shards_folder(folder) is not None
        self._opening = threading.Lock()
        self._opened: IndexSearch | None = None

    @staticmethod
    def _require_some(gaps: Sequence[Gap], places: Sequence[ShardPlace]) -> None:
        """The first gap's error where nothing can be searched."""
        if len(gaps) == len(places):
            raise gaps[0].error

    @property
    def _index(self) -> IndexSearch:
        """What asks the lists, opened when it is first asked, by whichever thread asks."""
        with self._opening:
            if self._opened is None:
                coder = self._shards.coder()
                self._opened = IndexSearch(coder, self._n_windows, self._shards)
            return self._opened

    @property
    def has_index(self) -> bool:
        """Whether the store has an index."""
        return self._has_index

    def read_digits(self, offset: int, length: int) -> str:
        """`length` decimals from an offset on; StoreDamaged where the file has no digits there."""
        start = offset - self.first_offset
        return self._text(self._shards.read(start, start + length), offset)

    def bring_in(self) -> None:
        """Map decimals and index as a whole, where many questions follow: 2 s for 10⁹ decimals.

        Does nothing where they are larger than the memory that is available.
        """
        if self._has_index:
            _ = self._index
        self._shards.bring_in()

    def unfinished_build(self) -> str:
        """The next step where the store's index was begun and not finished; else nothing."""
        folder = self._store.folder
        half = not self._has_index and (is_half_built(folder) or is_half_cut(folder))
        return f"next: {build_command(folder)}" if half else ""

    def gaps(self, *, lists: bool = False) -> list[str]:
        """What cannot be searched, a sentence for each shard; with lists also for its index."""
        gaps = [*self._shards.gaps(lists=False)]
        if lists and self._has_index:
            known = {gap.first for gap in gaps}
            gaps += [gap for gap in self._shards.gaps(lists=True) if gap.first not in known]
        return [
            f"offsets {first:,} to {last:,} cannot be searched: {gap.error}"
            for gap, (first, last) in zip(gaps, self._offsets(gaps), strict=True)
        ]

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
        _check_top(top)
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
        return self._answer(_Question(logo, bitmap, table), outcome, began)

    def find_together(
        self,
        bitmaps: Sequence[NDArray[np.uint8]],
        *,
        metric: str = "l1",
        costs: Sequence[CostTable] | None = None,
        top: int = 10,
        logos: Sequence[str] = (),
        progress: Progress = silent,
    ) -> list[Answer]:
        """The answers of `find` with exact to each of many bitmaps, from one scan for all.

        costs and logos are one a bitmap, or none. A hundred bitmaps take two thirds of the time of
        a hundred scans; `seconds` of an answer is its share. Raises as find.
        """
        _check_top(top)
        checked = [check_bitmap(bitmap) for bitmap in bitmaps]
        tables = list(costs or [cost_table(bitmap, metric) for bitmap in checked])
        names = list(logos) or [""] * len(checked)
        questions = [_Question(*each) for each in zip(names, checked, tables, strict=True)]
        self._prepare(exact=True)
        began = time.perf_counter()

        def search(some: Sequence[CostTable], bests: Sequence[Best]) -> None:
            self._shards.scan_many(some, bests, progress)

        rankings = widen_many(tables, self._n_windows, top, search)
        outcomes = [
            self._scanned(table, ranking, top)
            for table, ranking in zip(tables, rankings, strict=True)
        ]
        answers = [
            self._answer(question, outcome, began)
            for question, outcome in zip(questions, outcomes, strict=True)
        ]
        share = (time.perf_counter() - began) / max(1, len(answers))
        return [dataclasses.replace(answer, seconds=share) for answer in answers]

    def _answer(self, question: _Question, outcome: _Outcome, began: float) -> Answer:
        """What was found, as an answer to a question that was asked at `began`."""
        table = question.table
        matches = tuple(self._matches(outcome.ranking, table))
        seconds = time.perf_counter() - began
        return Answer(
            logo=question.logo,
            bitmap=format_digits(question.bitmap),
            metric=table.name,
            constant=self.constant,
            digits=self.digits,
            mode=outcome.mode,
            certified=outcome.mode == "scan" and not outcome.gaps,
            expected_missed=outcome.expected_missed,
            seconds=seconds,
            matches=matches,
            windows=outcome.windows,
            candidates=outcome.candidates,
            first_offset=self.first_offset,
            uncovered=tuple(self._offsets(outcome.gaps)),
        )

    def _offsets(self, gaps: Sequence[Gap]) -> list[tuple[int, int]]:
        """(first, last) offsets of the windows in gaps, neighbours put together."""
        found: list[tuple[int, int]] = []
        for gap in sorted(gaps, key=lambda gap: gap.first):
            first = self.first_offset + gap.first
            last = first + gap.n_windows - 1
            if found and found[-1][1] + 1 == first:
                found[-1] = found[-1][0], last
            else:
                found.append((first, last))
        return found

    def _prepare(self, exact: bool) -> None:
        """Open and compile what the question will need: once, and not part of its time."""
        quick = self._scan_seconds(self._threads) < _QUICK_SCAN
        lists = self._has_index and not exact
        if lists:
            _ = self._index
        self._shards.prepare(lists=lists, scan=exact or quick or not self._has_index)

    def _scan_seconds(self, threads: int) -> float:
        return expected_seconds(self._n_windows, threads, self._kernel_name)

    def _ask_index(self, table: CostTable, count: int, missed: float) -> _Outcome | None:
        """The answer from the index; None where there is none, or a scan is cheaper."""
        if not self._has_index:
            return None
        found = self._index.closest_windows(
            table, count, missed, scan_seconds=self._scan_seconds(1)
        )
        if found is None:
            return None
        gaps = self._shards.gaps(lists=True)
        lacking = found.expected_missed + self._lost_in(gaps, table, found.ranking)
        return _Outcome(
            found.ranking,
            "index",
            min(lacking, float(count)),
            found.n_windows,
            found.n_candidates,
            gaps,
        )

    def _scan(self, table: CostTable, count: int, progress: Progress) -> _Outcome:
        def search(best: Best) -> None:
            self._shards.scan(table, best, progress)

        return self._scanned(table, widen(table, self._n_windows, count, search), count)

    def _scanned(self, table: CostTable, ranking: Ranking, count: int) -> _Outcome:
        """The outcome of a scan for so many matches."""
        gaps = self._shards.gaps(lists=False)
        lacking = min(self._lost_in(gaps, table, ranking), float(count))
        covered = self._n_windows - sum(gap.n_windows for gap in gaps)
        return _Outcome(ranking, "scan", lacking, covered, covered, gaps)

    def _lost_in(self, gaps: Sequence[Gap], table: CostTable, ranking: Ranking) -> float:
        """How many windows that belong into a ranking are expected in gaps."""
        if not gaps:
            return 0.0
        if not len(ranking.starts):
            return float("inf")
        share = sum(gap.n_windows for gap in gaps) / self._n_windows
        return share * expected_before(table, ranking, self._n_windows)

    def _matches(self, ranking: Ranking, table: CostTable) -> list[Match]:
        n_windows = self._n_windows
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
                    offset=self.first_offset + start,
                    distance=table.in_units(distance),
                    expected=expected[distance],
                    sequence=sequence,
                )
            )
        return matches

    def _sequences(self, starts: NDArray[np.int64]) -> list[str]:
        """The 84 digits at each start; StoreDamaged where the file has something else there."""
        texts = self._shards.sequences(starts)
        return [
            self._text(text, self.first_offset + start)
            for text, start in zip(texts, starts.tolist(), strict=True)
        ]

    def _text(self, text: bytes, offset: int) -> str:
        """Digits from an offset on as text."""
        if not text.isdigit():
            place = next(place for place, byte in enumerate(text) if not 48 <= byte <= 57)
            raise StoreDamaged(
                f"{self._store.path}: byte {text[place]:#04x} at offset {offset + place} "
                f"is no digit; next: pilogo digits check"
            )
        return text.decode("ascii")

    def _distinct(self, top: int, search: Callable[[int], _Outcome]) -> _Outcome:
        """The `top` closest windows none of which overlaps a closer one of them."""
        n_windows = self._n_windows
        count = 2 * top + 8  # overlapping matches are rare, but not in a picture that repeats
        while True:
            outcome = search(count)
            ranking = outcome.ranking
            kept = _without_overlaps(ranking.starts, top)
            if len(kept) == top or count >= n_windows:
                ranking = Ranking(ranking.starts[kept], ranking.distances[kept])
                return dataclasses.replace(outcome, ranking=ranking)
            count *= 4


def _check_top(top: int) -> None:
    if not 1 <= top <= MOST_MATCHES:
        raise UsageError(f"top is {top}; allowed are 1 to {MOST_MATCHES:,}")


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


def needs_default_store(
    home: Path, constant: str, digits: int | None, first_offset: int | None = None
) -> bool:
    """Whether the default store is what is to be made: none that would do, and 10⁷ decimals would.

    Also where its index was begun and not finished. Raises StoreDamaged where the store to use is
    there and broken.
    """
    try:
        store = choose_store(home, digits, constant, first_offset)
    except StoreMissing:
        return first_offset is None and (digits is None or digits <= DEFAULT_DIGITS)
    return store.n == DEFAULT_DIGITS and is_half_built(store.folder)
