"""Taylor arithmetic: what a function does to truncated power series, to every order at once.

A `Jet` is an array each of whose entries is a power series in one variable t. It answers NumPy's
own functions, so a decoder written with `numpy` or `autograd.numpy` maps a path z(t) to the
series of f(z(t)) without being rewritten. Nested derivatives would cost a factor of about three
an order; a product of series of order K costs K^2 / 2 products.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from autograd.numpy import numpy_wrapper
from autograd.tracer import Node, trace
from numpy.typing import ArrayLike
from scipy import special

from vaetheory._validation import Array, Traced, as_array, integer, require, require_callable


class NoSeriesError(TypeError, ValueError):
    """A function has no Taylor series here."""


class Jet(np.lib.mixins.NDArrayOperatorsMixin, Traced):
    """An array of power series in one variable, cut after the power K.

    Parameters
    ----------
    coefficients : array (K + 1, ...)
        The power runs along the first axis.

    Examples
    --------
    >>> import numpy as np
    >>> t = Jet([0.0, 1.0, 0.0, 0.0])
    >>> np.exp(2 * t).coefficients.round(3).tolist()
    [1.0, 2.0, 2.0, 1.333]
    """

    def __init__(self, coefficients: ArrayLike) -> None:
        if type(coefficients) is not np.ndarray or coefficients.dtype != np.float64:
            coefficients = as_array("coefficients", coefficients)
        if coefficients.ndim == 0 or len(coefficients) == 0:
            raise ValueError(
                "coefficients: expected one of each power along the first axis, got shape "
                f"{coefficients.shape}"
            )
        self.coefficients: Array = coefficients

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of series."""
        return self.coefficients.shape[1:]

    @property
    def ndim(self) -> int:
        """Number of axes of the array of series."""
        return self.coefficients.ndim - 1

    @property
    def order(self) -> int:
        """The highest power kept."""
        return len(self.coefficients) - 1

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Jet:
        index = index if isinstance(index, tuple) else (index,)
        at = (slice(None), *index)
        return Jet(self.coefficients[at])

    def __repr__(self) -> str:
        return f"Jet(order={self.order}, shape={self.shape})"

    @property
    def T(self) -> Jet:
        """The axes reversed."""
        return Jet(np.moveaxis(self.coefficients.T, -1, 0))

    def sum(self, axis: Any = None, **options: Any) -> Jet:
        """Sum over axes of the array of series."""
        axes = range(self.ndim) if axis is None else np.atleast_1d(axis)
        return Jet(self.coefficients.sum(axis=tuple(a + (a >= 0) for a in axes), **options))

    def reshape(self, *shape: Any) -> Jet:
        """The same series in another shape."""
        wanted = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        return Jet(self.coefficients.reshape(self.order + 1, *wanted))

    def view(self, *_: Any) -> Jet:
        """Itself: autograd's own concatenation asks for a plain view."""
        return self

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise TypeError("a jet is no plain array")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        rule = _UFUNCS.get(ufunc)
        if rule is None or method != "__call__" or options:
            return NotImplemented
        return rule(*inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        rule = _FUNCTIONS.get(function)
        return NotImplemented if rule is None else rule(*args, **kwargs)


def _aligned(*values: Any) -> list[Any]:
    """Values with as many axes each, so that the powers stay in front of what is broadcast."""
    most = max(np.ndim(v) if not isinstance(v, Jet) else v.ndim for v in values)
    out: list[Any] = []
    for value in values:
        if isinstance(value, Jet):
            c = value.coefficients
            out.append(Jet(c.reshape(len(c), *(1,) * (most - value.ndim), *value.shape)))
        else:
            a = np.asarray(value, dtype=np.float64)
            out.append(a.reshape((1,) * (most - a.ndim) + a.shape))
    return out


def _lift(value: Any, like: Jet) -> Jet:
    """A constant as a series of the same order."""
    if isinstance(value, Jet):
        return value
    c = np.zeros((like.order + 1, *np.shape(value)))
    c[0] = value
    return Jet(c)


def _both(a: Any, b: Any) -> tuple[Jet, Jet]:
    a, b = _aligned(a, b)
    like = a if isinstance(a, Jet) else b
    return _lift(a, like), _lift(b, like)


def _add(a: Any, b: Any) -> Jet:
    x, y = _both(a, b)
    return Jet(x.coefficients + y.coefficients)


def _subtract(a: Any, b: Any) -> Jet:
    x, y = _both(a, b)
    return Jet(x.coefficients - y.coefficients)


def _product(a: Array, b: Array, k: int, times: Callable[[Array, Array], Array]) -> Array:
    """Coefficient k of the product of two series."""
    return sum((times(a[i], b[k - i]) for i in range(1, k + 1)), times(a[0], b[k]))


def _multiplied(times: Callable[[Array, Array], Array]) -> Callable[[Any, Any], Jet]:
    def rule(a: Any, b: Any) -> Jet:
        if times is np.multiply:
            a, b = _aligned(a, b)
        if not isinstance(b, Jet):
            return Jet(np.stack([times(c, b) for c in a.coefficients]))
        if not isinstance(a, Jet):
            return Jet(np.stack([times(a, c) for c in b.coefficients]))
        u, v = a.coefficients, b.coefficients
        return Jet(np.stack([_product(u, v, k, times) for k in range(len(u))]))

    return rule


_multiply, _matmul = _multiplied(np.multiply), _multiplied(np.matmul)


def _divide(a: Any, b: Any) -> Jet:
    if not isinstance(b, Jet):
        a, b = _aligned(a, b)
        return Jet(a.coefficients / b)
    x, y = _both(a, b)
    u, v = x.coefficients, y.coefficients
    out: list[Array] = []
    for k in range(len(u)):
        known = sum((out[i] * v[k - i] for i in range(k)), np.zeros(()))
        out.append((u[k] - known) / v[0])
    return Jet(np.stack(np.broadcast_arrays(*out)))


def _integrated(start: Array, slope: Callable[[Jet], Jet | Any], a: Jet) -> Jet:
    """The series y with y(0) = start and y' = slope(y) a', power by power."""
    u = a.coefficients
    y = np.zeros((len(u), *np.shape(start)))
    y[0] = start
    for k in range(1, len(u)):
        w = slope(Jet(y[:k])).coefficients
        y[k] = sum(j * u[j] * w[k - j] for j in range(1, k + 1)) / k
    return Jet(y)


def _cut(a: Jet, other: Jet) -> Jet:
    """A series cut after the order of another."""
    return Jet(a.coefficients[: other.order + 1])


def _solving(
    function: Callable[[Array], Array], slope: Callable[[Jet, Jet], Jet | Any]
) -> Callable[[Jet], Jet]:
    """The rule of an elementwise function y(a) with the derivative slope(y, a)."""

    def rule(a: Jet) -> Jet:
        return _integrated(function(a.coefficients[0]), lambda y: slope(y, _cut(a, y)), a)

    return rule


def _coupled(
    one: Callable[[Array], Array], other: Callable[[Array], Array], sign: float
) -> Callable[[Jet], tuple[Jet, Jet]]:
    """The rule of a pair with one' = other, other' = sign one."""

    def rule(a: Jet) -> tuple[Jet, Jet]:
        u = a.coefficients
        s, c = np.zeros_like(u), np.zeros_like(u)
        s[0], c[0] = one(u[0]), other(u[0])
        for k in range(1, len(u)):
            s[k] = sum(j * u[j] * c[k - j] for j in range(1, k + 1)) / k
            c[k] = sign * sum(j * u[j] * s[k - j] for j in range(1, k + 1)) / k
        return Jet(s), Jet(c)

    return rule


def _saturating(
    one: Callable[[Array], Array],
    slope: Callable[[Array], Array],
    ratio: Callable[[Jet], Jet | Any],
) -> Callable[[Jet], Jet]:
    """The rule of a y with y' = q and q' = ratio(y) q: near 1 a slope made of 1 - y has no digits.

    `slope` is q at the starting point, to all its digits.
    """

    def rule(a: Jet) -> Jet:
        u = a.coefficients
        y, q = np.zeros_like(u), np.zeros_like(u)
        y[0], q[0] = one(u[0]), slope(u[0])
        for k in range(1, len(u)):
            y[k] = sum(j * u[j] * q[k - j] for j in range(1, k + 1)) / k
            bend = _multiply(ratio(Jet(y[:k])), Jet(q[:k])).coefficients
            q[k] = sum(j * u[j] * bend[k - j] for j in range(1, k + 1)) / k
        return Jet(y)

    return rule


def _sech_square(a: Array) -> Array:
    """The slope of tanh, 4 e / (1 + e)^2 with e = exp(-2 |a|)."""
    e = np.exp(-2 * np.abs(a))
    return np.asarray(4 * e / (1 + e) ** 2)


_sin_cos = _coupled(np.sin, np.cos, -1.0)
_sinh_cosh = _coupled(np.sinh, np.cosh, 1.0)
_exp = _solving(np.exp, lambda y, a: y)
_log = _solving(np.log, lambda y, a: 1 / a)
_log1p = _solving(np.log1p, lambda y, a: 1 / (1 + a))
_tanh = _saturating(np.tanh, _sech_square, lambda y: -2 * y)
_expit = _saturating(
    special.expit, lambda u: special.expit(u) * special.expit(-u), lambda y: 1 - 2 * y
)


def _square(a: Jet) -> Jet:
    return _multiply(a, a)


def _power(a: Any, b: Any) -> Jet:
    """Powers: natural ones by products, also an array of them; others by y' a = b a' y."""
    if isinstance(b, Jet):
        return _exp(_multiply(b, np.log(a)))
    powers = np.asarray(b, dtype=np.float64)
    if (powers == np.round(powers)).all() and (powers >= 0).all():
        a, powers = _aligned(a, powers)
        shape = np.broadcast_shapes(a.shape, powers.shape)
        out = _lift(np.ones(shape), a)
        for step in range(1, int(powers.max(initial=0)) + 1):
            more = _multiply(out, a)
            out = Jet(np.where(powers >= step, more.coefficients, out.coefficients))
        return out
    return _solving(lambda u: u**powers, lambda y, x: powers * y / x)(a)


def _absolute(a: Jet) -> Jet:
    """|a|, away from zero."""
    return Jet(np.sign(a.coefficients[0]) * a.coefficients)


def _arctan2(y: Any, x: Any) -> Jet:
    y, x = _both(y, x)
    turn = _solving(np.arctan, lambda _, a: 1 / (1 + a * a))
    # Of the series from their own starting angle, so that no quadrant is lost.
    y0, x0 = y.coefficients[0], x.coefficients[0]
    out = turn((y * x0 - x * y0) / (x * x0 + y * y0))
    return _add(out, np.arctan2(y0, x0))


_UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.divide: _divide,
    np.matmul: _matmul,
    np.negative: lambda a: Jet(-a.coefficients),
    np.positive: lambda a: a,
    np.power: _power,
    np.square: _square,
    np.absolute: _absolute,
    np.reciprocal: lambda a: _divide(1.0, a),
    np.exp: _exp,
    np.exp2: lambda a: _exp(a * math.log(2)),
    np.expm1: _solving(np.expm1, lambda y, a: y + 1),
    np.log: _log,
    np.log2: lambda a: _log(a) / math.log(2),
    np.log10: lambda a: _log(a) / math.log(10),
    np.log1p: _log1p,
    np.sqrt: lambda a: _power(a, 0.5),
    np.cbrt: _solving(np.cbrt, lambda y, a: y / (3 * a)),
    np.sin: lambda a: _sin_cos(a)[0],
    np.cos: lambda a: _sin_cos(a)[1],
    np.tan: _solving(np.tan, lambda y, a: 1 + y * y),
    np.sinh: lambda a: _sinh_cosh(a)[0],
    np.cosh: lambda a: _sinh_cosh(a)[1],
    np.tanh: _tanh,
    np.arcsin: _solving(np.arcsin, lambda y, a: ((1 - a) * (1 + a)) ** -0.5),
    np.arctan: _solving(np.arctan, lambda y, a: 1 / (1 + a * a)),
    np.arcsinh: _solving(np.arcsinh, lambda y, a: (1 + a * a) ** -0.5),
    np.arctanh: _solving(np.arctanh, lambda y, a: 1 / ((1 - a) * (1 + a))),
    np.arctan2: _arctan2,
    np.hypot: lambda a, b: _power(np.square(a) + np.square(b), 0.5),
    np.logaddexp: lambda a, b: _logaddexp(a, b),
    special.expit: _expit,
    special.erf: _solving(special.erf, lambda y, a: 2 / math.sqrt(math.pi) * np.exp(-a * a)),
    special.ndtr: _solving(special.ndtr, lambda y, a: np.exp(-a * a / 2) / math.sqrt(2 * math.pi)),
}


