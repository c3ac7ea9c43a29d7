"""Special functions that keep their digits where SciPy's differences cancel."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, gammaln, logsumexp, psi

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array, positive

#: What is lost where a weight underflows, below 1e-307, does not change a mean of this size.
_TINY = 1e-280


def stirling_remainder(a: ArrayLike) -> Array:
    """Remainder log Gamma(a) - (a - 1/2) log a + a - log(2 pi) / 2, with all digits for large a.

    Parameters
    ----------
    a : array (...)
        Positive numbers.

    Raises
    ------
    ValueError
        If a number is not positive and finite.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(stirling_remainder(np.array(1e6))) * 12e6, 9)
    1.0
    """
    a = positive("a", a, max_ndim=64)
    large = np.maximum(a, 10.0)
    with np.errstate(over="ignore"):
        inverse = 1 / large**2
    coefficients = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
    series = np.polynomial.polynomial.polyval(inverse, coefficients) / large
    small = np.minimum(a, 10.0)
    direct = gammaln(small) - (small - 0.5) * np.log(small) + small - 0.5 * LOG_2PI
    return np.where(a < 10.0, direct, series)


def log_gamma_ratio(a: Array, x: Array) -> Array:
    """Log Gamma(a + x) - log Gamma(a) - x log a, with all digits for large a.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(log_gamma_ratio(np.array(1e8), np.array(2.0))) * 1e8, 6)
    1.0
    """
    bend = (a + x - 0.5) * np.log1p(x / a) - x
    return bend + stirling_remainder(a + x) - stirling_remainder(a)


def digamma_excess(a: Array, log_a: Array) -> Array:
    """Psi(1 + a) - log a, with all digits for large a; `a` itself may underflow, `log_a` not.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(digamma_excess(np.array(1e8), np.log(1e8))) * 2e8, 6)
    1.0
    """
    large = np.maximum(a, 10.0)
    inverse = 1 / large**2
    coefficients = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)
    series = 0.5 / large + inverse * np.polynomial.polynomial.polyval(inverse, coefficients)
    return np.where(a < 10.0, psi(1 + np.minimum(a, 10.0)) - log_a, series)


def bernoulli_divergence(logit: Array, other: Array) -> Array:
    """KL( Bernoulli(logit) || Bernoulli(other) ) in nats, with all digits for close logits.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(bernoulli_divergence(np.array(0.0), np.array(1e-6))) * 8e12, 6)
    1.0
    """
    # log(1 + m expm1(-v)) + m v, with m the probability of the rarer outcome and v the change of
    # its logit.
    sign = np.where(logit > 0, -1.0, 1.0)
    m = expit(-np.abs(logit))
    v = sign * (logit - other)
    log_ratio = sign * other - np.log1p(np.exp(-np.abs(logit)))
    near = m * np.expm1(np.minimum(-v, 1.0))
    far = np.exp(np.minimum(log_ratio, 100.0)) - m
    grown = np.log1p(np.where(v > -1.0, near, far))
    return np.where(log_ratio > 100.0, log_ratio, grown) + m * v


def log_weighted_mean(x: Array, log_weights: Array) -> Array:
    """Log of the weighted means of data `(N, D)`, `(..., D)`; minus infinity if all data are zero.

    Examples
    --------
    >>> import numpy as np
    >>> float(log_weighted_mean(np.array([[0.0], [1.0]]), np.array([0.0, -800.0]))[0])
    -800.0
    """
    most = log_weights.max(axis=-1, keepdims=True)
    most = np.where(np.isfinite(most), most, 0.0)
    mean = np.exp(log_weights - most) @ x
    with np.errstate(divide="ignore"):
        found = np.log(mean) + most
        # Weights that underflow are lost only where the mean is as small as they are.
        small = mean < _TINY * x.max()
        if small.any():
            exact = logsumexp(log_weights[..., :, None] + np.log(x), axis=-2)
            found = np.where(small, exact, found)
    return found
