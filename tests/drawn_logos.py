"""Pictures of one bitmap, in memory: what the tests of pictures have in common."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from indexer.window import HEIGHT, WIDTH, WINDOW
from query.palette import GREYS

ROWS = (
    "01234567899876",
    "10000000000001",
    "20999999999902",
    "30988888888903",
    "40977777777904",
    "54567891234560",
)
DIGITS = "".join(ROWS)
K = 8  # JPEG's own block, so that JPEG is exact as well


def plane_of(digits: str = DIGITS, k: int = K) -> np.ndarray:
    greys = np.array([GREYS[int(d)] for d in digits], np.uint8).reshape(HEIGHT, WIDTH)
    return np.kron(greys, np.ones((k, k), np.uint8))


def grey(digits: str = DIGITS, k: int = K) -> Image.Image:
    return Image.fromarray(plane_of(digits, k))


def inks() -> Image.Image:
    """The picture in black ink alone."""
    black = Image.fromarray(255 - plane_of())
    none = Image.new("L", black.size, 0)
    return Image.merge("CMYK", (none, none, none, black))


def see_through() -> Image.Image:
    """The picture as black of varying opacity."""
    black = Image.new("L", grey().size, 0)
    return Image.merge("LA", (black, Image.fromarray(255 - plane_of())))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, head: bytes, pixels: bytes, extra: bytes = b"") -> bytes:
    """A PNG of bit depth and colour type `head` from rows that begin with their filter byte."""
    header = struct.pack(">II", width, height) + head + b"\0\0\0"
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(pixels))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def png_rgb16(clear: int | None = None) -> bytes:
    """16 bits a channel; the level `clear` transparent."""
    deep = np.repeat(plane_of().astype(">u2")[..., None] * 257, 3, axis=2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    extra = b"" if clear is None else chunk(b"tRNS", struct.pack(">3H", clear, clear, clear))
    return png(plane_of().shape[1], plane_of().shape[0], b"\x10\x02", rows, extra)


def profile(lightness_of_black: int) -> bytes:
    """An ICC profile for CMYK of 16 nodes, where black ink has this L*, and the other inks none."""
    nodes = bytearray()
    for node in range(16):
        level = lightness_of_black if node & 1 else 100
        nodes += bytes((round(level * 2.55), 128, 128))
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    table = b"mft1\0\0\0\0\x04\x03\x02\0" + matrix + ramp * 4 + bytes(nodes) + ramp * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    start = 128 + 4 + 2 * 12
    tags = struct.pack(">I", 2)
    tags += struct.pack(">4sII", b"A2B0", start + len(white), len(table))
    tags += struct.pack(">4sII", b"wtpt", start, len(white))
    body = tags + white + table
    head = struct.pack(">I4sI4s4s4s12s4s", 128 + len(body), b"", 0x02400000, b"prtr", b"CMYK",
                       b"Lab ", b"\x07\xde\0\1\0\1\0\0\0\0\0\0", b"acsp")  # fmt: skip
    head += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + body


def tiff_12_bit() -> bytes:
    """The picture at one pixel a digit, 12 bits each, packed."""
    levels = [int(grey) * 4095 // 255 for grey in plane_of(k=1).flat]
    bits = "".join(f"{level:012b}" for level in levels)
    pixels = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = {256: WIDTH, 257: HEIGHT, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: HEIGHT,
            279: len(pixels)}  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def deep(under: int = 255) -> Image.Image:
    """The picture in 16 bits, with the level `under` in place of white."""
    plane = plane_of()
    return Image.fromarray(np.where(plane == 255, under, plane).astype(np.uint16) * 257)


def frames() -> list[Image.Image]:
    return [grey("0" * WINDOW), grey("5" * WINDOW)]
