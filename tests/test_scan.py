import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from query import chunks, scan
from query.assembly.layout import STRETCH
from query.kernels import available, load_kernel
from query.metrics import CostTable, cost_table
from query.ranking import Best
from query.scan import closest_windows

SETS = [isa.name for isa in available()]
FAST = SETS[0]


def run(text_or_digits, costs, top, kernel=FAST, threads=1, **options):
    digits = text_or_digits
    if isinstance(digits, str):
        digits = np.frombuffer(digits.encode(), np.uint8)
    table = CostTable("costs", np.asarray(costs, np.int32))
    ranking = closest_windows(
        digits, table, top, kernel=load_kernel(kernel), threads=threads, **options
    )
    return list(zip(ranking.distances.tolist(), ranking.starts.tolist(), strict=True))


def truth(digits, costs, top):
    """The ranking by whole-array sums: fast for 10^5 windows, and nothing like the kernel."""
    n = len(digits) - 83
    distances = np.zeros(n, np.int64)
    values = digits - 48
    for i in range(84):
        distances += np.asarray(costs[i], np.int64)[values[i : i + n]]
    order = np.lexsort((np.arange(n), distances))[:top]
    return list(zip(distances[order].tolist(), order.tolist(), strict=True))


def random_digits(rng, n):
    return rng.integers(48, 58, n).astype(np.uint8)


def random_costs(rng):
    """A table of one of many shapes: metrics, noise, few values, flat, huge, negative."""
    shape = rng.integers(0, 9)
    shades = rng.choice(10, size=rng.integers(1, 6), replace=False)
    bitmap = rng.choice(shades, 84).astype(np.uint8).reshape(6, 14)
    metrics = ["l1", "l2", "gray-l1", "gray-l2", "lightness"]
    if shape < 5:
        return cost_table(bitmap, metrics[shape]).costs
    if shape == 5:
        return rng.integers(0, 2, (84, 10)).astype(np.int32)
    if shape == 6:
        return rng.integers(-(10**7), 10**7, (84, 10)).astype(np.int32)
    if shape == 7:
        table = np.zeros((84, 10), np.int32)
        table[rng.integers(0, 84, 3)] = rng.integers(-3, 4, 10)
        return table
    return (rng.integers(0, 12, (84, 10)) * rng.integers(0, 2, (84, 1))).astype(np.int32)


def test_reference_and_truth_agree():
    rng = np.random.default_rng(0)
    for _ in range(20):
        digits = random_digits(rng, 84 + int(rng.integers(0, 60)))
        costs = random_costs(rng)
        text = digits.tobytes().decode()
        assert reference.ranking(text, costs.tolist()) == truth(digits, costs, 1000)


@pytest.mark.parametrize("name", SETS)
def test_short_texts_equal_the_plain_reference(name):
    rng = np.random.default_rng(1)
    for _ in range(60):
        digits = random_digits(rng, 84 + int(rng.integers(0, 40)))
        costs = random_costs(rng)
        top = int(rng.integers(1, 45))
        expected = reference.ranking(digits.tobytes().decode(), costs.tolist())[:top]
        assert run(digits, costs, top, name) == expected


# Enough windows for the vector path: a block is lanes x 1088 windows.
@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize("name", SETS)
def test_long_texts_equal_the_truth_for_any_table(name, thorough, monkeypatch):
    monkeypatch.setattr(scan, "_THOROUGH", 0 if thorough else 10**12)
    rng = np.random.default_rng(2)
    block = load_kernel(name).isa.lanes * STRETCH
    for _ in range(20):
        digits = random_digits(rng, block + int(rng.integers(-100, 30_000)) if block else 9000)
        costs = random_costs(rng)
        top = int(rng.choice([1, 3, 10, 100, 700]))
        threads = int(rng.integers(1, 4))
        assert run(digits, costs, top, name, threads) == truth(digits, costs, top)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("digit", "059")
def test_digits_that_are_all_the_same_are_all_ties(name, digit):
    text = digit * 100_000
    costs = reference.l1("0123456789" * 8 + "0000")
    expected = reference.distance(text, 0, costs)
    assert run(text, costs, 25, name, 2) == [(expected, start) for start in range(25)]


def test_the_limit_leaves_room_for_ties_that_come_first():
    """Chunks end in any order, so a window before the worst one may still take its place."""
    best = Best(top=2, limit=50)
    assert best.limit_from(0) == 50
    best.add(scan.Ranking(np.array([900]), np.array([7])))
    assert best.limit_from(0) == 50  # one is missing yet
    best.add(scan.Ranking(np.array([700, 500]), np.array([9, 9])))
    assert best.ranking().starts.tolist() == [900, 500]
    assert best.limit_from(499) == 9
    assert best.limit_from(501) == 8


def test_piled_finds_are_all_ranked_in_the_end():
    rng = np.random.default_rng(5)
    starts, distances = rng.permutation(50_000), rng.integers(0, 300, 50_000)
    best = Best(top=2000, limit=1000)
    for k in range(0, 50_000, 777):
        best.add(scan.Ranking(starts[k : k + 777], distances[k : k + 777]))
    order = np.lexsort((starts, distances))[:2000]
    assert best.ranking().starts.tolist() == starts[order].tolist()


def test_a_flat_table_ends_at_once():
    digits = random_digits(np.random.default_rng(4), 30_000_000)
    began = time.perf_counter()
    assert run(digits, np.zeros((84, 10)), 10, threads=2) == [(0, s) for s in range(10)]
    assert time.perf_counter() - began < 5  # scoring every window would take a minute


def planted(n, bitmap, starts):
    digits = random_digits(np.random.default_rng(6), n)
    for start in starts:
        digits[start : start + 84] = bitmap + 48
    return digits


