"""Sets of y-cruncher's compressed digit files (.ycd): found, checked and read by range of decimals.

A set is one number's decimals cut into blocks, a file each; indexer/ycd_header.py tells what a file
says about itself. Decimals are read where they lie: a range costs the words that hold it.
"""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from indexer.errors import SourceError, UsageError, reason
from indexer.mapping import open_plain
from indexer.ycd_header import MAGIC, WORD_BYTES, WORD_DIGITS, YcdFile, read_at, read_header

__all__ = ["SUFFIX", "YcdFile", "YcdSet", "find_set", "open_set", "read_header"]

SUFFIX = ".ycd"
_PIECE = 1 << 14  # words read and decoded at once: 128 KB, 311,296 decimals, which stay in cache
_MAX_OPEN = 64

_Decode = Callable[[NDArray[np.uint64]], tuple[NDArray[np.uint8], int]]


def find_set(path: Path) -> list[Path]:
    """The .ycd files that a path means, by the numbers they end with, or by name.

    A folder: all in it. A file: it and those beside it that are named alike but for the number
    before ".ycd": "Pi - Dec - Chudnovsky - 0.ycd" brings "… - 1.ycd". SourceError where there are
    none. No file is opened.
    """
    try:
        if path.is_dir():
            found = [entry for entry in path.iterdir() if _is_ycd(entry)]
            if not found:
                raise SourceError(f"{path} has no {SUFFIX} files; at least one is needed")
            return sorted(found, key=_name_order)
        stem, _ = _name_order(path)
        if not _is_ycd(path) or path.stem == stem:
            return [path]
        beside = [entry for entry in path.parent.iterdir() if _is_ycd(entry)]
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {reason(error)}") from None
    alike = {entry for entry in beside if _name_order(entry)[0] == stem and entry.stem != stem}
    return sorted(alike | {path}, key=_name_order)


def is_ycd(path: Path) -> bool:
    """Whether a path is a .ycd file, by its name or by how it begins."""
    if _is_ycd(path):
        return True
    try:
        with open_plain(path, follow=True) as file:
            return file.read(len(MAGIC)) == MAGIC.encode()
    except (OSError, ValueError):
        return False


