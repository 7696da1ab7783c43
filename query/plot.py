"""The odds of a picture as a plot: the closest distance to expect against the decimals searched.

The main panel is what computers have reached or may reach; the small one goes on to the exact
picture, to scale. `lay_out_plot` has the axes, so that a test or a page can ask where a value is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from query.answer import Odds
from query.lettering import INK, PAPER, SOFT, Colour, Pen, draw_text, ellipsise, measure
from query.wording import format_distance, format_power, title_of

PLOT_WIDTH = 1200
PLOT_HEIGHT = 750
_OVERSAMPLE = 3  # drawn this much larger, then averaged: Pillow's lines have no soft edges

GRID: Colour = (228, 224, 217)
BEST: Colour = (194, 62, 0)  # 5.0 : 1 on PAPER; TENTH 5.2 : 1
TENTH: Colour = (92, 107, 122)
REACHED: Colour = (253, 226, 208)

_LEFT, _TOP, _RIGHT, _BOTTOM = 128, 150, 1064, 660
# The small panel stands in the upper right: the curves fall from the upper left, and are hollow.
_INSET = (742, 186, 1040, 396)  # left, top, right, bottom of the small panel's axes
_LABEL = 22


@dataclass(frozen=True)
class Axes:
    """One panel: a box on the picture, and the values at its edges (x in log10 of decimals)."""

    left: float
    top: float
    right: float
    bottom: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a value is, in pixels of the finished picture."""
        x_share = (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        y_share = (y - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return (
            self.left + x_share * (self.right - self.left),
            self.bottom - y_share * (self.bottom - self.top),
        )


@dataclass(frozen=True)
class PlotLayout:
    """The two panels; whole is None where the exact picture is not beyond the main panel."""

    main: Axes
    whole: Axes | None


def lay_out_plot(odds: Odds) -> PlotLayout:
    """The axes for these odds: round numbers at the edges, never an empty range."""
    exponents = [math.log10(row.digits) for row in odds.rows] or [6.0, 15.0]
    distances = [value for row in odds.rows for value in (row.best, row.tenth)] or [0.0]
    x_range = (
        math.floor(min(exponents)),
        max(math.ceil(max(exponents)), math.floor(min(exponents)) + 1),
    )
    y_range = _round_range(min(distances), max(distances))
    main = Axes(_LEFT, _TOP, _RIGHT, _BOTTOM, x_range, y_range)
    needed = [row.log10_digits for row in odds.needed]
    if not needed or max(needed) <= x_range[1]:
        return PlotLayout(main, None)
    far = math.ceil(max(needed) / 10) * 10
    least = min(row.distance for row in odds.needed)  # 0, but below it where costs are negative
    most = max(*(row.distance for row in odds.needed), y_range[1])
    whole_range = (least, most if most > least else least + 1.0)
    return PlotLayout(main, Axes(*_INSET, (0.0, float(far)), whole_range))


def draw_odds(odds: Odds) -> Image.Image:
    """The plot as an RGB image of 1200 by 750 pixels.

    Raises RuntimeError where Pillow has no scalable type (see lettering.font).
    """
    layout = lay_out_plot(odds)
    canvas = Canvas()
    room = PLOT_WIDTH - 2 * 40
    title = ellipsise(f"How close the decimals come to {title_of(odds.logo)}", 36, room)
    canvas.text((40, 62), title, Pen(36, INK))
    said = f"expected distance of the closest windows, metric {odds.metric}"
    canvas.text((40, 100), ellipsise(said, _LABEL, room), Pen(_LABEL, SOFT))
    _draw_grid(canvas, layout.main)
    if layout.whole is not None:
        _draw_whole(canvas, layout.whole, layout.main, odds)
    tenth = [(math.log10(row.digits), row.tenth) for row in odds.rows]
    best = [(math.log10(row.digits), row.best) for row in odds.rows]
    _draw_curve(canvas, layout.main, tenth, TENTH)
    _draw_curve(canvas, layout.main, best, BEST)
    if odds.rows:
        _label_curves(canvas, layout.main, best[-1], tenth[-1])
    canvas.text(((_LEFT + _RIGHT) / 2, 728), "decimals searched", Pen(_LABEL, SOFT, "middle"))
    return canvas.finish()


class Canvas:
    """Draws in the finished picture's pixels on an image _OVERSAMPLE times as large."""

    def __init__(self) -> None:
        size = (PLOT_WIDTH * _OVERSAMPLE, PLOT_HEIGHT * _OVERSAMPLE)
        self._image = Image.new("RGB", size, PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float) -> None:
        """A line through points."""
        scaled = [(x * _OVERSAMPLE, y * _OVERSAMPLE) for x, y in points]
        self._draw.line(scaled, fill=colour, width=round(width * _OVERSAMPLE), joint="curve")

    def dot(self, at: tuple[float, float], colour: Colour, radius: float) -> None:
        """A filled circle."""
        x, y, r = (value * _OVERSAMPLE for value in (*at, radius))
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def area(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon([(x * _OVERSAMPLE, y * _OVERSAMPLE) for x, y in points], fill=colour)

    def box(self, corners: tuple[float, float, float, float], colour: Colour) -> None:
        """A filled rectangle: left, top, right, bottom."""
        self._draw.rectangle([value * _OVERSAMPLE for value in corners], fill=colour)

    def text(self, at: tuple[float, float], text: str, pen: Pen) -> None:
        """One line of text at a point of its baseline."""
        scaled = (at[0] * _OVERSAMPLE, at[1] * _OVERSAMPLE)
        draw_text(self._draw, scaled, text, pen._replace(size=pen.size * _OVERSAMPLE))

    def finish(self) -> Image.Image:
        """The finished picture."""
        return self._image.resize((PLOT_WIDTH, PLOT_HEIGHT), Image.Resampling.LANCZOS)


def _tick_step(span: float) -> float:
    """A round step (1, 2 or 5 times a power of ten) that cuts a span into about six."""
    if span <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(span / 6))
    least = span / 6 * (1 - 1e-9)  # a span of 0.0012 is cut by 0.0002, whatever the rounding
    return next(float(m * power) for m in (1, 2, 5, 10) if m * power >= least)


def _round_range(least: float, most: float) -> tuple[float, float]:
    """The range around two values whose ends are ticks of that range itself, never empty."""
    low, high, step = least, most, 1.0
    for _ in range(3):  # rounding outwards may ask for a coarser step, which rounds once more
        step = _tick_step(high - low)
        low, high = math.floor(least / step) * step, math.ceil(most / step) * step
    return low, high if high > low else low + step


def _draw_grid(canvas: Canvas, axes: Axes) -> None:
    """Light lines at round distances and at every power of ten, labelled at the edges."""
    low, high = axes.y_range
    step = _tick_step(high - low)
    for index in range(round((high - low) / step) + 1):
        value = low + index * step
        y = axes.place(axes.x_range[0], value)[1]
        canvas.line([(axes.left, y), (axes.right, y)], GRID, 1)
        canvas.text((axes.left - 14, y + 7), _figure(value, 20, 104), Pen(20, SOFT, "right"))
    first, last = round(axes.x_range[0]), round(axes.x_range[1])
    for exponent in range(first, last + 1, (last - first) // 12 + 1):
        x = axes.place(exponent, low)[0]
        canvas.line([(x, axes.bottom), (x, axes.bottom + 7)], SOFT, 1)
        canvas.text((x, axes.bottom + 34), format_power(exponent), Pen(20, SOFT, "middle"))
    canvas.line([(axes.left, axes.bottom), (axes.right, axes.bottom)], SOFT, 1)


def _figure(distance: float, size: int, width: float) -> str:
    """A distance beside an axis; one too wide for its place to some figures, "-1.23e+08"."""
    text = format_distance(distance)
    if measure(text, size) <= width:
        return text
    shorter = (f"{distance:,.{figures}g}" for figures in (4, 3))
    return next((s for s in shorter if measure(s, size) <= width), f"{distance:.2g}")


def _draw_curve(
    canvas: Canvas, axes: Axes, values: Sequence[tuple[float, float]], colour: Colour
) -> None:
    points = [axes.place(x, y) for x, y in values]
    if len(points) > 1:
        canvas.line(points, colour, 3)
    for point in points:
        canvas.dot(point, colour, 5)


def _label_curves(
    canvas: Canvas, axes: Axes, best: tuple[float, float], tenth: tuple[float, float]
) -> None:
    """The names of the curves at their right ends, moved apart where they would touch."""
    best_at, tenth_at = axes.place(*best), axes.place(*tenth)
    apart = max(0.0, 28 - (best_at[1] - tenth_at[1])) / 2
    low = min(best_at[1] + apart, axes.bottom - 14)  # clear of the figures under the axis
    high = min(tenth_at[1] - apart, low - 28)
    for name, x, y, colour in (
        ("best", best_at[0], low, BEST),
        ("tenth best", tenth_at[0], high, TENTH),
    ):
        canvas.text((x + 16, y + 7), name, Pen(_LABEL, colour))


def _draw_whole(canvas: Canvas, axes: Axes, main: Axes, odds: Odds) -> None:
    """The small panel: the same question on to the exact picture, with the main panel shaded."""
    least = _figure(axes.y_range[0], 16, 56)
    beside = max(64, measure(least, 16) + 16)
    canvas.box((axes.left - beside, axes.top - 44, axes.right + 24, axes.bottom + 56), PAPER)
    seen_left, seen_right = (axes.place(x, 0)[0] for x in main.x_range)
    canvas.box((seen_left, axes.top, seen_right, axes.bottom), REACHED)
    canvas.line([(axes.left, axes.top), (axes.left, axes.bottom)], SOFT, 1)
    canvas.line([(axes.left, axes.bottom), (axes.right, axes.bottom)], SOFT, 1)
    for exponent in range(0, round(axes.x_range[1]) + 1, 20):
        x = axes.place(exponent, 0)[0]
        canvas.line([(x, axes.bottom), (x, axes.bottom + 5)], SOFT, 1)
        canvas.text((x, axes.bottom + 26), format_power(exponent), Pen(16, SOFT, "middle"))
    values = sorted((row.log10_digits, row.distance) for row in odds.needed)
    points = [axes.place(x, y) for x, y in values if x >= 0]
    canvas.line(points, BEST, 2)
    exact = odds.needed[0]
    canvas.dot(axes.place(exact.log10_digits, exact.distance), BEST, 5)
    canvas.text((axes.left - 10, axes.bottom + 6), least, Pen(16, SOFT, "right"))
    # The curve is hollow, so the panel's upper right is free.
    canvas.text((axes.right, axes.top + 20), "the exact picture", Pen(18, INK, "right"))
    needs = f"needs about {format_power(round(exact.log10_digits))} decimals"
    canvas.text((axes.right, axes.top + 45), needs, Pen(18, INK, "right"))
    canvas.text((axes.left, axes.bottom + 50), "shaded: the large plot", Pen(16, SOFT))
