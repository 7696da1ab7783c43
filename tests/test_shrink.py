"""query/shrink.py against plain loops: area means, blocks, borders, shades."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.window import HEIGHT, WIDTH
from query import shrink
from query.palette import GREYS


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
