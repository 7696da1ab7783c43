"""Questions for an index, always answered by it: stores of the first n decimals, logos, times."""

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from indexer.build import build_index
from indexer.cells import Coder
from indexer.corpus import held_out_logos
from indexer.digits import DigitStore, choose_store
from indexer.index_files import Index, open_index
from indexer.mapping import bring_in
from indexer.sources import ImportOptions, import_digits
from indexer.window import HEIGHT, WIDTH, count_windows
from query.candidates import Found, IndexSearch
from query.list_shards import IndexedShard, ListShards
from query.metrics import CostTable, cost_table
from query.ranking import Ranking

work_option = click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), help="Where stores are made."
)
TOP = 10
MISSED = 0.1
_SEED = 314159


def choose_logos(count: int) -> NDArray[np.uint8]:
    """So many of the held-out logos without near copies, mixed: uint8[count, 84]."""
    logos = held_out_logos()
    return logos[np.random.default_rng(_SEED).permutation(len(logos))[:count]]


def make_table(logo: NDArray[np.uint8], metric: str) -> CostTable:
    """The question of a logo uint8[84]."""
    return cost_table(logo.reshape(HEIGHT, WIDTH), metric)


@contextmanager
def work_folder(work: Path | None) -> Iterator[Path]:
    """A folder of its own in --work, or where temporary files go; removed at the end."""
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pilogo-", dir=work) as folder:
        yield Path(folder)


@contextmanager
def store_in(folder: Path, home: Path, n: int) -> Iterator[DigitStore]:
    """A store of the first n decimals of a home's, in a folder of its own that is then removed.

    The decimals are copied: so that the store is like any other, and its file as well cached.
    """
    folder.mkdir(parents=True, exist_ok=False)
    try:
        yield import_digits(folder, choose_store(home, n).path, ImportOptions(first=n))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def timed_build(store: DigitStore, threads: int, coder: bytes | None = None) -> float:
    """Build the index of a store from its decimals; seconds on the wall."""
    began = time.perf_counter()
    build_index(store, threads=threads, coder=coder)
    return time.perf_counter() - began


class Opened:
    """An index and its decimals, mapped, every page brought in, asked without the planner."""

    def __init__(self, store: DigitStore, threads: int) -> None:
        self.n_windows = count_windows(store.n)
        self.digits = store.open()
        self.index: Index = open_index(store)
        shard = IndexedShard(0, self.index, self.digits, self.n_windows)
        self.lists = ListShards([shard], threads)
        self._search = IndexSearch(self.index.coder, self.n_windows, self.lists)
        bring_in(self.index.lists)
        bring_in(self.digits)

    @property
    def coder(self) -> Coder:
        """Projection and codebooks."""
        return self.index.coder

    @property
    def bytes_per_window(self) -> float:
        """What the index takes on disk, all of its files."""
        files = (path for path in self.index.folder.rglob("*") if path.is_file())
        return sum(path.stat().st_size for path in files) / self.n_windows

    def ask(self, table: CostTable) -> "Asked":
        """The answer of the second of two runs: the first brings into the caches what it needs."""
        found: Found | None = None
        seconds = 0.0
        for _ in range(2):
            began = time.perf_counter()
            found = self._search.closest_windows(table, TOP, MISSED)
            seconds = time.perf_counter() - began
        return Asked(1e3 * seconds, found)


@dataclass(frozen=True)
class Asked:
    """One question's milliseconds, and what was found; None where the index has no answer."""

    ms: float
    found: Found | None


def count_missed(truth: Ranking, found: Ranking | None) -> int:
    """How many of the true windows were not found."""
    return len(set(truth.starts.tolist()).difference(found.starts.tolist() if found else ()))


def recall(truths: Sequence[Ranking], found: Sequence[Ranking]) -> float | None:
    """The share of the true matches that were found, as `pilogo verify` counts it.

    None where nothing was to be found.
    """
    n_true = sum(len(truth.starts) for truth in truths)
    n_missed = sum(map(count_missed, truths, found))
    return 1 - n_missed / n_true if n_true else None


def summarise(asked: Sequence[Asked]) -> dict[str, Any]:
    """Medians and 95th percentiles of what the answered questions took; None where none was."""
    answered = [(one.ms, one.found) for one in asked if one.found is not None]
    values = {
        "ms": [ms for ms, _ in answered],
        "lists": [found.n_lists for _, found in answered],
        "windows": [found.n_windows for _, found in answered],
        "candidates": [found.n_candidates for _, found in answered],
    }
    summary: dict[str, Any] = {"answered": len(answered), "none": len(asked) - len(answered)}
    for name, of_each in values.items():
        summary[f"{name}_median"] = float(statistics.median(of_each)) if of_each else None
        summary[f"{name}_p95"] = float(np.percentile(of_each, 95)) if of_each else None
    return summary


def say(text: str) -> None:
    """A line about how far the benchmark is, on standard error."""
    click.echo(text, err=True)
