"""query/bitmap.py: what each form of a logo becomes, and every sentence it is refused with."""

import io
import json
import os
import re
import socket
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from indexer.errors import LogoError, UsageError
from indexer.packaged import data_file
from indexer.window import HEIGHT, WIDTH, WINDOW
from query import bitmap as bitmap_module
from query.bitmap import (
    bitmap_from_image,
    check_bitmap,
    format_digits,
    parse_digits,
    picture_kind,
    read_logo,
    shown,
)
from query.palette import GREYS

CONTEST = json.loads(data_file("contest.json").read_text())["bitmap"]
BITMAPS = st.text("0123456789", min_size=WINDOW, max_size=WINDOW)


def greys_of(digits: str) -> np.ndarray:
    return np.array([GREYS[int(d)] for d in digits], np.uint8).reshape(HEIGHT, WIDTH)


def drawn(digits: str, k: int) -> Image.Image:
    return Image.fromarray(np.kron(greys_of(digits), np.ones((k, k), np.uint8)))


def ink(width: int, height: int, box: tuple[int, int, int, int], page: int = 255) -> Image.Image:
    """A page with one black box (left, top, right, bottom)."""
    image = Image.new("L", (width, height), page)
    image.paste(0, box)
    return image


def rows_of(image: Image.Image, **options: object) -> list[str]:
    digits = format_digits(bitmap_from_image(image, **options))  # type: ignore[arg-type]
    return [digits[i : i + WIDTH] for i in range(0, WINDOW, WIDTH)]


@given(BITMAPS)
def test_digits_survive_the_round_trip(digits: str) -> None:
    bitmap = parse_digits(digits)
    assert bitmap.shape == (HEIGHT, WIDTH)
    assert bitmap.dtype == np.uint8
    assert bitmap[1, 0] == int(digits[WIDTH])
    assert format_digits(bitmap) == digits


@given(BITMAPS, st.lists(st.integers(0, WINDOW), max_size=20), st.sampled_from(" \t\n\r\u2003"))
def test_blanks_between_digits_do_not_matter(digits: str, places: list[int], blank: str) -> None:
    text = digits
    for place in sorted(places, reverse=True):
        text = text[:place] + blank + text[place:]
    assert format_digits(parse_digits(text)) == digits


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "found 0 digits; 84 are needed"),
        ("1" * 83, "found 83 digits; 84 are needed"),
        ("1" * 85, "found 85 digits; 84 are needed"),
        ("12 x", "found 'x' at character 4, after 2 digits"),
        ("1" * 84 + "٣", "found '٣' at character 85, after 84 digits"),
        ("²" * 84, "found '²' at character 1, after 0 digits"),
        ("-" + "1" * 84, "found '-' at character 1"),
        ("1\0", r"found '\x00' at character 2"),
    ],
)
def test_what_is_not_84_digits_is_told_apart(text: str, found: str) -> None:
    with pytest.raises(LogoError, match=re.escape(found)):
        parse_digits(text)


@pytest.mark.parametrize(
    ("bitmap", "found"),
    [
        (np.zeros((14, 6), np.uint8), "has shape (14, 6); a bitmap is 6 rows of 14 integers 0 to"),
        (np.zeros(84, np.uint8), "has shape (84,)"),
        ("1" * 84, "has shape ()"),
        ([[1, 2], [3]], "its rows differ in length"),
        (np.zeros((6, 14)), "has dtype float64; a bitmap is 6 rows of 14 integers 0 to 9, dtype"),
        (np.zeros((6, 14), bool), "has dtype bool"),
        (np.eye(6, 14, 13, np.uint8) * 10, "has 10 in row 0, column 13"),
        (np.eye(6, 14, dtype=np.int64) - 1, "has -1 in row 0, column 1"),
        (np.full((6, 14), 256), "has 256 in row 0, column 0"),
    ],
)
def test_what_is_no_bitmap_is_told_apart(bitmap: object, found: str) -> None:
    for check in (check_bitmap, format_digits):
        with pytest.raises(LogoError, match=re.escape(found)):
            check(bitmap)  # type: ignore[operator]


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, ">i4"])
def test_integers_of_any_width_and_order_are_a_bitmap(dtype: object) -> None:
    want = parse_digits(CONTEST)
    for given_ in (want.astype(dtype), np.asfortranarray(want.astype(dtype)), want.tolist()):
        found = check_bitmap(given_)
        assert found.dtype == np.uint8
        assert found.flags.c_contiguous
        assert found.tolist() == want.tolist()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WebP", "TIFF"])
