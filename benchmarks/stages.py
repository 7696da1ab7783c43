"""Where the time of a question goes, and that of a build.

A question to the index, l1, logos that nothing was learned from: timers around the functions that
do its parts, and what it reads of lists and decimals. A question that the planner has scanned is
left out.

With --build the same decimals are indexed once more in --work (25 bytes of disk a decimal, which
are removed): seconds of each stage, and of the routines in it in all threads together.
"""

import os
import pkgutil
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np

from indexer.build import build_index
from indexer.cells import CODE_BYTES
from indexer.options import Count, home_option, threads_option
from indexer.progress import Step
from indexer.window import HEIGHT, WIDTH
from measuring.index_questions import choose_logos, make_table, store_in, work_folder, work_option
from measuring.machine import describe, json_option, print_machine, run
from measuring.record import BUILD, INDEX, save
from query.finder import Finder

_MISSED = 0.2
# Memory comes in lines of 64 bytes: a candidate's id is in one, its 84 digits in two or three.
_CANDIDATE_BYTES = 64 * (1 + 2.3)
_QUESTION = {
    "law of the distance": ("query.significance.Law.__init__", "query.significance.Law.closest"),
    "drawing answers, fitting lines": ("query.calibration.Calibration.__init__",),
    "limits, what may be missing": (
        "query.calibration.Calibration.limits",
        "query.calibration.Calibration.lost",
    ),
    "finding lists": ("query.list_shards.ListShards.count", "query.lists.ListSearch.find_probes"),
    "looking and scoring": ("query.list_shards.ListShards.look",),
    "matches": ("query.finder.Finder._matches",),
}
_BUILD = {
    "coding": ("indexer.coding.WindowCoder.code",),
    "sorting and writing parts": ("indexer.build.make_part",),
    "putting lists together": ("indexer.merge._merge_batch",),
    "checksums of lists": ("indexer.merge.Sums.update",),
}


class Timers:
    """Seconds in functions by name, of all threads together; an inner timer's are its own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._inner = threading.local()

    @contextmanager
    def around(self, functions: dict[str, tuple[str, ...]]) -> Iterator[None]:
        """Time the calls of functions, each as module.name or module.Class.name."""
        with ExitStack() as stack:
            for name, paths in functions.items():
                for path in paths:
                    owner, _, attribute = path.rpartition(".")
                    place = pkgutil.resolve_name(owner)
                    timed = self._timed(name, getattr(place, attribute))
                    stack.enter_context(patch.object(place, attribute, timed))
            yield

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            outer = getattr(self._inner, "seconds", 0.0)
            self._inner.seconds = 0.0
            began = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                took = time.perf_counter() - began
                with self._lock:
                    self.seconds[name] += took - self._inner.seconds
                self._inner.seconds = outer + took

        return timed


def measure_questions(options: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of each part of every question, and what was read."""
    finder = Finder(options["home"], digits=options["digits"], threads=options["threads"])
    finder.bring_in()
    rows = []
    for logo in choose_logos(options["logos"]):
        bitmap = logo.reshape(HEIGHT, WIDTH)
        finder.find(bitmap, missed=_MISSED)  # what it needs is in the caches as far as they go
        timers, table = Timers(), make_table(logo, "l1")
        with timers.around(_QUESTION):
            began = time.perf_counter()
            answer = finder.find(bitmap, costs=table, missed=_MISSED)
            seconds = time.perf_counter() - began
        if answer.mode == "index":
            parts = {name: 1e3 * timers.seconds[name] for name in _QUESTION}
            parts["the rest"] = 1e3 * seconds - sum(parts.values())
            n_bytes = CODE_BYTES * answer.windows + _CANDIDATE_BYTES * answer.candidates
            rows.append({"ms": 1e3 * seconds, "parts": parts, "bytes": n_bytes})
    return {"missed": _MISSED, "asked": options["logos"], "rows": rows}


