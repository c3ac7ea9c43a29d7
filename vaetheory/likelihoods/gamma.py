"""Positive data with a fixed coefficient of variation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlogy

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array, exponential, positive
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily, ElementwiseLikelihood
from vaetheory.likelihoods.special import log_weighted_mean, stirling_remainder
from vaetheory.likelihoods.supports import Support


@dataclass(frozen=True)
class Gamma(ElementwiseExponentialFamily):
    """Gamma likelihood of positive data with a fixed shape; the decoder gives log means.

    The density has mean exp(params), shape `shape` and rate shape / mean.

    Parameters
    ----------
    shape : float
        The shape parameter a > 0; a = 1 is the exponential distribution.

    Examples
    --------
    >>> import numpy as np
    >>> float(Gamma(shape=1.0).log_prob(np.ones(1), np.zeros(1)))
    -1.0
    """

    concave = True
    support = Support.POSITIVE

    shape: float

    def __init__(self, shape: float) -> None:
        object.__setattr__(self, "shape", float(positive("shape", shape)))

    def natural_parameters(self, params: Array) -> Array:
        return -self.shape * np.exp(-np.maximum(params, -700.0))

    def _log_partition(self, params: Array) -> Array:
        return self.shape * params

    def _log_base(self, x: Array) -> Array:
        a = self.shape
        return xlogy(a - 1, x) + a * np.log(a) - gammaln(a)

    def _peak(self, x: Array) -> Array:
        """Log density at the mean x, a log a - a - log Gamma(a) - log x."""
        a = np.asarray(self.shape)
        return 0.5 * (np.log(a) - LOG_2PI) - stirling_remainder(a) - np.log(x)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return ElementwiseLikelihood.log_prob(self, x, params)

    def _log_prob(self, x: Array, params: Array) -> Array:
        # Below its greatest value by the deviance: a great shape cancels nothing.
        away = np.log(x) - params
        return self._peak(x) - self.shape * (np.expm1(np.minimum(away, 700.0)) - away)

    def _limit(self, x: Array, params: Array) -> Array:
        return np.full(np.broadcast_shapes(x.shape, params.shape), -np.inf)

    def _greatest_log_prob(self, x: Array) -> Array:
        return self._peak(x)

    def mean(self, params: Array) -> Array:
        return exponential("params", params)

    def _score(self, x: Array, params: Array) -> Array:
        return self.shape * np.expm1(np.minimum(np.log(x) - params, 700.0))

    def _information(self, x: Array, params: Array) -> Array:
        return self.shape * np.exp(np.minimum(np.log(x) - params, 700.0))

    def _fisher(self, params: Array) -> Array:
        return np.full_like(params, self.shape)

    def _fisher_log_slope(self, params: Array) -> Array:
        return np.zeros_like(params)

    def fit(self, x: Array, log_weights: Array) -> Array:
        return log_weighted_mean(x, log_weights)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw one datum a parameter vector; what would round to 0 is moved just inside."""
        mean = self.mean(self._vectors(params))
        return np.maximum(rng.gamma(self.shape, mean / self.shape), np.finfo(np.float64).tiny)
