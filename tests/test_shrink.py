"""query/shrink.py against plain loops: area means, blocks, borders, shades, noise around ink."""

import io
import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from indexer.window import HEIGHT, WIDTH
from query import shrink
from query.bitmap import read_logo
from query.palette import GREYS
from query.picture import grey_plane, is_lossy


def slow_means(plane: np.ndarray, fit: str, around: int) -> np.ndarray:
    """The definition, pixel by pixel, in fractions."""
    height, width = plane.shape
    if fit == "stretch":
        tall, wide = Fraction(height), Fraction(width)
    else:
        choose = max if fit == "pad" else min
        tall = choose(Fraction(height), Fraction(width * HEIGHT, WIDTH))
        wide = choose(Fraction(width), Fraction(height * WIDTH, HEIGHT))
    means = np.zeros((HEIGHT, WIDTH))
    for row in range(HEIGHT):
        top = (height - tall) / 2 + tall * row / HEIGHT
        for column in range(WIDTH):
            left = (width - wide) / 2 + wide * column / WIDTH
            total = covered = Fraction(0)
            for y in range(height):
                for x in range(width):
                    down = min(y + 1, top + tall / HEIGHT) - max(y, top)
                    along = min(x + 1, left + wide / WIDTH) - max(x, left)
                    area = max(down, 0) * max(along, 0)
                    covered += area
                    total += area * int(plane[y, x])
            cell = tall / HEIGHT * wide / WIDTH
            means[row, column] = (total + (cell - covered) * around) / cell
    return means


@pytest.mark.parametrize("fit", shrink.FITS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 5), (6, 14), (13, 9), (5, 20)])
def test_area_means_equal_the_definition(shape: tuple[int, int], fit: str) -> None:
    plane = np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)
    fast = shrink.area_means(plane, fit, 200)
    np.testing.assert_allclose(fast, slow_means(plane, fit, 200), rtol=0, atol=1e-9)


