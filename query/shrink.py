"""From a plane of greys to 6×14 digits: trim, fit, average by area, take the nearest shade.

A plane is uint8[height, width], 0 black … 255 white, upright. Nothing here knows about files.
"""

import numpy as np
import numpy.typing as npt

from indexer.window import HEIGHT, WIDTH
from query.palette import GREYS

FITS = ("pad", "crop", "stretch")

# A pixel this far from the border's grey still belongs to the border: the noise of scans and of
# fine JPEG stays within it, the palette's lightest ink on white (15 levels) does not.
BORDER_TOLERANCE = 8
# JPEG and lossy WebP ring around ink: at qualities 50 to 95 a ring of black, orange or blue left
# noise up to 10 pixels away. What reached a third of the strongest contrast was never more than
# one pixel outside of the ink (a quarter: two).
RINGING_REACH = 12
_RINGING_SHARE = 3
_STRIP_PIXELS = 1 << 19

Plane = npt.NDArray[np.uint8]
Means = npt.NDArray[np.float64]


def digits_of_plane(
    plane: Plane, fit: str, trim: bool, *, lossy: bool = False
) -> npt.NDArray[np.uint8]:
    """uint8[6, 14] digits of a plane, padded with white where it has no border.

    `lossy`: it comes from a format that leaves noise around ink; see trimmed.

    A plane of 14k×6k pixels whose k×k blocks are each of one grey is a bitmap drawn large: its
    blocks are the pixels, and neither trim nor fit touches them. Otherwise a logo with a white
    margin inside its own frame, as SoundCloud's has, would come back as another picture.
    """
    blocks = blocks_of(plane)
    if blocks is not None:
        return nearest_digits(blocks.astype(np.float64))
    border = border_grey(plane)
    if trim and border is not None:
        plane = trimmed(plane, border, lossy=lossy)
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


def trimmed(plane: Plane, border: int, *, lossy: bool = False) -> Plane:
    """The part of the plane inside its border; all of it where nothing else is there. O(pixels).

    A pixel beyond the border's tolerance is ink. In a lossy plane, on each side, faint pixels no
    further than RINGING_REACH from strong ones (a third of the plane's contrast) are noise, and
    the strong ones are the edge; faint ink that goes on further is ink to its end.
    """
    rows, columns = _deviations(plane, border, 1), _deviations(plane, border, 0)
    contrast = int(rows.max())
    if contrast <= BORDER_TOLERANCE:
        return plane
    strong = max(BORDER_TOLERANCE, contrast // _RINGING_SHARE) if lossy else BORDER_TOLERANCE
    return plane[_inked(rows, strong), _inked(columns, strong)]


def _deviations(plane: Plane, border: int, axis: int) -> npt.NDArray[np.int64]:
    """int64[rows] (axis 1) or [columns] (axis 0): how far their farthest pixel is from border."""
    lighter = plane.max(axis=axis).astype(np.int64) - border
    darker = border - plane.min(axis=axis).astype(np.int64)
    deviations: npt.NDArray[np.int64] = np.maximum(lighter, darker)
    return deviations


def _inked(deviations: npt.NDArray[np.int64], strong: int) -> slice:
    """From the first to the last line of ink, but for ringing beside what exceeds `strong`.

    At least one line exceeds `strong`.
    """
    faint = np.flatnonzero(deviations > BORDER_TOLERANCE)
    sure = np.flatnonzero(deviations > strong)
    first = sure[0] if sure[0] - faint[0] <= RINGING_REACH else faint[0]
    last = sure[-1] if faint[-1] - sure[-1] <= RINGING_REACH else faint[-1]
    return slice(int(first), int(last) + 1)


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
