"""Labels beside what they name: each takes the place where it hides least.

    placer = Placer(axes, [curve, ...])        # points in the units of the axes
    placer.put("FAISS", [(12.0, 0.4), ...], SIDES, colour="#0072b2")

A label is tried at every point it may name, on every side; what it would cover is counted: points
along the curves, labels that are there, and the edge of the axes. O(points · sides · obstacles).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

Points = Sequence[tuple[float, float]]

# Points along a curve between two of its own, so that a line is an obstacle too.
_STEPS = 24
_MARGIN = 6.0  # pixels around a label that should be free


class Side(NamedTuple):
    """Where a label stands beside a point: offset in printer's points, and alignment."""

    right: float
    up: float
    horizontal: str
    vertical: str


SIDES = (
    Side(11, -9, "left", "top"),
    Side(-11, 9, "right", "bottom"),
    Side(13, 0, "left", "center"),
    Side(-13, 0, "right", "center"),
    Side(11, 9, "left", "bottom"),
    Side(-11, -9, "right", "top"),
    Side(0, 11, "center", "bottom"),
    Side(0, -11, "center", "top"),
)
ABOVE_OR_BELOW = (
    Side(0, 10, "center", "bottom"),
    Side(-6, 10, "right", "bottom"),
    Side(6, 10, "left", "bottom"),
    Side(0, -11, "center", "top"),
    Side(-6, -11, "right", "top"),
    Side(6, -11, "left", "top"),
)


class Placer:
    """Puts labels into axes whose limits and scales are final."""

    def __init__(self, axes: "Axes", curves: Sequence[Points]) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415

        self._axes = axes
        self._renderer = FigureCanvasAgg(axes.get_figure()).get_renderer()
        self._edge = axes.get_window_extent(self._renderer)
        self._labels: list[Bbox] = []
        filled = [self._along(curve) for curve in curves if curve]
        self._obstacles = np.concatenate(filled) if filled else np.empty((0, 2))

    def put(self, text: str, points: Points, sides: Sequence[Side], **style: Any) -> None:
        """Write a label where it hides least; the first of equal places, in the order given."""
        best: tuple[float, Annotation, Bbox] | None = None
        for point in points:
            for side in sides:
                label = self._axes.annotate(
                    text, point, (side.right, side.up), textcoords="offset points",
                    ha=side.horizontal, va=side.vertical, zorder=7, **style,
                )  # fmt: skip
                box = label.get_window_extent(self._renderer).padded(_MARGIN)
                hidden = self._hidden(box)
                if best is not None and hidden >= best[0]:
                    label.remove()
                    continue
                if best is not None:
                    best[1].remove()
                best = hidden, label, box
        if best is not None:
            self._labels.append(best[2])

    def _hidden(self, box: "Bbox") -> float:
        """What a box would cover, in points of curves: labels and the edge weigh more."""
        x, y = self._obstacles[:, 0], self._obstacles[:, 1]
        on_curves = ((x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)).sum()
        outside = box.width * box.height - _overlap(box, self._edge)
        covered = sum(_overlap(box, other) for other in self._labels)
        return float(on_curves) + 0.05 * (outside + covered)

    def _along(self, curve: Points) -> NDArray[np.float64]:
        """Pixels along a curve."""
        at = self._axes.transData.transform(np.asarray(curve, dtype=np.float64))
        legs = [np.linspace(a, b, _STEPS) for a, b in pairwise(at)]
        return np.concatenate([at, *legs])


def _overlap(one: "Bbox", other: "Bbox") -> float:
    """The area that two boxes share."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(width, 0.0) * max(height, 0.0)
