"""What the comparisons with other people's ways conclude from: shares, answers, recall, fronts."""

from functools import partial

import faiss
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import reference
from indexer.errors import ClaimFailed
from indexer.progress import silent
from indexer.window import HEIGHT, WIDTH
from peers import plain_faiss
from peers.asking import Scorer, Searcher, list_settings
from peers.fronts import Point, count_found, front, to_point
from peers.loops import TOP, merge, shares
from peers.plain_faiss import Builder, Recipe, check_lists, default_nlist

numba = pytest.importorskip("numba")
pytest.importorskip("stumpy")
from peers import ways  # noqa: E402 - it needs both

DIGITS = np.random.default_rng(5).integers(48, 58, 2000, dtype=np.uint8)
LONGER = np.random.default_rng(7).integers(48, 58, 12_000, dtype=np.uint8)
BITMAP = np.random.default_rng(6).integers(0, 10, (HEIGHT, WIDTH), dtype=np.uint8)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(plain_faiss, "_PART", 5000)
    # the same without a step of its training that takes 9 s and reorders codewords
    monkeypatch.setitem(plain_faiss.FACTORIES, "ivfpq", "PQ6x8np")


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


@pytest.mark.parametrize(
    ("distances", "places"),
    [
        ([20, 25, 31], 3),
        ([20, 31, 40], 2),
        ([31, 31, 31], 3),  # equals of the last, whichever they are
        ([32, 33, 34], 0),
        ([20, 25, 31, 31], 3),
    ],
)
def test_a_place_is_filled_by_a_window_as_close_as_the_last(distances, places):
    assert count_found(distances, [20, 25, 31]) == places


def test_a_point_is_the_share_of_places_and_the_spread_of_milliseconds():
    point = to_point([10, 5], 10, [0.001, 0.003], "nprobe 1")
    assert (point.recall, point.ms_median, point.ms_mean, point.n_logos) == (0.75, 2.0, 2.0, 2)
    assert point.ms_p95 == pytest.approx(2.9)


def test_the_front_has_no_point_that_another_beats():
    def at(ms, recall):
        return Point(recall, ms, ms, ms, 1, "")

    kept = front([at(5, 0.5), at(1, 0.2), at(2, 0.1), at(5, 0.6), at(9, 0.6), at(3, 0.2)])
    assert [(point.ms_median, point.recall) for point in kept] == [(1, 0.2), (5, 0.6)]


def test_settings_go_as_deep_as_their_lists():
    settings = list_settings(16, 16_000)
    assert {nprobe for nprobe, _ in settings} == {1, 4, 16}
    assert [k for nprobe, k in settings if nprobe == 1] == [10, 100, 1000]
    assert [k for nprobe, k in settings if nprobe == 16] == [10, 100, 1000, 10_000, 100_000]


@pytest.mark.parametrize("kind", ["ivfpq", "ivfpqfs"])
def test_every_mode_of_a_searcher_finds_the_same_windows(tmp_path, kind, small_parts):
    index = Builder(Recipe(kind, 16, len(LONGER)), LONGER, tmp_path, 2, silent).build(reuse=False)
    searcher = Searcher(index, kind, 2)
    query = plain_faiss.to_vectors(LONGER[None, 500:584])
    answers = []
    for mode in searcher.modes:
        searcher.prepare(16, mode)
        answers.append(set(searcher.search(query, 100).tolist()))
    assert all(500 in answer and len(answer) == 100 for answer in answers)
    assert all(len(answer & answers[0]) > 85 for answer in answers)  # coarse codes have ties
    assert len(searcher.search(query, 20_000)) == len(LONGER) - 83  # what is not there is left out


def test_the_number_of_lists_is_what_can_be_assigned():
    assert [default_nlist(10**k) for k in (6, 7, 8, 9)] == [2048, 8192, 4096, 2048]


def test_the_index_is_the_same_in_one_part_and_merged_of_several(
    tmp_path, monkeypatch, small_parts
):
    recipe = Recipe("ivfpq", 16, len(LONGER))
    queries = plain_faiss.to_vectors(LONGER[: 3 * 84].reshape(3, 84))
    found = []
    for most in (10**6, 5000):
        monkeypatch.setattr(plain_faiss, "_PART", most)
        builder = Builder(recipe, LONGER, tmp_path / str(most), 2, silent)
        index = builder.build(reuse=False)
        again = builder.build(reuse=True)
        lists = faiss.downcast_InvertedLists(again.invlists)
        assert isinstance(lists, faiss.OnDiskInvertedLists) == (most == 5000)
        assert builder.seconds() > 0
        index.nprobe = again.nprobe = 16
        found += [one.search(queries, 50)[1] for one in (index, again)]
    assert found[0].shape == (3, 50)
    # windows that look equally far may come in another order
    assert all((np.sort(other) == np.sort(found[0])).mean() > 0.95 for other in found)
    assert all(set(other[:, :5].ravel()) & {0, 84, 168} == {0, 84, 168} for other in found)


def test_a_build_goes_on_with_the_parts_that_are_there(tmp_path, small_parts):
    recipe = Recipe("ivfpq", 16, len(LONGER))

    def stop(step):
        if "part 2" in step.stage and step.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Builder(recipe, LONGER, tmp_path, 1, stop).build(reuse=False)
    stages = set()
    builder = Builder(recipe, LONGER, tmp_path, 1, lambda step: stages.add(step.stage))
    assert builder.build(reuse=False).ntotal == recipe.n_windows
    assert not any("training" in stage or "part 1" in stage for stage in stages)
    assert any("part 2" in stage for stage in stages)
    assert not list(builder.folder.glob("part*"))


def test_an_index_with_a_wrong_id_is_refused(tmp_path):
    index = Builder(Recipe("ivfpqfs", 16, len(LONGER)), LONGER, tmp_path, 1, silent).build(
        reuse=False
    )
    windows = sliding_window_view(LONGER, 84)
    check_lists(index, windows, len(windows))
    with pytest.raises(ClaimFailed, match="lacks window"):
        check_lists(index, np.roll(windows, 1, axis=0), len(windows))
    with pytest.raises(ClaimFailed, match="not 5"):
        check_lists(index, windows, 5)


def test_windows_anywhere_are_scored_as_the_reference_does():
    starts = np.array([0, 1916, 7, 1000, 7], dtype=np.int64)
    text = DIGITS.tobytes().decode()
    costs = reference.l2("".join(map(str, BITMAP.ravel())))
    expected = [reference.distance(text, start, costs) for start in starts.tolist()]
    for threads, repeat in ((1, 1), (2, 2000)):
        scorer = Scorer(DIGITS, threads)
        many = np.tile(starts, repeat)
        assert scorer.distances(many, np.array(costs, np.int32)).tolist() == expected * repeat
