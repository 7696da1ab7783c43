"""A verification as a plot: misses seen against misses expected, with the band that calibrates.

Both axes are logarithmic. Nothing seen has a line of its own under the axes. `lay_out_calibration`
says where each point is, so that a test can ask.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from query.lettering import INK, SOFT, Colour, Pen, ellipsise, measure
from query.plot import BEST, GRID, PLOT_WIDTH, REACHED, TENTH, Axes, Canvas
from query.verify import CONFIDENCE, FACTOR, Row, Verification
from query.wording import symbol_of

_LEFT, _TOP, _RIGHT, _BOTTOM = 128, 172, 1136, 612
_NOTHING_SEEN = 648  # where 0 is on the y axis
# All at least 4.5 : 1 on PAPER.
COLOURS: tuple[Colour, ...] = (BEST, TENTH, (0, 116, 104), (126, 62, 150), (122, 98, 0))
_APART = 14  # pixels between points of one `missed`, where they would lie on each other
_LABEL_WIDTH = 112
_FEWEST, _MOST = 1e-4, 1e6  # what is beyond stands at the edge
_EMPTY = (-2.0, 2.0)
_MARGIN = 0.05  # of a decade, between a point and the edge
_TICKS = 9


@dataclass(frozen=True)
class Point:
    """Where a row is drawn: x, and y of the count seen and of both ends of its interval."""

    row: Row
    colour: Colour
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class CalibrationLayout:
    """The axes (x and y in log10 of misses) and the points, a row of the verification each."""

    axes: Axes
    points: tuple[Point, ...]


def lay_out_calibration(verification: Verification) -> CalibrationLayout:
    """The axes for these rows, whole powers of ten at their edges, and the points.

    Rows that the index answered nothing of have no point. Points of one `missed` that would lie on
    each other stand side by side around where they belong. Less than 0.0001 expected, 0 too, stands
    at the edge.
    """
    rows = [row for row in verification.rows if row.by_index]
    axes = Axes(_LEFT, _TOP, _RIGHT, _BOTTOM, *(_ranges(rows) if rows else (_EMPTY, _EMPTY)))
    metrics = list(dict.fromkeys(row.metric for row in verification.rows))
    points: list[Point] = []
    for missed in dict.fromkeys(row.missed for row in rows):
        group = sorted((r for r in rows if r.missed == missed), key=lambda row: row.expected)
        places = _side_by_side([axes.place(_log(row.expected), 0)[0] for row in group])
        for row, x in zip(group, places, strict=True):
            y, low, high = (_height(axes, value) for value in (row.n_missed, *row.interval))
            colour = COLOURS[metrics.index(row.metric) % len(COLOURS)]
            points.append(Point(row, colour, x, y, low, high))
    return CalibrationLayout(axes, tuple(points))


def draw_calibration(verification: Verification) -> Image.Image:
    """The plot as an RGB image of 1200 by 750 pixels.

    Raises RuntimeError where Pillow has no scalable type (see lettering.font).
    """
    layout = lay_out_calibration(verification)
    canvas = Canvas()
    _draw_title(canvas, verification)
    _draw_band(canvas, layout.axes)
    _draw_grid(canvas, layout.axes)
    for point in layout.points:
        canvas.line([(point.x, point.low), (point.x, point.high)], point.colour, 2)
        for end in {point.low, point.high} - {_BOTTOM, _NOTHING_SEEN}:
            canvas.line([(point.x - 6, end), (point.x + 6, end)], point.colour, 2)
        canvas.dot((point.x, point.y), point.colour, 6)
    _draw_groups(canvas, layout.points)
    _draw_legend(canvas, layout.points)
    return canvas.finish()


def _ranges(rows: Sequence[Row]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ranges of x and y; y has all of x, so that the line where they are equal is whole."""
    expected = [_log(row.expected) for row in rows]
    x_range = _decades([min(expected) - _MARGIN, max(expected) + _MARGIN])
    # the interval of one miss begins at 0.025, and must not flatten everything above it
    lows = [max(row.interval.low, row.n_missed / 10) for row in rows if row.n_missed]
    seen = [_log(value) for value in (*lows, *(row.interval.high for row in rows))]
    return x_range, _decades([*seen, *x_range])


def _log(misses: float) -> float:
    """log10, with 0 and what is out of all proportion at the ends of what is drawn."""
    return math.log10(min(max(misses, _FEWEST), _MOST))


def _decades(exponents: Sequence[float]) -> tuple[float, float]:
    """The whole powers of ten around some: never an empty range."""
    low = math.floor(min(exponents))
    return float(low), float(max(math.ceil(max(exponents)), low + 1))


def _height(axes: Axes, misses: float) -> float:
    """y of a count: 0 has its own line; an interval may begin under the axis, and is cut there."""
    if misses == 0:
        return _NOTHING_SEEN
    return min(axes.place(axes.x_range[0], _log(misses))[1], axes.bottom)


def _side_by_side(places: Sequence[float]) -> list[float]:
    """Ascending places, those closer than _APART spread evenly around their mean.

    Example, 14 apart: 100, 104, 200 become 95, 109, 200.
    """
    heaps: list[list[float]] = []
    for place in places:
        heaps.append([place])
        while len(heaps) > 1 and _spread(heaps[-2])[-1] + _APART > _spread(heaps[-1])[0]:
            last = heaps.pop()
            heaps[-1] += last
    return [place for heap in heaps for place in _spread(heap)]


