"""The projection: a window of 84 digits as 48 small integers.

Decimals of π are white noise, so no direction of a window is special; what is special is which
windows people ask for. A distance is a sum over pixels of a function of one digit. Each such
function is, to first order, a straight line in the digit, and to second order a parabola; in these
2 × 84 features the distances to logos lie close to a space of few dimensions, which
indexer/learning.py finds. l2 needs no more than the two (its parabola is the same for all pixels,
so one direction holds it); for l1 the parabola is what tells a mid-tone from noise.

Everything is an integer, so that a window gets the same cell and code whatever the machine, the
thread or the place in a block: digit → two features (-9 … 9 and -4 … 6), their sums with weights of
8 bits, and one multiplication by a float32 rounded to the nearest of -127 … 127.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from indexer.window import SHADES, WINDOW

DIRECTIONS = 48

# The orthogonal polynomials of degree 1 and 2 over ten equally likely digits, as integers.
LINEAR = np.arange(-9, 10, 2, dtype=np.int64)
QUADRATIC = np.array([6, 2, -1, -3, -4, -4, -3, -1, 2, 6], dtype=np.int64)
FEATURES = np.stack([LINEAR, QUADRATIC])
VARIANCES = (FEATURES**2).mean(axis=1)  # 33 and 13.2
_FLOATS = FEATURES.astype(np.float32)
LARGEST = 127

# Windows of one row of the banded product: a row of 64 windows is 147 digits long.
_BAND = 64


def correlate(costs: NDArray[np.integer]) -> NDArray[np.float64]:
    """Covariances of cost tables int[..., 84, 10] with the features: float64[..., 2, 84].

    The digit is uniform. A feature's covariance divided by its variance is the coefficient of the
    polynomial that fits the pixel's costs best.
    """
    centred = costs - costs.mean(axis=-1, keepdims=True)
    covariances: NDArray[np.float64] = np.moveaxis(centred @ FEATURES.T / SHADES, -1, -2)
    return covariances


@dataclass(frozen=True, eq=False)
class Projection:
    """Maps windows to int8[DIRECTIONS], each of -127 … 127.

    weights is int8[DIRECTIONS, 2, 84]: of the linear and the quadratic feature of each pixel;
    factors float32[DIRECTIONS] takes their sums to the unit of the direction.
    """

    weights: NDArray[np.int8]
    factors: NDArray[np.float32]

    def project(self, windows: NDArray[np.uint8]) -> NDArray[np.int8]:
        """Directions int8[k, 48] of windows uint8[k, 84], digits 0 to 9.

        The sums are at most 9 × 127 × 84 × 2 < 2²⁴: in float32 they are exact in any order.
        """
        features = np.concatenate([_FLOATS[0].take(windows), _FLOATS[1].take(windows)], axis=1)
        return self._scaled(features @ self._columns)

    @cached_property
    def _columns(self) -> NDArray[np.float32]:
        """The weights as the second factor of a matrix product: float32[168, 48]."""
        return np.ascontiguousarray(self.weights.reshape(DIRECTIONS, -1).T, dtype=np.float32)

    def band(self) -> NDArray[np.float32]:
        """The matrix of project_stretch: float32[2, 147, 64 · 48], 7 MB.

        It holds the weights once for each of a row's 64 windows, each a digit further down.
        """
        width = _BAND + WINDOW - 1
        band = np.zeros((2, width, _BAND, DIRECTIONS), dtype=np.float32)
        for window in range(_BAND):
            band[:, window : window + WINDOW, window] = self.weights.transpose(1, 2, 0)
        return band.reshape(2, width, -1)

    def project_stretch(
        self, digits: NDArray[np.uint8], band: NDArray[np.float32] | None = None
    ) -> NDArray[np.int8]:
        """Directions int8[m, 48] of every window of uint8[m + 83], digits 0 to 9.

        A banded matrix product: rows of 147 digits that overlap by 83, times self.band(), which
        who projects often makes once. O(147 × 2 × 48) products a window.
        """
        n_windows = len(digits) - WINDOW + 1
        rows = -(-n_windows // _BAND)
        width = _BAND + WINDOW - 1
        padded = np.zeros(rows * _BAND + WINDOW - 1, dtype=np.uint8)
        padded[: len(digits)] = digits
        windows = np.lib.stride_tricks.sliding_window_view(padded, width)[::_BAND]
        if band is None:
            band = self.band()
        features = _FLOATS[:, windows]
        sums = features[0] @ band[0] + features[1] @ band[1]
        return self._scaled(sums.reshape(rows * _BAND, DIRECTIONS)[:n_windows])

    def _scaled(self, sums: NDArray[np.float32]) -> NDArray[np.int8]:
        rounded = np.rint(sums * self.factors)
        directions: NDArray[np.int8] = np.clip(rounded, -LARGEST, LARGEST).astype(np.int8)
        return directions

    def slopes(self, costs: NDArray[np.integer]) -> tuple[float, NDArray[np.float64]]:
        """(intercept, float64[48]): the distance to a cost table as a linear function of x.

        The best one over random windows in the sense of least squares, before x is rounded:
        intercept + slopes · x is the *prediction* of a window's distance.
        """
        slopes = self._regression @ correlate(costs).reshape(-1)
        return float(costs.mean(axis=1).sum()), slopes

    @cached_property
    def _regression(self) -> NDArray[np.float64]:
        """What takes the covariances of costs and features to slopes: float64[48, 168]."""
        weights = self.weights.reshape(DIRECTIONS, -1).astype(np.float64)
        covariance = weights * np.repeat(VARIANCES, WINDOW) @ weights.T
        regression: NDArray[np.float64] = np.linalg.solve(covariance, weights)
        return regression / self.factors[:, None]
