import math
import sys
import threading

import numpy as np
import pytest

import reference
from indexer.window import count_windows
from query import significance
from query.assembly.convolve import BLOCK
from query.metrics import METRICS, cost_table
from query.significance import Law, add_up


def add_up_plainly(costs, weights, top):
    """What add_up means: shifted copies of the law, pixel by pixel, term by term."""
    law = np.zeros(top + 1)
    law[0] = 1.0
    for pixel_costs, pixel_weights in zip(costs, weights, strict=True):
        wider = np.zeros(top + 1)
        for cost, weight in zip(pixel_costs, pixel_weights, strict=True):
            if weight > 0 and cost <= top:
                wider[cost:] += weight * law[: top + 1 - cost]
        law = wider
    return law


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


def tables_to_add_up():
    rng = np.random.default_rng(11)
    for pixels, terms, largest in ((84, 10, 9), (84, 10, 81), (84, 20, 700), (3, 2, 5), (1, 1, 0)):
        costs = rng.integers(0, largest + 1, (pixels, terms))
        yield costs, rng.integers(0, 4, costs.shape).astype(float) + (np.arange(terms) == 0)
        yield np.sort(costs)[np.argsort(costs.max(axis=1))], rng.random(costs.shape) + 1e-3
    yield np.array([[0, 5000], [0, 1], [3, 4]]), np.array([[1.0, 9.0], [2.0, 1.0], [1e-9, 0.1]])
    yield np.zeros((84, 10), int), np.ones((84, 10))


