"""Thousands of queries in one process: what it holds stays the same (item 19)."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import soaking
from soaking import holdings

from indexer.corpus import all_held_out_logos
from program import PROGRAM, Tally, environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

MOST_GROWTH = 10_000_000


def assert_flat(samples: list[dict[str, int]]) -> None:
    """After a tenth of the samples memory grows by less than 10 MB, and nothing else at all."""
    warm_up = max(1, len(samples) // 10)
    warm, later = samples[warm_up], samples[warm_up + 1 :]
    assert later
    for sample in later:
        assert sample["memory"] - warm["memory"] < MOST_GROWTH, (warm, sample)
        for what in ("files", "threads", "maps"):
            assert sample[what] <= warm[what], (what, warm, sample)


def test_a_process_of_many_queries_stays_flat(
    full: bool, tally: Callable[[int], Tally], small_home: Path
) -> None:
    """By index and by scan in turns; a new Finder now and then."""
    queries = 5000 if full else 150
    row = tally(19)
    with row.case("queries in one process"):
        done = subprocess.run(
            [sys.executable, soaking.__file__, small_home, str(queries)],
            capture_output=True, text=True, timeout=600, check=False, env=environment(small_home),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        samples = [json.loads(line) for line in done.stdout.splitlines()]
        row.tried += queries - 1
        assert samples[-1]["queries"] == queries
        assert min(samples[-1]["index"], samples[-1]["scan"]) > queries // 3
        assert_flat(samples)


def settled_holdings(process: int, before: list[dict[str, int]]) -> dict[str, int]:
    """What a process holds when the threads of its last scan, joined already, are gone as well."""
    for _ in range(20):
        found = holdings(str(process))
        if before and found["threads"] <= before[-1]["threads"]:
            break
        time.sleep(0.05)
    return found


def test_a_stream_of_many_lines_stays_flat(
    full: bool, tally: Callable[[int], Tally], small_home: Path, tmp_path: Path
) -> None:
    """`pilogo find -`, each line asked when the one before is answered; every tenth is none."""
    lines = 3000 if full else 100
    logos = ["".join(map(str, logo)) for logo in all_held_out_logos()[:lines].tolist()]
    row = tally(19)
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(
            [PROGRAM, "find", "-", "--format", "json", "--threads", "2", "--metric", "l2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=environment(small_home),
        ) as program,
    ):  # fmt: skip
        assert program.stdin
        assert program.stdout
        samples = []
        with row.case("lines of a stream"):
            for number in range(lines):
                if number % 10 == 9:
                    program.stdin.write("no picture\n")
                program.stdin.write(logos[number % len(logos)] + "\n")
                program.stdin.flush()
                answer = json.loads(program.stdout.readline())
                assert len(answer["matches"]) == 10
                if number % 20 == 0:
                    samples.append(settled_holdings(program.pid, samples))
            row.tried += lines - 1
            program.stdin.close()
            assert program.wait(60) == 3
            assert len((tmp_path / "errors").read_text().splitlines()) == lines // 10
            assert_flat(samples)
