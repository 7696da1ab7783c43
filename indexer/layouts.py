"""From the text of a file to its decimals: the layouts that are read, and no others.

    3.14159265358979…                    the integer part, the point, the decimals
    14159265358979…  31415926535…        without the point
    14159 26535 89793 …                  groups and lines, all of one length
    1415926535 … 3421170679  :  100      a counter of decimals at the end of each line, or at its
    1: 1415926535 …                      start, with or without a colon: it is checked and left out

A byte order mark and a short text before a line that begins with "3." are passed over. A number
on a line that is no counter would be read as decimals without a trace, so text whose groups or
lines are not all of one length is refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from indexer.constants import Constant
from indexer.containers import TextSource
from indexer.errors import SourceError

_HEAD = 1 << 16
_MAX_HEADER = 4096
_MAX_LINE = 1 << 20
_MAX_SPARSE = 1 << 20
_SPACE = b" \t\r\n\v\f"
_ALLOWED = "the digits 0-9 and white space"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class _Counter:
    """A counter of decimals on every line: at its end or start, with a colon or only a space."""

    at_end: bool
    colon: bool

    def split(self, line: bytes) -> tuple[bytes, bytes]:
        """(decimals, counter) of a line; the counter is empty where there is none."""
        mark = b":" if self.colon else None
        parts = line.rsplit(mark, 1) if self.at_end else line.split(mark, 1)
        if len(parts) < 2:
            return line, b""
        return (parts[0], parts[1]) if self.at_end else (parts[1], parts[0])


class _Runs:
    """Checks that lengths are all equal, but for a shorter first and a shorter last.

    Invariant: every length before `_last` and after `_first` is `_common`.
    """

    def __init__(self, word: str) -> None:
        self._word = word
        self._first = 0
        self._common = 0
        self._last = 0

    def feed(self, lengths: NDArray[np.int64]) -> str:
        """Take more lengths, zeros left out; what is wrong, or nothing."""
        lengths = lengths[lengths > 0]
        if not self._first and len(lengths):
            self._first, lengths = int(lengths[0]), lengths[1:]
        if not len(lengths):
            return ""
        known = self._last
        self._common = self._common or int(lengths[0])
        closed = np.append([known] if known else [], lengths[:-1])
        self._last = int(lengths[-1])
        wrong = closed[closed != self._common]
        if len(wrong):
            return self._complain(int(wrong[0]))
        if self._last > self._common:
            return self._complain(self._last)
        if len(closed) and self._first > self._common:
            return self._complain(self._first)
        return ""

    def _complain(self, length: int) -> str:
        return f"a {self._word} of {length} digits among {self._word}s of {self._common}"


class DecimalReader:
    """The decimals of one text, as blocks of ASCII digits.

    start is the 0-based byte in the text of the first decimal; contiguous says whether nothing
    stood between the decimals that were read. Cost: O(bytes), 1.5 ns a byte for plain text;
    memory O(1).
    """

    def __init__(self, source: TextSource, constant: Constant, *, part: bool = False) -> None:
        """Part: the text begins anywhere in the number, with a decimal, and has no counters."""
        self._name = source.name if source.kind == "text" else f"{source.name} ({source.kind} text)"
        self._chunks = source.chunks
        self._constant = constant
        self._part = part
        self._read = 0  # decimals so far
        self._groups, self._lines = _Runs("group"), _Runs("line")
        self._open_group = self._open_line = 0
        self.start = 0
        self.contiguous = True

    def blocks(self) -> Iterator[NDArray[np.uint8]]:
        """uint8[any] ASCII digits, in order; SourceError at the first byte in doubt."""
        head = b""
        for chunk in self._chunks:
            head += chunk
            if len(head) >= _HEAD:
                break
        start, counter = self._find_beginning(head)
        self.start = start
        pieces = self._pieces(head, start)
        checked = self._plain(pieces) if counter is None else self._counted(pieces, start, counter)
        beginning = b""
        for block in checked:
            if len(beginning) < 50 and not self._part:
                beginning += block[:50].tobytes()
                self._check_beginning(beginning[:50].decode())
            yield block

    def _check_beginning(self, found: str) -> None:
        expected = self._constant.first_decimals[: len(found)]
        if found != expected:
            raise SourceError(
                f"{self._name}: the first decimals are {found}; "
                f"those of {self._constant.name} are {self._constant.first_decimals}"
            )

    def _pieces(self, head: bytes, start: int) -> Iterator[bytes]:
        yield head[start:]
        yield from self._chunks

    def _refuse_byte(self, position: int, value: int, allowed: str = _ALLOWED) -> NoReturn:
        shown = f"{chr(value)!r}" if 32 < value < 127 else f"{value:#04x}"
        hint = "; hexadecimal digits are not decimals" if chr(value) in "abcdefABCDEF" else ""
        raise SourceError(
            f"{self._name}: byte {position + 1} is {shown}; allowed are {allowed}{hint}"
        )

    def _find_beginning(self, head: bytes) -> tuple[int, _Counter | None]:
        """(byte of the first decimal or counter, the counter's layout or None)."""
        mark = len(_BYTE_ORDER_MARK) if head.startswith(_BYTE_ORDER_MARK) else 0
        zero = head.find(b"\0")
        if zero >= 0:
            self._refuse_byte(zero, 0)
        if self._part:
            return mark + len(head[mark:]) - len(head[mark:].lstrip(_SPACE)), None
        digits = rb"\s*+".join(re.escape(d.encode()) for d in self._constant.first_decimals[:10])
        whole = str(self._constant.integer_part).encode()
        # possessive throughout: a megabyte of blanks must not be tried in every division
        beginning = re.compile(
            rb"(?:^|(?<=[\n\r]))[ \t\v\f]*+"
            rb"(?P<point>(?:[A-Za-z]++[ \t]*+=[ \t]*+)?" + whole + rb"\.\s*+)?"
            rb"(?P<counter>[0-9][0-9,]*+[ \t]*+(?P<colon>:)?+[ \t]*+(?<![0-9]))?"
            rb"(?(point)|(?:" + whole + rb")?)(?P<digits>" + digits + rb")"
        )
        found = list(beginning.finditer(head[mark:]))
        if not found:
            self._refuse_beginning(head[mark:])
        first, header = found[0], head[mark : mark + found[0].start()].strip()
        if header:
            self._check_header(header, len(found), bool(first["point"]))
        if first["counter"]:
            counter = _Counter(at_end=False, colon=bool(first["colon"]))
            return mark + first.start("counter"), counter
        start = mark + first.start("digits")
        return start, self._find_end_counter(head[start:])

    def _check_header(self, header: bytes, n_beginnings: int, point: bool) -> None:
        if len(header) > _MAX_HEADER or n_beginnings > 1 or not point:
            raise SourceError(
                f"{self._name}: {len(header)} bytes of text come before what looks like decimals, "
                f"beginning {header[:40]!r}; at most {_MAX_HEADER} are allowed, "
                f"and then one line that begins with {self._constant.integer_part}.; "
                "remove the text and import again"
            )

    def _refuse_beginning(self, text: bytes) -> NoReturn:
        shown = text.lstrip()[:60].decode("ascii", "backslashreplace")
        raise SourceError(
            f"{self._name} begins with {shown!r}; allowed are the decimals of "
            f"{self._constant.name} with or without {self._constant.integer_part}. before them: "
            f"{self._constant.first_decimals}"
        )

    def _find_end_counter(self, body: bytes) -> _Counter | None:
        """The layout of a counter at the end of the first line, if there is one."""
        line = body.split(b"\n", 1)[0]
        if b":" in line:
            return _Counter(at_end=True, colon=True)
        words = line.split()
        length = sum(map(len, words[:-1]))
        # the beginning of every constant is known, and no group there equals its own place
        if len(words) > 1 and words[-1].isdigit() and words[-1].lstrip(b"0") == b"%d" % length:
            return _Counter(at_end=True, colon=False)
        return None

    def _plain(self, pieces: Iterator[bytes]) -> Iterator[NDArray[np.uint8]]:
        """Digits and white space only; groups and lines of one length."""
        position = self.start
        ended = False
        for piece in pieces:
            text = piece.translate(None, _SPACE)
            digits = np.frombuffer(text, np.uint8)
            if ((digits - np.uint8(48)) > 9).any():
                wrong = re.search(rb"[^0-9 \t\r\n\v\f]", piece)
                index = wrong.start() if wrong else 0
                self._refuse_byte(position + index, piece[index])
            # white space after the last decimal breaks nothing
            if ended and len(text):
                self.contiguous = False
            if len(text) != len(piece):
                if len(piece.rstrip(_SPACE)) != len(text):
                    self.contiguous = False
                ended = True
            self._check_runs(np.frombuffer(piece, np.uint8), position)
            position += len(piece)
            self._read += len(digits)
            self._check_sparse(position)
            if len(digits):
                yield digits
        self._finish_runs(position)

    def _check_runs(self, piece: NDArray[np.uint8], position: int) -> None:
        """Feed the lengths of groups and lines that end in this piece."""
        breaks = np.flatnonzero(piece < 48)
        if not len(breaks):
            self._open_group += len(piece)
            self._open_line += len(piece)
            return
        groups = np.diff(breaks, prepend=-1) - 1
        groups[0] += self._open_group
        self._open_group = len(piece) - int(breaks[-1]) - 1
        at_newline = piece[breaks] == 10
        # digits before each newline: its place less the breaks before it
        before = (breaks - np.arange(len(breaks)))[at_newline]
        lines = np.diff(before, prepend=0)
        n_digits = len(piece) - len(breaks)
        if len(lines):
            lines[0] += self._open_line
            self._open_line = n_digits - int(before[-1])
        else:
            self._open_line += n_digits
        self._check_lengths(groups, lines, position + len(piece))

    def _check_lengths(
        self, groups: NDArray[np.int64], lines: NDArray[np.int64], position: int
    ) -> None:
        wrong = self._groups.feed(groups) or self._lines.feed(lines)
        if wrong:
            raise SourceError(
                f"{self._name}: {wrong} before byte {position}: a number that is no decimals may "
                "stand between; allowed are groups and lines of one length"
            )

    def _finish_runs(self, position: int) -> None:
        last = np.array([self._open_group], np.int64), np.array([self._open_line], np.int64)
        self._check_lengths(*last, position)

    def _check_sparse(self, position: int) -> None:
        if position > 8 * self._read + _MAX_SPARSE:
            raise SourceError(
                f"{self._name}: only {self._read} decimals in the first {position} bytes; "
                "at most seven bytes of white space for each are allowed"
            )

    def _counted(
        self, pieces: Iterator[bytes], position: int, counter: _Counter
    ) -> Iterator[NDArray[np.uint8]]:
        """Lines of digits with a counter, which must count right on every line but the last."""
        self.contiguous = False
        checker = _CounterCheck(self, counter)
        rest = b""
        for piece in pieces:
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()
            if len(rest) > _MAX_LINE:
                raise SourceError(f"{self._name}: a line is longer than {_MAX_LINE} bytes")
            digits, position = checker.take(lines, position)
            self._check_sparse(position)
            if digits:
                yield np.frombuffer(digits, np.uint8)
        digits, _ = checker.take([rest], position)
        if digits:
            yield np.frombuffer(digits, np.uint8)

    def count(self, more: int) -> int:
        """Decimals read after `more` further ones."""
        self._read += more
        return self._read


class _CounterCheck:
    """Takes lines apart into decimals and counter, and checks the counter."""

    def __init__(self, reader: DecimalReader, counter: _Counter) -> None:
        self._reader = reader
        self._counter = counter
        # how far the counter stands from the decimals before the line; None: the number after it
        self._base: int | None = None
        self._begun = False
        self._uncounted = -1  # byte of a line without counter, which must be the last

    def take(self, lines: list[bytes], position: int) -> tuple[bytes, int]:
        """(decimals of the lines, byte after them)."""
        found = []
        for line in lines:
            if line.strip():
                found.append(self._take_line(line, position))
            position += len(line) + 1
        return b"".join(found), position

    def _take_line(self, line: bytes, position: int) -> bytes:
        text, counter = self._counter.split(line)
        digits = text.translate(None, _SPACE)
        if not digits.isdigit() or self._uncounted >= 0:
            self._refuse(line, position)
        after = self._reader.count(len(digits))
        before = after - len(digits)
        number = counter.strip().replace(b",", b"")
        if not number:
            self._uncounted = position
            return digits
        if not number.isdigit() or len(number) > 18:
            self._refuse(line, position)
        value = int(number)
        if not self._begun:
            self._begun = True
            at_start = not self._counter.at_end and value in (0, 1)
            self._base = value if at_start else None
        expected = after if self._base is None else before + self._base
        if value != expected:
            raise SourceError(
                f"{self._reader._name}: the counter of the line at byte {position + 1} is {value}; "
                f"the decimals counted give {expected}"
            )
        return digits

    def _refuse(self, line: bytes, position: int) -> NoReturn:
        wrong = re.search(rb"[^0-9 \t\r\v\f:,]", line)
        if wrong:
            index = wrong.start()
            self._reader._refuse_byte(
                position + index, line[index], f"{_ALLOWED}, and one counter a line"
            )
        raise SourceError(
            f"{self._reader._name}: the line at byte {position + 1} is {line[:60]!r}; "
            "allowed are decimals and one counter, as on the lines before"
        )
