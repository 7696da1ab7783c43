"""Many bitmaps in one scan: how many single scans does a batch take?

Held-out logos, the first --bitmaps of a random order, and the first tenth of them: scanned one
after the other, and together (query/together.py), in turns within one run, from table to top ten.
Every answer of the batch is compared with that of its own scan.
"""

import sys
from functools import partial
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from indexer.corpus import held_out_logos
from indexer.decimals import MappedDecimals
from indexer.options import Count, home_option, threads_option
from indexer.window import count_windows
from measuring.machine import Job, alternate, describe, json_option, load_digits, print_machine, run
from measuring.record import TOGETHER, save
from query.chunks import Stretch
from query.kernels import load_kernel
from query.metrics import cost_table
from query.ranking import Ranking
from query.scan import closest_windows, widen_many
from query.together import scan_together

TOP = 10
_SEED = 1
# Scans that 100 bitmaps together are asked to take at most.
_MOST_SCANS = 40
_ASKED_BITMAPS = 100

Found = list[list[tuple[int, int]]]


class Batch:
    """Some bitmaps and one metric over the same decimals, both ways."""

    def __init__(
        self, digits: NDArray[np.uint8], bitmaps: NDArray[np.uint8], metric: str, threads: int
    ) -> None:
        self._digits, self._threads = digits, threads
        self._bitmaps, self._metric = bitmaps, metric
        self._kernel = load_kernel()

    def one_by_one(self) -> Found:
        """A scan for each bitmap."""
        return [
            _rows(
                closest_windows(
                    self._digits,
                    cost_table(bitmap, self._metric),
                    TOP,
                    kernel=self._kernel,
                    threads=self._threads,
                )
            )
            for bitmap in self._bitmaps
        ]

    def together(self) -> Found:
        """One scan for all of them."""
        n_windows = count_windows(len(self._digits))
        stretches = [Stretch(0, n_windows, MappedDecimals(self._digits))]
        search = partial(scan_together, stretches, kernel=self._kernel, threads=self._threads)
        tables = [cost_table(bitmap, self._metric) for bitmap in self._bitmaps]
        return [_rows(ranking) for ranking in widen_many(tables, n_windows, TOP, search)]


def _rows(ranking: Ranking) -> list[tuple[int, int]]:
    return list(zip(ranking.starts.tolist(), ranking.distances.tolist(), strict=True))


def measure(
    digits: NDArray[np.uint8], bitmaps: NDArray[np.uint8], metric: str, threads: int, repeat: int
) -> dict[str, Any]:
    """One row: seconds of every round of both ways, and whether their answers are the same."""
    batch = Batch(digits, bitmaps, metric, threads)
    few = Batch(digits[: min(len(digits), 10**6)], bitmaps, metric, threads)
    few.one_by_one()  # compile
    few.together()
    jobs = [
        Job("one by one", batch.one_by_one, len(digits), repeat),
        Job("together", batch.together, len(digits), repeat),
    ]
    alternate(jobs, quiet=True)
    alone, together = jobs
    scans = together.median / (alone.median / len(bitmaps))
    return {
        "metric": metric,
        "bitmaps": len(bitmaps),
        "alone_seconds": alone.seconds,
        "together_seconds": together.seconds,
        "scan": alone.median / len(bitmaps),
        "scans": scans,
        "same": all(answer == alone.answers[0] for answer in together.answers),
        "asked": _MOST_SCANS if len(bitmaps) == _ASKED_BITMAPS else None,
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(10_000), default=10**9, show_default="1e9", metavar="N")
@click.option("--bitmaps", type=click.IntRange(10, 1000), default=100, show_default=True)
@click.option("--repeat", type=click.IntRange(1, 100), default=3, show_default=True)
@json_option
@home_option
@threads_option
def main(**options: Any) -> None:
    """Run both ways."""
    n, count, threads = options["digits"], options["bitmaps"], options["threads"]
    machine = describe()
    digits = load_digits(options["home"], n)
    logos = held_out_logos()
    order = np.random.default_rng(_SEED).permutation(len(logos))[:count]
    bitmaps = logos[order].reshape(-1, 6, 14)
    rows = []
    for metric in ("l1", "l2"):
        for size in (count // 10, count):
            rows.append(measure(digits, bitmaps[:size], metric, threads, options["repeat"]))
            click.echo(f"{metric}, {size} bitmaps: done", err=True)
    print_machine(machine)
    print(f"{n:,} decimals, {threads} threads\n")
    print(f"{'':6} {'bitmaps':>8} {'one scan, s':>12} {'together, s':>12} {'in scans':>9}  asked")
    for row in rows:
        verdict = ""
        if row["asked"]:
            met = "met" if row["scans"] <= row["asked"] else "NOT MET"
            verdict = f"<= {row['asked']} {met}"
        seconds = float(np.median(row["together_seconds"]))
        print(
            f"{row['metric']:6} {row['bitmaps']:8} {row['scan']:12.4f} {seconds:12.3f} "
            f"{row['scans']:9.1f}  {verdict}"
        )
    same = all(row["same"] for row in rows)
    print("\nanswers: all the same" if same else "\nANSWERS DIFFER")
    if options["json_file"]:
        question = {"digits": n, "bitmaps": count, "threads": threads, "repeat": options["repeat"]}
        save(options["json_file"], "together", question, {"rows": rows}, TOGETHER, machine)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    run(main)
