"""How far to look: what an index would lose of the answer to this very question.

Windows as close as the answer are drawn (indexer/answers.py), put through the index's own coder,
and their predictions compared with their distances. The prediction from the cell alone, and that
from cell and code, are each close to a straight line in the distance plus a normal error; the two
errors are correlated. From these five numbers follows, for any limits on the two predictions, the
chance ℓ(d) that a window at distance d is lost.

The windows that an answer lacks and those it has are two independent parts of one Poisson process.
So whatever has been found, the number lost with a distance under that of the worst match is on
average n Σ P(D = d) ℓ(d) over those distances: that is `expected_missed`.
"""

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from indexer.answers import theta_where, tilt
from indexer.cells import Coder
from indexer.window import WINDOW
from query.lists import Limits
from query.metrics import CostTable
from query.simulation import Simulator

DRAWS = 384
_SEED = 31415926
# Points of the sum over distances below the worst match: by equal numbers of windows.
_POINTS = 16
# Points of the integral over the correlation.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_NORMAL = NormalDist()
# Of what may be lost, the part that is lost at the cells: to look at a window costs a hundredth of
# scoring one. With 0.5 hard questions take a tenth longer.
_CELLS_SHARE = 0.3
# A prediction can be exact (a table that uses few digits): errors are never taken to be smaller
# than this share of a distance unit.
_SMALLEST_ERROR = 1e-3


@cache
def _uniforms() -> NDArray[np.float32]:
    """The same random numbers for every question: the same question gets the same answer.

    Antithetic: the second half mirrors the first, which halves the error of a mean.
    """
    half = np.random.default_rng(_SEED).random((DRAWS // 2, WINDOW), dtype=np.float32)
    return np.concatenate([half, np.float32(1) - half])


def make_simulator(coder: Coder) -> Simulator:
    """What draws and codes simulated answers for a coder; one thread at a time may use it."""
    return Simulator(coder, _uniforms())


@dataclass(frozen=True)
class _Line:
    """prediction = at + slope (distance - centre) + a normal error of this deviation."""

    at: float
    slope: float
    deviation: float

    @classmethod
    def fit(cls, above: NDArray[np.float64], predictions: NDArray[np.float64]) -> "_Line":
        spread = float((above**2).sum()) - above.sum() ** 2 / len(above)
        centred = above - above.mean()
        slope = float(centred @ predictions) / spread if spread > 0 else 0.0
        at = float(predictions.mean() - slope * above.mean())
        errors = predictions - at - slope * above
        deviation = math.sqrt(float(errors @ errors) / (len(errors) - 2))
        return cls(at, slope, max(deviation, _SMALLEST_ERROR))


class Calibration:
    """What a coder makes of windows near a distance from a cost table.

    distance is where the answer's worst match is expected. theta is the rate at which windows get
    rarer towards it: their number falls by e every 1/theta. of_cells and of_codes are the parts of
    the table's prediction. simulator is one of make_simulator, for who asks often.
    """

    def __init__(
        self, coder: Coder, table: CostTable, distance: int, simulator: Simulator | None = None
    ) -> None:
        costs = table.costs
        self.intercept, self.slopes = coder.projection.slopes(costs)
        self.theta = theta_where(costs, distance)
        self._centre = float(distance)
        p = tilt(costs, self.theta)[3]
        self.of_cells, self.of_codes = coder.parts(self.slopes)
        simulator = simulator or make_simulator(coder)
        distances, by_cell, by_both = simulator.run(p, costs, self.of_cells, self.of_codes)
        above = np.asarray(distances - self._centre, dtype=np.float64)
        self._cell = _Line.fit(above, by_cell)
        self._code = _Line.fit(above, by_both)
        errors = [
            values - line.at - line.slope * above
            for values, line in ((by_cell, self._cell), (by_both, self._code))
        ]
        scale = len(above) * self._cell.deviation * self._code.deviation
        self._correlation = min(max(float(errors[0] @ errors[1]) / scale, -0.999), 0.999)

    def limits(self, distance: float, lost: float, share: float = _CELLS_SHARE) -> Limits:
        """Limits with which the fraction `lost` of the windows up to a distance is lost.

        share of it at the cells, the rest at the codes; a little less in all, because some are
        lost at both.
        """
        return Limits(
            self._limit(self._cell, distance, lost * share),
            self._limit(self._code, distance, lost * (1 - share)),
        )

    def _limit(self, line: _Line, distance: float, lost: float) -> float:
        means = line.at + line.slope * (self._below(distance) - self._centre)
        # Newton from the left of the root of log tail = log lost: the log of a sum of normal tails
        # falls ever faster, so a step never passes the root by much, and five are plenty.
        limit = float(means.mean()) - line.deviation * _NORMAL.inv_cdf(lost)
        for _ in range(6):
            scores = (limit - means) / line.deviation
            tail = max(float(_tail(scores).mean()), 1e-300)
            density = float(np.exp(-(scores**2) / 2).mean()) / math.sqrt(2 * math.pi)
            step = line.deviation * tail * math.log(tail / lost) / max(density, 1e-300)
            limit += min(max(step, -3 * line.deviation), 3 * line.deviation)
            if abs(step) < 1e-6 * line.deviation:
                break
        return limit

    def lost(self, distance: float, limits: Limits) -> float:
        """Fraction of the windows up to a distance that the limits lose."""
        above = self._below(distance) - self._centre
        scores = [
            (limit - line.at - line.slope * above) / line.deviation
            for limit, line in ((limits.cell, self._cell), (limits.prediction, self._code))
        ]
        both = _both_tails(scores[0], scores[1], self._correlation)
        return float((_tail(scores[0]) + _tail(scores[1]) - both).mean())

    def _below(self, distance: float) -> NDArray[np.float64]:
        """Distances that stand for equal parts of the windows up to a distance."""
        parts = (np.arange(_POINTS) + 0.5) / _POINTS
        if self.theta == 0:
            return np.full(_POINTS, distance)
        below: NDArray[np.float64] = distance + np.log(parts) / self.theta
        return below


def _tail(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(X > score) of a standard normal X."""
    return np.array([0.5 * math.erfc(x) for x in (scores / math.sqrt(2)).tolist()])


def _both_tails(
    a: NDArray[np.float64], b: NDArray[np.float64], correlation: float
) -> NDArray[np.float64]:
    """P(X > a and Y > b) of standard normals with a correlation (Plackett 1954).

    The product of the tails, and the integral of the density at (a, b) over the correlation from 0.
    With r = sin t the integrand is smooth to the end (Drezner and Wesolowsky 1990).
    """
    angle = math.asin(correlation)
    angles = angle / 2 * (_NODES + 1)
    sines, cosines = np.sin(angles)[:, None], np.cos(angles)[:, None]
    exponents = -(a**2 + b**2 - 2 * sines * a * b) / (2 * cosines**2)
    integral = angle / 2 * (_WEIGHTS @ np.exp(exponents)) / (2 * math.pi)
    both: NDArray[np.float64] = np.maximum(_tail(a) * _tail(b) + integral, 0.0)
    return both
