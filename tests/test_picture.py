"""query/picture.py: every format and pixel mode read right.

Damaged and hostile pictures are in test_picture_faults.py.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_logos import (
    DIGITS,
    deep,
    frames,
    grey,
    inks,
    plane_of,
    png_rgb16,
    profile,
    saved,
    see_through,
    tiff_12_bit,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from indexer.errors import LogoError
from indexer.window import WINDOW
from query import picture
from query.bitmap import bitmap_from_image, format_digits, read_logo

BITMAPS = st.text("0123456789", min_size=WINDOW, max_size=WINDOW)

READ_RIGHT: dict[str, Callable[[], bytes]] = {
    "png": lambda: saved(grey(), "PNG"),
    "png rgb": lambda: saved(grey().convert("RGB"), "PNG"),
    "png palette": lambda: saved(grey().convert("P"), "PNG"),
    "png palette, white clear": lambda: saved(grey().convert("P"), "PNG", transparency=255),
    "png grey and alpha": lambda: saved(see_through(), "PNG"),
    "png rgba": lambda: saved(see_through().convert("RGBA"), "PNG"),
    "png grey, white clear": lambda: saved(grey(), "PNG", transparency=255),
    "png rgb, white clear": lambda: saved(grey().convert("RGB"), "PNG", transparency=(255,) * 3),
    "png 16 bit": lambda: saved(deep(), "PNG"),
    "png 16 bit, white clear": lambda: saved(deep(), "PNG", transparency=65535),
    "png 16 bit, grey clear": lambda: saved(deep(under=77), "PNG", transparency=77 * 257),
    "png 16 bit rgb": png_rgb16,
    "png 16 bit rgb, white clear": lambda: png_rgb16(65535),
    "png animated": lambda: saved(grey(), "PNG", save_all=True, append_images=frames()),
    "jpeg": lambda: saved(grey(), "JPEG", quality=95),
    "jpeg progressive": lambda: saved(grey(), "JPEG", quality=95, progressive=True),
    "jpeg rgb": lambda: saved(grey().convert("RGB"), "JPEG", quality=95),
    "jpeg cmyk": lambda: saved(inks(), "JPEG", quality=95),
    "jpeg cmyk, broken profile": lambda: saved(inks(), "JPEG", quality=95, icc_profile=b"x" * 200),
    "gif": lambda: saved(grey(), "GIF"),
    "gif animated": lambda: saved(grey(), "GIF", save_all=True, append_images=frames()),
    "gif, white clear": lambda: saved(grey().convert("P"), "GIF", transparency=255),
    "bmp": lambda: saved(grey(), "BMP"),
    "bmp rgb": lambda: saved(grey().convert("RGB"), "BMP"),
    "bmp rgba": lambda: saved(grey().convert("RGBA"), "BMP"),
    "webp": lambda: saved(grey().convert("RGB"), "WEBP", lossless=True),
    "webp rgba": lambda: saved(see_through().convert("RGBA"), "WEBP", lossless=True),
    "tiff": lambda: saved(grey(), "TIFF"),
    "tiff lzw": lambda: saved(grey().convert("RGB"), "TIFF", compression="tiff_lzw"),
    "tiff grey and alpha": lambda: saved(see_through(), "TIFF"),
    "tiff 0 is white": lambda: saved(grey(), "TIFF", tiffinfo={262: 0}),
    "tiff 16 bit": lambda: saved(deep(), "TIFF"),
    "tiff 16 bit, 0 is white": lambda: saved(
        Image.fromarray(65535 - plane_of().astype(np.uint16) * 257), "TIFF", tiffinfo={262: 0}
    ),
    "tiff 12 bit": tiff_12_bit,
    "tiff 32 bit": lambda: saved(Image.fromarray(plane_of().astype(np.int32)), "TIFF"),
    "tiff float 0 to 1": lambda: saved(
        Image.fromarray((plane_of() / 255).astype(np.float32)), "TIFF"
    ),
    "tiff float 0 to 255": lambda: saved(Image.fromarray(plane_of().astype(np.float32)), "TIFF"),
    "tiff cmyk": lambda: saved(inks(), "TIFF"),
    "tiff of two pages": lambda: saved(grey(), "TIFF", save_all=True, append_images=frames()),
}


@pytest.mark.parametrize("case", READ_RIGHT)
@pytest.mark.parametrize("invert", [False, True])
def test_every_format_and_mode_gives_the_digits(case: str, invert: bool, tmp_path: Path) -> None:
    file = tmp_path / "logo"
    file.write_bytes(READ_RIGHT[case]())
    want = DIGITS
    if invert:
        want = "".join(str(9 - int(d)) for d in DIGITS)
    assert format_digits(read_logo(file, invert=invert)) == want


LOSSLESS = ("PNG", "GIF", "BMP", "TIFF", "WEBP")


@given(BITMAPS, st.integers(1, 9), st.sampled_from(LOSSLESS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_bitmap_drawn_in_the_palette_comes_back(
    tmp_path: Path, digits: str, k: int, kind: str
) -> None:
    image = grey(digits, k)
    file = tmp_path / "logo"
    options = {"lossless": True} if kind == "WEBP" else {}
    file.write_bytes(saved(image.convert("RGB") if kind == "WEBP" else image, kind, **options))
    assert format_digits(read_logo(file)) == digits


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", range(9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_once(kind: str, orientation: int, tmp_path: Path) -> None:
    turn = TURNS.get(orientation)
    image = grey() if turn is None else grey().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"exif": exif, "quality": 95, "lossless": True}
    if kind == "TIFF":
        options = {"tiffinfo": {274: orientation or 1}, "compression": "tiff_lzw"}
    file = tmp_path / "logo"
    file.write_bytes(saved(image.convert("RGB"), kind, **options))
    assert format_digits(read_logo(file)) == DIGITS


def test_a_cmyk_picture_is_read_through_its_profile() -> None:
    """Half of an ink that is pale when full is grey 162, digit 5; by itself it is 127, digit 6.

    Full ink stays black: the colour library scales the profile's black to black.
    """
    half = Image.new("CMYK", (14, 6), (0, 0, 0, 128))
    for kind in ("JPEG", "TIFF"):
        with Image.open(io.BytesIO(saved(half, kind, icc_profile=profile(50)))) as image:
            assert format_digits(bitmap_from_image(image)) == "5" * WINDOW
        with Image.open(io.BytesIO(saved(half, kind))) as image:
            assert format_digits(bitmap_from_image(image)) == "6" * WINDOW


def test_every_grey_is_itself_and_colours_are_as_light_as_they_look() -> None:
    levels = np.arange(256, dtype=np.uint8)
    ramp = Image.fromarray(np.repeat(levels[None, :, None], 3, axis=2))
    assert picture.grey_plane(ramp)[0].tolist() == levels.tolist()
    # Worked by hand: 255·encode(0.2126), encode(0.7152), encode(0.0722).
    colours = {"red": 127, "lime": 220, "blue": 76, "white": 255, "black": 0}
    for name, level in colours.items():
        assert picture.grey_plane(Image.new("RGB", (1, 1), name)).tolist() == [[level]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "PA", "LA", "La", "RGB", "RGBA", "RGBa", "RGBX",
                                  "CMYK", "YCbCr", "HSV", "I", "I;16", "F"])  # fmt: skip
def test_every_pixel_mode_is_read_in_strips(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_STRIP_PIXELS", 100)
    half = Image.new("L", (20, 12), 255)
    half.paste(0, (0, 6, 20, 12))
    image = half
    for step in {"PA": ("P", "PA"), "La": ("LA", "La"), "RGBa": ("RGBA", "RGBa"),
                 "HSV": ("RGB", "HSV"), "I;16": ("I", "I;16")}.get(mode, (mode,)):  # fmt: skip
        image = image.convert(step)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(half).astype(np.uint16) * 257)
    assert format_digits(bitmap_from_image(image, fit="stretch")) == "0" * 42 + "9" * 42


def test_a_pixel_mode_without_a_reading_is_named() -> None:
    with pytest.raises(LogoError, match="a picture of pixel mode LAB; grey, RGB, palette and CMYK"):
        bitmap_from_image(Image.new("LAB", (3, 3)))


def test_large_jpegs_are_shrunk_by_the_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    draft = Image.Image.draft
    file = tmp_path / "large.jpg"
    file.write_bytes(saved(grey(k=160), "JPEG"))

    def noted(image: Image.Image, mode: str | None, size: tuple[int, int] | None) -> object:
        asked.append(size)
        return draft(image, mode, size)

    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.draft", noted)
    monkeypatch.setattr(picture, "_LARGE_PIXELS", 1_000_000)
    assert format_digits(read_logo(file)) == DIGITS
    assert asked == [(1400, 600)]