@pytest.mark.parametrize(("costs", "weights"), list(tables_to_add_up()))
def test_compiled_sums_equal_the_plain_loop_to_the_bit(costs, weights):
    span = int(costs.max(axis=1).sum())
    tops = {0, 1, span, span // 2, span // 3 + 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, span + 99}
    plain = add_up_plainly(costs, weights, max(tops))
    for top in tops:
        found = add_up(costs, weights, top)
        assert found.shape == (top + 1,)
        np.testing.assert_array_equal(found, plain[: top + 1])


def test_sums_of_the_example():
    costs, weights = np.array([[0, 1], [0, 2]]), np.array([[2.0, 1.0], [1.0, 2.0]])
    assert add_up(costs, weights, 2).tolist() == [2, 1, 4]
    assert add_up(costs, weights, 4).tolist() == [2, 1, 4, 2, 0]


def test_counts_below_2_to_the_53_are_exact():
    rows = np.sort(np.random.default_rng(2).integers(0, 60, (15, 10)), axis=1)
    rows -= rows[:, :1]
    counts = add_up(rows, significance._multiplicities(rows), int(rows[:, -1].sum()))
    exact = reference.law(rows.tolist())
    assert [int(c) for c in counts] == [
        exact.get(point, 0) * 10**15 for point in range(len(counts))
    ]


def test_multiplicities_count_each_entry_once():
    rows = np.array([[0, 0, 1, 2], [0, 3, 3, 3], [0, 0, 0, 0], [0, 1, 2, 3]])
    expected = [[2, 0, 1, 1], [1, 3, 0, 0], [4, 0, 0, 0], [1, 1, 1, 1]]
    assert significance._multiplicities(rows).tolist() == expected


def questions(law):
    """(method, arguments) over all there is to ask: near, far, below, above, and in between."""
    distances = np.linspace(law.lowest - 1, law.highest + 1, 23).astype(np.int64).tolist()
    near = [law.closest(10**power, 10) for power in (2, 6, 9, 15)]
    distances += [d + step for d in near for step in (-1000, -1, 0, 1)]
    asked = [("log_tail", (d,)) for d in distances]
    asked += [("expected", (d, count_windows(10**9))) for d in distances]
    asked += [("closest", (10**p, count)) for p in range(2, 19) for count in (1, 10, 39.5)]
    return asked


@pytest.mark.parametrize("metric", METRICS)
def test_answers_do_not_depend_on_what_was_asked_before(metric, soundcloud):
    costs = cost_table(soundcloud, metric).costs
    asked = questions(Law(costs))
    alone = {}
    for method, arguments in asked[::5]:
        alone[method, arguments] = getattr(Law(costs), method)(*arguments)
    rng = np.random.default_rng(7)
    answers = []
    for order in (range(len(asked)), *(rng.permutation(len(asked)) for _ in range(3))):
        law = Law(costs)
        found = {}
        for index in order:
            method, arguments = asked[index]
            found[method, arguments] = getattr(law, method)(*arguments)
        answers.append(found)
    for found in answers:  # equal floats are equal bits here: none is 0 with a sign, none is NaN
        assert found == answers[0]
        assert found.items() >= alone.items()


@pytest.mark.parametrize("metric", ["l2", "gray-l2"])
def test_threads_that_ask_at_once_get_the_same(metric, soundcloud):
    costs = cost_table(soundcloud, metric).costs
    asked = questions(Law(costs))
    expected = {question: getattr(Law(costs), question[0])(*question[1]) for question in asked[::7]}
    law = Law(costs)
    wrong = []

    def ask(seed):
        for index in np.random.default_rng(seed).permutation(len(asked[::7])):
            method, arguments = question = asked[::7][index]
            if getattr(law, method)(*arguments) != expected[question]:
                wrong.append(question)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


@pytest.mark.parametrize("metric", METRICS)
def test_closest_is_where_the_tail_crosses_also_between_stretches(metric, soundcloud):
    law = Law(cost_table(soundcloud, metric).costs)
    found = []
    for power in np.linspace(0.1, 100, 150):
        chance = 10.0**-power
        distance = law.closest(10**120, 10**120 * chance)
        found.append(distance)
        assert law.log_tail(distance) >= math.log(chance) - 1e-9
        assert law.log_tail(distance - 1) < math.log(chance) + 1e-9
    assert found == sorted(found, reverse=True)
    assert found[-1] == law.lowest


def test_no_answer_depends_on_where_the_search_begins(monkeypatch, soundcloud):
    costs = cost_table(soundcloud, "gray-l2").costs
    powers = [*range(1, 20), 40, 60, 80]
    expected = [Law(costs).closest(10**power, 2.5) for power in powers]
    assert len(set(expected)) == len(powers)
    for k in range(6):
        monkeypatch.setattr(significance._CoarseSum, "_guess", lambda _, __, k=k: k)
        law = Law(costs)
        assert [law.closest(10**power, 2.5) for power in powers] == expected


@pytest.mark.parametrize("metric", METRICS)
def test_seams_do_not_show_in_the_tail(metric, soundcloud):
    law = Law(cost_table(soundcloud, metric).costs)
    seams = [significance._LARGEST_DIRECT]
    if law._coarse is not None:
        law.closest(10**200, 10)
        seams += [math.floor(tilt.fence) for tilt in law._coarse._tilts]
    for seam in seams:
        tails = [law.log_tail(d) for d in range(seam - 20, seam + 20)]
        steps = np.diff(tails)
        assert steps.min() > -1e-5
        assert steps.max() < np.median(steps) + 2e-5
        assert max(tails) <= 0


def test_where_direct_sums_end_does_not_show(monkeypatch, soundcloud):
    costs = cost_table(soundcloud, "gray-l1").costs
    expected = Law(costs).closest(10**9, 10)
    for largest in (*range(expected - 3, expected + 3), expected // 2, expected * 2):
        monkeypatch.setattr(significance, "_LARGEST_DIRECT", largest)
        assert Law(costs).closest(10**9, 10) == expected


@pytest.mark.parametrize("metric", ["gray-l2", "lightness"])
def test_lattices_agree_with_direct_sums(metric, monkeypatch, soundcloud):
    table = cost_table(soundcloud, metric).costs
    law = Law(table)
    nearest, farthest = law.closest(10**15, 10), law.closest(10**6, 10)
    monkeypatch.setattr(significance, "_LARGEST_DIRECT", farthest)
    exact = Law(table)
    for distance in np.linspace(nearest, farthest, 60).astype(int).tolist():
        assert law.log_tail(distance) == pytest.approx(exact.log_tail(distance), abs=1.5e-5)
    for distance in (0, 1, 225, 400, 50_000, 1 << 17):  # far below: no lattice
        assert law.log_tail(distance) == exact.log_tail(distance)


@pytest.mark.parametrize("metric", METRICS)
def test_the_exact_picture_is_10_to_the_minus_84_in_every_metric(metric, soundcloud):
    law = Law(cost_table(soundcloud, metric).costs)
    assert law.log_tail(0) == pytest.approx(-84 * math.log(10), rel=1e-14)
    assert law.closest(2 * 10**84, 1) == 0
    assert law.closest(10**84 // 2, 1) > 0


def test_a_table_of_two_scales():
    """Pixels of l1 beside one whose costs are far greater than all of theirs together."""
    rng = np.random.default_rng(3)
    small = np.abs(np.arange(10) - rng.integers(0, 10, (83, 1)))
    large = np.array([[0, 0, 0] + [1_000_000] * 4 + [3_000_000] * 3])
    law, fine = Law(np.vstack([large, small])), Law(small)
    assert law._coarse is not None
    for distance in (*range(0, 700, 50), 10_000, 131_072, 131_073, 500_000, 999_000):
        p = 0.3 * math.exp(fine.log_tail(distance))
        assert law.log_tail(distance) == pytest.approx(math.log(p), abs=1e-7)
    for distance in (1_100_000, 2_000_000, 2_900_000):
        assert math.exp(law.log_tail(distance)) == pytest.approx(0.7, rel=1e-6)
    assert law.closest(10, 3) <= fine.highest
    assert law.closest(100, 31) == pytest.approx(1_000_000, abs=1000)


def test_wide_tables_of_noise_agree_with_direct_sums(monkeypatch):
    rng = np.random.default_rng(8)
    for power in (1, 3, 6):
        costs = np.rint(20_000 * rng.random((84, 10)) ** power).astype(int)
        law = Law(costs)
        assert law._coarse is not None
        with monkeypatch.context() as patch:
            patch.setattr(significance, "_LARGEST_DIRECT", law.highest)
            exact = Law(costs)
        for count in np.geomspace(1e-16, 0.9, 40):
            distance = exact.closest(1, count)
            assert law.log_tail(distance) == pytest.approx(exact.log_tail(distance), abs=3e-5)


def test_a_rough_law_gets_a_finer_lattice(monkeypatch, soundcloud):
    """Clumps of distances, 5,000 apart, 300 wide: how many pixels differ, then by how much."""
    shades = soundcloud.reshape(84, 1)
    costs = 5_000 * (np.arange(10) != shades) + np.abs(np.arange(10) - shades)
    law = Law(costs)
    with monkeypatch.context() as patch:
        patch.setattr(significance, "_LARGEST_DIRECT", law.highest)
        exact = Law(costs)
    middle = exact.closest(10**9, 10)
    points = range(middle - 600, middle + 600, 25)
    expected = list(map(exact.log_tail, points))
    np.testing.assert_allclose(list(map(law.log_tail, points)), expected, atol=0.02)
    monkeypatch.setattr(significance, "_LARGEST_ROUGH", significance._LARGEST_TRANSFORM)
    coarser = Law(costs)
    assert np.abs(np.subtract(list(map(coarser.log_tail, points)), expected)).max() > 0.2


@pytest.mark.parametrize("metric", ["gray-l2", "lightness"])
def test_the_metrics_are_smooth_where_answers_are(metric):
    rng = np.random.default_rng(4)
    for bitmap in (np.zeros(84), np.full(84, 9), np.arange(84) % 10, rng.integers(0, 10, 84)):
        law = Law(cost_table(bitmap.reshape(6, 14).astype(np.uint8), metric).costs)
        for power in (5, 9, 15):
            law.closest(10**power, 10)
        for lattice in law._coarse._lattices.values():
            assert len(lattice.log_tail) <= significance._LARGEST_TRANSFORM + 1