def _logaddexp(a: Any, b: Any) -> Jet:
    """The larger one plus what the other adds, which neither overflows nor cancels."""
    first = np.greater(_constant(a), _constant(b))
    larger, smaller = _where(first, a, b), _where(first, b, a)
    return _add(larger, _log1p(_exp(smaller - larger)))


def _constant(value: Any) -> Any:
    return value.coefficients[0] if isinstance(value, Jet) else value


def _compared(ufunc: Any) -> Callable[[Any, Any], Any]:
    """Comparisons look at the starting point: which piece of a piecewise function it is on."""
    return lambda a, b: ufunc(_constant(a), _constant(b))


_UFUNCS |= {
    ufunc: _compared(ufunc)
    for ufunc in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)
}
_UFUNCS[np.maximum] = lambda a, b: _where(np.greater(_constant(a), _constant(b)), a, b)
_UFUNCS[np.minimum] = lambda a, b: _where(np.less(_constant(a), _constant(b)), a, b)
_UFUNCS[np.sign] = lambda a: np.sign(a.coefficients[0])


def _joined(join: Callable[..., Array]) -> Callable[..., Jet]:
    def rule(arrays: Sequence[Any], axis: int = 0) -> Jet:
        like = next(a for a in arrays if isinstance(a, Jet))
        parts = [_lift(a, like).coefficients for a in arrays]
        return Jet(join(parts, axis=axis + (axis >= 0)))

    return rule


