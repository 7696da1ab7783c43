"""Pictures that are none, damaged, bombs, as large as allowed, or of very many parts."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
from drawn_logos import chunk, grey, inks, plane_of, png, saved, see_through
from PIL import Image

Make = Callable[[], bytes]

NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8))

NO_PICTURES: dict[str, Make] = {
    "empty": lambda: b"",
    "text": lambda: b"hello\n",
    "83 digits": lambda: b"1" * 83,
    "zeros": lambda: bytes(5000),
    "noise": lambda: np.random.default_rng(2).bytes(5000),
    "web page": lambda: b"<!DOCTYPE html><html></html>",
    "PDF": lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "zip": lambda: b"PK\x03\x04" + bytes(100),
    "gzip": lambda: b"\x1f\x8b\x08" + bytes(100),
    "sound": lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(100),
    "2 MB of digits": lambda: b"1" * 2_000_001,
}


def png_of_900_million_pixels() -> bytes:
    """30,000 a side, one bit a pixel, every row there: 110 kB."""
    return png(30_000, 30_000, b"\x01\0", bytes(30_000 * (1 + 30_000 // 8)))


def webp_of_16384_a_side() -> bytes:
    """The 14 bits each of a lossless WebP's width and height, all set."""
    whole = saved(grey().convert("RGB"), "WEBP", lossless=True)
    (head,) = struct.unpack_from("<I", whole, 21)
    return whole[:21] + struct.pack("<I", head | 0xFFF_FFFF) + whole[25:]


BOMBS: dict[str, Make] = {
    "PNG of 900 million pixels": png_of_900_million_pixels,
    "PNG of a few too many": lambda: png(8000, 5001, b"\x01\0", bytes(5001 * 1001)),
    "JPEG of 65,500 a side": lambda: saved(grey(), "JPEG").replace(
        struct.pack(">HH", *plane_of().shape), struct.pack(">HH", 65_500, 65_500)
    ),
    "TIFF of 30,000 a side": lambda: tiff({**PLAIN_TAGS, 256: 30_000, 257: 30_000}),
    "WebP of 16,384 a side": webp_of_16384_a_side,
    "PNG, a profile of 400 MB": lambda: with_chunks(
        chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(400_000_000)))
    ),
}
TRUNCATED: dict[str, Make] = {
    "PNG": lambda: saved(NOISE, "PNG"),
    "JPEG": lambda: saved(NOISE, "JPEG"),
    "progressive JPEG": lambda: saved(NOISE, "JPEG", progressive=True),
    "GIF": lambda: saved(NOISE.convert("P"), "GIF"),
    "BMP": lambda: saved(NOISE, "BMP"),
    "TIFF": lambda: saved(NOISE, "TIFF"),
    "LZW TIFF": lambda: saved(NOISE, "TIFF", compression="tiff_lzw"),
    "WebP": lambda: saved(NOISE, "WEBP"),
}


