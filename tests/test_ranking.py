import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.ranking import Best, Ranking, join


def ranking(pairs):
    starts, distances = zip(*pairs, strict=True) if pairs else ((), ())
    return Ranking(np.array(starts, np.int64), np.array(distances, np.int64))


def pairs(found):
    return list(zip(found.starts.tolist(), found.distances.tolist(), strict=True))


# A window has one distance, whoever finds it: few of each, so that ties and repeats abound.
WINDOWS = st.sets(st.integers(0, 30)).map(lambda starts: [(s, s * 7919 % 5) for s in starts])
TOP = st.integers(1, 8)


@given(WINDOWS, WINDOWS, TOP)
def test_a_join_is_the_first_of_the_union(a, b, top):
    expected = sorted(set(a) | set(b), key=lambda pair: (pair[1], pair[0]))[:top]
    assert pairs(join([ranking(a), ranking(b)], top)) == expected


@given(WINDOWS, WINDOWS, WINDOWS, TOP)
def test_a_join_is_associative_commutative_and_idempotent(a, b, c, top):
    a, b, c = ranking(a), ranking(b), ranking(c)
    whole = pairs(join([a, b, c], top))
    assert pairs(join([join([a, b], top), c], top)) == whole
    assert pairs(join([a, join([b, c], top)], top)) == whole
    assert pairs(join([c, b, a], top)) == whole
    assert pairs(join([join([a, b], top), join([b, c], top), a], top)) == whole


@given(st.lists(WINDOWS, min_size=1, max_size=6), TOP, st.randoms())
def test_what_is_added_twice_or_late_changes_nothing(parts, top, random):
    expected = pairs(join([ranking(part) for part in parts], top))
    again = [*parts, *random.sample(parts, random.randint(0, len(parts)))]
    random.shuffle(again)
    best = Best(top, limit=4)
    for part in again:
        best.add(ranking(part))
    assert pairs(best.ranking()) == expected


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_window_found_twice_does_not_count_as_two(order):
    found = [ranking([(5, 1)]), ranking([(5, 1)]), ranking([(9, 2)])]
    best = Best(2, limit=10)
    for number in order[:2]:
        best.add(found[number])
    twice = 2 not in order[:2]
    assert best.limit_from(0) == (10 if twice else 2)  # one window alone is no worst of two
