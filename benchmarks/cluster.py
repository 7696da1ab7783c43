"""Shards and workers: what cutting a store costs, and what more processes bring.

**Shards.** The same decimals in 1, 2, 4 … shards, searched in this process with all threads: the
time of a question to the index and of a scan, by number of shards. Answers must be the same.

**Workers.** One store in --workers-shards shards, built and asked by 1 and by 2 processes of
`local:N`, of one thread each: seconds of a build, of a scan, of a question to the index.
"""

import contextlib
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from indexer.cluster import connect
from indexer.corpus import held_out_logos
from indexer.digits import DigitStore, choose_store
from indexer.options import Count, home_option
from indexer.resources import gigabytes, require_disk, usable_threads
from indexer.shard_build import build_shards, run_here, run_there
from indexer.shards import shard_places, shared_coder
from indexer.sources import ImportOptions, import_digits
from indexer.window import HEIGHT, WIDTH, count_windows
from measuring.machine import describe, json_option, print_machine, run
from query.candidates import IndexSearch
from query.cluster import ClusterShards
from query.metrics import cost_table
from query.ranking import Best, Ranking
from query.scan import widen
from query.shards import LocalShards, Shards

_MISSED = 0.1
_TOP = 10
# What a store in shards takes: its lists, its decimals and the parts of one shard at a time.
_BYTES_A_WINDOW = 26