def test_the_first_line_of_a_picture_is_known(kind: str) -> None:
    file = io.BytesIO()
    drawn(CONTEST, 4).convert("RGB").save(file, kind)
    file.seek(0)
    assert picture_kind(file.readline()) == kind


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"<svg>\n", "SVG"),
        (b"\xef\xbb\xbf <?xml version='1.0'?>\r\n", "SVG"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (CONTEST.encode() + b"\n", None),
        (b"BMW, 12 digits\n", None),
        (b"\xff\xfe\n", None),
        (b"", None),
    ],
)
def test_the_first_line_of_something_else_is_told_apart(line: bytes, kind: str | None) -> None:
    assert picture_kind(line) == kind


def test_the_contests_picture_gives_the_contests_bitmap() -> None:
    assert format_digits(read_logo(data_file("soundcloud.png"))) == CONTEST


def test_literal_digits_and_files_of_digits(tmp_path: Path) -> None:
    rows = "\n".join(CONTEST[i : i + WIDTH] for i in range(0, WINDOW, WIDTH))
    assert format_digits(read_logo(CONTEST)) == CONTEST
    assert format_digits(read_logo(rows)) == CONTEST
    assert format_digits(read_logo(" ".join(CONTEST) + " " * 300)) == CONTEST
    for encoding in ("ascii", "utf-8-sig", "utf-16"):
        file = tmp_path / f"{encoding} é.png"  # a wrong suffix does not matter
        file.write_bytes((rows + "\r\n").encode(encoding))
        assert format_digits(read_logo(str(file))) == CONTEST


def test_an_existing_path_wins_over_literal_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(CONTEST).write_text("7" * WINDOW)
    assert format_digits(read_logo(CONTEST)) == "7" * WINDOW


def test_invert_of_digits_and_pictures_is_its_own_inverse(tmp_path: Path) -> None:
    inverted = format_digits(read_logo(CONTEST, invert=True))
    assert inverted == "".join(str(9 - int(d)) for d in CONTEST)
    assert format_digits(read_logo(inverted, invert=True)) == CONTEST
    assert format_digits(read_logo(data_file("soundcloud.png"), invert=True)) == inverted


def test_a_white_logo_on_nothing_is_seen_on_black() -> None:
    logo = Image.new("RGBA", (28, 24), (255, 255, 255, 0))
    assert rows_of(logo) == ["0" * 14] * 6
    assert rows_of(logo, invert=True) == ["9" * 14] * 6
    logo.paste((255, 255, 255, 255), (0, 0, 28, 12))
    assert rows_of(logo, fit="stretch") == ["0" * 14] * 3 + ["9" * 14] * 3
    assert rows_of(logo, fit="stretch", invert=True) == ["9" * 14] * 3 + ["0" * 14] * 3
    logo.paste((0, 0, 0, 255), (0, 6, 28, 12))  # something shows on white: it stays white
    assert rows_of(logo, fit="stretch", trim=False) == (
        ["0" * 14, "6" * 14, "9" * 14] + ["0" * 14] * 3
    )


@pytest.mark.parametrize("fit", ["", "PAD", "fill"])
def test_an_unknown_fit_is_a_usage_error(fit: str) -> None:
    with pytest.raises(UsageError, match=f"fit is '{fit}'; choose one of pad, crop, stretch"):
        read_logo(CONTEST, fit=fit)
    with pytest.raises(UsageError):
        bitmap_from_image(Image.new("L", (3, 3)), fit=fit)


