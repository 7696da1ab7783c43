"""How close is close: the exact law of the distance to 84 random digits.

Decimals of π behave as independent uniform digits, so the distance of a window is a sum of 84
independent costs. Its law is the convolution of 84 laws of ten values each. From it come the
E-value of a match, the limit a scan starts with, and the odds.

Sums are added up as they are: all terms are positive, so even a probability of 10⁻⁸⁴ keeps its 13
digits. So are all distances up to 2¹⁷ above the lowest. Those beyond (gray-l2 has millions of
values) are added up on lattices coarser than the costs, one for each stretch of them: a lattice
does least harm where its stretch is the middle of the law, so the law is tilted, pixel by pixel
p(d) ∝ exp(-θ c(d)), until it is (Cramér 1938).

An answer is a function of the table and the question alone, to the last bit, whatever was asked
before: what is known of the law is the same however far it has been computed, and where stretches
begin and end only the table decides.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.ir import MachineCode, once
from query.assembly.convolve import BLOCK, convolve_assembly

# Distances above the lowest that are not put on a lattice.
_LARGEST_DIRECT = 1 << 17
# Points of a lattice; a stretch that ends sooner loses nothing.
_LARGEST_TRANSFORM = 20 << 10
# Points of a lattice where the law is rough, up and down within a few points: so it is near the
# exact picture, or with a table of 10,000 for any other digit, and |d - r|.
_LARGEST_ROUGH = 1 << 18
# The second difference of the logarithm of a rough law; 10⁻⁵ is what the metrics have.
_ROUGH = 1e-3
# From one tilt to the next θ grows by this, over the standard deviation: for a normal law the means
# are as many deviations apart, and each tilt serves half of it to either side.
_STEP = 5.0


class Law:
    """The law of the distance between a cost table and uniform random digits.

    costs is int[pixels, 10]. Distances are integers of the table's own scale. lowest and highest
    are the least and greatest distances there are; lowest is the exact picture.
    """

    def __init__(self, costs: NDArray[np.integer]) -> None:
        table = np.sort(np.asarray(costs, dtype=np.int64), axis=1)
        self.lowest = int(table[:, 0].sum())
        self.highest = int(table[:, -1].sum())
        rows = table - table[:, :1]
        self._unit = max(1, int(np.gcd.reduce(rows, axis=None)))
        if self._unit > 1:
            rows //= self._unit
        rows = rows[np.argsort(rows[:, -1], kind="stable")]  # so that the law stays narrow for long
        self._direct = _DirectSum(rows, _LARGEST_DIRECT)
        self._coarse: _CoarseSum | None = None
        if self._direct.top < (self.highest - self.lowest) // self._unit:
            self._coarse = _CoarseSum(rows, self._direct.top)

    def log_tail(self, distance: int) -> float:
        """Natural logarithm of P(D <= distance); -inf below the lowest."""
        if distance < self.lowest:
            return -math.inf
        if distance >= self.highest:
            return 0.0
        point = (distance - self.lowest) // self._unit
        if self._coarse is not None and point > self._direct.top:
            return self._coarse.log_tail(point)
        return self._direct.log_tail(point)

    def expected(self, distance: int, n_windows: int) -> float:
        """The E-value: how many of n_windows random windows are this close or closer."""
        return n_windows * math.exp(self.log_tail(distance))

    def closest(self, n_windows: int, count: float) -> int:
        """The least distance within which n_windows random windows hold `count` or more.

        The highest distance where they never do.
        """
        if n_windows < count:
            return self.highest
        chance = count / n_windows
        point = None if self._coarse is None else self._coarse.least(chance)
        if point is None:
            point = self._direct.least(chance)
        return min(self.lowest + point * self._unit, self.highest)


@once
def _compiled() -> tuple[MachineCode, Callable[[int], None]]:
    """The routine of query/assembly/convolve.py, and the code it lives in; made once (15 ms)."""
    code = MachineCode(convolve_assembly())
    return code, code.routine("convolve")


def add_up(costs: NDArray[np.int64], weights: NDArray[np.float64], top: int) -> NDArray[np.float64]:
    """The weight of each sum 0, 1, … top of one cost a pixel (float64[top + 1]).

    costs is int64[pixels, terms], 0 or more; weights is float64[pixels, terms], and where it is 0
    there is no such term. A choice of costs weighs the product of their weights. An entry does not
    depend on top. O(pixels · terms · top), and less where pixels of small costs come first.

    Example: costs [0, 1] with weights [2, 1], then [0, 2] with [1, 2], top 2. The sum 0 weighs
    2 · 1, 1 weighs 1 · 1, and 2 weighs 2 · 2: the result is [2, 1, 4].
    """
    used = weights > 0
    terms = np.minimum(costs[used], top + 1)  # what is beyond the top only has to stay there
    shares = weights[used]
    ends = np.cumsum(np.count_nonzero(used, axis=1))
    tops = np.minimum(np.cumsum(costs.max(axis=1)), top)
    before = int(terms.max())
    law = np.zeros(before + top + BLOCK)
    law[before] = 1.0
    arrays = (law[before:], terms, shares, ends, tops)
    job = np.array([*(array.ctypes.data for array in arrays), len(costs)], dtype=np.int64)
    _, convolve = _compiled()
    convolve(job.ctypes.data)
    return law[before : before + top + 1]


def _multiplicities(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often an entry is in its row, at the first of them; 0 at the others.

    Rows ascend: [0, 0, 1, 2] gives [2, 0, 1, 1].
    """
    first = np.ones(rows.shape, dtype=np.bool_)
    np.not_equal(rows[:, 1:], rows[:, :-1], out=first[:, 1:])
    places = np.flatnonzero(first)
    result = np.zeros(rows.size)
    result[places] = np.diff(places, append=rows.size)
    return result.reshape(rows.shape)


