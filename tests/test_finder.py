import dataclasses

import numpy as np
import pytest

import query
import reference
from indexer.corpus import held_out_logos
from indexer.errors import LogoError, StoreMissing, UsageError
from query.finder import MOST_MATCHES as LIBRARY_MOST_MATCHES
from query.finder import Finder, needs_default_store
from query.metrics import METRICS as LIBRARY_METRICS
from query.metrics import CostTable, cost_table
from query.options import FITS, METRICS, MOST_MATCHES
from query.shrink import FITS as LIBRARY_FITS


@pytest.fixture(scope="module")
def finder(home):
    return Finder(home, threads=2)


@pytest.mark.parametrize("metric", ["l1", "l2", "gray-l2"])
def test_answers_the_contest_at_ten_million(finder, contest, soundcloud, decimals, metric):
    answer = finder.find(soundcloud, metric=metric, logo="sc")
    expected = contest["top_ten_first_1e7_digits"][metric]
    assert [(m.offset, m.distance) for m in answer.matches] == [
        (row["offset"], row["distance"]) for row in expected
    ]
    text = decimals.tobytes().decode()
    for rank, match in enumerate(answer.matches, 1):
        assert match.rank == rank
        assert match.sequence == text[match.offset - 1 : match.offset + 83]
    assert answer.bitmap == contest["bitmap"]
    assert (answer.mode, answer.certified, answer.expected_missed) == ("scan", True, 0.0)
    assert (answer.logo, answer.metric, answer.digits, answer.constant) == (
        "sc",
        metric,
        10**7,
        "pi",
    )
    assert 0 < answer.seconds < 60


def test_e_values_grow_with_the_distance(finder, soundcloud):
    matches = finder.find(soundcloud, top=30).matches
    values = [m.expected for m in matches]
    assert values == sorted(values)
    # The 10th best of a random text is expected at an E-value of about 10.
    assert 3 < values[9] < 30


@pytest.mark.parametrize("n", [84, 85, 200, 10_000])
def test_a_prefix_is_searched_as_if_it_were_all(home, soundcloud, decimals, n):
    answer = Finder(home, digits=n).find(soundcloud)
    costs = cost_table(soundcloud).costs.tolist()
    expected = reference.ranking(decimals[:n].tobytes().decode(), costs)[:10]
    assert [(m.distance, m.offset - 1) for m in answer.matches] == expected
    assert answer.digits == n


@pytest.mark.parametrize("top", [1, 5, 40])
def test_distinct_is_the_ranking_without_overlaps(home, decimals, top):
    bitmap = np.full((6, 14), 5, np.uint8)  # its matches overlap a lot
    n = 4000
    answer = Finder(home, digits=n).find(bitmap, top=top, distinct=True)
    costs = cost_table(bitmap).costs.tolist()
    ranked = reference.ranking(decimals[:n].tobytes().decode(), costs)
    expected = reference.distinct(ranked)[:top]
    assert [(m.distance, m.offset - 1) for m in answer.matches] == expected
    plain = Finder(home, digits=n).find(bitmap, top=top)
    if top > 1:
        assert plain.matches != answer.matches


def test_distinct_stops_where_no_more_fit(home):
    answer = Finder(home, digits=300).find(np.zeros((6, 14), np.uint8), top=50, distinct=True)
    assert 1 <= len(answer.matches) <= 3


def test_own_costs_take_the_place_of_the_metric(home, decimals):
    costs = np.random.default_rng(2).integers(-5, 6, (84, 10)).astype(np.int32)
    table = CostTable("costs", costs, scale=10)
    answer = Finder(home, digits=20_000).find(np.zeros((6, 14), np.uint8), costs=table, top=7)
    expected = reference.ranking(decimals[:20_000].tobytes().decode(), costs.tolist())[:7]
    assert [(m.distance, m.offset - 1) for m in answer.matches] == [
        (d / 10, s) for d, s in expected
    ]
    assert answer.metric == "costs"


@pytest.mark.parametrize("top", [0, -1, 100_001, 10**9])
def test_top_out_of_range_names_the_value(finder, soundcloud, top):
    with pytest.raises(UsageError, match=f"top is {top}; allowed are 1 to 100,000"):
        finder.find(soundcloud, top=top)


@pytest.mark.parametrize(
    "bitmap", [np.zeros((14, 6), np.uint8), np.full((6, 14), 10, np.uint8), np.zeros((6, 14)) + 0.5]
)
def test_what_is_no_bitmap_is_refused(finder, bitmap):
    with pytest.raises(LogoError):
        finder.find(bitmap)


def test_no_store_says_what_to_do(tmp_path):
    with pytest.raises(StoreMissing, match="pilogo digits compute 1e9"):
        Finder(tmp_path, digits=10**9)


def test_when_the_default_store_is_what_is_missing(home, tmp_path):
    assert needs_default_store(tmp_path, "pi", None)
    assert needs_default_store(tmp_path, "pi", 10**7)
    assert not needs_default_store(tmp_path, "pi", 10**7 + 1)
    assert not needs_default_store(home, "pi", None)
    assert needs_default_store(home, "e", None)


def test_one_finder_answers_from_many_threads(finder, soundcloud):
    from concurrent.futures import ThreadPoolExecutor

    expected = finder.find(soundcloud).matches
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: finder.find(soundcloud).matches, range(8)))
    assert found == [expected] * 8


def test_the_library_has_the_words_of_the_command_line():
    assert METRICS == LIBRARY_METRICS
    assert set(FITS) == set(LIBRARY_FITS)
    assert MOST_MATCHES == LIBRARY_MOST_MATCHES


def test_public_names_are_there_and_described():
    for name in query.__all__:
        assert getattr(query, name) is not None
        if name != "METRICS":
            assert getattr(query, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = query.nonsense


def without_times(answers):
    return [dataclasses.replace(answer, seconds=0.0) for answer in answers]


@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_bitmaps_scanned_together_have_the_answers_of_their_own_scans(finder, metric):
    bitmaps = held_out_logos()[:200:16].reshape(-1, 6, 14)
    names = [str(number) for number in range(len(bitmaps))]
    steps = []
    found = finder.find_together(bitmaps, metric=metric, top=5, logos=names, progress=steps.append)
    alone = [
        finder.find(bitmap, metric=metric, top=5, exact=True, logo=name)
        for bitmap, name in zip(bitmaps, names, strict=True)
    ]
    assert without_times(found) == without_times(alone)
    assert all(answer.certified and answer.seconds > 0 for answer in found)
    assert steps[-1].done == steps[-1].total == len(bitmaps) * (10**7 - 83)


def test_few_bitmaps_or_tables_of_their_own_together(finder, soundcloud):
    assert finder.find_together([]) == []
    table = CostTable("mine", np.arange(840, dtype=np.int32).reshape(84, 10) % 17)
    found = finder.find_together([soundcloud, soundcloud], costs=[table, cost_table(soundcloud)])
    expected = [finder.find(soundcloud, costs=table), finder.find(soundcloud)]
    assert without_times(found) == without_times(expected)


def test_what_cannot_be_asked_together_is_refused(finder, soundcloud):
    with pytest.raises(UsageError, match="top is 0"):
        finder.find_together([soundcloud], top=0)
    with pytest.raises(LogoError):
        finder.find_together([soundcloud, np.full((6, 14), 10, np.uint8)])
    with pytest.raises(UsageError, match="metric"):
        finder.find_together([soundcloud], metric="l3")
