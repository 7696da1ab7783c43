"""What each part of the index buys: indexes with one part left out, asked the same questions.

Every variant is a whole index of the same decimals, built with its own coder and opened beside the
one that is as it is. Held-out logos, l1 and l2, --missed 0.1: each question goes to both, one after
the other, always to the index, twice, and the second time counts. What was found is compared with
an exact scan. So the limits are always those that the calibration finds necessary for that coder:
a worse coder is not less right, it has to look farther.

"Against" is the median of a variant over that of the index as it is, same questions, in turns.
Questions without an answer are those for which no limits are wide enough; they are counted, and
left out of times and recall.

Takes 6 minutes and 6 GB of disk at 10^8 decimals.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from index_questions import (
    MISSED,
    TOP,
    Asked,
    Opened,
    choose_logos,
    make_table,
    recall,
    say,
    store_in,
    summarise,
    timed_build,
)
from machine import describe, print_machine, run
from numpy.typing import NDArray
from predicted import ByPrediction
from record import BUILD, INDEX, save

from indexer.cells import ENTRY_BYTES, Coder
from indexer.corpus import smooth_pictures, training_logos
from indexer.index_files import coder_bytes
from indexer.learning import (
    DECIDED,
    SEED,
    Recipe,
    leading_directions,
    learn_coder,
    mean_square,
)
from indexer.options import Count, home_option, threads_option
from indexer.projection import FEATURES, VARIANCES
from indexer.resources import available_memory
from indexer.window import WINDOW, count_windows
from query.kernels import load_kernel
from query.lists import Lists
from query.metrics import CostTable
from query.ranking import Ranking
from query.scan import closest_windows

METRICS = ("l1", "l2")
_SAMPLE_WINDOWS = 1_000_000
_BLOCK = 1 << 15


@dataclass(frozen=True)
class Variant:
    """An index with one part left out: what makes its coder of decimals uint8[n] ASCII."""

    key: str
    name: str
    make: Callable[[NDArray[np.uint8]], Coder]


@dataclass(frozen=True, eq=False)
class Question:
    """A cost table and the true answer."""

    table: CostTable
    truth: Ranking


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
NO_RESCORING = "ranked by its predictions alone"
VARIANTS = (
    _variant("random_windows", "codebooks learned on random windows", _NO_ANSWERS),
    _variant(
        "random_points",
        "codebooks are random windows",
        Recipe(answers_in_cells=0, answers_in_codes=0, rounds=0),
    ),
    _variant("no_scaling", "directions all weigh the same", Recipe(power=0)),
    _variant("half_power", "directions scaled by the power 1/2", Recipe(power=0.5)),
    _variant("no_prior", "no smooth pictures", Recipe(prior=0)),
    Variant("lines", "lines alone, no parabolas", _by_lines),
    Variant("data_pca", "directions of the windows' own PCA", _by_windows),
)


def find_truths(
    digits: NDArray[np.uint8], logos: NDArray[np.uint8], threads: int
) -> list[list[Question]]:
    """The questions of each logo, both metrics, with what a scan finds."""
    kernel = load_kernel()
    questions = []
    for logo in logos:
        tables = [make_table(logo, metric) for metric in METRICS]
        questions.append(
            [
                Question(table, closest_windows(digits, table, TOP, kernel=kernel, threads=threads))
                for table in tables
            ]
        )
    return questions


@dataclass(frozen=True)
class Pair:
    """What a variant made of a question, and the index as it is, asked next."""

    question: Question
    asked: Asked
    beside: Asked


def ask_all(
    opened: Opened, full: Opened | None, questions: Sequence[Sequence[Question]], patience: float
) -> list[Pair]:
    """Every question to one index, then to the full one, logo after logo.

    Ends early, after a whole logo, when the patience (seconds) is over. Without a full one the
    index stands beside itself.
    """
    began = time.perf_counter()
    pairs: list[Pair] = []
    for of_logo in questions:
        for question in of_logo:
            asked = opened.ask(question.table)
            beside = full.ask(question.table) if full else asked
            pairs.append(Pair(question, asked, beside))
        if time.perf_counter() - began > patience:
            break
    return pairs


def make_row(key: str, name: str, metric: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    """One variant's figures for one metric; ratios are over what both indexes answered."""
    mine = [pair for pair in pairs if pair.question.table.name == metric]
    both = [p for p in mine if p.asked.found is not None and p.beside.found is not None]
    ours, full = summarise([p.asked for p in both]), summarise([p.beside for p in both])
    answered = [pair for pair in mine if pair.asked.found is not None]
    row: dict[str, Any] = {"key": key, "name": name, "metric": metric, "asked": len(mine)}
    row |= summarise([pair.asked for pair in mine])
    row["recall"] = recall(
        [pair.question.truth for pair in answered],
        [pair.asked.found.ranking for pair in answered if pair.asked.found is not None],
    )
    for figure in ("ms_median", "ms_p95", "windows_median", "candidates_median"):
        row[f"ratio_{figure}"] = ours[figure] / full[figure] if both else None
    return row


