"""Merging: the parts of an index become its inverted lists, in one pass, in order.

Cells are taken in batches of consecutive ones. In every part the windows of a batch lie together,
so a batch is read from each part in one piece; where each window goes follows from the counts:

    cell c has room for r windows (their number rounded up to 4, so that ids are aligned), and
    begins 14 r' bytes into the batch, r' the room of the cells before it
    a window of part p that is number k of p's in c has place j = (c's of earlier parts) + k
    in words of 2 bytes: code at 7r' + 3j, 3 words; id at 7r' + 3r + 4j, 4 words

Parts are consecutive, so a list is in the order of starts.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.cells import CODE_WORDS, ENTRY_BYTES, ID_BYTES
from indexer.checksums import LargeRecord, Sums
from indexer.durable import new_file
from indexer.parts import Part

_WORDS = ENTRY_BYTES // 2
_ID_WORDS = ID_BYTES // 2
# Room is a multiple of this: lists and their ids begin at multiples of 8 bytes.
ROOM = 4
_BATCH = 1 << 21
# Peak bytes for each window of a batch: destinations twice, the output, and what is read.
MEMORY_A_BATCH = 64 * _BATCH


def list_directory(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """(size, room, byte offset) of every list: int64[n_cells, 3]."""
    room = -(-sizes // ROOM) * ROOM
    offsets = ENTRY_BYTES * (np.cumsum(room) - room)
    return np.stack([sizes, room, offsets], axis=1)


def write_lists(
    parts: list[Part],
    directory: NDArray[np.int64],
    path: Path,
    threads: int,
    report: Callable[[int], None],
) -> LargeRecord:
    """Write the lists of all parts, whole or not at all; their record.

    report gets windows written.
    """
    sums = Sums(int((ENTRY_BYTES * directory[:, 1]).sum()))
    with new_file(path) as file, ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[int, Future[NDArray[np.uint16]]]] = deque()

        def write_oldest() -> None:
            count, future = waiting.popleft()
            block = future.result().data.cast("B")
            sums.update(block)
            file.write(block)
            report(count)

        try:
            for low, high, begins in _batches(parts, directory):
                count = int(directory[low:high, 0].sum())
                future = pool.submit(_merge_batch, parts, directory, low, high, begins)
                waiting.append((count, future))
                if len(waiting) > threads:
                    write_oldest()
            while waiting:
                write_oldest()
        finally:
            for _, future in waiting:
                future.cancel()
    return sums.record()


def _batches(
    parts: list[Part], directory: NDArray[np.int64]
) -> Iterator[tuple[int, int, list[int]]]:
    """(first cell, end, where the batch begins in each part) of about _BATCH windows each."""
    total = np.cumsum(directory[:, 0])
    begins = [0] * len(parts)
    low = 0
    while low < len(total):
        done = int(total[low - 1]) if low else 0
        high = max(low + 1, int(np.searchsorted(total, done + _BATCH, side="right")))
        yield low, high, list(begins)
        for number, part in enumerate(parts):
            begins[number] += int(part.counts[low:high].sum(dtype=np.int64))
        low = high


def _merge_batch(
    parts: list[Part], directory: NDArray[np.int64], low: int, high: int, begins: list[int]
) -> NDArray[np.uint16]:
    """The bytes of lists [low, high), as uint16 words."""
    _, room, _ = directory[low:high].T
    base = _WORDS * (np.cumsum(room) - room)
    merged = np.zeros(_WORDS * int(room.sum()), dtype=np.uint16)
    before = np.zeros(high - low, dtype=np.int64)  # windows of earlier parts in each cell
    for part, begin in zip(parts, begins, strict=True):
        counts = part.counts[low:high].astype(np.int64)
        total = int(counts.sum())
        place = np.arange(total) - np.repeat(np.cumsum(counts) - counts - before, counts)
        at = np.repeat(base, counts) + CODE_WORDS * place
        places, codes = part.read(begin, total)
        for word in range(CODE_WORDS):
            merged[at + word] = codes[:, word]
        at = np.repeat(base + CODE_WORDS * room, counts) + _ID_WORDS * place
        starts = places.astype("<i8") + part.first
        ids = starts.view("<u2").reshape(-1, _ID_WORDS)
        # the highest word is 0: decimals are fewer than 2^48
        for word in range(_ID_WORDS - 1):
            merged[at + word] = ids[:, word]
        before += counts
    return merged
