"""Recall against time: points of measurements, and those that nothing beats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Point:
    """One setting: the share of true places that are in its answers, and what they took."""

    recall: float
    ms_median: float
    ms_mean: float
    ms_p95: float
    n_logos: int
    label: str
    note: str = ""


def count_found(distances: Iterable[int], truth: Sequence[int]) -> int:
    """How many places of the true ranking an answer fills.

    truth are the true distances in order. A window as far as the last true one fills a place,
    whichever of its equals it is: an index cannot know which of them counts as closer.

    >>> count_found([20, 31, 40], truth=[20, 25, 31])   # 31 may be another window than the third
    2
    """
    return min(len(truth), sum(distance <= truth[-1] for distance in distances))


def to_point(
    found: Sequence[int], asked: int, seconds: Sequence[float], label: str, note: str = ""
) -> Point:
    """The point of answers that filled so many of `asked` places each."""
    ms = 1e3 * np.asarray(seconds)
    median, p95 = np.percentile(ms, [50, 95]).tolist()
    recall = sum(found) / (asked * len(found))
    return Point(recall, median, float(ms.mean()), p95, len(found), label, note)


def front(points: Iterable[Point]) -> list[Point]:
    """The points, by time, that have a higher recall than every faster one (Pareto's front)."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.ms_median, -p.recall)):
        if not kept or point.recall > kept[-1].recall:
            kept.append(point)
    return kept
