"""Derivatives of a batched function by extrapolated central differences.

They are for functions that autograd cannot trace. The error of central differences is a series in
even powers of the step, so Neville's scheme with halved steps removes one power after the other.
For each entry the extrapolation with the least estimated error is taken (Ridders's method).
`slopes` gives differences along one direction with their errors, to test a stated derivative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array
from vaetheory.rounding import ULP

_STEPS = 2.0 ** -np.arange(3, 14)
#: Numbers that a function is asked for in one call.
_TOGETHER = 2**16
#: Steps of the differences along one direction: each a quarter of the one before.
_QUARTERED = 4.0 ** -np.arange(2, 14)
#: A step over which nothing but rounding has third differences.
_CLOSE = 2.0**-22
#: Relative error of differences whose agreement with a claim is none by chance.
_CLEAR = 0.1


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
    # Powers of two, so that z + h and z - h are not rounded.
    unit = 2.0 ** np.floor(np.log2(np.maximum(np.abs(z), 1.0)))
    signs = 1.0 - 2.0 * np.array(list(np.ndindex(*(2,) * len(axes))))
    shifts = (signs @ np.eye(z.shape[-1])[list(axes)]).reshape(
        -1, *(1,) * (z.ndim - 1), z.shape[-1]
    )
    with np.errstate(all="ignore"):
        size = np.abs(function(z))
        steps = _STEPS.reshape(-1, *(1,) * size.ndim)
        width = np.prod([2 * steps * unit[..., a, None] for a in axes], axis=0)
        totals = np.zeros((len(_STEPS), *size.shape))
        # As many steps in one call as fit, because calls with few points cost the most.
        together = max(1, _TOGETHER // (len(signs) * size.size))
        for i in range(0, len(_STEPS), together):
            some = slice(i, i + together)
            points = z + steps[some, None] * unit * shifts
            values = _at_all(function, points, z.ndim).reshape(*points.shape[:2], *size.shape)
            for k, sign in enumerate(signs.prod(axis=-1)):
                totals[some] += sign * values[:, k]
        return _extrapolate(totals / width, 4 * ULP * size / width)


def _at_all(function: Callable[[Array], Array], points: Array, ndim: int) -> Array:
    """Values at points `(..., d)`; a function that was asked at one point gets one at a time."""
    rows = points.reshape(-1, points.shape[-1])
    return np.stack([function(row) for row in rows]) if ndim == 1 else function(rows)


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


@dataclass(frozen=True)
class Slopes:
    """Derivatives along a direction by differences over several steps.

    Attributes
    ----------
    estimates, errors : arrays (K, ...)
        One for each step, and an estimate of its error; infinite for steps that are not usable.
    """

    estimates: Array
    errors: Array

    def best(self) -> tuple[Array, Array]:
        """The derivative with the least error, and that error, `(...)` each."""
        return self._taken(self.errors)

    def against(self, claim: Array, share: float) -> tuple[Array, Array]:
        """Derivative and error to judge a claim by, `(...)` each.

        The error is infinite (no objection) if the differences for some step agree with the claim
        to `share` of its size: smaller steps may show the rounding of values.
        """
        size = np.abs(claim)
        with np.errstate(invalid="ignore"):
            agreed = np.abs(self.estimates - claim) <= share * size
        agreed &= self.errors <= _CLEAR * size
        return self._taken(self.errors, agreed.any(axis=0))

    def _taken(self, errors: Array, agreed: ArrayLike = False) -> tuple[Array, Array]:
        best = errors.argmin(axis=0)[None]
        error = np.take_along_axis(errors, best, 0)[0]
        value = np.take_along_axis(self.estimates, best, 0)[0]
        return value, np.where(agreed, np.inf, error)


def slopes(
    function: Callable[[Array], Array], z: Array, direction: Array, size: ArrayLike = 0.0
) -> Slopes:
    """Derivatives of a function along a direction by differences, with error estimates.

    Parameters
    ----------
    function : callable
        Maps `(M, d)` to `(M, ...)`, row by row.
    z, direction : arrays (d,)
        The point and the direction.
    size : array (...), optional
        A derivative that is to be tested. Steps are not used if a function of that slope would
        change by more over the step than the values do.

    Examples
    --------
    >>> import numpy as np
    >>> slope, error = slopes(np.exp, np.zeros(1), np.ones(1)).best()
    >>> bool(abs(slope[0] - 1) <= error[0] < 1e-8)
    True
    """
    size = np.abs(size)
    shifts = _QUARTERED[:, None] * direction
    with np.errstate(all="ignore"):
        # All points in one call, which costs little more than each of three.
        close = _CLOSE * np.arange(24.0)[:, None] * direction
        values = function(np.concatenate([z + shifts, z - shifts, z + close]))
        ahead, behind, near = np.split(values, [len(shifts), 2 * len(shifts)])
        steps = _QUARTERED.reshape(-1, *(1,) * (ahead.ndim - 1))
        quotient = (ahead - behind) / (2 * steps)
        sizes = np.abs(ahead) + np.abs(behind)
        # If terms cancel inside the function, only third differences show the rounding errors.
        third = np.diff(near, n=3, axis=0)
        rounding = np.sqrt((third**2).mean(axis=0) / 20)
        noise = 8 * (ULP * (sizes + (1 + np.abs(z).max()) * size) + rounding) / steps
        finer = (16 * quotient[1:] - quotient[:-1]) / 15
        change = np.abs(np.diff(finer, axis=0))
        # Two successive changes must be small, so that one by chance does not count.
        error = 100 * (np.maximum(change[1:], change[:-1]) + noise[3:])
        spread = np.abs(ahead - behind).max(axis=0)
        # Every step is usable for a constant function.
        error = np.where((steps[:-3] * size <= spread) | (spread == 0), error, np.inf)
    return Slopes(finer[2:], np.where(np.isfinite(error), error, np.inf))
