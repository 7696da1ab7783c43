"""How close is close: the exact law of the distance to 84 random digits.

Decimals of π behave as independent uniform digits, so the distance of a window is a sum of 84
independent costs. Its law is the convolution of 84 laws of ten values each. From it come the
E-value of a match, the limit a scan starts with, and the odds.

Two ways to convolve, one answer. Up to 2¹⁷ values, the sums are added up directly: all terms are
positive, so even a probability of 10⁻⁸⁴ keeps its 13 digits. Wider laws (gray-l2 has millions of
values) go through Fourier transforms, whose error is absolute; so the law is first tilted, pixel by
pixel p(d) ∝ exp(-θ c(d)), until its mean is the distance asked for, convolved there, and tilted
back (Cramér 1938). One tilt serves a stretch of distances around its mean.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LARGEST_DIRECT = 1 << 17
_LARGEST_TRANSFORM = 1 << 16
# A tilted law is trusted this many of its standard deviations around its mean: there the density is
# above 1e-10 of its peak, where the transform's error of 1e-16 is still 1e-6 of it.
_TRUSTED = 4.0
# And computed this wide: what lies beyond (1e-12 of it all) wraps around to where no trust is.
_COMPUTED = 7.0


@dataclass(frozen=True, eq=False)
class _Piece:
    """log P(D <= point) on a lattice, trusted from one point to another, both included.

    log_tail[i] holds what is closer to first + i grain than to the next lattice point.
    """

    first: int
    grain: int
    log_tail: NDArray[np.float64]
    trusted_from: int
    trusted_to: int

    def at(self, point: int) -> float:
        """log P(D <= point): the entry itself where the grain is 1, else between two."""
        place = (point - self.first - (self.grain - 1) / 2) / self.grain
        below = min(max(math.floor(place), 0), len(self.log_tail) - 1)
        above = min(below + 1, len(self.log_tail) - 1)
        share = min(max(place - below, 0.0), 1.0)
        if share == 0.0:
            return float(self.log_tail[below])
        return float((1 - share) * self.log_tail[below] + share * self.log_tail[above])


class Law:
    """The law of the distance between a cost table and uniform random digits.

    costs is int[pixels, 10]. Distances are integers of the table's own scale. lowest and highest
    are the least and greatest distances there are; lowest is the exact picture.
    """

    def __init__(self, costs: NDArray[np.integer]) -> None:
        table = np.asarray(costs, dtype=np.int64)
        self.lowest = int(table.min(axis=1).sum())
        self.highest = int(table.max(axis=1).sum())
        rows = table - table.min(axis=1, keepdims=True)
        self._unit = max(1, int(np.gcd.reduce(rows, axis=None)))
        rows //= self._unit
        self._rows, self._counts = np.unique(np.sort(rows, axis=1), axis=0, return_counts=True)
        self._span = int(rows.max(axis=1).sum())
        self._pieces: list[_Piece] = []
        zeros = (self._rows == 0).sum(axis=1)
        self._log_lowest = float((self._counts * np.log(zeros / rows.shape[1])).sum())

    def log_tail(self, distance: int) -> float:
        """Natural logarithm of P(D <= distance); -inf below the lowest."""
        if distance < self.lowest:
            return -math.inf
        if distance >= self.highest:
            return 0.0
        point = (distance - self.lowest) // self._unit
        if point == 0:
            return self._log_lowest
        piece = self._piece_at(point)
        return piece.at(point)

    def expected(self, distance: int, n_windows: int) -> float:
        """The E-value: how many of n_windows random windows are this close or closer."""
        return n_windows * math.exp(self.log_tail(distance))

    def closest(self, n_windows: int, count: float) -> int:
        """The least distance within which n_windows random windows hold `count` or more.

        The highest distance where they never do.
        """
        if n_windows < count:
            return self.highest
        wanted = math.log(count / n_windows)
        low, high = -1, (self.highest - self.lowest) // self._unit
        if self._span > _LARGEST_DIRECT:  # so that the search stays on one piece
            piece = self._piece_at(self._guess(wanted))
            if self._at(piece.trusted_to) >= wanted:
                high = piece.trusted_to
            if self._at(piece.trusted_from) < wanted:
                low = piece.trusted_from
        while high - low > 1:  # P(D <= low) < count / n_windows <= P(D <= high)
            middle = (low + high) // 2
            if self._at(middle) >= wanted:
                high = middle
            else:
                low = middle
        return self.lowest + high * self._unit

    def _at(self, point: int) -> float:
        return self.log_tail(self.lowest + point * self._unit)

    def _guess(self, wanted: float) -> int:
        """About where log P(D <= point) is `wanted`, by the saddlepoint (Daniels 1954)."""
        low, high = 0.0, 1.0
        for doubling in (True, False):
            for _ in range(60):
                theta = high if doubling else (low + high) / 2
                log_mass, mean, deviation = self._tilted(theta)
                depth = max(theta * deviation, 1.0)
                above = log_mass + theta * mean - math.log(depth * 2.5066) > wanted
                if doubling:
                    if not above or deviation < 1:
                        break
                    low, high = high, high * 2
                elif above:
                    low = theta
                else:
                    high = theta
        return round(self._tilted(high)[1])

    def _piece_at(self, point: int) -> _Piece:
        for piece in self._pieces:
            if piece.trusted_from <= point <= piece.trusted_to:
                return piece
        piece = self._direct() if self._span <= _LARGEST_DIRECT else self._transformed(point)
        self._pieces.append(piece)
        return piece

    def _direct(self) -> _Piece:
        law = np.zeros(self._span + 1)
        law[0] = 1.0
        top = 0
        for row, count in zip(self._rows, self._counts, strict=True):
            values, weights = np.unique(row, return_counts=True)
            for _ in range(count):
                wider = np.zeros(top + int(values[-1]) + 1)
                for value, weight in zip(values, weights / len(row), strict=True):
                    wider[value : value + top + 1] += weight * law[: top + 1]
                top += int(values[-1])
                law[: top + 1] = wider
        with np.errstate(divide="ignore"):
            log_tail = np.log(np.minimum(np.cumsum(law), 1.0))
        return _Piece(0, 1, log_tail, 0, self._span)

    def _transformed(self, point: int) -> _Piece:
        theta = self._tilt_for(point)
        log_mass, mean, deviation = self._tilted(theta)
        # Where one transform is too short, the lattice is coarser than the costs, and each cost is
        # split between its two neighbours so that means stay. What grows is the variance; with 2^16
        # points that puts an E-value of gray-l2 off by 3e-7 of itself.
        grain = max(1, math.ceil(2 * _COMPUTED * deviation / _LARGEST_TRANSFORM))
        size = 1 << math.ceil(math.log2(max(2 * _COMPUTED * deviation / grain, 256)))
        spectrum = np.ones(size // 2 + 1, dtype=np.complex128)
        for row, count in zip(self._rows, self._counts, strict=True):
            weights = np.exp(-theta * row)
            weights /= weights.sum()
            places, above = np.divmod(row, grain)
            law = np.zeros(size)
            np.add.at(law, places % size, weights * (1 - above / grain))
            np.add.at(law, (places + 1) % size, weights * (above / grain))
            spectrum *= np.fft.rfft(law) ** count
        law = np.maximum(np.fft.irfft(spectrum, size), 0.0)
        centre = round(mean / grain)
        first = max(0, centre - size // 2)
        points = first + np.arange(size)
        law = law[points % size]
        # Back from the tilt, relative to the mean so that nothing overflows.
        exponent = theta * (points * grain - mean)
        with np.errstate(divide="ignore"):
            log_tail = np.log(np.cumsum(law * np.exp(exponent - exponent[-1])))
        log_tail += exponent[-1] + theta * mean + log_mass
        log_tail = np.minimum(log_tail, 0.0)
        trust = int(_TRUSTED * deviation)
        lower = max(first * grain, int(mean) - trust)
        upper = min((first + size) * grain - 1, int(mean) + trust)
        if theta == 0.0:  # above it is the upper tail, where P(D <= d) is 1 to 13 digits
            upper = self._span
        return _Piece(first * grain, grain, log_tail, min(lower, point), max(upper, point))

    def _tilt_for(self, point: int) -> float:
        """θ >= 0 that makes `point` the mean; 0 where it is above the untilted mean."""
        if point >= self._tilted(0.0)[1]:
            return 0.0
        low, high = 0.0, 1.0
        while self._tilted(high)[1] > point:
            high *= 2
        for _ in range(60):
            middle = (low + high) / 2
            if self._tilted(middle)[1] > point:
                low = middle
            else:
                high = middle
        return high

    def _tilted(self, theta: float) -> tuple[float, float, float]:
        """log of E exp(-θ D), and mean and standard deviation of the law tilted by θ."""
        weights = np.exp(-theta * self._rows)
        masses = weights.sum(axis=1)
        means = (weights * self._rows).sum(axis=1) / masses
        squares = (weights * self._rows.astype(np.float64) ** 2).sum(axis=1) / masses
        log_mass = float((self._counts * np.log(masses / self._rows.shape[1])).sum())
        variance = float((self._counts * (squares - means**2)).sum())
        return log_mass, float((self._counts * means).sum()), math.sqrt(max(variance, 0.0))
