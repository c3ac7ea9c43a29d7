"""Integrals of exp(-t^2 / 2) with relative accuracy everywhere."""

from __future__ import annotations

import numpy as np
from scipy.special import erf, erfcx

from vaetheory._validation import Array

_HALF = np.sqrt(0.5)
#: Where the integrand falls by less, it is integrated by Gauss's rule of six nodes: its error is
#: below exp(-38) of the integral.
_FLAT = 0.1
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)


def falling(rate: Array, length: Array) -> Array:
    """Integral of exp(-rate t - t^2 / 2) for t from 0 to `length`, which may be infinite.

    Rates are at least 0, except for rounding. No difference of close numbers is formed.

    Examples
    --------
    >>> import numpy as np
    >>> falling(np.array([0.0, 1e8]), np.array([np.inf, 1.0])).round(9).tolist()
    [1.253314137, 1e-08]
    """
    drop = length * (rate + 0.5 * length)
    flat = drop < _FLAT
    far, start = np.where(flat, np.inf, length), _HALF * rate
    out = erfcx(start) - np.exp(-np.where(flat, np.inf, drop)) * erfcx(_HALF * (rate + far))
    out *= np.sqrt(0.5 * np.pi)
    if flat.any():
        # The exponent is nearly linear where its fall is small.
        short, slow = length[flat], rate[flat]
        total = np.zeros_like(short)
        for node, weight in zip(0.5 + 0.5 * _NODES, 0.5 * _WEIGHTS, strict=True):
            step = node * short
            total += weight * np.exp(-step * (slow + 0.5 * step))
        out[flat] = short * total
    return out


def between(low: Array, high: Array) -> tuple[Array, Array]:
    """Integral of exp(-t^2 / 2) from `low` to `high`, as a factor and the exponent taken out."""
    value = np.empty_like(low)
    # The end that is nearer to 0, if 0 is not inside.
    near = np.maximum(np.maximum(low, -high), 0.0)
    inside = near == 0
    value[inside] = np.sqrt(0.5 * np.pi) * (erf(_HALF * high[inside]) - erf(_HALF * low[inside]))
    outside = ~inside
    value[outside] = falling(near[outside], (high - low)[outside])
    return value, -0.5 * near**2
