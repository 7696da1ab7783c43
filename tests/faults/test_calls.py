"""Calls of the system that fail: each one, of each kind, in a build and in `find`."""

from dataclasses import dataclass
from pathlib import Path

from broken_calls import (
    ASK,
    EMPTY,
    FIND,
    REPLACE,
    Call,
    Scenario,
    assert_answer,
    assert_completes,
    assert_index_serves,
    assert_sound,
    run_broken,
    sample,
    try_each,
    unbroken,
)

from program import Outcome

# What a call of each kind may meet.
FAULTS = {
    "open-read": ("EIO",),
    "open-write": ("EIO", "ENOSPC"),
    "write": ("EIO", "ENOSPC", "short"),
    "fsync": ("EIO",),
    "rename": ("EIO", "ENOSPC"),
    "mkdir": ("ENOSPC",),
    "unlink": ("EIO",),
    "mmap": ("ENOMEM",),
}


@dataclass(frozen=True)
class Failure:
    """A call of a scenario, and what happens to it."""

    scenario: Scenario
    call: Call
    what: str

    def __str__(self) -> str:
        return f"{self.scenario.name}: {self.what} at {self.call}"


def failures(scenario: Scenario, sound: Path) -> list[Failure]:
    """Every call of a scenario with everything that may happen to it, sorted by what and kind."""
    found = [
        Failure(scenario, call, what)
        for call in unbroken(scenario, sound).calls
        for what in FAULTS[call.kind]
    ]
    return sorted(found, key=lambda failure: (failure.call.kind, failure.what))


def assert_told(failure: Failure, done: Outcome) -> None:
    """One line and exit code 4; or success, where the program can do without the call."""
    done.assert_clean()
    allowed = {0, 4}
    if failure.what == "short":
        allowed = {0}
    elif failure.call.kind == "fsync":  # bytes that were never synced look the same
        allowed = {4}
    assert done.code in allowed, (done.code, done.err)


def test_a_build_whose_call_fails_says_so_and_is_completed_by_the_next(full, tally, small_home):
    row = tally(3)
    points = failures(EMPTY, small_home) + failures(REPLACE, small_home)
    if not full:
        points = sample(failures(REPLACE, small_home), 3)

    def test(failure: Failure) -> None:
        with failure.scenario.home(small_home) as home:
            done = run_broken(home, *failure.scenario.command, call=failure.call, what=failure.what)
            assert_told(failure, done)
            if done.code == 0:
                assert_sound(home, small_home)
            if failure.scenario is REPLACE:
                assert_index_serves(home, small_home)
            assert_completes(home, failure.scenario, small_home)

    try_each(row, points, test)


def test_a_find_whose_call_fails_says_so_or_answers_rightly(full, tally, small_home):
    row = tally(3)
    points = failures(ASK, small_home)
    if not full:
        points = sample(points, 2)

    def test(failure: Failure) -> None:
        with ASK.home(small_home) as home:
            done = run_broken(home, *FIND, call=failure.call, what=failure.what)
        assert_told(failure, done)
        if done.code == 0:
            assert_answer(done, small_home)

    try_each(row, points, test)
