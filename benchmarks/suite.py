"""Run the benchmarks, each as a process of its own, and make tables and plots of what they found.

Says first what will run, how long about, and what is missing; what lacks something is left out by
name. Each result is benchmarks/results/NAME-SIZE.json; then the tables and plots of README.md and
ARCHITECTURE.md are made from all results (render.py), and a report of this size beside them. Ctrl-C
ends the benchmark that runs; results of those that are done stay. Exit code 1 where one failed.

10^9 takes two hours; 1e7 is a try that shows in twenty minutes whether everything works.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import render
from catalogue import BENCHMARKS, SIZES, Benchmark

from indexer.errors import ClaimFailed, ResourceError, UsageError
from indexer.home import short_count
from indexer.options import home_option
from indexer.resources import duration, gigabytes
from measuring.machine import run
from measuring.record import RESULTS
from rendering.result_files import Results

_WORK = Path(__file__).with_name("work")
# What a benchmark may take to leave in order after Ctrl-C.
_GRACE_SECONDS = 30


@dataclass(frozen=True)
class Place:
    """What is measured, and where everything goes."""

    n: int
    home: Path
    work: Path
    results: Path

    @property
    def size(self) -> str:
        """The number of decimals as results are named after it."""
        return short_count(self.n)

    def result(self, name: str) -> Path:
        """The file of a benchmark's result."""
        return Results(self.results, self.size).path(name)

    def work_of(self, entry: Benchmark) -> Path:
        """Where a benchmark makes its stores: a folder of its own, taken up again after Ctrl-C."""
        return self.work / f"bench-{entry.name}-{self.size}"


def choose(only: str | None) -> list[Benchmark]:
    """The benchmarks named, in the suite's order; all without a name. UsageError for others."""
    names = [entry.name for entry in BENCHMARKS]
    asked = names if only is None else [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in asked if name not in names]
    if unknown or not asked:
        what = ", ".join(unknown) or "nothing"
        raise UsageError(f"--only names {what}; there are {', '.join(names)}")
    return [entry for entry in BENCHMARKS if entry.name in asked]


def announce(chosen: list[Benchmark], place: Place) -> list[Benchmark]:
    """Say what will run and what will not and why; what will.

    ResourceError where nothing can.
    """
    lacking = {entry.name: entry.missing(place.n, place.home, place.work) for entry in chosen}
    able = [entry for entry in chosen if not lacking[entry.name]]
    say(f"{place.n:,} decimals, stores of {place.home}, results in {place.results}")
    for entry in chosen:
        if entry in able:
            say(f"  {entry.name:9} {_minutes(entry.minutes[place.n]):>10}  {entry.answers}")
        else:
            say(f"  {entry.name:9} {'left out':>10}  {'; '.join(lacking[entry.name])}")
    if not able:
        raise ResourceError("nothing of this can run here; what is missing is said above")
    memory = max(entry.memory_bytes(place.n) for entry in able)
    disk = max(entry.disk * place.n for entry in able)
    where = f" and {gigabytes(disk)} of disk in {place.work}" if disk else ""
    total = _minutes(sum(entry.minutes[place.n] for entry in able))
    say(f"about {total}; up to {gigabytes(memory)} of memory{where}\n")
    return able


def measure(entry: Benchmark, place: Place) -> bool:
    """Run one benchmark; whether its result is in its place.

    A result gets its name when the benchmark has ended well: one whose answers differ is kept as
    NAME-SIZE.failed.json and rendered by nobody. Stores it made are removed unless it failed.
    """
    work = place.work_of(entry)
    if entry.works:
        work.mkdir(parents=True, exist_ok=True)
    final = place.result(entry.name)
    doubtful = final.with_suffix(".failed.json")
    doubtful.unlink(missing_ok=True)
    command = entry.command(place.n, place.home, work, doubtful)
    code = run_child([sys.executable, *command])
    if code == 0 and doubtful.is_file():
        doubtful.replace(final)
        if entry.works:
            shutil.rmtree(work, ignore_errors=True)
        return True
    kept = f"; what it measured is in {doubtful}" if doubtful.is_file() else ""
    say(f"{entry.name} failed with exit code {code}{kept}")
    return False


def listen() -> None:
    """Take SIGINT and SIGTERM for Ctrl-C, also where a shell started this to ignore the first.

    Children hear of Ctrl-C then, too: what is ignored they would inherit.
    """
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.default_int_handler)


def run_child(command: list[str]) -> int:
    """The exit code of a command. Ctrl-C is handed on to it, once, and ends what it started.

    It has a process group of its own: else the terminal would tell it too, and it would be told
    twice.
    """
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            _end(child)
            raise


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Interrupt a process; kill it where it stays for a while or a second Ctrl-C comes.

    What it leaves behind of its group is ended too.
    """
    last = signal.SIGTERM
    child.send_signal(signal.SIGINT)
    try:
        child.wait(_GRACE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        last = signal.SIGKILL
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, last)


def run_all(able: list[Benchmark], place: Place) -> tuple[list[str], bool]:
    """Run them in order: a line for each that was begun, and whether Ctrl-C ended it."""
    lines: list[str] = []
    for number, entry in enumerate(able, 1):
        say(f"== {entry.name}, {number} of {len(able)}: {entry.answers}")
        began = time.monotonic()
        try:
            done = "done" if measure(entry, place) else "FAILED"
        except KeyboardInterrupt:
            done = "interrupted"
        lines.append(f"{entry.name:9} {done:11} {duration(time.monotonic() - began):>11}")
        say("")
        if done == "interrupted":
            return lines, True
    return lines, False


def say(line: str) -> None:
    """A line of the suite's own, in order with those of the benchmarks."""
    click.echo(line)
    sys.stdout.flush()


def _minutes(minutes: float) -> str:
    return duration(60 * minutes)


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=click.Choice([short_count(size) for size in SIZES]), default="1e8",
              show_default=True, help="How many decimals.")  # fmt: skip
@click.option("--only", metavar="NAME,…", default=None,
              help=f"These alone: {', '.join(entry.name for entry in BENCHMARKS)}.")  # fmt: skip
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), default=_WORK,
              metavar="DIR", help="Where stores are made [default: benchmarks/work].")  # fmt: skip
@click.option("--results", type=click.Path(file_okay=False, path_type=Path), default=RESULTS,
              metavar="DIR",
              help="Where results go [default: benchmarks/results]; with another folder the "
              "project's documents stay as they are.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would run.")
@home_option
def main(**options: Any) -> None:
    """Announce, run, render, sum up."""
    n = next(size for size in SIZES if short_count(size) == options["digits"])
    results = options["results"].resolve()
    place = Place(n, options["home"], options["work"].resolve(), results)
    able = announce(choose(options["only"]), place)
    if options["dry_run"]:
        return
    listen()
    results.mkdir(parents=True, exist_ok=True)
    lines, interrupted = run_all(able, place)
    with contextlib.suppress(OSError):
        place.work.rmdir()  # where nothing is left in it
    if not interrupted:
        render.render_after(results, place.size)
    say("\n".join(lines))
    if interrupted:
        sys.exit(130)
    failed = [line.split()[0] for line in lines if "FAILED" in line]
    if failed:
        raise ClaimFailed(f"{', '.join(failed)} failed; the reason is above")


if __name__ == "__main__":
    run(main)
