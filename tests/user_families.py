"""Families as a user would write them, outside the package: it knows nothing of them.

None is an exponential family. The second derivative of the logistic log density has bounds over
all params; that of the other two has none: they give `curvature_range` instead.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, gammaln, k0, k1

from vaetheory.likelihoods import ElementwiseLikelihood, Support


@dataclass(frozen=True)
class Logistic(ElementwiseLikelihood):
    """Logistic likelihood of real data with a fixed scale; the decoder gives locations."""

    parameter = "location"
    concave = True
    support = Support.REAL

    scale: float

    def _log_prob(self, x, params):
        size = np.abs(x - params) / self.scale
        return -size - 2 * np.log1p(np.exp(-size)) - np.log(self.scale)

    def _limit(self, x, params):
        return np.full(np.broadcast_shapes(x.shape, params.shape), -np.inf)

    def _greatest_log_prob(self, x):
        return np.full_like(x, -np.log(4 * self.scale))

    def _score(self, x, params):
        return np.tanh((x - params) / (2 * self.scale)) / self.scale

    def _information(self, x, params):
        away = (x - params) / self.scale
        return 2 * expit(away) * expit(-away) / self.scale**2

    def _fisher(self, params):
        return np.full_like(params, 1 / (3 * self.scale**2))

    def curvature_bounds(self, x):
        return np.full_like(x, -0.5 / self.scale**2), np.zeros_like(x)

    def sample(self, params, rng):
        return rng.logistic(self._vectors(params), self.scale)


@dataclass(frozen=True)
class Weibull(ElementwiseLikelihood):
    """Weibull likelihood of positive data with a fixed shape; the decoder gives log scales."""

    parameter = "log scale"
    concave = True
    support = Support.POSITIVE

    shape: float

    def _power(self, x, params):
        """Logarithm of (x / scale)^shape."""
        return self.shape * (np.log(x) - params)

    def _log_prob(self, x, params):
        power = self._power(x, params)
        return self._greatest_log_prob(x) - (np.expm1(power) - power)

    def _limit(self, x, params):
        return np.full(np.broadcast_shapes(x.shape, params.shape), -np.inf)

    def _greatest_log_prob(self, x):
        return np.log(self.shape) - np.log(x) - 1

    def _score(self, x, params):
        return self.shape * np.expm1(self._power(x, params))

    def _information(self, x, params):
        return self.shape**2 * np.exp(self._power(x, params))

    def _fisher(self, params):
        return np.full_like(params, self.shape**2)

    def curvature_range(self, x, lower, upper):
        return -self._information(x, lower), -self._information(x, upper)

    def sample(self, params, rng):
        scale = np.exp(self._vectors(params))
        return np.maximum(scale * rng.weibull(self.shape, scale.shape), 1e-300)


@dataclass(frozen=True)
class ZeroInflatedPoisson(ElementwiseLikelihood):
    """Counts that are nought with probability `weight`, else Poisson; params are log rates."""

    parameter = "log rate"
    support = Support.COUNTS

    weight: float

    def _counted(self, rate):
        """Probability that a nought has been counted."""
        return expit(np.log1p(-self.weight) - np.log(self.weight) - rate)

    @staticmethod
    def _rate(params):
        return np.exp(np.minimum(params, 700.0))

    def _log_prob(self, x, params):
        rate, counted = self._rate(params), np.log1p(-self.weight)
        nought = np.logaddexp(np.log(self.weight), counted - rate)
        return np.where(x > 0, counted + x * params - rate - gammaln(x + 1), nought)

    def _limit(self, x, params):
        nought = np.where(params > 0, np.log(self.weight), 0.0)
        return np.where(x > 0, -np.inf, nought)

    def _greatest_log_prob(self, x):
        some = np.maximum(x, 1.0)
        at_rate = np.log1p(-self.weight) + some * np.log(some) - some - gammaln(some + 1)
        return np.where(x > 0, at_rate, 0.0)

    def _score(self, x, params):
        rate = self._rate(params)
        return np.where(x > 0, x - rate, -rate * self._counted(rate))

    def _information(self, x, params):
        # Where the rate is so great no nought has been counted.
        rate = self._rate(np.minimum(params, 30.0))
        w = self._counted(rate)
        return np.where(x > 0, self._rate(params), rate * w - rate**2 * w * (1 - w))

    def _fisher(self, params):
        rate = self._rate(params)
        lost = rate * np.exp(-rate) * rate * (1 - self._counted(rate))
        return (1 - self.weight) * (rate - lost)

    def curvature_range(self, x, lower, upper):
        # It is rate^2 w (1 - w) - rate w for a nought, and w falls as the rate grows.
        a, b = (self._rate(np.minimum(t, 30.0)) for t in (lower, upper))
        most, least = self._counted(a), self._counted(b)
        middle = np.clip(0.5, least, most)
        low = a**2 * np.minimum(most * (1 - most), least * (1 - least)) - b * most
        high = b**2 * middle * (1 - middle) - a * least
        some = -self._rate(upper), -self._rate(lower)
        return np.where(x > 0, some[0], low), np.where(x > 0, some[1], high)

    def sample(self, params, rng):
        rate = self._rate(self._vectors(params))
        counts = rng.poisson(np.minimum(rate, 1e18)).astype(np.float64)
        return np.where(rng.random(rate.shape) < self.weight, 0.0, counts)


@dataclass(frozen=True)
class Cosh(ElementwiseLikelihood):
    """Density proportional to exp(-cosh((x - params) / scale)): it overflows on either side."""

    parameter = "location"
    concave = True
    support = Support.REAL

    scale: float

    def _log_prob(self, x, params):
        return -np.cosh((x - params) / self.scale) - np.log(2 * self.scale * k0(1.0))

    def _greatest_log_prob(self, x):
        return np.full_like(x, -1 - np.log(2 * self.scale * k0(1.0)))

    def _score(self, x, params):
        return np.sinh((x - params) / self.scale) / self.scale

    def _information(self, x, params):
        return np.cosh((x - params) / self.scale) / self.scale**2

    def _fisher(self, params):
        return np.full_like(params, k1(1.0) / k0(1.0) / self.scale**2)

    def sample(self, params, rng):
        # The inverse of the distribution function, on a fine grid.
        params, u = self._vectors(params), np.linspace(-8.0, 8.0, 2**17 + 1)
        below = np.cumsum(np.exp(-np.cosh(u)))
        return params + self.scale * np.interp(rng.random(params.shape), below / below[-1], u)


#: By the names that the reference values use; one constant each.
FAMILIES = {
    "logistic": Logistic,
    "weibull": Weibull,
    "zero_inflated_poisson": ZeroInflatedPoisson,
}
