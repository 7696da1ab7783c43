"""The benchmarks of the suite: what each answers, what it needs, how long it takes.

A benchmark is a script of this folder that takes --home, --digits and --json; its result is
NAME-SIZE.json, as scan-1e9.json.
"""

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from indexer.digits import choose_store
from indexer.errors import PilogoError
from indexer.home import build_command, short_count
from indexer.index_files import has_index
from indexer.resources import available_memory, free_disk, gigabytes

# The sizes that a suite can run at; the first is to see that everything works.
SIZES = (10**7, 10**8, 10**9)
_EXTRA = "pip install -e '.[bench]'"


@dataclass(frozen=True)
class Benchmark:
    """One script of the suite.

    minutes is what it takes on two cores, by size: at others it does not run. memory and disk are
    bytes a decimal, disk at the peak; base_memory is bytes at any size. modules are those of the
    extra `bench`; index says that the store must have one; works that it makes stores in --work.
    """

    name: str
    answers: str
    minutes: dict[int, float]
    memory: float = 1
    base_memory: float = 0.3e9
    disk: float = 0
    gcc: bool = False
    index: bool = False
    works: bool = False
    modules: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    @property
    def script(self) -> Path:
        """The file to run."""
        return Path(__file__).with_name(f"{self.name}.py")

    def command(self, n: int, home: Path, work: Path, json_file: Path) -> list[str]:
        """The script with its arguments; its stores, if it makes any, go into work."""
        words = [str(self.script), "--home", str(home), "--digits", short_count(n)]
        words += ["--work", str(work)] if self.works else []
        return [*words, *self.arguments, "--json", str(json_file)]

    def memory_bytes(self, n: int) -> float:
        """Memory that must be there, the page cache of the files it reads included."""
        return self.base_memory + self.memory * n

    def missing(self, n: int, home: Path, work: Path) -> list[str]:
        """What keeps it from running at this size, each with what to do about it."""
        if n not in self.minutes:
            sizes = " and ".join(short_count(size) for size in self.minutes)
            return [f"it is measured at {sizes} alone"]
        found = []
        if self.gcc and shutil.which("gcc") is None:
            found.append("gcc is not there; next: install gcc")
        absent = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if absent:
            verb = "is" if len(absent) == 1 else "are"
            found.append(f"{' and '.join(absent)} {verb} not installed; next: {_EXTRA}")
        return found + self._missing_store(n, home) + self._missing_room(n, work)

    def _missing_store(self, n: int, home: Path) -> list[str]:
        try:
            store = choose_store(home, n)
        except PilogoError as error:
            return [str(error)]
        if self.index and not has_index(store):
            return [f"{store.folder} has no index; next: {build_command(store.folder)}"]
        return []

    def _missing_room(self, n: int, work: Path) -> list[str]:
        rooms = (
            ("memory", self.memory_bytes(n), available_memory()),
            (f"disk in {work}", self.disk * n, free_disk(work)),
        )
        return [
            f"{gigabytes(needed)} of {what} are needed and {gigabytes(there)} are free"
            for what, needed, there in rooms
            if needed > there
        ]


def _minutes(smallest: float, small: float, large: float | None = None) -> dict[int, float]:
    times = {10**7: smallest, 10**8: small}
    return times if large is None else times | {10**9: large}


# In the order in which they run: what is soon done comes first.
BENCHMARKS = (
    Benchmark(
        "scan",
        "the exact scan beside one read of the same bytes, and beside plain C",
        _minutes(0.1, 0.3, 2),
        gcc=True,
    ),
    Benchmark(
        "together",
        "many bitmaps in one scan: how many single scans it takes",
        _minutes(0.2, 0.3, 1.5),
    ),
    Benchmark(
        "startup",
        "whole commands from the shell",
        _minutes(1, 1, 1.5),
        index=True,
    ),
    Benchmark(
        "index",
        "the index: speed, recall, and whether it knows what it lacks",
        _minutes(0.5, 1, 5),
        memory=16,
        index=True,
    ),
    Benchmark(
        "beside",
        "every exhaustive way to answer: C, NumPy, numba, stumpy, FFT, FAISS flat",
        _minutes(1, 3, 8),
        base_memory=4e9,
        gcc=True,
        modules=("numba", "scipy", "stumpy"),
    ),
    Benchmark(
        "scale",
        "how scan, index and build grow",
        _minutes(1, 3, 10),
        memory=16,
        disk=27,
        works=True,
    ),
    Benchmark(
        "ablation",
        "what each part of the index buys",
        _minutes(2, 8),
        memory=32,
        disk=40,
        works=True,
    ),
    Benchmark(
        "curves",
        "recall against time, beside FAISS used plainly",
        _minutes(15, 30, 80),
        memory=16,
        disk=32,
        index=True,
        works=True,
    ),
)
