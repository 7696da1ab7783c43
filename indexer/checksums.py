"""What proves a file: its size and SHA-256, and for a large one also those of blocks and ends.

A large file cannot be hashed at every opening. Then its size is compared, and the SHA-256 of its
ends, the first and the last 4,096 bytes: enough to tell another file in its place. Blocks prove
every byte, in threads, and name the place that is bad.

    5,000,000 bytes: blocks of 1 MiB: 4 whole ones and one of 805,696 bytes
"""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from indexer.documents import Fields

SMALLEST_BLOCK = 1 << 20
MOST_BLOCKS = 512
END_BYTES = 4096
_LARGEST_FILE = 1 << 52
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class FileRecord:
    """What a manifest says of a small file: its bytes and their SHA-256."""

    n_bytes: int
    sha256: str

    def to_document(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return {"bytes": self.n_bytes, "sha256": self.sha256}


@dataclass(frozen=True)
class LargeRecord(FileRecord):
    """What a manifest says of a large file: also of its ends and of its blocks."""

    ends_sha256: str
    blocks: tuple[str, ...]

    @property
    def block_bytes(self) -> int:
        """Bytes of each block but the last."""
        return block_size(self.n_bytes)

    def block_range(self, number: int) -> tuple[int, int]:
        """(first byte, end) of a block."""
        first = number * self.block_bytes
        return first, min(first + self.block_bytes, self.n_bytes)

    def to_document(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return {
            **super().to_document(),
            "ends_sha256": self.ends_sha256,
            "block_bytes": self.block_bytes,
            "blocks": list(self.blocks),
        }


def record_bytes(content: bytes) -> FileRecord:
    """The record of a small file's content."""
    return FileRecord(len(content), hashlib.sha256(content).hexdigest())


def block_size(n_bytes: int) -> int:
    """Bytes in a block of a file: the least power of two, from 1 MiB, that makes 512 blocks do."""
    size = SMALLEST_BLOCK
    while size * MOST_BLOCKS < n_bytes:
        size *= 2
    return size


def read_record(fields: Fields, name: str) -> FileRecord:
    """The record of a small file in a manifest's field."""
    inner = fields.inner(name)
    return FileRecord(inner.integer("bytes", 1, _LARGEST_FILE), inner.sha256("sha256"))


def read_large_record(fields: Fields, name: str) -> LargeRecord:
    """The record of a large file in a manifest's field."""
    inner = fields.inner(name)
    n_bytes = inner.integer("bytes", 1, _LARGEST_FILE)
    size = block_size(n_bytes)
    inner.integer("block_bytes", size, size)
    blocks = inner.sha256_list("blocks", -(-n_bytes // size))
    return LargeRecord(n_bytes, inner.sha256("sha256"), inner.sha256("ends_sha256"), blocks)


class Sums:
    """Makes the record of a large file while it is written, its size known before."""

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        self._block_bytes = block_size(n_bytes)
        self._whole = hashlib.sha256()
        self._block = hashlib.sha256()
        self._blocks: list[str] = []
        self._done = 0
        self._head = b""
        self._tail = b""

    def update(self, content: memoryview) -> None:
        """Take in the next bytes."""
        self._whole.update(content)
        self._head += bytes(content[: END_BYTES - len(self._head)])
        self._tail = (self._tail + bytes(content[-END_BYTES:]))[-END_BYTES:]
        while len(content):
            piece = content[: self._block_bytes - self._done % self._block_bytes]
            self._block.update(piece)
            self._done += len(piece)
            content = content[len(piece) :]
            if self._done % self._block_bytes == 0 or self._done == self._n_bytes:
                self._blocks.append(self._block.hexdigest())
                self._block = hashlib.sha256()

    def record(self) -> LargeRecord:
        """The record; all bytes must have been taken in."""
        if self._done != self._n_bytes:
            raise AssertionError(f"{self._done} of {self._n_bytes} bytes were taken in")
        ends = hashlib.sha256(self._head + self._tail).hexdigest()
        return LargeRecord(self._n_bytes, self._whole.hexdigest(), ends, tuple(self._blocks))


Reader = Callable[[int, int], Any]


def file_reader(handle: int, first: int) -> Reader:
    """Reads bytes [begin, end) of what begins at a byte of an open file: read, not mapped.

    A file that is cut meanwhile gives fewer bytes and no signal.
    """
    return lambda begin, end: os.pread(handle, end - begin, first + begin)


def ends_of(read: Reader, n_bytes: int) -> str:
    """SHA-256 of the first and the last 4,096 of n bytes."""
    size = min(END_BYTES, n_bytes)
    return hashlib.sha256(bytes(read(0, size)) + bytes(read(n_bytes - size, n_bytes))).hexdigest()


def hash_ends(handle: int, first: int, n_bytes: int) -> str:
    """SHA-256 of the first and the last 4,096 of n bytes of an open file that begin at first."""
    return ends_of(file_reader(handle, first), n_bytes)


def hash_blocks(
    handle: int,
    first: int,
    n_bytes: int,
    threads: int,
    report: Callable[[int], None] = lambda done: None,
) -> tuple[str, ...]:
    """SHA-256 of each block of n bytes of an open file that begin at first; see blocks_of."""
    return blocks_of(file_reader(handle, first), n_bytes, threads, report)


def blocks_of(
    read: Reader,
    n_bytes: int,
    threads: int,
    report: Callable[[int], None] = lambda done: None,
) -> tuple[str, ...]:
    """SHA-256 of each block of n bytes.

    report is called with the bytes done since the last call. Raises what read does. Cost: 0.6 s for
    10^9 bytes and thread.
    """
    size = block_size(n_bytes)

    def hash_block(begin: int) -> str:
        digest = hashlib.sha256()
        at, end = begin, min(begin + size, n_bytes)
        while at < end:
            piece = read(at, min(at + _READ_BYTES, end))
            if not len(piece):
                break
            digest.update(piece)
            at += len(piece)
        return digest.hexdigest()

    sums = []
    begins = range(0, n_bytes, size)
    pool = ThreadPoolExecutor(threads)
    try:
        for begin, digest in zip(begins, pool.map(hash_block, begins), strict=True):
            sums.append(digest)
            report(min(size, n_bytes - begin))
    finally:
        pool.shutdown(cancel_futures=True)
    return tuple(sums)


def record_of(read: Reader, n_bytes: int, sha256: str, threads: int) -> LargeRecord:
    """The record of n bytes, their SHA-256 known already."""
    return LargeRecord(n_bytes, sha256, ends_of(read, n_bytes), blocks_of(read, n_bytes, threads))
