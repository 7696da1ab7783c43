"""Pictures that are damaged, hostile or odd (item 15) and hostile drawings (item 16), as files.

What each sentence says is held in test_picture_faults.py, test_svg.py and test_bitmap.py; here the
program itself runs, and its exit code, seconds, memory and opened files are looked at.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from drawn_logos import DIGITS, grey, png, saved
from hostile_drawings import BAIT, EXCESSIVE, HOSTILE
from hostile_pictures import (
    BOMBS,
    LARGE,
    NO_PICTURES,
    NOISE,
    PARTS,
    TRUNCATED,
    Make,
    cut,
)
from measured import Measured, measure, some, write
from PIL import Image
from test_picture import READ_RIGHT, TURNS
from test_picture_faults import damage
from test_svg import BLACK_LEFT, DRAWN

import query
from indexer.window import WINDOW
from program import PROGRAM, Tally, environment, run
from query.palette import GREYS

WHITE, BLACK = "0" * WINDOW, "9" * WINDOW
PICTURE_SECONDS = 2.0
DRAWING_SECONDS = 5.0


def read_picture(folder: Path, *arguments: str | Path) -> Measured:
    """`pilogo bitmap ARGUMENTS` in a folder, within the bounds of a picture."""
    measured = measure(folder, PROGRAM, "bitmap", *arguments, seconds=PICTURE_SECONDS)
    measured.assert_within(PICTURE_SECONDS)
    return measured


# --- item 15: what is no picture, or a damaged one -----------------------------------------------

DAMAGED = (
    "bad checksum of the header", "bad checksum of the pixels", "one bit of the pixels",
    "30000 a side", "no pixel", "2^31 a side", "a line too long", "signature only",
    "gif header only", "gif bomb", "bmp bomb", "tiff without a picture", "jpeg header only",
    "webp header only", "float without a number", "float too large", "pixel mode",
)  # fmt: skip


def test_what_holds_no_picture_is_refused(
    full: bool, tally: Callable[[int], Tally], tmp_path: Path
) -> None:
    row = tally(15)
    files = {**NO_PICTURES, **{name: partial(damage, name) for name in DAMAGED}}
    cuts = {f"{kind} cut at {at} %": partial(cut, kind, at)
            for kind, at in product(TRUNCATED, range(0, 100, 5))}  # fmt: skip
    chosen = some(files.items(), full, 2) + some(BOMBS.items(), full, 1)
    for label, make in chosen + some(cuts.items(), full, 2):
        with row.case(label):
            write(tmp_path, "logo.png", make())
            read_picture(tmp_path, "logo.png").assert_refused("logo.png")


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        relative = os.path.relpath(path)  # a socket's path may have 107 bytes
        server.bind(min(relative, str(path), key=len))


def write_large(path: Path) -> None:
    path.write_bytes(saved(grey(), "PNG"))
    os.truncate(path, 64_000_001)


def nothing(_path: Path) -> None:
    pass


# The argument, what stands at logo.png, what the line says.
NO_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "directory": ("logo.png", Path.mkdir, "logo.png is a directory; a logo is an ordinary"),
    "named pipe": ("logo.png", os.mkfifo, "logo.png is a device, pipe or socket"),
    "/dev/zero": ("/dev/zero", nothing, "/dev/zero is a device, pipe or socket"),
    "link to /dev/zero": (
        "logo.png",
        lambda path: path.symlink_to("/dev/zero"),
        "logo.png is a device, pipe or socket",
    ),
    "link to itself": (
        "logo.png",
        lambda path: path.symlink_to(path),
        "logo.png cannot be read (Too many levels of symbolic links)",
    ),
    "link to nothing": (
        "logo.png",
        lambda path: path.symlink_to("nothing"),
        "logo.png: there is no such file",
    ),
    "socket": ("logo.png", bind_socket, "logo.png is a device, pipe or socket"),
    "no such file": ("logo.png", nothing, "logo.png: there is no such file"),
    "64 MB and a byte": ("logo.png", write_large, "logo.png is 64,000,001 bytes; 64,000,000 are"),
    "name of 4,000 characters": ("x" * 4000, nothing, "xxx cannot be read (File name too long)"),
    "path of 5,000 characters": ("x/" * 2500, nothing, "x/ cannot be read (File name too long)"),
    "control characters": ("\x1b[2J\n\r\x07", nothing, r"\x1b[2J\n\r\x07: there is no such file"),
    "name that is no UTF-8": (os.fsdecode(b"\xff\n"), nothing, r"\udcff\n: there is no such"),
}


def test_what_is_no_ordinary_file_is_refused(
    full: bool, tally: Callable[[int], Tally], tmp_path: Path
) -> None:
    row = tally(15)
    for label, (argument, make, sentence) in some(NO_FILES.items(), full, 3):
        with row.case(label):
            folder = tmp_path / label.replace("/", " ")
            folder.mkdir()
            make(folder / "logo.png")
            read_picture(folder, argument).assert_refused(sentence)


def test_a_file_that_may_not_be_read_is_refused(
    tally: Callable[[int], Tally], tmp_path: Path
) -> None:
    secret = write(tmp_path, "secret.png", saved(grey(), "PNG"))
    secret.chmod(0)
    command = [PROGRAM, "bitmap", secret.name]
    if os.geteuid() == 0:  # may read any file, unless it gives that up
        setpriv = shutil.which("setpriv")
        if not setpriv:
            pytest.skip("root may read any file, and setpriv, which takes that away, is not here")
        command = [setpriv, "--bounding-set=-dac_override,-dac_read_search", *command]
    with tally(15).case("no permission"):
        measured = measure(tmp_path, *command, seconds=PICTURE_SECONDS)
        measured.assert_within(PICTURE_SECONDS)
        measured.assert_refused("secret.png cannot be read (Permission denied)")


# --- item 15: odd pictures -----------------------------------------------------------------------


def turned(kind: str, orientation: int) -> bytes:
    """The picture lying as EXIF says it does."""
    turn = TURNS.get(orientation)
    image = (grey() if turn is None else grey().transpose(turn)).convert("RGB")
    if kind == "TIFF":
        return saved(image, kind, tiffinfo={274: orientation})
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, kind, exif=exif, quality=95, lossless=True)


def flat(size: tuple[int, int], digit: int) -> bytes:
    return saved(Image.new("L", size, GREYS[digit]), "PNG")


ODD: dict[str, tuple[Make, str]] = {
    **{f"read right: {name}": (make, DIGITS) for name, make in READ_RIGHT.items()},
    **{
        f"{kind} turned by EXIF {way}": (partial(turned, kind, way), DIGITS)
        for kind, way in product(("JPEG", "PNG", "WEBP", "TIFF"), range(1, 9))
    },
    **{
        f"flat, {width}x{height}, {digit}": (partial(flat, (width, height), digit), digits)
        for (width, height), (digit, digits) in product(
            ((1, 1), (1, 10_000), (10_000, 1), (65_535, 1), (14, 6)), ((0, WHITE), (9, BLACK))
        )
    },
    "all transparent": (lambda: saved(Image.new("RGBA", (28, 12)), "PNG"), WHITE),
    "all transparent, grey": (lambda: saved(Image.new("LA", (28, 12), (9, 0)), "PNG"), WHITE),
    "all transparent, palette": (
        lambda: saved(grey(WHITE).convert("P"), "PNG", transparency=255),
        WHITE,
    ),
    "all transparent, GIF": (
        lambda: saved(grey(BLACK).convert("P"), "GIF", transparency=GREYS[9]),
        WHITE,
    ),
    "all transparent, WebP": (
        lambda: saved(Image.new("RGBA", (28, 12)), "WEBP", lossless=True),
        WHITE,
    ),
    "one bit": (lambda: saved(grey("09" * 42).convert("1"), "PNG"), "09" * 42),
    "interlaced GIF": (lambda: saved(grey(), "GIF", interlace=1), DIGITS),
    "animated WebP": (
        lambda: saved(grey(), "WEBP", save_all=True, append_images=[grey(WHITE)], lossless=True),
        DIGITS,
    ),
    "bytes behind the end": (lambda: saved(grey(), "PNG") + bytes(100_000), DIGITS),
    "GIF cut in its second frame": (
        lambda: saved(grey(), "GIF", save_all=True, append_images=[NOISE.convert("L")])[:-200],
        DIGITS,
    ),
    "PNG, 400 MB behind its pixels": (lambda: png(14, 6, b"\x08\0", bytes(400_000_000)), BLACK),
    "an SVG in UTF-16": (lambda: DRAWN["plain"].encode("utf-16"), BLACK_LEFT),
    "a text of digits": (lambda: "\n".join(DIGITS).encode(), DIGITS),
}
ENDINGS = (".jpg", ".svg", ".txt", ".png.gz", "", ".GIF", ".tif")


def long_path(folder: Path, length: int) -> Path:
    """A path of so many characters, its folders made."""
    name = "logo.png"
    while (left := length - len(str(folder / name))) > 1:
        folder /= "d" * min(left - 1, 200)
        folder.mkdir()
    return folder / name.rjust(len(name) + left, "x")


def test_odd_pictures_are_read_right(
    full: bool, tally: Callable[[int], Tally], tmp_path: Path
) -> None:
    row = tally(15)
    for label, (make, digits) in some(ODD.items(), full, 5):
        with row.case(label):
            write(tmp_path, "logo.png", make())
            read_picture(tmp_path, "logo.png").assert_read(digits)
    for ending in some(ENDINGS, full, 1):
        with row.case(f"a PNG that ends in {ending!r}"):
            write(tmp_path, f"logo{ending}", saved(grey(), "PNG"))
            read_picture(tmp_path, f"logo{ending}").assert_read(DIGITS)
    with row.case("a file named like an option"):
        write(tmp_path, "-x.png", saved(grey(), "PNG"))
        read_picture(tmp_path, "--", "-x.png").assert_read(DIGITS)
    with row.case("a path of 4,000 characters"):
        path = long_path(tmp_path, 4000)
        path.write_bytes(saved(grey(), "PNG"))
        read_picture(tmp_path, path).assert_read(DIGITS)


# --- item 15: as large, and as many parts, as a file can have ------------------------------------


def test_the_largest_pictures_stay_within_the_bounds(
    full: bool, tally: Callable[[int], Tally], tmp_path: Path
) -> None:
    row = tally(15)
    for label, make in some(LARGE.items(), full, 1):
        with row.case(f"as large as allowed: {label}"):
            write(tmp_path, "logo", make())
            read_picture(tmp_path, "logo").assert_read(DIGITS)


def test_pictures_of_very_many_parts_stay_within_the_bounds(
    full: bool, tally: Callable[[int], Tally], tmp_path: Path
) -> None:
    """Read or refused, as it may be: not in minutes, and not in gigabytes."""
    row = tally(15)
    for label, make in some(PARTS.items(), full, 1):
        with row.case(label):
            write(tmp_path, "logo.png", make())
            measured = read_picture(tmp_path, "logo.png")
            measured.assert_read_or_refused("logo.png")


def test_find_answers_the_pictures_that_can_be_read(
    tally: Callable[[int], Tally], small_home: Path, tmp_path: Path
) -> None:
    row = tally(15)
    plain = write(tmp_path, "plain.png", saved(grey(), "PNG"))
    lying = write(tmp_path, "turned.jpg", turned("JPEG", 6))
    empty = write(tmp_path, "empty.png", b"")
    options = ("--format", "csv", "--threads", "1")
    with row.case("find: one of three is empty"):
        outcome = run(small_home, "find", *map(str, (plain, empty, lying)), *options)
        assert outcome.code == 3
        assert outcome.err.count("\n") == 1
        assert "empty.png is empty" in outcome.err
        rows = [line.removeprefix(str(plain)).removeprefix(str(lying))
                for line in outcome.out.splitlines()[1:]]  # fmt: skip
        assert len(rows) == 20
        assert rows[:10] == rows[10:]
    with row.case("find: a picture cut in half"):
        plain.write_bytes(plain.read_bytes()[:100])
        outcome = run(small_home, "find", str(plain), *options)
        outcome.assert_clean()
        assert (outcome.code, outcome.out) == (3, "")


# --- item 16 -------------------------------------------------------------------------------------


def draw(folder: Path, document: str) -> Measured:
    """`pilogo bitmap logo.svg`, within the seconds a drawing may take."""
    write(folder, "logo.svg", document.encode())
    measured = measure(folder, PROGRAM, "bitmap", "logo.svg", seconds=DRAWING_SECONDS)
    assert measured.is_within(DRAWING_SECONDS), measured
    return measured


def test_drawings_end_in_seconds(full: bool, tally: Callable[[int], Tally], tmp_path: Path) -> None:
    row = tally(16)
    for label, make in some(HOSTILE.items(), full, 4):
        with row.case(label):
            draw(tmp_path, make(tmp_path)).assert_refused("logo.svg")
    for label, make in some(EXCESSIVE.items(), full, 1):
        with row.case(label):
            draw(tmp_path, make(tmp_path)).assert_read_or_refused("logo.svg")
    for label, document in some(DRAWN.items(), full, 1):
        with row.case(f"sound: {label}"):
            draw(tmp_path, document).assert_read(BLACK_LEFT)


def traced(strace: str, folder: Path, document: str) -> tuple[set[str], list[str]]:
    """Every path that `pilogo bitmap` of a document tries to open, and its lines about sockets."""
    write(folder, "logo.svg", document.encode())
    log = folder / "trace"
    subprocess.run(
        [strace, "-f", "-qq", "-s", "5000", "-e", "trace=open,openat,openat2,socket,connect",
         "-o", log, PROGRAM, "bitmap", "logo.svg"],
        cwd=folder, env=environment(folder), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    lines = log.read_text().splitlines()
    opened = {match[1] for line in lines if (match := _OPENED.search(line))}
    assert "logo.svg" in opened
    return opened, [line for line in lines if _NETWORK.search(line)]


_OPENED = re.compile(r'\bopen(?:at2?)?\((?:[^"]*)"((?:[^"\\]|\\.)*)"')
_NETWORK = re.compile(r"\b(?:socket|connect)\(")
# The last one is where Rust looks for the end of its stack.
LIBRARIES = (sys.prefix, sys.base_prefix, str(Path(query.__file__).parents[1]), "/proc/self/maps")


def test_drawings_open_no_file_and_no_connection(
    full: bool, tally: Callable[[int], Tally], tmp_path: Path
) -> None:
    """What a harmless drawing opens, and Python's and our own modules; from the SVG nothing."""
    strace = shutil.which("strace")
    if not strace:
        pytest.skip("strace is not here")
    write(tmp_path, BAIT, saved(grey(), "PNG"))
    harmless, network = traced(strace, tmp_path, DRAWN["plain"])
    assert not [path for path in harmless if path.endswith(BAIT)]
    assert network == []
    row = tally(16)
    cases = {**HOSTILE, **EXCESSIVE} if full else dict(some(HOSTILE.items(), full, 5))
    for label, make in cases.items():
        with row.case(f"traced: {label}"):
            opened, network = traced(strace, tmp_path, make(tmp_path))
            assert network == []
            more = {path for path in opened - harmless if not path.startswith(LIBRARIES)}
            assert more == set()
