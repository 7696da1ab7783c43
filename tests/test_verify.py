"""Verification: statistics against known and exactly summed values, claims, text and plot."""

import csv
import io
import itertools
import json
import math
from dataclasses import replace
from decimal import Decimal, localcontext

import numpy as np
import pytest

from indexer.errors import ClaimFailed, UsageError
from indexer.home import default_home
from query.answer import Answer, Match
from query.calibration_plot import COLOURS, draw_calibration, lay_out_calibration
from query.lettering import PAPER
from query.terminal import columns_of
from query.verify import (
    CLAIMS,
    Row,
    Spread,
    Verification,
    chance_at_most,
    poisson_interval,
    verify,
)
from query.verify_report import (
    VERIFY_COLUMNS,
    format_verification,
    verification_csv,
    verification_json,
)

PICTURES = np.random.default_rng(5).integers(0, 10, (200, 84)).astype(np.uint8)


# --- the Poisson law ----------------------------------------------------------------------------


def slow_chance_at_most(count: int, mean: str) -> float:
    with localcontext() as context:
        context.prec = 60
        m = Decimal(mean)
        return float((-m).exp() * sum(m**k / math.factorial(k) for k in range(count + 1)))


@pytest.mark.parametrize("mean", ["0.001", "0.5", "1", "3.7", "42", "400.25"])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 41, 42, 43, 130, 380, 500])
def test_chances_are_the_sums_of_the_law(count, mean):
    assert chance_at_most(count, float(mean)) == pytest.approx(
        slow_chance_at_most(count, mean), rel=1e-10, abs=1e-300
    )


def test_chances_at_the_ends():
    assert chance_at_most(-1, 3.0) == 0
    assert chance_at_most(0, 0.0) == 1
    assert chance_at_most(10**6, 1e-3) == 1
    assert chance_at_most(0, 1e5) == 0
    assert 0.5 < chance_at_most(10**6, 1e6) < 0.501


# Garwood's table; 99 % from Pearson and Hartley, Biometrika Tables for Statisticians, table 40.
@pytest.mark.parametrize(
    ("count", "confidence", "low", "high"),
    [
        (0, 0.95, 0, 3.689),
        (1, 0.95, 0.0253, 5.572),
        (2, 0.95, 0.2422, 7.225),
        (10, 0.95, 4.795, 18.39),
        (50, 0.95, 37.11, 65.92),
        (0, 0.99, 0, 5.298),
        (10, 0.99, 3.717, 21.40),
    ],
)
def test_intervals_are_those_of_the_tables(count, confidence, low, high):
    interval = poisson_interval(count, confidence)
    assert interval.low == pytest.approx(low, rel=1e-3)
    assert interval.high == pytest.approx(high, rel=1e-3)


@pytest.mark.parametrize("count", [1, 10, 60, 1000])
def test_both_ends_leave_half_of_what_is_left(count):
    low, high = poisson_interval(count, 0.999)
    assert slow_chance_at_most(count, repr(high)) == pytest.approx(0.0005, rel=1e-8)
    assert 1 - slow_chance_at_most(count - 1, repr(low)) == pytest.approx(0.0005, rel=1e-8)


@pytest.mark.parametrize("confidence", [0.95, 0.999])
@pytest.mark.parametrize("mean", [0.01, 0.4, 2.0, 9.3, 60.0])
def test_intervals_hold_the_mean_as_often_as_they_say(mean, confidence):
    chances = [
        chance_at_most(count, mean) - chance_at_most(count - 1, mean)
        for count in range(round(mean + 12 * mean**0.5) + 12)
    ]
    held = sum(
        chance
        for count, chance in enumerate(chances)
        if poisson_interval(count, confidence).low
        <= mean
        <= poisson_interval(count, confidence).high
    )
    assert confidence <= held <= 1 + 1e-9


