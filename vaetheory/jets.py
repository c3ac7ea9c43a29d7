"""Taylor series of functions along paths, to any order, by arithmetic with truncated power series.

A `Jet` is an array in which each entry is a power series in one variable t. NumPy's functions
accept it, so a decoder written with `numpy` or `autograd.numpy` maps a path z(t) to the series of
f(z(t)) without changes. Nested derivatives would cost a factor of about three per order; a product
of two series of order K costs K^2 / 2 products.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from autograd.numpy import numpy_wrapper
from autograd.tracer import Node, trace

from vaetheory import _jet_arithmetic
from vaetheory._jet_arithmetic import Jet
from vaetheory._validation import Array, as_array, integer, require, require_callable

__all__ = ["Jet", "NoSeriesError", "exp", "log", "push", "taylor"]


class NoSeriesError(TypeError, ValueError):
    """Raised for a function that uses an operation without a rule for power series."""


class _JetNode(Node):  # type: ignore[misc]
    """Carries a jet through autograd's own array functions, like a tangent in its forward mode."""

    def __init__(
        self, value: Any, function: Any, args: Any, kwargs: Any, argnums: Any, parents: Any
    ) -> None:
        given = list(args)
        for position, parent in zip(argnums, parents, strict=True):
            given[position] = parent.jet
        if function is numpy_wrapper._array_from_scalar_or_array:
            self.jet = given[2]
        elif function is numpy_wrapper.array_from_args:
            self.jet = np.stack(given[2:])
        else:
            self.jet = function.fun(*given, **kwargs)

    def initialize_root(self, jet: Jet) -> None:
        """Start with the jet of a path."""
        self.jet = jet


def exp(series: Jet) -> Jet:
    """The exponential of each series."""
    return _jet_arithmetic.exp(require("series", series, Jet))


def log(series: Jet) -> Jet:
    """The logarithm of each series."""
    return _jet_arithmetic.log(require("series", series, Jet))


def push(function: Callable[[Any], Any], path: Jet) -> Jet:
    """The power series of `function` along a path.

    Parameters
    ----------
    function : callable
        Maps `(..., d)` to `(..., D)` row by row, written with `numpy` or `autograd.numpy`.
    path : Jet (..., d)
        The path, as power series.

    Returns
    -------
    Jet (..., D)

    Raises
    ------
    NoSeriesError
        If the function uses an operation without a rule; it is a TypeError and a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> path = Jet([[1.0], [1.0], [0.0]])
    >>> push(lambda z: z**3, path).coefficients[:, 0].tolist()
    [1.0, 3.0, 3.0]
    """
    require("path", path, Jet)
    require_callable("function", function, "(..., d) -> (..., D)")
    with np.errstate(all="ignore"):
        return _push(function, path)


def _push(function: Callable[[Any], Any], path: Jet) -> Jet:
    try:
        value = function(path)
        if isinstance(value, Jet):
            return value
        return _jet_arithmetic.lift(np.asarray(value, np.float64), path)
    except (TypeError, ValueError, AttributeError):
        # autograd's own functions, such as its `stack`, accept only its boxes.
        pass
    try:
        with warnings.catch_warnings():
            # autograd warns if the function does not depend on its argument; that is allowed here.
            warnings.simplefilter("ignore", UserWarning)
            value, end = trace(_JetNode.new_root(path), function, path.coefficients[0])
        if end is None:
            return _jet_arithmetic.lift(np.asarray(value, np.float64), path)
    except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
        raise NoSeriesError(
            f"decoder: expected functions that have a Taylor series here, got {error}"
        ) from None
    return end.jet


def taylor(function: Callable[[Any], Any], z: Array, direction: Array, order: int) -> Array:
    """Taylor coefficients of t -> f(z + t direction), `(order + 1, ..., D)`.

    Coefficient k is the k-th derivative along the direction over k!. Leading axes broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> taylor(np.sin, np.zeros((1, 1)), np.ones((1, 1)), 3)[:, 0, 0].round(6).tolist()
    [0.0, 1.0, 0.0, -0.166667]
    """
    integer("order", order, low=1)
    z, direction = as_array("z", z, min_ndim=1), as_array("direction", direction, min_ndim=1)
    try:
        z, direction = np.broadcast_arrays(z, direction)
    except ValueError:
        raise ValueError(
            "z and direction: expected leading axes that broadcast, got shapes "
            f"{z.shape} and {direction.shape}"
        ) from None
    rest = np.zeros((order - 1, *z.shape))
    return push(function, Jet(np.concatenate([z[None], direction[None], rest]))).coefficients
