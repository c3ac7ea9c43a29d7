"""Data in the closed interval [0, 1], such as grey values of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import zeta

from vaetheory._validation import Array
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily, ElementwiseLikelihood
from vaetheory.likelihoods.supports import Support

#: Larger params are replaced by this, since otherwise the density at 0 and 1 has no bound.
_LARGEST = 1e6
#: Series, which converge for params below 2 pi in size, are used up to this size.
_SMALL = 2.0
_ORDERS = 2.0 * np.arange(1, 20)
#: Bernoulli numbers over factorials, B_2k / (2k)!.
_BERNOULLI = np.where(_ORDERS % 4 == 2, 2.0, -2.0) * zeta(_ORDERS) / (2 * np.pi) ** _ORDERS
_STEPS = 8


@dataclass(frozen=True)
class ContinuousBernoulli(ElementwiseExponentialFamily):
    """Continuous Bernoulli likelihood of data in [0, 1]; the decoder gives logits.

    The density is exp(x t - A) with A = log((exp(t) - 1) / t), where t is the logit. It normalises
    the cross-entropy that is often used as the loss of grey values. At x = 0 and x = 1 it grows
    without bound with the size of t, which is therefore limited to 1e6.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(ContinuousBernoulli().log_prob(np.ones(1), np.ones(1))), 6)
    0.458675
    """

    parameter = "logit"
    natural = True
    support = Support.CLOSED_UNIT_INTERVAL

    def _log_partition(self, params: Array) -> Array:
        t = _cut(params)
        return np.maximum(t, 0.0) + _log_width(np.abs(t))

    def _log_base(self, x: Array) -> Array:
        return np.zeros_like(x)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return ElementwiseLikelihood.log_prob(self, x, params)

    def _log_prob(self, x: Array, params: Array) -> Array:
        # The distance from the end with the greatest density avoids cancellation for large params.
        t = _cut(params)
        return -np.abs(t) * np.where(t > 0, 1 - x, x) - _log_width(np.abs(t))

    def _greatest_log_prob(self, x: Array) -> Array:
        return self._log_prob(x, _logit(x, 1 - x))

    def mean(self, params: Array) -> Array:
        t = _cut(params)
        near = _mean_distance(np.abs(t))
        return np.where(t > 0, 1 - near, near)

    def _score(self, x: Array, params: Array) -> Array:
        t = _cut(params)
        near = _mean_distance(np.abs(t))
        return np.where(t > 0, near - (1 - x), x - near)

    def _information(self, x: Array, params: Array) -> Array:
        return np.broadcast_to(self._fisher(params), np.broadcast_shapes(x.shape, params.shape))

    def _fisher(self, params: Array) -> Array:
        return _variance(np.abs(_cut(params)))

    def _fisher_log_slope(self, params: Array) -> Array:
        t = _cut(params)
        return np.sign(t) * _variance_slope(np.abs(t)) / _variance(np.abs(t))

    def fit(self, x: Array, log_weights: Array) -> Array:
        # The distances from 0 and from 1 are summed separately to keep the digits of both.
        weights = np.exp(log_weights)
        return _logit(weights @ x, weights @ (1 - x))

    def _divergence(self, params: Array, other: Array) -> Array:
        # In terms of the distance from the end with the greatest density, as `_log_prob`.
        first, second = _cut(params), _cut(other)
        size, along = np.abs(first), np.where(first < 0, -second, second)
        rest = np.maximum(-along, 0.0) + _log_width(np.abs(along)) - _log_width(size)
        return np.asarray((_mean_distance(size) * (along - size) + rest).sum(axis=-1))

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        t = _cut(self._vectors(params))
        size, u = np.abs(t), rng.random(t.shape)
        some = np.maximum(size, 1e-8)
        near = np.clip(-np.log1p(u * np.expm1(-some)) / some, 0.0, 1.0)
        return np.where(t > 0, 1 - near, near)


def _cut(params: Array) -> Array:
    return np.clip(params, -_LARGEST, _LARGEST)


def _series(size: Array, factors: Array, power: int) -> Array:
    """Sum over k of B_2k / (2k)! times `factors` times size^(2k + power), for small sizes."""
    small, first = np.minimum(size, _SMALL), int(power < -2)
    terms = np.polynomial.polynomial.polyval(small**2, (_BERNOULLI * factors)[first:])
    return np.asarray(small ** (2 + power + 2 * first) * terms)


def _log_width(size: Array) -> Array:
    """Log of the integral of exp(-size y) over y from 0 to 1."""
    some = np.maximum(size, _SMALL)
    direct = np.log(-np.expm1(-some)) - np.log(some)
    return np.where(size < _SMALL, _series(size, 1 / _ORDERS, 0) - size / 2, direct)


def _mean_distance(size: Array) -> Array:
    """Mean of y under the density proportional to exp(-size y) on [0, 1]; at most 1/2."""
    some = np.maximum(size, _SMALL)
    direct = 1 / some - np.exp(-some) / -np.expm1(-some)
    return np.where(size < _SMALL, 0.5 - _series(size, np.ones_like(_ORDERS), -1), direct)


def _variance(size: Array) -> Array:
    """Variance of y under that density."""
    some = np.maximum(size, _SMALL)
    direct = 1 / some**2 - np.exp(-some) / np.expm1(-some) ** 2
    return np.where(size < _SMALL, _series(size, _ORDERS - 1, -2), direct)


def _variance_slope(size: Array) -> Array:
    """Derivative of that variance in the size; negative."""
    some = np.maximum(size, _SMALL)
    share = np.exp(-some)
    direct = -2 / some**3 - share * (1 + share) / np.expm1(-some) ** 3
    factors = (_ORDERS - 1) * (_ORDERS - 2)
    return np.where(size < _SMALL, _series(size, factors, -3), direct)


def _logit(mean: Array, rest: Array) -> Array:
    """The params with a given mean, where `rest` is 1 - mean."""
    near = np.minimum(mean, rest)
    with np.errstate(all="ignore"):
        # Newton's method for the inverse of the mean distance, which is almost linear in the size.
        size = np.clip(12 * (0.5 - near), 0.0, None)
        for _ in range(_STEPS):
            distance, variance = _mean_distance(size), _variance(size)
            size = np.clip(size + (distance / near - 1) * distance / variance, 0.0, _LARGEST)
    return np.where(mean < rest, -size, size)
