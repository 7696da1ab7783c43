import math
from dataclasses import replace
from operator import attrgetter

import pytest

from query import plot
from query.answer import NeededRow, Odds, OddsRow
from query.lettering import PAPER, measure
from query.plot import BEST, PLOT_HEIGHT, PLOT_WIDTH, TENTH, draw_odds, lay_out_plot

ROWS = tuple(
    OddsRow(10**k, best, tenth)
    for k, best, tenth in zip(
        range(6, 16),
        (217, 207, 198, 190, 182, 175, 168, 161, 155, 149),
        (228, 217, 207, 198, 190, 182, 175, 168, 161, 155),
        strict=True,
    )
)
NEEDED = (NeededRow(0, 84.0), NeededRow(60, 38.6), NeededRow(120, 20.7), NeededRow(200, 7.7))
ODDS = Odds("logo.png", "0" * 84, "l1", ROWS, NEEDED)


def near(image, place, colour, reach=2):
    """Whether a pixel within reach of a place has nearly this colour."""
    x, y = (round(value) for value in place)
    return any(
        max(abs(a - b) for a, b in zip(image.getpixel((u, v)), colour, strict=True)) < 40
        for u in range(x - reach, x + reach + 1)
        for v in range(y - reach, y + reach + 1)
    )


def test_curves_pass_through_their_points_and_between_them():
    image, axes = draw_odds(ODDS), lay_out_plot(ODDS).main
    assert image.size == (PLOT_WIDTH, PLOT_HEIGHT) == (1200, 750)
    for before, row in zip((None, *ROWS), ROWS, strict=False):
        x = math.log10(row.digits)
        assert near(image, axes.place(x, row.best), BEST)
        assert near(image, axes.place(x, row.tenth), TENTH)
        if before:
            middle = ((before.best + row.best) / 2, (before.tenth + row.tenth) / 2)
            assert near(image, axes.place(x - 0.5, middle[0]), BEST)
            assert near(image, axes.place(x - 0.5, middle[1]), TENTH)
            # and nowhere else: halfway to the next grid line there is paper
            assert not near(image, axes.place(x - 0.5, middle[0] - 4), BEST)


def test_the_exact_picture_is_on_the_small_panel():
    image, axes = draw_odds(ODDS), lay_out_plot(ODDS).whole
    assert axes is not None
    assert axes.x_range == (0, 90)
    for row in NEEDED:
        assert near(image, axes.place(row.log10_digits, row.distance), BEST)


def test_axes_hold_every_value():
    axes = lay_out_plot(ODDS).main
    assert axes.x_range == (6, 15)
    assert axes.y_range == (140, 240)
    assert axes.place(6, 140) == (axes.left, axes.bottom)
    assert axes.place(15, 240) == (axes.right, axes.top)


@pytest.mark.parametrize(
    "odds",
    [
        replace(ODDS, rows=ROWS[:1]),
        replace(ODDS, rows=()),
        replace(ODDS, needed=()),
        replace(ODDS, rows=tuple(OddsRow(10**k, 0, 0) for k in range(6, 16)), needed=NEEDED[:1]),
        replace(ODDS, needed=(NeededRow(0, 0.0),)),
        replace(ODDS, rows=tuple(OddsRow(r.digits, r.best * 4e3, r.tenth * 4e3) for r in ROWS)),
        replace(ODDS, rows=(OddsRow(84, 300, 300), OddsRow(10**15, 1, 2))),
        replace(ODDS, logo="日本語\x1b\udcff" * 900),
    ],
    ids=["one row", "no rows", "no needs", "flat", "all black", "large", "uneven", "name"],
)
def test_odd_odds_are_drawn(odds):
    image = draw_odds(odds)
    colours = image.getcolors(maxcolors=1 << 20)
    assert colours is not None
    assert len(colours) > 20
    # Nothing runs off the picture: its rim is paper.
    rim = {image.getpixel((x, y)) for x in (0, 1, 1198, 1199) for y in range(750)}
    rim |= {image.getpixel((x, y)) for x in range(1200) for y in (0, 1, 748, 749)}
    assert rim == {PAPER}


def test_same_odds_same_bytes():
    assert draw_odds(ODDS).tobytes() == draw_odds(ODDS).tobytes()


NEGATIVE = Odds(
    "logo.png",
    "0" * 84,
    "costs",
    tuple(OddsRow(10**k, -1100.5 - 50 * k, -1050.25 - 50 * k) for k in range(6, 16)),
    (NeededRow(-2701.25, 84.0), NeededRow(-2400, 42.0), NeededRow(-1400.5, 6.2)),
)


def test_negative_distances_stay_inside_the_small_panel():
    image, axes = draw_odds(NEGATIVE), lay_out_plot(NEGATIVE).whole
    assert axes is not None
    assert axes.y_range[0] == -2701.25
    for row in NEGATIVE.needed:
        x, y = axes.place(row.log10_digits, row.distance)
        assert axes.left <= x <= axes.right
        assert axes.top <= y <= axes.bottom
        assert near(image, (x, y), BEST)


@pytest.mark.parametrize("factor", [1, -1, 0.001, -0.00001, 300_000, -300_000])
def test_figures_and_grid_lines_stay_where_they_belong(factor):
    rows = tuple(OddsRow(r.digits, r.best * factor, r.tenth * factor) for r in ROWS)
    needed = tuple(
        sorted(
            (NeededRow(r.distance * factor, r.log10_digits) for r in NEEDED),
            key=attrgetter("distance"),
        )
    )
    odds = replace(ODDS, rows=rows, needed=needed)
    axes, lines, texts = lay_out_plot(odds).main, [], []

    class Noted(plot.Canvas):
        def line(self, points, colour, width):
            lines.extend(points)
            super().line(points, colour, width)

        def text(self, at, text, pen):
            texts.append((at, text, pen))
            super().text(at, text, pen)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot, "Canvas", Noted)
        draw_odds(odds)
    assert all(axes.top - 0.1 <= y <= axes.bottom + 8 for _, y in lines)
    for (x, _), text, pen in texts:
        share = {"left": 0, "middle": 0.5, "right": 1}[pen.align]
        assert x - share * measure(text, pen.size) >= 8
    ticks = [text for (x, _), text, _ in texts if x == axes.left - 14]
    assert 3 <= len(ticks) == len(set(ticks)) <= 12


def test_the_ends_of_the_axis_are_ticks_of_the_axis():
    # 540 asks for steps of 100, -1,800 to -1,100; that range for steps of 200, -1,800 to -1,000.
    rows = (OddsRow(10**6, -1266, -1191), OddsRow(10**15, -1731, -1690))
    axes = lay_out_plot(replace(ODDS, rows=rows)).main
    assert axes.y_range == (-1800, -1000)
