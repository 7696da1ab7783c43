"""How far to look: held against fresh simulated answers and against plain integration."""

import math

import numpy as np
import pytest

from indexer.answers import draw_windows, tilt
from indexer.corpus import held_out_logos
from indexer.learning import learn_coder
from indexer.window import WINDOW
from query.calibration import Calibration, _both_tails, _uniforms
from query.lists import Limits
from query.metrics import CostTable, cost_table

N = 10**7
N_LOGOS = 6
FRESH = 20_000
# A limit beyond every prediction.
FAR = 1e12


@pytest.fixture(scope="module")
def coder():
    return learn_coder(N)


def tables(metric):
    """The cost tables of the held-out logos; `random` is a table that no picture has."""
    if metric == "random":
        costs = np.random.default_rng(8).integers(-50, 200, (WINDOW, 10))
        return [CostTable("costs", costs.astype(np.int32))]
    return [cost_table(logo.reshape(6, 14), metric) for logo in held_out_logos()[:N_LOGOS]]


def tenth_best(table):
    return table.law.closest(N, 10)


@pytest.fixture(scope="module")
def calibration(coder):
    table = tables("l1")[0]
    return Calibration(coder, table, tenth_best(table))


class FreshAnswers:
    """Windows up to a distance, drawn anew: their predictions, and what each stands for."""

    def __init__(self, coder, table, calibration, distance, seed):
        p = tilt(table.costs, calibration.theta)[3]
        uniforms = np.random.default_rng(seed).random((FRESH, WINDOW), dtype=np.float32)
        windows = draw_windows(p, uniforms)
        distances = table.costs[np.arange(WINDOW), windows].sum(axis=1)
        windows = windows[distances <= distance]
        above = distances[distances <= distance] - distance
        # drawn in proportion to exp(-θ D), and wanted are random windows that are this close
        self.weights = np.exp(calibration.theta * above)
        cells, codes = coder.quantise(coder.projection.project(windows))
        self.by_cell, self.by_both = coder.predictions(cells, codes, calibration.slopes)

    def lost(self, limits):
        return self._share((self.by_cell > limits.cell) | (self.by_both > limits.prediction))

    def lost_twice(self, limits):
        return self._share((self.by_cell > limits.cell) & (self.by_both > limits.prediction))

    def _share(self, which):
        return float(self.weights[which].sum() / self.weights.sum())


@pytest.mark.parametrize("metric", ["l1", "l2", "lightness", "random"])
def test_as_much_is_lost_of_fresh_answers_as_is_foreseen(coder, metric):
    foreseen, seen = np.zeros(2), np.zeros(2)
    for number, table in enumerate(tables(metric)):
        distance = tenth_best(table)
        calibration = Calibration(coder, table, distance)
        fresh = FreshAnswers(coder, table, calibration, distance, number)
        assert len(fresh.weights) > FRESH // 3
        for i, lost in enumerate((0.2, 0.02)):
            limits = calibration.limits(distance, lost)
            foreseen[i] += calibration.lost(distance, limits)
            seen[i] += fresh.lost(limits)
    assert (seen < 1.6 * foreseen).all(), (seen, foreseen)
    assert (foreseen < 1.6 * seen).all(), (seen, foreseen)


@pytest.mark.parametrize("metric", ["l1", "l2", "lightness", "random"])
def test_as_much_is_lost_at_cells_and_codes_both_as_is_foreseen(coder, metric):
    """What the correlation of the two errors decides."""
    foreseen = seen = 0.0
    for number, table in enumerate(tables(metric)):
        distance = tenth_best(table)
        calibration = Calibration(coder, table, distance)
        limits = calibration.limits(distance, 0.5, share=0.5)
        cells = calibration.lost(distance, Limits(limits.cell, FAR))
        codes = calibration.lost(distance, Limits(FAR, limits.prediction))
        foreseen += cells + codes - calibration.lost(distance, limits)
        fresh = FreshAnswers(coder, table, calibration, distance, number)
        seen += fresh.lost_twice(limits)
    assert foreseen / 1.3 < seen < 1.3 * foreseen, (seen, foreseen)


@pytest.mark.parametrize("closer", [-6, 4])
def test_other_distances_are_foreseen_too(coder, closer):
    """The worst match is never just where it was expected."""
    foreseen = seen = 0.0
    for number, table in enumerate(tables("l1")):
        distance = tenth_best(table)
        calibration = Calibration(coder, table, distance)
        limits = calibration.limits(distance, 0.1)
        foreseen += calibration.lost(distance - closer, limits)
        seen += FreshAnswers(coder, table, calibration, distance - closer, number).lost(limits)
    assert foreseen / 1.6 < seen < 1.6 * foreseen


def plain_both_tails(a, b, correlation):
    """∫ φ(x) P(Y > b | x) dx over x > a, by the trapezoid rule."""
    x = np.linspace(a, a + 12, 40_001)
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    scores = (b - correlation * x) / math.sqrt(1 - correlation**2)
    tails = np.array([0.5 * math.erfc(score / math.sqrt(2)) for score in scores])
    heights = density * tails
    return float((heights.sum() - heights[[0, -1]].sum() / 2) * (x[1] - x[0]))


