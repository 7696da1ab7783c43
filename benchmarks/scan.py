"""How fast the exact scan is, beside one read of the same bytes and plain C loops.

All in one run, in turns, over the same bytes in memory; every answer is compared. Exit code 1 where
two differ.
"""

import ctypes
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from indexer.options import Count, home_option, threads_option
from indexer.packaged import data_file
from indexer.window import start_of
from measuring.machine import (
    Job,
    address,
    alternate,
    describe,
    json_option,
    load_digits,
    print_machine,
    run,
)
from measuring.record import SCAN, save
from peers.loops import TOP, Best, Loops
from query.assembly.layout import PLAIN
from query.bitmap import format_digits, read_logo
from query.kernels import Kernel, available, load_kernel
from query.metrics import METRICS, cost_table
from query.scan import closest_windows

# The plain loop takes as long as C's, so it gets this many decimals and is scaled.
_PLAIN_DIGITS = 20_000_000
# A C loop takes 8 to 20 s at 10^9: it and the single kernels get so many rounds at most.
_FEW_ROUNDS = 3
# What is asked of the scan, as ratios of medians.
_MOST_READS = 4.0
_LEAST_SPEEDUP = 60.0
_CONTEST = data_file("contest.json")
_LOOPS = "benchmarks/loops.c"


class Reader:
    """One read of all bytes by threads, each over a contiguous share."""

    def __init__(self, library: ctypes.CDLL, digits: NDArray[np.uint8], threads: int) -> None:
        self._read = library.read_bytes
        self._read.restype = ctypes.c_uint64
        self._digits = digits
        # Shares end on whole rounds of the C loop, so that only the last one has a rest.
        share = -(-len(digits) // threads // 512) * 512
        self._shares = [digits[k : k + share] for k in range(0, len(digits), share)]
        self._pool = ThreadPoolExecutor(threads)
        list(self._pool.map(len, self._shares))  # starts the threads

    def __call__(self) -> int:
        """The sum of the bytes as 64-bit words, which proves that all of them were read."""
        return sum(self._pool.map(self._sum, self._shares)) % 2**64

    def _sum(self, share: NDArray[np.uint8]) -> int:
        return int(self._read(address(share), ctypes.c_int64(len(share))))

    def truth(self) -> int:
        """The same sum by NumPy."""
        whole = len(self._digits) // 8 * 8
        words = int(self._digits[:whole].view(np.uint64).sum())
        return (words + int(self._digits[whole:].sum())) % 2**64


class Comparison:
    """One question over one array of decimals, and every way to answer it."""

    def __init__(
        self, digits: NDArray[np.uint8], bitmap: NDArray[np.uint8], metric: str, threads: int
    ) -> None:
        self._digits = digits
        self._bitmap = bitmap
        self._table = cost_table(bitmap, metric)
        self._threads = threads
        self._loops = Loops(digits)
        self._reader = Reader(self._loops.library, digits, threads)

    def jobs(self, repeat: int) -> dict[str, Job]:
        """Everything to time, by a short name."""
        n, rounds = len(self._digits), min(repeat, _FEW_ROUNDS)
        jobs = {
            "read": Job(f"read, {say_threads(self._threads)}", self._reader, n, repeat),
            "table loop": Job(
                "C loop, cost table", partial(self._loops.by_table, self._table, n), n, rounds
            ),
        }
        if self._table.name == "l1":
            work = partial(self._loops.by_difference, self._bitmap, "l1", n)
            jobs["l1 loop"] = Job("C loop, |d - r|", work, n, rounds)
        best = load_kernel()
        for count in sorted({1, self._threads}):
            name = "scan" if count == self._threads else "scan alone"
            work = partial(self._scan, n, best, count)
            jobs[name] = Job(f"scan, {say_threads(count)}", work, n, repeat)
        for isa in available():
            size = min(n, _PLAIN_DIGITS) if isa is PLAIN else n
            work = partial(self._scan, size, load_kernel(isa.name), self._threads)
            label = f"scan by {isa.name}, {say_threads(self._threads)}"
            jobs[isa.name] = Job(label, work, size, rounds)
        return jobs

    def differences(self, jobs: dict[str, Job]) -> list[str]:
        """A line for every answer that is not that of the C loop over the same decimals."""
        wrong = []
        if set(jobs["read"].answers) != {self._reader.truth()}:
            wrong.append(f"{jobs['read'].name}: not the sum of the bytes")
        n = len(self._digits)
        right = {n: jobs["table loop"].answers[0]}
        for job in list(jobs.values())[1:]:
            if job.digits not in right:
                right[job.digits] = self._loops.by_table(self._table, job.digits)
            found = [answer for answer in job.answers if answer != right[job.digits]]
            wrong += [f"{job.name}: {answer}, not {right[job.digits]}" for answer in found]
        listed = self.published()
        if listed is not None and listed != right[n]:
            wrong.append(f"the contest's list is {listed}, not {right[n]}")
        return wrong

    def published(self) -> Best | None:
        """The contest's list for this question, or None."""
        contest = json.loads(_CONTEST.read_text("utf-8"))
        sizes = {10**7: "top_ten_first_1e7_digits", 10**9: "top_ten_first_1e9_digits"}
        size = sizes.get(len(self._digits))
        if size is None or format_digits(self._bitmap) != contest["bitmap"]:
            return None
        rows = contest[size].get(self._table.name)
        return rows and [(start_of(row["offset"]), row["distance"]) for row in rows]

    def _scan(self, n: int, kernel: Kernel, threads: int) -> Best:
        return scan(self._digits[:n], self._bitmap, self._table.name, kernel, threads)


def scan(
    digits: NDArray[np.uint8],
    bitmap: NDArray[np.uint8],
    metric: str,
    kernel: Kernel,
    threads: int,
) -> Best:
    """The program's own answer; table, law and plan are made each time, as for a new logo."""
    table = cost_table(bitmap, metric)
    ranking = closest_windows(digits, table, TOP, kernel=kernel, threads=threads)
    return list(zip(ranking.starts.tolist(), ranking.distances.tolist(), strict=True))


def say_threads(count: int) -> str:
    """The count in words: 1 thread, 2 threads."""
    return f"{count} thread{'s' * (count > 1)}"


def ratios(jobs: dict[str, Job]) -> list[tuple[str, float, str, bool]]:
    """(what, ratio of medians, what is asked, whether it is met) of each claim."""
    scan, read = jobs["scan"].median, jobs["read"].median
    claims = [
        ("scan / read", scan / read, f"<= {_MOST_READS:g}", scan / read <= _MOST_READS),
    ]
    for name in ("table loop", "l1 loop"):
        if name in jobs:
            ratio = jobs[name].median / scan
            met = ratio >= _LEAST_SPEEDUP
            claims.append((f"{jobs[name].name} / scan", ratio, f">= {_LEAST_SPEEDUP:g}", met))
    return claims


def print_table(jobs: dict[str, Job], n: int) -> None:
    """A row a job; seconds of fewer decimals are scaled to n and marked."""
    print(f"{'':32} {'median s':>10} {'min s':>10} {'GB/s':>8} {'rounds':>7}")
    for job in jobs.values():
        scale = n / job.digits
        mark = "" if scale == 1 else f"  scaled from {job.digits:,} decimals"
        row = f"{job.name:32} {job.median * scale:10.4f} {job.least * scale:10.4f}"
        print(f"{row} {job.digits / job.median / 1e9:8.2f} {len(job.seconds):7}{mark}")
    print()


def as_results(jobs: dict[str, Job]) -> dict[str, Any]:
    """Every round's seconds of each job, and the claims."""
    rows = {
        key: {
            "name": job.name,
            "digits": job.digits,
            "seconds": job.seconds,
            "median": job.median,
            "min": job.least,
        }
        for key, job in jobs.items()
    }
    claims = [
        {"what": what, "ratio": ratio, "asked": asked, "met": met}
        for what, ratio, asked, met in ratios(jobs)
    ]
    return {"rows": rows, "claims": claims}


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(10_000), default=10**9, show_default="1e9", metavar="N")
@home_option
@threads_option
@click.option("--repeat", type=click.IntRange(1, 1000), default=7, show_default=True,
              help=f"Rounds; at most {_FEW_ROUNDS} of C loops and single kernels.")  # fmt: skip
