"""Counts whose variance is their mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array, Index, exponential
from vaetheory.likelihoods._natural_table import NaturalTable
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily
from vaetheory.likelihoods.special import log_weighted_mean, stirling_remainder
from vaetheory.likelihoods.supports import Support
from vaetheory.likelihoods.table import Table

#: Larger log rates are treated as this one.
_LARGEST = 700.0
#: NumPy cannot draw counts with greater rates.
_MOST = 9e18


@dataclass(frozen=True)
class Poisson(ElementwiseExponentialFamily):
    """Poisson likelihood of counts; the decoder gives log rates.

    Examples
    --------
    >>> import numpy as np
    >>> float(Poisson().log_prob(np.zeros(1), np.zeros(1)))
    -1.0
    """

    parameter = "log rate"
    natural = True
    support = Support.COUNTS

    def usual_parameters(self, params: Array) -> tuple[str, dict[str, Array]]:
        return "poisson", {"rate": np.exp(np.minimum(params, _LARGEST))}

    def _log_partition(self, params: Array) -> Array:
        return np.exp(np.minimum(params, _LARGEST))

    def _log_base(self, x: Array) -> Array:
        return -gammaln(x + 1)

    def _limit(self, x: Array, params: Array) -> Array:
        return no_counts(x, params)

    def _greatest_log_prob(self, x: Array) -> Array:
        # At the rate x: x log x - x - log x!, which is zero if x is zero.
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
        return drawn_counts(exponential("params", self._vectors(params)), rng)

    def table(self, data: Array) -> Table:
        return PoissonTable(self, data)

    def _vectors(self, params: ArrayLike) -> Array:
        return self._bounded("params", super()._vectors(params))

    def _both(self, params: ArrayLike, other: ArrayLike) -> tuple[Array, Array]:
        first, second = super()._both(params, other)
        return self._bounded("params", first), self._bounded("other", second)

    def _bounded(self, name: str, rates: Array) -> Array:
        # `mean` and its consequences stop at exp(700), since decoders are evaluated far out.
        if (rates > _LARGEST).any():
            raise ValueError(
                f"{name}: expected log rates of at most {_LARGEST:g} (Poisson), got {rates.max():g}"
            )
        return rates


def no_counts(x: Array, params: Array) -> Array:
    """Log density of counts at log means of plus or minus infinity."""
    return np.where((params < 0) & (x == 0), 0.0, -np.inf)


def drawn_counts(rates: Array, rng: np.random.Generator) -> Array:
    """Poisson counts with these rates; a ValueError if they do not fit in 64 bits."""
    if rates.max() > _MOST:
        raise ValueError(
            f"params: expected rates of at most {_MOST:g} to draw from, got {rates.max():g}"
        )
    return rng.poisson(rates).astype(np.float64)


class PoissonTable(NaturalTable):
    """Log p = x . params - sum exp(params) + h(x), params the log rates."""

    def restrict(self, params: Array) -> Array:
        # At rates above e^300 every datum is impossible; below, products still fit in float64.
        return np.clip(params, -1e30, 300.0)

    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        x, params = self.data[datum], point[:, None]
        mean = self.likelihood.mean(params)
        # The peak minus the deviance, so that large counts keep their digits.
        away = params - np.log(np.maximum(x, 1.0))
        deviance = x * (np.expm1(np.minimum(away, 300.0)) - away)
        deviance = np.where(x > 0, deviance, mean)
        return self.peak[datum] - deviance.sum(axis=-1), x - mean

    def _bregman(self, point: Array, delta: Array) -> Array:
        mean = self.likelihood.mean(point[:, None])
        out = (mean * (np.expm1(np.minimum(delta, 300.0)) - delta)).sum(axis=-1)
        positive: Array = np.maximum(out, 0)
        return positive
