"""Positive data with a fixed coefficient of variation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlogy

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array, Index, exponential, positive
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily, ElementwiseLikelihood
from vaetheory.likelihoods.special import log_weighted_mean, stirling_remainder
from vaetheory.likelihoods.supports import Support
from vaetheory.likelihoods.table import Curvature, Table


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

    parameter = "log mean"
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
        """Log density if the mean is x: a log a - a - log Gamma(a) - log x."""
        a = np.asarray(self.shape)
        return 0.5 * (np.log(a) - LOG_2PI) - stirling_remainder(a) - np.log(x)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return ElementwiseLikelihood.log_prob(self, x, params)

    def _log_prob(self, x: Array, params: Array) -> Array:
        # The greatest value minus the deviance, so that nothing cancels if the shape is large.
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

    def table(self, data: Array) -> Table:
        return GammaTable(self, data)

    def fit(self, x: Array, log_weights: Array) -> Array:
        return log_weighted_mean(x, log_weights)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw one datum per parameter vector; draws that would round to 0 are moved inside."""
        mean = self.mean(self._vectors(params))
        return np.maximum(rng.gamma(self.shape, mean / self.shape), np.finfo(np.float64).tiny)


class GammaTable(Table):
    """Log p = -a (params + x exp(-params)) + h(x), params the log means."""

    likelihood: Gamma

    def restrict(self, params: Array) -> Array:
        return np.clip(params, -300.0, 1e30)

    def dense(self, params: Array) -> tuple[Array, Array]:
        a, inverse = self.likelihood.shape, np.exp(-params)
        ratio = self.data @ inverse.T
        log_prob = -a * (params.sum(axis=-1) + ratio) + self.likelihood.log_base(self.data)[:, None]
        slope = self.data**2 @ (inverse**2).T - 2 * ratio + self.data.shape[-1]
        return np.minimum(log_prob, self.peak[:, None]), a * np.sqrt(np.maximum(slope, 0))

    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        a, away = self.likelihood.shape, np.log(self.data[datum]) - point[:, None]
        slope = np.expm1(np.minimum(away, 300.0))
        return self.peak[datum] - a * (slope - away).sum(axis=-1), a * slope

    def _excess(self, delta: Array) -> Array:
        """Excess exp(-delta) - 1 + delta of each data dimension, never negative."""
        positive: Array = np.maximum(np.expm1(np.minimum(-delta, 300.0)) + delta, 0)
        return positive

    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        out = score @ np.swapaxes(delta, -1, -2)
        out -= (score + self.likelihood.shape) @ np.swapaxes(self._excess(delta), -1, -2)
        return out

    def bend(self, point: Array, delta: Array) -> Array:
        out: Array = self._excess(delta).sum(axis=-1).max(axis=-1)
        return out

    def bend_of(self, bend: Array, slope: Array, curvature: Curvature) -> Array:
        # Log p leaves its tangent by (score + a) excess, summed; score + a = a x exp(-params).
        return bend * (self.likelihood.shape + slope)
