import numpy as np
import pytest

from indexer.projection import DIRECTIONS, FEATURES, VARIANCES, Projection, correlate
from indexer.window import WINDOW
from query.metrics import METRICS, cost_table


@pytest.fixture
def projection():
    random = np.random.default_rng(1)
    weights = random.integers(-127, 128, (DIRECTIONS, 2, WINDOW), dtype=np.int8)
    return Projection(weights, random.uniform(0.001, 0.05, DIRECTIONS).astype(np.float32))


def slow_project(projection, window):
    """One window, with Python's integers and a float32 for the last step."""
    found = []
    for weights, factor in zip(projection.weights.tolist(), projection.factors, strict=True):
        total = sum(
            weights[f][i] * int(FEATURES[f][window[i]]) for f in range(2) for i in range(WINDOW)
        )
        found.append(int(np.clip(np.rint(np.float32(total) * factor), -127, 127)))
    return found


def test_features_are_orthogonal_over_uniform_digits():
    assert FEATURES.sum(axis=1).tolist() == [0, 0]
    assert int(FEATURES[0] @ FEATURES[1]) == 0
    assert VARIANCES.tolist() == pytest.approx([33, 13.2])


def test_projecting_equals_plain_sums(projection):
    windows = np.random.default_rng(2).integers(0, 10, (40, WINDOW), dtype=np.uint8)
    windows[0], windows[1] = 0, 9
    windows[2] = np.where(projection.weights[5, 0] > 0, 9, 0)  # as large as a sum can be
    found = projection.project(windows).tolist()
    assert found == [slow_project(projection, window) for window in windows.tolist()]


@pytest.mark.parametrize("length", [84, 85, 147, 148, 1000])
def test_a_stretch_is_projected_window_by_window(projection, length):
    digits = np.random.default_rng(length).integers(0, 10, length, dtype=np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(digits, WINDOW)
    assert np.array_equal(projection.project_stretch(digits), projection.project(windows))


def test_a_stretch_in_pieces_is_the_same(projection):
    digits = np.random.default_rng(3).integers(0, 10, 1000, dtype=np.uint8)
    whole = projection.project_stretch(digits)
    for cut in (1, 63, 64, 65, 500):
        first = projection.project_stretch(digits[: cut + WINDOW - 1])
        assert np.array_equal(
            np.concatenate([first, projection.project_stretch(digits[cut:])]), whole
        )


@pytest.mark.parametrize("metric", METRICS)
def test_correlations_give_the_parabola_that_fits_best(metric, soundcloud):
    costs = cost_table(soundcloud, metric).costs
    fitted = correlate(costs) / VARIANCES[:, None]
    for pixel in (0, 20, 40):
        quadratic = np.polynomial.Polynomial.fit(np.arange(10), costs[pixel], 2)(np.arange(10))
        ours = costs[pixel].mean() + fitted[:, pixel] @ FEATURES
        assert ours == pytest.approx(quadratic)


def test_slopes_are_those_of_least_squares(projection, soundcloud):
    costs = cost_table(soundcloud, "l1").costs
    intercept, slopes = projection.slopes(costs)
    windows = np.random.default_rng(4).integers(0, 10, (60_000, WINDOW), dtype=np.uint8)
    features = FEATURES[:, windows]
    weights = projection.weights.astype(float)
    x = (features[0] @ weights[:, 0].T + features[1] @ weights[:, 1].T) * projection.factors
    distances = costs[np.arange(WINDOW), windows].sum(axis=1)
    errors = distances - intercept - x @ slopes
    # the error of the best linear function is uncorrelated with what it is a function of
    correlations = (errors @ x) / len(x) / errors.std() / x.std(axis=0)
    assert abs(errors.mean()) < 5 * errors.std() / np.sqrt(len(x))
    assert np.abs(correlations).max() < 5 / np.sqrt(len(x))
    assert errors.std() < 0.9 * distances.std()
