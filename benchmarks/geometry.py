"""What decided the index's form: projections and codes compared by simulation at 10^9 decimals.

No index is built. For held-out logos with l1 and l2, windows are drawn from a mixture of tilted
laws and weighted back (mixture importance sampling), so that one sample shows both what is lost of
the answer and how many random windows pass the same limits. Milliseconds are counts times what the
search takes for each, with two threads, where candidates are in the caches.
"""

from dataclasses import dataclass
from statistics import NormalDist

import click
import numpy as np
from numpy.typing import NDArray

from indexer import learning
from indexer.answers import draw_windows, theta_where, tilt
from indexer.blas import ONE_BLAS_THREAD
from indexer.cells import nearest
from indexer.corpus import held_out_logos, smooth_pictures, training_logos
from indexer.faiss_files import learn_centres
from indexer.projection import FEATURES, VARIANCES, correlate
from indexer.window import HEIGHT, SHADES, WIDTH, WINDOW
from measuring.machine import describe, print_machine, run
from query.metrics import CostTable, cost_table

_N_WINDOWS = 10**9 - WINDOW + 1
_TILTS = (0.45, 0.7, 1.0, 1.0)  # of the answer's own; the last two are the answer's law
_SAMPLE = 200_000
# Seconds: to compare a cell, to open a list, to look at a window of 4, 6, 8 bytes, to score one.
_CELL, _LIST, _SCORE = 5e-9, 1e-8, 4.5e-9
_LOOK = {4: 0.85e-10, 6: 1.1e-10, 8: 1.4e-10}


@dataclass(frozen=True)
class Question:
    """A cost table; windows drawn for it, their distances and their weights in random digits."""

    table: CostTable
    distance: int
    theta: float
    windows: NDArray[np.uint8]
    distances: NDArray[np.float64]
    weights: NDArray[np.float64]


def ask(logos: NDArray[np.uint8], draws: int) -> list[Question]:
    """A question for every logo and metric."""
    uniforms = np.random.default_rng(8).random((len(_TILTS) * draws, WINDOW), dtype=np.float32)
    questions = []
    for logo in logos:
        for metric in ("l1", "l2"):
            table = cost_table(logo.reshape(HEIGHT, WIDTH), metric)
            distance = table.law.closest(_N_WINDOWS, 14)
            theta = theta_where(table.costs, distance)
            laws = [tilt(table.costs, share * theta) for share in _TILTS]
            windows = np.concatenate(
                [
                    draw_windows(law[3], uniforms[k * draws : (k + 1) * draws])
                    for k, law in enumerate(laws)
                ]
            )
            distances = table.costs[np.arange(WINDOW), windows].sum(axis=1).astype(np.float64)
            densities = np.mean(
                [
                    np.exp(-share * theta * distances - law[0])
                    for share, law in zip(_TILTS, laws, strict=True)
                ],
                axis=0,
            )
            weights = 1 / densities / len(windows)
            questions.append(Question(table, distance, theta, windows, distances, weights))
    return questions


def compare_projections(questions: list[Question]) -> None:
    """Windows within the limit that keeps 99 % of the answer, without any quantisation."""
    steps = np.abs(np.arange(SHADES)[:, None] - np.arange(SHADES))
    wanted = (
        np.concatenate([correlate(table[training_logos()]) for table in (steps, steps**2)])
        / np.sqrt(VARIANCES)[:, None]
    )
    features = FEATURES / np.sqrt(VARIANCES)[:, None]
    print("windows within the limit that keeps 99 %: median and 90th percentile, l1 and l2")
    for name, kinds, dimensions in (
        ("48 directions of lines", 1, 48),
        ("48 of lines and parabolas", 2, 48),
        ("all 84 lines", 1, 84),
        ("all 168", 2, 168),
    ):
        vectors = wanted[:, :kinds].reshape(len(wanted), -1)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        basis = np.linalg.eigh(vectors.T @ vectors)[1][:, ::-1][:, :dimensions]
        passing: dict[str, list[float]] = {"l1": [], "l2": []}
        for question in questions:
            functional = correlate(question.table.costs) / np.sqrt(VARIANCES)[:, None]
            projected = basis @ (basis.T @ functional[:kinds].reshape(-1))
            x = features[:kinds][:, question.windows].transpose(1, 0, 2)
            predictions = x.reshape(len(x), -1) @ projected
            near = question.distances <= question.distance
            order = np.argsort(predictions[near])
            share = np.cumsum(question.weights[near][order])
            limit = predictions[near][order][np.searchsorted(share, 0.99 * share[-1])]
            passing[question.table.name].append(
                _N_WINDOWS * question.weights[predictions <= limit].sum()
            )
        cells = [np.percentile(passing[metric], [50, 90]) for metric in ("l1", "l2")]
        print(f"  {name:28}" + "   ".join(f"{a:9,.0f} {b:9,.0f}" for a, b in cells))


