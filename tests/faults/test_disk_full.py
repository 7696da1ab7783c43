"""Disks that are too small, and disks that fill up while something is being made (item 4).

A disk is a tmpfs in a mount namespace of its own: it needs no root where user namespaces are
allowed, and is gone with its holder. The program runs in the namespace; the tests look at the disk
from outside, through its holder's /proc folder.
"""

import contextlib
import gzip
import hashlib
import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

import program
from indexer.build_plan import plan_build
from indexer.compute import plan_compute
from indexer.resources import gigabytes
from program import PROGRAM, SMALL, Outcome, environment, run

PAGE = 4096
STORE = f"pi-{SMALL}"
BUILD = ("build", "--digits", str(SMALL), "--threads", "2", "--no-progress")
UNITS = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}
NAMED = re.compile(r"([\d,.]+) (bytes|kB|MB|GB)")

# (home, disk): where the disk is to the program, and where it is to the tests.
Places = tuple[Path, Path]
MakeDisk = Callable[[int], AbstractContextManager[Places]]


def pages(n_bytes: int) -> int:
    """Bytes that a file of n_bytes takes: whole pages."""
    return -(-n_bytes // PAGE) * PAGE


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def used_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@contextlib.contextmanager
def mounted(folder: Path, n_bytes: int) -> Iterator[Places]:
    """A tmpfs of n_bytes at a folder, for the program."""
    root = os.geteuid() == 0
    alone = [] if root else ["--user", "--map-root-user"]
    mount = 'mount -t tmpfs -o size="$1" none "$2" && echo mounted && exec cat'
    command = ["unshare", "--mount", *alone, "sh", "-c", mount, "sh", str(n_bytes), str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, **pipes) as holder:
        said = holder.stdout.readline()
        if said != b"mounted\n":
            raise OSError(said.decode("utf-8", "replace").strip() or "unshare said nothing")
        there = [] if root else ["--user", "--preserve-credentials"]
        enter = ["nsenter", "--mount", *there, "--target", str(holder.pid), str(PROGRAM)]
        script = folder.with_name("pilogo.sh")
        script.write_text(f'#!/bin/sh\nexec {shlex.join(enter)} "$@"\n')
        script.chmod(0o755)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(program, "PROGRAM", script)
            yield folder, Path(f"/proc/{holder.pid}/root{folder}")
        # leaving closes cat's input: it ends, and with it the namespace and the disk


@pytest.fixture
def disk(tmp_path: Path) -> MakeDisk:
    """disk(n_bytes) mounts a new disk of that size; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        with mounted(folder, PAGE):
            pass
    except OSError as error:
        pytest.skip(f"no tmpfs can be mounted here: {error}")
    return lambda n_bytes: mounted(folder, n_bytes)


@dataclass(frozen=True)
class Need:
    """What the plans say that the small store needs: its decimals, its index at the peak."""

    decimals: int
    index: int
    parts: int

    @property
    def both(self) -> int:
        return pages(self.decimals + self.index)


@pytest.fixture(scope="module")
def need() -> Need:
    plan = plan_build(SMALL, 2)
    return Need(
        plan_compute(SMALL, threads=2).disk_bytes,
        plan.disk_bytes,
        plan.disk_bytes - plan.index_bytes,
    )


def hashes(home: Path) -> dict[str, str]:
    """SHA-256 of every file that is the same whenever and wherever the small store is made."""
    store = home / STORE
    files = [store / "decimals.txt", *(store / "index").rglob("*")]
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }


def assert_usable(places: Places, small_home: Path, logo: str) -> None:
    """The store is the one made elsewhere, nothing stands beside it, and it answers the same."""
    home, seen = places
    assert hashes(seen) == hashes(small_home)
    assert {path.name for path in seen.iterdir() if path.is_dir()} == {STORE}
    assert {path.name for path in (seen / STORE).iterdir() if path.is_dir()} == {"index"}
    assert_answers(home, small_home, logo)


def assert_answers(home: Path, small_home: Path, logo: str) -> None:
    """`find` answers as it does in a sound home."""
    answers = [run(at, "find", logo, "--format", "csv") for at in (home, small_home)]
    assert [answer.code for answer in answers] == [0, 0], answers
    assert answers[0].out == answers[1].out


def complaint(outcome: Outcome) -> str:
    """The one line of a command that found no room."""
    outcome.assert_clean()
    assert outcome.code == 4, outcome
    (line,) = (text for text in outcome.err.splitlines() if text.startswith("pilogo: "))
    return line


def assert_names_space(line: str, free: int) -> None:
    """The line says how much is needed, and it is not less than what is free."""
    found = NAMED.search(line)
    assert found, line
    named = float(found[1].replace(",", "")) * UNITS[found[2]]
    rounding = UNITS[found[2]] / 2
    assert named + rounding >= free, (line, free)


def assert_nothing_made(home: Path) -> None:
    left = [path.name for path in home.iterdir() if path.is_dir() or path.stat().st_size]
    assert not left, f"work began: {left}"


class PeakMeter(threading.Thread):
    """Looks every millisecond at how much of a disk is used."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._ended = threading.Event()
        self.peak = 0

    def run(self) -> None:
        while not self._ended.wait(0.001):
            self.peak = max(self.peak, used_bytes(self._folder))

    def __enter__(self) -> "PeakMeter":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


# --- too small from the start -------------------------------------------------------------------


def disk_sizes(need: Need, full: bool) -> dict[str, int]:
    """Sizes of disks by their label; a tmpfs has whole pages, so that one byte less is a page."""
    tenths = range(1, 10) if full else (9,)
    return {
        **{f"{10 * tenth} %": need.both * tenth // 10 for tenth in tenths},
        "size - 4096": need.both - PAGE,
        **({"size - 1": need.both - 1} if full else {}),
    }


def test_build_on_a_disk_too_small(tally, full, disk, need, small_home, contest):
    row = tally(4)
    for label, size in disk_sizes(need, full).items():
        with row.case(label), disk(size) as (home, seen):
            free = free_bytes(seen)
            outcome = run(home, *BUILD)
            if outcome.code == 0:
                assert_usable((home, seen), small_home, contest["bitmap"])
            else:
                assert_names_space(complaint(outcome), free)
                assert free < need.both, "refused although it fits"
                assert_nothing_made(seen)


def test_build_on_a_disk_just_large_enough(tally, disk, need, small_home, contest):
    """And the plan is held against what is used at the peak."""
    row = tally(4)
    with row.case("size"), disk(need.both) as (home, seen):
        with PeakMeter(seen) as meter:
            outcome = run(home, *BUILD)
        outcome.assert_clean()
        assert outcome.code == 0, outcome.err
        assert_usable((home, seen), small_home, contest["bitmap"])
        assert meter.peak <= need.both <= 1.3 * meter.peak + 2e6


def test_a_dry_run_names_what_is_needed(tmp_path, need):
    outcome = run(tmp_path, *BUILD, "--dry-run")
    outcome.assert_clean()
    assert f"{gigabytes(need.index)} while it is being built" in outcome.err
    assert f"{gigabytes(need.decimals)} of disk" in outcome.err
    assert_nothing_made(tmp_path)


def test_decimals_on_a_small_disk(tally, disk, need, small_home, tmp_path):
    """Computed, or taken from a text; a packed text does not say how large it is."""
    row = tally(4)
    text = small_home / STORE / "decimals.txt"
    packed = tmp_path / "decimals.txt.gz"
    packed.write_bytes(gzip.compress(text.read_bytes(), 1))
    compute = ("digits", "compute", str(SMALL), "--threads", "2", "--no-progress")
    take = ("digits", "import", "--no-progress")
    too_small = {
        "compute, one page": (compute, PAGE, True),
        "compute, size - 4096": (compute, pages(need.decimals) - PAGE, True),
        "import, size - 4096": ((*take, str(text)), pages(SMALL) - PAGE, True),
        "import, no page for the manifest": ((*take, str(text)), pages(SMALL), False),
        "import of a packed text": ((*take, str(packed)), SMALL // 2, False),
    }
    for label, (command, size, foreseen) in too_small.items():
        with row.case(label), disk(size) as (home, seen):
            line = complaint(run(home, *command))
            if foreseen:
                assert_names_space(line, size)
            else:
                assert "disk is full" in line, line
            assert_nothing_made(seen)
    with row.case("compute, size"), disk(pages(need.decimals)) as (home, seen):
        outcome = run(home, *compute)
        outcome.assert_clean()
        assert outcome.code == 0, outcome.err
        assert (seen / STORE / "decimals.txt").read_bytes() == text.read_bytes()


# --- full while something is being made ---------------------------------------------------------


def run_and_fill(places: Places, work: str, n_bytes: int, *arguments: str) -> Outcome:
    """Run a command that is held when its work folder appears, until the disk has been filled."""
    home, seen = places
    began = time.monotonic()
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [program.PROGRAM, *arguments]
    with subprocess.Popen(command, env=environment(home), text=True, **pipes) as process:
        try:
            while not (seen / work).is_dir():
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < began + 60, f"no {work}"
                time.sleep(0.001)
            process.send_signal(signal.SIGSTOP)
            with (seen / "ballast").open("xb") as file:
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            process.send_signal(signal.SIGCONT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    return Outcome(process.returncode, out, err, time.monotonic() - began)


def rooms(need: Need, small_home: Path) -> dict[str, int]:
    """Bytes left to the index, by the file that finds no room then."""
    index = small_home / STORE / "index"
    coder, lists, faiss = (
        pages((index / name).stat().st_size) for name in ("coder.npz", "lists.bin", "index.faiss")
    )
    begun = PAGE + coder  # the work's document, of one page
    merged = begun + pages(need.parts) + lists
    return {
        "coder.npz": begun - PAGE,
        "a part": begun + need.parts // 2,
        "lists.bin": merged - PAGE,
        "index.faiss, its start": merged,
        "index.faiss, its end": merged + faiss - PAGE,
        "manifest.json": merged + faiss,
    }


def test_a_disk_fills_up_under_a_build(tally, full, disk, need, small_home, contest):
    """What was there still answers, and the build goes on where it was when there is room."""
    row = tally(4)
    found = rooms(need, small_home)
    cases = (
        list(itertools.product(found, (False, True))) if full else [("index.faiss, its end", True)]
    )
    for name, replace in cases:
        command = (*BUILD, "--replace") if replace else BUILD
        there = None if replace else shutil.ignore_patterns("index*")
        label = f"full at {name}" + (" under --replace" if replace else "")
        with row.case(label), disk(3 * need.both) as (home, seen):
            shutil.copytree(small_home / STORE, seen / STORE, ignore=there)
            before = hashes(seen)
            ballast = free_bytes(seen) - found[name]
            line = complaint(run_and_fill((home, seen), f"{STORE}/index.wip", ballast, *command))
            assert "disk is full" in line, line
            assert hashes(seen) == before
            assert_answers(home, small_home, contest["bitmap"])
            (seen / "ballast").unlink()
            again = run(home, *command)
            again.assert_clean()
            assert again.code == 0, again.err
            assert_usable((home, seen), small_home, contest["bitmap"])


def test_a_disk_fills_up_under_computing(tally, disk, need):
    row = tally(4)
    with row.case("full under compute"), disk(4 * need.decimals) as (home, seen):
        ballast = free_bytes(seen) - SMALL // 2
        command = ("digits", "compute", str(SMALL), "--threads", "2", "--no-progress")
        line = complaint(run_and_fill((home, seen), f"{STORE}.wip", ballast, *command))
        assert "disk is full" in line, line
        (seen / "ballast").unlink()
        assert_nothing_made(seen)
