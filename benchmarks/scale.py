"""How time and work grow with the decimals: exact scan, question to the index, build.

Sizes are 10^6, 3·10^6, 10^7 … up to --digits, each the first so many decimals of the store. The
scan (SoundCloud's logo, l1) runs over all sizes in turns, the median of 7 rounds. Then, size after
size, an index is built from decimals that are there, in --work, and asked: 100 held-out logos, l1,
--missed 0.1, always the index, twice each, the second time counts; medians.

An exponent b says that a figure grows as n^b, by least squares on the logarithms. At the smaller
sizes starting, planning and simulating outweigh the work, so each is also fitted to the three
largest sizes alone.

With --no-build-largest the index of --home answers for the largest size, and its build is left out.
At 10^8 decimals 2 minutes and 3 GB of disk; at 10^9 5 minutes and 26 GB.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from indexer.digits import choose_store
from indexer.errors import UsageError
from indexer.options import Count, home_option, threads_option
from indexer.packaged import data_file
from measuring.index_questions import (
    MISSED,
    TOP,
    Opened,
    choose_logos,
    make_table,
    say,
    store_in,
    summarise,
    timed_build,
    work_folder,
    work_option,
)
from measuring.machine import Job, alternate, describe, json_option, load_digits, print_machine, run
from measuring.record import BUILD, INDEX, SCAN, save
from query.bitmap import read_logo
from query.kernels import load_kernel
from query.metrics import cost_table
from query.scan import closest_windows

SMALLEST = 10**6
LOGOS = 100
ROUNDS = 7
LARGEST = 3
FIGURES = (
    "scan_seconds",
    "index_ms_median",
    "windows_touched",
    "lists",
    "candidates",
    "build_seconds",
)


def sizes_to(n: int) -> list[int]:
    """10^6, 3·10^6, 10^7, 3·10^7 … below n, then n."""
    below = []
    size = SMALLEST
    while size < n:
        below += [each for each in (size, 3 * size) if each < n]
        size *= 10
    return [*below, n]


def fit_exponent(
    rows: Sequence[dict[str, Any]], figure: str, largest: int | None = None
) -> float | None:
    """b of figure = a n^b, by least squares on logarithms over the rows that have it.

    Over the last so many of those where `largest` is given; None for fewer than two.
    """
    points = [(math.log(row["n"]), math.log(row[figure])) for row in rows if row[figure]]
    points = points[-largest:] if largest else points
    if len(points) < 2:
        return None
    x, y = zip(*points, strict=True)
    return float(np.polyfit(x, y, 1)[0])


def fit_all(rows: Sequence[dict[str, Any]], largest: int | None = None) -> dict[str, float | None]:
    """The exponent of every figure."""
    return {figure: fit_exponent(rows, figure, largest) for figure in FIGURES}


def measure_scans(digits: NDArray[np.uint8], sizes: Sequence[int], threads: int) -> list[float]:
    """Seconds of a scan of the first so many decimals, for each size: law and plan made anew."""
    bitmap = read_logo(str(data_file("soundcloud.png")))
    kernel = load_kernel()

    def scan(n: int) -> None:
        table = cost_table(bitmap, "l1")
        closest_windows(digits[:n], table, TOP, kernel=kernel, threads=threads)

    scan(sizes[0])  # starts what is started once
    jobs = [Job(f"{n:,}", partial(scan, n), n, ROUNDS) for n in sizes]
    alternate(jobs)
    return [job.median for job in jobs]


@contextmanager
def opened_index(
    options: dict[str, Any], n: int, work: Path
) -> Iterator[tuple[Opened, float | None]]:
    """An index of n decimals, and the seconds of its build where it was built here."""
    home, threads = options["home"], options["threads"]
    if n == options["digits"] and not options["build_largest"]:
        yield Opened(choose_store(home, n), threads), None
        return
    with store_in(work / str(n), home, n) as store:
        seconds = timed_build(store, threads)
        yield Opened(store, threads), seconds


def measure(options: dict[str, Any], work: Path) -> dict[str, Any]:
    """A row for each size, and the exponents."""
    store = choose_store(options["home"], options["digits"])
    if not options["build_largest"] and store.n != options["digits"]:
        raise UsageError(
            f"{store.folder} has {store.n:,} decimals: its index is not one of "
            f"{options['digits']:,}; leave out --no-build-largest"
        )
    sizes = sizes_to(options["digits"])
    say(f"scans of {len(sizes)} sizes")
    digits = load_digits(options["home"], options["digits"])
    scans = measure_scans(digits, sizes, options["threads"])
    tables = [make_table(logo, "l1") for logo in choose_logos(options["logos"])]
    rows = []
    for n, scan_seconds in zip(sizes, scans, strict=True):
        say(f"index of {n:,} decimals")
        with opened_index(options, n, work) as (opened, build_seconds):
            opened.ask(tables[0])  # compiles
            summary = summarise([opened.ask(table) for table in tables])
            rows.append(
                {
                    "n": n,
                    "scan_seconds": scan_seconds,
                    "index_ms_median": summary["ms_median"],
                    "index_ms_p95": summary["ms_p95"],
                    "windows_touched": summary["windows_median"],
                    "lists": summary["lists_median"],
                    "candidates": summary["candidates_median"],
                    "none": summary["none"],
                    "build_seconds": build_seconds,
                    "bytes_per_window": opened.bytes_per_window,
                }
            )
    return {
        "missed": MISSED,
        "n_logos": len(tables),
        "rows": rows,
        "exponents": fit_all(rows),
        "exponents_of_largest": fit_all(rows, LARGEST),
    }


_COLUMNS = (
    ("scan_seconds", "scan, ms", 1e3, ",.2f"),
    ("index_ms_median", "index, ms", 1, ",.2f"),
    ("windows_touched", "windows", 1, ",.0f"),
    ("lists", "lists", 1, ",.0f"),
    ("candidates", "scored", 1, ",.0f"),
    ("build_seconds", "build, s", 1, ",.1f"),
)


def print_table(results: dict[str, Any]) -> None:
    """A line a size, then the exponents."""
    print(f"{'decimals':>20}" + "".join(f"{head:>12}" for _, head, _, _ in _COLUMNS))
    for row in results["rows"]:
        cells = [
            f"{row[name] * scale:{form}}" if row[name] is not None else ""
            for name, _, scale, form in _COLUMNS
        ]
        print(f"{row['n']:20,}" + "".join(f"{cell:>12}" for cell in cells))
    for head, key in (("all: n^", "exponents"), (f"largest {LARGEST}: n^", "exponents_of_largest")):
        fitted = [results[key][name] for name, *_ in _COLUMNS]
        cells = ["" if b is None else f"{b:.2f}" for b in fitted]
        print(f"{head:>20}" + "".join(f"{cell:>12}" for cell in cells))
    last = results["rows"][-1]
    unanswered = sum(row["none"] for row in results["rows"])
    print(
        f"\n{last['bytes_per_window']:.3f} bytes a window; {unanswered} questions without an answer"
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(SMALLEST), default=10**9, show_default="1e9", metavar="N")
@click.option("--logos", type=click.IntRange(1), default=LOGOS, show_default=True)
@click.option("--build-largest/--no-build-largest", default=True, show_default=True,
              help="Build the index of --digits decimals, or take that of --home.")  # fmt: skip
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
    print(
        f"medians of {ROUNDS} scans and of {results['n_logos']} logos, {options['threads']} threads"
    )
    print_table(results)
    if options["json_file"]:
        arguments = {name: options[name] for name in ("digits", "logos", "threads")}
        save(options["json_file"], "scale", arguments, results, (*SCAN, *INDEX, *BUILD), machine)


if __name__ == "__main__":
    run(main)
