"""Counts whose variance is their mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from vaetheory._validation import Array
from vaetheory.gaussians import LOG_2PI
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily
from vaetheory.likelihoods.special import log_weighted_mean, stirling_remainder
from vaetheory.likelihoods.supports import Support


@dataclass(frozen=True)
class Poisson(ElementwiseExponentialFamily):
    """Poisson likelihood of counts; the decoder gives log rates.

    Examples
    --------
    >>> import numpy as np
    >>> float(Poisson().log_prob(np.zeros(1), np.zeros(1)))
    -1.0
    """

    natural = True
    support = Support.COUNTS

    def _log_partition(self, params: Array) -> Array:
        return np.exp(np.minimum(params, 700.0))

    def _log_base(self, x: Array) -> Array:
        return -gammaln(x + 1)

    def _greatest_log_prob(self, x: Array) -> Array:
        # At the rate x: x log x - x - log x!, which is nought where x is.
        some = np.maximum(x, 1.0)
        at_rate = -0.5 * (LOG_2PI + np.log(some)) - stirling_remainder(some)
        return np.where(x > 0, at_rate, 0.0)

    def mean(self, params: Array) -> Array:
        return self._log_partition(params)

    def _information(self, x: Array, params: Array) -> Array:
        return np.broadcast_to(self._fisher(params), np.broadcast_shapes(x.shape, params.shape))

    def _fisher(self, params: Array) -> Array:
        return self._log_partition(params)

    def _fisher_log_slope(self, params: Array) -> Array:
        return np.ones_like(params)

    def fit(self, x: Array, log_weights: Array) -> Array:
        return log_weighted_mean(x, log_weights)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        return rng.poisson(np.exp(self._vectors(params))).astype(np.float64)
