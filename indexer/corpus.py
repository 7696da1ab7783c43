"""The logos to learn from, the logos kept apart, and the prior for pictures that are neither.

data/logos.npz holds 4,312 logos as bitmaps. A quarter of them is held out: the projection and the
codebooks never see them, and `pilogo verify` asks for them.
"""

import zlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from indexer.packaged import data_file
from indexer.window import HEIGHT, SHADES, WIDTH, WINDOW

_HELD_OUT = 4  # one in so many
# A logo held out that is this near (l1) to one that is learned from is no test: under half a shade
# a pixel. Sets of logos share marks.
_TOO_NEAR = WINDOW // 2


@cache
def _logos() -> NDArray[np.uint8]:
    """Every different bitmap of the corpus: uint8[m, 84], in the order of the file."""
    with np.load(data_file("logos.npz"), allow_pickle=False) as archive:
        bitmaps: NDArray[np.uint8] = archive["bitmaps"].reshape(-1, WINDOW)
    _, first = np.unique(bitmaps, axis=0, return_index=True)
    return bitmaps[np.sort(first)]


def _held_out() -> NDArray[np.bool_]:
    """Which logos are kept apart, by a hash of the picture: the choice outlives additions."""
    return np.array([zlib.crc32(logo.tobytes()) % _HELD_OUT == 0 for logo in _logos()])


def training_logos() -> NDArray[np.uint8]:
    """The logos to learn from: uint8[k, 84]."""
    return _logos()[~_held_out()]


@cache
def all_held_out_logos() -> NDArray[np.uint8]:
    """Logos that nothing was learned from: uint8[k, 84], in a mixed order."""
    kept = list(_logos()[_held_out()])
    kept.sort(key=lambda logo: zlib.crc32(logo.tobytes()[::-1]))
    return np.array(kept)


@cache
def held_out_logos() -> NDArray[np.uint8]:
    """Logos that nothing was learned from, nor from a near copy: uint8[k, 84], in that order.

    Harder than the others: what has no like is rarely simple.
    """
    learned = training_logos().astype(np.int16)
    return np.array(
        [
            logo
            for logo in all_held_out_logos()
            if np.abs(learned - logo).sum(axis=1).min() > _TOO_NEAR
        ]
    )


def smooth_pictures(count: int, seed: int) -> NDArray[np.uint8]:
    """The prior: pictures without fine detail, uint8[count, 84].

    Sums of cosines (the 2-D DCT's) with random amplitudes that fall with the square of the
    frequency, shifted and stretched at random and cut to the ten shades.
    """
    random = np.random.default_rng(seed)
    y, x = np.arange(HEIGHT) + 0.5, np.arange(WIDTH) + 0.5
    down = np.cos(np.pi * np.outer(np.arange(HEIGHT), y) / HEIGHT)
    across = np.cos(np.pi * np.outer(np.arange(WIDTH), x) / WIDTH)
    # frequencies in half waves a pixel, so that both axes mean the same
    frequency = np.hypot(np.arange(HEIGHT)[:, None] / HEIGHT, np.arange(WIDTH) / WIDTH)
    amplitudes = random.standard_normal((count, HEIGHT, WIDTH)) / (1 + (4 * frequency) ** 2)
    pictures = np.einsum("nuv,uy,vx->nyx", amplitudes, down, across).reshape(count, WINDOW)
    pictures -= pictures.mean(axis=1, keepdims=True)
    pictures /= pictures.std(axis=1, keepdims=True) + 1e-9
    stretch, shift = random.uniform(1, 4, (count, 1)), random.uniform(-3, 3, (count, 1))
    levels = np.rint((SHADES - 1) / 2 + shift + stretch * pictures)
    shades: NDArray[np.uint8] = np.clip(levels, 0, SHADES - 1).astype(np.uint8)
    return shades