def test_many_misses_have_an_interval_too():
    low, high = poisson_interval(10**6)
    assert (low, high) == pytest.approx((10**6 - 1959, 10**6 + 1962), abs=2)


# --- the claims ---------------------------------------------------------------------------------


def row(**changes):
    values = {
        "metric": "l1",
        "missed": 0.1,
        "n_questions": 100,
        "by_index": 100,
        "n_true": 1000,
        "n_missed": 10,
        "n_wrong": 0,
        "expected": 8.5,
        "windows": Spread(16_780, 704_208),
        "seconds": Spread(0.0123, 0.0456),
        "scan_seconds": 0.11,
        "speedup": 8.9,
    }
    return Row(**(values | changes))


@pytest.mark.parametrize(
    ("seen", "expected", "holds"),
    [
        (0, 0.0, True),
        (1, 0.0, False),
        (0, 15.2, True),  # none seen: the mean is under 7.601 (99.9 %)
        (0, 15.21, False),
        (10, 10.0, True),
        (10, 50.5, True),  # 10 seen: 2.699 to 25.26
        (10, 50.6, False),
        (10, 1.35, True),
        (10, 1.34, False),
        (1000, 2216.0, True),  # 1000 seen: 899.2 to 1108.4
        (1000, 2217.0, False),
        (1000, 449.0, False),
    ],
)
def test_calibration_holds_within_a_factor_of_two_of_what_chance_allows(seen, expected, holds):
    asked = row(n_missed=seen, expected=expected, n_true=10_000, missed=1e6)
    assert asked.claims["calibration"] is holds


@pytest.mark.parametrize(
    ("seen", "allowed_each", "holds"),
    [
        (0, 0.01, True),
        (5, 0.01, True),  # 5 or more where 1 is allowed: 0.00366
        (6, 0.01, False),  # 0.000594
        (20, 0.1, True),  # 20 or more where 10 are: 0.00345
        (22, 0.1, False),  # 0.000700
        (0, 100.0, True),
    ],
)
def test_recall_holds_where_no_more_is_missed_than_chance_allows(seen, allowed_each, holds):
    assert row(n_missed=seen, missed=allowed_each).claims["recall"] is holds


def test_without_an_answer_from_the_index_only_agreement_is_judged():
    scanned = row(by_index=0, n_true=0, n_missed=0, expected=0.0)
    assert scanned.claims == {"calibration": None, "recall": None, "agreement": True}
    assert replace(scanned, n_wrong=1).claims["agreement"] is False
    assert set(row(metric="all", n_missed=500, n_wrong=1).claims.values()) == {None}
    assert (scanned.by_scan, scanned.recall, scanned.ratio) == (100, None, None)


# --- finders that are honest, and others ---------------------------------------------------------