def _spread(heap: Sequence[float]) -> list[float]:
    """As many places as in the heap, _APART from each other, with the same mean."""
    first = sum(heap) / len(heap) - (len(heap) - 1) / 2 * _APART
    return [first + index * _APART for index in range(len(heap))]


def _draw_title(canvas: Canvas, verification: Verification) -> None:
    top = verification.top
    said = (
        f"{verification.n_logos:,d} held-out logos, the {f'{top:,d} ' if top > 1 else ''}closest "
        f"in the first {verification.digits:,d} decimals of {symbol_of(verification.constant)}"
    )
    drawn = f"bars: {100 * CONFIDENCE:g} % intervals; band: a factor of {FACTOR:g}"
    room = PLOT_WIDTH - 2 * 40
    canvas.text((40, 62), "What the index misses, and what it said it would", Pen(36, INK))
    canvas.text((40, 100), ellipsise(said, 22, room), Pen(22, SOFT))
    canvas.text((40, _TOP - 22), "misses seen", Pen(20, SOFT))
    canvas.text(((_LEFT + _RIGHT) / 2, 728), "misses expected", Pen(20, SOFT, "middle"))
    canvas.text((_RIGHT, 728), drawn, Pen(18, SOFT, "right"))


def _draw_band(canvas: Canvas, axes: Axes) -> None:
    """Where seen is within a factor of FACTOR of expected, and the line where they are equal."""
    reach = math.log10(FACTOR)
    (first, last), (low, high) = axes.x_range, axes.y_range
    # every x at which an edge of the band enters or leaves the axes
    turns = {first, last, *(y + way * reach for y in (low, high) for way in (-1, 1))}
    inside = sorted(x for x in turns if first <= x <= last)
    upper = [axes.place(x, min(max(x + reach, low), high)) for x in inside]
    lower = [axes.place(x, min(max(x - reach, low), high)) for x in inside]
    canvas.area([*upper, *reversed(lower)], REACHED)
    ends = max(first, low), min(last, high)
    canvas.line([axes.place(end, end) for end in ends], SOFT, 1)


def _draw_grid(canvas: Canvas, axes: Axes) -> None:
    """Light lines at powers of ten, labelled at the edges, and the line of nothing seen."""
    for exponent in _ticks(axes.y_range):
        y = axes.place(axes.x_range[0], exponent)[1]
        canvas.line([(axes.left, y), (axes.right, y)], GRID, 1)
        canvas.text((axes.left - 14, y + 7), _tick(exponent), Pen(20, SOFT, "right"))
    for exponent in _ticks(axes.x_range):
        x = axes.place(exponent, axes.y_range[0])[0]
        canvas.line([(x, axes.top), (x, axes.bottom)], GRID, 1)
        canvas.line([(x, _NOTHING_SEEN), (x, _NOTHING_SEEN + 7)], SOFT, 1)
        canvas.text((x, _NOTHING_SEEN + 34), _tick(exponent), Pen(20, SOFT, "middle"))
    canvas.line([(axes.left, _NOTHING_SEEN), (axes.right, _NOTHING_SEEN)], SOFT, 1)
    canvas.text((axes.left - 14, _NOTHING_SEEN + 7), "none", Pen(20, SOFT, "right"))


def _ticks(ends: tuple[float, float]) -> range:
    first, last = round(ends[0]), round(ends[1])
    return range(first, last + 1, (last - first) // _TICKS + 1)


def _tick(exponent: int) -> str:
    return f"{10**exponent:,d}" if exponent >= 0 else f"{10.0**exponent:g}"


def _draw_groups(canvas: Canvas, points: Sequence[Point]) -> None:
    """What was allowed, above the points it was allowed for; left out where it would overlap."""
    taken: list[tuple[float, float]] = []
    for group in _neighbours(points):
        x = sum(point.x for point in group) / len(group)
        x = min(max(x, _LEFT + _LABEL_WIDTH / 2), _RIGHT - _LABEL_WIDTH / 2)
        y = max(min(point.high for point in group) - 14, _TOP + 20)
        if all(abs(x - u) > _LABEL_WIDTH or abs(y - v) > 24 for u, v in taken):
            taken.append((x, y))
            canvas.text((x, y), f"missed {group[0].row.missed:g}", Pen(18, INK, "middle"))


def _neighbours(points: Sequence[Point]) -> list[list[Point]]:
    """Points of one `missed` in stretches without a gap that a label would fit into."""
    groups: list[list[Point]] = []
    for point in points:  # by missed, then x
        last = groups[-1][-1] if groups else None
        near = last and last.row.missed == point.row.missed and point.x - last.x < _LABEL_WIDTH
        if near:
            groups[-1].append(point)
        else:
            groups.append([point])
    return groups


def _draw_legend(canvas: Canvas, points: Sequence[Point]) -> None:
    """The metrics in their colours, in one line above the axes: any place inside can be taken."""
    colours = {point.row.metric: point.colour for point in points}
    right = float(_RIGHT)
    for name in sorted(colours, key=lambda name: COLOURS.index(colours[name]), reverse=True):
        canvas.text((right, _TOP - 22), name, Pen(20, colours[name], "right"))
        right -= measure(name, 20) + 16
        canvas.dot((right, _TOP - 29), colours[name], 6)
        right -= 30
    if not points:
        at = ((_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2)
        canvas.text(at, "the planner preferred a scan every time", Pen(22, INK, "middle"))
