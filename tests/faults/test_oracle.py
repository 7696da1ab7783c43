"""Random digits, pictures and costs: the scan against the plain loop, in process (item 20).

The generators of costs and of uniform digits are test_scan.py's; here digits are other than random
as well, and texts are as short as they can be.
"""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from test_scan import SETS, random_costs, random_digits, run, truth

import reference
from indexer.window import WINDOW, count_windows
from program import Tally
from query import chunks, scan
from query.assembly.layout import STRETCH
from query.kernels import load_kernel

Digits = NDArray[np.uint8]


def uniform(random: np.random.Generator, n: int) -> Digits:
    return random_digits(random, n)


def biased(random: np.random.Generator, n: int) -> Digits:
    """Some digits far more often than others, some never."""
    chances = random.dirichlet(np.full(10, 0.2))
    return random.choice(np.arange(48, 58, dtype=np.uint8), n, p=chances)


def periodic(random: np.random.Generator, n: int) -> Digits:
    """A few digits again and again: every window ties with others."""
    return np.resize(random_digits(random, int(random.integers(1, 200))), n)


def repeated(random: np.random.Generator, n: int) -> Digits:
    """One window copied to many places, also over its own copies."""
    digits = random_digits(random, n)
    window = digits[:WINDOW].copy()
    for start in random.integers(0, count_windows(n), 10):
        digits[start : start + WINDOW] = window
    return digits


TEXTS = (uniform, biased, periodic, repeated)


def tops(random: np.random.Generator, n_windows: int) -> int:
    """One, some, all, or more than all."""
    return int(random.choice([1, 2, 10, max(1, n_windows // 2), n_windows, n_windows + 7, 1000]))


def test_short_texts_equal_the_plain_loop(
    full: bool, tally: Callable[[int], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    """84 digits to a few hundred; without vectors they have the seams of several chunks."""
    row = tally(20)
    random = np.random.default_rng(20)
    for number in range(9_000 if full else 130):
        n = WINDOW + int(random.choice([0, 1, 2, random.integers(0, 60), random.integers(60, 400)]))
        digits = TEXTS[number % len(TEXTS)](random, n)
        costs = random_costs(random)
        top = tops(random, count_windows(n))
        name = SETS[int(random.integers(len(SETS)))]
        monkeypatch.setattr(chunks, "_LARGEST_CHUNK", int(random.choice([1, 7, 1 << 23])))
        monkeypatch.setattr(scan, "_CAPACITY", int(random.choice([600, 1 << 15])))
        with row.case((number, name, n, top)):
            expected = reference.ranking(digits.tobytes().decode(), costs.tolist())[:top]
            for threads in (1, 2):
                assert run(digits, costs, top, name, threads) == expected, threads


def test_texts_of_whole_blocks_equal_the_sums(
    full: bool, tally: Callable[[int], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Around one block and two, where vectors are used.

    The sums over whole arrays are held against the plain loop where that takes only 0.1 s.
    """
    row = tally(20)
    random = np.random.default_rng(21)
    for number in range(1_000 if full else 20):
        name = SETS[number % len(SETS)]
        block = load_kernel(name).isa.lanes * STRETCH or 9_000
        n = block * int(random.integers(1, 3)) + WINDOW + int(random.integers(-200, 300))
        digits = TEXTS[int(random.integers(len(TEXTS)))](random, n)
        costs = random_costs(random)
        top = int(random.choice([1, 10, 50, 700]))
        monkeypatch.setattr(scan, "_THOROUGH", int(random.choice([0, 10**12])))
        monkeypatch.setattr(chunks, "_LARGEST_CHUNK", int(random.choice([1, 1 << 23])))
        with row.case((number, name, n, top)):
            expected = truth(digits, costs, top)
            if n < 12_000:
                plain = reference.ranking(digits.tobytes().decode(), costs.tolist())
                assert expected == plain[:top]
            for threads in (1, 2):
                assert run(digits, costs, top, name, threads) == expected, threads
