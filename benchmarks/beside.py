"""Every exhaustive way to answer one question, beside the program's scan.

The contest's logo (or --logo), the same decimals in memory, in turns, in one run: plain C loops,
NumPy by blocks, numba, stumpy, FFT and FAISS's flat index. A time is that of one whole answer;
compiling (numba, the scan's kernel) and materialising windows (FAISS) are not counted. A way that
is too slow, or too large, works on the first part of the decimals; its time is scaled and marked.

Every answer is compared with the scan's over the same decimals: exit code 1 where one differs.
FAISS may choose among windows that are as far as the tenth.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from scan import say_threads, scan

from indexer.options import Count, home_option, threads_option
from indexer.packaged import data_file
from measuring import record
from measuring.machine import (
    Job,
    alternate,
    describe,
    json_option,
    keep_freed_memory,
    load_digits,
    print_machine,
    run,
)
from peers import ways
from peers.loops import Best, Loops
from query.bitmap import format_digits, read_logo
from query.kernels import load_kernel
from query.metrics import cost_table

METRICS = ("l1", "l2")
_OPERATION = {"l1": "|d - r|", "l2": "(d - r)²"}
# Decimals that the slow and the large get. A flat index has 336 bytes a window: 2 GB.
_STUMPY_DIGITS = 100_000_000
_FAISS_DIGITS = 6_000_000
# The scan takes so little that it can have more rounds.
_SCAN_ROUNDS = 7


@dataclass(frozen=True)
class Row:
    """One way: seconds of each round over `digits` decimals, their median, and that scaled to n.

    ratio is scaled / the scan's median with all threads, of the same run.
    """

    key: str
    name: str
    metric: str
    digits: int
    seconds: list[float]
    median: float
    scaled: float
    extrapolated: bool
    ratio: float
    same_answer: bool
    note: str


class Contest:
    """One question over one array of decimals, and every way to answer it."""

    def __init__(
        self, digits: NDArray[np.uint8], bitmap: NDArray[np.uint8], metric: str, threads: int
    ) -> None:
        self._digits = digits
        self._bitmap = bitmap
        self._metric = metric
        self._threads = threads
        self._kernel = load_kernel()
        self._loops = Loops(digits)
        self._notes: dict[str, str] = {}

    def jobs(self, repeat: int) -> dict[str, Job]:
        """Everything to time, by its key; numba is compiled and FAISS's index made here."""
        n = len(self._digits)
        jobs = {}
        for threads in sorted({1, self._threads}):
            work = partial(self._scan, n, threads)
            rounds = max(repeat, _SCAN_ROUNDS)
            jobs[f"pilogo-{threads}"] = Job(_name("pilogo's scan", threads), work, n, rounds)
        for way in (self._c, self._numpy, self._numba, self._fft, self._stumpy, self._faiss):
            for key, (name, work, size) in way().items():
                jobs[key] = Job(name, work, size, repeat)
        return jobs

    def rows(self, jobs: dict[str, Job]) -> list[Row]:
        """What was measured; the answers are compared here."""
        n = len(self._digits)
        base = jobs[f"pilogo-{self._threads}"].median
        right = {
            size: self._scan(size, self._threads) for size in {j.digits for j in jobs.values()}
        }
        rows = []
        for key, job in jobs.items():
            ties = not key.startswith("faiss")
            same = all(ways.same_answer(a, right[job.digits], ties=ties) for a in job.answers)
            scaled = job.median * n / job.digits
            row = Row(
                key=key,
                name=job.name,
                metric=self._metric,
                digits=job.digits,
                seconds=job.seconds,
                median=job.median,
                scaled=scaled,
                extrapolated=job.digits < n,
                ratio=scaled / base,
                same_answer=same,
                note=self._notes.get(key, ""),
            )
            rows.append(row)
        return rows

    def _scan(self, n: int, threads: int) -> Best:
        return scan(self._digits[:n], self._bitmap, self._metric, self._kernel, threads)

    def _c(self) -> dict[str, tuple[str, Callable[[], Best], int]]:
        n = len(self._digits)
        table = cost_table(self._bitmap, self._metric)
        found = {}
        for threads in sorted({1, self._threads}):
            by_table = partial(self._loops.by_table, table, n, threads)
            name = _name("C loop, cost table", threads)
            found[f"c-table-{threads}"] = name, by_table, n
            plain = partial(self._loops.by_difference, self._bitmap, self._metric, n, threads)
            name = _name(f"C loop, {_OPERATION[self._metric]}", threads)
            found[f"c-difference-{threads}"] = name, plain, n
        return found

    def _numpy(self) -> dict[str, tuple[str, Callable[[], Best], int]]:
        measure = ways.by_numpy(self._bitmap, self._metric)
        note = "84 shifted planes of costs, 16 bits"
        return self._by_blocks("numpy", "NumPy by blocks", measure, ways.NUMPY_BLOCK, note)

    def _numba(self) -> dict[str, tuple[str, Callable[[], Best], int]]:
        found = {}
        for threads in sorted({1, self._threads}):
            key = f"numba-{threads}"
            began = time.perf_counter()
            work = ways.NumbaLoop(self._digits, self._bitmap, self._metric, threads)
            self._notes[key] = f"compiled in {time.perf_counter() - began:.1f} s, not counted"
            name = "numba, the obvious loop" if threads == 1 else "numba, prange"
            found[key] = _name(name, threads), work, len(self._digits)
        return found

    def _fft(self) -> dict[str, tuple[str, Callable[[], Best], int]]:
        if self._metric != "l2":
            return {}
        measure = ways.by_fft(self._bitmap)
        name = "FFT, scipy's oaconvolve"
        return self._by_blocks("fft", name, measure, ways.FFT_BLOCK, "float32, rounded")

    def _by_blocks(
        self, way: str, name: str, measure: Callable[..., NDArray[Any]], block: int, note: str
    ) -> dict[str, tuple[str, Callable[[], Best], int]]:
        """A way that makes distances of a block at a time, in one thread and in all."""
        found = {}
        for threads in sorted({1, self._threads}):
            key = f"{way}-{threads}"
            work = ways.Blocks(self._digits, measure, block, threads)
            found[key] = _name(name, threads), work, len(self._digits)
            self._notes[key] = note
        return found

    def _stumpy(self) -> dict[str, tuple[str, Callable[[], Best], int]]:
        digits = self._digits[:_STUMPY_DIGITS]
        measure = ways.by_stumpy(self._bitmap, self._metric)
        work = ways.Blocks(digits, measure, ways.STUMPY_BLOCK, 1)
        self._notes["stumpy-1"] = "normalize=False: scipy's cdist"
        return {"stumpy-1": (_name("stumpy.mass", 1), work, len(digits))}

    def _faiss(self) -> dict[str, tuple[str, Callable[[], Best], int]]:
        digits = self._digits[:_FAISS_DIGITS]
        began = time.perf_counter()
        index = ways.FlatIndex(digits, self._bitmap, self._metric, self._threads)
        seconds = time.perf_counter() - began
        found = {}
        for threads in sorted({1, self._threads}):
            key = f"faiss-{threads}"
            work = partial(index.search, threaded=threads > 1)
            found[key] = _name("FAISS IndexFlat", threads), work, len(digits)
            self._notes[key] = f"336 bytes a window, made in {seconds:.0f} s, not counted"
        return found


