"""Memory limits: of address space (`ulimit -v`), and of a memory cgroup (item 14).

A limit is a script in the program's place that limits itself and then becomes the program.
"""

import contextlib
import csv
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import program
from indexer.home import default_home
from program import PROGRAM, SMALL, Outcome, run

GB = 10**9
BUILD = ("build", "--digits", str(SMALL), "--threads", "2", "--no-progress")
BILLION = ("build", "--digits", "1e9", "--threads", "2", "--no-progress")
# The stacks of threads that libraries start are address space too.
FEW_THREADS = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
AMOUNT = r"([\d.,]+) (kB|MB|GB|TB)"
CGROUPS = Path("/sys/fs/cgroup")

Limit = Callable[[int], AbstractContextManager[None]]


@contextlib.contextmanager
def run_after(script: Path, words: str) -> Iterator[None]:
    """`run` runs the program from a shell that has done something before."""
    script.write_text(f'#!/bin/sh\n{words} && exec {shlex.quote(str(PROGRAM))} "$@"\n')
    script.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "PROGRAM", script)
        yield


def own_memory_group() -> tuple[Path, str]:
    """(folder of this process's memory cgroup, the file of its limit), v1 or v2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        if "memory" in controllers.split(","):
            return CGROUPS / "memory" / name.lstrip("/"), "memory.limit_in_bytes"
        if not controllers and not (CGROUPS / "memory").is_dir():
            return CGROUPS / name.lstrip("/"), "memory.max"
    raise OSError("this process is in no memory cgroup")


def remove_group(group: Path) -> None:
    """Remove a cgroup; its last process may need a moment to be gone."""
    for _ in range(100):
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.05)
    group.rmdir()


@contextlib.contextmanager
def memory_group(script: Path, n_bytes: int) -> Iterator[None]:
    parent, limit = own_memory_group()
    group = parent / f"pilogo-{os.getpid()}"
    group.mkdir()
    try:
        with (group / limit).open("r+") as file:  # not created where there is no such control
            file.write(str(n_bytes))
        with run_after(script, f"echo $$ > {shlex.quote(str(group))}/cgroup.procs"):
            yield
    finally:
        remove_group(group)


@pytest.fixture(params=["ulimit -v", "cgroup"])
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Limit]:
    """(how, limit): inside of limit(bytes) `run` gives the program so much memory."""
    if sys.platform != "linux":
        pytest.skip("these limits are Linux's")
    script = tmp_path / "limited.sh"
    if request.param == "ulimit -v":
        return request.param, lambda n_bytes: run_after(script, f"ulimit -v {n_bytes // 1024}")
    try:
        with memory_group(script, GB):
            pass
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made here: {error}")
    return request.param, lambda n_bytes: memory_group(script, n_bytes)


def amount(pattern: str, text: str) -> float:
    """The bytes that a text names where the pattern stands."""
    found = re.search(pattern.replace("AMOUNT", AMOUNT), text)
    assert found, (pattern, text)
    return float(found[1].replace(",", "")) * UNITS[found[2]]


def complaint(outcome: Outcome) -> str:
    """The one line of a command that was refused for want of memory."""
    outcome.assert_clean()
    assert outcome.code == 4, outcome
    (line,) = (text for text in outcome.err.splitlines() if text.startswith("pilogo: "))
    return line


def assert_refused(outcome: Outcome, home: Path, limit: int) -> None:
    """Nothing was begun, and the line names more memory than there is."""
    assert amount("needs (?:about )?AMOUNT of memory", complaint(outcome)) > 0.5 * limit
    left = [path.name for path in home.iterdir() if path.is_dir()] if home.is_dir() else []
    assert not left, f"work began: {left}"


def assert_built(outcome: Outcome, limit: int) -> None:
    """The plan was within the limit and the peak, which is stated, within the plan."""
    outcome.assert_clean()
    assert outcome.code == 0, outcome.err
    plan = amount("AMOUNT of memory", outcome.err)
    peak = amount("peak memory AMOUNT", outcome.err)
    assert 50e6 < peak <= plan <= limit, (peak, plan, limit)


def answer_of(outcome: Outcome) -> list[tuple[str, str]]:
    """(offset, distance) of each match of an answer in CSV."""
    outcome.assert_clean()
    assert outcome.code == 0, outcome.err
    return [(row["offset"], row["distance"]) for row in csv.DictReader(outcome.out.splitlines())]


@pytest.fixture(scope="module")
def find(contest: dict) -> tuple[str, ...]:
    return ("find", contest["bitmap"], "--format", "csv", "--threads", "2")


def test_build_and_find_within_a_limit(tally, full, limited, small_home, find, tmp_path):
    how, limit = limited
    row = tally(14)
    wanted = answer_of(run(small_home, *find))
    for size in (1, 2, 4) if full else (2,):
        home = tmp_path / f"{size}"
        with row.case(f"{how}, {size} GB"), limit(size * GB):
            built = run(home, *BUILD, **FEW_THREADS)
            if (how, size) == ("ulimit -v", 1) and built.code != 0:
                assert_refused(built, home, size * GB)
            else:
                assert_built(built, size * GB)
            assert answer_of(run(small_home, *find, **FEW_THREADS)) == wanted


def test_build_with_less_than_it_needs(tally, limited, tmp_path):
    how, limit = limited
    home = tmp_path / "home"
    size = 7 * GB // 10 if how == "ulimit -v" else GB // 2  # libraries alone map 0.6 GB
    with tally(14).case(f"{how}, {size / GB} GB"), limit(size):
        assert_refused(run(home, *BUILD, **FEW_THREADS), home, size)


def test_the_plan_of_a_billion_decimals_obeys(tally, full, limited, tmp_path):
    """Its index can be made in parts as small as memory wants; its decimals need 8 GB at once."""
    how, limit = limited
    row = tally(14)
    home = tmp_path / "home"
    for size in (1, 2, 4) if full else (2,):
        with row.case(f"{how}, {size} GB, 10^9 decimals"), limit(size * GB):
            plan = run(home, *BILLION, "--dry-run", **FEW_THREADS)
            if plan.code == 0:
                assert amount("AMOUNT of memory", plan.err) <= size * GB
            else:
                assert_refused(plan, home, size * GB)
            # computing them takes 17 minutes: refused, not tried
            assert_refused(run(home, *BILLION, timeout=10, **FEW_THREADS), home, size * GB)


def test_find_in_a_billion_decimals_within_a_limit(tally, full, limited, find):
    """An index of 14 GB cannot be mapped where 4 GB can: not the store's fault."""
    home = default_home()
    if not full or not (home / "pi-1000000000" / "index").is_dir():
        pytest.skip("only with --full, and a store of 10^9 decimals with its index")
    how, limit = limited
    row = tally(14)
    wanted = answer_of(run(home, *find, "--digits", "1e9"))
    for size in (1, 2, 4):
        with row.case(f"{how}, {size} GB, find in 10^9 decimals"), limit(size * GB):
            found = run(home, *find, "--digits", "1e9", **FEW_THREADS)
            exact = run(home, *find, "--digits", "1e9", "--exact", **FEW_THREADS)
            if how == "cgroup":
                assert answer_of(found) == wanted
            else:
                line = complaint(found)
                assert "memory" in line or "address space" in line, line
                assert "next: pilogo" not in line, "the store is sound"
            if how == "cgroup" or size > 1:
                assert answer_of(exact) == wanted
            else:
                assert "next: pilogo" not in complaint(exact), "the store is sound"
