"""query/picture.py: damaged and hostile pictures are refused in one line, within bounds.

Item 15 of the list of faults; the drawings of item 16 are in test_svg.py, files that are no files
in test_bitmap.py.
"""

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_logos import DIGITS, chunk, grey, inks, png, saved
from PIL import Image

from indexer.errors import LogoError
from indexer.window import WINDOW
from query import picture, picture_limits
from query.bitmap import format_digits, read_logo
from query.palette import GREYS


def floats(value: float) -> bytes:
    return saved(Image.fromarray(np.full((6, 14), value, np.float32)), "TIFF")


def damage(name: str) -> bytes:
    """Files that hold no picture, each as small as it can be."""
    whole = saved(grey(), "PNG")
    data = whole.index(b"IDAT") + 20
    made: dict[str, bytes] = {
        "bad checksum of the header": whole[:29] + bytes([whole[29] ^ 1]) + whole[30:],
        "bad checksum of the pixels": whole[:-13] + bytes([whole[-13] ^ 1]) + whole[-12:],
        "one bit of the pixels": whole[:data] + bytes([whole[data] ^ 4]) + whole[data + 1 :],
        "30000 a side": png(30_000, 30_000, b"\x01\0", b""),
        "no pixel": png(0, 5, b"\x08\0", b""),
        "2^31 a side": png(2**31 - 1, 2**31 - 1, b"\x08\0", b""),
        "a line too long": png(65_536, 1, b"\x08\0", bytes(65_537)),
        "signature only": b"\x89PNG\r\n\x1a\n",
        "gif header only": b"GIF89a\x0e\0\x06\0\0\0\0",
        "gif bomb": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;",
        "bmp bomb": b"BM"
        + struct.pack("<IIIIiiHH", 54, 0, 54, 40, 60000, 60000, 1, 24)
        + bytes(24),
        "tiff without a picture": b"II*\0\x08\0\0\0\0\0\0\0\0\0",
        "jpeg header only": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
        "webp header only": b"RIFF\x1a\0\0\0WEBPVP8L",
        "float without a number": floats(np.nan),
        "float too large": floats(1e30),
        "pixel mode": saved(Image.new("LAB", (14, 6)), "TIFF"),
    }  # fmt: skip
    return made[name]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("bad checksum of the header", "is a damaged PNG"),
        (
            "bad checksum of the pixels",
            "(broken PNG file (bad header checksum in a PNG chunk)); save",
        ),
        ("one bit of the pixels", "is a damaged PNG"),
        ("30000 a side", "of far more than the 40,000,000 pixels allowed"),
        ("no pixel", "PNG"),
        ("2^31 a side", "of far more than the 40,000,000 pixels allowed"),
        ("a line too long", "is 65536x1 pixels; a PNG may have 40,000,000 in all and 65,535 a"),
        ("signature only", "is a damaged PNG"),
        ("gif header only", "is a damaged GIF"),
        ("gif bomb", "of far more than the 40,000,000 pixels allowed"),
        ("bmp bomb", "of far more than the 40,000,000 pixels allowed"),
        ("tiff without a picture", "is a damaged TIFF"),
        ("jpeg header only", "is a damaged JPEG"),
        ("webp header only", "is a damaged WEBP"),
        ("float without a number", "is a picture with a pixel that is no finite number"),
        ("float too large", "is a picture with a pixel of 1e+30; at most 2.14748e+09"),
        ("pixel mode", "is a picture of pixel mode LAB"),
    ],
)
def test_damaged_and_hostile_files_are_refused_in_one_line(
    name: str, sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refusal(tmp_path, damage(name))
    assert capfd.readouterr() == ("", "")  # no decoder prints either


def refusal(folder: Path, content: bytes) -> str:
    file = folder / "a.png"
    file.write_bytes(content)
    with pytest.raises(LogoError) as caught:
        read_logo(file)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("percent", range(0, 100, 5))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "progressive JPEG", "BMP", "TIFF", "WEBP"])
