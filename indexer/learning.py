"""Learning the projection and the codebooks, for an index of n windows.

**Projection.** The distances that people ask for are functions of a window; in the features of
indexer/projection.py each is a vector of 2 × 84 coefficients. The directions are the leading
eigenvectors of the mean square of such vectors, over logos and smooth pictures, with l1 and l2. A
direction is scaled by a power of its eigenvalue, so that plain Euclidean quantisers spend their
bits where queries need them: with the power 1/2 the median logo is served best, with less the hard
ones are.

**Codebooks.** The windows that a query wants are five-sigma events. Random windows have hardly any
there, so the codebooks are learned mostly on simulated answers (indexer/answers.py) at the distance
at which the tenth best of n windows is expected.

Nothing here depends on the decimals. One thread, one seed: the same bytes every time.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.answers import draw_windows, theta_where, tilt
from indexer.blas import ONE_BLAS_THREAD
from indexer.cells import (
    CODEWORDS,
    GROUP_DIRECTIONS,
    GROUPS,
    LARGEST_BITS,
    SMALLEST_BITS,
    SUBCODE_BITS,
    SUBCODE_DIRECTIONS,
    SUBCODES,
    Coder,
    nearest,
)
from indexer.corpus import smooth_pictures, training_logos
from indexer.faiss_files import learn_centres
from indexer.progress import Progress, Tally, silent
from indexer.projection import DIRECTIONS, LARGEST, VARIANCES, Projection, correlate
from indexer.window import SHADES, WINDOW

SEED = 20140314
# Windows in the mean cell. To open a list costs as much as to look at 200 windows of one, and
# where answers lie cells hold a hundredth of the mean.
_WINDOWS_A_CELL = 15_000
# The leading direction's deviation over random windows. Answers reach 6 of them.
_UNIT = 20.0
_DRAWS_A_PICTURE = 48
_LARGEST_SAMPLE = 300_000
# Costs of l1 and l2 by shade of the reference: int64[10, 10] each.
_DIFFERENCES = np.abs(np.arange(SHADES)[:, None] - np.arange(SHADES))
_METRIC_STEPS = (_DIFFERENCES, _DIFFERENCES**2)


@dataclass(frozen=True)
class Recipe:
    """What a coder is made of; the values here are those that the figures decided.

    power is that of its eigenvalue which scales a direction (0: all weigh the same); prior the
    share of smooth pictures among those to learn from; answers_in_cells and answers_in_codes the
    shares of simulated answers among the points of centroids and of codewords, the rest being
    random windows; rounds those of k-means (0: the centres are random points); code_bits how many
    of a code's 48 bits are used, dealt out to the subcodes.
    benchmarks/ablation.py shows what each is worth.
    """

    power: float = 0.3
    prior: float = 0.1
    answers_in_cells: float = 0.5
    answers_in_codes: float = 0.8
    rounds: int = 12
    code_bits: int = SUBCODES * SUBCODE_BITS


DECIDED = Recipe()


def cell_bits(n_windows: int) -> int:
    """Bits of a cell's index in each group, for an index of so many windows."""
    bits = round(math.log2(max(1, n_windows / _WINDOWS_A_CELL)) / GROUPS)
    return min(max(bits, SMALLEST_BITS), LARGEST_BITS)


def learn_projection(
    pictures: NDArray[np.uint8], prior: NDArray[np.uint8], recipe: Recipe = DECIDED
) -> Projection:
    """The projection for pictures (uint8[m, 84]), mixed with a prior of the same form."""
    return leading_directions(mean_square(pictures, prior, recipe.prior), recipe.power)


def mean_square(
    pictures: NDArray[np.uint8], prior: NDArray[np.uint8], prior_share: float
) -> NDArray[np.float64]:
    """The mean square of the vectors that people ask for: float64[168, 168].

    Lines of 84 pixels, then parabolas, in units of the features' deviations, so that directions
    stay uncorrelated.
    """
    square = np.zeros((2 * WINDOW, 2 * WINDOW))
    for bitmaps, share in ((pictures, 1 - prior_share), (prior, prior_share)):
        for steps in _METRIC_STEPS:
            wanted = correlate(steps[bitmaps]) / np.sqrt(VARIANCES)[:, None]
            wanted = wanted.reshape(-1, 2 * WINDOW)
            wanted = wanted[(wanted**2).sum(axis=1) > 0]
            wanted /= np.sqrt((wanted**2).sum(axis=1, keepdims=True))
            square += share * wanted.T @ wanted / len(wanted)
    return square


