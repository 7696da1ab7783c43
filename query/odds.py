"""The odds of a picture: how close n decimals come to it, and how many a given closeness needs."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.errors import UsageError
from indexer.window import count_windows
from query.answer import NeededRow, Odds, OddsRow
from query.bitmap import format_digits
from query.metrics import CostTable

_POWERS = range(6, 16)
# Distances between the exact picture and the best of 10^6 decimals for which needs are given.
_STEPS = 12


def compute_odds(
    bitmap: NDArray[np.uint8],
    table: CostTable,
    *,
    distances: Sequence[float] = (),
    logo: str = "",
) -> Odds:
    """The odds of a bitmap under a cost table, and the needs of `distances` in the metric's unit.

    best and tenth are the least distances within which n random decimals hold 1 and 10 windows on
    average. Raises UsageError for a distance below that of the exact picture.
    """
    law = table.law
    rows = []
    for power in _POWERS:
        n_windows = count_windows(10**power)
        best, tenth = law.closest(n_windows, 1), law.closest(n_windows, 10)
        rows.append(OddsRow(10**power, table.in_units(best), table.in_units(tenth)))
    farthest = law.closest(count_windows(10 ** _POWERS[0]), 1)
    wanted = set(np.linspace(law.lowest, farthest, _STEPS).astype(np.int64).tolist())
    for distance in distances:
        inside = math.floor(min(distance * table.scale, law.highest) + 1e-9)
        if inside < law.lowest:
            raise UsageError(
                f"distance {distance:g} is out of reach; allowed are "
                f"{table.in_units(law.lowest):g} (the exact picture) and more"
            )
        wanted.add(inside)
    needed = [NeededRow(table.in_units(d), -law.log_tail(d) / math.log(10)) for d in sorted(wanted)]
    return Odds(logo, format_digits(bitmap), table.name, tuple(rows), tuple(needed))
