import sys
import threading
import time

import pytest
from stages import Timers, measure_build

from indexer.compute import compute_digits

N = 120_000


def inner(seconds):
    time.sleep(seconds)


def outer(seconds):
    inner(seconds)
    inner(seconds)
    time.sleep(seconds)
    return seconds


FUNCTIONS = {"inside": (f"{__name__}.inner",), "outside": (f"{__name__}.outer",)}


def test_what_an_inner_timer_counts_the_outer_one_does_not():
    timers = Timers()
    with timers.around(FUNCTIONS):
        assert sys.modules[__name__].outer(0.02) == 0.02
    assert timers.seconds["inside"] >= 0.04
    assert 0.02 <= timers.seconds["outside"] < timers.seconds["inside"]
    inner(0)  # no longer timed
    assert set(timers.seconds) == {"inside", "outside"}


def test_the_seconds_of_all_threads_are_added():
    timers = Timers()
    with timers.around(FUNCTIONS):
        threads = [threading.Thread(target=inner, args=(0.05,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert timers.seconds["inside"] >= 0.15


def test_a_build_is_all_stages_and_leaves_nothing(tmp_path):
    compute_digits(tmp_path / "home", N)
    work = tmp_path / "work"
    options = {"home": tmp_path / "home", "digits": N, "threads": 1, "work": work}
    found = measure_build(options)
    assert set(found["stages"]) == {"check", "learn", "code", "merge", "the rest"}
    assert sum(found["stages"].values()) == pytest.approx(found["seconds"], rel=0.2)
    assert found["routines"].keys() == {
        "coding",
        "sorting and writing parts",
        "putting lists together",
        "checksums of lists",
    }
    assert found["moved_bytes"]["written"] > 14 * N
    assert list(work.iterdir()) == []
