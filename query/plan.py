"""How the scan bounds the distances of one cost table: letters, kinds of key, byte tables.

Pixels are taken in groups of 1 to 4 neighbours with one key, and one table look-up bounds what a
group costs. The key is a sum of levels, one a pixel; a *letter* maps digits to levels, and it is
shaped like the costs themselves: the letters of l1 are |d - r| for the few shades r that the
picture uses most. The table of a group gives, for each key, the least cost any digits with this key
have (the infimal convolution of the pixels' costs), so the sum over the groups never exceeds the
distance, whatever the table and the letters. Example: two pixels that cost |a - 0| and |b - 9|, the
letters d and 9 - d, the key a + (9 - b): the bound is exact. With the key a + b it would be
|9 - key|.

A key depends on the place in the digits and not on the pixel. So each *kind* of key, a letter for
each pixel of a group, is one plane, made once a block and read by all groups of that kind. Larger
groups mean fewer look-ups, more kinds, weaker bounds. Random digits make the law of the bound known
exactly, so the effort of every choice is computed, and the least is taken.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.window import SHADES
from query.assembly.layout import MAX_KINDS, PLANE_ROWS, InstructionSet

# Efforts in look-ups of one vector (0.2 ns on a Zen 5 core); benchmarks/kernels.py measures them.
# They steer the choice of a plan, never an answer.
_BASE = 10.0
_KIND = 3.5
_STEP = 5.0
_VECTOR, _REST = 45.0, 2.3  # a vector that goes on after the first test, and each group then
_SCORE = 270.0

# Sums of bounds saturate at one more.
LARGEST_SUM = 254
# The cost of a level that no digit has: such a key never occurs.
_UNREACHED = 1 << 40
# Letters, and kinds tried for the plan.
_LETTERS = 6
_CANDIDATE_KINDS = 12

# A kind of key: the letter of each pixel of a group.
Kind = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    """What the kernel needs to bound one cost table below one limit.

    letters (uint8[l, lanes]), kinds (int64[k, 4]), groups (int64[g, 2]), tables (uint8[g, lanes])
    are as in assembly.layout.JOB; n_first groups come before the first test. passing is the
    fraction of random windows whose bound is within the limit, effort the look-ups a vector.
    """

    letters: NDArray[np.uint8]
    kinds: NDArray[np.int64]
    groups: NDArray[np.int64]
    tables: NDArray[np.uint8]
    group_size: int
    n_first: int
    threshold: int
    passing: float
    effort: float


class Keyed(NamedTuple):
    """Least costs by key: bounds int64[groups, keys] (each group's least is 0), chances [keys]."""

    bounds: NDArray[np.int64]
    chances: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Family:
    """Groups of one size over one choice of letters (uint8[l, 10]), keyed in some kinds."""

    size: int
    letters: NDArray[np.uint8]
    keyed: dict[Kind, Keyed]


def aligned(*shape: int) -> NDArray[np.uint8]:
    """Zeroed uint8 array whose first byte is 64-byte aligned."""
    size = int(np.prod(shape))
    raw = np.zeros(size + 64, dtype=np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + size].reshape(shape)


class Planner:
    """Plans for one cost table (int32[84, 10]) on one instruction set, for any limit.

    With thorough=False only single pixels are considered: 1 ms of planning instead of 4, which is
    right below some 10^7 windows.
    """

    def __init__(self, costs: NDArray[np.int32], isa: InstructionSet, *, thorough: bool) -> None:
        self._isa = isa
        table = costs.astype(np.int64)
        self._lowest = int(table.min(axis=1).sum())
        rows = table - table.min(axis=1, keepdims=True)
        self._families = [_single_pixels(rows)]
        if thorough:
            # Levels that a sum of 2, 3 or 4 keeps below the entries; halved sums keep their range.
            most = {2: 31, 3: 21, 4: 15} if isa.entries == 64 else dict.fromkeys((2, 3, 4), 15)
            chosen = choose_letters(rows, np.ones(len(rows), np.int64), _LETTERS)
            self._families += [
                _group(rows, size, rows[chosen], cap, halve=isa.entries < 64)
                for size, cap in most.items()
                if chosen
            ]

    def plan(self, limit: int) -> Plan:
        """The plan of least effort for the windows within `limit`, which is the lowest or more."""
        span = limit - self._lowest
        choices = [c for family in self._families for c in self._choices(family, span)]
        _, family, kinds = min(choices, key=lambda choice: choice[0])
        return self._assemble(family, kinds, span)

    def _choices(self, family: _Family, span: int) -> list[tuple[float, _Family, list[Kind]]]:
        """Uses of 1, 2, … kinds of a family, each adding the one that adds most to the bounds.

        With their efforts, as if the sums of bounds were normal.
        """
        kinds = list(family.keyed)
        quantised = [_quantise(keyed.bounds, span) for keyed in family.keyed.values()]
        chances = [keyed.chances for keyed in family.keyed.values()]
        means = np.stack([q @ c for q, c in zip(quantised, chances, strict=True)])
        squares = np.stack([q**2 @ c for q, c in zip(quantised, chances, strict=True)])
        groups = np.arange(means.shape[1])
        allowed: list[int] = []
        reached = np.full(len(groups), -1.0)
        choices = []
        while len(allowed) < MAX_KINDS:
            best = int(np.maximum(means, reached).sum(axis=1).argmax())
            if (means[best] <= reached).all():
                break
            allowed.append(best)
            picks = np.array(allowed)[means[allowed].argmax(axis=0)]
            reached = means[picks, groups]
            order = np.argsort(-reached, kind="stable")
            mean = np.cumsum(reached[order])
            variance = np.cumsum((squares[picks, groups] - reached**2)[order])
            depth = (mean - _threshold(span)) / np.sqrt(variance + 1e-9)
            # Half of this is an upper bound of the normal tail, and close to it.
            passing = np.exp(-(np.maximum(depth, 0) ** 2) / 2) / (1 + np.maximum(depth, 0))
            chosen = [kinds[k] for k in picks]
            choices.append((self._effort(chosen, passing), family, chosen))
        return choices

    def _effort(self, kinds: list[Kind], passing: NDArray[np.float64]) -> float:
        """Look-ups a vector, all told, of groups of these kinds, as in least_effort."""
        keys = _BASE + _KIND * len(set(kinds))
        return keys + least_effort(passing, self._isa)[0]

    def _assemble(self, family: _Family, chosen: list[Kind], span: int) -> Plan:
        lanes = self._isa.lanes
        letters = sorted({letter for kind in chosen for letter in kind})
        used = list(dict.fromkeys(chosen))
        kinds = np.zeros((len(used), 4), dtype=np.int64)
        for row, kind in enumerate(used):
            for pixel, letter in enumerate(kind):
                kinds[row, pixel] = letters.index(letter) * lanes
        groups = [
            Group(
                used.index(kind) * PLANE_ROWS * lanes,
                g * family.size * lanes,
                family.keyed[kind].bounds[g],
                family.keyed[kind].chances,
            )
            for g, kind in enumerate(chosen)
        ]
        return assemble(
            groups,
            span,
            self._isa,
            letters=look_up_tables(list(family.letters[letters]), self._isa),
            kinds=kinds,
            group_size=family.size,
            keys_effort=_BASE + _KIND * len(used),
        )


class Group(NamedTuple):
    """Pixels bounded by one look-up: bytes of their plane and along it, least costs by key."""

    plane: int
    along: int
    bounds: NDArray[np.int64]
    chances: NDArray[np.float64]


def assemble(  # noqa: PLR0913 - what the keys are, by name
    groups: Sequence[Group],
    span: int,
    isa: InstructionSet,
    *,
    letters: NDArray[np.uint8],
    kinds: NDArray[np.int64],
    group_size: int,
    keys_effort: float,
) -> Plan:
    """The plan of these groups for windows up to `span` above the lowest distance.

    The groups that add most come first; how many of them before the first test follows from the
    exact law of the sums. keys_effort is the share of what makes the keys.
    """
    threshold = _threshold(span)
    quantised = [_quantise(group.bounds, span) for group in groups]
    laws = [np.bincount(q, group.chances) for q, group in zip(quantised, groups, strict=True)]
    order = np.argsort([-(law @ np.arange(len(law))) for law in laws], kind="stable")
    law = np.ones(1)
    passing = np.empty(len(groups))
    for k, g in enumerate(order):
        law = np.convolve(law, laws[g][: threshold + 1])[: threshold + 1]
        passing[k] = law.sum()
    effort, n_first = least_effort(passing, isa)
    return Plan(
        letters=letters,
        kinds=kinds,
        groups=np.array([groups[g][:2] for g in order], dtype=np.int64),
        tables=look_up_tables([quantised[g] for g in order], isa),
        group_size=group_size,
        n_first=n_first,
        threshold=threshold,
        passing=float(passing[-1]),
        effort=keys_effort + effort,
    )


def least_effort(passing: NDArray[np.float64], isa: InstructionSet) -> tuple[float, int]:
    """Look-ups a vector once there are keys, and the number of groups before the best first test.

    passing is the fraction of windows within the threshold after 1, 2, … groups.
    """
    lanes = isa.lanes
    tested = np.arange(1, len(passing) + 1)
    all_out = lanes * np.log1p(-np.minimum(passing, 1 - 1e-12))
    step_goes_on, vector_goes_on = (-np.expm1(n * all_out) for n in (isa.unroll, 1))
    going_on = _VECTOR + _REST * (len(passing) - tested)
    efforts = tested + step_goes_on * _STEP + vector_goes_on * going_on
    best = int(efforts.argmin())
    return float(efforts[best] + lanes * passing[-1] * _SCORE), best + 1


def look_up_tables(rows: Sequence[NDArray[np.integer]], isa: InstructionSet) -> NDArray[np.uint8]:
    """Look-up tables, one a row; those of 16 entries stand in each 16 bytes of a vector."""
    tables = aligned(len(rows), isa.lanes)
    for table, row in zip(tables, rows, strict=True):
        table.reshape(-1, isa.entries)[:, : len(row)] = row
    return tables


def _single_pixels(rows: NDArray[np.int64]) -> _Family:
    """Every pixel a group, its digit the key: no bound is better, no plan needs more look-ups."""
    digits = np.arange(SHADES, dtype=np.uint8)[None]
    return _Family(1, digits, {(0,): Keyed(rows, np.full(SHADES, 1 / SHADES))})


def use_of(rows: NDArray[np.int64], letters: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much of the deviation of each row's cost each letter explains: float64[rows, letters].

    Negative where they go against each other: their sum would say little about either.
    """
    centred = rows - rows.mean(axis=1, keepdims=True)
    shapes = letters - letters.mean(axis=1, keepdims=True)
    norms = np.maximum(np.sqrt((shapes**2).sum(axis=1)), 1e-9)
    use: NDArray[np.float64] = centred @ (shapes / norms[:, None]).T
    return use


def choose_letters(
    rows: NDArray[np.int64], counts: NDArray[np.int64], most: int, share: float = 1.0
) -> list[int]:
    """Up to `most` rows of costs that resemble most others, most useful first.

    counts says how often each row occurs; no more are chosen than explain `share` of all costs.
    """
    use = use_of(rows, rows)
    whole = share * counts @ use.max(axis=1)
    chosen: list[int] = []
    reached = np.zeros(len(rows))
    while len(chosen) < most and counts @ reached < whole:
        total = counts @ np.maximum(use, reached[:, None])
        best = int(total.argmax())
        if total[best] <= counts @ reached + 1e-9:
            break
        chosen.append(best)
        reached = np.maximum(reached, use[:, best])
    return chosen


def scale_levels(rows: NDArray[np.int64], most: int) -> NDArray[np.uint8]:
    """Costs as levels up to `most`, all on one scale, so that equal levels cost about the same."""
    largest = int(rows.max())
    scaled = rows if largest <= most else np.rint(rows * (most / largest))
    return scaled.astype(np.uint8)


def _group(
    rows: NDArray[np.int64], size: int, models: NDArray[np.int64], most: int, *, halve: bool
) -> _Family:
    """Groups of `size` pixels in letters shaped like `models`, with levels up to `most`.

    They are keyed in the kinds natural to most: each pixel in the letter of most use to it.
    """
    letters = scale_levels(models, most)
    by_letter = [key_by_level(rows, levels) for levels in letters]
    kinds = use_of(rows, models).argmax(axis=1).reshape(-1, size).tolist()
    popular = Counter(map(tuple, kinds)).most_common(_CANDIDATE_KINDS)
    keyed = {}
    for kind, _ in popular:
        parts = [
            Keyed(by_letter[letter].bounds[pixel::size], by_letter[letter].chances)
            for pixel, letter in enumerate(kind)
        ]
        if size == 4:
            parts = [join_keys(*parts[:2], halve=halve), join_keys(*parts[2:], halve=halve)]
        joined = parts[0]
        for part in parts[1:]:
            joined = join_keys(joined, part, halve=halve)
        keyed[kind] = joined
    return _Family(size, letters, keyed)


def key_by_level(rows: NDArray[np.int64], levels: NDArray[np.uint8]) -> Keyed:
    """Least cost of each pixel by the level of its digit, for one letter."""
    n_levels = int(levels.max()) + 1
    bounds = np.full((len(rows), n_levels), _UNREACHED)
    for digit, level in enumerate(levels):
        bounds[:, level] = np.minimum(bounds[:, level], rows[:, digit])
    return Keyed(bounds, np.bincount(levels, minlength=n_levels) / SHADES)


def join_keys(left: Keyed, right: Keyed, *, halve: bool = False, most: int = 255) -> Keyed:
    """The groups of left and right pixels together, keyed by the sum of their keys, up to most."""
    order, begins, keys = _sums(len(left.chances), len(right.chances), halve=halve, most=most)
    sums = left.bounds[:, :, None] + right.bounds[:, None, :]
    flat = sums.reshape(len(sums), -1)[:, order]
    chances = np.outer(left.chances, right.chances).ravel()
    bounds = np.minimum.reduceat(flat, begins, axis=1)
    return Keyed(bounds, np.bincount(keys, chances).astype(np.float64))


@cache
def _sums(
    n_left: int, n_right: int, *, halve: bool, most: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of keys sorted by their sum, where each sum begins, and the sum of each pair."""
    keys = np.add.outer(np.arange(n_left), np.arange(n_right)).ravel()
    if halve:
        keys = (keys + 1) >> 1
    keys = np.minimum(keys, most)
    order = np.argsort(keys, kind="stable")
    return order, np.searchsorted(keys[order], np.arange(keys.max() + 1)), keys


def _threshold(span: int) -> int:
    """The largest sum of quantised bounds a window within the limit can have."""
    return min(span, LARGEST_SUM)


def _quantise(bounds: NDArray[np.int64], span: int) -> NDArray[np.int64]:
    """Bounds as bytes: as they are where the span fits, else scaled so that it does; at most 255.

    Rounded down: the sum of rounded-down terms is at most the rounded-down sum, so a window within
    the limit never has more than the threshold.
    """
    scaled = bounds if span <= LARGEST_SUM else bounds * LARGEST_SUM // span
    return np.minimum(scaled, LARGEST_SUM + 1)