@pytest.mark.parametrize("n_chunks", [1, 4])
@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize("name", SETS)
def test_a_planted_picture_is_found_at_every_seam(name, thorough, n_chunks, monkeypatch):
    monkeypatch.setattr(scan, "_THOROUGH", 0 if thorough else 10**12)
    monkeypatch.setattr(chunks, "_CHUNKS_A_THREAD", n_chunks)  # 1: both blocks in one chunk
    rng = np.random.default_rng(7)
    bitmap = rng.choice([0, 5, 9], 84).astype(np.uint8)
    costs = cost_table(bitmap.reshape(6, 14)).costs
    lanes = load_kernel(name).isa.lanes or 16
    n = lanes * STRETCH * 2 + 5000
    last = n - 84
    seams = [0, 1, last, last - 1, last - 12, last - 13, last - 97, last - 96, last - 95]
    for seam in (
        STRETCH,
        7 * STRETCH,
        lanes * STRETCH,
        lanes * STRETCH + STRETCH,
        2 * lanes * STRETCH,
    ):
        seams += [seam + d for d in (-84, -83, -42, -8, -7, -1, 0, 1, 7, 8)]
    for start in seams:
        digits = planted(n, bitmap, [start])
        assert run(digits, costs, 1, name) == [(0, start)], start


def test_every_start_of_a_block_can_be_found():
    """One text in which each window of a whole block is a match: none is lost between lanes."""
    n = 64 * STRETCH + 200
    digits = np.full(n, 48, np.uint8)
    costs = np.zeros((84, 10), np.int32)
    costs[0, 1:] = 1  # only the first digit counts, and all are 0
    found = run(digits, costs, n - 83)
    assert found == [(0, start) for start in range(n - 83)]


@pytest.mark.parametrize("name", SETS)
def test_same_answer_for_any_threads_chunks_and_capacity(name, monkeypatch, decimals):
    costs = np.array(reference.l1("0" * 42 + "9" * 42), np.int32)
    digits = decimals[: 1_000_000 if name != "plain" else 100_000]
    expected = truth(digits, costs, 40)
    for threads in (1, 2, 3, 5):
        for chunk in (1, 100_000, 1 << 23):
            for capacity in (1100, 1 << 15):
                monkeypatch.setattr(chunks, "_LARGEST_CHUNK", chunk)
                monkeypatch.setattr(scan, "_CAPACITY", capacity)
                assert run(digits, costs, 40, name, threads) == expected


def test_a_full_table_of_finds_is_resumed_where_it_stopped(monkeypatch):
    """Asking for all windows overflows the finds many times over in every block."""
    monkeypatch.setattr(scan, "_CAPACITY", 1100)
    digits = random_digits(np.random.default_rng(11), 160_000)
    costs = np.array(reference.l2("5" * 84), np.int32)
    n = len(digits) - 83
    assert run(digits, costs, n, threads=2) == truth(digits, costs, n)


@pytest.mark.parametrize("name", SETS)
def test_a_byte_that_is_no_digit_is_in_no_match(name):
    digits = random_digits(np.random.default_rng(12), 160_000)
    digits[40_000] = ord("?")
    costs = np.array(reference.l1("0" * 84), np.int32)
    found = run(digits, costs, len(digits) - 83 - 84, name, 2)
    assert not [start for _, start in found if start <= 40_000 < start + 84]


def test_a_limit_that_was_too_tight_is_widened(monkeypatch):
    """Digits unlike random ones: the law promises close windows that are not there."""
    digits = np.tile(np.frombuffer(b"0123456789", np.uint8), 9000)
    costs = np.array(reference.l1("0" * 84), np.int32)
    assert run(digits, costs, 30, threads=2) == truth(digits, costs, 30)


@settings(max_examples=60, deadline=None)
@given(st.integers(84, 400), st.integers(1, 500), st.integers(0, 2**32 - 1))
def test_fewer_windows_than_asked_for_are_all_of_them(n, top, seed):
    rng = np.random.default_rng(seed)
    digits = random_digits(rng, n)
    costs = random_costs(rng)
    found = run(digits, costs, top, threads=2)
    assert len(found) == min(top, n - 83)
    assert found == truth(digits, costs, top)


def test_contest_lists_at_ten_million(contest, soundcloud, decimals):
    for metric, rows in contest["top_ten_first_1e7_digits"].items():
        expected = [(row["distance"], row["offset"] - 1) for row in rows]
        for name in SETS:
            assert run(decimals, cost_table(soundcloud, metric).costs, 10, name, 2) == expected


def test_progress_ends_at_the_number_of_windows(decimals, soundcloud):
    steps = []
    run(decimals, cost_table(soundcloud).costs, 10, threads=2, progress=steps.append)
    assert (steps[-1].done, steps[-1].total) == (10**7 - 83, 10**7 - 83)
    assert [s.done for s in steps] == sorted(s.done for s in steps)


def test_interrupting_ends_within_a_second_and_leaves_no_thread(soundcloud):
    digits = random_digits(np.random.default_rng(1), 40_000_000)

    def interrupt(step):
        if step.done < step.total:
            raise KeyboardInterrupt

    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):  # the plain loop would take seconds
        run(digits, cost_table(soundcloud).costs, 10, "plain", 2, progress=interrupt)
    assert time.perf_counter() - began < 1.5
    assert not [t for t in threading.enumerate() if t.name.startswith("scan")]


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch, decimals, soundcloud):
    def fail(*args):
        raise MemoryError("no room")

    monkeypatch.setattr(scan.Task, "run", fail)
    with pytest.raises(MemoryError, match="no room"):
        run(decimals, cost_table(soundcloud).costs, 10, threads=2)
