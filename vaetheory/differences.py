"""Derivatives of a batched function by extrapolated central differences.

For functions that autograd cannot trace. Central differences over halving steps expand in even
powers of the step, so Neville's scheme removes one power after the other; of all extrapolations
the one with the least estimated error is taken, entry by entry (Ridders's method).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory._validation import Array
from vaetheory.rounding import ULP

_STEPS = 2.0 ** -np.arange(3, 14)


def _extrapolate(values: Array, noise: Array) -> Array:
    """The best entry of Neville's tableau; `values` `(K, ...)`, for steps halved K - 1 times."""
    column, spread = values, noise
    best, least = values[-1], np.full(values.shape[1:], np.inf)
    for order in range(1, len(values)):
        factor = 4.0**order
        finer = (factor * column[1:] - column[:-1]) / (factor - 1)
        spread = (factor * spread[1:] + spread[:-1]) / (factor - 1)
        error = np.maximum(np.abs(finer - column[1:]), np.abs(finer - column[:-1])) + spread
        # Steps that leave the function's domain give NaN and are passed over.
        error = np.where(np.isnan(error), np.inf, error)
        chosen = error.argmin(axis=0)[None]
        found = np.take_along_axis(error, chosen, 0)[0]
        best = np.where(found < least, np.take_along_axis(finer, chosen, 0)[0], best)
        least = np.minimum(found, least)
        column = finer
    return best


def _difference(function: Callable[[Array], Array], z: Array, axes: tuple[int, ...]) -> Array:
    """Partial derivative of `function` along one or two axes, `(..., D)`."""
    units = np.eye(z.shape[-1])
    # Powers of two, so that z + h and z - h are as far from z as they say.
    unit = 2.0 ** np.floor(np.log2(np.maximum(np.abs(z), 1.0)))
    values, noise = [], []
    with np.errstate(all="ignore"):
        size = np.abs(function(z))
        for h in _STEPS:
            total = np.zeros_like(size)
            for signs in np.ndindex(*(2,) * len(axes)):
                factors = 1.0 - 2.0 * np.array(signs)
                shift = sum(f * units[a] for f, a in zip(factors, axes, strict=True))
                total = total + np.prod(factors) * function(z + h * unit * shift)
            width = np.prod([2 * h * unit[..., a] for a in axes], axis=0)[..., None]
            values.append(total / width)
            noise.append(4 * ULP * size / width)
    return _extrapolate(np.array(values), np.array(noise))


def jacobian(function: Callable[[Array], Array], z: Array) -> Array:
    """Jacobian at each point, `(..., D, d)`, to some eleven digits where the function is smooth.

    Parameters
    ----------
    function : callable
        Maps `(..., d)` to `(..., D)`, row by row.
    z : array (..., d)
        The points.

    Examples
    --------
    >>> import numpy as np
    >>> jacobian(np.exp, np.array([[0.0]])).round(10).tolist()
    [[[1.0]]]
    """
    return np.stack([_difference(function, z, (j,)) for j in range(z.shape[-1])], axis=-1)


def hessian(function: Callable[[Array], Array], z: Array) -> Array:
    """Second derivatives, `(..., D, d, d)`, to some nine digits; as for `jacobian`.

    Examples
    --------
    >>> import numpy as np
    >>> hessian(np.exp, np.array([[0.0]])).round(8).tolist()
    [[[[1.0]]]]
    """
    d = z.shape[-1]
    rows = [[_difference(function, z, (j, k)) for k in range(j + 1)] for j in range(d)]
    out = np.empty((*rows[0][0].shape, d, d))
    for j in range(d):
        for k in range(j + 1):
            out[..., j, k] = out[..., k, j] = rows[j][k]
    return out