def _choices(rows: NDArray[np.int64]) -> float:
    """How many ways there are to take one entry of each row."""
    n_pixels, n_digits = rows.shape
    return float(n_digits**n_pixels)


class _DirectSum:
    """The law of a sum of one entry a row, each equally likely, up to the point `top`.

    rows is int64[pixels, digits], each ascending from 0. Nothing beyond the mean is computed until
    it is asked for: close matches are far below.
    """

    def __init__(self, rows: NDArray[np.int64], largest: int) -> None:
        self._rows = rows
        self.top = min(int(rows[:, -1].sum()), largest)
        self._mean = min(int(rows.sum()) // rows.shape[1], largest)
        self._tail = np.empty(0)  # P(sum <= 0, 1, …)

    def log_tail(self, point: int) -> float:
        """log P(sum <= point), for a point from 0 to top."""
        return math.log(self._tail_to(point)[point])

    def least(self, chance: float) -> int:
        """The least point with P(sum <= point) >= chance; top + 1 where there is none."""
        tail = self._tail_to(self._mean)
        if tail[-1] < chance:
            tail = self._tail_to(self.top)
        return int(tail.searchsorted(chance))

    def _tail_to(self, point: int) -> NDArray[np.float64]:
        """P(sum <= 0, 1, …), to this point at least."""
        if point >= len(self._tail):
            top = self._mean if point <= self._mean else self.top
            tail = np.cumsum(add_up(self._rows, _multiplicities(self._rows), top))
            tail /= _choices(self._rows)
            self._tail = np.minimum(tail, 1.0)
        return self._tail


@dataclass(frozen=True)
class _Tilt:
    """A law tilted by θ: log E exp(-θ sum), and mean and standard deviation of what comes out.

    It serves the points up to its fence and above that of the next tilt. Below a fence its density
    is greater than that of the tilt before, above it is smaller.
    """

    theta: float
    log_mass: float
    mean: float
    deviation: float
    fence: float


@dataclass(frozen=True, eq=False)
class _Lattice:
    """log P(sum <= point): log_tail[i] has what is nearer to i · grain than to (i + 1) · grain."""

    grain: float
    log_tail: NDArray[np.float64]

    def at(self, point: int) -> float:
        """log P(sum <= point): the entry itself where the grain is 1, else between two."""
        place = max((point + 0.5) / self.grain - 0.5, 0.0)
        below = min(int(place), len(self.log_tail) - 2)
        share = min(place - below, 1.0)
        low, high = self.log_tail[below : below + 2].tolist()
        return float((1 - share) * low + share * high)


class _CoarseSum:
    """The law of a sum of one entry a row, each equally likely, beyond the point `beyond`.

    rows is int64[pixels, digits], each ascending from 0. Stretches are made by a series of tilts.
    Example, a normal law of mean 1000 and deviation 100: θ is -0.05, 0, 0.05, 0.1, …, the means are
    1500, 1000, 500, 0, …, and the fences the greatest sum, 1250, 750, 250, ….
    """

    def __init__(self, rows: NDArray[np.int64], beyond: int) -> None:
        self._rows = rows
        self._costs = rows.astype(np.float64)
        self._beyond = beyond
        untilted = self._tilt(0.0)
        self._tilts: tuple[_Tilt, ...] = (self._tilt(-_STEP / untilted.deviation),)
        self._lattices: dict[int, _Lattice] = {}

    def log_tail(self, point: int) -> float:
        """log P(sum <= point), for a point beyond `beyond`."""
        k = 0
        while self._tilt_at(k + 1).fence >= point:
            k += 1
        return self._lattice_at(k).at(point)

    def least(self, chance: float) -> int | None:
        """The least point with P(sum <= point) >= chance; None where it may not be beyond."""
        wanted = math.log(chance)
        k = self._guess(wanted)
        while k > 0 and self._lattice_at(k).at(self._stretch(k)[1]) < wanted:
            k -= 1
        while True:  # the last point of stretch k has it
            begin, end = self._stretch(k)
            if self._lattice_at(k).at(begin) < wanted:
                return bisect_left(range(begin, end), wanted, key=self._lattice_at(k).at) + begin
            if begin == self._beyond + 1:
                return None
            if self._lattice_at(k + 1).at(begin - 1) < wanted:
                return begin
            k += 1

    def _guess(self, wanted: float) -> int:
        """The stretch that probably has the point where log P(sum <= point) is `wanted`.

        By the saddlepoint at each fence (Daniels 1954), taken to be half way between two tilts. A
        wrong guess costs a lattice, and no answer depends on it.
        """
        k = 0
        while True:
            above, below = self._tilt_at(k), self._tilt_at(k + 1)
            fence = below.fence
            deep = ((above.mean - fence) / above.deviation) ** 2
            deep += ((fence - below.mean) / below.deviation) ** 2
            scale = (above.theta + below.theta) * (above.deviation + below.deviation) / 4
            log_tail = below.log_mass + below.theta * fence - deep / 4
            log_tail -= math.log(max(scale, 1.0) * math.sqrt(2 * math.pi))
            if log_tail < wanted or fence <= self._beyond:
                return k
            k += 1

    def _stretch(self, k: int) -> tuple[int, int]:
        """The first and the last point that tilt k serves."""
        begin = max(math.floor(self._tilt_at(k + 1).fence), self._beyond) + 1
        return begin, math.floor(self._tilts[k].fence)

    def _tilt_at(self, k: int) -> _Tilt:
        tilts = self._tilts
        while len(tilts) <= k:
            theta = tilts[-1].theta + _STEP / tilts[-1].deviation if len(tilts) > 1 else 0.0
            tilts = (*tilts, self._tilt(theta, tilts[-1]))
        self._tilts = tilts  # all at once: another thread may be doing the same
        return tilts[k]

    def _tilt(self, theta: float, before: _Tilt | None = None) -> _Tilt:
        weights = np.exp(-theta * self._costs)
        masses = weights.sum(axis=1, keepdims=True)
        weights /= masses
        means = (weights * self._costs).sum(axis=1, keepdims=True)
        variance = float((weights * (self._costs - means) ** 2).sum())
        log_mass = float(np.log(masses / self._costs.shape[1]).sum())
        # The densities are exp(-θ sum) over the masses, times what the untilted law has.
        fence = float(self._costs[:, -1].sum())
        if before is not None:
            fence = (before.log_mass - log_mass) / (theta - before.theta)
        return _Tilt(theta, log_mass, float(means.sum()), math.sqrt(variance), fence)

    def _lattice_at(self, k: int) -> _Lattice:
        if k not in self._lattices:
            self._lattices[k] = self._compute(k)
        return self._lattices[k]

    def _compute(self, k: int) -> _Lattice:
        begin, end = self._stretch(k)
        grain, law = self._put_on_lattice(k, _LARGEST_TRANSFORM)
        # In the first stretch the tail is nearly 1 all along.
        if k > 0 and grain > 1 and _is_rough(law[int(begin / grain) : int(end / grain)]):
            grain, law = self._put_on_lattice(k, _LARGEST_ROUGH)
        tail = np.cumsum(law) / _choices(self._rows)
        return _Lattice(grain, np.log(np.minimum(tail, 1.0)))

    def _put_on_lattice(self, k: int, n_points: int) -> tuple[float, NDArray[np.float64]]:
        """The grain of a lattice up to the end of stretch k, and how many choices have each sum.

        A cost of (q + f) · grain is shared between q and q + 1: (1 - f) exp(-θ f grain) for the one
        and f exp(θ (1 - f) grain) for the other. Under the tilt that is 1 - f and f, so the mean
        stays. What grows is the variance, and so the error goes with the square of the grain: for
        gray-l2 it is 2·10⁻⁶ of the E-value as a rule, and up to 10⁻⁵, where ten are expected among
        10⁶ to 10¹⁵ decimals. Beyond the mean θ is 0, for there it is the whole that must be 1.
        """
        theta, end = max(self._tilts[k].theta, 0.0), self._stretch(k)[1]
        grain = max(1.0, (end + 0.5) / (n_points - 0.5))
        places = np.floor(self._costs / grain)
        above = self._costs / grain - places
        weights = _multiplicities(self._rows) * np.exp(-theta * grain * above)
        shares = np.hstack([weights * (1 - above), weights * above * math.exp(theta * grain)])
        costs = places.astype(np.int64)
        return grain, add_up(np.hstack([costs, costs + 1]), shares, int((end + 0.5) / grain + 0.5))


def _is_rough(law: NDArray[np.float64]) -> bool:
    """Whether a law goes up and down within a few points."""
    if len(law) < 3:
        return False
    if law.min() <= 0:
        return True
    return bool(np.abs(np.diff(np.log(law), 2)).max() > _ROUGH)
