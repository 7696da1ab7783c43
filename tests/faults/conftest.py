"""The faults that pilogo survives: each test adds its cases to one table, printed at the end.

The short form runs with the suite; `just faults` runs every volume (`pytest --full tests/faults`).
Cases run the program as people do, from its console script, unless they say otherwise.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexer.build import build_index
from indexer.compute import compute_digits
from program import SMALL, Tally

# What each fault is, by its number; the volume of the full run.
FAULTS = {
    1: ("kill -9 at random times in build, then run it again", "200"),
    2: ("kill after the n-th write, fsync, rename", "every n"),
    3: ("the n-th open, write, fsync, rename fails", "every n, each kind"),
    4: ("disk full: a small tmpfs", "12"),
    5: ("one byte flipped in any file of the store", "every byte of small files, 4,000 a large"),
    6: ("files truncated or with bytes appended", "200 a file"),
    7: ("files swapped between builds; other decimals, n, seed", "20"),
    8: ("format version, magic, FAISS version of others", "10"),
    9: ("hostile manifests", "500"),
    10: ("two builders at once; builder and reader", "20 each"),
    11: ("a new build published while queries loop", "20"),
    12: ("Ctrl-C and SIGTERM at random times, twice", "100"),
    13: ("read-only store, unwritable home", "6"),
    14: ("memory limits of 1, 2 and 4 GB", "6"),
    15: ("images that are damaged, hostile or odd", "60"),
    16: ("hostile SVG", "10"),
    17: ("arguments, paths, a moved store", "60"),
    18: ("HTTP requests: by the API's document, and raw hostile ones", "10,000"),
    19: ("soak: queries in one process", "5,000"),
    20: ("the scan against the plain loop", "10,000"),
}


_tallies: list[Tally] = []


@pytest.fixture
def tally() -> Iterator[Callable[[int], Tally]]:
    """tally(item) gives the fault's table row; the test fails at its end if a case did."""
    mine: list[Tally] = []

    def begin(item: int) -> Tally:
        mine.append(Tally(item))
        _tallies.append(mine[-1])
        return mine[-1]

    yield begin
    failed = [line for row in mine for line in row.failed]
    if failed:
        pytest.fail(f"{len(failed)} cases did not pass:\n" + "\n".join(failed[:20]), pytrace=False)


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the small store and its index (about 5 s); not to be changed."""
    home = tmp_path_factory.mktemp("small")
    build_index(compute_digits(home, SMALL))
    return home


@pytest.fixture
def small_copy(small_home: Path, tmp_path: Path) -> Path:
    """A copy of the small home, to be damaged."""
    return Path(shutil.copytree(small_home, tmp_path / "home"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of faults."""
    if not _tallies:
        return
    terminalreporter.write_sep("-", "faults")
    terminalreporter.write_line("| # | fault | volume asked | cases tried | passed |")
    terminalreporter.write_line("|---|---|---|---|---|")
    for item, (fault, volume) in FAULTS.items():
        rows = [row for row in _tallies if row.item == item]
        if rows:
            tried = sum(row.tried for row in rows)
            passed = tried - sum(len(row.failed) for row in rows)
            cells = (item, fault, volume, f"{tried:,}", f"{passed:,}")
            terminalreporter.write_line("| " + " | ".join(map(str, cells)) + " |")