@pytest.mark.parametrize("strip_pixels", [1, 40, 100, 10**6])
def test_strips_do_not_change_the_means(strip_pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plane = np.random.default_rng(5).integers(0, 256, (37, 23), dtype=np.uint8)
    whole = shrink.area_means(plane, "pad", 7)
    monkeypatch.setattr(shrink, "_STRIP_PIXELS", strip_pixels)
    np.testing.assert_allclose(shrink.area_means(plane, "pad", 7), whole, rtol=0, atol=1e-9)


@given(st.floats(0, 255))
def test_the_nearest_shade_is_nearest(grey: float) -> None:
    digit = int(shrink.nearest_digits(np.array([[grey]]))[0, 0])
    assert abs(GREYS[digit] - grey) <= min(abs(shade - grey) for shade in GREYS) + 1e-5


def test_of_two_equally_near_shades_the_lighter_wins_whatever_the_rounding() -> None:
    ties = [(a + b) / 2 for a, b in itertools.pairwise(GREYS)]
    for nudge in (0.0, 1e-9, -1e-9):
        assert shrink.nearest_digits(np.array([ties]) + nudge).tolist() == [list(range(9))]
    assert shrink.nearest_digits(np.array([ties]) - 0.01).tolist() == [list(range(1, 10))]


def test_a_corner_in_ink_leaves_the_border_and_two_take_it() -> None:
    plane = np.full((10, 10), 255, np.uint8)
    plane[0, 0] = 0
    assert shrink.border_grey(plane) == 255
    plane[0, 9] = 0
    assert shrink.border_grey(plane) is None
    plane[9, 0] = 0
    assert shrink.border_grey(plane) == 0


def test_trimming_keeps_a_single_pixel_of_ink() -> None:
    plane = np.full((10, 12), 100, np.uint8)
    assert shrink.trimmed(plane, 100).shape == (10, 12)
    plane[3, 4] = 109
    assert shrink.trimmed(plane, 100).tolist() == [[109]]
    plane[3, 4] = 108
    assert shrink.trimmed(plane, 100).shape == (10, 12)


def test_blocks_are_found_only_where_they_are_exact() -> None:
    small = np.random.default_rng(3).integers(0, 256, (6, 14), dtype=np.uint8)
    large = np.kron(small, np.ones((5, 5), np.uint8))
    found = shrink.blocks_of(large)
    assert found is not None
    assert found.tolist() == small.tolist()
    assert shrink.blocks_of(large[:, :-1]) is None
    assert shrink.blocks_of(large[:5]) is None
    large[29, 69] ^= 1
    assert shrink.blocks_of(large) is None


def page(shape: str, width: int, height: int, ink: str = "black") -> Image.Image:
    """A logo on white, off centre."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    if shape == "ellipse":
        draw.ellipse((width * 0.2, height * 0.15, width * 0.8, height * 0.83), fill=ink)
    elif shape == "ring":
        box = (width * 0.17, height * 0.11, width * 0.77, height * 0.87)
        draw.rectangle(box, outline=ink, width=max(2, width // 20))
    else:
        peak = (width * 0.5, height * 0.13)
        left, right = (width * 0.1, height * 0.8), (width * 0.83, height * 0.8)
        draw.line((*left, *peak, *right, *left), fill=ink, width=max(1, width // 140))
    return image


def stored(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def box_of(data: bytes, *, lossy: bool) -> np.ndarray:
    """Size of what is left after trimming."""
    with Image.open(io.BytesIO(data)) as image:
        plane = grey_plane(image)
    border = shrink.border_grey(plane)
    assert border is not None
    return np.array(shrink.trimmed(plane, border, lossy=lossy).shape)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(140, 60), (700, 300)])
@pytest.mark.parametrize("shape", ["ellipse", "ring", "line"])
@pytest.mark.parametrize("ink", ["black", "#ff5500"])
def test_noise_of_lossy_formats_is_no_ink(shape, size, ink, kind, tmp_path) -> None:
    image, file = page(shape, *size, ink), tmp_path / "logo"
    file.write_bytes(stored(image, "PNG"))
    want = read_logo(file).astype(int)
    box = box_of(file.read_bytes(), lossy=False)
    for quality in (50, 60, 75, 80, 85, 95):
        file.write_bytes(stored(image, kind, quality=quality))
        assert np.abs(read_logo(file) - want).max() <= 1
        # One pixel, or one in a hundred.
        near = np.maximum(1, np.array(size[::-1]) // 100)
        assert (np.abs(box_of(file.read_bytes(), lossy=True) - box) <= near).all()


def test_faint_ink_is_kept_where_it_is_no_noise() -> None:
    plane = np.full((60, 140), 255, np.uint8)
    plane[20:40, 50:90] = 0
    plane[20:40, 90:110] = 240  # 20 columns of the lightest shade beside black
    plane[18:20, 50:90] = 200  # 2 rows of noise
    assert shrink.trimmed(plane, 255, lossy=False).shape == (22, 60)
    assert shrink.trimmed(plane, 255, lossy=True).shape == (20, 60)
    plane[20:40, 50:90] = 240  # no strong ink at all: all of it is ink
    plane[18:20] = 255
    assert shrink.trimmed(plane, 255, lossy=True).shape == (20, 60)


@pytest.mark.parametrize(
    ("kind", "options", "lossy"),
    [
        ("PNG", {}, False),
        ("GIF", {}, False),
        ("JPEG", {}, True),
        ("WEBP", {"quality": 80}, True),
        ("WEBP", {"lossless": True}, False),
        ("WEBP", {"lossless": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0"}, False),
        ("WEBP", {"quality": 80, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0"}, True),
    ],
)
def test_lossy_formats_are_known(kind, options, lossy) -> None:
    assert is_lossy(stored(page("ring", 140, 60), kind, **options)[:4096]) is lossy
