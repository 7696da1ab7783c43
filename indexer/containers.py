"""Files of decimals as they come: plain, zip, gz, zst, xz or bz2, read as a stream of chunks.

The kind is told by the first bytes, never by the name. Nothing is held whole, no member's path is
used, and a stream that ends early, fails its checksum or has anything after its end is refused.
"""

import bz2
import contextlib
import lzma
import stat
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from indexer.errors import SourceError, reason

CHUNK = 1 << 18
_XZ_MEMORY = 256 << 20
_ZSTD_WINDOW_LOG = 27  # 128 MB, what zstd itself allows without --long
_MAX_EMPTY_STREAMS = 100
_MAX_MEMBERS = 1000


@dataclass(frozen=True)
class TextSource:
    """A text that can be read once: its name for messages, its kind, its chunks.

    bytes_read tells how much of the file itself has been read; size is the file's.
    """

    name: str
    kind: str
    chunks: Iterator[bytes]
    bytes_read: Callable[[], int]
    size: int


class _Gzip:
    """zlib's decompressor in the shape that bz2, lzma and zstd share."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)  # 31: a gzip header and checksum
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        text = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(text) < max_length
        return text


def _zstd() -> Any:
    """The zstd module: in the standard library from Python 3.14."""
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415

        return zstd
    from backports import zstd  # noqa: PLC0415 - only a .zst needs it

    return zstd


def _new_zstd() -> Any:
    zstd = _zstd()
    options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    return zstd.ZstdDecompressor(options=options)


# kind: (first bytes, maker of a decompressor)
_STREAMS: dict[str, tuple[bytes, Callable[[], Any]]] = {
    "gz": (b"\x1f\x8b", _Gzip),
    "bz2": (b"BZh", bz2.BZ2Decompressor),
    "xz": (
        b"\xfd7zXZ\x00",
        lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
    ),
    "zst": (b"\x28\xb5\x2f\xfd", _new_zstd),
}


def _after_stream(data: bytes, file: BinaryIO, magic: bytes) -> bytes:
    """What follows the end of a compressed stream: nothing, or the next stream's bytes.

    gzip and xz may pad with zeros, and parallel compressors write one stream after another.
    """
    while True:
        data = data.lstrip(b"\0")
        if len(data) >= len(magic):
            break
        more = file.read(CHUNK)
        if not more:
            break
        data += more
    if data and not data.startswith(magic):
        raise SourceError(f"has {data[:8]!r} after the end of the compressed data")
    return data


def _decompress(file: BinaryIO, kind: str) -> Iterator[bytes]:
    """The text of one or more compressed streams, in chunks of at most CHUNK bytes."""
    magic, new = _STREAMS[kind]
    empty_streams = 0
    data = file.read(CHUNK)
    while data:
        decoder = new()
        n_text = 0
        while not decoder.eof:
            text = decoder.decompress(data, CHUNK)
            n_text += len(text)
            if text:
                yield text
            data = b""
            if decoder.needs_input and not decoder.eof:
                data = file.read(CHUNK)
                if not data:
                    raise SourceError("ends in the middle of the compressed data; get it again")
        empty_streams += not n_text
        if empty_streams > _MAX_EMPTY_STREAMS:
            raise SourceError(f"has more than {_MAX_EMPTY_STREAMS} compressed streams of nothing")
        data = _after_stream(decoder.unused_data, file, magic)


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The one member that can be meant; SourceError names what is there otherwise."""
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise SourceError(f"has {len(members)} members; one file of decimals is allowed")
    plausible = [
        member
        for member in members
        if not member.is_dir() and member.file_size and not member.filename.startswith("__MACOSX/")
    ]
    if len(plausible) != 1:
        names = ", ".join(repr(member.filename[:40]) for member in plausible[:4]) or "none"
        raise SourceError(f"has {len(plausible)} files ({names}); exactly one is allowed")
    if plausible[0].flag_bits & 1:
        raise SourceError("is encrypted; unpack it first")
    return plausible[0]


def _unzip(file: BinaryIO) -> Iterator[bytes]:
    """The text of a zip file's only member."""
    with zipfile.ZipFile(file) as archive:
        member = _only_member(archive)
        n_text = 0
        with archive.open(member) as text:  # reading to the end checks the CRC
            while chunk := text.read(CHUNK):
                n_text += len(chunk)
                yield chunk
        if n_text != member.file_size:
            raise SourceError(f"gives {n_text} bytes; its directory says {member.file_size}")


def _plain(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _guarded(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The same chunks; what goes wrong on the way becomes a SourceError that names the file."""
    damage: tuple[type[Exception], ...] = (
        OSError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        NotImplementedError,  # a zip compressed in a way that zipfile does not know
        RuntimeError,
        ValueError,
        _zstd().ZstdError,
    )
    try:
        yield from chunks
    except SourceError as error:
        raise SourceError(f"{name} {error}") from None
    except damage as error:
        raise SourceError(f"{name} is damaged: {reason(error)}; get it again") from None


def _kind_of(head: bytes) -> str:
    if head.startswith(b"PK"):
        return "zip"
    for kind, (magic, _) in _STREAMS.items():
        if head.startswith(magic):
            return kind
    return "text"


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[TextSource]:
    """Open a file of decimals, whatever it is packed in; SourceError where it cannot be."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(f"{path} is not a regular file; a file of decimals is needed")
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {reason(error)}") from None
    with file:
        kind = _kind_of(file.read(64))
        file.seek(0)
        if kind == "text":
            chunks = _plain(file)
        elif kind == "zip":
            chunks = _unzip(file)
        else:
            chunks = _decompress(file, kind)
        guarded = _guarded(chunks, str(path))
        yield TextSource(str(path), kind, guarded, file.tell, path.stat().st_size)
