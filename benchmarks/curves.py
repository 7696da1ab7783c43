"""Recall@10 against time: the program's index beside FAISS used plainly.

The same decimals, the same logos (held out of what our index learned from, and without near copies
there: the first --logos of a shuffled list), the same true answers (the exact scan's), one question
at a time, all threads, one process. A place of the true ten counts as found where the answer has a
window at least as close as the tenth (peers/fronts.py).

- pilogo: `Finder.find` as it is asked by everyone, at several values of --missed. Where its planner
  prefers a scan, that is its answer.
- FAISS: IVF,PQ6x8 and IVF,PQ12x4fs over raw windows, 14 bytes a window as ours
  (peers/plain_faiss.py). L2 over the 84 digits is the metric l2, so FAISS is on its own ground.
  Every nprobe in powers of 4, every k of 10 … 10^6; for each the fastest of FAISS's ways to use
  the threads, found on three logos. The k windows are scored exactly by C (windows.c, in all
  threads), which is not slower than ours; k = 10 is taken as it comes. l1: the same searches,
  scored by l1.

A setting gets --budget seconds and fewer logos where they do not suffice (at least ten); one that
takes more than 2 s a question is left out and named. What is reported is the front: settings that
are faster than all with as much recall. Ours is asked first, then each of theirs is built in --work
(or taken up), read through once, and asked; at 10^9 they cannot all be in memory at once. Ctrl-C
leaves the parts that are finished in --work; the next run goes on.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.errors import ResourceError, UsageError
from indexer.meter import draw_progress
from indexer.options import Count, home_option, threads_option
from indexer.progress import Progress
from measuring import record
from measuring.index_questions import choose_logos
from measuring.machine import (
    describe,
    json_option,
    keep_freed_memory,
    load_digits,
    print_machine,
    run,
)
from peers.asking import FEWEST_LOGOS, METRICS, Scorer, Searcher, Sweep, Truth, ask_ours
from peers.fronts import Point, front
from peers.plain_faiss import FACTORIES, WINDOW_BYTES, Builder, Recipe, default_nlist
from query.finder import Finder

_MODULES = (*record.SCAN, *record.INDEX, "query/finder.py")


def to_way(key: str, name: str, build: float | None, points: list[Point]) -> dict[str, Any]:
    """One way as JSON holds it."""
    return {
        "key": key,
        "name": name,
        "build_seconds": build,
        "points": [asdict(point) for point in front(points)],
        "all_points": [asdict(point) for point in points],
    }


def print_way(metric: str, way: dict[str, Any], scan_ms: float) -> None:
    """The front of one way."""
    built = f", built in {way['build_seconds']:,.0f} s" if way["build_seconds"] else ""
    print(f"{way['name']}, {metric}{built}; the scan takes {scan_ms:.2f} ms")
    print(f"{'recall@10':>11} {'median ms':>10} {'mean':>9} {'95 %':>9} {'logos':>6}")
    for point in way["points"]:
        note = f"  ({point['note']})" if point["note"] else ""
        print(
            f"{point['recall']:11.4f} {point['ms_median']:10.3f} {point['ms_mean']:9.3f} "
            f"{point['ms_p95']:9.3f} {point['n_logos']:6}  {point['label']}{note}"
        )
    print()


class Measurement:
    """What one run finds: ways by metric, and what was left out."""

    def __init__(
        self, options: dict[str, Any], logos: NDArray[np.uint8], machine: dict[str, str]
    ) -> None:
        self._options = options
        self._machine = machine
        self._logos = logos
        self.ways: dict[str, list[dict[str, Any]]] = {metric: [] for metric in METRICS}
        self.left_out: dict[str, list[str]] = {}
        self.truth: Truth

    def ask_ours(self, report: Progress) -> None:
        """The truth, and pilogo's curves."""
        options = self._options
        n = options["digits"]
        finder = Finder(options["home"], digits=n, threads=options["threads"])
        if not finder.has_index:
            raise UsageError(f"no index of {n:,} decimals; next: pilogo build --digits {n}")
        finder.bring_in()
        self.truth = Truth(finder, self._logos, report)
        if "pilogo" in options["ways"]:
            for metric in METRICS:
                points = ask_ours(finder, self._logos, metric, self.truth, report)
                self._add(metric, to_way("pilogo", "pilogo", None, points))

    def ask_faiss(self, kind: str, digits: NDArray[np.uint8], report: Progress) -> None:
        """One of FAISS's indexes: built or taken up, asked, and removed without --keep."""
        options = self._options
        threads = options["threads"]
        recipe = Recipe(kind, options["nlist"] or default_nlist(len(digits)), len(digits))
        name = f"FAISS {recipe.factory}"
        builder = Builder(recipe, digits, options["work"], threads, report)
        try:
            index = builder.build(reuse=options["reuse"])
        except ResourceError as error:
            self.left_out[name] = [f"does not fit: {error}"]
            return
        sweep = Sweep(
            Searcher(index, kind, threads), Scorer(digits, threads), self._logos, self.truth
        )
        sweep.run(recipe.n_windows, options["budget"], report)
        if sweep.left_out:
            self.left_out[name] = sweep.left_out
        for metric in METRICS:
            self._add(metric, to_way(kind, name, builder.seconds(), sweep.points[metric]))
        del sweep, index
        if not options["keep"]:
            builder.remove()

    def save(self) -> None:
        """Write what there is so far: an index at 10^9 takes an hour, and the next may not fit."""
        options = self._options
        if options["json_file"]:
            kept = ("digits", "threads", "logos", "nlist", "budget", "ways")
            arguments = {name: options[name] for name in kept}
            record.save(
                options["json_file"], "curves", arguments, self.results(), _MODULES, self._machine
            )

    def results(self) -> dict[str, Any]:
        """As JSON holds it."""
        ways, scan = self.ways, self.truth.scan_ms
        return {
            "metric": "l2",
            "n": self._options["digits"],
            "n_logos": len(self._logos),
            "bytes_per_window": WINDOW_BYTES,
            "faiss": f"{faiss.__version__}, {faiss.get_compile_options().strip()}",
            "ways": ways["l2"],
            "scan": {"ms_median": scan["l2"]},
            "left_out": self.left_out,
            "l1": {"ways": ways["l1"], "scan": {"ms_median": scan["l1"]}},
        }

    def _add(self, metric: str, way: dict[str, Any]) -> None:
        self.ways[metric].append(way)
        print_way(metric, way, self.truth.scan_ms[metric])


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(10**6), default=10**8, show_default="1e8", metavar="N")
@home_option
@threads_option
@click.option("--logos", type=click.IntRange(FEWEST_LOGOS), default=100, show_default=True)
@click.option("--way", "ways", multiple=True, type=click.Choice(["pilogo", *FACTORIES]),
              help="Only these.")  # fmt: skip
@click.option("--nlist", type=click.IntRange(16), help="Lists of FAISS's [default: by N].")
@click.option("--budget", type=float, default=20.0, show_default=True,
              help="Seconds for each setting of FAISS's.")  # fmt: skip
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="Where FAISS's indexes are made.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Leave FAISS's indexes in --work.")
@click.option("--reuse", is_flag=True, help="Take finished ones that are there.")
@json_option
def main(**options: Any) -> None:
    """Build, ask, print the fronts."""
    options["ways"] = list(options["ways"] or ("pilogo", *FACTORIES))
    keep_freed_memory()
    machine = describe()
    logos = choose_logos(options["logos"])
    measurement = Measurement(options, logos, machine)
    print_machine(machine)
    print(f"{options['digits']:,} decimals, {len(logos)} logos that nothing was learned from\n")
    with draw_progress(True) as report:
        measurement.ask_ours(report)
        measurement.save()
        digits = load_digits(options["home"], options["digits"])
        for kind in FACTORIES:
            if kind in options["ways"]:
                measurement.ask_faiss(kind, digits, report)
                measurement.save()
    for name, reasons in measurement.left_out.items():
        print(f"left out, {name}: " + "; ".join(reasons))


if __name__ == "__main__":
    run(main)