@pytest.mark.parametrize("correlation", [-0.999, -0.9, -0.3, 0.0, 0.1, 0.5, 0.8, 0.95, 0.999])
def test_both_tails_by_plain_integration(correlation):
    scores = [(0.0, 0.0), (1.0, 1.0), (0.5, 2.0), (2.0, 0.5), (-1.0, 1.5), (3.0, 3.2), (4.0, 1.0)]
    a, b = np.array(scores).T
    found = _both_tails(a, b, correlation)
    plain = [plain_both_tails(*pair, correlation) for pair in scores]
    # The limits are where 10⁻⁴ to 0.3 is lost; the integral is coarsest at the ends.
    assert found == pytest.approx(plain, rel=1e-3, abs=5e-6)
    if abs(correlation) < 0.96:
        assert found == pytest.approx(plain, rel=1e-4, abs=1e-9)
    tails = np.array([[0.5 * math.erfc(x / math.sqrt(2)) for x in pair] for pair in scores])
    assert (found <= tails.min(axis=1) + 1e-6).all()
    assert (found >= 0).all()


@pytest.mark.parametrize("metric", ["l1", "l2", "lightness", "random"])
@pytest.mark.parametrize("lost", [0.3, 0.1, 0.01, 1e-4, 1e-8])
def test_limits_lose_what_was_asked(coder, metric, lost):
    for table in tables(metric)[:2]:
        distance = tenth_best(table)
        calibration = Calibration(coder, table, distance)
        for share in (0.3, 0.6):
            limits = calibration.limits(distance, lost, share)
            cells = calibration.lost(distance, Limits(limits.cell, FAR))
            codes = calibration.lost(distance, Limits(FAR, limits.prediction))
            assert cells == pytest.approx(share * lost, rel=1e-3)
            assert codes == pytest.approx((1 - share) * lost, rel=1e-3)
            both = calibration.lost(distance, limits)
            assert max(cells, codes) * 0.999 <= both <= lost * 1.001


def test_less_lost_is_to_look_further(calibration):
    table = tables("l1")[0]
    distance = tenth_best(table)
    asked = [0.3, 0.2, 0.1, 0.03, 0.01, 1e-3, 1e-5, 1e-9, 1e-20, 1e-100]
    limits = [calibration.limits(distance, lost) for lost in asked]
    cells = [each.cell for each in limits]
    predictions = [each.prediction for each in limits]
    assert cells == sorted(set(cells))
    assert predictions == sorted(set(predictions))
    lost = [calibration.lost(distance, each) for each in limits]
    assert lost == sorted(lost, reverse=True)


def test_farther_windows_are_lost_more_easily(calibration):
    distance = tenth_best(tables("l1")[0])
    limits = calibration.limits(distance, 0.05)
    lost = [calibration.lost(distance + more, limits) for more in range(-20, 21, 4)]
    assert lost == sorted(set(lost))
    assert 0 <= lost[0] < 0.05 < lost[-1] <= 1


def test_nothing_and_everything_can_be_lost(calibration):
    distance = tenth_best(tables("l1")[0])
    assert calibration.lost(distance, Limits(FAR, FAR)) == 0
    assert calibration.lost(distance, Limits(-FAR, FAR)) == pytest.approx(1)
    assert calibration.lost(distance, Limits(FAR, -FAR)) == pytest.approx(1)
    assert calibration.lost(distance, Limits(-FAR, -FAR)) == pytest.approx(1)


@pytest.mark.parametrize("metric", ["l1", "lightness", "random"])
def test_the_same_question_gets_the_same_numbers(coder, metric):
    table = tables(metric)[0]
    distance = tenth_best(table)
    first = Calibration(coder, table, distance)
    limits = first.limits(distance, 0.01)
    Calibration(coder, tables("l2")[1], 300).limits(290, 0.1)  # another one between
    _uniforms.cache_clear()  # as in another process
    again = Calibration(coder, CostTable("again", table.costs.copy()), distance)
    assert again.limits(distance, 0.01) == limits
    assert again.lost(distance, limits) == first.lost(distance, limits)
    assert again.theta == first.theta


def test_a_prediction_without_error_divides_by_nothing(coder):
    """A table that only one pixel decides: all simulated answers have the same distance."""
    costs = np.zeros((WINDOW, 10), np.int32)
    costs[40] = np.abs(np.arange(10) - 3)
    calibration = Calibration(coder, CostTable("costs", costs), 0)
    limits = calibration.limits(0, 0.1)
    assert math.isfinite(limits.cell)
    assert math.isfinite(limits.prediction)
    assert 0 < calibration.lost(0, limits) <= 0.1001


def test_a_distance_of_random_windows_has_no_tilt(coder):
    table = tables("l1")[0]
    calibration = Calibration(coder, table, table.law.highest)
    assert calibration.theta == 0
    limits = calibration.limits(table.law.highest, 0.1)
    assert math.isfinite(limits.cell)
