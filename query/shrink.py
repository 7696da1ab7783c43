"""From a plane of greys to 6×14 digits: trim, fit, average by area, take the nearest shade.

A plane is uint8[height, width], 0 black … 255 white, upright. Nothing here knows about files.
"""

import numpy as np
import numpy.typing as npt

from indexer.window import HEIGHT, WIDTH
from query.palette import GREYS

FITS = ("pad", "crop", "stretch")

# A pixel this far from the border's grey still belongs to the border: JPEG noise on a white page
# stays within it, the palette's lightest ink on white (15 levels) does not.
BORDER_TOLERANCE = 8
_STRIP_PIXELS = 1 << 19

Plane = npt.NDArray[np.uint8]
Means = npt.NDArray[np.float64]


def digits_of_plane(plane: Plane, fit: str, trim: bool) -> npt.NDArray[np.uint8]:
    """uint8[6, 14] digits of a plane, padded with white where it has no border.

    A plane of 14k×6k pixels whose k×k blocks are each of one grey is a bitmap drawn large: its
    blocks are the pixels, and neither trim nor fit touches them. Otherwise a logo with a white
    margin inside its own frame, as SoundCloud's has, would come back as another picture.
    """
    blocks = blocks_of(plane)
    if blocks is not None:
        return nearest_digits(blocks.astype(np.float64))
    border = border_grey(plane)
    if trim and border is not None:
        plane = trimmed(plane, border)
    return nearest_digits(area_means(plane, fit, 255 if border is None else border))


def blocks_of(plane: Plane) -> Plane | None:
    """uint8[6, 14] where the plane is exactly such a bitmap enlarged k times, k ≥ 1; else None."""
    height, width = plane.shape
    k = height // HEIGHT
    if k == 0 or (height, width) != (k * HEIGHT, k * WIDTH):
        return None
    blocks = plane.reshape(HEIGHT, k, WIDTH, k)
    lightest: Plane = blocks.max(axis=(1, 3))
    return lightest if np.array_equal(lightest, blocks.min(axis=(1, 3))) else None


def border_grey(plane: Plane) -> int | None:
    """The middle one of the greys that at least three corners share within the tolerance, or None.

    Three, because a logo often runs into one corner; the middle, because one corner may be noise.
    """
    corners = [int(plane[y, x]) for y in (0, -1) for x in (0, -1)]
    for grey in corners[:2]:
        alike = sorted(other for other in corners if abs(grey - other) <= BORDER_TOLERANCE)
        if len(alike) >= 3:
            return alike[len(alike) // 2]
    return None


def trimmed(plane: Plane, border: int) -> Plane:
    """The part of the plane inside its border; all of it where nothing else is there. O(pixels)."""
    rows = _inked(plane, border, 1)
    columns = _inked(plane, border, 0)
    if rows.size == 0:
        return plane
    return plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _inked(plane: Plane, border: int, axis: int) -> npt.NDArray[np.intp]:
    """Rows (axis 1) or columns (axis 0) with a pixel outside the border's tolerance."""
    too_light = plane.max(axis=axis) > border + BORDER_TOLERANCE
    too_dark = plane.min(axis=axis) < border - BORDER_TOLERANCE
    return np.flatnonzero(too_light | too_dark)


def area_means(plane: Plane, fit: str, around: int) -> Means:
    """float64[6, 14]: the mean grey of the area that each pixel of the frame covers.

    The frame is laid over the plane in the plane's own coordinates: all of it (stretch), the
    largest centred 14:6 part (crop), or the smallest centred 14:6 rectangle around it (pad), where
    what lies outside is `around`. A frame pixel weighs each plane pixel by the area they share, so
    nothing depends on whole ratios, and enlarging works the same way. O(pixels).

    >>> area_means(np.zeros((6, 7), np.uint8), "pad", 200)[0, 2:5].tolist()
    [200.0, 100.0, 0.0]
    """
    height, width = plane.shape
    spans = {
        "stretch": (float(height), float(width)),
        "crop": (min(height, width * HEIGHT / WIDTH), min(width, height * WIDTH / HEIGHT)),
        "pad": (max(height, width * HEIGHT / WIDTH), max(width, height * WIDTH / HEIGHT)),
    }
    row_weights = _shares(height, HEIGHT, spans[fit][0])
    column_weights = _shares(width, WIDTH, spans[fit][1])
    covered = np.outer(row_weights.sum(axis=1), column_weights.sum(axis=1))
    means = (1.0 - covered) * around
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        strip = plane[top : top + step].astype(np.float64) @ column_weights.T
        means += row_weights[:, top : top + step] @ strip
    return means


def _shares(length: int, cells: int, span: float) -> Means:
    """float64[cells, length]: how much of each cell a pixel fills, span centred on the pixels."""
    begin = (length - span) / 2
    edges = begin + span * np.arange(cells + 1) / cells
    pixels = np.arange(length)
    overlap = np.minimum(pixels + 1, edges[1:, None]) - np.maximum(pixels, edges[:-1, None])
    shares: Means = np.clip(overlap, 0.0, None) * (cells / span)
    return shares


def nearest_digits(greys: Means) -> npt.NDArray[np.uint8]:
    """uint8 digits of the nearest shades; of two equally near (109, 67) the lighter."""
    # The sums of area_means carry rounding errors of 1e-12: they must not decide a tie.
    levels = np.round(greys, 6)[..., None]
    digits: npt.NDArray[np.uint8] = (
        np.abs(levels - np.array(GREYS)).argmin(axis=-1).astype(np.uint8)
    )
    return digits
