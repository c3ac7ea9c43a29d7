"""Counts that vary more than their mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array, exponential, positive
from vaetheory.likelihoods._elementwise_table import CellwiseTable
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily, ElementwiseLikelihood
from vaetheory.likelihoods.poisson import drawn_counts, no_counts
from vaetheory.likelihoods.special import (
    bernoulli_divergence,
    log_gamma_ratio,
    log_weighted_mean,
    stirling_remainder,
)
from vaetheory.likelihoods.supports import Support
from vaetheory.likelihoods.table import Curvature, Table

#: Logits of means beyond this weigh as this; every weight is as good a bound.
_LARGEST = 300.0


@dataclass(frozen=True)
class NegativeBinomial(ElementwiseExponentialFamily):
    """Negative binomial likelihood of counts with a fixed shape; the decoder gives log means.

    With m = exp(params) the variance is m + m^2 / shape: a Poisson rate that varies like a gamma
    variable of this shape. The Fisher information is m r / (m + r), r the shape.

    Parameters
    ----------
    shape : float
        r > 0; a large r gives almost the Poisson distribution.

    Examples
    --------
    >>> import numpy as np
    >>> family = NegativeBinomial(shape=1.0)
    >>> round(float(np.exp(family.log_prob(np.array([2.0]), np.zeros(1)))), 12)
    0.125
    """

    parameter = "log mean"
    concave = True
    support = Support.COUNTS

    shape: float

    def __init__(self, shape: float) -> None:
        object.__setattr__(self, "shape", float(positive("shape", shape)))

    def _logit(self, params: Array) -> Array:
        """Logit of m / (m + r)."""
        return params - np.log(self.shape)

    def natural_parameters(self, params: Array) -> Array:
        return -np.logaddexp(0.0, -self._logit(params))

    def _log_partition(self, params: Array) -> Array:
        return self.shape * np.logaddexp(0.0, self._logit(params))

    def _log_base(self, x: Array) -> Array:
        r = np.asarray(self.shape)
        some = np.maximum(x, 1.0)
        factorial = (some + 0.5) * np.log(some) - some + 0.5 * LOG_2PI + stirling_remainder(some)
        return np.where(x > 0, log_gamma_ratio(r, x) + x * np.log(r) - factorial, 0.0)

    def _greatest_log_prob(self, x: Array) -> Array:
        """Log density of each count if the mean is that count; it is zero if x is zero."""
        some, r = np.maximum(x, 1.0), np.asarray(self.shape)
        remainder = stirling_remainder(r + some) - stirling_remainder(r) - stirling_remainder(some)
        at_mean = remainder - 0.5 * (LOG_2PI + np.log(some) + np.log1p(some / r))
        return np.where(x > 0, at_mean, 0.0)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return ElementwiseLikelihood.log_prob(self, x, params)

    def _log_prob(self, x: Array, params: Array) -> Array:
        # The greatest value minus the deviance: nothing cancels if counts or shape are large.
        logit = self._logit(params)
        own = self._logit(np.log(np.maximum(x, 1.0)))
        deviance = (x + self.shape) * bernoulli_divergence(own, logit)
        return self._greatest_log_prob(x) - np.where(x > 0, deviance, self._log_partition(params))

    def _limit(self, x: Array, params: Array) -> Array:
        return no_counts(x, params)

    def mean(self, params: Array) -> Array:
        return exponential("params", params)

    def _score(self, x: Array, params: Array) -> Array:
        return x * expit(-self._logit(params)) - self._fisher(params)

    def _information(self, x: Array, params: Array) -> Array:
        return (1 + x / self.shape) * self._fisher(params) * expit(-self._logit(params))

    def _fisher(self, params: Array) -> Array:
        # m r / (m + r), written so that a tiny or huge m loses no digits.
        logit = self._logit(params)
        small = np.exp(np.minimum(params, 700.0)) * expit(-logit)
        return np.where(logit < 0, small, self.shape * expit(logit))

    def _fisher_log_slope(self, params: Array) -> Array:
        return expit(-self._logit(params))

    def curvature_bounds(self, x: Array) -> tuple[Array, Array]:
        # The second derivative is -(x + r) p (1 - p), p = m / (m + r).
        return -(x + self.shape) / 4, np.zeros_like(x)

    def table(self, data: Array) -> Table:
        return NegativeBinomialTable(self, data)

    def fit(self, x: Array, log_weights: Array) -> Array:
        return log_weighted_mean(x, log_weights)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        mean = exponential("params", self._vectors(params))
        return drawn_counts(rng.gamma(self.shape, mean / self.shape), rng)

    def _divergence(self, params: Array, other: Array) -> Array:
        divergence = bernoulli_divergence(self._logit(params), self._logit(other))
        return ((self.mean(params) + self.shape) * divergence).sum(axis=-1)


class NegativeBinomialTable(CellwiseTable):
    """Log p leaves its tangent by (x + r) KL(p || p'), p and p' the shares of the mean in m + r.

    The sum over the dimensions is at most the greatest (x + r) / (m + r) times the sum of
    (m + r) KL(p || p'), which is the same for all data. Close to the mode the first is about one.
    """

    likelihood: NegativeBinomial

    def bend(self, point: Array, delta: Array) -> Array:
        logit = self.likelihood._logit(point)
        gap = bernoulli_divergence(logit[:, None], logit[:, None] + delta)
        out: Array = (self._weight(point)[:, None] * np.maximum(gap, 0.0)).sum(axis=-1).max(axis=-1)
        return out

    def _weight(self, params: Array) -> Array:
        """Mean plus shape, m + r, of each data dimension."""
        r = self.likelihood.shape
        return r + r * np.exp(np.minimum(self.likelihood._logit(params), _LARGEST))

    def _curvature(self, x: Array, params: Array, reach: Array) -> Curvature:
        steepest = ((x + self.likelihood.shape) / self._weight(params)).max(axis=-1)
        return Curvature(np.zeros_like(steepest), steepest, np.full_like(steepest, np.inf))