@click.option("--metric", type=click.Choice(METRICS), default="l1", show_default=True)
@click.option("--logo", default=None, help="A picture [default: the contest's].")
@json_option
def main(**options: Any) -> None:
    """Run the comparison."""
    n, metric = options["digits"], options["metric"]
    machine = describe()
    bitmap = read_logo(options["logo"] or str(data_file("soundcloud.png")))
    digits = load_digits(options["home"], n)
    comparison = Comparison(digits, bitmap, metric, options["threads"])
    jobs = comparison.jobs(options["repeat"])
    alternate(list(jobs.values()))
    wrong = comparison.differences(jobs)
    print_machine(machine)
    print(f"{n:,} decimals in memory, {metric}, {format_digits(bitmap)}\n")
    print_table(jobs, n)
    is_contest = format_digits(bitmap) == json.loads(_CONTEST.read_text("utf-8"))["bitmap"]
    asked_here = is_contest and (n, metric, options["threads"]) == (10**9, "l1", 2)
    for what, ratio, asked, met in ratios(jobs):
        verdict = ("met" if met else "NOT MET") if asked_here else ""
        print(f"{what:32} {ratio:10.2f}   asked {asked:14} {verdict}")
    if not asked_here:
        print(
            "(asked of the contest's logo, 1e9 decimals, l1, 2 threads: this is another question)"
        )
    listed = (
        "and the contest's list" if comparison.published() else "(the contest has no such list)"
    )
    print("\n" + ("\n".join(wrong) or f"answers: all the same {listed}"))
    if options["json_file"]:
        question = {"digits": n, "metric": metric, "bitmap": format_digits(bitmap)}
        question |= {"threads": options["threads"], "repeat": options["repeat"]}
        results = as_results(jobs) | {"as_asked": asked_here, "wrong": wrong}
        save(options["json_file"], "scan", question, results, (*SCAN, _LOOPS), machine)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    run(main)
