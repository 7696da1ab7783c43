"""The index beside the exact scan: speed, recall and calibration over logos it never saw.

Asks the held-out logos that have no near copy among those learned from (or --logos of them) with l1
and l2 at --missed 1, 0.1 and 0.01, each answer compared with a scan (what `pilogo verify` does);
then these and all held-out logos without scans between; then the SoundCloud logo, cold starts from
the shell, a stream of logos on standard input, and, with --growth, the same questions in the first
10^6 … 10^8 decimals, for which it makes stores and indexes in --work.

Page cache warm, one process, the index's files mapped before the clock starts. Times are of
`Finder.find`: law, calibration, search, exact scores, E-values. Where the planner preferred a scan,
the scan's time counts.
"""

import json
import math
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from machine import describe, print_machine, run
from startup import pilogo

from indexer.build import build_index
from indexer.corpus import all_held_out_logos, held_out_logos
from indexer.digits import choose_store, find_store
from indexer.index_files import open_index
from indexer.mapping import bring_in
from indexer.meter import draw_progress
from indexer.options import Count, home_option, threads_option
from indexer.packaged import data_file
from indexer.sources import ImportOptions, import_digits
from indexer.window import HEIGHT, WIDTH, count_windows
from query.bitmap import read_logo
from query.candidates import IndexSearch
from query.finder import Finder
from query.list_shards import IndexedShard, ListShards
from query.metrics import cost_table
from query.verify import verify
from query.verify_report import format_verification, verification_json

_GROWTH = (10**6, 10**7, 10**8)


def measure_speed(finder: Finder, logos: np.ndarray) -> list[dict[str, Any]]:
    """Times of a stream of different logos, no scans between but those the planner prefers."""
    rows = []
    for metric in ("l1", "l2"):
        for missed in (0.1, 0.01):
            answers = [
                finder.find(logo.reshape(HEIGHT, WIDTH), metric=metric, missed=missed)
                for logo in logos
            ]
            ms = [1e3 * answer.seconds for answer in answers]
            rows.append(
                {
                    "metric": metric,
                    "missed": missed,
                    "ms": np.percentile(ms, [25, 50, 75, 90, 95]).tolist(),
                    "mean_ms": float(np.mean(ms)),
                    "by_scan": sum(answer.mode == "scan" for answer in answers),
                }
            )
    return rows


def measure_soundcloud(finder: Finder, repeat: int = 21) -> list[dict[str, Any]]:
    """Time and misses of the contest's own logo."""
    logo = read_logo(str(data_file("soundcloud.png")))
    rows = []
    for metric in ("l1", "l2"):
        truth = {m.offset for m in finder.find(logo, metric=metric, exact=True).matches}
        for missed in (0.1, 0.01):
            answers = [finder.find(logo, metric=metric, missed=missed) for _ in range(repeat)]
            found = {m.offset for m in answers[0].matches}
            seconds = statistics.median(answer.seconds for answer in answers)
            rows.append(
                {
                    "metric": metric,
                    "missed": missed,
                    "mode": answers[0].mode,
                    "found": len(truth & found),
                    "ms": 1e3 * seconds,
                    "windows": answers[0].windows,
                    "candidates": answers[0].candidates,
                }
            )
    return rows


