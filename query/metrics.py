"""Metrics as cost tables: what each digit costs at each pixel.

A distance is the sum of 84 entries of a table of integers, so every path through the program
computes the same number, and one scan serves every metric.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.errors import CostsError, UsageError
from indexer.window import SHADES, WINDOW
from query.palette import GREYS
from query.significance import Law

# A cost times its scale stays within this, so that 84 of them fit an int32.
LARGEST_COST = 10_000_000
_LONGEST_CELL = 40
_LARGEST_FILE = 1 << 20
_MOST_PLACES = 6


@dataclass(frozen=True, eq=False)
class CostTable:
    """What digit d costs at pixel i.

    costs is int32[84, 10]; a distance in the metric's own unit is the integer distance divided by
    scale.
    """

    name: str
    costs: NDArray[np.int32]
    scale: int = 1

    def in_units(self, distance: int) -> float:
        """An integer distance in the metric's own unit; an int where the scale is 1."""
        return distance if self.scale == 1 else distance / self.scale

    def nearest_digits(self) -> NDArray[np.uint8]:
        """The cheapest digit of each pixel (uint8[84]), the smaller where two are equal."""
        nearest: NDArray[np.uint8] = np.argmin(self.costs, axis=1).astype(np.uint8)
        return nearest

    def padded(self) -> NDArray[np.int32]:
        """The table as routines look it up: int32[84, 16] by the low four bits of a byte.

        A byte that is no digit (a damaged file) costs more than any distance of a named metric;
        where a table of someone's own costs more than that, the finder refuses the window.
        """
        padded = np.full((WINDOW, 16), 1 << 24, dtype=np.int32)
        padded[:, :SHADES] = self.costs
        return padded

    @cached_property
    def law(self) -> Law:
        """The law of the distance to random digits, computed at the first use."""
        return Law(self.costs)


def _lightness() -> NDArray[np.float64]:
    """CIE L* of the ten shades (float64[10], 0 = black, 100 = white).

    Source: CIE 15:2004, L* of the relative luminance; IEC 61966-2-1, the sRGB transfer function.
    """
    encoded = np.array(GREYS) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    threshold = (6 / 29) ** 3
    root = np.where(linear > threshold, np.cbrt(linear), linear / (3 * (6 / 29) ** 2) + 4 / 29)
    lightness: NDArray[np.float64] = 116 * root - 16
    return lightness


def _squared_lightness_steps() -> NDArray[np.int64]:
    values = _lightness()
    return np.rint(_LIGHTNESS_SCALE * (values[:, None] - values[None, :]) ** 2).astype(np.int64)


# Tenths of a squared step of L*: finer than the 8-bit greys themselves are.
_LIGHTNESS_SCALE = 10
_DIGITS = np.arange(SHADES, dtype=np.int64)
_GREYS = np.array(GREYS, dtype=np.int64)

# Each gives int64[10, 10]: the cost of digit (column) where the reference has shade (row).
_STEPS: dict[str, Callable[[], NDArray[np.int64]]] = {
    "l1": lambda: np.abs(_DIGITS[:, None] - _DIGITS),
    "l2": lambda: (_DIGITS[:, None] - _DIGITS) ** 2,
    "gray-l1": lambda: np.abs(_GREYS[:, None] - _GREYS),
    "gray-l2": lambda: (_GREYS[:, None] - _GREYS) ** 2,
    "lightness": _squared_lightness_steps,
}
METRICS = tuple(_STEPS)


def cost_table(bitmap: NDArray[np.uint8], metric: str = "l1") -> CostTable:
    """The cost table of a bitmap (uint8[6, 14]) under a named metric.

    l1: Σ|d - r|; l2: Σ(d - r)²; gray-l1 and gray-l2: the same over the palette's 8-bit greys;
    lightness: Σ(ΔL*)² over CIE lightness. Raises UsageError for another name.
    """
    if metric not in _STEPS:
        raise UsageError(f"metric {metric} is unknown; allowed: {', '.join(METRICS)}")
    steps = _STEPS[metric]()
    scale = _LIGHTNESS_SCALE if metric == "lightness" else 1
    return CostTable(metric, steps[bitmap.reshape(WINDOW)].astype(np.int32), scale)


def read_costs(path: Path) -> CostTable:
    """The cost table in a CSV file of 84 rows of 10 numbers, pixel by pixel from the top left.

    Numbers may have up to 6 decimal places; lines that are empty or begin with # are skipped.
    Raises CostsError for anything else.
    """
    try:
        if not path.is_file():
            raise CostsError(f"{path} is not a file; --costs takes a CSV file of 84x10 numbers")
        size = path.stat().st_size
        if size > _LARGEST_FILE:
            raise CostsError(f"{path} has {size} bytes; a costs file has at most {_LARGEST_FILE}")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CostsError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CostsError(
            f"{path} is not text; --costs takes a CSV file of 84x10 numbers"
        ) from error
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines = [(i, line) for i, line in lines if not line.lstrip().startswith("#")]
    if len(lines) != WINDOW:
        raise CostsError(f"{path} has {len(lines)} rows; a costs file has {WINDOW}, one a pixel")
    rows = [_read_row(path, number, line) for number, line in lines]
    places = max(_places(value) for row in rows for value in row)
    if places > _MOST_PLACES:
        raise CostsError(f"{path} has a number of {places} places; allowed are {_MOST_PLACES}")
    scale = 10**places
    costs = [[int(value * scale) for value in row] for row in rows]
    largest = max(abs(cost) for row in costs for cost in row)
    if largest > LARGEST_COST:
        raise CostsError(
            f"{path} has a cost of {largest / scale:g}; allowed with {places} decimal places: "
            f"{-LARGEST_COST / scale:g} to {LARGEST_COST / scale:g}"
        )
    return CostTable("costs", np.array(costs, dtype=np.int32), scale)


def _read_row(path: Path, number: int, line: str) -> list[Decimal]:
    try:
        cells = next(csv.reader([line]))
    except csv.Error as error:
        raise CostsError(f"{path} line {number} is no CSV: {error}") from None
    if len(cells) != SHADES:
        raise CostsError(
            f"{path} line {number} has {len(cells)} numbers; allowed is {SHADES}, one a digit"
        )
    row = []
    for cell in cells:
        try:
            value = Decimal(cell.strip()) if len(cell) <= _LONGEST_CELL else Decimal("nan")
        except InvalidOperation:
            value = Decimal("nan")
        # the exponent first: arithmetic with one of a billion overflows
        usual = value.is_finite() and abs(value.adjusted()) <= _LONGEST_CELL
        if not value.is_zero() and not (usual and abs(value) <= LARGEST_COST):
            raise CostsError(
                f"{path} line {number} has {cell.strip()[:40]!r}; allowed are numbers "
                f"from {-LARGEST_COST} to {LARGEST_COST}"
            )
        row.append(value)
    return row


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
