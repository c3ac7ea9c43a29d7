"""Data of zeros and ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logsumexp

from vaetheory._validation import Array
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily, ElementwiseLikelihood
from vaetheory.likelihoods.supports import Support


@dataclass(frozen=True)
class Bernoulli(ElementwiseExponentialFamily):
    """Bernoulli likelihood of data in {0, 1}; the decoder gives logits.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(Bernoulli().log_prob(np.ones(1), np.zeros(1))), 6)
    -0.693147
    """

    parameter = "logit"
    growth_degree = 1
    natural = True
    support = Support.BINARY

    def usual_parameters(self, params: Array) -> tuple[str, dict[str, Array]]:
        return "bernoulli", {"logits": params}

    def _log_partition(self, params: Array) -> Array:
        return np.logaddexp(0.0, params)

    def _log_base(self, x: Array) -> Array:
        return np.zeros_like(x)

    def _greatest_log_prob(self, x: Array) -> Array:
        return np.zeros_like(x)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return ElementwiseLikelihood.log_prob(self, x, params)

    def _log_prob(self, x: Array, params: Array) -> Array:
        return -np.logaddexp(0.0, (1 - 2 * x) * params)

    def _limit(self, x: Array, params: Array) -> Array:
        return np.where((params > 0) == (x == 1), 0.0, -np.inf)

    def mean(self, params: Array) -> Array:
        return expit(params)

    def _score(self, x: Array, params: Array) -> Array:
        # x - mean, written so that nothing cancels if the outcome is almost certain.
        sign = 2 * x - 1
        return sign * expit(-sign * params)

    def _information(self, x: Array, params: Array) -> Array:
        return np.broadcast_to(self._fisher(params), np.broadcast_shapes(x.shape, params.shape))

    def _fisher(self, params: Array) -> Array:
        return expit(params) * expit(-params)

    def _fisher_log_slope(self, params: Array) -> Array:
        return -np.tanh(params / 2)

    def fit(self, x: Array, log_weights: Array) -> Array:
        # Ones and zeros have separate sums: 1 - mean loses digits if the mean is close to 1.
        spread = log_weights[..., :, None]
        with np.errstate(divide="ignore"):
            ones = logsumexp(spread + np.log(x), axis=-2)
            zeros = logsumexp(spread + np.log(1 - x), axis=-2)
        return ones - zeros

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        p = expit(self._vectors(params))
        return rng.binomial(1, p).astype(np.float64)
