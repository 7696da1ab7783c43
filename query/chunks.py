"""All windows, chunk by chunk, in threads: what every scan has in common."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.decimals import Decimals, MappedDecimals
from indexer.progress import Progress, Step
from indexer.window import WINDOW
from query.assembly.layout import POSITIONS, STRETCH

# Windows a thread takes at once: short enough to end within milliseconds of Ctrl-C, for a hundred
# tables together within a tenth of a second.
_LARGEST_CHUNK = 1 << 23
# At least so many a thread, so that no thread waits long for the last one.
_CHUNKS_A_THREAD = 4
# Reads of the transpose behind the last window of a block.
OVERRUN = POSITIONS - STRETCH


@dataclass(frozen=True, eq=False)
class Stretch:
    """Consecutive windows: those at the first n_windows starts of some decimals.

    The first of them is the window at start `first` of the whole.
    """

    first: int
    n_windows: int
    decimals: Decimals


@dataclass(frozen=True, eq=False)
class Chunk:
    """Windows [begin, end) of uint8[n] ASCII digits; digits[i] is decimal `first` + i of all."""

    digits: NDArray[np.uint8]
    first: int
    begin: int
    end: int


class Worker(Protocol):
    """What one thread does."""

    def scan(self, chunk: Chunk) -> None:
        """Add to the best what the windows of a chunk have."""


class Chunks:
    """One pass over all windows of some stretches.

    open_worker makes each thread's worker; hopeless says whether no window from a start of the
    whole on can get in.
    """

    def __init__(
        self,
        stretches: Sequence[Stretch],
        block: int,
        threads: int,
        open_worker: Callable[[], Worker],
        hopeless: Callable[[int], bool],
    ) -> None:
        self._stretches = stretches
        self._n_windows = sum(stretch.n_windows for stretch in stretches)
        self._threads = threads
        self._open_worker = open_worker
        self._hopeless = hopeless
        # A whole number of blocks, so that only the last chunk has an overlapping one.
        chunk = min(_LARGEST_CHUNK, self._n_windows // (threads * _CHUNKS_A_THREAD) + 1)
        self._chunk = -(-chunk // block) * block if block else chunk
        self._lock = threading.Lock()
        self._at = 0, 0  # the next chunk: its stretch, and its first start in there
        self._done = 0
        self._failed: BaseException | None = None
        self._news = threading.Event()

    def run(self, progress: Progress) -> None:
        """Scan; KeyboardInterrupt within a chunk's time of Ctrl-C."""
        if self._threads == 1 and self._n_windows <= self._chunk * _CHUNKS_A_THREAD:
            self._work()
        else:
            self._run_threads(progress)
        if self._failed is not None:
            raise self._failed
        progress(Step("scan", self._n_windows, self._n_windows, "windows"))

    def _run_threads(self, progress: Progress) -> None:
        workers = [
            threading.Thread(target=self._work, name=f"scan-{i}", daemon=True)
            for i in range(self._threads)
        ]
        for worker in workers:
            worker.start()
        try:
            while any(worker.is_alive() for worker in workers):
                self._news.wait(0.1)
                self._news.clear()
                progress(Step("scan", self._done, self._n_windows, "windows"))
        finally:  # on Ctrl-C too: nothing runs on behind the caller's back
            with self._lock:
                self._at = len(self._stretches), 0
            for worker in workers:
                worker.join()

    def _work(self) -> None:
        try:
            worker = self._open_worker()
            while (taken := self._take()) is not None:
                stretch, begin, end = taken
                worker.scan(_read(stretch, begin, end))
                with self._lock:
                    self._done += end - begin
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._failed = error
        finally:
            self._news.set()

    def _take(self) -> tuple[Stretch, int, int] | None:
        """The next chunk of starts of a stretch; None where nothing is left to find.

        Within a stretch chunks ascend. Once nothing of a stretch can get in, its rest is left out.
        """
        with self._lock:
            number, begin = self._at
            while number < len(self._stretches):
                stretch = self._stretches[number]
                if begin < stretch.n_windows and not self._hopeless(stretch.first + begin):
                    end = min(begin + self._chunk, stretch.n_windows)
                    self._at = number, end
                    return stretch, begin, end
                number, begin = number + 1, 0
            self._at = number, begin
        return None


def _read(stretch: Stretch, begin: int, end: int) -> Chunk:
    """Windows [begin, end) of a stretch with what their last needs, and what the transpose reads.

    Packed decimals are unpacked.
    """
    decimals = stretch.decimals
    if isinstance(decimals, MappedDecimals):
        return Chunk(decimals.digits, stretch.first, begin, end)
    digits = decimals.read(begin, min(end + WINDOW - 1 + OVERRUN, decimals.n))
    return Chunk(digits, stretch.first + begin, 0, end - begin)