def _full_like(a: Jet, value: float, **options: Any) -> Array:
    return np.full(a.shape, value)


def _broadcast_to(a: Jet, shape: Any, **options: Any) -> Jet:
    (wide,) = _aligned(a)
    c = wide.coefficients
    c = c.reshape(len(c), *(1,) * (len(shape) - wide.ndim), *wide.shape)
    return Jet(np.broadcast_to(c, (len(c), *shape)))


def _where(condition: Any, a: Any, b: Any) -> Jet:
    x, y = _both(a, b)
    return Jet(np.where(condition, x.coefficients, y.coefficients))


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.concatenate: _joined(np.concatenate),
    np.stack: _joined(np.stack),
    np.sum: lambda a, axis=None, **options: a.sum(axis=axis, **options),
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.zeros_like: lambda a, **options: np.zeros(a.shape),
    np.ones_like: lambda a, **options: np.ones(a.shape),
    np.full_like: _full_like,
    np.broadcast_to: _broadcast_to,
    np.where: _where,
    np.reshape: lambda a, shape, **options: a.reshape(shape),
    np.expand_dims: lambda a, axis: Jet(np.expand_dims(a.coefficients, axis + (axis >= 0))),
    np.squeeze: lambda a, axis: Jet(np.squeeze(a.coefficients, axis + (axis >= 0))),
    np.swapaxes: lambda a, one, other: Jet(
        np.swapaxes(a.coefficients, one + (one >= 0), other + (other >= 0))
    ),
    np.transpose: lambda a: a.T,
    np.dot: lambda a, b: _matmul(a, b),
}