def test_the_picture_given_is_left_as_it_is() -> None:
    image = drawn(CONTEST, 3).convert("RGBA")
    before = image.tobytes()
    assert format_digits(bitmap_from_image(image)) == CONTEST
    assert image.tobytes() == before


def test_a_border_is_cut_and_the_logo_centred() -> None:
    # 100×50 page, a 28×12 box off centre: cut out it fills the frame exactly.
    page = ink(100, 50, (60, 5, 88, 17))
    page.putpixel((60, 5), 40)
    assert rows_of(page) == ["9" * WIDTH] * 6
    tall = ink(100, 50, (60, 5, 66, 17))  # 6×12: three of fourteen columns, centred on 5.5 … 8.5
    assert rows_of(tall) == ["00000699600000"] * 6


def test_an_untrimmed_page_keeps_its_margins() -> None:
    page = ink(101, 60, (0, 0, 101, 30))  # two white corners and two black ones: no border
    assert rows_of(page, fit="stretch") == ["9" * 14] * 3 + ["0" * 14] * 3
    centred = ink(141, 60, (0, 20, 141, 40))
    assert (
        rows_of(centred, trim=False, fit="stretch")
        == ["0" * 14] * 2 + ["9" * 14] * 2 + ["0" * 14] * 2
    )


def test_padding_takes_the_borders_grey_and_white_where_there_is_none() -> None:
    dark = ink(30, 30, (10, 10, 20, 20), page=51)
    dark.paste(255, (10, 10, 20, 20))
    assert rows_of(dark) == ["88880000008888"] * 6
    halves = ink(12, 12, (0, 0, 6, 12))
    assert rows_of(halves) == ["00009990000000"] * 6


def test_fit_crop_fills_the_frame_from_the_middle() -> None:
    # 14×14: the middle six rows remain. They are black, the rest is white.
    image = ink(14, 14, (0, 4, 14, 10))
    assert rows_of(image, trim=False, fit="crop") == ["9" * 14] * 6
    assert rows_of(image, trim=False, fit="pad") != ["9" * 14] * 6


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (3, 2), (14, 6), (200, 7)])
@pytest.mark.parametrize("digit", [0, 4, 9])
def test_a_flat_picture_of_any_shape_is_flat(size: tuple[int, int], fit: str, digit: int) -> None:
    flat = Image.new("L", size, GREYS[digit])
    assert rows_of(flat, fit=fit) == [str(digit) * 14] * 6


def test_jpeg_noise_is_border_and_the_lightest_ink_is_not() -> None:
    page = np.full((60, 100), 255, np.uint8)
    page[::7, ::5] = 248
    page[20:32, 30:58] = 240
    assert rows_of(Image.fromarray(page)) == ["1" * 14] * 6


@given(BITMAPS, st.integers(1, 9))
def test_a_bitmap_drawn_at_any_size_is_read_back(digits: str, k: int) -> None:
    assert format_digits(bitmap_from_image(drawn(digits, k))) == digits
    assert format_digits(bitmap_from_image(drawn(digits, k).convert("RGB"), fit="crop")) == digits


@given(st.text("0123456789", min_size=48, max_size=48), st.integers(1, 9))
def test_a_white_margin_inside_the_frame_belongs_to_the_bitmap(inner: str, k: int) -> None:
    rows = ["0" * 14, *(f"0{inner[i : i + 12]}0" for i in range(0, 48, 12)), "0" * 14]
    for fit in ("pad", "crop", "stretch"):
        assert rows_of(drawn("".join(rows), k), fit=fit) == rows


@pytest.mark.parametrize("offset", range(3))
def test_one_pixel_off_a_drawn_bitmap_is_an_ordinary_picture(offset: int) -> None:
    image = drawn(CONTEST, 8)
    image.putpixel((0, offset), 200)
    assert format_digits(bitmap_from_image(image, trim=False)) == CONTEST
    assert format_digits(bitmap_from_image(drawn(CONTEST, 8).crop((0, 0, 111, 48)))) != CONTEST