def test_truncated_files_are_refused(
    kind: str, percent: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    options = {"progressive": True} if kind.startswith("progressive") else {}
    whole = saved(Image.fromarray(noise), kind.rsplit(maxsplit=1)[-1], **options)
    refusal(tmp_path, whole[: len(whole) * percent // 100])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_flipped_bytes_give_a_bitmap_or_one_line(kind: str, tmp_path: Path) -> None:
    """80 seeded flips a format: no traceback; a PNG never passes with its pixels changed."""
    random = np.random.default_rng(7)
    whole = saved(grey(k=4), kind)
    file = tmp_path / "logo"
    refused = 0
    for _ in range(80):
        flipped = bytearray(whole)
        flipped[random.integers(min(200, len(whole)))] ^= 1 << random.integers(8)
        file.write_bytes(flipped)
        try:
            digits = format_digits(read_logo(file))
        except LogoError as error:
            refused += "\n" not in str(error)
        else:
            refused += len(digits) == WINDOW
            assert kind != "PNG" or digits == DIGITS
    assert refused == 80


def test_libtiff_does_not_write_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = saved(grey().convert("RGB"), "TIFF", compression="tiff_lzw")
    for place in (60, 100, 150, 200):
        damaged = whole[:place] + b"\xff" * 40 + whole[place + 40 :]
        assert "is a damaged TIFF" in refusal(tmp_path, damaged)
    sys.stderr.write("still open")
    assert capfd.readouterr() == ("", "still open")


def test_a_run_length_bmp_is_read_and_a_large_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours = b"".join(bytes((level, level, level, 0)) for level in range(256))
    runs = b"".join(bytes((14, GREYS[row])) + b"\0\0" for row in (5, 4, 3, 2, 1, 0)) + b"\0\1"
    start = 54 + len(colours)
    sizes = (start + len(runs), 0, start, 40, 14, 6)
    head = struct.pack("<IIIIiiHHIIiiII", *sizes, 1, 8, 1, len(runs), 0, 0, 256, 0)
    file = tmp_path / "rle.bmp"
    file.write_bytes(b"BM" + head + colours + runs)
    assert format_digits(read_logo(file)) == "".join(str(d) * 14 for d in range(6))
    monkeypatch.setattr(picture, "MAX_RLE_BYTES", 1000)
    with pytest.raises(LogoError, match=r"is a run-length BMP of 1,\d+ bytes; 1,000 are allowed"):
        read_logo(file)


def test_forty_million_pixels_stay_under_300_mb(tmp_path: Path) -> None:
    """In a process of its own, because a high-water mark cannot be lowered."""
    rows = zlib.compressobj(1)
    packed = b"".join(rows.compress(bytes(1 + 4 * 8000) * 500) for _ in range(10)) + rows.flush()
    header = struct.pack(">II", 8000, 5000) + b"\x08\x06\0\0\0"
    file = tmp_path / "large.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed)
                     + chunk(b"IEND", b""))  # fmt: skip
    program = (
        "import pathlib, resource, sys\n"
        "from query.bitmap import read_logo\n"
        "total = read_logo(sys.argv[1]).sum()\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "status = pathlib.Path('/proc/self/status')\n"
        # Linux counts what the parent had before exec into ru_maxrss, but not into VmHWM
        "if status.exists():\n"
        "    peak = int(status.read_text().split('VmHWM:')[1].split()[0])\n"
        "print(total, peak)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        capture_output=True, text=True, check=True, timeout=60,
        cwd=Path(picture.__file__).parents[1],
    )  # fmt: skip
    total, peak = map(int, done.stdout.split())
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    assert total == 0  # all of it transparent: white
    assert peak * unit < 300_000_000


def with_chunks(chunks: bytes) -> bytes:
    whole = saved(grey(), "PNG")
    return whole[:33] + chunks + whole[33:]


def with_segments(segments: bytes, *, progressive: bool = False) -> bytes:
    whole = saved(grey(), "JPEG", progressive=progressive)
    return whole[:20] + segments + whole[20:]


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 255, marker, len(body) + 2) + body


def with_scans(n: int) -> bytes:
    """The picture as progressive JPEG of 6 scans, the last one n times more."""
    whole = saved(grey(), "JPEG", progressive=True)
    return whole[:-2] + whole[whole.rindex(b"\xff\xda") : -2] * n + whole[-2:]


def tiff(order: str, tag: int, value_type: int, count: int, nested: int = 0) -> bytes:
    """A TIFF of one strip; a tag more with `count` zeros, in a directory `nested` points to."""
    tags = {256: 14, 257: 6, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 6, 279: 84}
    entries = {at: struct.pack(order + "HHII", at, 4, 1, value) for at, value in tags.items()}
    end = 8 + 2 + 12 * (len({*tags, nested or tag})) + 4
    behind = end + 18 if nested else end
    more = struct.pack(order + "HHII", tag, value_type, count, behind)
    if nested:
        entries[nested] = struct.pack(order + "HHII", nested, 4, 1, end)
        data = struct.pack(order + "H", 1) + more + bytes(4) + bytes(8 * count)
    else:
        entries[tag] = more
        data = bytes(8 * count)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    listed = b"".join(entries[at] for at in sorted(entries))
    return head + struct.pack(order + "H", len(entries)) + listed + bytes(4) + data


def webp(n: int) -> bytes:
    plain = saved(grey().convert("RGB"), "WEBP", lossless=True)
    body = plain[8:] + b"JUNK\0\0\0\0" * n
    return b"RIFF" + struct.pack("<I", len(body)) + body


EXIF = b"Exif\0\0II*\0\x08\0\0\0" + bytes(300)
# The limit and a small one; a picture within that is beyond it, and what is said.
PARTS: dict[str, tuple[str, int, Callable[[], bytes], str]] = {
    "PNG chunks": ("MAX_READS", 100, lambda: with_chunks(chunk(b"noNe", b"") * 50), "100 pieces"),
    "PNG pieces": ("MAX_READS", 9, lambda: saved(grey(), "PNG"), "9 pieces"),
    "GIF": ("MAX_READS", 5, lambda: saved(grey(), "GIF"), "the 5 pieces"),
    "junk": ("MAX_READS", 100, lambda: with_segments(b"\xff\0" * 200), "100 pieces"),
    "beside, PNG": ("MAX_BESIDE", 99, lambda: with_chunks(chunk(b"tEXt", bytes(99))), "99 bytes"),
    "beside, JPEG": ("MAX_BESIDE", 999, lambda: with_segments(segment(0xE2, bytes(999))), "999 b"),
    "scans": ("MAX_SCANS", 50, lambda: with_scans(45), "more than the 50 scans allowed"),
    "segments": ("MAX_SEGMENTS", 20, lambda: with_segments(b"\xff\xfe\0\x02" * 20), "20 segments"),
    "EXIF": ("MAX_TAKEN_APART", 500, lambda: with_segments(segment(0xE1, EXIF) * 2), "500 bytes"),
    "tables": ("MAX_TAKEN_APART", 80, lambda: saved(inks(), "JPEG"), "80 bytes of tables"),
    "held": ("MAX_PIXELS_HELD", 99, lambda: saved(inks(), "JPEG", progressive=True), "99 in all"),
    "held bytes": ("MAX_BYTES_HELD", 99, lambda: with_scans(0), "is a progressive JPEG of"),
    "strips": ("MAX_VALUES", 9, lambda: tiff("<", 273, 4, 10), "10 strips or tiles; 9 are allowed"),
    "strips, MM": ("MAX_VALUES", 9, lambda: tiff(">", 279, 3, 10), "10 strips or tiles; 9 are"),
    "strips, bytes": ("MAX_VALUES", 9, lambda: tiff("<", 273, 1, 10), "10 strips or tiles"),
    "resolutions": ("MAX_VALUES", 9, lambda: tiff(">", 282, 5, 10), "10 values of tag 282"),
    "in EXIF": ("MAX_VALUES", 9, lambda: tiff("<", 33434, 5, 10, 34665), "10 values of tag 33434"),
    "in GPS": ("MAX_VALUES", 9, lambda: tiff(">", 2, 5, 10, 34853), "10 values of tag 2"),
    "WebP": ("MAX_CHUNKS", 20, lambda: webp(20), "more than the 20 chunks allowed"),
}


@pytest.mark.parametrize("name", PARTS)
def test_pictures_of_too_many_parts_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, few, make, sentence = PARTS[name]
    if limit != "MAX_SCANS" and not name.startswith("strips"):
        (tmp_path / "sound").write_bytes(make())
        read_logo(tmp_path / "sound")  # it is this limit that refuses it
    monkeypatch.setattr(picture_limits, limit, few)
    assert sentence in refusal(tmp_path, make())


@pytest.mark.parametrize(
    "content",
    [
        with_segments(segment(0xE2, b"\xff\xda" * 500)),
        with_segments(b"") + b"\xff\xda\0\x02" * 500,
        with_scans(44),
        tiff("<", 34675, 7, 70_000),
        webp(500) + bytes(200_000),
    ],
    ids=["in a profile", "behind the end", "50 scans", "a profile", "behind a WebP"],
)
def test_what_only_looks_like_parts_is_not_counted(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "logo").write_bytes(content)
    read_logo(tmp_path / "logo")


def test_texts_and_exif_of_a_png_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(500)))
    monkeypatch.setattr(picture, "MAX_TEXT", 400)
    assert "(Too much memory used in text chunks" in refusal(tmp_path, with_chunks(text))
    monkeypatch.setattr(picture, "MAX_EXIF", 100)
    sentence = "is a picture with 314 bytes of EXIF; 100 are allowed"
    assert sentence in refusal(tmp_path, with_chunks(chunk(b"eXIf", EXIF[6:])))


def test_a_bigtiff_comes_to_no_decoder(tmp_path: Path) -> None:
    for content in (b"II+\0\x08\0\0\0" + bytes(99), b"MM\0+\0\x08\0\0" + bytes(99)):
        assert "is neither a picture (PNG" in refusal(tmp_path, content)
