import math

import numpy as np
import pytest

import reference
from query import significance
from query.metrics import METRICS, cost_table
from query.significance import Law


def small_tables():
    rng = np.random.default_rng(5)
    yield rng.integers(0, 10, (6, 10))
    yield rng.integers(-50, 50, (5, 10))
    yield rng.integers(0, 3, (7, 10)) * 1000
    yield np.zeros((4, 10), int)
    yield np.array([[0] * 9 + [1]] * 3)
    yield rng.integers(0, 2, (3, 10)) * 7 + 3


@pytest.mark.parametrize("costs", list(small_tables()))
def test_law_equals_the_exact_one_of_fractions(costs):
    exact = reference.law(costs.tolist())
    law = Law(costs)
    assert (law.lowest, law.highest) == (min(exact), max(exact))
    total = 0
    for distance in range(min(exact) - 2, max(exact) + 3):
        total += exact.get(distance, 0)
        found = math.exp(law.log_tail(distance)) if total else law.log_tail(distance)
        assert found == (pytest.approx(float(total), rel=1e-12) if total else -math.inf)


def test_far_tail_keeps_its_relative_precision(soundcloud):
    costs = cost_table(soundcloud).costs
    exact = reference.law(costs.tolist())
    law = Law(costs)
    total = 0
    for distance in range(120):
        total += exact.get(distance, 0)
        assert law.log_tail(distance) == pytest.approx(
            math.log(total.numerator) - math.log(total.denominator), rel=1e-12
        )
    assert law.log_tail(0) == pytest.approx(-84 * math.log(10), rel=1e-14)


def test_transforms_agree_with_direct_sums(monkeypatch, soundcloud):
    costs = cost_table(soundcloud, "gray-l1").costs
    direct = Law(costs)
    points = [*range(2000, 12_000, 250), 19_000]
    expected = [direct.log_tail(d) for d in points]
    monkeypatch.setattr(significance, "_LARGEST_DIRECT", 100)
    transformed = Law(costs)
    found = [transformed.log_tail(d) for d in points]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    for power in range(3, 16):
        assert transformed.closest(10**power, 10) == direct.closest(10**power, 10)


def test_the_error_of_a_coarse_lattice_goes_with_the_square_of_its_grain(monkeypatch, soundcloud):
    costs = cost_table(soundcloud, "gray-l1").costs
    points = list(range(5000, 7000, 37))
    expected = list(map(Law(costs).log_tail, points))
    monkeypatch.setattr(significance, "_LARGEST_DIRECT", 100)
    errors = []
    for bits in (10, 11, 12):  # 1/75, 1/150 and 1/300 of a deviation; in use it is 1/4600
        monkeypatch.setattr(significance, "_LARGEST_TRANSFORM", 1 << bits)
        found = list(map(Law(costs).log_tail, points))
        errors.append(np.abs(np.subtract(found, expected)).max())
    assert 1e-3 < errors[0] < 0.01
    assert 3 < errors[0] / errors[1] < 5
    assert 3 < errors[1] / errors[2] < 5


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_windows", [100, 10**6, 10**9, 10**15])
def test_closest_is_the_least_distance_that_holds_as_many(metric, n_windows, soundcloud):
    law = Law(cost_table(soundcloud, metric).costs)
    for count in (1, 10, 39):
        distance = law.closest(n_windows, count)
        assert law.expected(distance, n_windows) >= count * (1 - 1e-9)
        assert law.expected(distance - 1, n_windows) < count


def test_closest_of_few_windows_is_the_greatest_distance(soundcloud):
    law = Law(cost_table(soundcloud).costs)
    assert law.closest(9, 10) == law.highest
    assert law.closest(10, 10.5) == law.highest


def test_e_value_of_the_contest_winner_by_l1(soundcloud):
    law = Law(cost_table(soundcloud).costs)
    assert law.expected(180, 10**9 - 83) == pytest.approx(0.064, abs=0.0005)


def test_e_values_agree_with_real_decimals(decimals, soundcloud):
    costs = cost_table(soundcloud).costs
    law = Law(costs)
    n = 10**6
    distances = np.zeros(n, np.int64)
    for i in range(84):
        distances += costs[i][decimals[i : i + n] - 48]
    for limit in (240, 250, 260, 280):
        expected = law.expected(limit, n)
        seen = int((distances <= limit).sum())
        # Neighbouring windows of this picture hardly depend on each other: the count is Poisson.
        assert abs(seen - expected) < 5 * math.sqrt(expected)
