import numpy as np
import pytest

from indexer.answers import draw_windows, theta_where, tilt
from indexer.cells import CODEWORDS, GROUP_DIRECTIONS, GROUPS, SUBCODE_DIRECTIONS, SUBCODES, Coder
from indexer.ir import MachineCode, host_features
from indexer.learning import learn_coder, stand_in
from indexer.projection import DIRECTIONS, LINEAR, QUADRATIC, Projection
from indexer.window import SHADES, WINDOW
from query import simulation
from query.assembly.simulate import LANES, TILE, simulate_assembly
from query.metrics import METRICS, cost_table
from query.simulation import Simulator

K = 61


def uniforms(k=K, seed=0):
    return np.random.default_rng(seed).random((k, WINDOW), dtype=np.float32)


def law(seed=0):
    weights = np.random.default_rng(seed).random((WINDOW, SHADES)) ** 3
    return weights / weights.sum(axis=1, keepdims=True)


def random_costs(largest, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(-largest, largest + 1, (WINDOW, SHADES), dtype=np.int32)


def random_parts(coder, seed=0):
    return coder.parts(np.random.default_rng(seed).standard_normal(DIRECTIONS))


def random_coder(bits, seed=0, low=-128, high=127):
    """Any int8 there is, and factors with which directions are small, large and clipped."""
    random = np.random.default_rng(seed)

    def numbers(*shape):
        return random.integers(low, high + 1, shape, dtype=np.int8)

    factors = random.choice([1e-4, 0.003, 0.01, 0.5, -0.02, 1e9], DIRECTIONS).astype(np.float32)
    return Coder(
        Projection(numbers(DIRECTIONS, 2, WINDOW), factors),
        numbers(GROUPS, 1 << bits, GROUP_DIRECTIONS),
        numbers(SUBCODES, CODEWORDS, SUBCODE_DIRECTIONS),
    )


def assert_as_defined(coder, draws, p, costs, parts=None):
    """Everything equal, bit for bit, to the functions of indexer/ that define it."""
    parts = parts or random_parts(coder)
    simulator = Simulator(coder, draws)
    found = simulator.run(p, costs, *parts)
    # twice over: NumPy adds up a single column in another order
    windows = draw_windows(p, np.concatenate([draws, draws]))
    distances = costs[np.arange(WINDOW), windows].sum(axis=1)
    cells, codes = coder.quantise(coder.projection.project(windows))
    given = Coder(coder.projection, coder.centroids, coder.codewords)
    object.__setattr__(given, "parts", lambda _: parts)
    predictions = given.predictions(cells, codes, np.zeros(DIRECTIONS))
    k = len(draws)
    for array, wanted in zip(
        (simulator.cells, simulator.codes, *found),
        (cells, codes, distances, *predictions),
        strict=True,
    ):
        assert array.dtype == wanted.dtype
        np.testing.assert_array_equal(array, wanted[:k])
    return simulator


def slow_nearest(point, centres):
    """The first of the nearest: |x - c|² is |x|² - 2⟨x, c⟩ + |c|²; half of it, rounded up."""
    scores = [
        sum(x * c for x, c in zip(point, centre, strict=True)) - -(-sum(c * c for c in centre) // 2)
        for centre in centres
    ]
    return scores.index(max(scores))


def slow_answer(coder, draw, p, costs, parts):
    """(distance, cell, code, by cell, by both) of one draw, by plain loops."""
    digits = []
    for row, uniform in zip(p.tolist(), draw, strict=True):
        total, bounds = 0.0, []
        for mass in row[:-1]:
            total += mass
            bounds.append(np.float32(total))
        digits.append(sum(bool(uniform > bound) for bound in bounds))
    distance = sum(int(costs[i][d]) for i, d in enumerate(digits))
    x = []
    for (linear, quadratic), factor in zip(
        coder.projection.weights.tolist(), coder.projection.factors, strict=True
    ):
        total = sum(
            a * int(LINEAR[d]) + b * int(QUADRATIC[d])
            for a, b, d in zip(linear, quadratic, digits, strict=True)
        )
        # round() of a Python float is to the nearest even, too
        x.append(min(max(round(float(np.float32(total) * factor)), -127), 127))
    cell, residual, by_cell = 0, [], 0.0
    for group in range(GROUPS):
        part = x[group * GROUP_DIRECTIONS : (group + 1) * GROUP_DIRECTIONS]
        centroids = coder.centroids[group].tolist()
        index = slow_nearest(part, centroids)
        cell |= index << group * coder.bits
        by_cell += float(parts[0][group][index])
        residual += [
            min(max(a - b, -128), 127) for a, b in zip(part, centroids[index], strict=True)
        ]
    code, of_codes = 0, np.float32(0)
    for s in range(SUBCODES):
        part = residual[s * SUBCODE_DIRECTIONS : (s + 1) * SUBCODE_DIRECTIONS]
        word = slow_nearest(part, coder.codewords[s].tolist())
        code |= word << 4 * s
        of_codes += parts[1][s][word]  # in float32
    return distance, cell, code, by_cell, by_cell + float(of_codes)


@pytest.fixture(scope="module")
def learned():
    return learn_coder(10**6)


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_draws_equal_plain_loops(bits):
    coder, draws, p, costs = random_coder(bits, bits), uniforms(11), law(), random_costs(900)
    parts = random_parts(coder)
    simulator = Simulator(coder, draws)
    distances, by_cell, by_both = simulator.run(p, costs, *parts)
    for j, draw in enumerate(draws):
        distance, cell, code, of_cell, of_both = slow_answer(coder, draw, p, costs, parts)
        assert distances[j] == distance
        assert simulator.cells[j] == cell
        assert simulator.codes[j] == code
        assert by_cell[j] == of_cell
        assert by_both[j] == of_both


@pytest.mark.parametrize("metric", METRICS)
def test_answers_of_a_metric_through_a_learned_coder(metric, learned, soundcloud):
    table = cost_table(soundcloud, metric)
    _, slopes = learned.projection.slopes(table.costs)
    for count in (1, 14, 1e6):
        theta = theta_where(table.costs, table.law.closest(10**9, count))
        p = tilt(table.costs, theta)[3]
        assert_as_defined(learned, uniforms(384), p, table.costs, learned.parts(slopes))


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_number_of_bits(bits):
    simulator = assert_as_defined(stand_in(bits), uniforms(), law(), random_costs(50))
    assert len(set(simulator.cells.tolist())) > 2
    assert_as_defined(random_coder(bits, bits), uniforms(), law(), random_costs(50))


@pytest.mark.parametrize("k", [1, 2, TILE - 1, TILE, TILE + 1, 100, 383])
def test_any_number_of_draws(k):
    assert_as_defined(stand_in(4), uniforms(k), law(), random_costs(50))


@pytest.mark.parametrize(
    "costs",
    [
        np.zeros((WINDOW, SHADES), np.int32),
        np.full((WINDOW, SHADES), -7, np.int32),
        np.eye(WINDOW, SHADES, dtype=np.int32),
        random_costs(10**7),
        np.full((WINDOW, SHADES), 10**7, np.int32),
        np.full((WINDOW, SHADES), -(10**7), np.int32),
        np.full((WINDOW, SHADES), np.iinfo(np.int32).max, np.int32),
        np.asfortranarray(random_costs(1000)),
    ],
    ids=["flat", "negative", "ten pixels", "huge", "high", "low", "int32", "by columns"],
)
def test_odd_cost_tables(costs):
    assert_as_defined(stand_in(2), uniforms(), law(), costs)
    p = tilt(costs, theta_where(costs, float(costs.min(axis=1).sum(dtype=np.int64)) + 20))[3]
    assert_as_defined(stand_in(2), uniforms(), p, costs)


@pytest.mark.parametrize("digit", range(SHADES))
def test_each_digit_at_each_pixel(digit):
    # all but one pixel draw the same digit; the costs tell every pixel and digit apart
    p = np.zeros((WINDOW, SHADES))
    p[:, digit] = 1
    costs = np.arange(WINDOW * SHADES, dtype=np.int32).reshape(WINDOW, SHADES) ** 2
    p[digit::SHADES] = 1 / SHADES
    assert_as_defined(stand_in(3), uniforms(), p, costs)


def test_a_uniform_that_equals_a_bound_does_not_exceed_it():
    # every digit is likely enough for all bounds to differ
    p = (law(5) + 1) / (SHADES + 1)
    bounds = np.cumsum(p, axis=1).astype(np.float32)[:, :-1]
    draws = np.empty((3 * (SHADES - 1) + 2, WINDOW), np.float32)
    draws[:9] = bounds.T
    draws[9:18] = np.nextafter(bounds.T, np.float32(0))
    draws[18:27] = np.nextafter(bounds.T, np.float32(2))
    draws[27], draws[28] = 0, 1
    costs = np.tile(np.arange(SHADES, dtype=np.int32), (WINDOW, 1))
    simulator = assert_as_defined(stand_in(3), draws, p, costs)
    distances = simulator.run(p, costs, *random_parts(stand_in(3)))[0]
    assert distances[:9].tolist() == [WINDOW * d for d in range(9)]
    assert distances[18:27].tolist() == [WINDOW * d for d in range(1, 10)]


@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("centre", [-128, 127])
@pytest.mark.parametrize("factor", [1e-4, -1e-4, 1.0, np.inf])
def test_extremes(weight, centre, factor):
    like = stand_in(8)
    coder = Coder(
        Projection(
            np.full((DIRECTIONS, 2, WINDOW), weight, np.int8),
            np.full(DIRECTIONS, factor, np.float32),
        ),
        np.full_like(like.centroids, centre),
        np.full_like(like.codewords, centre),
    )
    p = np.zeros((WINDOW, SHADES))
    for digit in (0, 9):
        p[:], p[:, digit] = 0, 1
        simulator = assert_as_defined(coder, uniforms(3), p, random_costs(5))
        assert not simulator.cells.any()
        assert not simulator.codes.any()


def test_halves_round_to_the_even():
    # one pixel counts, LINEAR is odd and the factor a half: every direction is a half
    weights = np.zeros((DIRECTIONS, 2, WINDOW), np.int8)
    flat = np.full((WINDOW, SHADES), 0.1)
    weights[:, 0, 0] = np.arange(-23, 25) * 2 - 1
    projection = Projection(weights, np.full(DIRECTIONS, 0.5, np.float32))
    for only in range(DIRECTIONS):
        alone = np.zeros_like(weights)
        alone[only] = weights[only]
        # centres 1 apart tell the roundings apart
        centroids = np.zeros((GROUPS, 256, GROUP_DIRECTIONS), np.int8)
        centroids[only // GROUP_DIRECTIONS, :, only % GROUP_DIRECTIONS] = np.arange(-128, 128)
        words = stand_in(8).codewords
        coder = Coder(Projection(alone, projection.factors), centroids, words)
        simulator = assert_as_defined(coder, uniforms(16), flat, random_costs(5))
        found = simulator.cells.astype(int) >> 8 * (only // GROUP_DIRECTIONS) & 255
        values = set((found - 128).tolist())
        assert all(value % 2 == 0 or abs(value) == 127 for value in values)
        assert len(values) > 2


@pytest.mark.parametrize("apart", [1, LANES - 1, LANES, LANES + 1, 128])
def test_the_smaller_index_wins_a_tie(apart):
    coder = stand_in(8)
    indices = np.arange(256)
    equals = indices - apart * (indices // apart % 2)  # every second stretch is the one before
    centroids = coder.centroids[:, equals]
    words = np.tile(coder.codewords[:, :8], (1, 2, 1))
    simulator = assert_as_defined(
        Coder(coder.projection, centroids, words), uniforms(), law(), random_costs(5)
    )
    found = simulator.cells[:, None] >> np.array([0, 8], np.uint32) & np.uint32(255)
    assert not (found // apart % 2).any()
    words = simulator.codes[:, None] >> np.arange(0, 48, 4, dtype=np.uint64) & np.uint64(15)
    assert words.max() < 8


def test_questions_do_not_disturb_each_other(learned):
    simulator = Simulator(learned, uniforms())
    other = Simulator(stand_in(8), uniforms(9, seed=1))
    questions = [
        (law(seed), random_costs(50, seed), *random_parts(learned, seed)) for seed in range(3)
    ]
    first = simulator.run(*questions[0])
    kept = [array.copy() for array in first]
    for question in questions[1:]:
        simulator.run(*question)
        other.run(law(), random_costs(9), *random_parts(stand_in(8)))
    # what a question got is still what it got
    for array, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(array, copy)
    for again, copy in zip(simulator.run(*questions[0]), kept, strict=True):
        np.testing.assert_array_equal(again, copy)


def test_smaller_vectors_and_no_multiply_add_are_the_same(monkeypatch, learned):
    # what every 64-bit x86 has, and what any other processor's vectors come to
    without = [
        name for name in host_features() if name.startswith(("avx", "fma", "f16c", "xop", "sse4"))
    ]
    code = MachineCode(simulate_assembly(), without, light=True)
    monkeypatch.setattr(simulation, "_compiled", lambda: (code, code.routine("simulate")))
    assert_as_defined(learned, uniforms(), law(), random_costs(50))
    assert_as_defined(random_coder(8), uniforms(), law(), random_costs(50))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"uniforms are \[3, 83\]; they must be \[k, 84\]"):
        Simulator(stand_in(1), uniforms(3)[:, 1:])
    with pytest.raises(ValueError, match=r"uniforms are \[0, 84\]"):
        Simulator(stand_in(1), uniforms(0))
    coder = stand_in(2)
    simulator = Simulator(coder, uniforms(3))
    of_cells, of_codes = random_parts(coder)
    p, costs = law(), random_costs(3)
    with pytest.raises(ValueError, match=r"costs is int64\[84, 10\]; it must be int32\[84, 10\]"):
        simulator.run(p, costs.astype(np.int64), of_cells, of_codes)
    with pytest.raises(ValueError, match=r"of_cells is float32\[2, 8\].* float32\[2, 4\]"):
        simulator.run(p, costs, np.zeros((2, 8), np.float32), of_codes)
    with pytest.raises(ValueError, match=r"of_codes is float64\[12, 16\]"):
        simulator.run(p, costs, of_cells, of_codes.astype(np.float64))
    with pytest.raises(ValueError, match=r"p is \[10\]; it must be \[84, 10\]"):
        simulator.run(p[0], costs, of_cells, of_codes)
