"""What a picture may ask for, looked at before a decoder is called.

Pillow reads headers in Python loops and makes an object of each number; libjpeg and libwebp do what
a file says as often as it says it. Within its bytes and pixels a file can so take a minute and
gigabytes. The figures are for files of 64 MB, and each limit leaves sound pictures a wide margin.
"""

import io
import re
import struct
from typing import Any, BinaryIO, cast

from indexer.errors import LogoError

# A PNG of a million pieces took 31 s; 100,000 calls take 0.2 s. Sound pictures of 40 million pixels
# need 617, a PNG of 64 MB in pieces of 4 kB some 50,000.
MAX_READS = 100_000
# A scan goes over all pixels, 14 ms for 36 million, and may be 59 bytes long; progressive pictures
# have 10, those of four colours 18.
MAX_SCANS = 50
# A segment may have 4 bytes. Sound JPEGs have some 20, with a large profile some 100.
MAX_SEGMENTS = 10_000
# Pillow keeps what stands beside the pixels, on top of up to 286 MB.
MAX_BESIDE = 8_000_000
# Tables, frames, Photoshop's blocks and EXIF it takes apart in Python: up to 0.2 s a million bytes.
MAX_TAKEN_APART = 1_000_000
# Where no scan has all colours, libjpeg holds 2 bytes a pixel and colour: 40 million pixels of four
# took 365 MB.
MAX_PIXELS_HELD = 24_000_000
# Progressive noise takes 35 ms a million bytes (in one scan 10), 1.7 s in all at 34 million.
MAX_BYTES_HELD = 34_000_000
# A strip or tile takes 11 µs and 700 bytes, another number of a directory 0.1 µs and 35 bytes.
MAX_VALUES = 65_536
# libwebp keeps 80 bytes of each; an animation has one a frame.
MAX_CHUNKS = 10_000

# Segments that have a length, and the end; zeros, fill bytes, restarts and unknown ones have none.
_SEGMENT = re.compile(rb"\xff([\xc0-\xc7\xc9-\xcf\xd9-\xef\xfe])")
_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_END, _SCAN, _TABLES, _APP1, _APP13 = 0xD9, 0xDA, 0xDB, 0xE1, 0xED

_LEFT_AS_BYTES = frozenset((1, 2, 7))  # TIFF's types BYTE, ASCII and UNDEFINED
_STRIPS_AND_TILES = frozenset((273, 279, 324, 325))


def check_parts(file: BinaryIO, kind: str, name: str) -> None:
    """Raise LogoError where a file of format `kind` has more parts than are read; rewinds it.

    Pillow's name of the format, and what messages call the file. O(bytes) for JPEG, 0.5 s for 64 MB
    at worst; otherwise O(parts).
    """
    file.seek(0)
    if kind == "PNG":
        _check_png(file, name)
    elif kind == "JPEG":
        _check_segments(file.read(), name)
    elif kind == "TIFF":
        order = "<" if file.read(4).startswith(b"II") else ">"
        check_directory(file, _number(file.read(4), order), order, name)
    elif kind == "WEBP":
        _check_chunks(file, name)
    file.seek(0)


def counted(file: BinaryIO, name: str) -> BinaryIO:
    """The same file, whose `read` raises LogoError after MAX_READS calls."""
    return cast("BinaryIO", _Counted(file, name))


class _Counted:
    """All but `read` is the file's own: libtiff takes the descriptor, where there is one."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._left = MAX_READS

    def read(self, size: int = -1) -> bytes:
        """As the file's own."""
        self._left -= 1
        if self._left < 0:
            raise _too_many(self._name, f"more than the {MAX_READS:,} pieces allowed")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _too_many(name: str, found: str) -> LogoError:
    return LogoError(f"{name} has {found}; save it again as an ordinary 8-bit PNG")