@contextlib.contextmanager
def _store(source: DigitStore, n: int, work: Path) -> Iterator[DigitStore]:
    """A store of the first n decimals of another, in place, in a folder that is removed after."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        options = ImportOptions(first=n, in_place=True)
        yield import_digits(Path(folder), source.path, options)


def _rows(ranking: Ranking) -> list[tuple[int, int]]:
    return list(zip(ranking.distances.tolist(), ranking.starts.tolist(), strict=True))


class Asked:
    """Questions to some shards: answers, and how long each took."""

    def __init__(self, store: DigitStore, shards: Shards) -> None:
        self._shards = shards
        self._n_windows = count_windows(store.n)
        self._index = IndexSearch(shared_coder(store), self._n_windows, shards)

    def by_index(self, logo: NDArray[np.uint8]) -> list[tuple[int, int]]:
        """Distances and starts from the index."""
        found = self._index.closest_windows(cost_table(logo), _TOP, _MISSED)
        return [] if found is None else _rows(found.ranking)

    def by_scan(self, logo: NDArray[np.uint8]) -> list[tuple[int, int]]:
        """Distances and starts from a scan."""
        table = cost_table(logo)

        def search(best: Best) -> None:
            self._shards.scan(table, best)

        return _rows(widen(table, self._n_windows, _TOP, search))


def _time(ask: Callable[[Any], Any], logos: Sequence[Any]) -> tuple[list[Any], list[float]]:
    """(answers, seconds) of the second of two rounds: the first brings pages in and compiles."""
    for logo in logos:
        ask(logo)
    answers, seconds = [], []
    for logo in logos:
        began = time.perf_counter()
        answers.append(ask(logo))
        seconds.append(time.perf_counter() - began)
    return answers, seconds


def _figures(store: DigitStore, shards: Shards, logos: Sequence[Any]) -> dict[str, Any]:
    asked = Asked(store, shards)
    shards.bring_in()
    indexed, index_seconds = _time(asked.by_index, logos)
    scanned, scan_seconds = _time(asked.by_scan, logos[:5])
    return {
        "answers": [indexed, scanned],
        "index_ms": 1000 * statistics.median(index_seconds),
        "index_p95_ms": 1000 * float(np.percentile(index_seconds, 95)),
        "scan_ms": 1000 * statistics.median(scan_seconds),
    }


def measure_shards(
    source: DigitStore, n: int, counts: Sequence[int], work: Path, logos: Sequence[Any]
) -> list[dict[str, Any]]:
    """A row for each number of shards."""
    rows = []
    for count in counts:
        require_disk(_BYTES_A_WINDOW * n, work, f"{count} shards")
        with _store(source, n, work) as store:
            began = time.perf_counter()
            build_shards(store, count, run_here(), threads=usable_threads())
            built = time.perf_counter() - began
            found = _figures(store, LocalShards(shard_places(store), usable_threads()), logos)
        rows.append({"shards": count, "build_s": built, **found})
        _say_row(rows[-1])
    return rows


def measure_workers(
    source: DigitStore, n: int, count: int, work: Path, logos: Sequence[Any]
) -> list[dict[str, Any]]:
    """A row for each number of worker processes."""
    rows = []
    for workers in (1, 2):
        require_disk(_BYTES_A_WINDOW * n, work, f"{count} shards")
        with _store(source, n, work) as store, connect(f"local:{workers}") as cluster:
            began = time.perf_counter()
            build_shards(store, count, run_there(cluster), threads=1)
            built = time.perf_counter() - began

            def coder(store: DigitStore = store) -> Any:
                return shared_coder(store)

            found = _figures(store, ClusterShards(cluster, shard_places(store), coder), logos)
        rows.append({"workers": workers, "shards": count, "build_s": built, **found})
        _say_row(rows[-1])
    return rows


def _say_row(row: dict[str, Any]) -> None:
    click.echo({name: value for name, value in row.items() if name != "answers"}, err=True)


def _require_same(rows: Sequence[dict[str, Any]]) -> None:
    first = rows[0]["answers"]
    if any(row["answers"] != first for row in rows):
        raise click.ClickException("answers differ with the number of shards or workers")


def _print_shards(rows: Sequence[dict[str, Any]]) -> None:
    print("| shards | build, s | index, median ms | index, 95 % ms | scan, ms |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['shards']} | {row['build_s']:.0f} | {row['index_ms']:.1f} | "
            f"{row['index_p95_ms']:.0f} | {row['scan_ms']:.0f} |"
        )
    print()


def _print_workers(rows: Sequence[dict[str, Any]], n: int) -> None:
    print(
        "| workers | build, s | windows/s | efficiency | scan, ms | efficiency | index, median ms |"
    )
    print("|---|---|---|---|---|---|---|")
    one = rows[0]
    for row in rows:
        workers = row["workers"]
        build = one["build_s"] / row["build_s"] / workers
        scan = one["scan_ms"] / row["scan_ms"] / workers
        print(
            f"| {workers} | {row['build_s']:.0f} | {n / row['build_s'] / 1e6:.1f}e6 | "
            f"{build:.0%} | {row['scan_ms']:.0f} | {scan:.0%} | {row['index_ms']:.0f} |"
        )
    print()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--digits", type=Count(), default=10**8, show_default=True, metavar="N")
@click.option("--shards", "counts", type=int, multiple=True, default=(1, 2, 4, 8, 16, 64),
              show_default=True, help="Numbers of shards in this process; 0 for none.")  # fmt: skip
@click.option("--workers-shards", type=int, default=16, show_default=True,
              help="Shards for the workers; 0 leaves them out.")  # fmt: skip
@click.option("--logos", type=int, default=60, show_default=True)
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), default=Path(),
              help="A folder with room for the stores.")  # fmt: skip
@json_option
@home_option
def main(  # noqa: PLR0913, PLR0917 - one parameter an option
    digits: int,
    counts: Sequence[int],
    workers_shards: int,
    logos: int,
    work: Path,
    json_file: Path | None,
    home: Path,
) -> None:
    """Time builds, scans and questions by number of shards and of workers."""
    machine = describe()
    print_machine(machine)
    source = choose_store(home, digits)
    work.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(work).free
    click.echo(f"{gigabytes(free)} free in {work}", err=True)
    pictures = [logo.reshape(HEIGHT, WIDTH) for logo in held_out_logos()]
    asked = pictures[:: max(1, len(pictures) // logos)][:logos]
    local = [count for count in counts if count]
    found: dict[str, Any] = {"machine": machine, "digits": digits}
    everything: list[dict[str, Any]] = []
    if local:
        found["shards"] = measure_shards(source, digits, local, work, asked)
        everything += found["shards"]
        _print_shards(found["shards"])
    if workers_shards:
        found["workers"] = measure_workers(source, digits, workers_shards, work, asked)
        everything += found["workers"]
        _print_workers(found["workers"], digits)
    _require_same(everything)
    print(f"{len(everything)} ways, the same answers")
    if json_file:
        for row in everything:
            del row["answers"]
        json_file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