def measure_build(options: dict[str, Any]) -> dict[str, Any]:
    """Seconds of the stages and routines of a build, and what it read, wrote and computed."""
    with (
        work_folder(options["work"]) as work,
        store_in(work / "store", options["home"], options["digits"]) as store,
    ):
        stages: dict[str, float] = defaultdict(float)
        last = time.perf_counter()

        def follow(step: Step) -> None:
            nonlocal last
            now = time.perf_counter()
            stages[step.stage] += now - last
            last = now

        timers, moved, computed = Timers(), _moved(), os.times()
        with timers.around(_BUILD):
            began = last = time.perf_counter()
            build_index(store, threads=options["threads"], progress=follow)
            seconds = time.perf_counter() - began
        stages["the rest"] = time.perf_counter() - last
        now = os.times()
        return {
            "seconds": seconds,
            "stages": dict(stages),
            "routines": dict(timers.seconds),
            "user_seconds": now.user - computed.user,
            "system_seconds": now.system - computed.system,
            "moved_bytes": {name: at - moved[name] for name, at in _moved().items()},
        }


def _moved() -> dict[str, int]:
    """Bytes this process has asked to be read and written so far, by Linux's count."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    counts = dict(line.split(": ") for line in lines)
    return {"read": int(counts["rchar"]), "written": int(counts["wchar"])}


def print_questions(found: dict[str, Any]) -> None:
    """Parts by median question, and by the slowest twentieth, where the time is."""
    rows = sorted(found["rows"], key=lambda row: row["ms"])
    slowest = rows[-max(1, len(rows) // 20) :]
    print(f"a question, --missed {found['missed']:g}, {len(rows)} of {found['asked']} by the index")
    print(f"{'':34} {'median ms':>10} {'slowest 5 %':>12}")
    for name in rows[0]["parts"]:
        median = statistics.median(row["parts"][name] for row in rows)
        print(f"{name:34} {median:10.3f} {np.mean([r['parts'][name] for r in slowest]):12.3f}")
    print(f"{'all':34} {_median(rows):10.3f} {np.mean([row['ms'] for row in slowest]):12.3f}")
    for name, some in (("all", rows), ("slowest", slowest)):
        n_bytes = statistics.median(row["bytes"] for row in some)
        looking = statistics.median(row["parts"]["looking and scoring"] for row in some)
        print(f"{name}: {n_bytes / 1e6:.1f} MB read, {n_bytes / looking / 1e6:.1f} GB/s")


def _median(rows: list[dict[str, Any]]) -> float:
    return statistics.median(row["ms"] for row in rows)


def print_build(found: dict[str, Any]) -> None:
    """Stages on the wall, routines in all threads, bytes moved."""
    print(f"\na build: {found['seconds']:.1f} s")
    for kind in ("stages", "routines"):
        print(f"{kind}:")
        for name, seconds in found[kind].items():
            print(f"  {name:32} {seconds:8.1f} s")
    moved = found["moved_bytes"]
    print(f"computing {found['user_seconds']:.0f} s, in the system {found['system_seconds']:.0f} s")
    print(f"read {moved['read'] / 1e9:.1f} GB, written {moved['written'] / 1e9:.1f} GB")


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
@click.option("--digits", type=Count(10**6), default=10**9, show_default="1e9", metavar="N")
@click.option("--logos", type=click.IntRange(1), default=200, show_default=True)
@click.option("--build", is_flag=True, help="Build the index too.")
@work_option
@json_option
@home_option
@threads_option
def main(**options: Any) -> None:
    """Measure, print both."""
    machine = describe()
    print_machine(machine)
    found = {"questions": measure_questions(options)}
    print_questions(found["questions"])
    if options["build"]:
        found["build"] = measure_build(options)
        print_build(found["build"])
    if options["json_file"]:
        arguments = {name: options[name] for name in ("digits", "logos", "threads")}
        save(options["json_file"], "stages", arguments, found, (*INDEX, *BUILD), machine)


if __name__ == "__main__":
    run(main)
