"""Likelihoods p(x given params): exponential families whose parameters the decoder gives.

Every family is written as log p = T(x) . phi(params) - A(params) + h(x), with T the sufficient
statistics, phi the natural parameters, A the log partition and h the base measure, because a
table over many data and many parameters is then one matrix product. A new family is a subclass
of `ElementwiseLikelihood` with those functions of one number and their derivatives.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular
from scipy.special import expit, gammaln, logsumexp, softmax, xlogy

from vaetheory._validation import Array, aligned, as_array, covariances, positive, vectors
from vaetheory.gaussians import LOG_2PI


def stirling_remainder(a: Array) -> Array:
    """Remainder log Gamma(a) - (a - 1/2) log a + a - log(2 pi) / 2, with all digits for large a.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(stirling_remainder(np.array(1e6))) * 12e6, 9)
    1.0
    """
    large = np.maximum(a, 10.0)
    inverse = 1 / large**2
    coefficients = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
    series = np.polynomial.polynomial.polyval(inverse, coefficients) / large
    small = np.minimum(a, 10.0)
    direct = gammaln(small) - (small - 0.5) * np.log(small) + small - 0.5 * LOG_2PI
    return np.where(a < 10.0, direct, series)


class Likelihood(ABC):
    """A parametric density p(x given params) of data `(..., D)` and parameters `(..., D)`.

    Leading axes of data and parameters broadcast against each other; the last axis must match.
    Log densities are in nats.
    """

    #: Data dimension where the parameters of the likelihood fix it, else None.
    data_dim: int | None = None
    #: Whether the params are the natural parameters and T(x) = x: then `score` is x - mean and the
    #: log density is concave in the params, which the evidence engine relies on.
    natural: bool = False

    @abstractmethod
    def check_data(self, x: ArrayLike) -> Array:
        """Return `x` as an array, or raise a ValueError if it is outside the support."""

    @abstractmethod
    def statistics(self, x: Array) -> Array:
        """Sufficient statistics T(x), `(..., D)`."""

    @abstractmethod
    def natural_parameters(self, params: Array) -> Array:
        """Natural parameters phi, `(..., D)`."""

    @abstractmethod
    def log_partition(self, params: Array) -> Array:
        """Log partition A, summed over the data dimensions, `(...)`."""

    @abstractmethod
    def log_base(self, x: Array) -> Array:
        """Log base measure h(x), summed over the data dimensions, `(...)`."""

    @abstractmethod
    def mean(self, params: Array) -> Array:
        """Mean parameters E[T], `(..., D)`."""

    @abstractmethod
    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        """Gradient of log p(x given params) in the params, `(..., D)`."""

    @abstractmethod
    def information(self, x: Array, params: Array, jacobian: Array) -> Array:
        """J^T (-d^2 log p / dparams^2) J, the observed information pulled back, `(..., d, d)`."""

    @abstractmethod
    def fisher_information(self, params: Array) -> Array:
        """Fisher information in the params, `(..., D, D)`."""

    @abstractmethod
    def fit(self, x: Array, log_weights: Array) -> Array:
        """Parameters of the greatest weighted log likelihood: they match the mean parameters.

        Parameters
        ----------
        x : array (N, D)
            The data.
        log_weights : array (..., N)
            Normalised log weights; in the log domain so that small ones keep their digits.

        Returns
        -------
        array (..., D)
            Infinite where all the weight is on the boundary of the support.
        """

    @abstractmethod
    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw one datum a parameter vector, `(..., D)`."""

    @abstractmethod
    def greatest_log_prob(self, x: Array) -> Array:
        """Supremum of log p(x given params) over the params, `(...)`, in nats."""

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        """Log density in nats, `(...)`; leading axes broadcast."""
        x, params = aligned(x, params)
        return (
            (self.statistics(x) * self.natural_parameters(params)).sum(axis=-1)
            - self.log_partition(params)
            + self.log_base(x)
        )

    def kl_divergence(self, params: ArrayLike, other: ArrayLike) -> Array:
        """KL( p(. given params) || p(. given other) ) in nats, `(...)`, in closed form."""
        params, other = aligned(params, other, "params and other")
        shift = self.natural_parameters(params) - self.natural_parameters(other)
        return (
            (self.mean(params) * shift).sum(axis=-1)
            - self.log_partition(params)
            + self.log_partition(other)
        )


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Gaussian likelihood N(f(z), Lambda); the decoder gives the mean.

    Parameters
    ----------
    scale : float or array (D,), optional
        Standard deviation(s): Lambda = diag(scale^2).
    cov : array (D, D), optional
        Lambda itself. Exactly one of the two is given.

    Raises
    ------
    ValueError
        If both or neither is given, a scale is not positive, or `cov` is not symmetric positive
        definite.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(Gaussian(scale=0.5).log_prob(np.zeros(1), np.zeros(1))), 6)
    -0.225791
    """

    scale: Array | None = None
    cov: Array | None = None

    def __init__(self, scale: ArrayLike | None = None, *, cov: ArrayLike | None = None) -> None:
        if (scale is None) == (cov is None):
            came = "neither" if scale is None else "both"
            raise ValueError(f"Gaussian: expected exactly one of scale and cov, got {came}")
        if cov is not None:
            matrix = covariances("cov", cov)
            if matrix.ndim != 2:
                raise ValueError(f"cov: expected shape (D, D), got {matrix.shape}")
            object.__setattr__(self, "cov", matrix)
            object.__setattr__(self, "_chol", np.linalg.cholesky(matrix))
            object.__setattr__(self, "data_dim", len(matrix))
        else:
            value = positive("scale", np.asarray(scale), max_ndim=1)
            object.__setattr__(self, "scale", value)
            object.__setattr__(self, "data_dim", len(value) if value.ndim else None)

    def whiten(self, v: Array) -> Array:
        """Lambda^(-1/2) v, `(..., D)`: the Euclidean geometry in which Lambda is the identity."""
        if self.data_dim is not None and v.shape[-1] != self.data_dim:
            raise ValueError(f"Gaussian: expected shape (..., {self.data_dim}), got {v.shape}")
        if self.scale is not None:
            return v / self.scale
        flat = np.reshape(v, (-1, v.shape[-1])).T
        chol: Array = self._chol  # type: ignore[attr-defined]
        return solve_triangular(chol, flat, lower=True).T.reshape(v.shape)

    def covariance(self, data_dim: int) -> Array:
        """Lambda as a matrix `(D, D)`."""
        if self.cov is not None:
            return self.cov
        assert self.scale is not None
        return np.diag(np.broadcast_to(self.scale, data_dim) ** 2)

    def _log_det_half(self, data_dim: int) -> float:
        if self.scale is not None:
            return float(np.broadcast_to(np.log(self.scale), data_dim).sum())
        return float(np.log(np.diagonal(self._chol)).sum())  # type: ignore[attr-defined]

    def check_data(self, x: ArrayLike) -> Array:
        return vectors("x", x, self.data_dim)

    def statistics(self, x: Array) -> Array:
        return self.whiten(x)

    def natural_parameters(self, params: Array) -> Array:
        return self.whiten(params)

    def log_partition(self, params: Array) -> Array:
        return 0.5 * (self.whiten(params) ** 2).sum(axis=-1)

    def log_base(self, x: Array) -> Array:
        return -0.5 * (self.whiten(x) ** 2).sum(axis=-1) + self.log_peak(x.shape[-1])

    def log_peak(self, data_dim: int) -> float:
        """Log density at the mean, the greatest value the density can take."""
        return -0.5 * data_dim * LOG_2PI - self._log_det_half(data_dim)

    def greatest_log_prob(self, x: Array) -> Array:
        return np.full(x.shape[:-1], self.log_peak(x.shape[-1]))

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        x, params = aligned(x, params)
        # The difference is formed first: the expanded square loses digits when scale is small.
        return -0.5 * (self.whiten(x - params) ** 2).sum(axis=-1) + self.log_peak(x.shape[-1])

    def mean(self, params: Array) -> Array:
        return self.whiten(params)

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        x, params = aligned(x, params)
        residual = x - params
        if self.scale is not None:
            return residual / self.scale**2
        flat = np.reshape(self.whiten(residual), (-1, residual.shape[-1])).T
        chol: Array = self._chol  # type: ignore[attr-defined]
        return solve_triangular(chol, flat, lower=True, trans="T").T.reshape(residual.shape)

    def information(self, x: Array, params: Array, jacobian: Array) -> Array:
        white = self.whiten(np.swapaxes(jacobian, -1, -2))
        return white @ np.swapaxes(white, -1, -2)

    def fisher_information(self, params: Array) -> Array:
        inverse = np.linalg.inv(self.covariance(params.shape[-1]))
        return np.broadcast_to(inverse, (*params.shape, params.shape[-1])).copy()

    def fit(self, x: Array, log_weights: Array) -> Array:
        return np.exp(log_weights) @ x

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        loc = vectors("params", params, self.data_dim)
        noise = rng.standard_normal(loc.shape)
        if self.scale is not None:
            return loc + self.scale * noise
        return loc + noise @ self._chol.T  # type: ignore[attr-defined]

    def kl_divergence(self, params: ArrayLike, other: ArrayLike) -> Array:
        params, other = aligned(params, other, "params and other")
        return 0.5 * (self.whiten(params - other) ** 2).sum(axis=-1)


class ElementwiseLikelihood(Likelihood):
    """A likelihood with independent data dimensions: everything is a function of one number."""

    @abstractmethod
    def _log_partition(self, params: Array) -> Array: ...

    @abstractmethod
    def _log_base(self, x: Array) -> Array: ...

    @abstractmethod
    def _information(self, x: Array, params: Array) -> Array:
        """-d^2 log p / dparams^2 of each data dimension."""

    @abstractmethod
    def _fisher(self, params: Array) -> Array:
        """Expectation of `_information`."""

    def statistics(self, x: Array) -> Array:
        return x

    def natural_parameters(self, params: Array) -> Array:
        return params

    def log_partition(self, params: Array) -> Array:
        return self._log_partition(params).sum(axis=-1)

    def log_base(self, x: Array) -> Array:
        return self._log_base(x).sum(axis=-1)

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        if not self.natural:
            raise TypeError(f"{type(self).__name__}: expected natural = True or a score of its own")
        x, params = aligned(x, params)
        return x - self.mean(params)

    def information(self, x: Array, params: Array, jacobian: Array) -> Array:
        weighted = self._information(x, params)[..., None] * jacobian
        return np.swapaxes(jacobian, -1, -2) @ weighted

    def fisher_information(self, params: Array) -> Array:
        return self._fisher(params)[..., None] * np.eye(params.shape[-1])


@dataclass(frozen=True)
class Bernoulli(ElementwiseLikelihood):
    """Bernoulli likelihood of data in {0, 1}; the decoder gives logits.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(Bernoulli().log_prob(np.ones(1), np.zeros(1))), 6)
    -0.693147
    """

    natural = True

    def check_data(self, x: ArrayLike) -> Array:
        array = vectors("x", x, None)
        if not np.isin(array, (0.0, 1.0)).all():
            bad = array[~np.isin(array, (0.0, 1.0))][0]
            raise ValueError(f"x: expected zeros and ones (Bernoulli), got {bad:g}")
        return array

    def _log_partition(self, params: Array) -> Array:
        return np.logaddexp(0.0, params)

    def _log_base(self, x: Array) -> Array:
        return np.zeros_like(x)

    def greatest_log_prob(self, x: Array) -> Array:
        return np.zeros(x.shape[:-1])

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        x, params = aligned(x, params)
        return -np.logaddexp(0.0, (1 - 2 * x) * params).sum(axis=-1)

    def mean(self, params: Array) -> Array:
        return expit(params)

    def _information(self, x: Array, params: Array) -> Array:
        return np.broadcast_to(self._fisher(params), np.broadcast_shapes(x.shape, params.shape))

    def _fisher(self, params: Array) -> Array:
        return expit(params) * expit(-params)

    def fit(self, x: Array, log_weights: Array) -> Array:
        # Ones and zeros are summed apart: 1 - mean would lose the digits of a mean close to 1.
        spread = log_weights[..., :, None]
        with np.errstate(divide="ignore"):
            ones = logsumexp(spread + np.log(x), axis=-2)
            zeros = logsumexp(spread + np.log(1 - x), axis=-2)
        return ones - zeros

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        p = expit(vectors("params", params, None))
        return rng.binomial(1, p).astype(np.float64)


@dataclass(frozen=True)
class Poisson(ElementwiseLikelihood):
    """Poisson likelihood of counts; the decoder gives log rates.

    Examples
    --------
    >>> import numpy as np
    >>> float(Poisson().log_prob(np.zeros(1), np.zeros(1)))
    -1.0
    """

    natural = True

    def check_data(self, x: ArrayLike) -> Array:
        array = vectors("x", x, None)
        wrong = (array < 0) | (array != np.round(array))
        if wrong.any():
            raise ValueError(f"x: expected counts 0, 1, 2, ... (Poisson), got {array[wrong][0]:g}")
        return array

    def _log_partition(self, params: Array) -> Array:
        return np.exp(np.minimum(params, 700.0))

    def _log_base(self, x: Array) -> Array:
        return -gammaln(x + 1)

    def greatest_log_prob(self, x: Array) -> Array:
        # At the rate x: x log x - x - log x!, which is nought where x is.
        some = np.maximum(x, 1.0)
        at_rate = -0.5 * (LOG_2PI + np.log(some)) - stirling_remainder(some)
        return np.where(x > 0, at_rate, 0.0).sum(axis=-1)

    def mean(self, params: Array) -> Array:
        return self._log_partition(params)

    def _information(self, x: Array, params: Array) -> Array:
        return np.broadcast_to(self._fisher(params), np.broadcast_shapes(x.shape, params.shape))

    def _fisher(self, params: Array) -> Array:
        return self._log_partition(params)

    def fit(self, x: Array, log_weights: Array) -> Array:
        with np.errstate(divide="ignore"):
            return logsumexp(log_weights[..., :, None] + np.log(x), axis=-2)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        return rng.poisson(np.exp(vectors("params", params, None))).astype(np.float64)


@dataclass(frozen=True)
class Gamma(ElementwiseLikelihood):
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

    shape: float

    def __init__(self, shape: float) -> None:
        object.__setattr__(self, "shape", float(positive("shape", shape)))

    def check_data(self, x: ArrayLike) -> Array:
        array = vectors("x", x, None)
        if (array <= 0).any():
            raise ValueError(f"x: expected positive numbers (Gamma), got {array.min():g}")
        return array

    def natural_parameters(self, params: Array) -> Array:
        return -self.shape * np.exp(-np.maximum(params, -700.0))

    def _log_partition(self, params: Array) -> Array:
        return self.shape * params

    def _log_base(self, x: Array) -> Array:
        a = self.shape
        return xlogy(a - 1, x) + a * np.log(a) - gammaln(a)

    def greatest_log_prob(self, x: Array) -> Array:
        # At the mean x: a log a - a - log Gamma(a) - log x.
        a = np.asarray(self.shape)
        constant = 0.5 * (np.log(a) - LOG_2PI) - stirling_remainder(a)
        return (constant - np.log(x)).sum(axis=-1)

    def mean(self, params: Array) -> Array:
        return np.exp(params)

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        x, params = aligned(x, params)
        return -x * self.natural_parameters(params) - self.shape

    def _information(self, x: Array, params: Array) -> Array:
        return -x * self.natural_parameters(params)

    def _fisher(self, params: Array) -> Array:
        return np.full_like(params, self.shape)

    def fit(self, x: Array, log_weights: Array) -> Array:
        return logsumexp(log_weights[..., :, None] + np.log(x), axis=-2)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        mean = np.exp(vectors("params", params, None))
        return rng.gamma(self.shape, mean / self.shape)


@dataclass(frozen=True)
class Categorical(Likelihood):
    """Categorical likelihood of one-hot data `(..., K)`; the decoder gives K logits.

    Logits that differ by a constant give the same distribution, so the Fisher information has
    rank K - 1.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(Categorical().log_prob(np.array([0.0, 1.0]), np.zeros(2))), 6)
    -0.693147
    """

    natural = True

    def check_data(self, x: ArrayLike) -> Array:
        array = vectors("x", x, None)
        one_hot = np.isin(array, (0.0, 1.0)).all(axis=-1) & (array.sum(axis=-1) == 1)
        if not one_hot.all():
            bad = array[~one_hot][0] if array.ndim > 1 else array
            raise ValueError(f"x: expected one-hot vectors (Categorical), got {bad.tolist()}")
        return array

    def statistics(self, x: Array) -> Array:
        return x

    def greatest_log_prob(self, x: Array) -> Array:
        return np.zeros(x.shape[:-1])

    def natural_parameters(self, params: Array) -> Array:
        return params

    def log_partition(self, params: Array) -> Array:
        return logsumexp(params, axis=-1)

    def log_base(self, x: Array) -> Array:
        return np.zeros(x.shape[:-1])

    def mean(self, params: Array) -> Array:
        return softmax(params, axis=-1)

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        x, params = aligned(x, params)
        return x - self.mean(params)

    def information(self, x: Array, params: Array, jacobian: Array) -> Array:
        p = self.mean(params)
        centred = jacobian - np.einsum("...i,...ij->...j", p, jacobian)[..., None, :]
        out = np.swapaxes(centred, -1, -2) @ (p[..., None] * centred)
        leading = np.broadcast_shapes(x.shape[:-1], out.shape[:-2])
        return np.broadcast_to(out, (*leading, *out.shape[-2:]))

    def fisher_information(self, params: Array) -> Array:
        p = self.mean(params)
        return p[..., None] * np.eye(p.shape[-1]) - p[..., :, None] * p[..., None, :]

    def fit(self, x: Array, log_weights: Array) -> Array:
        with np.errstate(divide="ignore"):
            return logsumexp(log_weights[..., :, None] + np.log(x), axis=-2)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        p = self.mean(as_array("params", params, min_ndim=1))
        choice = (rng.random((*p.shape[:-1], 1)) > np.cumsum(p, axis=-1)[..., :-1]).sum(axis=-1)
        return np.eye(p.shape[-1])[choice]