def measure_shell(home: Path, n: int, logos: np.ndarray, repeat: int = 11) -> dict[str, float]:
    """Seconds of a cold start; logos a second of a stream, process start included and not."""
    options = ["--home", str(home), "--digits", str(n), "--no-progress", "--format", "json"]
    command = [*pilogo(), "find", str(data_file("soundcloud.png")), *options]
    starts = []
    for _ in range(repeat + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        starts.append(time.perf_counter() - began)
    lines = "".join("".join(map(str, logo)) + "\n" for logo in logos.tolist())
    began = time.perf_counter()
    done = subprocess.run(
        [*pilogo(), "find", "-", *options], input=lines.encode(), check=True, capture_output=True
    )
    seconds = time.perf_counter() - began
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    start = statistics.median(starts[1:])
    return {
        "cold_start": start,
        "stream_logos": len(answers),
        "stream_per_second": len(answers) / seconds,
        "stream_per_second_started": len(answers) / max(seconds - start, 1e-9),
        "stream_by_scan": sum(answer["mode"] == "scan" for answer in answers),
    }


def measure_growth(
    home: Path, n: int, work: Path, logos: np.ndarray, threads: int
) -> list[dict[str, float]]:
    """Lists, windows and time at growing n, always from the index."""
    source = choose_store(home, n)
    rows = []
    for size in (*_GROWTH, n):
        if size == n:
            store = source
        else:
            made = find_store(work, "pi", size)
            store = made or import_digits(work, source.path, ImportOptions(first=size))
            build_index(store, threads=threads)
        digits = store.open(size)
        index = open_index(store)
        shard = IndexedShard(0, index, digits, count_windows(size))
        search = IndexSearch(index.coder, count_windows(size), ListShards([shard], threads))
        bring_in(index.lists)
        bring_in(digits)
        found = []
        for logo in logos:
            table = cost_table(logo.reshape(HEIGHT, WIDTH), "l1")
            for _ in range(2):  # once to bring the pages in
                began = time.perf_counter()
                answer = search.closest_windows(table, 10, 0.1)
                seconds = time.perf_counter() - began
            if answer is not None:
                found.append((answer.n_lists, answer.n_windows, answer.n_candidates, seconds))
        lists, windows, candidates, seconds = np.median(np.array(found), axis=0)
        rows.append(
            {
                "n": size,
                "lists": float(lists),
                "windows": float(windows),
                "candidates": float(candidates),
                "ms": 1e3 * float(seconds),
            }
        )
    return rows


def fit_exponent(rows: list[dict[str, float]], name: str) -> float:
    """b of name = a n^b, by least squares on logarithms."""
    x = [math.log(row["n"]) for row in rows]
    y = [math.log(row[name]) for row in rows]
    return float(np.polyfit(x, y, 1)[0])


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(), default=10**9, show_default="1e9", metavar="N")
@click.option("--logos", type=click.IntRange(1), default=None, help="Without it all held out.")
@click.option("--growth", is_flag=True, help="Also at 10^6, 10^7 and 10^8 decimals.")
@click.option("--work", type=click.Path(path_type=Path), help="Where --growth keeps its stores.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all figures.")
@home_option
@threads_option
def main(**options: Any) -> None:
    """Measure, print the tables."""
    home, n, threads = options["home"], options["digits"], options["threads"]
    logos = held_out_logos()[: options["logos"]]
    finder = Finder(home, digits=n, threads=threads)
    print_machine(describe())
    finder.bring_in()
    with draw_progress(True) as report:
        found = verify(finder, logos, progress=report)
    print(format_verification(found, style="compact"))
    figures: dict[str, Any] = {"machine": describe(), "logos": len(logos), "n": n}
    print("\nmilliseconds, one logo after the other: 25, 50, 75, 90, 95 %; mean; by a scan")
    for name, asked in (("without near copies", logos), ("all held out", all_held_out_logos())):
        figures[f"speed, {name}"] = rows = measure_speed(finder, asked)
        for row in rows:
            quantiles = " ".join(f"{value:7.2f}" for value in row["ms"])
            print(
                f"  {name:20} {row['metric']}  missed {row['missed']:<5g} {quantiles}"
                f"  {row['mean_ms']:7.2f}  {row['by_scan']:4d} of {len(asked)}"
            )
    figures["soundcloud"] = measure_soundcloud(finder)
    print("\nSoundCloud's logo")
    for row in figures["soundcloud"]:
        print(
            f"  {row['metric']}  missed {row['missed']:<5g} {row['mode']:5}  {row['found']} of 10  "
            f"{row['ms']:7.2f} ms  {row['windows']:>13,} windows  {row['candidates']:>9,} scored"
        )
    figures["shell"] = shell = measure_shell(home, n, logos[:200])
    print(
        f"\ncold start from the shell: {shell['cold_start']:.2f} s\n"
        f"a stream of {shell['stream_logos']} logos: {shell['stream_per_second']:.0f} a second, "
        f"{shell['stream_per_second_started']:.0f} after the start "
        f"({shell['stream_by_scan']} by a scan)"
    )
    if options["growth"]:
        with tempfile.TemporaryDirectory(prefix="pilogo-") as folder:
            work = options["work"] or Path(folder)
            figures["growth"] = measure_growth(home, n, work, logos[:100], threads)
        print("\nl1, missed 0.1, medians")
        print(f"{'n':>13}  {'lists':>9}  {'windows':>11}  {'scored':>9}  {'ms':>7}")
        for row in figures["growth"]:
            print(
                f"{row['n']:13,.0f}  {row['lists']:9,.0f}  {row['windows']:11,.0f}  "
                f"{row['candidates']:9,.0f}  {row['ms']:7.2f}"
            )
        names = ("lists", "windows", "candidates", "ms")
        exponents = {name: fit_exponent(figures["growth"], name) for name in names}
        print("exponents:    " + "  ".join(f"{k} n^{v:.2f}" for k, v in exponents.items()))
        figures["exponents"] = exponents
    if options["json_path"]:
        figures["verify"] = json.loads(verification_json(found))
        options["json_path"].write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    run(main)
