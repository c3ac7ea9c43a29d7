"""First and second derivatives of a batched function by autograd, for the whole batch at once.

Forward mode costs one pass per latent dimension for any number of outputs, so it is tried first.
Reverse mode is used for functions with a primitive that has no forward rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad, make_jvp

from vaetheory._validation import Array

Function = Callable[[Any], Any]


def _anchored(function: Function) -> Function:
    """Return `function` plus zero times z, because autograd rejects a constant output."""
    return lambda z: function(z) + 0.0 * z[..., :1]


def _directional(function: Function, axis: int) -> Function:
    """Return the derivative of `function` along one latent axis, as a differentiable function."""

    def derivative(z: Any) -> Any:
        # ones_like times the mask is a tracer if z is one, as in nested derivatives.
        tangent = np.zeros(np.shape(z)[-1])
        tangent[axis] = 1.0
        return make_jvp(_anchored(function))(z)(anp.ones_like(z) * tangent)[1]

    return derivative


def jacobian(function: Function, z: Array) -> Array:
    """Jacobian of `function` at each point, `(..., D, d)`, by autograd.

    Parameters
    ----------
    function : callable
        Maps `(..., d)` to `(..., D)`, row by row, written with `autograd.numpy`.
    z : array (..., d)
        Points.

    Returns
    -------
    array (..., D, d)

    Examples
    --------
    >>> import numpy as np
    >>> jacobian(lambda z: z**2, np.array([[1.0, 2.0]])).tolist()
    [[[2.0, 0.0], [0.0, 4.0]]]
    """
    try:
        columns = [_directional(function, j)(z) for j in range(z.shape[-1])]
        return np.stack([np.broadcast_to(c, columns[0].shape) for c in columns], axis=-1)
    except NotImplementedError:
        rows = [
            elementwise_grad(lambda y, i=i: _anchored(function)(y)[..., i])(z)
            for i in range(np.shape(function(z))[-1])
        ]
        return np.stack(rows, axis=-2)


def vjp(function: Function, z: Array, weights: Array) -> Array:
    """Gradient of a weighted sum of outputs at each point, `(..., d)`, in one backward pass.

    A function with a primitive that has no reverse rule is differentiated forward.

    Parameters
    ----------
    function : callable
        As for `jacobian`.
    z : array (..., d)
        Points.
    weights : array (..., D)
        One constant weight per output; leading axes broadcast against those of z.

    Examples
    --------
    >>> import numpy as np
    >>> vjp(lambda z: z**2, np.array([[1.0, 2.0]]), np.array([[1.0, 10.0]])).tolist()
    [[2.0, 40.0]]
    """
    lead = np.broadcast_shapes(z.shape[:-1], weights.shape[:-1])
    points = np.broadcast_to(z, (*lead, z.shape[-1]))
    weighted = _anchored(function)
    try:
        return elementwise_grad(lambda y: anp.sum(weighted(y) * weights, axis=-1))(points)
    except NotImplementedError:
        return np.einsum("...i,...ij->...j", weights, jacobian(function, points))


def hessian(function: Function, z: Array) -> Array:
    """Second derivatives of `function` at each point, `(..., D, d, d)`, by autograd.

    The parameters are those of `jacobian`.

    Examples
    --------
    >>> import numpy as np
    >>> hessian(lambda z: z**3, np.array([[2.0]])).tolist()
    [[[[12.0]]]]
    """
    d = z.shape[-1]
    try:
        second = [
            [_directional(_directional(function, j), k)(z) for k in range(j + 1)] for j in range(d)
        ]
    except NotImplementedError:
        shape = np.shape(function(z))
        units = np.eye(shape[-1])
        return np.stack(
            [weighted_hessian(function, z, np.broadcast_to(e, shape)) for e in units], axis=-3
        )
    matrices = np.empty((*np.shape(second[0][0]), d, d))
    for j in range(d):
        for k in range(j + 1):
            matrices[..., j, k] = matrices[..., k, j] = second[j][k]
    return matrices


def weighted_hessian(function: Function, z: Array, weights: Array) -> Array:
    """Hessian of a weighted sum of outputs at each point, `(..., d, d)`.

    It needs less memory than the Hessians of all outputs.

    Parameters
    ----------
    function : callable
        As for `jacobian`.
    z : array (..., d)
        Points.
    weights : array (..., D)
        One constant weight per output.
    """
    d = z.shape[-1]
    weighted = _anchored(function)
    gradient = _anchored(elementwise_grad(lambda y: anp.sum(weighted(y) * weights, axis=-1)))
    rows = [elementwise_grad(lambda y, j=j: gradient(y)[..., j])(z) for j in range(d)]
    matrix = np.stack(rows, axis=-2)
    return (matrix + np.swapaxes(matrix, -1, -2)) / 2
