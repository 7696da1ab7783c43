"""What the compiled routines of the index take, beside what the planner takes them for.

The coder codes decimals of the store. The search runs over made-up lists of random codes and
starts: long ones, and ones of ten windows that are pages apart, as they are where answers lie.
First nothing passes, then everything: the difference is what it takes to score a window whose
digits may be anywhere in the store's decimals; at 10^8 and more no cache holds them. All on one
thread, the least of several rounds in turns. Then what a question takes before its lists, and how
long the store's pages take to be mapped as a whole, with all of them in the page cache.

Takes 1 minute and 0.7 GB of memory beside the decimals.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from indexer.cells import CODE_BYTES, CODEWORDS, ENTRY_BYTES, GROUPS, SUBCODES, Coder
from indexer.coding import COMPILED, NUMPY, WindowCoder, available
from indexer.learning import learn_coder
from indexer.options import Count, home_option
from indexer.window import SHADES, WINDOW, count_windows
from measuring.index_questions import MISSED, TOP, choose_logos, make_table
from measuring.machine import Job, alternate, describe, json_option, load_digits, print_machine, run
from measuring.record import BUILD, INDEX, save
from query.calibration import Calibration, make_simulator
from query.candidates import (
    SECONDS_A_CANDIDATE,
    SECONDS_A_LIST,
    SECONDS_A_QUESTION,
    SECONDS_A_WINDOW,
)
from query.finder import Finder
from query.lists import Limits, ListQuery, Lists, ListSearch

_SEED = 1618
_ROUNDS = 7
_CODED = {COMPILED: 4_000_000, NUMPY: 200_000}
# 25 million windows in 256 lists; 655,360 in 65,536 lists, each in a page of its own.
_LONG, _LONG_BITS = 100_000, 4
_SHORT, _SHORT_BITS = 10, 8
_PAGE = 4096
# Questions of one round, each with its own logo.
_QUESTIONS = 40


def make_lists(digits: NDArray[np.uint8], bits: int, size: int) -> Lists:
    """4**bits lists of `size` random codes and starts, each from the beginning of a page on."""
    n_lists, n_windows = 1 << GROUPS * bits, count_windows(len(digits))
    room = -(-size * ENTRY_BYTES // _PAGE) * _PAGE
    random = np.random.default_rng(_SEED)
    data = np.zeros((n_lists, room), dtype=np.uint8)
    codes = size * CODE_BYTES
    for row in data:
        row[:codes] = random.integers(0, 256, codes, dtype=np.uint8)
        starts = random.integers(0, n_windows, size, dtype=np.int64)
        row[codes : size * ENTRY_BYTES] = starts.view(np.uint8)
    directory = np.full((n_lists, 3), size, dtype=np.int64)
    directory[:, 2] = np.arange(n_lists) * room
    return Lists(directory, data.reshape(-1), digits, n_windows, n_windows)


class MadeUpSearch:
    """A question to made-up lists that visits all of them in a random order."""

    def __init__(self, digits: NDArray[np.uint8], bits: int, size: int) -> None:
        self.n_lists, self.n_windows = 1 << GROUPS * bits, size << GROUPS * bits
        random = np.random.default_rng(_SEED)
        # Cells differ by so little that they decide nothing but the order.
        of_cells = np.float32(1e-6) * random.random((GROUPS, 1 << bits), dtype=np.float32)
        of_codes = random.random((SUBCODES, CODEWORDS), dtype=np.float32)
        costs = np.ones((WINDOW, 16), dtype=np.int32)
        costs[:, :SHADES] = random.integers(0, SHADES, (WINDOW, SHADES))
        self._lists = make_lists(digits, bits, size)
        self._search = ListSearch(self._lists)
        self._query = ListQuery(of_cells, of_codes, costs)

    def run(self, *, score: bool) -> tuple[int, int]:
        """Look at every window and score all, or none. How many were looked at, and scored."""
        # As near as can be is a code in 16^12; and no distance is below 0.
        above = float(SUBCODES) if score else 1e-5
        limits = Limits(np.inf, self._query.code_floor + above)
        probes = self._search.find_probes(self._query, limits)
        self._search.begin(probes, 0, probes.n_lists)
        while not self._search.finished:
            self._search.run(-1)
        counts = self._search.counts
        return counts.n_scanned, counts.n_scored


def search_jobs(search: MadeUpSearch) -> tuple[Job, Job]:
    """Looking at all windows, and scoring them too."""
    return (
        Job("look", partial(search.run, score=False), search.n_windows, _ROUNDS),
        Job("score", partial(search.run, score=True), search.n_windows, _ROUNDS),
    )


def coding_jobs(digits: NDArray[np.uint8], coder: Coder) -> dict[str, Job]:
    """Each way of coding that this processor has."""
    jobs = {}
    for name in available():
        n_windows = min(_CODED[name], count_windows(len(digits)))
        stretch = digits[: n_windows + WINDOW - 1]
        way = WindowCoder(coder, name)
        jobs[name] = Job(name, partial(way.code, stretch), n_windows, _ROUNDS)
    return jobs


def question_job(coder: Coder, n_windows: int) -> Job:
    """What questions take before their lists: law, calibration, limits."""
    simulator = make_simulator(coder)
    planned = TOP + 1.3 * math.sqrt(TOP)

    def work() -> None:
        for logo in choose_logos(_QUESTIONS):
            table = make_table(logo, "l1")
            distance = table.law.closest(n_windows, planned)
            calibration = Calibration(coder, table, distance, simulator)
            calibration.limits(distance, MISSED / planned)
            ListQuery(calibration.of_cells, calibration.of_codes, table.padded())

    return Job("question", work, _QUESTIONS, _ROUNDS)


def bring_in_seconds(home: Path, n: int) -> float:
    """The least that a new finder takes to map decimals and index as a whole, of three."""
    finders = [Finder(home, digits=n, threads=1) for _ in range(3)]
    each = [Job("bring in", finder.bring_in, n, 1) for finder in finders]
    alternate(each, quiet=True)
    return min(job.least for job in each)


def measure(digits: NDArray[np.uint8], home: Path) -> dict[str, float | None]:
    """Nanoseconds of each thing on one thread, and the seconds of bring_in."""
    n_windows = count_windows(len(digits))
    coder = learn_coder(n_windows)
    coding = coding_jobs(digits, coder)
    long_lists = MadeUpSearch(digits, _LONG_BITS, _LONG)
    short_lists = MadeUpSearch(digits, _SHORT_BITS, _SHORT)
    look, score = search_jobs(long_lists)
    short_look, short_score = search_jobs(short_lists)
    question = question_job(coder, n_windows)
    alternate([*coding.values(), look, score, short_look, short_score, question])
    all_windows, none = (long_lists.n_windows,) * 2, (long_lists.n_windows, 0)
    assert (look.answers[0], score.answers[0]) == (none, all_windows)
    window = look.least / long_lists.n_windows
    a_list = short_look.least / short_lists.n_lists
    compiled = coding.get(COMPILED)
    return {
        "coder_ns": 1e9 * compiled.least / compiled.digits if compiled else None,
        "coder_numpy_ns": 1e9 * coding[NUMPY].least / coding[NUMPY].digits,
        "window_ns": 1e9 * window,
        "list_of_ten_ns": 1e9 * a_list,
        "window_in_list_of_ten_ns": 1e9 * a_list / _SHORT,
        "list_ns": 1e9 * (a_list - _SHORT * window),
        "candidate_ns": 1e9 * (score.least - look.least) / long_lists.n_windows,
        "candidate_in_list_of_ten_ns": 1e9
        * (short_score.least - short_look.least)
        / short_lists.n_windows,
        "question_ns": 1e9 * question.least / _QUESTIONS,
        "bring_in_seconds": bring_in_seconds(home, len(digits)),
    }


_ROWS: tuple[tuple[str, str, float | None], ...] = (
    ("coder_ns", "cell and code of a window, compiled", None),
    ("coder_numpy_ns", "the same by NumPy", None),
    ("window_ns", "a code in a list of 100,000", SECONDS_A_WINDOW),
    ("list_of_ten_ns", "a list of ten, found and looked at", None),
    ("list_ns", "opening it: the same without its codes", SECONDS_A_LIST),
    ("candidate_ns", "scoring a window, in a list of 100,000", SECONDS_A_CANDIDATE),
    ("candidate_in_list_of_ten_ns", "scoring a window, in a list of ten", SECONDS_A_CANDIDATE),
    ("question_ns", "a question before its lists", SECONDS_A_QUESTION),
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(10**6), default=10**9, show_default="1e9", metavar="N")
@json_option
@home_option
def main(**options: Any) -> None:
    """Measure, print the table."""
    machine = describe()
    digits = load_digits(options["home"], options["digits"])
    figures = measure(digits, options["home"])
    print_machine(machine)
    print(f"{len(digits):,} decimals, one thread\n{'ns':>54} {'planner':>12}")
    for key, name, planned in _ROWS:
        measured = figures[key]
        value = "" if measured is None else f"{measured:,.2f}"
        print(f"{name:41} {value:>12} {'' if planned is None else f'{1e9 * planned:,.2f}':>12}")
    print(f"\nmapping decimals and index as a whole: {figures['bring_in_seconds']:.3f} s")
    if options["json_file"]:
        arguments = {"digits": options["digits"]}
        save(options["json_file"], "routines", arguments, figures, (*INDEX, *BUILD), machine)


if __name__ == "__main__":
    run(main)
