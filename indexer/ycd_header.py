"""The header of a y-cruncher compressed digit file (.ycd): what the file holds and where.

    #Compressed Digit File      CRLF or LF; blank lines anywhere
    FileVersion:<TAB>1.1.0      or 1.0.0, which says the same
    Base:<TAB>10                16 is refused
    FirstDigits:<TAB>3.14159
    TotalDigits:<TAB>0          of the whole stream; 0: not recorded, and this file is full
    Blocksize:<TAB>1000000      decimals of every file but the last
    BlockID:<TAB>0              this file begins at decimal BlockID * Blocksize, counted from 0
    EndHeader
    <NUL>                       words follow: uint64, little-endian, 19 decimals each

Older writers record TotalDigits in the last file alone, padded with zeros to a fixed width, and
only where that file is not full. The last word of a file is filled up with zeros. Files are padded
as well, so a size says only that a file is too short.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from indexer.constants import MAX_DIGITS
from indexer.errors import SourceError, reason
from indexer.mapping import open_plain

MAGIC = "#Compressed Digit File"
HEADER_LIMIT = 4096  # y-cruncher's are some 220 bytes
VERSIONS = ("1.0.0", "1.1.0")
WORD_DIGITS = 19
WORD_BYTES = 8
_FIELDS = ("FileVersion", "Base", "FirstDigits", "TotalDigits", "Blocksize", "BlockID")
_LARGEST_BLOCK = 2**64 - 1  # above TotalDigits it means no more than TotalDigits
_SHOWN = 40  # characters of a file's text that a message repeats


@dataclass(frozen=True)
class YcdFile:
    """What the header of a .ycd file says, and the size of the file.

    data_at is the byte where the words begin. total is TotalDigits, 0 where it is not recorded.
    """

    path: Path
    version: str
    first_digits: str
    total: int
    block_size: int
    block_id: int
    data_at: int
    n_bytes: int

    @property
    def start(self) -> int:
        """Decimals of the number before the first one of this file."""
        return self.block_id * self.block_size

    @property
    def n(self) -> int:
        """Decimals in this file: Blocksize, or up to TotalDigits where that is less."""
        return min(self.block_size, self.total - self.start) if self.total else self.block_size

    @property
    def n_words(self) -> int:
        """Words that hold the decimals; what is behind them is padding."""
        return -(-self.n // WORD_DIGITS)


def read_header(path: Path) -> YcdFile:
    """The header of a file; SourceError where it is not a sound one of decimals, or cut short.

    At most 4,096 bytes are read.
    """
    try:
        with open_plain(path, follow=True) as opened:
            n_bytes = os.fstat(opened.fileno()).st_size
            head = read_at(opened.fileno(), HEADER_LIMIT, 0)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise SourceError(f"{path} cannot be read: {reason(error)}") from None
    end = head.find(b"\0")
    file = _parse_header(path, _header_text(path, head, end), (end + 1, n_bytes))
    needed = file.data_at + WORD_BYTES * file.n_words
    if n_bytes < needed:
        raise SourceError(
            f"{path} has {n_bytes:,} bytes; its header asks for {file.n:,} decimals, which take "
            f"at least {needed:,}; get it again"
        )
    return file


def read_at(handle: int, n_bytes: int, at: int) -> bytes:
    """Bytes of a file; fewer than asked only at its end."""
    data = os.pread(handle, n_bytes, at)
    while 0 < len(data) < n_bytes:
        more = os.pread(handle, n_bytes - len(data), at + len(data))
        if not more:
            break
        data += more
    return data


def _header_text(path: Path, head: bytes, end: int) -> str:
    """The text of a header that ends before the NUL at `end`, or -1."""
    if not head.startswith(MAGIC.encode()):
        raise SourceError(
            f"{path} begins with {head[: len(MAGIC)]!r}; a .ycd file begins with {MAGIC!r}"
        )
    if end < 0:
        raise SourceError(
            f"{path} has no NUL in its first {len(head):,} bytes; the header of a .ycd file ends "
            f"with one within {HEADER_LIMIT:,}"
        )
    try:
        return head[:end].decode("ascii")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path} has byte {head[error.start]:#04x} at byte {error.start} of its header; "
            "only ASCII is allowed there"
        ) from None


def _parse_fields(path: Path, text: str) -> dict[str, str]:
    """Name: value of the lines between the first one and EndHeader."""
    first, *lines = (line.strip() for line in text.split("\n"))
    if first != MAGIC:
        raise SourceError(f"{path}: line {first[:_SHOWN]!r}; the first one is {MAGIC!r} alone")
    fields: dict[str, str] = {}
    ended = False
    for line in filter(None, lines):
        if ended:
            raise SourceError(f"{path} has {line[:_SHOWN]!r} after EndHeader; a NUL follows it")
        if line == "EndHeader":
            ended = True
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise SourceError(
                f"{path}: line {line[:_SHOWN]!r} of the header is not 'Name:<TAB>value'"
            )
        if name in fields:
            raise SourceError(f"{path} has {name[:_SHOWN]!r} twice in its header; once is allowed")
        fields[name] = value.strip()
    if not ended:
        raise SourceError(f"{path} has no EndHeader before the first NUL")
    return fields


def _parse_header(path: Path, text: str, sizes: tuple[int, int]) -> YcdFile:
    """The file that a header's text describes; sizes are (data_at, n_bytes)."""
    fields = _parse_fields(path, text)

    def take(name: str) -> str:
        if name not in fields:
            raise SourceError(
                f"{path} has no {name} in its header; {', '.join(_FIELDS)} are needed"
            )
        return fields[name]

    def number(name: str, least: int, most: int) -> int:
        value = take(name)
        if not re.fullmatch("[0-9]{1,40}", value) or not least <= int(value) <= most:
            raise SourceError(
                f"{path}: {name} is {value[:_SHOWN]!r}; it is a number from {least} to {most:,}"
            )
        return int(value)

    version = take("FileVersion")
    if version not in VERSIONS:
        raise SourceError(
            f"{path}: FileVersion is {version[:_SHOWN]!r}; those read are {', '.join(VERSIONS)}"
        )
    base = take("Base")
    if base == "16":
        raise SourceError(
            f"{path}: Base is '16'; hexadecimal digits are not decimals: get the files of base 10"
        )
    if base != "10":
        raise SourceError(f"{path}: Base is {base[:_SHOWN]!r}; only 10 is allowed")
    first_digits = take("FirstDigits")
    if not re.fullmatch(r"[0-9]{1,40}\.[0-9]{1,100}", first_digits):
        raise SourceError(
            f"{path}: FirstDigits is {first_digits[:_SHOWN]!r}; it is like 3.14159, "
            "at most 40 digits, a point and at most 100"
        )
    file = YcdFile(
        path,
        version,
        first_digits,
        number("TotalDigits", 0, MAX_DIGITS),
        number("Blocksize", 1, _LARGEST_BLOCK),
        number("BlockID", 0, MAX_DIGITS),
        *sizes,
    )
    if file.total and file.start >= file.total:
        raise SourceError(
            f"{path}: BlockID is {file.block_id}; with Blocksize {file.block_size} and TotalDigits "
            f"{file.total} the last is {(file.total - 1) // file.block_size}"
        )
    if file.start + file.n > MAX_DIGITS:
        raise SourceError(
            f"{path}: BlockID {file.block_id} and Blocksize {file.block_size} end at decimal "
            f"{file.start + file.n:,}; allowed are up to {MAX_DIGITS:,}"
        )
    return file
