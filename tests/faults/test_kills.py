"""Killed builds: at any time, and after any call that changes the disk."""

import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from broken_calls import (
    DECIMALS,
    EMPTY,
    FIND,
    REPLACE,
    Call,
    Scenario,
    assert_answer,
    assert_completes,
    assert_index_serves,
    run_broken,
    try_each,
    unbroken,
)

from indexer.home import store_folder
from program import PROGRAM, SMALL, Outcome, environment, run

CHANGING = {"write", "fsync", "rename", "unlink", "mkdir"}
# Decimals that a child is busy with for 10 s and more; how soon it must have ended.
LONG = 20_000_000
CHILD_SECONDS = 3


@dataclass(frozen=True)
class Kill:
    """SIGKILL from outside, so many seconds after the start."""

    scenario: Scenario
    seconds: float

    def __str__(self) -> str:
        return f"{self.scenario.name}, after {self.seconds:.3f} s"


def kills(scenario: Scenario, seconds: float, count: int) -> list[Kill]:
    """One kill in each of `count` equal stretches of a run that takes so many seconds."""
    shifts = np.random.default_rng(count).random(count)
    return [Kill(scenario, seconds * (n + shift) / count) for n, shift in enumerate(shifts)]


def build_killed(home: Path, kill: Kill) -> bool:
    """Whether the build was still running when it was killed."""
    with subprocess.Popen(
        [PROGRAM, *kill.scenario.command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(home),
    ) as process:
        try:
            process.wait(kill.seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.returncode == -signal.SIGKILL


def test_a_build_killed_at_a_random_time_is_completed_by_the_next(full, tally, small_home):
    row = tally(1)
    whole, part = unbroken(EMPTY, small_home).seconds, unbroken(REPLACE, small_home).seconds
    points = [
        *kills(DECIMALS, part, 100 if full else 2),
        *kills(REPLACE, part, 50 if full else 1),
        *kills(EMPTY, whole, 50 if full else 1),
    ]
    killed = []

    def test(kill: Kill) -> None:
        with kill.scenario.home(small_home) as home:
            killed.append(build_killed(home, kill))
            if kill.scenario is REPLACE:
                assert_index_serves(home, small_home)
            assert_completes(home, kill.scenario, small_home)

    try_each(row, points, test)
    # or the kills came too late to test anything
    assert sum(killed) >= len(points) / 2


def processes_of(home: Path) -> list[int]:
    """Processes that name a file of the home on their command line, as the child does."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if bytes(home) in line.read_bytes():
                found.append(int(line.parent.name))
        except OSError:  # it has ended
            continue
    return found


def wait_for_processes(home: Path, wanted: int, seconds: float) -> None:
    """Wait until so many processes are at work in a home."""
    end = time.monotonic() + seconds
    while len(found := processes_of(home)) != wanted:
        assert time.monotonic() < end, f"{found} after {seconds} s, {wanted} wanted"
        time.sleep(0.01)


def test_the_child_that_computes_ends_with_a_parent_that_is_killed(tmp_path):
    with subprocess.Popen(
        [PROGRAM, "digits", "compute", str(LONG)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(tmp_path),
    ) as process:
        wait_for_processes(tmp_path, 1, 30)
        time.sleep(0.5)  # until FLINT is at work, which hears nothing
        process.kill()
    wait_for_processes(tmp_path, 0, CHILD_SECONDS)


@dataclass(frozen=True)
class CallKill:
    """A process of the program that ends itself right after a call."""

    scenario: Scenario
    call: Call

    def __str__(self) -> str:
        return f"{self.scenario.name}, after {self.call}"


def call_kills(scenario: Scenario, sound: Path) -> list[CallKill]:
    calls = unbroken(scenario, sound).calls
    return [CallKill(scenario, call) for call in calls if call.kind in CHANGING]


def assert_complete_or_refused(found: Outcome, sound: Path) -> None:
    """`find` has answered rightly, or has said how to go on."""
    found.assert_clean()
    if found.code == 4:
        assert "next: pilogo " in found.err, found.err
    else:
        assert_answer(found, sound)


def test_a_build_killed_after_a_call_leaves_a_store_complete_or_refused(full, tally, small_home):
    row = tally(2)
    points = call_kills(EMPTY, small_home) + call_kills(REPLACE, small_home)
    if not full:  # a manifest and an index have got their names; the older index has lost its own
        renames = [kill for kill in points if kill.call.kind == "rename"]
        of_empty = [kill for kill in renames if kill.scenario is EMPTY]
        points = [of_empty[-2], of_empty[-1], renames[-2]]

    def test(kill: CallKill) -> None:
        with kill.scenario.home(small_home) as home:
            done = run_broken(home, *kill.scenario.command, call=kill.call, what="kill")
            if kill.call.process == "main":
                assert done.code == -signal.SIGKILL, (done.code, done.err)
            else:  # the child alone has ended
                done.assert_clean()
                assert done.code == 4, (done.code, done.err)
            if kill.scenario is REPLACE:
                assert_index_serves(home, small_home)
            # where there are no decimals `find` begins with the default store
            elif store_folder(home, "pi", SMALL).exists():
                assert_complete_or_refused(run(home, *FIND), small_home)
            assert_completes(home, kill.scenario, small_home)

    try_each(row, points, test)
