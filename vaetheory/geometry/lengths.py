"""Arc length of curves, and the parametrisation of one-dimensional latent spaces by arc length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vaetheory import derivatives
from vaetheory._validation import (
    Array,
    as_array,
    fraction,
    require,
    require_callable,
    squarable,
    vectors,
)
from vaetheory._value_equality import ByValue
from vaetheory.decoders import Decoder
from vaetheory.decoders._outputs import double
from vaetheory.geometry.metric import Metric, as_metric
from vaetheory.rounding import ULP, gamma

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_LARGEST_DEPTH = 40


@dataclass(frozen=True, eq=False)
class ArcLength(ByValue):
    """A length, and an estimate of its error (QUADPACK's estimate plus rounding)."""

    value: float
    error: float


def arc_length(
    metric: object, curve: Callable[[Any], Any], a: float, b: float, *, rtol: float = 1e-12
) -> ArcLength:
    """Length of a curve from time `a` to `b`: the integral of sqrt(g(velocity, velocity)).

    Parameters
    ----------
    metric : Metric, LatentModel, Decoder or callable
        Any argument of `as_metric`.
    curve : callable
        Maps times `(T,)` to points `(T, d)`; written with `autograd.numpy`.
    a, b : float
        a < b.
    rtol : float
        Relative tolerance of the quadrature.

    Returns
    -------
    ArcLength

    Raises
    ------
    ValueError
        If a >= b, the curve has the wrong shape, or the metric is not positive definite on it.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> hyperbolic = lambda z: anp.eye(2) / z[..., 1:, None] ** 2
    >>> upright = lambda t: anp.stack([0 * t, t], axis=-1)
    >>> round(arc_length(hyperbolic, upright, 1.0, anp.e).value, 12)
    1.0
    """
    begin, end = float(as_array("a", a, ndim=0)), float(as_array("b", b, ndim=0))
    squarable("a and b", np.array([begin, end]))
    if begin >= end:
        raise ValueError(f"a and b: expected a < b, got {begin:g} and {end:g}")
    rtol = fraction("rtol", rtol, low=1e-14, high=0.1)
    require_callable("curve", curve, "(T,) -> (T, d)")
    probe = double(curve(np.array([begin, end])), "curve").shape
    if len(probe) != 2 or probe[0] != 2:
        raise ValueError(f"curve: expected to map shape (2,) to (2, d), got shape {probe}")
    metric_field = as_metric(metric, probe[1])

    def speed(t: float) -> float:
        time = np.array([[t]])
        velocity = derivatives.jacobian(lambda s: curve(s[..., 0]), time)[0, :, 0]
        g = metric_field(double(curve(time[:, 0]), "curve"))[0]
        return float(np.sqrt(velocity @ g @ velocity))

    from scipy.integrate import quad

    value, error, *_ = quad(speed, begin, end, epsabs=0.0, epsrel=rtol, limit=500, full_output=True)
    return ArcLength(float(value), float(error) + gamma(100) * abs(float(value)))


@dataclass(frozen=True, eq=False)
class ArcLengthParametrisation(ByValue):
    """The map between a one-dimensional latent and the arc length of its metric.

    In the coordinate s the metric is the constant 1. Both directions are monotone, with errors of a
    few rounding units of the whole interval.

    Attributes
    ----------
    lower, upper : float
        The interval of z.
    lengths : tuple of float
        The interval of s; its end points correspond to those of z.
    error : float
        Estimate of the error of any arc length in the interval: quadrature plus rounding.
    """

    lower: float
    upper: float
    lengths: tuple[float, float]
    error: float
    metric: Metric = field(repr=False)
    _breaks: Array = field(repr=False)
    _sums: Array = field(repr=False)

    def arc_length(self, z: ArrayLike) -> Array:
        """Signed arc length s from the origin to each point z of the interval, `(...)`."""
        points = _inside("z", z, self.lower, self.upper)
        last = len(self._breaks) - 2
        panel = np.clip(np.searchsorted(self._breaks, points, side="right") - 1, 0, last)
        return self._sums[panel] + _panels(self.metric, self._breaks[panel], points)

    def latent(self, s: ArrayLike) -> Array:
        """The latent z at each arc length s in `lengths`, `(...)`: the inverse map."""
        lengths = _inside("s", s, *self.lengths)
        z = np.interp(lengths, self._sums, self._breaks)
        low, high = np.full_like(z, self.lower), np.full_like(z, self.upper)
        unit = ULP * max(abs(self.lower), abs(self.upper))
        # Newton steps within a bracket, which becomes narrower with each step.
        for _ in range(100):
            excess = self.arc_length(z) - lengths
            low, high = np.where(excess <= 0, z, low), np.where(excess >= 0, z, high)
            step = z - excess / self._speed(z)
            new = np.where((step >= low) & (step <= high), step, (low + high) / 2)
            moved = np.abs(new - z)
            z = new
            if (moved <= unit).all():
                break
        return z

    def decoder(self, decoder: Decoder) -> Decoder:
        """The decoder s -> f(z(s)) with its derivatives; its metric is 1 if `metric` is that of f.

        Outside the interval z is continued linearly in s, with one continuous derivative.
        """
        return _ByArcLength(self, require("decoder", decoder, Decoder))

    def _speed(self, z: Array) -> Array:
        return np.sqrt(self.metric(z[..., None])[..., 0, 0])


def _inside(name: str, value: ArrayLike, low: float, high: float) -> Array:
    array = as_array(name, value)
    slack = 4 * ULP * (abs(low) + abs(high))
    if ((array < low - slack) | (array > high + slack)).any():
        raise ValueError(
            f"{name}: expected numbers in [{low:g}, {high:g}], got {array.min():g}..{array.max():g}"
        )
    return np.clip(array, low, high)


class _ByArcLength(Decoder):
    """A decoder with one latent dimension, parametrised by arc length."""

    def __init__(self, by: ArcLengthParametrisation, decoder: Decoder) -> None:
        self.by, self.inner = by, decoder

    def _latent(self, s: ArrayLike) -> tuple[Array, Array, Array]:
        """z, dz/ds = 1 / sqrt(g) and the second derivative -Gamma (dz/ds)^2, each `(..., 1)`."""
        lengths = vectors("z", s, 1)
        within = np.clip(lengths, *self.by.lengths)
        z = self.by.latent(within)
        first = 1 / np.sqrt(self.by.metric(z)[..., 0])
        second = -self.by.metric.christoffel(z)[..., 0, 0] * first**2
        beyond = lengths - within
        return z + beyond * first, first, np.where(beyond == 0, second, 0.0)

    def __call__(self, z: ArrayLike) -> Array:
        return self.inner(self._latent(z)[0])

    def jacobian(self, z: ArrayLike) -> Array:
        inner, first, _ = self._latent(z)
        return self.inner.jacobian(inner) * first[..., None]

    def hessian(self, z: ArrayLike) -> Array:
        inner, first, second = self._latent(z)
        bent = self.inner.jacobian(inner)[..., None] * second[..., None, None]
        return self.inner.hessian(inner) * first[..., None, None] ** 2 + bent


def _panels(metric: Metric, left: Array, right: Array) -> Array:
    """Integral of sqrt(g) over each panel by the Gauss-Legendre rule."""
    half = (right - left) / 2
    nodes = left[..., None] + half[..., None] * (1 + _NODES)
    speed = np.sqrt(metric(nodes[..., None])[..., 0, 0])
    return half * (speed @ _WEIGHTS)


def arc_length_parametrisation(
    metric: object, lower: float, upper: float, *, origin: float | None = None
) -> ArcLengthParametrisation:
    """Parametrise an interval of a one-dimensional latent space by the metric's arc length.

    Parameters
    ----------
    metric : Metric, LatentModel, Decoder or callable
        Any argument of `as_metric`, with latent dimension 1.
    lower, upper : float
        The interval, lower < upper.
    origin : float, optional
        The point of the interval where s = 0; `lower` by default.

    Returns
    -------
    ArcLengthParametrisation
        With `.arc_length(z)`, its inverse `.latent(s)`, and `.decoder(f)`.

    Raises
    ------
    ValueError
        If lower >= upper, the origin is outside, or the metric is not positive in the interval or
        too rough to be resolved.

    Notes
    -----
    Source: claim 5f: for d = 1 arc length always makes the metric constant.

    Examples
    --------
    >>> from vaetheory import decoders
    >>> parabola = decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 0.5]])
    >>> by = arc_length_parametrisation(parabola, 0.0, 2.0)
    >>> round(by.lengths[1], 12), by.latent(by.arc_length([0.5, 1.0])).round(12).tolist()
    (2.957885715089, [0.5, 1.0])
    """
    low, high = float(as_array("lower", lower, ndim=0)), float(as_array("upper", upper, ndim=0))
    if low >= high:
        raise ValueError(f"lower and upper: expected lower < upper, got {low:g} and {high:g}")
    squarable("lower and upper", np.array([low, high]))
    speed = as_metric(metric, 1)
    breaks = np.linspace(low, high, 9)
    for _ in range(_LARGEST_DEPTH):
        left, right = breaks[:-1], breaks[1:]
        middle = (left + right) / 2
        # No node lies at a break, so this evaluation checks that the metric is positive there.
        speed(breaks[:, None])
        halves = np.stack([_panels(speed, left, middle), _panels(speed, middle, right)], axis=-1)
        off = np.abs(_panels(speed, left, right) - halves.sum(axis=-1))
        # A panel's error is compared with the whole length, down to the panel's own rounding.
        rough = off > 8 * ULP * np.maximum(halves.sum(axis=-1), halves.sum() / 64)
        if not rough.any():
            break
        breaks = np.sort(np.concatenate([breaks, middle[rough]]))
        if len(breaks) > 2**16:
            break
    if rough.any():
        where = float(left[rough][0])
        raise ValueError(f"metric: expected a smooth metric, got a rough one near z = {where:g}")
    # The sums over the halves are the more precise ones.
    fine = np.sort(np.concatenate([breaks, middle]))
    sums = np.concatenate([[0.0], np.cumsum(halves.ravel())])
    error = float(off.sum()) + gamma(len(fine) + 40) * float(sums[-1])
    from_lower = ArcLengthParametrisation(
        low, high, (0.0, float(sums[-1])), error, metric=speed, _breaks=fine, _sums=sums
    )
    if origin is None:
        return from_lower
    sums = sums - float(from_lower.arc_length(as_array("origin", origin, ndim=0)))
    return replace(from_lower, lengths=(float(sums[0]), float(sums[-1])), _sums=sums)
