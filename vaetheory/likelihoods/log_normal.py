"""Positive data whose logarithm is Gaussian."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, Index, exponential
from vaetheory._value_equality import ByValue
from vaetheory.likelihoods.base import ExponentialFamily, Likelihood
from vaetheory.likelihoods.gaussian import Gaussian
from vaetheory.likelihoods.supports import Support


@dataclass(frozen=True, eq=False)
class LogNormal(ByValue, ExponentialFamily):
    """Log-normal likelihood of positive data; the decoder gives the means of log x.

    It is `Gaussian(scale)` of log x, and has its statistics (log x / scale), natural parameters,
    divergences and Fisher information, 1 / scale^2. The mean of x itself is
    exp(params + scale^2 / 2).

    Parameters
    ----------
    scale : float or array (D,)
        Standard deviation(s) of log x.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(LogNormal(scale=0.5).log_prob(np.ones(1), np.zeros(1))), 6)
    -0.225791
    """

    parameter = "mean of log x"
    concave = True
    ambient_curvature = 0.0
    support = Support.POSITIVE

    scale: Array
    _gaussian: Gaussian = field(repr=False, compare=False)

    def __init__(self, scale: ArrayLike) -> None:
        gaussian = Gaussian(scale=scale)
        object.__setattr__(self, "scale", gaussian.scale)
        object.__setattr__(self, "_gaussian", gaussian)
        object.__setattr__(self, "data_dim", gaussian.data_dim)

    def marginal(self, which: Index) -> LogNormal:
        return LogNormal(self.scale[which] if self.scale.ndim else self.scale)

    def reduced(self, x: Array) -> tuple[Likelihood, Array, Array]:
        logs = np.log(x)
        return self._gaussian, logs, -logs.sum(axis=-1)

    def statistics(self, x: Array) -> Array:
        return self._gaussian.statistics(np.log(x))

    def natural_parameters(self, params: Array) -> Array:
        return self._gaussian.natural_parameters(params)

    def log_partition(self, params: Array) -> Array:
        return self._gaussian.log_partition(params)

    def log_base(self, x: Array) -> Array:
        logs = np.log(x)
        return self._gaussian.log_base(logs) - logs.sum(axis=-1)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return self._density(x, params, self._by_logarithms)

    def _by_logarithms(self, x: Array, params: Array) -> Array:
        logs = np.log(x)
        return self._gaussian.log_prob(logs, params) - logs.sum(axis=-1)

    _at_infinity = _by_logarithms

    def greatest_log_prob(self, x: Array) -> Array:
        logs = np.log(self.check_data(x))
        return self._gaussian.greatest_log_prob(logs) - logs.sum(axis=-1)

    def mean(self, params: Array) -> Array:
        return self._gaussian.mean(params)

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        x, params = self._pair(x, params)
        return self._gaussian.score(np.log(x), params)

    def observed_information(self, x: ArrayLike, params: ArrayLike, jacobian: Array) -> Array:
        x, params = self._pair(x, params)
        return self._gaussian.observed_information(np.log(x), params, jacobian)

    def expected_information(self, params: Array, jacobian: Array) -> Array:
        return self._gaussian.expected_information(params, jacobian)

    def immersed_jacobian(self, params: Array, jacobian: Array) -> Array:
        return jacobian / np.broadcast_to(self.scale, params.shape)[..., None]

    def immersed_hessian(self, params: Array, jacobian: Array, hessian: Array) -> Array:
        return hessian / np.broadcast_to(self.scale, params.shape)[..., None, None]

    def fisher_information(self, params: ArrayLike) -> Array:
        return self._gaussian.fisher_information(params)

    def fit(self, x: Array, log_weights: Array) -> Array:
        return self._gaussian.fit(np.log(x), log_weights)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        return exponential("params", self._gaussian.sample(params, rng))

    def kl_divergence(self, params: ArrayLike, other: ArrayLike) -> Array:
        return self._gaussian.kl_divergence(params, other)
