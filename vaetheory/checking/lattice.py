"""The second route of the checks: plain trapezoid sums over one fixed lattice.

On purpose it shares nothing with the rules and engines that it is compared with.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory._trust import unchecked
from vaetheory._validation import Array
from vaetheory.checking.comparison import Comparison
from vaetheory.encoders import AggregatePosterior
from vaetheory.rounding import gamma

_CHUNK = 2**16


def lattice(lower: Array, upper: Array, step: float, offset: float) -> Array:
    """Points `(M, d)` of a lattice of the given step and offset (in steps) over a box."""
    # Multiples of the step, since repeated addition would let the spacing drift.
    axes = [
        step * (np.arange(np.floor(a / step), np.ceil(b / step) + 1) + offset)
        for a, b in zip(lower, upper, strict=True)
    ]
    return np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=-1)


def lattice_integral(
    integrand: Callable[[Array], Array], lower: Array, upper: Array, *, step: float
) -> tuple[Array, Array]:
    """Integral over a box of an analytic integrand that vanishes at its faces.

    Parameters
    ----------
    integrand : callable
        `(M, d) -> (M, K)`: K integrands at once. It is called `unchecked`.
    lower, upper : array (d,)
        The box.
    step : float
        Lattice step; two lattices, half a step apart along every axis, are summed.

    Returns
    -------
    value, error : arrays (K,)
        The mean of the two sums, and an estimate of its error: their difference, plus a bound of
        the rounding in the summation.
    """
    sums, sizes, count = [], [], 1
    for offset in (0.0, 0.5):
        points = lattice(lower, upper, step, offset)
        with unchecked():
            parts = [integrand(points[i : i + _CHUNK]) for i in range(0, len(points), _CHUNK)]
        # NumPy sums pairwise only along contiguous memory.
        values = np.ascontiguousarray(np.concatenate(parts).T)
        sums.append(values.sum(axis=-1) * step ** len(lower))
        sizes.append(np.abs(values).sum(axis=-1) * step ** len(lower))
        count = len(points)
    value = (sums[0] + sums[1]) / 2
    error = np.abs(sums[0] - sums[1]) + gamma(8 + np.log2(count)) * np.maximum(*sizes)
    return value, error


def aggregate_expectation(
    integrand: Callable[[Array], Array], encoder: AggregatePosterior
) -> tuple[float, float, float]:
    """E_{q(z)}[g] under the aggregate posterior by a lattice over its density.

    Returns the value, the estimate of its error, and E|g|.
    """
    deviation = np.sqrt(np.diagonal(encoder.cov, axis1=-2, axis2=-1))
    narrow = np.sqrt(np.linalg.eigvalsh(encoder.cov)[:, 0].min())
    lower = (encoder.loc - 9 * deviation).min(axis=0)
    upper = (encoder.loc + 9 * deviation).max(axis=0)

    def weighted(z: Array) -> Array:
        g = integrand(z) * np.exp(encoder.aggregate_log_prob(z))
        return np.stack([g, np.abs(g)], axis=-1)

    value, error = lattice_integral(weighted, lower, upper, step=narrow / 6)
    # Beyond nine deviations the Gaussian mass is 2e-19, less than one rounding.
    return float(value[0]), float(error[0] + gamma(1) * value[1]), float(value[1])


def agree(
    left: tuple[float, float], right: tuple[float, float, float], *, size: float, **more: float
) -> Comparison:
    """Comparison that (value, error) equals (value, error, mean size), with further error terms.

    `size` is that of the terms which cancel on the left; the scale is the larger of the sizes.
    """
    return Comparison.identity(
        left[0],
        right[0],
        scale=max(size, right[2]),
        quadrature=left[1],
        lattice=right[1],
        **more,
    )