def leading_directions(square: NDArray[np.float64], power: float) -> Projection:
    """The projection on the leading eigenvectors of a mean square, as `mean_square` has them.

    The deviation of each is in proportion to its eigenvalue to that power.
    """
    values, vectors = np.linalg.eigh(square)
    values, vectors = values[::-1][:DIRECTIONS], vectors[:, ::-1][:, :DIRECTIONS].T
    # an eigenvector has no sign: its largest entry is positive
    largest = np.abs(vectors).argmax(axis=1)
    vectors = vectors * np.sign(vectors[np.arange(DIRECTIONS), largest])[:, None]
    deviations = _UNIT * (np.maximum(values, 0) / values[0]) ** power
    order = _arrangement(deviations)
    vectors, deviations = vectors[order], deviations[order]
    coefficients = vectors.reshape(DIRECTIONS, 2, WINDOW) / np.sqrt(VARIANCES)[:, None]
    grain = np.abs(coefficients).max(axis=(1, 2)) / LARGEST
    weights = np.rint(coefficients / grain[:, None, None])
    return Projection(weights.astype(np.int8), (deviations * grain).astype(np.float32))


def _arrangement(deviations: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order of directions in which groups and subcodes are balanced: int64[48].

    deviations fall. What a quantiser has to cover is the product of its deviations: so directions
    are dealt out to groups, and within a group to its parts of subcodes, the largest that is left
    to the one with the least product. The axes stay as they are: sums over groups add up.
    """
    places: list[tuple[int, int]] = [
        (k // GROUP_DIRECTIONS, k // SUBCODE_DIRECTIONS) for k in range(DIRECTIONS)
    ]
    room = {place: places.count(place) for place in places}
    by_group = dict.fromkeys(range(GROUPS), 0.0)
    by_subcode = dict.fromkeys(range(SUBCODES), 0.0)
    taken: dict[tuple[int, int], list[int]] = {place: [] for place in room}
    for direction, deviation in enumerate(deviations):
        weight = math.log(max(deviation, 1e-9) / max(deviations[-1], 1e-9)) + 1e-3
        free = [place for place in room if len(taken[place]) < room[place]]
        place = min(free, key=lambda at: (by_group[at[0]], by_subcode[at[1]], at))
        taken[place].append(direction)
        by_group[place[0]] += weight
        by_subcode[place[1]] += weight
    return np.array([k for place in sorted(room) for k in taken[place]], dtype=np.int64)


def simulate_answers(pictures: NDArray[np.uint8], count: int, n_windows: int) -> NDArray[np.uint8]:
    """`count` windows uint8[count, 84] as the tenth best of n look, over pictures, l1 and l2."""
    random = np.random.default_rng(SEED)
    rate = math.log(max(n_windows / 10, 10))
    drawn = []
    for number in range(-(-count // _DRAWS_A_PICTURE)):
        picture = pictures[random.integers(len(pictures))]
        costs = _METRIC_STEPS[number % 2][picture]
        p = tilt(costs, _theta_at_rate(costs, rate))[3]
        uniforms = random.random((_DRAWS_A_PICTURE, WINDOW), dtype=np.float32)
        drawn.append(draw_windows(p, uniforms))
    return np.concatenate(drawn)[:count]


def _theta_at_rate(costs: NDArray[np.integer], rate: float) -> float:
    """θ at whose mean distance m the log of P(D <= m) is about -rate (Daniels 1954)."""
    _, mean, deviation, _ = tilt(costs, 0.0)
    if deviation == 0:
        return 0.0
    distance = mean
    for _ in range(4):  # a normal law's guess, corrected by the exponent's slope, which is θ
        theta = theta_where(costs, distance)
        log_mass, _, width, _ = tilt(costs, theta)
        depth = max(theta * width, 1.0)
        log_tail = log_mass + theta * distance - math.log(depth * math.sqrt(2 * math.pi))
        slope = theta if theta > 0 else math.sqrt(2 * rate) / deviation
        step = (-rate - log_tail) / slope if theta > 0 else -deviation * math.sqrt(2 * rate)
        distance = max(distance + step, float(costs.min(axis=1).sum()) + 1e-3 * deviation)
    return theta_where(costs, distance)


def learn_coder(
    n_windows: int,
    progress: Progress = silent,
    recipe: Recipe = DECIDED,
    projection: Projection | None = None,
) -> Coder:
    """Projection and codebooks for an index of n windows. Some seconds, one thread.

    A projection that is given takes the place of the learned one. Reports the stage learn.
    """
    bits = cell_bits(n_windows)
    with ONE_BLAS_THREAD:
        tally = Tally("learn", GROUPS + SUBCODES + 2, "codebooks", progress)
        pictures = training_logos()
        prior = smooth_pictures(len(pictures), SEED)
        projection = projection or learn_projection(pictures, prior, recipe)
        count = min(_LARGEST_SAMPLE, 40_000 + (1024 << bits))
        every = np.concatenate([pictures, prior[: int(recipe.prior * len(prior))]])
        answers = _project(projection, simulate_answers(every, count, n_windows))
        tally.add(1)
        random = np.random.default_rng(SEED)
        noise = _project(projection, random.integers(0, SHADES, (count, WINDOW), dtype=np.uint8))
        tally.add(1)
        points = _mix(answers, noise, recipe.answers_in_cells)
        centroids = _learn_centroids(points, bits, recipe.rounds, tally)
        others = _mix(answers, noise, recipe.answers_in_codes)
        codewords = _learn_codewords(_residual(others, centroids), recipe, tally)
    return Coder(projection, centroids, codewords)


def _learn_centroids(
    points: NDArray[np.int8], bits: int, rounds: int, tally: Tally
) -> NDArray[np.int8]:
    """Centroids int8[2, 2**bits, 24] of points int8[k, 48]."""
    centroids = np.empty((GROUPS, 1 << bits, GROUP_DIRECTIONS), dtype=np.int8)
    for group, part in enumerate(np.split(points, GROUPS, axis=1)):
        centroids[group] = learn_centres(part, 1 << bits, rounds, SEED)
        tally.add(1)
    return centroids


def _residual(points: NDArray[np.int8], centroids: NDArray[np.int8]) -> NDArray[np.int8]:
    """What the centroids leave of points int8[k, 48], clipped: int8[k, 48]."""
    residual = np.empty_like(points)
    for group, centres in enumerate(centroids):
        span = slice(group * GROUP_DIRECTIONS, (group + 1) * GROUP_DIRECTIONS)
        for rows in np.array_split(np.arange(len(points)), 16):
            index = nearest(points[rows, span], centres)
            left = points[rows, span].astype(np.int16) - centres[index]
            residual[rows, span] = np.clip(left, -128, 127)
    return residual


def _learn_codewords(residual: NDArray[np.int8], recipe: Recipe, tally: Tally) -> NDArray[np.int8]:
    """Codewords int8[12, 16, 4] of residuals int8[k, 48].

    Where a subcode has fewer bits, its first codeword is repeated: of equal ones it is the first
    that is nearest.
    """
    codewords = np.empty((SUBCODES, CODEWORDS, SUBCODE_DIRECTIONS), dtype=np.int8)
    bits = np.diff(np.arange(SUBCODES + 1) * recipe.code_bits // SUBCODES)
    for number, part in enumerate(np.split(residual, SUBCODES, axis=1)):
        learned = learn_centres(part, 1 << int(bits[number]), recipe.rounds, SEED)
        codewords[number] = learned[0]
        codewords[number, : len(learned)] = learned
        tally.add(1)
    return codewords


def _project(projection: Projection, windows: NDArray[np.uint8]) -> NDArray[np.int8]:
    return np.concatenate([projection.project(part) for part in np.array_split(windows, 16)])


def _mix(answers: NDArray[np.int8], noise: NDArray[np.int8], share: float) -> NDArray[np.int8]:
    """As many points as there are answers, `share` of them answers."""
    n_answers = int(share * len(answers))
    return np.concatenate([answers[:n_answers], noise[: len(noise) - n_answers]])


def stand_in(bits: int) -> Coder:
    """A coder of random numbers: worthless, but it takes as long as a learned one."""
    random = np.random.default_rng(SEED)

    def numbers(*shape: int) -> NDArray[np.int8]:
        return random.integers(-40, 41, shape, dtype=np.int8)

    projection = Projection(
        numbers(DIRECTIONS, 2, WINDOW), np.full(DIRECTIONS, 0.01, dtype=np.float32)
    )
    centroids = numbers(GROUPS, 1 << bits, GROUP_DIRECTIONS)
    return Coder(projection, centroids, numbers(SUBCODES, CODEWORDS, SUBCODE_DIRECTIONS))