class _JetNode(Node):  # type: ignore[misc]
    """Carries a jet through autograd's own array functions, as its forward mode does."""

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
        """Begin with a path."""
        self.jet = jet


def exp(series: Jet) -> Jet:
    """The exponential of each series."""
    return _exp(require("series", series, Jet))


def log(series: Jet) -> Jet:
    """The logarithm of each series."""
    return _log(require("series", series, Jet))


def push(function: Callable[[Any], Any], path: Jet) -> Jet:
    """The series of `function` along a path.

    Parameters
    ----------
    function : callable
        Maps `(..., d)` to `(..., D)` row by row, written with `numpy` or `autograd.numpy`.
    path : Jet (..., d)
        Where it goes, as power series.

    Returns
    -------
    Jet (..., D)

    Raises
    ------
    NoSeriesError
        A TypeError and a ValueError: if the function uses an operation that has no rule here.

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
        found = function(path)
        return found if isinstance(found, Jet) else _lift(np.asarray(found, np.float64), path)
    except (TypeError, ValueError, AttributeError):
        # Functions that autograd writes itself, such as its `stack`, know its own boxes only.
        pass
    try:
        with warnings.catch_warnings():
            # A function that does not depend on its argument is a series too.
            warnings.simplefilter("ignore", UserWarning)
            value, end = trace(_JetNode.new_root(path), function, path.coefficients[0])
        if end is None:
            return _lift(np.asarray(value, np.float64), path)
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
