"""The coders of the ablation: that of the index as it is, and those with one part left out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from indexer.cells import Coder
from indexer.corpus import smooth_pictures, training_logos
from indexer.learning import (
    DECIDED,
    SEED,
    Recipe,
    leading_directions,
    learn_coder,
    mean_square,
)
from indexer.projection import FEATURES, VARIANCES
from indexer.window import WINDOW, count_windows

_SAMPLE_WINDOWS = 1_000_000
_BLOCK = 1 << 15


@dataclass(frozen=True)
class Variant:
    """An index with one part left out: what makes its coder of decimals uint8[n] ASCII."""

    key: str
    name: str
    make: Callable[[NDArray[np.uint8]], Coder]


def windows_square(digits: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The covariance of the windows' own features: float64[168, 168], as `mean_square` has them.

    Of the first million windows of uint8[n] ASCII.
    """
    n_windows = min(count_windows(len(digits)), _SAMPLE_WINDOWS)
    scaled = (FEATURES / np.sqrt(VARIANCES)[:, None]).astype(np.float32)
    square = np.zeros((2 * WINDOW, 2 * WINDOW))
    total = np.zeros(2 * WINDOW)
    for begin in range(0, n_windows, _BLOCK):
        end = min(begin + _BLOCK, n_windows)
        stretch = digits[begin : end + WINDOW - 1] & np.uint8(15)
        windows = np.lib.stride_tricks.sliding_window_view(stretch, WINDOW)
        features = np.concatenate([scaled[0][windows], scaled[1][windows]], axis=1)
        square += features.T @ features
        total += features.sum(axis=0, dtype=np.float64)
    mean = total / n_windows
    return square / n_windows - np.outer(mean, mean)


def lines_square() -> NDArray[np.float64]:
    """The mean square that the projection is learned from, without the parabolas."""
    pictures = training_logos()
    square = mean_square(pictures, smooth_pictures(len(pictures), SEED), DECIDED.prior)
    square[WINDOW:] = 0
    square[:, WINDOW:] = 0
    return square


def _by_recipe(recipe: Recipe, digits: NDArray[np.uint8]) -> Coder:
    return learn_coder(count_windows(len(digits)), recipe=recipe)


def _by_windows(digits: NDArray[np.uint8]) -> Coder:
    projection = leading_directions(windows_square(digits), DECIDED.power)
    return learn_coder(count_windows(len(digits)), projection=projection)


def _by_lines(digits: NDArray[np.uint8]) -> Coder:
    projection = leading_directions(lines_square(), DECIDED.power)
    return learn_coder(count_windows(len(digits)), projection=projection)


def _variant(key: str, name: str, recipe: Recipe) -> Variant:
    return Variant(key, name, partial(_by_recipe, recipe))


_NO_ANSWERS = Recipe(answers_in_cells=0, answers_in_codes=0)
FULL = _variant("full", "as it is", DECIDED)
VARIANTS = (
    _variant("random_windows", "codebooks learned on random windows", _NO_ANSWERS),
    _variant(
        "random_points",
        "codebooks are random windows",
        Recipe(answers_in_cells=0, answers_in_codes=0, rounds=0),
    ),
    _variant("no_scaling", "directions all weigh the same", Recipe(power=0)),
    _variant("half_power", "directions scaled by the power 1/2", Recipe(power=0.5)),
    _variant("short_codes", "codes of 4 bytes", Recipe(code_bits=32)),
    _variant("no_prior", "no smooth pictures", Recipe(prior=0)),
    Variant("lines", "lines alone, no parabolas", _by_lines),
    Variant("data_pca", "directions of the windows' own PCA", _by_windows),
)