def rows_by_prediction(
    opened: Opened, questions: Sequence[Sequence[Question]]
) -> list[dict[str, Any]]:
    """Recall of the ten windows that the index itself predicts to be closest."""
    n_windows = count_windows(opened.n)
    index = opened.index
    lists = Lists(index.directory, index.lists, opened.digits, n_windows, n_windows)
    best = ByPrediction(opened.coder, lists)
    rows = []
    for number, metric in enumerate(METRICS):
        truths, found = [], []
        for of_logo in questions:
            question = of_logo[number]
            starts = best.closest(question.table, TOP)
            truths.append(question.truth)
            found.append(Ranking(starts, np.zeros(len(starts), dtype=np.int64)))
        rows.append(
            {
                "key": "no_rescoring",
                "name": NO_RESCORING,
                "metric": metric,
                "asked": len(found),
                "none": 0,
                "recall": recall(truths, found),
            }
        )
    return rows


def measure(options: dict[str, Any], work: Path) -> dict[str, Any]:
    """Build all variants, ask them, and give back what is kept of it."""
    home, n, threads = options["home"], options["digits"], options["threads"]
    wanted = options["variants"]
    with ExitStack() as stack:
        store = stack.enter_context(store_in(work / FULL.key, home, n))
        say(f"{FULL.key}: build")
        timed_build(store, threads, coder_bytes(FULL.make(store.open())))
        full = Opened(store, threads)
        say("the true answers, by scans")
        questions = find_truths(full.digits, choose_logos(options["logos"]), threads)
        full.ask(questions[0][0].table)  # compiles
        pairs = ask_all(full, None, questions, np.inf)
        rows = [make_row(FULL.key, FULL.name, metric, pairs) for metric in METRICS]
        # Both indexes and their decimals must stay in the page cache, or the disk is measured.
        in_turns = 2 * (ENTRY_BYTES + 1) * n < available_memory()
        if not in_turns:
            say("memory holds one index only: each variant is asked alone, and not in turns")
        for variant in VARIANTS:
            if wanted and variant.key not in wanted:
                continue
            with store_in(work / variant.key, home, n) as store:
                say(f"{variant.key}: build")
                timed_build(store, threads, coder_bytes(variant.make(store.open())))
                opened = Opened(store, threads)
                say(f"{variant.key}: ask")
                asked = ask_all(opened, full if in_turns else None, questions, options["patience"])
            if not in_turns:
                asked = [
                    Pair(one.question, one.asked, before.asked)
                    for one, before in zip(asked, pairs, strict=False)
                ]
            rows += [make_row(variant.key, variant.name, metric, asked) for metric in METRICS]
        say("no_rescoring")
        rows += rows_by_prediction(full, questions)
    return {
        "n": n,
        "missed": MISSED,
        "n_logos": len(questions),
        "in_turns": in_turns,
        "rows": rows,
    }


_HEAD = (
    f"{'':40}{'ms:':>8}{'':8}{'windows:':>13}{'scored:':>12}{'':11}{'against as it is:':>18}\n"
    f"{'':40}{'median':>8}{'95 %':>8}{'median':>13}{'median':>12}{'recall@10':>11}"
    f"{'ms':>9}{'windows':>9}{'no answer':>11}{'of':>5}"
)


def _cell(value: float | None, form: str, width: int) -> str:
    return f"{'' if value is None else format(value, form):>{width}}"


def format_row(row: dict[str, Any]) -> str:
    """A line of the table; what was not measured is empty."""
    few = row.get("ms_median") is not None and row["ms_median"] < 100
    return (
        f"{row['name']:36} {row['metric']:3}"
        f"{_cell(row.get('ms_median'), '.2f' if few else ',.0f', 8)}"
        f"{_cell(row.get('ms_p95'), ',.0f', 8)}"
        f"{_cell(row.get('windows_median'), ',.0f', 13)}"
        f"{_cell(row.get('candidates_median'), ',.0f', 12)}"
        f"{_cell(row['recall'], '.4f', 11)}"
        f"{_cell(row.get('ratio_ms_median'), '.2f', 9)}"
        f"{_cell(row.get('ratio_windows_median'), '.2f', 9)}"
        f"{row['none']:11}{row['asked']:5}"
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(10_000), default=10**8, show_default="1e8", metavar="N")
@click.option("--logos", type=click.IntRange(1), default=120, show_default=True)
@click.option("--variant", "variants", multiple=True, help="Only this one; may be repeated.",
              type=click.Choice([variant.key for variant in VARIANTS]))  # fmt: skip
@click.option("--patience", type=click.FloatRange(0), default=40.0, show_default=True,
              metavar="SECONDS", help="After it a variant is asked no more logos.")  # fmt: skip
@click.option("--work", type=click.Path(path_type=Path), help="Where stores are made.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all figures.")
@home_option
@threads_option
def main(**options: Any) -> None:
    """Measure, print the table."""
    machine = describe()
    with tempfile.TemporaryDirectory(prefix="pilogo-", dir=options["work"]) as folder:
        results = measure(options, Path(folder))
    print_machine(machine)
    print(f"{results['n']:,} decimals, {results['n_logos']} logos, missed {MISSED}")
    print(_HEAD)
    for row in results["rows"]:
        print(format_row(row))
    if options["json_path"]:
        arguments = {name: options[name] for name in ("digits", "logos", "threads", "patience")}
        save(options["json_path"], "ablation", arguments, results, (*INDEX, *BUILD))


if __name__ == "__main__":
    run(main)
