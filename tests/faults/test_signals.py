"""Ctrl-C and SIGTERM, once and twice, at any time in the commands that take long."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from broken_calls import EMPTY, LOGO, Scenario, assert_completes, assert_sound, try_each

from indexer.compute import compute_digits
from program import PROGRAM, SMALL, Outcome, environment

LONGER = 3_000_000
COMPUTE = Scenario("compute", ("digits", "compute", str(LONGER)), "*")
SCAN = ("--exact", "--digits", str(SMALL), "--top", "1")
LOGOS = Scenario("find many logos", ("find", *[LOGO] * 1000, *SCAN))
STREAM = Scenario("find a stream", ("find", "-", *SCAN))
CHECK = Scenario("check", ("check", "--deep"))
# Seconds in which a command is interrupted: about what it takes, or for `find` a part of that.
COMMANDS = {EMPTY: 3.0, COMPUTE: 1.2, LOGOS: 1.5, STREAM: 1.5, CHECK: 0.5}
ENDLESS = {LOGOS, STREAM}
MAKING = {EMPTY, COMPUTE}
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
# Seconds from the start until our code is at work: of the clock, and of the processor, because on
# a busy machine a process may not have begun by then.
EARLIEST = 0.1
LATEST = 2.0
BETWEEN = 0.1
# How the lines begin that a plan is told in.
PLAN = ("the index of ", "before that ", "built in ", f"{LONGER:,} decimals of pi, ", "done in ")


@dataclass(frozen=True)
class Interruption:
    """A signal, so many seconds after the start of a command, and perhaps once more."""

    scenario: Scenario
    number: signal.Signals
    twice: bool
    seconds: float

    def __str__(self) -> str:
        times = "twice" if self.twice else "once"
        return f"{self.scenario.name}, {self.number.name} {times} after {self.seconds:.3f} s"


def interruptions(scenario: Scenario, count: int) -> list[Interruption]:
    """Signals spread over a command, closer to each other where it starts."""
    shifts = np.random.default_rng(count).random(count)
    places = ((np.arange(count) + shifts) / count) ** 2
    kinds = [(number, twice) for twice in (True, False) for number in CODES]
    shift = list(COMMANDS).index(scenario)  # where a command has few, not all of one kind
    return [
        Interruption(
            scenario, *kinds[(place + shift) % len(kinds)], EARLIEST + COMMANDS[scenario] * part
        )
        for place, part in enumerate(places)
    ]


@pytest.fixture(scope="module")
def longer_home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("longer") / "sound"
    compute_digits(home, LONGER)
    return home


@pytest.fixture(scope="module")
def stream(tmp_path_factory) -> Path:
    """Lines for standard input, more than can be answered."""
    path = tmp_path_factory.mktemp("stream") / "lines.txt"
    path.write_text(f"{LOGO}\n" * 10_000)
    return path


@pytest.fixture
def heard() -> Iterator[None]:
    """SIGINT as a terminal has it: in a shell's background it is ignored, and that is inherited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def processor_seconds(process: "subprocess.Popen[bytes]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_interrupted(home: Path, stream: Path, interruption: Interruption) -> Outcome:
    """What the command does; seconds are those from the first signal to its end."""
    began = time.monotonic()
    with (
        stream.open("rb") as lines,
        subprocess.Popen(
            [PROGRAM, *interruption.scenario.command],
            stdin=lines,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(home),
        ) as process,
    ):
        while processor_seconds(process) < EARLIEST:
            time.sleep(0.005)
        time.sleep(max(0.0, began + interruption.seconds - time.monotonic()))
        sent = time.monotonic()
        process.send_signal(interruption.number)
        if interruption.twice:
            time.sleep(BETWEEN)
            process.send_signal(interruption.number)
        try:
            err = process.communicate(timeout=30)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Outcome(process.returncode, "", err.decode(), time.monotonic() - sent)


def assert_interrupted(done: Outcome, interruption: Interruption) -> None:
    lines = done.err.splitlines()
    assert done.code in {CODES[interruption.number], 0}, (done.code, done.err)
    assert done.seconds < LATEST, f"{done.seconds:.1f} s"
    assert not [x for x in lines if not x.startswith((*PLAN, "pilogo: "))], done.err
    assert sum(line.startswith("pilogo: ") for line in lines) <= 1, done.err


@pytest.mark.usefixtures("heard")
def test_signals_end_a_command_at_once_and_it_can_go_on(
    full, tally, small_home, longer_home, stream
):
    row = tally(12)
    points = [
        point for scenario in COMMANDS for point in interruptions(scenario, 20 if full else 1)
    ]
    interrupted = []

    def test(interruption: Interruption) -> None:
        scenario = interruption.scenario
        sound = longer_home if scenario is COMPUTE else small_home
        with scenario.home(sound) as home:
            done = run_interrupted(home, stream, interruption)
            interrupted.append(done.code != 0)
            assert_interrupted(done, interruption)
            if scenario in ENDLESS:
                assert done.code != 0
            if scenario in MAKING and done.code:
                assert_completes(home, scenario, sound)
            else:
                assert_sound(home, sound)

    try_each(row, points, test)
    # or the signals came too late to test anything
    assert sum(interrupted) >= len(points) / 2
