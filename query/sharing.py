"""How many cost tables are bounded from planes of keys that they share.

One table's plan has up to 4 planes of keys (query/plan.py), and making them is more than half of
what a scan does. For many tables they are made once: a plane for each *letter* that the pixels of
all tables need, keyed by one digit, and on top of these planes that are *sums* of two others. A sum
takes one addition a position to make, and saves a look-up wherever two neighbouring groups of some
table are what it adds. So the sums are chosen as Re-Pair chooses the rules of its grammar (Larsson
& Moffat 1999, "Offline dictionary-based compression"): the tables' pixels are texts of letters; the
pair of neighbours that occurs most often becomes a symbol of its own, until no pair occurs often
enough to pay. Pictures have rows of background, so the first sums are 2, 4 and 8 pixels of white.

Bounds are as in query/plan.py: the least cost that any digits with a key have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from query.assembly.layout import MAX_SHARED, SHARED_ROWS, InstructionSet
from query.plan import (
    Group,
    Keyed,
    Plan,
    assemble,
    choose_letters,
    join_keys,
    key_by_level,
    look_up_tables,
    scale_levels,
    use_of,
)

# A table that takes more look-ups a vector than this is scanned alone.
ALONE = 80.0
# Levels of a letter, as where four of them make a key.
_MOST_LEVEL = 15
# Letters, and what they are to explain of all costs: both are tried, few letters make longer sums.
_MOST_LETTERS = 16
_EXPLAINED = (0.98, 0.999)
# A sum whose levels can be more than this loses too much where it is cut at the largest key, 63.
_HIGHEST_SUM = 126
# Uses with which a sum has paid.
_LEAST_USES = 4
# Rows of costs: more than that are no pictures of few shades, and take long to plan.
_MOST_ROWS = 1000
# Rows joined at once: 8 MB.
_SLICE = 256


class _Grammar(NamedTuple):
    """Symbols: letters, then sums (the symbols of both parts); how many pixels each covers.

    texts are those of all tables, one after the other, each ended by -1.
    """

    sums: list[tuple[int, int]]
    sizes: list[int]
    texts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SharedKeys:
    """Planes and what they are to each table.

    letters, kinds are as in layout.JOB, sums (int64[n_sums, 2]) as in layout.SHARED_JOB; there are
    n_planes. groups are those of every table.
    """

    letters: NDArray[np.uint8]
    kinds: NDArray[np.int64]
    sums: NDArray[np.int64]
    n_planes: int
    groups: list[list[Group]]


class SharedPlanner:
    """Plans for many cost tables (int32[84, 10] each) on one instruction set with vectors.

    limits are those they are planned for. keys is None where the tables have too little in common.
    O(pixels · sums).
    """

    def __init__(
        self, tables: Sequence[NDArray[np.int32]], limits: Sequence[int], isa: InstructionSet
    ) -> None:
        self._isa = isa
        costs = np.stack(tables).astype(np.int64)
        least = costs.min(axis=2, keepdims=True)
        self._lowest = least.sum(axis=(1, 2)).tolist()
        rows, inverse, counts = np.unique(
            (costs - least).reshape(-1, costs.shape[2]),
            axis=0,
            return_inverse=True,
            return_counts=True,
        )
        self.keys: SharedKeys | None = None
        if not 1 < len(rows) <= _MOST_ROWS:
            return
        row_of = inverse.reshape(costs.shape[:2])
        least_effort = np.inf
        for share in _EXPLAINED:
            chosen = choose_letters(rows, counts, _MOST_LETTERS, share)
            keys = _make_keys(rows, row_of, chosen, isa)
            plans = [self._plan(keys, i, limit) for i, limit in enumerate(limits)]
            effort = sum(min(plan.effort, ALONE) for plan in plans)
            if effort < least_effort:
                least_effort, self.keys = effort, keys

    def plan(self, table: int, limit: int) -> Plan:
        """The plan of one table for the windows within `limit`, which is the lowest or more.

        ValueError where there are no keys.
        """
        if self.keys is None:
            raise ValueError
        return self._plan(self.keys, table, limit)

    def _plan(self, keys: SharedKeys, table: int, limit: int) -> Plan:
        return assemble(
            keys.groups[table],
            limit - self._lowest[table],
            self._isa,
            letters=keys.letters,
            kinds=keys.kinds,
            group_size=1,
            keys_effort=0.0,
        )


def _make_keys(
    rows: NDArray[np.int64], row_of: NDArray[np.intp], chosen: list[int], isa: InstructionSet
) -> SharedKeys:
    """Letters of the chosen rows of costs, sums of them, and the groups of every table."""
    plane = SHARED_ROWS * isa.lanes
    models = rows[chosen]
    levels = scale_levels(models, _MOST_LEVEL)
    letter_of = use_of(rows, models).argmax(axis=1)
    grammar = _merge(letter_of[row_of], levels.max(axis=1).tolist())
    kinds = np.zeros((len(levels), 4), dtype=np.int64)
    kinds[:, 0] = np.arange(len(levels)) * isa.lanes
    sums = [(a * plane - grammar.sizes[b] * isa.lanes, b * plane) for a, b in grammar.sums]
    keyed = [key_by_level(rows, one) for one in levels]
    return SharedKeys(
        letters=look_up_tables(list(levels), isa),
        kinds=kinds,
        sums=np.array(sums, dtype=np.int64).reshape(-1, 2),
        n_planes=len(grammar.sizes),
        groups=_groups(grammar, keyed, row_of, isa),
    )


def _merge(symbols: NDArray[np.intp], tops: list[int]) -> _Grammar:
    """The grammar of texts (int[tables, 84]) of letters whose largest levels are tops."""
    ends = np.full((len(symbols), 1), -1, dtype=np.int64)
    texts = np.concatenate([symbols, ends], axis=1).ravel()
    sizes = [1] * len(tops)
    tops = list(tops)
    sums: list[tuple[int, int]] = []
    while len(sizes) < MAX_SHARED:
        left, right = texts[:-1], texts[1:]
        top = np.array([*tops, 2 * _HIGHEST_SUM])  # -1 is the last: nothing is added to an end
        fits = top[left] + top[right] <= _HIGHEST_SUM
        # Of a row of equal symbols every second one begins a pair.
        place = np.arange(len(left))
        begins = np.concatenate([[True], left[1:] != left[:-1]])
        odd = (place - np.maximum.accumulate(np.where(begins, place, 0))) & 1
        fits &= (left != right) | (odd == 0)
        pairs = left * MAX_SHARED + right
        uses = np.bincount(pairs[fits], minlength=1)
        pair = int(uses.argmax())
        if uses[pair] < _LEAST_USES:
            break
        a, b = divmod(pair, MAX_SHARED)
        found = np.flatnonzero(fits & (pairs == pair))
        texts[found] = len(sizes)
        texts = np.delete(texts, found + 1)
        sums.append((a, b))
        sizes.append(sizes[a] + sizes[b])
        tops.append(tops[a] + tops[b])
    return _Grammar(sums, sizes, texts)


def _groups(
    grammar: _Grammar, letters: list[Keyed], row_of: NDArray[np.intp], isa: InstructionSet
) -> list[list[Group]]:
    """The groups of every table: what its text says, bounded by the costs of its own pixels."""
    sizes = np.array([*grammar.sizes, 0])
    symbols = grammar.texts
    ends = symbols < 0
    table: NDArray[np.intp] = np.cumsum(ends) - ends
    pixel = np.cumsum(sizes[symbols]) - sizes[symbols] - table * row_of.shape[1]
    keyed, number = _key_contents(grammar, letters, row_of, table, pixel, isa.entries - 1)
    groups: list[list[Group]] = [[] for _ in row_of]
    plane = SHARED_ROWS * isa.lanes
    for at in np.flatnonzero(~ends).tolist():
        symbol = int(symbols[at])
        along = int(pixel[at]) + grammar.sizes[symbol] - 1
        bounds, chances = keyed[symbol]
        row = bounds[number[at]]
        groups[table[at]].append(Group(symbol * plane, along * isa.lanes, row, chances))
    return groups


def _key_contents(
    grammar: _Grammar,
    letters: list[Keyed],
    row_of: NDArray[np.intp],
    table: NDArray[np.intp],
    pixel: NDArray[np.intp],
    most: int,
) -> tuple[list[Keyed], NDArray[np.intp]]:
    """Least costs by key of what every symbol stands for, and which of them each group is.

    The same symbol stands for different rows of costs, in different tables or places: each choice
    of rows is bounded once.
    """
    n_letters = len(letters)
    wanted: list[list[NDArray[np.intp]]] = [[] for _ in grammar.sizes]
    groups = [np.flatnonzero(grammar.texts == symbol) for symbol in range(len(wanted))]
    for symbol, size in enumerate(grammar.sizes):
        at = groups[symbol]
        wanted[symbol].append(row_of[table[at][:, None], pixel[at][:, None] + np.arange(size)])
    contents: list[NDArray[np.intp]] = [np.empty(0, np.intp)] * len(wanted)
    answers: list[list[NDArray[np.intp]]] = [[] for _ in wanted]
    asked: dict[int, tuple[int, int]] = {}
    for symbol in reversed(range(len(wanted))):  # parts come before what they are parts of
        parts = wanted[symbol]
        contents[symbol], inverse = np.unique(np.concatenate(parts), axis=0, return_inverse=True)
        answers[symbol] = np.split(inverse.ravel(), np.cumsum([len(part) for part in parts])[:-1])
        if symbol >= n_letters:
            a, b = grammar.sums[symbol - n_letters]
            wanted[a].append(contents[symbol][:, : grammar.sizes[a]])
            wanted[b].append(contents[symbol][:, grammar.sizes[a] :])
            asked[symbol] = len(wanted[a]) - 1 - (a == b), len(wanted[b]) - 1
    keyed: list[Keyed] = []
    for symbol, content in enumerate(contents):
        if symbol < n_letters:
            bounds, chances = letters[symbol]
            keyed.append(Keyed(bounds[content[:, 0]], chances))
            continue
        (a, b), (of_a, of_b) = grammar.sums[symbol - n_letters], asked[symbol]
        keyed.append(_join(keyed[a], answers[a][of_a], keyed[b], answers[b][of_b], most))
    number = np.zeros(len(grammar.texts), dtype=np.intp)
    for at, answer in zip(groups, answers, strict=True):
        number[at] = answer[0]
    return keyed, number


def _join(
    left: Keyed, of_left: NDArray[np.intp], right: Keyed, of_right: NDArray[np.intp], most: int
) -> Keyed:
    """Chosen rows of left and right together, keyed by the sum of their keys, up to `most`."""
    joined = [
        join_keys(
            Keyed(left.bounds[of_left[begin : begin + _SLICE]], left.chances),
            Keyed(right.bounds[of_right[begin : begin + _SLICE]], right.chances),
            most=most,
        )
        for begin in range(0, max(1, len(of_left)), _SLICE)
    ]
    return Keyed(np.concatenate([one.bounds for one in joined]), joined[0].chances)