def _check_png(file: BinaryIO, name: str) -> None:
    """Raise LogoError where the chunks without pixels, of animations too, have too many bytes.

    Looks at no more chunks than Pillow can read.
    """
    at, beside = 8, 0
    for _ in range(MAX_READS // 3):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head.endswith(b"IEND"):
            return
        size = _number(head[:4], ">")
        at += 12 + size
        if head[4:] not in (b"IDAT", b"fdAT"):
            beside += size
        if beside > MAX_BESIDE:
            raise _too_many(name, f"more than the {MAX_BESIDE:,} bytes beside its pixels allowed")


def _check_segments(data: bytes, name: str) -> None:
    """The walk over a JPEG's segments that Pillow and libjpeg make, up to the picture's end.

    Pixels have no marker but restarts: a byte 255 among them is followed by 0. What lies behind the
    end (another picture, a film) is not looked at, nor what is inside of a segment.
    """
    at, segments, scans, header, taken_apart = 2, 0, 0, 0, 0
    frame: tuple[int, bytes] = 0, b""
    while found := _SEGMENT.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == _END:
            if scans:
                return
            continue
        end = at + max(2, _number(data[at : at + 2], ">"))
        body, at = data[at + 2 : end], end
        segments += 1
        scans += marker == _SCAN
        if not scans:
            header += len(body)
            if marker in _FRAME:
                frame = marker, body[:6]
        elif marker == _SCAN and scans == 1:
            _check_held(*frame, body[:1], len(data), name)
        exif = marker == _APP1 and body.startswith(b"Exif")
        if marker in _FRAME or marker in (_TABLES, _APP13) or exif:
            taken_apart += len(body)
        for parts, count, allowed in (
            ("segments", segments, MAX_SEGMENTS),
            ("scans", scans, MAX_SCANS),
            ("bytes beside its pixels", header, MAX_BESIDE),
            ("bytes of tables and EXIF", taken_apart, MAX_TAKEN_APART),
        ):
            if count > allowed:
                raise _too_many(name, f"more than the {allowed:,} {parts} allowed")


def _check_held(marker: int, frame: bytes, in_scan: bytes, size: int, name: str) -> None:
    """Raise LogoError where libjpeg holds all coefficients, and they or their bytes are too many.

    `frame`: bits, height, width, number of colours; `in_scan`: how many of them the first scan has;
    `size`: bytes of the file.
    """
    if len(frame) < 6 or not (marker in _PROGRESSIVE or in_scan != frame[5:]):
        return
    if size > MAX_BYTES_HELD:
        raise LogoError(
            f"{name} is a progressive JPEG of {size:,} bytes; {MAX_BYTES_HELD:,} are allowed; "
            "save it as PNG"
        )
    height, width = struct.unpack(">HH", frame[1:5])
    if frame[5] >= 4 and height * width > MAX_PIXELS_HELD:
        raise LogoError(
            f"{name} is {width}x{height} pixels; a progressive JPEG of four colours (CMYK) may "
            f"have {MAX_PIXELS_HELD:,} in all; make it smaller"
        )


def check_directory(file: BinaryIO, at: int, order: str, name: str) -> None:
    """Raise LogoError where a tag of the TIFF directory at byte `at` has too many values.

    `order`: "<" or ">". Values of one byte each (profiles, texts, previews) are never taken apart,
    but where offsets or lengths are meant. A file cut short has no tags here; Pillow refuses it.
    """
    file.seek(at)
    entries = file.read(12 * _number(file.read(2), order))
    for entry in range(0, len(entries) - 11, 12):
        tag, value_type, count = struct.unpack_from(order + "HHI", entries, entry)
        one_by_one = tag in _STRIPS_AND_TILES or value_type not in _LEFT_AS_BYTES
        if one_by_one and count > MAX_VALUES:
            what = "strips or tiles" if tag in _STRIPS_AND_TILES else f"values of tag {tag}"
            raise _too_many(name, f"{count:,} {what}; {MAX_VALUES:,} are allowed")


def _check_chunks(file: BinaryIO, name: str) -> None:
    """Raise LogoError where a WebP has too many chunks, up to the end that its head states."""
    head = file.read(12)
    end = min(8 + _number(head[4:8], "<"), file.seek(0, io.SEEK_END))
    at = len(head)
    for _ in range(MAX_CHUNKS):
        if at >= end:
            return
        file.seek(at + 4)
        size = _number(file.read(4), "<")
        at += 8 + size + size % 2
    if at < end:
        raise _too_many(name, f"more than the {MAX_CHUNKS:,} chunks allowed")


def _number(data: bytes, order: str) -> int:
    """The number in these bytes, "<" or ">" as in struct; 0 where there are none."""
    return int.from_bytes(data, "little" if order == "<" else "big")
