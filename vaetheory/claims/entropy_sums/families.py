"""Exponential families once more: densities, sums over their support, and tilted laws.

On purpose nothing here uses the library's formulas: a tilted law has its natural parameters
multiplied by t, and is written in the family's usual parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import gammaln

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.likelihoods import ExponentialFamily

#: Log density of each entry, from data, params and t; points, weights and log densities of a law.
_Density = Callable[[Array, Array, Array], Array]
_Law = Callable[[Array, Array], tuple[Array, Array, Array]]
_SCALE, _SHAPE = 0.5, 2.0


@dataclass(frozen=True)
class Family:
    """A family by its likelihood, and what is written here independently.

    `density(x, params, t)` is the log density of each entry of x; `law(params, t)` has points,
    weights and log densities `(..., D, K)`, with which the mean of any function of x is summed;
    `base` is log h of each entry, and `positive` says that t is positive.
    """

    likelihood: ExponentialFamily
    density: _Density
    law: _Law
    base: Callable[[Array], Array]
    data: tuple[float, ...]
    outputs: int = 1
    positive: bool = False

    def log_density(self, x: Array, params: Array, t: float) -> Array:
        """Log density of data at tilted params, `(...)`."""
        return self.density(x, params, np.asarray(t)).sum(axis=-1)

    def mean_logs(self, params: Array, t: float) -> tuple[Array, Array]:
        """Entropy of the tilted law and its mean of log h, by sums over the support, `(...)`."""
        x, weights, logs = self.law(params, np.asarray(t))
        entropy = -np.where(weights > 0, weights * logs, 0.0).sum(axis=(-2, -1))
        base = np.broadcast_to(self.base(x), logs.shape)
        return entropy, (weights * base).sum(axis=(-2, -1))


def _nothing(x: Array) -> Array:
    return np.zeros_like(x)


def _each(density: _Density, points: Callable[[Array, Array], tuple[Array, Array]]) -> _Law:
    """The law of entries that depend on one parameter each, from points and weights."""

    def law(params: Array, t: Array) -> tuple[Array, Array, Array]:
        x, weights = points(params, t)
        logs = density(x, params[..., None], t)
        return x, np.broadcast_to(weights, logs.shape), logs

    return law


def _share(params: Array, t: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-t * params)))


def _bernoulli(x: Array, params: Array, t: Array) -> Array:
    return np.asarray(-np.log1p(np.exp(np.where(x == 1, -t, t) * params)))


def _coins(params: Array, t: Array) -> tuple[Array, Array]:
    p = _share(params, t)
    return np.array([0.0, 1.0]), np.stack([1 - p, p], axis=-1)


def _shares(params: Array, t: Array) -> Array:
    found = np.exp(t * params)
    return np.asarray(found / found.sum(axis=-1, keepdims=True))


def _categorical(x: Array, params: Array, t: Array) -> Array:
    return x * np.log(_shares(params, t))


def _classes(params: Array, t: Array) -> tuple[Array, Array, Array]:
    # Each entry has one point, at which it is 1: the vector is one datum.
    p = _shares(params, t)[..., None]
    return np.array([1.0]), p, np.log(p)


@cache
def _legendre() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(24)
    return (nodes + 1) / 2, weights / 2


def _log_width(params: Array, t: Array) -> Array:
    nodes, weights = _legendre()
    return np.asarray(np.log(np.exp((t * params)[..., None] * nodes) @ weights))


def _grey(x: Array, params: Array, t: Array) -> Array:
    return t * params * x - _log_width(params, t)


def _greys(params: Array, t: Array) -> tuple[Array, Array, Array]:
    nodes, weights = _legendre()
    logs = (t * params)[..., None] * nodes - _log_width(params, t)[..., None]
    return nodes, weights * np.exp(logs), logs


def _waiting(x: Array, params: Array, t: Array) -> Array:
    mean = np.exp(params) / t
    return -np.log(mean) - x / mean


@cache
def _gamma_rule(shape: float) -> tuple[Array, Array]:
    """Points and weights of a gamma variable of scale 1, on a lattice of its logarithm."""
    logs = np.arange(-40 / shape, 5, 1 / 8)
    return np.exp(logs), np.exp(shape * logs - np.exp(logs) - gammaln(shape)) / 8


def _positive(shape: float) -> Callable[[Array, Array], tuple[Array, Array]]:
    def points(params: Array, t: Array) -> tuple[Array, Array]:
        nodes, weights = _gamma_rule(shape)
        return (np.exp(params) / (t * shape))[..., None] * nodes, weights

    return points


def _gamma(x: Array, params: Array, t: Array) -> Array:
    rate = _SHAPE * t / np.exp(params)
    found = _SHAPE * np.log(rate) + (_SHAPE - 1) * np.log(x) - rate * x - gammaln(_SHAPE)
    return np.asarray(found)


def _poisson(x: Array, params: Array, t: Array) -> Array:
    return np.asarray(x * t * params - np.exp(t * params) - gammaln(x + 1))


def _counts(params: Array, t: Array) -> tuple[Array, Array]:
    rate = float(np.exp(np.max(t * params)))
    x = np.arange(40 + np.ceil(rate + 12 * np.sqrt(rate)))
    return x, np.exp(_poisson(x, params[..., None], t))


def _negative_binomial(x: Array, params: Array, t: Array) -> Array:
    share = (1 + _SHAPE * np.exp(-params)) ** -t
    choose = gammaln(x + _SHAPE) - gammaln(_SHAPE) - gammaln(x + 1)
    return np.asarray(choose + _SHAPE * np.log1p(-share) + x * np.log(share))


def _long_counts(params: Array, t: Array) -> tuple[Array, Array]:
    slope = float(t * np.log1p(_SHAPE * np.exp(-np.max(params))))
    x = np.arange(40 + np.ceil(40 / slope))
    return x, np.exp(_negative_binomial(x, params[..., None], t))


def _gaussian(x: Array, params: Array, t: Array) -> Array:
    away = (x - t * params) / _SCALE
    return np.asarray(-0.5 * away**2 - np.log(_SCALE) - 0.5 * np.log(2 * np.pi))


@cache
def _hermite() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    return nodes, weights / weights.sum()


def _normal(params: Array, t: Array) -> tuple[Array, Array]:
    nodes, weights = _hermite()
    return (t * params)[..., None] + _SCALE * nodes, weights


def _log_normal(x: Array, params: Array, t: Array) -> Array:
    return np.asarray(_gaussian(np.log(x), params, t) - np.log(x))


def _exponentiated(params: Array, t: Array) -> tuple[Array, Array]:
    points, weights = _normal(params, t)
    return np.exp(points), weights


def _gaussian_base(x: Array) -> Array:
    return np.asarray(-0.5 * (x / _SCALE) ** 2 - np.log(_SCALE) - 0.5 * np.log(2 * np.pi))


def _mean_and_scale(params: Array, t: Array) -> tuple[Array, Array]:
    mean, log_scale = np.split(params, 2, axis=-1)
    return mean, np.exp(log_scale) / np.sqrt(t)


def _scaled(x: Array, params: Array, t: Array) -> Array:
    mean, scale = _mean_and_scale(params, t)
    return np.asarray(-0.5 * ((x - mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi))


def _scaled_law(params: Array, t: Array) -> tuple[Array, Array, Array]:
    _, scale = _mean_and_scale(params, t)
    nodes, weights = _hermite()
    logs = -0.5 * nodes**2 - np.log(scale)[..., None] - 0.5 * np.log(2 * np.pi)
    # The base measure is constant, so that the points are not needed.
    return nodes, np.broadcast_to(weights, logs.shape), logs


#: Base measures that are constant: their logarithm is a number for each entry of a datum.
CONSTANT: dict[str, Family] = {
    "Bernoulli": Family(
        likelihoods.Bernoulli(), _bernoulli, _each(_bernoulli, _coins), _nothing, (0.0, 1.0)
    ),
    "categorical": Family(likelihoods.Categorical(), _categorical, _classes, _nothing, ()),
    "continuous Bernoulli": Family(
        likelihoods.ContinuousBernoulli(), _grey, _greys, _nothing, (0.0, 0.25, 0.5, 1.0)
    ),
    "exponential": Family(
        likelihoods.Exponential(), _waiting, _each(_waiting, _positive(1.0)), _nothing,
        (0.25, 0.5, 1.0, 4.0), positive=True,
    ),
    "Gaussian of learned scale": Family(
        likelihoods.GaussianMeanScale(least_scale=1e-3), _scaled, _scaled_law,
        lambda x: np.full_like(x, -0.5 * np.log(2 * np.pi)), (-2.0, -0.5, 0.0, 1.0), outputs=2,
        positive=True,
    ),
}  # fmt: skip
#: Base measures that vary.
VARYING: dict[str, Family] = {
    "Poisson": Family(
        likelihoods.Poisson(), _poisson, _each(_poisson, _counts),
        lambda x: np.asarray(-gammaln(x + 1)), (0.0, 1.0, 2.0, 5.0),
    ),
    "Gamma": Family(
        likelihoods.Gamma(shape=_SHAPE), _gamma, _each(_gamma, _positive(_SHAPE)),
        lambda x: np.asarray(
            (_SHAPE - 1) * np.log(x) + _SHAPE * np.log(_SHAPE) - gammaln(_SHAPE)
        ),
        (0.25, 0.5, 1.0, 4.0), positive=True,
    ),
    "negative binomial": Family(
        likelihoods.NegativeBinomial(shape=_SHAPE), _negative_binomial,
        _each(_negative_binomial, _long_counts),
        lambda x: np.asarray(gammaln(x + _SHAPE) - gammaln(_SHAPE) - gammaln(x + 1)),
        (0.0, 1.0, 2.0, 5.0), positive=True,
    ),
    "Gaussian": Family(
        likelihoods.Gaussian(scale=_SCALE), _gaussian, _each(_gaussian, _normal), _gaussian_base,
        (-2.0, -0.5, 0.0, 1.0),
    ),
    "log-normal": Family(
        likelihoods.LogNormal(scale=_SCALE), _log_normal, _each(_log_normal, _exponentiated),
        lambda x: np.asarray(_gaussian_base(np.log(x)) - np.log(x)), (0.25, 0.5, 1.0, 4.0),
    ),
}  # fmt: skip
FAMILIES = CONSTANT | VARYING