def cut(kind: str, percent: int) -> bytes:
    """The first so many per cent of a picture in noise."""
    whole = TRUNCATED[kind]()
    return whole[: len(whole) * percent // 100]


def with_chunks(chunks: bytes) -> bytes:
    """The picture as PNG, more chunks after its header."""
    whole = saved(grey(), "PNG")
    return whole[:33] + chunks + whole[33:]


# Whole pictures as large as allowed: a digit is this many pixels a side.
SIDE, TIFF_SIDE, WEBP_SIDE, INKS_SIDE = 688, 597, 377, 534


def rgba(k: int) -> Image.Image:
    """The picture as black of varying opacity, drawn large."""
    return see_through().convert("RGBA").resize((14 * k, 6 * k), Image.Resampling.NEAREST)


LARGE: dict[str, Make] = {
    "PNG, RGBA": lambda: saved(rgba(SIDE), "PNG", compress_level=1),
    "PNG, 16 bit": lambda: saved(
        Image.fromarray(plane_of(k=SIDE).astype(np.uint16) * 257), "PNG", compress_level=1
    ),
    "PNG, white on nothing": lambda: saved(
        Image.merge("LA", (Image.new("L", grey(k=SIDE).size, 255), grey(k=SIDE))), "PNG"
    ),
    "JPEG, progressive": lambda: saved(
        grey(k=SIDE).convert("RGB"), "JPEG", quality=95, progressive=True, subsampling=0
    ),
    "JPEG, CMYK": lambda: saved(large_inks(), "JPEG", quality=95),
    "JPEG, CMYK, progressive": lambda: saved(
        large_inks(), "JPEG", quality=95, progressive=True, subsampling=0
    ),
    "GIF": lambda: saved(grey(k=SIDE), "GIF"),
    "BMP": lambda: saved(grey(k=SIDE), "BMP"),
    "TIFF, RGBA in one strip": lambda: saved(
        rgba(TIFF_SIDE), "TIFF", compression="tiff_adobe_deflate", strip_size=1 << 30
    ),
    "TIFF, float": lambda: saved(
        Image.fromarray(plane_of(k=TIFF_SIDE) / np.float32(255)),
        "TIFF",
        compression="tiff_adobe_deflate",
    ),
    "WebP, RGBA": lambda: saved(rgba(WEBP_SIDE), "WEBP", lossless=True, quality=0, method=0),
}


def large_inks() -> Image.Image:
    """The picture in black ink alone, drawn large."""
    return inks().resize((14 * INKS_SIDE, 6 * INKS_SIDE), Image.Resampling.NEAREST)


def jpeg_with(parts: bytes) -> bytes:
    """The picture as JPEG, parts of nothing behind its first marker."""
    whole = saved(grey(), "JPEG")
    return whole[:20] + parts + whole[20:]


def gif_with(parts: bytes) -> bytes:
    """The picture as GIF, parts of nothing behind its palette."""
    whole = saved(grey(), "GIF")
    head = 13 + 3 * (2 << (whole[10] & 7))
    return whole[:head] + parts + whole[head:]


def jpeg_of_many_scans() -> bytes:
    """36 million pixels whose last refinement, 59 bytes, is made 2,000 times: 260 kB."""
    whole = saved(Image.new("L", (6000, 6000), 128), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * 2000 + whole[-2:]


def png_in_pieces() -> bytes:
    """The pixels in a million chunks of one byte each, most of them empty blocks of zlib."""
    whole = saved(grey(), "PNG")
    rows = b"".join(b"\0" + line.tobytes() for line in plane_of())
    packed = b"\x78\x01" + b"\0\0\0\xff\xff" * 200_000 + zlib.compress(rows)[2:]
    pieces = b"".join(chunk(b"IDAT", packed[at : at + 1]) for at in range(len(packed)))
    return whole[:33] + pieces + whole[-12:]


# 14 by 6 pixels of 8 bits in one strip at byte 8.
PLAIN_TAGS = {256: 14, 257: 6, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 6, 279: 84}


def tiff(tags: dict[int, int | bytes]) -> bytes:
    """A TIFF of these tags, each a number or an array of 32-bit numbers."""
    begin = 8 + 2 + 12 * len(tags) + 4
    entries, arrays = b"", b""
    for tag, value in sorted(tags.items()):
        if isinstance(value, int):
            entries += struct.pack("<HHII", tag, 4, 1, value)
        else:
            entries += struct.pack("<HHII", tag, 4, len(value) // 4, begin + len(arrays))
            arrays += value
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + arrays


def tiff_of_tiles(side: int) -> bytes:
    """A TIFF of side × side tiles of one pixel; all are the same byte."""
    tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 277: 1, 322: 1, 323: 1, 325: 1}
    return tiff({**tags, 324: struct.pack("<I", 8) * side**2})


def tiff_of_offsets(count: int) -> bytes:
    """A TIFF of one strip, with this many offsets of strips."""
    return tiff({**PLAIN_TAGS, 273: struct.pack("<I", 8) * count})


def webp_of_chunks(count: int) -> bytes:
    """The picture in an extended WebP, empty chunks behind it."""
    plain = saved(grey().convert("RGB"), "WEBP", lossless=True)[12:]
    height, width = (struct.pack("<I", side - 1)[:3] for side in plane_of().shape)
    body = b"WEBPVP8X\x0a\0\0\0" + bytes(4) + width + height + plain + b"JUNK\0\0\0\0" * count
    return b"RIFF" + struct.pack("<I", len(body)) + body


PARTS: dict[str, Make] = {
    "JPEG, 2,000 scans": jpeg_of_many_scans,
    "PNG, 4 million chunks": lambda: with_chunks(chunk(b"noNe", b"") * 4_000_000),
    "PNG, 2 million texts": lambda: with_chunks(chunk(b"tEXt", b"a\0b") * 2_000_000),
    "PNG, a million pieces": png_in_pieces,
    "JPEG, 8 million comments": lambda: jpeg_with(b"\xff\xfe\0\x02" * 8_000_000),
    "JPEG, 40 MB of fill bytes": lambda: jpeg_with(b"\xff" * 40_000_000),
    "JPEG, 40 MB of nothing": lambda: jpeg_with(b"\xff\0" * 20_000_000),
    "GIF, 8 million comments": lambda: gif_with(b"!\xfe\x01a\0" * 8_000_000),
    "GIF, 40 MB of nothing": lambda: gif_with(b"\1" * 40_000_000),
    "TIFF, a million tiles": lambda: tiff_of_tiles(1000),
    "TIFF, 15 million offsets": lambda: tiff_of_offsets(15_000_000),
    "WebP, 6 million chunks": lambda: webp_of_chunks(6_000_000),
}
