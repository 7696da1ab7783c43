"""Parts: stretches of windows coded and sorted by cell, each a file that a later run can reuse.

A part of m windows that begins at window `first`:

    uint32[n_cells]   how many of its windows are in each cell
    uint32[m]         the windows, as start - first, by cell and then by start
    uint16[m, 3]      their codes, in the same order

10 bytes a window, written under a temporary name, synced, renamed. What it depends on (decimals,
codebooks) is in the name of the folder: a part is there and whole, or not there.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.cells import CODE_BYTES, CODE_WORDS, Coder, pack
from indexer.coding import WindowCoder
from indexer.durable import new_file
from indexer.window import WINDOW

# Windows coded at once: some tens of milliseconds, so that Ctrl-C is not kept waiting.
_STEP = 1 << 18
LARGEST_PART = 1 << 24
# Peak bytes a window of a part that is being made: cells, codes, keys, and the sorted pair.
MEMORY_A_WINDOW = 40
DISK_A_WINDOW = 4 + CODE_BYTES
_HASH_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class PartRange:
    """Windows [first, first + n_windows) of a store."""

    first: int
    n_windows: int

    def path(self, folder: Path) -> Path:
        """The file of the part in a folder."""
        return folder / f"part-{self.first:015d}-{self.n_windows}.bin"


def split(n_windows: int, largest: int) -> list[PartRange]:
    """Windows [0, n_windows) in parts of `largest`, the last one shorter."""
    return [PartRange(at, min(largest, n_windows - at)) for at in range(0, n_windows, largest)]


def is_whole(part: PartRange, folder: Path, coder: Coder) -> bool:
    """Whether the part was made by an earlier run: its size and its hash tell."""
    path = part.path(folder)
    wanted = 4 * coder.n_cells + DISK_A_WINDOW * part.n_windows
    if path.is_symlink() or not path.is_file() or path.stat().st_size != wanted + _HASH_BYTES:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while wanted:
            piece = file.read(min(1 << 20, wanted))
            digest.update(piece)
            wanted -= len(piece)
        recorded: bytes = file.read()
    return recorded == digest.digest()


def make_part(
    part: PartRange,
    digits: NDArray[np.uint8],
    machine: WindowCoder,
    n_cells: int,
    folder: Path,
    report: Callable[[int], None],
) -> None:
    """Code and sort the windows of a part, and write its file.

    digits is uint8 ASCII, the decimals of the whole store. report is called with the number of
    windows coded since the last call; what it raises ends the work and leaves no file.
    """
    cells = np.empty(part.n_windows, dtype=np.uint32)
    codes = np.empty(part.n_windows, dtype=np.uint64)
    for at in range(0, part.n_windows, _STEP):
        end = min(at + _STEP, part.n_windows)
        stretch = digits[part.first + at : part.first + end + WINDOW - 1]
        cells[at:end], codes[at:end] = machine.code(stretch)
        report(end - at)
    counts = np.bincount(cells, minlength=n_cells).astype(np.uint32)
    # One key of cell and place: a sort of integers, ten times as fast as sorting indices.
    keys = cells.astype(np.uint64)
    del cells
    keys <<= np.uint64(32)
    keys |= np.arange(part.n_windows, dtype=np.uint32)
    keys.sort()
    places = keys.astype(np.uint32)
    del keys
    path = part.path(folder)
    digest = hashlib.sha256()
    with new_file(path) as file:
        for array in (counts, places, pack(codes[places])):
            content = array.data.cast("B")
            digest.update(content)
            file.write(content)
        file.write(digest.digest())


@dataclass(frozen=True, eq=False)
class Part:
    """A part's file: counts uint32[n_cells] in memory, places and codes read piece by piece.

    Not mapped: pages of a map would count as this process's memory, and there are 10 GB of them.
    """

    first: int
    n_windows: int
    counts: NDArray[np.uint32]
    path: Path

    def read(self, begin: int, count: int) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
        """(places uint32[count], codes uint16[count, 3]) of windows [begin, begin + count)."""
        at = self.counts.nbytes + 4 * begin
        places = np.fromfile(self.path, dtype=np.uint32, count=count, offset=at)
        at = self.counts.nbytes + 4 * self.n_windows + CODE_BYTES * begin
        codes = np.fromfile(self.path, dtype=np.uint16, count=count * CODE_WORDS, offset=at)
        return places, codes.reshape(count, CODE_WORDS)


def open_part(part: PartRange, folder: Path, coder: Coder) -> Part:
    """A part that is whole."""
    path = part.path(folder)
    counts = np.fromfile(path, dtype=np.uint32, count=coder.n_cells)
    return Part(part.first, part.n_windows, counts, path)