class FakeFinder:
    """The true top are fixed windows; the index loses each with chance `loses / top`.

    It says that it is expected to lack `says` times what was allowed.
    """

    constant, digits = "pi", 10**6

    def __init__(self, says=0.8, loses=0.8, mode="index"):
        self.says, self.loses, self.mode = says, loses, mode
        self.asked = []
        self.random = np.random.default_rng(11)

    def find(self, bitmap, *, metric="l1", top=10, exact=False, missed=0.01):
        assert bitmap.shape == (6, 14)
        self.asked.append((bitmap.tobytes(), metric, "scan" if exact else missed))
        matches = [Match(k + 1, 100 * k + 7, 150 + k // 2, 0.1, "0" * 84) for k in range(2 * top)]
        by_index = not exact and self.mode == "index"
        if by_index:
            lost = self.random.random(len(matches)) < self.loses * missed / top
            matches = [match for match, gone in zip(matches, lost, strict=True) if not gone]
        return Answer(
            logo="",
            bitmap="0" * 84,
            metric=metric,
            constant="pi",
            digits=self.digits,
            mode="index" if by_index else "scan",
            certified=not by_index,
            expected_missed=self.says * missed if by_index else 0.0,
            seconds=0.02 if by_index else 0.1,
            matches=tuple(self.change(matches[:top], by_index)),
            windows=5000 if by_index else 999_917,
        )

    def change(self, matches, by_index):
        return matches


def test_an_honest_index_passes():
    found = verify(FakeFinder(), PICTURES)
    assert not found.failures()
    found.raise_failed(default_home())
    assert [(r.metric, r.missed) for r in found.rows] == [
        (metric, missed) for metric in ("l1", "l2") for missed in (1.0, 0.1, 0.01)
    ]
    for each in (*found.rows, *found.totals):
        assert each.expected == pytest.approx(0.8 * each.missed * each.by_index)
        assert each.n_true == 10 * each.by_index
        assert each.recall == pytest.approx(1 - each.n_missed / each.n_true)
        assert each.speedup == pytest.approx(5)
        assert (each.windows, each.seconds) == (Spread(5000, 5000), Spread(0.02, 0.02))
        assert each.scan_seconds == 0.1
    # 200 logos, 0.8 of the ten lost of each
    assert 120 < found.rows[0].n_missed < 200
    assert found.n_by_index == 1200


def test_totals_add_up_the_metrics():
    found = verify(FakeFinder(), PICTURES, ("l1", "l2", "lightness"), (1.0, 0.1))
    assert [total.missed for total in found.totals] == [1.0, 0.1]
    assert len(verify(FakeFinder(), PICTURES[:2], ("l1", "l2"), (0.1,)).totals) == 1
    for total in found.totals:
        rows = [each for each in found.rows if each.missed == total.missed]
        assert total.metric == "all"
        for name in ("n_questions", "by_index", "n_true", "n_missed"):
            assert getattr(total, name) == sum(getattr(each, name) for each in rows)
        assert total.expected == pytest.approx(sum(each.expected for each in rows))
    assert verify(FakeFinder(), PICTURES[:3], ("l1",)).totals == ()


def test_an_index_that_loses_more_than_it_says_fails_its_calibration():
    found = verify(FakeFinder(says=0.1, loses=0.8), PICTURES, ("l1",), (1.0,))
    assert [claim for claim, _ in found.failures()] == ["calibration"]
    seen = found.rows[0].n_missed
    with pytest.raises(ClaimFailed, match=f"calibration, l1 at 1: expected 20 .* saw {seen} "):
        found.raise_failed(default_home())


def test_an_index_that_loses_far_less_than_it_says_fails_its_calibration():
    found = verify(FakeFinder(says=0.8, loses=0.1), PICTURES, ("l1",), (1.0,))
    assert [claim for claim, _ in found.failures()] == ["calibration"]


def test_an_index_that_loses_more_than_is_allowed_fails_its_recall():
    found = verify(FakeFinder(says=3.0, loses=3.0), PICTURES, ("l2",), (0.1,))
    assert [claim for claim, _ in found.failures()] == ["recall"]
    seen = found.rows[0].n_missed
    text = f"1 of 3 claims fails: recall, l2 at 0.1: allowed 20 .* 200 answers and saw {seen}; next"
    with pytest.raises(ClaimFailed, match=text):
        found.raise_failed(default_home())


class WrongDistances(FakeFinder):
    def change(self, matches, by_index):
        return [replace(m, distance=m.distance + 1) for m in matches] if by_index else matches


class FindsWhatTheScanDoesNot(FakeFinder):
    def change(self, matches, by_index):
        # as close as the scan's worst, and before it: the scan should have it
        worst = matches[-1]
        return [*matches[:-1], replace(worst, offset=worst.offset - 1)] if by_index else matches


class NamesAWindowTwice(FakeFinder):
    def change(self, matches, by_index):
        return [*matches[:-1], matches[0]] if by_index else matches


class ScanFindsMore(FakeFinder):
    def change(self, matches, by_index):
        return matches if len(self.asked) % 2 else matches[1:]


class ScanFindsLess(FakeFinder):
    def change(self, matches, by_index):
        return matches[1:] if len(self.asked) % 2 else matches


@pytest.mark.parametrize(
    ("finder", "n_wrong"),
    [
        (WrongDistances(loses=0), 50),
        (FindsWhatTheScanDoesNot(loses=0), 5),
        (NamesAWindowTwice(loses=0), 5),
        (ScanFindsMore(mode="scan"), 5),
        (ScanFindsLess(mode="scan"), 5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_answers_that_contradict_the_scan_are_counted(finder, n_wrong):
    found = verify(finder, PICTURES[:5], ("l1",), (1e-6,))
    assert found.rows[0].n_wrong == n_wrong
    assert ("agreement", f"l1 at 1e-06: {n_wrong} matches contradict the scan") in found.failures()


def test_a_farther_match_in_place_of_a_lost_one_is_a_miss_and_not_wrong():
    found = verify(FakeFinder(loses=5.0), PICTURES, ("l1",), (1.0,))
    assert found.rows[0].n_missed > 500
    assert found.rows[0].n_wrong == 0


def test_scans_by_the_planner_are_counted_apart():
    found = verify(FakeFinder(mode="scan"), PICTURES[:4])
    assert found.n_by_index == 0
    assert not found.failures()
    for each in found.rows:
        assert (each.by_index, each.by_scan) == (0, 4)
        assert each.seconds.median == each.scan_seconds == 0.1
        assert each.speedup == 1


def test_what_scans_lack_is_no_miss_of_the_index():
    class Mixed(FakeFinder):
        def find(self, bitmap, **options):
            self.mode = "index" if bitmap[0, 0] < 5 else "scan"
            return super().find(bitmap, **options)

        def change(self, matches, by_index):
            # after the two of the warm-up the truth comes first: answers lack one match
            return matches if len(self.asked) % 2 else matches[:-1]

    n_index = int((PICTURES[:, 0] < 5).sum())
    each = verify(Mixed(loses=0), PICTURES, ("l1",), (0.1,)).rows[0]
    assert (each.by_index, each.by_scan) == (n_index, 200 - n_index)
    assert (each.n_true, each.n_missed) == (10 * 200, n_index)
    assert each.n_wrong == 200 - n_index


def test_each_logo_is_scanned_once_a_metric_and_asked_once_a_promise():
    finder, steps = FakeFinder(), []
    missed = (0.5, 0.1, 0.02)
    verify(finder, PICTURES[:7], ("l1", "l2"), missed, 10, steps.append)
    warm_up, asked = finder.asked[:4], finder.asked[4:]
    assert {bitmap for bitmap, _, _ in warm_up} == {PICTURES[0].tobytes()}
    assert sorted(map(str, asked)) == sorted(
        str((picture.tobytes(), metric, how))
        for picture in PICTURES[:7]
        for metric in ("l1", "l2")
        for how in ("scan", *missed)
    )
    # each `missed` is asked first in turn
    first = [
        after[2] for before, after in itertools.pairwise(asked) if before[1:] == ("l1", "scan")
    ]
    assert first == [0.5, 0.1, 0.02, 0.5, 0.1, 0.02, 0.5]
    total = 7 * 2 * 4
    assert [step.done for step in steps] == list(range(total + 1))
    assert {(step.stage, step.total, step.unit) for step in steps} == {
        ("verify", total, "questions")
    }


def test_what_is_named_twice_is_asked_once():
    found = verify(FakeFinder(), PICTURES[:2], ("l1", "l1"), (0.1, 0.1))
    assert [(each.metric, each.missed) for each in found.rows] == [("l1", 0.1)]


@pytest.mark.parametrize("missed", [0.0, -1.0, math.nan, math.inf])
def test_a_promise_that_is_none_is_refused_before_anything_is_asked(missed):
    finder = FakeFinder()
    with pytest.raises(UsageError, match=f"missed is {missed}; allowed"):
        verify(finder, PICTURES, missed=(0.1, missed))
    assert not finder.asked


@pytest.mark.parametrize("empty", [{"metrics": ()}, {"missed": ()}, {"pictures": PICTURES[:0]}])
def test_nothing_to_verify_is_refused(empty):
    with pytest.raises(UsageError, match="nothing to verify"):
        verify(FakeFinder(), **({"pictures": PICTURES} | empty))


def test_interrupting_ends_it_between_questions():
    def stop(step):
        if step.done == 5:
            raise KeyboardInterrupt

    finder = FakeFinder()
    with pytest.raises(KeyboardInterrupt):
        verify(finder, PICTURES, progress=stop)
    assert len(finder.asked) == 4 + 5


def test_medians_and_percentiles():
    class Slow(FakeFinder):
        def find(self, bitmap, *, exact=False, **options):
            answer = super().find(bitmap, exact=exact, **options)
            number = int(np.flatnonzero((bitmap.reshape(84) == PICTURES).all(axis=1))[0])
            seconds = 2.0 if exact else 0.01 * (number + 1)
            return replace(answer, seconds=seconds, windows=answer.windows + number)

    each = verify(Slow(), PICTURES[:21], ("l1",), (0.1,)).rows[0]
    assert each.seconds == pytest.approx((0.11, 0.20))
    assert each.windows == pytest.approx((5010, 5019))
    assert each.speedup == pytest.approx(2 / 0.11)


# --- as text ------------------------------------------------------------------------------------

FAILING = row(missed=1.0, n_missed=60, expected=8.5, n_wrong=2)
SCANNED = row(
    metric="l2", missed=0.01, by_index=0, n_true=0, n_missed=0, expected=0.0, windows=None,
    seconds=None, speedup=None,
)  # fmt: skip
VERIFIED = Verification("pi", 10**9, 10, 100, (row(), row(metric="l2"), SCANNED), ())
FAILED = replace(VERIFIED, rows=(row(), FAILING), totals=(replace(FAILING, metric="all"),))


def test_the_table_says_what_was_found():
    text = format_verification(VERIFIED, style="plain-pictures")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert text.startswith(
        "100 held-out logos in the first 1,000,000,000 decimals of π, the 10 closest\n"
    )
    assert "l1 0.1 100 0 0.9900 8.5 10 4.8 – 18.4 1.18" in lines
    assert "l1 0.1 16,780 704,208 12.3 45.6 110 8.9" in lines
    assert "l2 0.01 0 100 - - - - -" in lines
    assert "l2 0.01 - - - - 110 -" in lines
    assert sum(" ok " in line for line in lines) == 3
    assert "\x1b" not in text


def test_the_table_says_where_a_claim_fails():
    text = format_verification(FAILED, style="compact")
    for line in (
        "# calibration  FAILS  misses seen within a factor of 2 of the expected (99.9 %)",
        "#     l1 at 1: expected 8.5 missed and saw 60 (37.7 to 90 with 99.9 %)",
        "# recall       ok     misses seen no more than allowed (p >= 0.001)",
        "# agreement    FAILS  no answer contradicts the scan",
        "#     l1 at 1: 2 matches contradict the scan",
    ):
        assert line in text.splitlines()
    assert "all at" not in text
    assert format_verification(FAILED, style="colour").count("FAILS") == 2


@pytest.mark.parametrize("verification", [VERIFIED, FAILED], ids=["verified", "failed"])
def test_tables_are_narrow_and_plain_where_they_must_be(verification):
    compact = format_verification(verification, style="compact")
    assert compact.isascii()
    assert all(line.startswith(("# ", "  ")) for line in compact.splitlines())
    wide = format_verification(verification, style="plain-pictures")
    assert max(columns_of(line) for line in (compact + "\n" + wide).splitlines()) <= 80


def test_recall_is_one_only_where_nothing_was_missed():
    many = replace(VERIFIED, rows=(row(n_true=10**6, n_missed=1, expected=1.0),))
    text = format_verification(many, style="compact")
    assert "0.9999" in text
    assert "1.0000" not in text
    assert json.loads(verification_json(many))["rows"][0]["recall"] < 1
    none = replace(VERIFIED, rows=(row(n_missed=0, expected=1.0),))
    assert "1.0000" in format_verification(none, style="compact")


def test_nothing_from_the_index_is_said():
    text = format_verification(replace(VERIFIED, rows=(SCANNED,)), style="compact")
    assert "the planner preferred a scan every time" in text
    assert "# calibration  -" in text
    assert "# agreement    ok" in text


def test_json_and_csv_say_the_same():
    body = json.loads(verification_json(FAILED))
    assert list(body) == ["constant", "digits", "logos", "top", "ok", "rows", "totals"]
    assert (body["constant"], body["digits"], body["logos"], body["top"]) == ("pi", 10**9, 100, 10)
    assert body["ok"] is False
    assert json.loads(verification_json(VERIFIED))["ok"] is True
    for record in (*body["rows"], *body["totals"]):
        assert tuple(record) == VERIFY_COLUMNS
    records = list(csv.DictReader(io.StringIO(verification_csv(FAILED))))
    for written, record in zip(records, [*body["rows"], *body["totals"]], strict=True):
        for name, value in record.items():
            assert written[name] == ("" if value is None else str(value).replace("True", "true")
                                     .replace("False", "false"))  # fmt: skip
    first = body["rows"][0]
    assert (first["seen"], first["recall"], first["recall_ok"]) == (10, 0.99, True)
    assert (first["seen_low"], first["seen_high"]) == (4.795, 18.39)
    assert (first["windows_p95"], first["index_ms_median"]) == (704_208, 12.3)


def test_what_was_not_asked_is_null_in_json_and_nothing_in_csv():
    record = json.loads(verification_json(VERIFIED))["rows"][2]
    assert record["recall"] is record["speedup"] is record["calibration_ok"] is None
    assert record["agreement_ok"] is True
    assert list(csv.DictReader(io.StringIO(verification_csv(VERIFIED))))[2]["recall"] == ""


# --- the plot -----------------------------------------------------------------------------------


def near(image, place, colour, reach=2):
    x, y = (round(value) for value in place)
    return any(
        max(abs(a - b) for a, b in zip(image.getpixel((u, v)), colour, strict=True)) < 40
        for u in range(x - reach, x + reach + 1)
        for v in range(y - reach, y + reach + 1)
    )


def test_points_and_intervals_are_where_the_axes_say():
    rows = (
        row(missed=1.0, expected=80.0, n_missed=60),
        row(metric="l2", missed=1.0, expected=40.0, n_missed=50),
        row(missed=0.1),
        row(missed=0.01, expected=0.5, n_missed=0),
    )
    shown = replace(VERIFIED, rows=rows)
    layout, image = lay_out_calibration(shown), draw_calibration(shown)
    assert image.size == (1200, 750)
    axes = layout.axes
    assert axes.x_range == (-1, 2)
    assert axes.y_range == (-1, 2)
    by_row = {(point.row.metric, point.row.missed): point for point in layout.points}
    for each in rows:
        point = by_row[each.metric, each.missed]
        assert near(image, (point.x, point.y), point.colour)
        assert near(image, (point.x, (point.y + point.high) / 2), point.colour)
        if each.n_missed:
            place = axes.place(math.log10(each.expected), math.log10(each.n_missed))
            assert (point.x, point.y) == pytest.approx(place)
        assert point.high == pytest.approx(axes.place(0, math.log10(each.interval.high))[1])
    assert by_row["l1", 0.01].y > axes.bottom
    assert by_row["l1", 1.0].colour == COLOURS[0] != by_row["l2", 1.0].colour


def test_points_that_would_lie_on_each_other_stand_side_by_side():
    rows = tuple(
        row(metric=metric, expected=8.5 + k / 100)
        for k, metric in enumerate(("l1", "l2", "gray-l1", "gray-l2", "lightness"))
    )
    layout = lay_out_calibration(replace(VERIFIED, rows=rows))
    places = [point.x for point in layout.points]
    assert min(b - a for a, b in itertools.pairwise(places)) >= 13
    where = layout.axes.place(math.log10(8.52), 0)[0]
    assert sum(places) / 5 == pytest.approx(where, abs=1)
    assert len({point.colour for point in layout.points}) == 5


def test_intervals_are_whole_where_that_does_not_flatten_the_rest():
    rows = (row(expected=11.0, n_missed=17), row(metric="l2", expected=150.0, n_missed=120))
    layout = lay_out_calibration(replace(VERIFIED, rows=rows))
    assert layout.axes.y_range == (0, 3)
    for point in layout.points:
        assert point.low < layout.axes.bottom
    # 10.1 is not drawn on the axis
    edge = lay_out_calibration(replace(VERIFIED, rows=(row(expected=10.1),)))
    assert edge.axes.x_range == (0, 2)


def test_a_point_far_from_the_others_stays_where_it_belongs():
    rows = (row(expected=0.3), row(metric="l2"), row(metric="gray-l1", expected=8.6))
    layout = lay_out_calibration(replace(VERIFIED, rows=rows))
    alone, one, other = layout.points
    assert alone.x == pytest.approx(layout.axes.place(math.log10(0.3), 0)[0])
    assert other.x - one.x == pytest.approx(14)


@pytest.mark.parametrize(
    "rows",
    [
        (SCANNED,),
        (),
        (row(expected=0.0, n_missed=0),),
        (row(expected=0.0, n_missed=7),),
        (row(expected=1e-30, n_missed=100_000, n_true=10**6),),
        (row(expected=1e9, n_missed=0),),
        tuple(row(missed=m, expected=80 * m) for m in (1, 0.9, 0.8, 0.7, 0.5, 0.1, 0.09)),
        tuple(
            row(metric=name) for name in ("l1", "l2", "gray-l1", "gray-l2", "lightness", "costs")
        ),
    ],
    ids=["scanned", "none", "nothing", "from nothing", "far", "low", "many", "metrics"],
)
def test_odd_verifications_are_drawn(rows):
    image = draw_calibration(replace(VERIFIED, rows=rows))
    colours = image.getcolors(maxcolors=1 << 20)
    assert colours is not None
    assert len(colours) > 20
    rim = {image.getpixel((x, y)) for x in (0, 1, 1198, 1199) for y in range(750)}
    rim |= {image.getpixel((x, y)) for x in range(1200) for y in (0, 1, 748, 749)}
    assert rim == {PAPER}


def test_points_stay_inside_the_axes():
    for expected, seen in itertools.product((0.0, 1e-9, 0.3, 8.0, 900.0), (0, 1, 12, 30_000)):
        rows = (row(expected=expected, n_missed=seen, n_true=10**6), row(metric="l2"))
        layout = lay_out_calibration(replace(VERIFIED, rows=rows))
        axes = layout.axes
        for point in layout.points:
            assert axes.left - 14 <= point.x <= axes.right + 14
            assert axes.top - 1e-6 <= point.high <= point.y <= point.low <= axes.bottom + 40


def test_same_verification_same_bytes():
    assert draw_calibration(FAILED).tobytes() == draw_calibration(FAILED).tobytes()


def test_claims_are_named_once():
    assert tuple(row().claims) == CLAIMS
    assert VERIFY_COLUMNS[-3:] == tuple(f"{claim}_ok" for claim in CLAIMS)