@dataclass(frozen=True)
class Form:
    """Two groups of 2**bits centroids, and `bytes_` of 4-bit codes."""

    bits: int
    bytes_: int

    def learn(self, answers: NDArray[np.int8], noise: NDArray[np.int8]) -> list[NDArray[np.int8]]:
        """Centroids of both groups, then the codewords of each part."""
        points, others = (np.concatenate([answers[:k], noise[k:]]) for k in (100_000, 160_000))
        books = [learn_centres(p, 1 << self.bits, 12, 1) for p in np.split(points, 2, axis=1)]
        left = np.concatenate(
            [
                np.clip(p.astype(np.int16) - book[nearest(p, book)], -128, 127).astype(np.int8)
                for p, book in zip(np.split(others, 2, axis=1), books, strict=True)
            ],
            axis=1,
        )
        return books + [
            learn_centres(p, 16, 12, 1) for p in np.split(left, 2 * self.bytes_, axis=1)
        ]


def measure(
    form: Form, books: list[NDArray[np.int8]], questions: list[Question], lost: float
) -> NDArray[np.float64]:
    """(cells within the limit, windows in them, windows scored) of every question."""
    z = NormalDist().inv_cdf(1 - lost)
    rows = []
    for question in questions:
        _, slopes = projection.slopes(question.table.costs)
        x = projection.project(question.windows)
        halves, books_of_cells = np.split(x, 2, axis=1), books[:2]
        centres = np.concatenate(
            [book[nearest(p, book)] for p, book in zip(halves, books_of_cells, strict=True)], axis=1
        ).astype(np.int16)
        left = np.clip(x - centres, -128, 127).astype(np.int8)
        words = np.concatenate(
            [
                book[nearest(p, book)]
                for p, book in zip(np.split(left, 2 * form.bytes_, axis=1), books[2:], strict=True)
            ],
            axis=1,
        )
        by_cell, by_both = centres @ slopes, (centres + words) @ slopes
        answer = slice(len(x) // 2, None)
        above = question.distances[answer] - question.distance
        limits = []
        for predictions in (by_cell[answer], by_both[answer]):
            slope, at = np.polyfit(above, predictions, 1)
            error = (predictions - at - slope * above).std()
            limits.append(at - slope / question.theta + z * error)
        first, second = (
            book.astype(float) @ part
            for book, part in zip(books[:2], np.split(slopes, 2), strict=True)
        )
        cells = np.searchsorted(np.sort(first), limits[0] - second, side="right").sum()
        seen = by_cell <= limits[0]
        windows = (
            question.weights[seen].sum(),
            question.weights[seen & (by_both <= limits[1])].sum(),
        )
        rows.append((cells, *(min(1.0, share) * _N_WINDOWS for share in windows)))
    return np.array(rows)


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--logos", type=click.IntRange(10), default=120, show_default=True)
@click.option("--draws", type=click.IntRange(100), default=500, show_default=True)
def main(logos: int, draws: int) -> None:
    """Print both tables."""
    print_machine(describe())
    questions = ask(held_out_logos()[:logos], draws)
    compare_projections(questions)
    with ONE_BLAS_THREAD:
        answers = projection.project(
            learning.simulate_answers(training_logos(), _SAMPLE, _N_WINDOWS)
        )
        noise = np.random.default_rng(1).integers(0, SHADES, (_SAMPLE, WINDOW), dtype=np.uint8)
        noise_points = projection.project(noise)
        print("\ncells       bytes  lost at each    windows: median      95th    scored: 95th"
              "    ms: median   95th")  # fmt: skip
        for form in (Form(8, 4), Form(9, 4), Form(10, 4), Form(8, 6), Form(9, 6), Form(8, 8)):
            books = form.learn(answers, noise_points)
            for lost in (0.003, 0.0004):
                cells, windows, scored = measure(form, books, questions, lost).T
                seconds = _CELL * cells + _LIST * np.minimum(cells, windows)
                seconds += _LOOK[form.bytes_] * windows + _SCORE * scored
                a, b = np.percentile(windows, [50, 95])
                c, d = 1e3 * np.percentile(seconds, [50, 95])
                most = np.percentile(scored, 95)
                print(f"2^{form.bits} x 2^{form.bits:<4} {form.bytes_}      {lost:<12g} {a:17,.0f} "
                      f"{b:11,.0f} {most:15,.0f} {c:13.2f} {d:6.1f}")  # fmt: skip


projection = learning.learn_projection(
    training_logos(), smooth_pictures(len(training_logos()), learning.SEED)
)

if __name__ == "__main__":
    run(main)
