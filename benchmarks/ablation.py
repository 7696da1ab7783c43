"""What each part of the index buys: indexes with one part left out, asked the same questions.

Every variant is a whole index of the same decimals, built with its own coder and opened beside the
one that is as it is. Held-out logos, l1 and l2, --missed 0.1: each question goes to both, one after
the other, always to the index, twice, and the second time counts. What was found is compared with
an exact scan. So the limits are always those that the calibration finds necessary for that coder:
a worse coder is not less right, it has to look farther.

"Against" is the median of a variant over that of the index as it is, same questions, in turns.
Questions without an answer are those for which no limits are wide enough; they are counted, and
left out of times and recall.

At 10^8 decimals about 6 minutes and 6 GB of disk; at 10^9 most of an hour and 41 GB.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ablations.fixed import FixedSearch
from ablations.predicted import ByPrediction
from ablations.variants import FULL, VARIANTS
from indexer.cells import ENTRY_BYTES
from indexer.index_files import coder_bytes
from indexer.options import Count, home_option, threads_option
from indexer.resources import available_memory
from measuring.index_questions import (
    MISSED,
    TOP,
    Asked,
    Opened,
    choose_logos,
    count_missed,
    make_table,
    recall,
    say,
    store_in,
    summarise,
    timed_build,
    work_folder,
    work_option,
)
from measuring.machine import describe, json_option, print_machine, run
from measuring.record import BUILD, INDEX, save
from query.kernels import load_kernel
from query.lists import Lists
from query.metrics import CostTable
from query.ranking import Ranking
from query.scan import closest_windows

METRICS = ("l1", "l2")
NO_RESCORING = "ranked by its predictions alone"
FIXED_LIMITS = "the same limits for every logo"


@dataclass(frozen=True, eq=False)
class Question:
    """A cost table and the true answer."""

    table: CostTable
    truth: Ranking


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
    n_windows, index = opened.n_windows, opened.index
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


def rows_with_fixed_limits(
    opened: Opened, before: Sequence[Pair], patience: float
) -> list[dict[str, Any]]:
    """The index as it is, with as many cells and candidates for every logo, as good as before."""
    search = FixedSearch(opened)
    rows = []
    for metric in METRICS:
        mine = [pair for pair in before if pair.question.table.name == metric]
        prepared = [search.prepare(pair.question.table, pair.question.truth) for pair in mine]
        setting = search.tune(prepared, sum(n_missed(pair) for pair in mine))
        began = time.perf_counter()
        pairs = []
        for pair, question in zip(mine, prepared, strict=True):
            asked = search.ask(question, search.limits(question, setting))
            pairs.append(Pair(pair.question, asked, opened.ask(question.table)))
            if time.perf_counter() - began > patience:
                break
        row = make_row("no_calibration", FIXED_LIMITS, metric, pairs)
        rows.append(row | {"n_cells": setting.n_cells, "n_scored": setting.n_scored})
    return rows


def n_missed(pair: Pair) -> int:
    """How many of the true windows an index has not found."""
    found = pair.asked.found
    return count_missed(pair.question.truth, found.ranking if found else None)


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
        say("no_calibration")
        rows += rows_with_fixed_limits(full, pairs, options["patience"])
    return {
        "n": n,
        "missed": MISSED,
        "n_logos": len(questions),
        "in_turns": in_turns,
        "rows": rows,
    }


_HEAD = (
    f"{'':40}{'ms:':>8}{'':8}{'windows:':>13}{'scored:':>12}{'':11}{'against as it is:':>27}\n"
    f"{'':40}{'median':>8}{'95 %':>8}{'median':>13}{'median':>12}{'recall@10':>11}"
    f"{'median':>9}{'95 %':>9}{'windows':>9}{'no answer':>11}{'of':>5}"
)


def _cell(value: float | None, form: str, width: int) -> str:
    return f"{'' if value is None else format(value, form):>{width}}"


def format_row(row: dict[str, Any]) -> str:
    """A line of the table; what was not measured is empty."""
    few = row.get("ms_median") is not None and row["ms_median"] < 100
    return (
        f"{row['name']:36} {row['metric']:3}"
        f"{_cell(row.get('ms_median'), '.2f' if few else ',.0f', 8)}"
        f"{_cell(row.get('ms_p95'), ',.1f', 8)}"
        f"{_cell(row.get('windows_median'), ',.0f', 13)}"
        f"{_cell(row.get('candidates_median'), ',.0f', 12)}"
        f"{_cell(row['recall'], '.4f', 11)}"
        f"{_cell(row.get('ratio_ms_median'), '.2f', 9)}"
        f"{_cell(row.get('ratio_ms_p95'), '.2f', 9)}"
        f"{_cell(row.get('ratio_windows_median'), '.2f', 9)}"
        f"{row['none']:11}{row['asked']:5}"
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(10_000), default=10**8, show_default="1e8", metavar="N")
@click.option("--logos", type=click.IntRange(1), default=120, show_default=True)
@click.option("--variant", "variants", multiple=True, help="Only this one; may be repeated.",
              type=click.Choice([variant.key for variant in VARIANTS]))  # fmt: skip
@click.option("--patience", type=click.FloatRange(0), default=60.0, show_default=True,
              metavar="SECONDS", help="After it a variant is asked no more logos.")  # fmt: skip
@work_option
@json_option
@home_option
@threads_option
def main(**options: Any) -> None:
    """Measure, print the table."""
    machine = describe()
    with work_folder(options["work"]) as folder:
        results = measure(options, folder)
    print_machine(machine)
    print(f"{results['n']:,} decimals, {results['n_logos']} logos, missed {MISSED}")
    print(_HEAD)
    for row in results["rows"]:
        print(format_row(row))
    if options["json_file"]:
        arguments = {name: options[name] for name in ("digits", "logos", "threads", "patience")}
        save(options["json_file"], "ablation", arguments, results, (*INDEX, *BUILD), machine)


if __name__ == "__main__":
    run(main)