def _is_ycd(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX


def _name_order(path: Path) -> tuple[str, tuple[int, str]]:
    """A name without ".ycd" and the number before it; the number, by length and then by digits."""
    stem = path.stem.rstrip("0123456789")
    number = path.stem[len(stem) :].lstrip("0")
    return stem, (len(number), number)


def open_set(paths: Sequence[Path]) -> "YcdSet":
    """The set that files make up, in any order; SourceError where they are not one set.

    It may begin after BlockID 0 and end before TotalDigits; between there is no gap. Reads the
    headers; the files are opened again when decimals are read.
    """
    if not paths:
        raise SourceError(f"no {SUFFIX} files are given; at least one is needed")
    files = sorted((read_header(path) for path in paths), key=lambda file: file.block_id)
    first = files[0]
    total = _require_alike(files)
    for before, file in itertools.pairwise(files):
        if file.block_id == before.block_id:
            raise SourceError(
                f"{file.path} has BlockID {file.block_id}, as {before.path} has; "
                "once is allowed: leave one out"
            )
        if file.block_id != before.block_id + 1:
            raise SourceError(
                f"{file.path} has BlockID {file.block_id} and {before.path} before it has "
                f"{before.block_id}; {before.block_id + 1} is needed next: a file is missing"
            )
    for file in files:
        if total and file.start + file.n > total:
            raise SourceError(
                f"{file.path} has BlockID {file.block_id} and TotalDigits 0, so it ends at decimal "
                f"{file.start + file.n:,}; another file of the set says {total:,} are all"
            )
    return YcdSet(files, first.start + 1, total)


def _require_alike(files: Sequence[YcdFile]) -> int:
    """TotalDigits of the set, 0 where no file records it; SourceError where headers differ."""
    first = files[0]
    recorded = next((file for file in files if file.total), first)
    for file in files:
        for name, found, wanted, source in (
            ("FirstDigits", file.first_digits, first.first_digits, first),
            ("Blocksize", file.block_size, first.block_size, first),
            ("TotalDigits", file.total or recorded.total, recorded.total, recorded),
        ):
            if found != wanted:
                raise SourceError(
                    f"{file.path}: {name} is {found}; {source.path} has {wanted}, and "
                    "the files of a set agree"
                )
    return recorded.total


@cache
def _decoder() -> _Decode:
    """decode_words_jit; it needs LLVM, which takes 0.1 s to load."""
    from indexer.ycd_words import decode_words_jit  # noqa: PLC0415

    return decode_words_jit


@dataclass(eq=False)
class _Handle:
    file: BinaryIO
    users: int = 0


class _Handles:
    """Open files of a set by number; the last used _MAX_OPEN of them are kept.

    One that is in use when its turn to go comes is closed by its last user.
    """

    def __init__(self, files: Sequence[YcdFile]) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._kept: dict[int, _Handle] = {}  # the last used is last

    @contextlib.contextmanager
    def lease(self, number: int) -> Iterator[int]:
        """The descriptor of a file, which stays open meanwhile. Raises OSError."""
        with self._lock:
            handle = self._kept.pop(number, None)
            if handle is None:
                handle = _Handle(open_plain(self._files[number].path, follow=True))
            handle.users += 1
            self._kept[number] = handle
            self._keep(_MAX_OPEN)
        try:
            yield handle.file.fileno()
        finally:
            with self._lock:
                handle.users -= 1
                if not handle.users and self._kept.get(number) is not handle:
                    handle.file.close()

    def _keep(self, n_kept: int) -> None:
        while len(self._kept) > n_kept:
            handle = self._kept.pop(next(iter(self._kept)))
            if not handle.users:
                handle.file.close()

    def close(self) -> None:
        """Let all files go."""
        with self._lock:
            self._keep(0)

    def __del__(self) -> None:
        self._keep(0)


class YcdSet:
    """The decimals of a set of .ycd files; made by open_set.

    files are sorted by BlockID. first_offset is the offset of the first decimal held, 1-based: 1
    unless the first blocks are not there. n is how many are held; total is how many the whole
    stream has, 0 where no file records it.

    May be used by several threads at once. Files are opened when first read, and up to 64 stay so
    until close, which a later read undoes.
    """

    def __init__(self, files: Sequence[YcdFile], first_offset: int, total: int) -> None:
        self.files = tuple(files)
        self.first_offset = first_offset
        self.total = total
        self.n = sum(file.n for file in self.files)
        self.first_digits = self.files[0].first_digits
        self.block_size = self.files[0].block_size
        self._handles = _Handles(self.files)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; those that another thread reads from are closed when it is done."""
        self._handles.close()

    def read(self, begin: int, end: int) -> NDArray[np.uint8]:
        """ASCII decimals uint8[end - begin], 0-based from the first decimal held.

        Reads the words that hold them and no others. SourceError names the file and the offset
        where a word is damaged or the file has become shorter; UsageError for a range outside
        0 … n. O(end - begin), 0.5 ns a decimal in the page cache.
        """
        if not 0 <= begin <= end <= self.n:
            raise UsageError(f"decimals {begin} to {end} asked of a set of {self.n:,}")
        digits = np.empty(end - begin, dtype=np.uint8)
        at = begin
        while at < end:
            number, first = divmod(at, self.block_size)
            last = min(self.block_size, first + end - at)
            self._read_file(number, first, digits[at - begin : at - begin + last - first])
            at += last - first
        return digits

    def _read_file(self, number: int, first: int, digits: NDArray[np.uint8]) -> None:
        """Fill `digits` with the decimals of a file from its decimal `first` on."""
        decode = _decoder()
        last = first + len(digits)
        end_word = -(-last // WORD_DIGITS)
        for word in range(first // WORD_DIGITS, end_word, _PIECE):
            words = self._read_words(number, word, min(_PIECE, end_word - word))
            piece, n_sound = decode(words)
            if n_sound < len(words):
                raise SourceError(
                    f"{self._place(number, word + n_sound)} is damaged: the word there is "
                    f"{words[n_sound]}; it is below 10^19; get the file again"
                )
            piece_first = word * WORD_DIGITS
            begin, end = max(first, piece_first), min(last, piece_first + len(piece))
            digits[begin - first : end - first] = piece[begin - piece_first : end - piece_first]

    def _read_words(self, number: int, word: int, n_words: int) -> NDArray[np.uint64]:
        """uint64[n_words] of a file from its word `word` on."""
        at = self.files[number].data_at + word * WORD_BYTES
        try:
            with self._handles.lease(number) as handle:
                data = read_at(handle, n_words * WORD_BYTES, at)
        except OSError as error:
            place = self._place(number, word)
            raise SourceError(f"{place} cannot be read: {reason(error)}") from None
        if len(data) < n_words * WORD_BYTES:
            raise SourceError(
                f"{self._place(number, word + len(data) // WORD_BYTES)} is not there: the file has "
                f"{at + len(data):,} bytes; it had {self.files[number].n_bytes:,} when it was "
                "opened; get it again"
            )
        return np.frombuffer(data, "<u8").astype(np.uint64, copy=False)

    def _place(self, number: int, word: int) -> str:
        """A file and the offset, 1-based, of the first decimal of a word of it, for a message."""
        file = self.files[number]
        return f"{file.path}: offset {file.start + word * WORD_DIGITS + 1:,}"
