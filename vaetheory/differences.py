"""Derivatives of a batched function by extrapolated central differences.

They are for functions that autograd cannot trace. The error of central differences is a series in
even powers of the step, so Neville's scheme with halved steps removes one power after the other.
For each entry the extrapolation with the least estimated error is taken (Ridders's method).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory._validation import Array
from vaetheory.rounding import ULP

_STEPS = 2.0 ** -np.arange(3, 14)


def _extrapolate(values: Array, noise: Array) -> Array:
    """Best entries of Neville's tableau; `values` `(K, ...)`, each for half the step before."""
    column, spread = values, noise
    best, least = values[-1], np.full(values.shape[1:], np.inf)
    for order in range(1, len(values)):
        factor = 4.0**order
        finer = (factor * column[1:] - column[:-1]) / (factor - 1)
        spread = (factor * spread[1:] + spread[:-1]) / (factor - 1)
        error = np.maximum(np.abs(finer - column[1:]), np.abs(finer - column[:-1])) + spread
        # Steps that leave the function's domain give NaN and are not used.
        error = np.where(np.isnan(error), np.inf, error)
        chosen = error.argmin(axis=0)[None]
        smallest = np.take_along_axis(error, chosen, 0)[0]
        best = np.where(smallest < least, np.take_along_axis(finer, chosen, 0)[0], best)
        least = np.minimum(smallest, least)
        column = finer
    return best


def _difference(function: Callable[[Array], Array], z: Array, axes: tuple[int, ...]) -> Array:
    """Partial derivative of `function` along one or two axes, `(..., D)`."""
    units = np.eye(z.shape[-1])
    # Powers of two, so that z + h and z - h are not rounded.
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
    """Jacobian at each point, `(..., D, d)`, to about eleven digits if the function is smooth.

    Parameters
    ----------
    function : callable
        Maps `(..., d)` to `(..., D)`, row by row.
    z : array (..., d)
        Points.

    Examples
    --------
    >>> import numpy as np
    >>> jacobian(np.exp, np.array([[0.0]])).round(10).tolist()
    [[[1.0]]]
    """
    return np.stack([_difference(function, z, (j,)) for j in range(z.shape[-1])], axis=-1)


def hessian(function: Callable[[Array], Array], z: Array) -> Array:
    """Second derivatives, `(..., D, d, d)`, to about nine digits; parameters as for `jacobian`.

    Examples
    --------
    >>> import numpy as np
    >>> hessian(np.exp, np.array([[0.0]])).round(8).tolist()
    [[[[1.0]]]]
    """
    d = z.shape[-1]
    rows = [[_difference(function, z, (j, k)) for k in range(j + 1)] for j in range(d)]
    matrices = np.empty((*rows[0][0].shape, d, d))
    for j in range(d):
        for k in range(j + 1):
            matrices[..., j, k] = matrices[..., k, j] = rows[j][k]
    return matrices