def _name(way: str, threads: int) -> str:
    return f"{way}, {say_threads(threads)}"


def print_rows(rows: list[Row], n: int) -> None:
    """The table of one metric."""
    print(f"{rows[0].metric}, {n:,} decimals")
    print(f"{'':34} {'median s':>9} {'ratio':>8}  {'decimals run':>13}  answer")
    for row in rows:
        digits = f"{row.digits:,}" + ("*" if row.extrapolated else " ")
        answer = "same" if row.same_answer else "DIFFERS"
        print(
            f"{row.name:34} {row.scaled:9.4f} {row.ratio:8.1f}  {digits:>14} {answer:7} {row.note}"
        )
    if any(row.extrapolated for row in rows):
        print("* the first part, its time scaled to all")
    print()


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(10_000), default=10**8, show_default="1e8", metavar="N")
@home_option
@threads_option
@click.option("--repeat", type=click.IntRange(1, 1000), default=3, show_default=True,
              help=f"Rounds; the scan has at least {_SCAN_ROUNDS}.")  # fmt: skip
@click.option("--metric", type=click.Choice([*METRICS, "both"]), default="both", show_default=True)
@click.option("--logo", default=None, help="A picture [default: the contest's].")
@json_option
def main(**options: Any) -> None:
    """Run the comparison."""
    n, threads = options["digits"], options["threads"]
    keep_freed_memory()
    machine = describe()
    bitmap = read_logo(options["logo"] or str(data_file("soundcloud.png")))
    digits = load_digits(options["home"], n)
    print_machine(machine)
    print(f"{format_digits(bitmap)}\n")
    rows: list[Row] = []
    for metric in METRICS if options["metric"] == "both" else (options["metric"],):
        click.echo(f"{metric}: compiling, making FAISS's windows", err=True)
        contest = Contest(digits, bitmap, metric, threads)
        jobs = contest.jobs(options["repeat"])
        alternate(list(jobs.values()))
        found = contest.rows(jobs)
        del contest, jobs  # FAISS's windows: 2 GB
        print_rows(found, n)
        rows += found
    if options["json_file"]:
        arguments = {"digits": n, "threads": threads, "bitmap": format_digits(bitmap)}
        results = {"n": n, "rows": [asdict(row) for row in rows]}
        record.save(options["json_file"], "beside", arguments, results, record.SCAN, machine)
    wrong = [f"{row.name}, {row.metric}" for row in rows if not row.same_answer]
    print(f"answers that differ: {'; '.join(wrong)}" if wrong else "answers: all the same")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    run(main)
