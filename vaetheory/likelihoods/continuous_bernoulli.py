"""Data from 0 to 1, the ends included, such as grey values of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import zeta

from vaetheory._validation import Array
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily, ElementwiseLikelihood
from vaetheory.likelihoods.supports import Support

#: Params beyond this in size count as this: else the density at the ends has no bound.
_LARGEST = 1e6
#: Below this size of the params the series are used, which converge below 2 pi.
_SMALL = 2.0
_ORDERS = 2.0 * np.arange(1, 20)
#: Bernoulli numbers over factorials, B_2k / (2k)!.
_BERNOULLI = np.where(_ORDERS % 4 == 2, 2.0, -2.0) * zeta(_ORDERS) / (2 * np.pi) ** _ORDERS
_STEPS = 8


@dataclass(frozen=True)
class ContinuousBernoulli(ElementwiseExponentialFamily):
    """Continuous Bernoulli likelihood of data in [0, 1]; the decoder gives logits.

    The density is that of a Bernoulli variable between its two values, normalised: exp(x t - A),
    A = log((exp(t) - 1) / t), t the logit. It is what the cross-entropy of grey values becomes
    when it is a log density. At x = 0 and x = 1 it grows with the size of t without bound, as t
    itself: t beyond 1e6 in size counts as 1e6.

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
        # By the distance from the end where the density is greatest: great params cancel nothing.
        t = _cut(params)
        return -np.abs(t) * np.where(t > 0, 1 - x, x) - _log_width(np.abs(t))

    def _limit(self, x: Array, params: Array) -> Array:
        return self._log_prob(x, params)

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
        # Distances from both ends are summed apart, so that a mean close to 1 keeps its digits.
        weights = np.exp(log_weights)
        return _logit(weights @ x, weights @ (1 - x))

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        t = _cut(self._vectors(params))
        size, u = np.abs(t), rng.random(t.shape)
        some = np.maximum(size, 1e-8)
        near = np.clip(-np.log1p(u * np.expm1(-some)) / some, 0.0, 1.0)
        return np.where(t > 0, 1 - near, near)


def _cut(params: Array) -> Array:
    return np.clip(params, -_LARGEST, _LARGEST)


def _series(size: Array, factors: Array, power: int) -> Array:
    """Sum of B_2k / (2k)! times factors times powers 2k + power of what is small."""
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
    """The params of which `mean` is the mean and `rest` is 1 - mean."""
    near = np.minimum(mean, rest)
    with np.errstate(all="ignore"):
        # One over the mean distance is almost linear in the size: Newton's steps meet it soon.
        size = np.clip(12 * (0.5 - near), 0.0, None)
        for _ in range(_STEPS):
            distance, variance = _mean_distance(size), _variance(size)
            size = np.clip(size + (distance / near - 1) * distance / variance, 0.0, _LARGEST)
    return np.where(mean < rest, -size, size)
