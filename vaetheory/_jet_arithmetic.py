"""Jets: arrays of truncated power series, and the rules of NumPy's functions on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from vaetheory._validation import Array, Traced, as_array


class Jet(np.lib.mixins.NDArrayOperatorsMixin, Traced):
    """An array of power series in one variable, truncated after the power K.

    Parameters
    ----------
    coefficients : array (K + 1, ...)
        The coefficients; the index of the first axis is the power.

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
        """The highest power K of the series."""
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
        """The array of series with its axes reversed."""
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
        """The jet itself; autograd's own concatenation calls this method."""
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
    """Values with the same number of axes, so that the axis of powers is not broadcast."""
    most = max(np.ndim(v) if not isinstance(v, Jet) else v.ndim for v in values)
    aligned: list[Any] = []
    for value in values:
        if isinstance(value, Jet):
            c = value.coefficients
            aligned.append(Jet(c.reshape(len(c), *(1,) * (most - value.ndim), *value.shape)))
        else:
            a = np.asarray(value, dtype=np.float64)
            aligned.append(a.reshape((1,) * (most - a.ndim) + a.shape))
    return aligned


def lift(value: Any, like: Jet) -> Jet:
    """A constant as a series of the order of `like`."""
    if isinstance(value, Jet):
        return value
    c = np.zeros((like.order + 1, *np.shape(value)))
    c[0] = value
    return Jet(c)


def _both(a: Any, b: Any) -> tuple[Jet, Jet]:
    a, b = _aligned(a, b)
    like = a if isinstance(a, Jet) else b
    return lift(a, like), lift(b, like)


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
    quotient: list[Array] = []
    for k in range(len(u)):
        known = sum((quotient[i] * v[k - i] for i in range(k)), np.zeros(()))
        quotient.append((u[k] - known) / v[0])
    return Jet(np.stack(np.broadcast_arrays(*quotient)))


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
    """A series truncated to the order of another."""
    return Jet(a.coefficients[: other.order + 1])


def _solving(
    function: Callable[[Array], Array], slope: Callable[[Jet, Jet], Jet | Any]
) -> Callable[[Jet], Jet]:
    """Rule for an elementwise function y(a) with the derivative slope(y, a)."""

    def rule(a: Jet) -> Jet:
        return _integrated(function(a.coefficients[0]), lambda y: slope(y, _cut(a, y)), a)

    return rule


def _coupled(
    one: Callable[[Array], Array], other: Callable[[Array], Array], sign: float
) -> Callable[[Jet], tuple[Jet, Jet]]:
    """Rule for a pair of functions with one' = other and other' = sign one."""

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
    """Rule for a function y with y' = q and q' = ratio(y) q.

    Where y is close to 1, a slope computed from 1 - y has no digits left; `slope` gives q at the
    starting point to full accuracy.
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
exp = _solving(np.exp, lambda y, a: y)
log = _solving(np.log, lambda y, a: 1 / a)
_log1p = _solving(np.log1p, lambda y, a: 1 / (1 + a))
_tanh = _saturating(np.tanh, _sech_square, lambda y: -2 * y)
_expit = _saturating(
    special.expit, lambda u: special.expit(u) * special.expit(-u), lambda y: 1 - 2 * y
)


def _square(a: Jet) -> Jet:
    return _multiply(a, a)


def _power(a: Any, b: Any) -> Jet:
    """Powers: natural exponents (also arrays of them) by products, others by y' a = b a' y."""
    if isinstance(b, Jet):
        return exp(_multiply(b, np.log(a)))
    powers = np.asarray(b, dtype=np.float64)
    if (powers == np.round(powers)).all() and (powers >= 0).all():
        a, powers = _aligned(a, powers)
        shape = np.broadcast_shapes(a.shape, powers.shape)
        product = lift(np.ones(shape), a)
        for step in range(1, int(powers.max(initial=0)) + 1):
            more = _multiply(product, a)
            product = Jet(np.where(powers >= step, more.coefficients, product.coefficients))
        return product
    return _solving(lambda u: u**powers, lambda y, x: powers * y / x)(a)


def _absolute(a: Jet) -> Jet:
    """|a|, away from zero."""
    return Jet(np.sign(a.coefficients[0]) * a.coefficients)


def _arctan2(y: Any, x: Any) -> Jet:
    y, x = _both(y, x)
    turn = _solving(np.arctan, lambda _, a: 1 / (1 + a * a))
    # The angle relative to the starting angle, so that the quadrant is right.
    y0, x0 = y.coefficients[0], x.coefficients[0]
    relative = turn((y * x0 - x * y0) / (x * x0 + y * y0))
    return _add(relative, np.arctan2(y0, x0))


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
    np.exp: exp,
    np.exp2: lambda a: exp(a * math.log(2)),
    np.expm1: _solving(np.expm1, lambda y, a: y + 1),
    np.log: log,
    np.log2: lambda a: log(a) / math.log(2),
    np.log10: lambda a: log(a) / math.log(10),
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
    """The larger one plus log1p(exp(smaller - larger)), which neither overflows nor cancels."""
    first = np.greater(_constant(a), _constant(b))
    larger, smaller = _where(first, a, b), _where(first, b, a)
    return _add(larger, _log1p(exp(smaller - larger)))


def _constant(value: Any) -> Any:
    return value.coefficients[0] if isinstance(value, Jet) else value


def _compared(ufunc: Any) -> Callable[[Any, Any], Any]:
    """Compare the starting points, which select the piece of a piecewise function."""
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
        parts = [lift(a, like).coefficients for a in arrays]
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
