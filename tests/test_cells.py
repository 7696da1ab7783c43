import numpy as np
import pytest

from indexer.cells import (
    CODEWORDS,
    GROUP_DIRECTIONS,
    GROUPS,
    SUBCODE_DIRECTIONS,
    SUBCODES,
    Coder,
    nearest,
)
from indexer.learning import stand_in
from indexer.projection import DIRECTIONS


def random_coder(bits, seed=0, largest=127):
    random = np.random.default_rng(seed)
    like = stand_in(bits)
    shape = like.centroids.shape
    centroids = random.integers(-largest, largest + 1, shape, dtype=np.int8)
    codewords = random.integers(-largest, largest + 1, like.codewords.shape, dtype=np.int8)
    return Coder(like.projection, centroids, codewords)


def slow_nearest(point, centres):
    """The first of the nearest: |x - c|² is |x|² - 2⟨x, c⟩ + |c|²; half of it, rounded up."""
    scores = [
        sum(x * c for x, c in zip(point, centre, strict=True)) - -(-sum(c * c for c in centre) // 2)
        for centre in centres
    ]
    return scores.index(max(scores))


def slow_quantise(coder, x):
    cell, residual = 0, []
    for group in range(GROUPS):
        part = x[group * GROUP_DIRECTIONS : (group + 1) * GROUP_DIRECTIONS]
        centroids = coder.centroids[group].tolist()
        index = slow_nearest(part, centroids)
        cell |= index << group * coder.bits
        residual += [
            min(max(a - b, -128), 127) for a, b in zip(part, centroids[index], strict=True)
        ]
    code = 0
    for s in range(SUBCODES):
        part = residual[s * SUBCODE_DIRECTIONS : (s + 1) * SUBCODE_DIRECTIONS]
        code |= slow_nearest(part, coder.codewords[s].tolist()) << 4 * s
    return cell, code


@pytest.mark.parametrize("bits", [1, 3, 6])
def test_cells_and_codes_equal_plain_loops(bits):
    coder = random_coder(bits, bits)
    x = np.random.default_rng(9).integers(-127, 128, (25, DIRECTIONS), dtype=np.int8)
    x[0], x[1] = 127, -127
    cells, codes = coder.quantise(x)
    found = list(zip(cells.tolist(), codes.tolist(), strict=True))
    assert found == [slow_quantise(coder, row) for row in x.tolist()]


def test_the_smaller_index_wins_a_tie():
    centres = np.array([[6, 0], [2, 0], [2, 0], [-2, 0]], dtype=np.int8)
    assert nearest(np.array([[4, 0], [3, 0], [0, 0]], np.int8), centres).tolist() == [0, 1, 1]


def test_predictions_are_slopes_times_what_cell_and_code_stand_for():
    coder = random_coder(4, largest=40)
    random = np.random.default_rng(3)
    x = random.integers(-127, 128, (50, DIRECTIONS), dtype=np.int8)
    slopes = random.standard_normal(DIRECTIONS)
    cells, codes = coder.quantise(x)
    by_cell, by_both = coder.predictions(cells, codes, slopes)
    for row in range(len(x)):
        index = [int(cells[row]) >> group * coder.bits & 15 for group in range(GROUPS)]
        centre = np.concatenate([coder.centroids[g][i] for g, i in enumerate(index)]).astype(float)
        words = [int(codes[row]) >> 4 * s & CODEWORDS - 1 for s in range(SUBCODES)]
        residual = np.concatenate([coder.codewords[s][w] for s, w in enumerate(words)])
        assert by_cell[row] == pytest.approx(centre @ slopes, abs=1e-3)
        assert by_both[row] == pytest.approx((centre + residual) @ slopes, abs=1e-3)
