"""Simulated answers: windows as they look that come close to a picture.

Under uniform random digits the pixels of a window are independent. Given that its distance to a
cost table c is small they are, very nearly, still independent, with p(d) ∝ exp(-θ c(d)) at each
pixel and θ such that the mean distance is the one asked for (Cramér 1938). So windows that have
not been found yet can be drawn at will: to learn codebooks where answers will lie, and to find out
what an index would do with them.
"""

import math

import numpy as np
from numpy.typing import NDArray


def tilt(
    costs: NDArray[np.integer], theta: float
) -> tuple[float, float, float, NDArray[np.float64]]:
    """(log E exp(-θD), mean, standard deviation, p float64[84, 10]) of the law tilted by θ."""
    # from the least cost, so that nothing overflows
    above = (costs - costs.min(axis=-1, keepdims=True)).astype(np.float64)
    weights = np.exp(-theta * above)
    masses = weights.sum(axis=-1, keepdims=True)
    p = weights / masses
    means = (p * above).sum(axis=-1)
    variance = float(((p * above**2).sum(axis=-1) - means**2).sum())
    lowest = float(costs.min(axis=-1).sum())
    log_mass = float(np.log(masses / costs.shape[-1]).sum()) - theta * lowest
    return log_mass, lowest + float(means.sum()), math.sqrt(max(variance, 0.0)), p


def theta_where(costs: NDArray[np.integer], distance: float) -> float:
    """θ >= 0 that makes `distance` the mean; 0 where the mean of random digits is less.

    Newton's method on a convex function, kept between bounds. The least distance of a table has no
    θ: what comes back for it is so large that only the cheapest digits are left.
    """
    _, mean, deviation, _ = tilt(costs, 0.0)
    if mean <= distance or deviation == 0.0:
        return 0.0
    low, high = 0.0, math.inf
    theta = (mean - distance) / deviation**2
    for _ in range(60):
        _, mean, deviation, _ = tilt(costs, theta)
        if abs(mean - distance) < 1e-6 * (1 + abs(distance)) or deviation < 1e-9:
            break
        if mean > distance:
            low = theta
        else:
            high = theta
        step = theta + (mean - distance) / deviation**2
        if not low < step < high:
            step = 2 * theta if math.isinf(high) else (low + high) / 2
        theta = min(step, 4 * theta)
    return theta


def draw_windows(p: NDArray[np.float64], uniforms: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Digits uint8[k, 84] of pixels with laws p float64[84, 10], from uniforms float32[k, 84]."""
    bounds = np.cumsum(p, axis=1).astype(np.float32)
    digits = np.zeros(uniforms.shape, dtype=np.uint8)
    for bound in bounds.T[:-1]:
        digits += uniforms > bound
    return digits
