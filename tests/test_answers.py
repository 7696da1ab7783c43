import math

import numpy as np
import pytest

from indexer.answers import draw_windows, theta_where, tilt
from indexer.window import WINDOW
from query.metrics import METRICS, cost_table


@pytest.mark.parametrize("metric", METRICS)
def test_theta_gives_the_mean_asked_for(metric, soundcloud):
    table = cost_table(soundcloud, metric)
    for count in (1, 10, 1e6):
        distance = table.law.closest(10**9, count)
        theta = theta_where(table.costs, distance)
        assert theta > 0
        assert tilt(table.costs, theta)[1] == pytest.approx(distance, rel=1e-5)


def test_theta_at_the_edges(soundcloud):
    costs = cost_table(soundcloud, "l1").costs
    assert theta_where(costs, 10_000) == 0
    assert theta_where(np.zeros((WINDOW, 10), np.int32), 0) == 0
    # only the exact picture is left
    assert tilt(costs, theta_where(costs, 0))[1] == pytest.approx(0, abs=0.01)


def test_the_tilted_law_is_a_law_and_its_mass_is_that_of_the_sum(soundcloud):
    costs = cost_table(soundcloud, "l2").costs
    log_mass, _, deviation, p = tilt(costs, 0.01)
    assert p.sum(axis=1) == pytest.approx(np.ones(WINDOW))
    plain = sum(
        math.log(sum(math.exp(-0.01 * cost) for cost in row) / 10) for row in costs.tolist()
    )
    assert log_mass == pytest.approx(plain)
    assert deviation > 0


def test_drawn_windows_have_the_frequencies_of_the_law(soundcloud):
    table = cost_table(soundcloud, "l1")
    distance = table.law.closest(10**9, 10)
    p = tilt(table.costs, theta_where(table.costs, distance))[3]
    uniforms = np.random.default_rng(5).random((20_000, WINDOW), dtype=np.float32)
    windows = draw_windows(p, uniforms)
    counts = np.array([(windows == digit).mean(axis=0) for digit in range(10)]).T
    assert np.abs(counts - p).max() < 5 * math.sqrt(0.25 / 20_000)
    distances = table.costs[np.arange(WINDOW), windows].sum(axis=1)
    assert distances.mean() == pytest.approx(distance, abs=0.5)
