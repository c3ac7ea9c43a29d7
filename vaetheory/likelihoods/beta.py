"""Data in the open unit interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, polygamma

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array, positive
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily, ElementwiseLikelihood
from vaetheory.likelihoods.special import bernoulli_divergence, digamma_excess, stirling_remainder
from vaetheory.likelihoods.supports import Support

#: Greatest |d^2 expit / dt^2|, 1 / (6 sqrt 3), rounded up.
_BEND = 0.0962250449
#: -expit' (1 - t tanh(t / 2)) is at most this, rounded up.
_DIP = 0.0802475619
_TINY = 1e-290


@dataclass(frozen=True)
class Beta(ElementwiseExponentialFamily):
    """Beta likelihood of data in (0, 1) with a fixed concentration; the decoder gives logits.

    The density is that of Beta(alpha, beta) with alpha = c p, beta = c (1 - p), p = expit(params):
    its mean is p and its variance p (1 - p) / (c + 1).

    With c fixed this is an exponential family of one statistic, T = log(x / (1 - x)), with natural
    parameter alpha: `mean` is psi(alpha) - psi(beta), the mean of the data's logits (not of the
    data). The log density is concave in alpha, but not in the logit of p.

    Parameters
    ----------
    concentration : float
        c = alpha + beta > 0.

    Examples
    --------
    >>> import numpy as np
    >>> uniform = Beta(concentration=2.0)
    >>> abs(round(float(uniform.log_prob(np.array([0.3]), np.zeros(1))), 12))
    0.0
    """

    parameter = "logit of the mean"
    support = Support.UNIT_INTERVAL

    concentration: float

    def __init__(self, concentration: float) -> None:
        object.__setattr__(self, "concentration", float(positive("concentration", concentration)))

    def statistics(self, x: Array) -> Array:
        return np.log(x) - np.log1p(-x)

    def natural_parameters(self, params: Array) -> Array:
        return self.concentration * expit(params)

    def _shapes(self, params: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Alpha and beta, each with its logarithm; the logarithms do not underflow."""
        c, sides = self.concentration, (params, -params)
        alpha, beta = ((c * expit(t), np.log(c) - np.logaddexp(0.0, -t)) for t in sides)
        return alpha, beta

    def _log_width(self, params: Array) -> Array:
        """Log of the normalising constant minus c times the mean's entropy: -log B - c H(p)."""
        total = np.asarray(self.concentration)
        out = stirling_remainder(total) - 0.5 * np.log(total) - 0.5 * LOG_2PI
        for a, log_a in self._shapes(params):
            half = 0.5 * log_a - stirling_remainder(np.maximum(a, _TINY))
            # If a is tiny, log Gamma(a) = -log a to the last digit.
            out = out + np.where(a > _TINY, half, log_a + 0.5 * LOG_2PI)
        return np.asarray(out)

    def _log_partition(self, params: Array) -> Array:
        entropy = np.logaddexp(0.0, params) - params * expit(params)
        return -self.concentration * entropy - self._log_width(params)

    def _log_base(self, x: Array) -> Array:
        return (self.concentration - 1) * np.log1p(-x) - np.log(x)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return ElementwiseLikelihood.log_prob(self, x, params)

    def _log_prob(self, x: Array, params: Array) -> Array:
        # Written relative to the mean, so that nothing cancels if the concentration is large.
        away = bernoulli_divergence(params, self.statistics(x))
        return self._log_width(params) - self.concentration * away - np.log(x) - np.log1p(-x)

    def _limit(self, x: Array, params: Array) -> Array:
        return np.full(np.broadcast_shapes(x.shape, params.shape), -np.inf)

    def _greatest_log_prob(self, x: Array) -> Array:
        return self._log_prob(x, self._solve(self.statistics(x)))

    def _mean_shift(self, params: Array) -> Array:
        """psi(1 + alpha) - psi(1 + beta) - params."""
        alpha, beta = self._shapes(params)
        return digamma_excess(*alpha) - digamma_excess(*beta)

    def mean(self, params: Array) -> Array:
        # The poles of psi are a separate term: 1 / beta - 1 / alpha.
        poles = 2 * np.sinh(np.clip(params, -700.0, 700.0)) / self.concentration
        return params + self._mean_shift(params) + poles

    def _score(self, x: Array, params: Array) -> Array:
        slope = self.concentration * expit(params) * expit(-params)
        away = self.statistics(x) - params
        return slope * (away - self._mean_shift(params)) - np.tanh(params / 2)

    def _information(self, x: Array, params: Array) -> Array:
        # F + tanh(t / 2) score, in which p^2 + q^2 - tanh^2(t / 2) = 2 p q.
        p, q = expit(params), expit(-params)
        slope = self.concentration * p * q
        away = self.statistics(x) - params - self._mean_shift(params)
        bend = slope**2 * self._trigamma(params) + 2 * p * q
        return bend + np.tanh(params / 2) * slope * away

    def _trigamma(self, params: Array) -> Array:
        return sum(polygamma(1, 1 + a) for a, _ in self._shapes(params))

    def _fisher(self, params: Array) -> Array:
        p, q = expit(params), expit(-params)
        return (self.concentration * p * q) ** 2 * self._trigamma(params) + p**2 + q**2

    def _fisher_log_slope(self, params: Array) -> Array:
        c, p, q = self.concentration, expit(params), expit(-params)
        square = (c * p * q) ** 2
        first = sum(polygamma(1, 1 + a) for a in (c * p, c * q))
        second = polygamma(2, 1 + c * p) - polygamma(2, 1 + c * q)
        slope = square * (2 * (q - p) * first + c * p * q * second) + 2 * p * q * (p - q)
        return slope / (square * first + p**2 + q**2)

    def curvature_bounds(self, x: Array) -> tuple[Array, Array]:
        # Let p be the mean, tau = 2 p - 1 and l the logit of x. The second derivative is
        # c p q (tau (t - l) - 1) plus a remainder. By 1/(2a) < log a - psi(a) < 1/a and
        # 1/a + 1/(2a^2) < psi'(a) < 1/a + 1/a^2 the remainder is between -9/16 and 1/2.
        tilt = _BEND * np.abs(self.statistics(x))
        c = self.concentration
        return -c * (tilt + 0.25) - 0.5625, c * (tilt + _DIP) + 0.5

    def _solve(self, mean: Array) -> Array:
        """The params at which the mean parameters are `mean`, by Newton's method."""
        from scipy.optimize import newton

        c, target = self.concentration, np.abs(mean)
        # `mean` is odd, and convex on the positive numbers. So from above the root, Newton's method
        # descends to it.
        start = np.minimum(target, np.log(2 * c * target + 4))

        def slope(t: Array) -> Array:
            return c * expit(t) * expit(-t) * self._trigamma(t) + 2 * np.cosh(t) / c

        root = newton(lambda t: self.mean(t) - target, start, fprime=slope, tol=1e-9, maxiter=200)
        return np.sign(mean) * root

    def fit(self, x: Array, log_weights: Array) -> Array:
        return self._solve(np.exp(log_weights) @ self.statistics(x))

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw one datum per parameter vector; draws that round to 0 or 1 are moved inside."""
        (alpha, _), (beta, _) = self._shapes(self._vectors(params))
        least = np.finfo(np.float64).tiny
        draws = rng.beta(np.maximum(alpha, least), np.maximum(beta, least))
        return np.clip(draws, least, 1 - np.finfo(np.float64).epsneg)

    def _divergence(self, params: Array, other: Array) -> Array:
        # The difference of the means is computed from the rarer side, which keeps its digits.
        side = np.where(params > 0, -1.0, 1.0)
        change = side * (expit(side * params) - expit(side * other))
        away = bernoulli_divergence(other, params)
        out = self.concentration * (away + self._mean_shift(params) * change)
        for sign in (1, -1):
            shift = np.logaddexp(0.0, -sign * params) - np.logaddexp(0.0, -sign * other)
            out = out + np.expm1(shift)
        out = out + self._log_width(params) - self._log_width(other)
        return out.sum(axis=-1)