def refusal(logo: str | Path) -> str:
    with pytest.raises(LogoError) as caught:
        read_logo(logo)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_neither_file_nor_digits_says_that_both_were_tried() -> None:
    assert refusal("no.pngg") == "no.pngg: there is no such file, and it is not 84 digits either"
    assert refusal("IMG20240101120000.png").startswith("IMG20240101120000.png: there is no such")
    slip = CONTEST[:40] + "o" + CONTEST[41:]
    assert "neither a file that exists nor 84 digits: found 'o' at character 41" in refusal(slip)
    assert refusal("314").endswith("84 digits: found 3 digits; 84 are needed, 6 rows of 14")
    assert refusal("").startswith("'' is neither a file")
    assert refusal(Path(CONTEST)).startswith(f"{CONTEST} does not exist")
    assert refusal("a\0b\nc").startswith(r"a\x00b\nc: there is no such file")
    assert "cannot be read (File name too long)" in refusal("x" * 4000)
    assert len(refusal("x" * 4000)) < 300


def test_names_are_shown_on_one_line() -> None:
    assert shown("a\nb\x1b[2J\udcff") == r"a\nb\x1b[2J\udcff"
    assert shown("é ß") == "é ß"
    assert len(shown("\n" * 5000)) == 100


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; a logo is a picture (PNG,"),
        (b"hello", "is neither a picture (PNG, JPEG, GIF, BMP, WebP, TIFF, SVG) nor a text of 84"),
        (b"1" * 83, "nor a text of 84 digits: found 83 digits"),
        (b"\x00\x01\xff", "nor text: byte 3 is 0xff"),
        (b"\x1f\x8b\x08abc", "is compressed (gzip, .svgz); unpack it first"),
        (b"RIFF\0\0\0\0WAVEfmt ", "is neither a picture"),
        (b"%PDF-1.7 1", "found '%' at character 1"),
        (b"1" * 2_000_001, "is more than 2,000,000 bytes and no PNG"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = tmp_path / "logo.png"
    file.write_bytes(content)
    message = refusal(file)
    assert message.startswith(str(file) if len(str(file)) <= 100 else "/")
    assert sentence in message


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    with file.open("wb") as opened:
        opened.truncate(64_000_001)
    assert "is 64,000,001 bytes; 64,000,000 are allowed" in refusal(file)


def test_what_is_no_ordinary_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "a device, pipe or socket" in refusal(tmp_path / "pipe.png")
    assert "is a directory; a logo is an ordinary file" in refusal(tmp_path)
    assert "/dev/zero is a device" in refusal("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        relative = os.path.relpath(tmp_path / "s")  # a socket's path may have 107 bytes
        server.bind(min(relative, str(tmp_path / "s"), key=len))
        assert "a device, pipe or socket" in refusal(tmp_path / "s")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be read (Too many levels of symbolic links)" in refusal(tmp_path / "loop")


def test_a_file_that_becomes_a_pipe_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    plain = data_file("soundcloud.png").stat()
    monkeypatch.setattr(bitmap_module.os, "stat", lambda _path: plain)
    assert "a device, pipe or socket" in refusal(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_no_permission_is_said(tmp_path: Path) -> None:
    file = tmp_path / "secret.png"
    file.write_text(CONTEST)
    file.chmod(0)
    assert "cannot be read (Permission denied)" in refusal(file)


def test_a_failing_open_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret.png"
    file.write_text(CONTEST)

    def denied(*_arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(bitmap_module.os, "open", denied)
    assert "secret.png cannot be read (Permission denied); name a readable file" in refusal(file)


@given(st.text(string.digits + string.whitespace + "aé-", max_size=200))
def test_any_text_gives_digits_or_one_line(text: str) -> None:
    kept = "".join(text.split())
    if len(kept) == WINDOW and kept.isdecimal():
        assert format_digits(parse_digits(text)) == kept
        return
    with pytest.raises(LogoError) as caught:
        parse_digits(text)
    assert "\n" not in str(caught.value)
