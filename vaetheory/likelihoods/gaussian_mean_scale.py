"""Gaussian data whose means and scales the decoder gives: the ordinary VAE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._gaussians import LOG_2PI
from vaetheory._numbers_as_text import distinct_texts
from vaetheory._validation import Array, Index, representable, scales, squarable
from vaetheory._value_equality import ByValue
from vaetheory.likelihoods._mean_scale_table import MeanScaleTable
from vaetheory.likelihoods.base import Excluded, ExponentialFamily, Likelihood, PairOfArrays
from vaetheory.likelihoods.gaussian import Gaussian
from vaetheory.likelihoods.supports import Support
from vaetheory.likelihoods.table import Table

#: A log scale may lie below that of the floor by this share of 1 + its size: a decoder that ends
#: in `exp(clamp(...))` or `softplus(...) + floor` meets the floor up to rounding only.
_ROUNDING = 1e-12
#: Weights in a block of a fit.
_BLOCK = 2**20


@dataclass(frozen=True, eq=False)
class GaussianMeanScale(ByValue, ExponentialFamily):
    """Gaussian likelihood of independent dimensions; the decoder gives means and log scales.

    This is the likelihood of the ordinary VAE with learned variances: x_i ~ N(m_i(z), s_i(z)^2).
    The decoder has 2 D outputs: the D means m first, then the D log scales log s, which is the
    order of PyTorch's `chunk(2, -1)`. A decoder that gives log variances must halve them.

    Parameters
    ----------
    least_scale : float or array (D,)
        Floor of the scales, s > 0, of all dimensions or of each. It is mandatory because without a
        floor the likelihood has no maximum: a decoder that reproduces a datum can lower its scale
        without end, and the likelihood grows without bound (claim 9c). A decoder that gives a
        smaller scale anywhere is refused; let it end in `clamp(log_s, min=log(least_scale))` or in
        `log(least_scale + softplus(...))`.

    Raises
    ------
    ValueError
        If a scale is not positive. Methods raise one if a log scale is below the floor.

    Notes
    -----
    The Fisher information of (m, log s) is diag(1 / s^2, 2), the hyperbolic plane of curvature
    -1/2 in each dimension. In (m, log s) the log density is not concave: with the residual
    r = (x - m) / s its negative Hessian is [[1 / s^2, 2 r / s], [2 r / s, 2 r^2]].

    As an exponential family it has the statistics (x, x^2), two per dimension, all x first. `fit`
    gives the weighted mean and the weighted standard deviation, or the floor if that is larger
    (claim 1d).

    Examples
    --------
    >>> import numpy as np
    >>> family = GaussianMeanScale(least_scale=0.01)
    >>> x, mean, scale = np.zeros(2), np.zeros(2), np.array([0.5, 2.0])
    >>> round(float(family.log_prob(x, np.concatenate([mean, np.log(scale)]))), 6)
    -1.837877
    >>> family.fisher_information(np.log([[1.0, 0.5]])).tolist()
    [[[4.0, 0.0], [0.0, 2.0]]]
    """

    parameter = "mean and log scale"
    params_each = 2
    support = Support.REAL

    least_scale: Array

    def __init__(self, least_scale: ArrayLike) -> None:
        value = scales("least_scale", least_scale)
        object.__setattr__(self, "least_scale", value)
        object.__setattr__(self, "data_dim", len(value) if value.ndim else None)

    @property
    def least_log_scale(self) -> Array:
        """The floor of the log scales: that of `least_scale`, less what rounding may cost."""
        floor = np.log(self.least_scale)
        return np.asarray(floor - _ROUNDING * (1 + np.abs(floor)))

    def marginal(self, which: Index) -> GaussianMeanScale:
        floor = self.least_scale
        return GaussianMeanScale(floor[which] if floor.ndim else floor)

    def excluded(self, params: Array) -> Excluded | None:
        log_scale, floor = params[..., params.shape[-1] // 2 :], self.least_log_scale
        # Nearly always this shows it, and costs less than the comparison of all entries.
        if log_scale.min(initial=np.inf) >= floor.max():
            return None
        below = log_scale < floor
        if not below.any():
            return None
        at = tuple(np.argwhere(below)[0])
        least = float(np.broadcast_to(self.least_scale, below.shape)[at])
        least_log, came = distinct_texts(float(np.log(least)), float(log_scale[at]), digits=6)
        return Excluded(
            np.asarray(below.any(axis=-1)),
            f"log scales of at least {least_log}, the logarithm of least_scale = {least:g} (clamp "
            f"the log scales to it, or choose a smaller floor), got {came} in dimension {at[-1]}",
        )

    def typical_params(self, normal: Array) -> Array:
        mean, log_scale = np.split(normal, 2, axis=-1)
        least = np.log(self.least_scale) + 1.5
        kept = np.where(log_scale >= least, log_scale, least + np.abs(log_scale))
        return np.concatenate([mean, kept], axis=-1)

    def usual_parameters(self, params: Array) -> tuple[str, dict[str, Array]]:
        loc, log_scale = self._split(params)
        return "normal", {"loc": loc, "scale": np.exp(log_scale)}

    def check_data(self, x: ArrayLike) -> Array:
        data = super().check_data(x)
        squarable("x", data / self.least_scale, " times least_scale")
        return data

    def narrowest(self) -> Likelihood:
        return Gaussian(scale=np.exp(self.least_log_scale))

    def _split(self, params: Array) -> PairOfArrays:
        half = params.shape[-1] // 2
        return params[..., :half], params[..., half:]

    def _residual(self, x: Array, params: Array) -> PairOfArrays:
        """(x - m) / s and 1 / s."""
        mean, log_scale = self._split(params)
        inverse = np.exp(-log_scale)
        return (x - mean) * inverse, inverse

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return self._density(x, params, self._by_residual)

    def _by_residual(self, x: Array, params: Array) -> Array:
        residual = self._residual(x, params)[0]
        square = np.einsum("...d,...d->...", residual, residual)
        return -0.5 * square - self._split(params)[1].sum(axis=-1) - 0.5 * LOG_2PI * x.shape[-1]

    def _at_infinity(self, x: Array, params: Array) -> Array:
        # Whether a mean or a scale is infinite, the density tends to zero.
        infinite = np.isinf(params)
        inner = self._by_residual(x, np.where(infinite, 0.0, params))
        return np.where(infinite.any(axis=-1), -np.inf, inner)

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        x, params = self._pair(x, params)
        with np.errstate(all="ignore"):
            residual, inverse = self._residual(x, params)
            return np.concatenate([residual * inverse, residual**2 - 1], axis=-1)

    def _slopes(self, x: Array, params: Array, jacobian: Array) -> tuple[Array, Array, Array]:
        """r, J_m / s and J_log s, the last two `(..., D, d)`."""
        residual, inverse = self._residual(x, params)
        half = jacobian.shape[-2] // 2
        return residual, inverse[..., None] * jacobian[..., :half, :], jacobian[..., half:, :]

    def observed_information(self, x: ArrayLike, params: ArrayLike, jacobian: Array) -> Array:
        x, params = self._pair(x, params)
        residual, of_mean, of_log = self._slopes(x, params, jacobian)
        bent = residual[..., None] * of_log
        mixed = _transposed(of_mean) @ bent
        square = _transposed(of_mean) @ of_mean + 2 * _transposed(bent) @ bent
        return square + 2 * (mixed + _transposed(mixed))

    def definite_information(self, x: Array, params: Array, jacobian: Array) -> Array:
        """J_r^T J_r + J_log s^T J_log s with the Jacobian of the residual r = (x - m) / s.

        It is the Hessian of -log p in the coordinates (m / s, 1 / s), in which log p is concave,
        and closer to the Hessian at a mode than the expected information is.
        """
        residual, of_mean, of_log = self._slopes(x, params, jacobian)
        of_residual = of_mean + residual[..., None] * of_log
        return _transposed(of_residual) @ of_residual + _transposed(of_log) @ of_log

    def expected_information(self, params: Array, jacobian: Array) -> Array:
        _, of_mean, of_log = self._slopes(self._split(params)[0], params, jacobian)
        return _transposed(of_mean) @ of_mean + 2 * _transposed(of_log) @ of_log

    def fisher_information(self, params: ArrayLike) -> Array:
        log_scale = self._split(self._vectors(params))[1]
        diagonal = np.concatenate([np.exp(-2 * log_scale), np.full(log_scale.shape, 2.0)], axis=-1)
        return diagonal[..., None] * np.eye(diagonal.shape[-1])

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        mean, log_scale = self._split(self._vectors(params))
        with np.errstate(over="ignore"):
            draws = mean + np.exp(log_scale) * rng.standard_normal(mean.shape)
        return representable("params", draws, "samples")

    def greatest_log_prob(self, x: Array) -> Array:
        data = self.check_data(x)
        floor = np.broadcast_to(self.least_log_scale, data.shape[-1]).sum()
        return np.full(data.shape[:-1], -floor - 0.5 * LOG_2PI * data.shape[-1])

    def reduced(self, x: Array) -> tuple[Likelihood, Array, Array]:
        rows = x.reshape(-1, x.shape[-1])
        return (
            _Ranged(self.least_scale, rows.min(axis=0), rows.max(axis=0)),
            x,
            np.zeros(x.shape[:-1]),
        )

    def table(self, data: Array) -> Table:
        return MeanScaleTable(self, data, *self._range(data))

    def _range(self, data: Array) -> PairOfArrays:
        return data.min(axis=0), data.max(axis=0)

    # As an exponential family ---------------------------------------------------------------

    def statistics(self, x: Array) -> Array:
        return np.concatenate([x, x**2], axis=-1)

    def natural_parameters(self, params: Array) -> Array:
        mean, log_scale = self._split(params)
        precision = np.exp(-2 * log_scale)
        return np.concatenate([mean * precision, -0.5 * precision], axis=-1)

    def log_partition(self, params: Array) -> Array:
        mean, log_scale = self._split(params)
        return (0.5 * (mean * np.exp(-log_scale)) ** 2 + log_scale).sum(axis=-1)

    def log_base(self, x: Array) -> Array:
        return np.full(x.shape[:-1], -0.5 * LOG_2PI * x.shape[-1])

    def mean(self, params: Array) -> Array:
        mean, log_scale = self._split(params)
        return np.concatenate([mean, mean**2 + np.exp(2 * log_scale)], axis=-1)

    def fit(self, x: Array, log_weights: Array) -> Array:
        flat = log_weights.reshape(-1, log_weights.shape[-1])
        size = max(1, _BLOCK // x.size)
        parts = []
        for i in range(0, len(flat), size):
            # Relative to the datum of greatest weight, nothing cancels if the others are tiny.
            first = x[flat[i : i + size].argmax(axis=-1)]
            away = x - first[:, None]
            weights = np.exp(flat[i : i + size])
            shift = np.einsum("mn,mnd->md", weights, away)
            variance = np.einsum("mn,mnd,mnd->md", weights, away, away) - shift**2
            scale = np.maximum(np.sqrt(np.maximum(variance, 0.0)), self.least_scale)
            parts.append(np.concatenate([first + shift, np.log(scale)], axis=-1))
        return np.concatenate(parts).reshape(*log_weights.shape[:-1], -1)

    def _divergence(self, params: Array, other: Array) -> Array:
        mean, log_scale = self._split(params)
        centre, log_width = self._split(other)
        away = (mean - centre) * np.exp(-log_width)
        return (0.5 * away**2 + 0.5 * _exponential_gap(2 * (log_scale - log_width))).sum(axis=-1)


class _Ranged(GaussianMeanScale):
    """The same family, which also knows between which numbers the data of each dimension lie."""

    def __init__(self, least_scale: Array, low: Array, high: Array) -> None:
        super().__init__(least_scale)
        object.__setattr__(self, "_low", low)
        object.__setattr__(self, "_high", high)

    def _range(self, data: Array) -> PairOfArrays:
        return self._low, self._high  # type: ignore[attr-defined]


def _transposed(matrices: Array) -> Array:
    return np.swapaxes(matrices, -1, -2)


def _exponential_gap(t: Array) -> Array:
    """exp(t) - 1 - t, with all digits for small t."""
    small = np.clip(t, -0.5, 0.5)
    series = np.ones_like(small)
    for k in range(16, 2, -1):
        series = 1 + small / k * series
    return np.where(np.abs(t) < 0.5, 0.5 * small**2 * series, np.expm1(t) - t)
