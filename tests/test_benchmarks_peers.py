"""What the comparisons with other people's ways conclude from: shares, answers, recall, fronts."""

from functools import partial

import numpy as np
import pytest
from loops import TOP, merge, shares

import reference
from indexer.window import HEIGHT, WIDTH

numba = pytest.importorskip("numba")
pytest.importorskip("stumpy")
import ways  # noqa: E402 - it needs both

DIGITS = np.random.default_rng(5).integers(48, 58, 2000, dtype=np.uint8)
BITMAP = np.random.default_rng(6).integers(0, 10, (HEIGHT, WIDTH), dtype=np.uint8)


def truth(metric):
    costs = getattr(reference, metric)("".join(map(str, BITMAP.ravel())))
    ranked = reference.ranking(DIGITS.tobytes().decode(), costs)
    return [(start, distance) for distance, start in ranked[:TOP]]


@pytest.mark.parametrize(("n_windows", "threads", "most"), [(10, 2, 4), (1, 3, 5), (65, 2, 8)])
def test_shares_hold_every_window_once_and_the_threads_alike(n_windows, threads, most):
    found = shares(n_windows, threads, most)
    assert [k for first, count in found for k in range(first, first + count)] == [*range(n_windows)]
    assert max(count for _, count in found) <= most
    assert len(found) <= threads * -(-n_windows // (threads * most))


def test_equal_distances_are_merged_by_start():
    assert merge([[(5, 20), (9, 30)], [(2, 20)]]) == [(2, 20), (5, 20), (9, 30)]


@pytest.mark.parametrize("metric", ["l1", "l2"])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_way_finds_the_ten_of_the_plain_loop(metric, threads):
    measures = [ways.by_numpy(BITMAP, metric), ways.by_stumpy(BITMAP, metric)]
    measures += [ways.by_fft(BITMAP)] if metric == "l2" else []
    for measure in measures:
        for block in (100, 4096):
            assert ways.Blocks(DIGITS, measure, block, threads)() == truth(metric)
    index = ways.FlatIndex(DIGITS, BITMAP, metric, threads)
    assert ways.same_answer(index.search(threaded=threads > 1), truth(metric), ties=False)


@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_the_loops_of_numba_find_the_ten_of_the_plain_loop(metric):
    assert ways.NumbaLoop(DIGITS, BITMAP, metric, 1)() == truth(metric)


def test_an_answer_without_ties_may_differ_in_the_last_distance_alone():
    right = [(5, 20), (9, 30), (11, 30)]
    same = partial(ways.same_answer, right=right, ties=False)
    assert same([(5, 20), (40, 30), (11, 30)])
    assert not same([(4, 20), (9, 30), (11, 30)])
    assert not same([(5, 20), (9, 30), (11, 31)])
    assert not ways.same_answer([(5, 20), (40, 30), (11, 30)], right)
