"""The slow truth: plain loops over Python ints, none of the program's fast code."""

from collections.abc import Sequence
from fractions import Fraction


def distance(digits: str, start: int, costs: Sequence[Sequence[int]]) -> int:
    total = 0
    for i in range(84):
        total += int(costs[i][int(digits[start + i])])
    return total


def ranking(digits: str, costs: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """(distance, start) of every window, closest first, the smaller start first among equals."""
    return sorted((distance(digits, s, costs), s) for s in range(len(digits) - 83))


def distinct(ranked: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranking without the windows that overlap a better one that stays."""
    kept: list[tuple[int, int]] = []
    for d, s in ranked:
        if all(abs(s - other) >= 84 for _, other in kept):
            kept.append((d, s))
    return kept


def law(costs: Sequence[Sequence[int]]) -> dict[int, Fraction]:
    """P(D = d) for uniform random digits, exactly."""
    result = {0: Fraction(1)}
    for row in costs:
        wider: dict[int, Fraction] = {}
        for total, p in result.items():
            for cost in row:
                key = total + int(cost)
                wider[key] = wider.get(key, Fraction(0)) + p / len(row)
        result = wider
    return result


def l1(bitmap: str) -> list[list[int]]:
    return [[abs(d - int(r)) for d in range(10)] for r in bitmap]


def l2(bitmap: str) -> list[list[int]]:
    return [[(d - int(r)) ** 2 for d in range(10)] for r in bitmap]
