import pytest

from indexer.errors import UsageError
from query.metrics import METRICS, CostTable, cost_table
from query.odds import compute_odds
from query.significance import Law


def test_rows_are_where_one_and_ten_windows_are_expected(soundcloud):
    table = cost_table(soundcloud)
    odds = compute_odds(soundcloud, table, logo="sc")
    law = Law(table.costs)
    assert [row.digits for row in odds.rows] == [10**k for k in range(6, 16)]
    for row in odds.rows:
        for count, distance in ((1, row.best), (10, row.tenth)):
            assert law.expected(int(distance), row.digits - 83) >= count
            assert law.expected(int(distance) - 1, row.digits - 83) < count


def test_the_exact_picture_needs_ten_to_the_84(soundcloud):
    odds = compute_odds(soundcloud, cost_table(soundcloud))
    assert odds.needed[0].distance == 0
    assert odds.needed[0].log10_digits == pytest.approx(84)
    logs = [row.log10_digits for row in odds.needed]
    assert logs == sorted(logs, reverse=True)


def test_needs_of_a_distance_asked_for(soundcloud):
    table = cost_table(soundcloud)
    odds = compute_odds(soundcloud, table, distances=[150.7])
    row = next(row for row in odds.needed if row.distance == 150)
    assert row.log10_digits == pytest.approx(-Law(table.costs).log_tail(150) / 2.302585093)


def test_a_distance_below_the_exact_picture_is_refused(soundcloud):
    with pytest.raises(UsageError, match="distance -1 is out of reach; allowed are 0"):
        compute_odds(soundcloud, cost_table(soundcloud), distances=[-1])


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_in_its_own_unit(metric, soundcloud):
    table = cost_table(soundcloud, metric)
    odds = compute_odds(soundcloud, table)
    best = [row.best for row in odds.rows]
    assert best == sorted(best, reverse=True)
    assert all(row.best <= row.tenth for row in odds.rows)
    assert odds.rows[0].tenth <= table.in_units(Law(table.costs).highest)


def test_a_flat_table_costs_the_same_everywhere(soundcloud):
    import numpy as np

    odds = compute_odds(soundcloud, CostTable("costs", np.full((84, 10), 2, np.int32)))
    assert {row.best for row in odds.rows} == {168}
    assert [(row.distance, row.log10_digits) for row in odds.needed] == [(168, 0)]


def test_a_distance_beyond_all_numbers_needs_one_window(soundcloud):
    table = cost_table(soundcloud, "lightness")
    last = compute_odds(soundcloud, table, distances=[1.7e308]).needed[-1]
    assert last.distance == table.in_units(table.law.highest)
    assert last.log10_digits == 0
