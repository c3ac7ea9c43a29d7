"""Gaussian data with a fixed covariance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import (
    SQUARABLE,
    Array,
    Index,
    all_within,
    covariances,
    scales,
    squarable,
)
from vaetheory._value_equality import ByValue
from vaetheory.likelihoods._cells import GaussianCells
from vaetheory.likelihoods.base import ExponentialFamily, Likelihood, over_batch
from vaetheory.likelihoods.supports import Support
from vaetheory.likelihoods.table import Curvature, Table


@dataclass(frozen=True, eq=False)
class Gaussian(ByValue, ExponentialFamily):
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

    parameter = "mean"
    growth_degree = 2
    concave = True
    gaussian = True
    ambient_curvature = 0.0
    support = Support.REAL

    scale: Array | None = None
    cov: Array | None = None
    # Whether data are whitened already.
    _unit = False

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
            assert scale is not None
            value = scales("scale", scale)
            object.__setattr__(self, "scale", value)
            object.__setattr__(self, "data_dim", len(value) if value.ndim else None)
            object.__setattr__(self, "_unit", value.ndim == 0 and float(value) == 1.0)

    def marginal(self, which: Index) -> Gaussian:
        if self.cov is not None:
            return Gaussian(cov=self.cov[np.ix_(which, which)])
        assert self.scale is not None
        return Gaussian(scale=self.scale[which] if self.scale.ndim else self.scale)

    def rounded(self, step: Array) -> Likelihood:
        return super().rounded(step) if self.scale is None else GaussianCells(self.scale, step)

    def usual_parameters(self, params: Array) -> tuple[str, dict[str, Array]] | None:
        if self.scale is None:
            return None
        return "normal", {"loc": params, "scale": np.broadcast_to(self.scale, params.shape)}

    def check_data(self, x: ArrayLike) -> Array:
        data = super().check_data(x)
        # Without a division of all data by the scale, where they are not near the limit.
        if self.scale is None or not all_within(data, SQUARABLE * min(self.scale.min() / 2, 1.0)):
            squarable("x", self.whiten(data), " standard deviations")
        return data

    def whiten(self, v: Array) -> Array:
        """Lambda^(-1/2) v, `(..., D)`: the Euclidean geometry in which Lambda is the identity."""
        if self.data_dim is not None and v.shape[-1] != self.data_dim:
            raise ValueError(f"Gaussian: expected shape (..., {self.data_dim}), got {v.shape}")
        if self.scale is not None:
            return self._scaled(v)
        flat = np.reshape(v, (-1, v.shape[-1])).T
        chol: Array = self._chol  # type: ignore[attr-defined]
        return solve_triangular(chol, flat, lower=True, check_finite=False).T.reshape(v.shape)

    def _scaled(self, v: Array) -> Array:
        assert self.scale is not None
        return v if self._unit else v / self.scale

    @cached_property
    def condition(self) -> float:  # type: ignore[override]
        """Condition number of Lambda; 1 for scales, whose divisions are rounded by themselves."""
        return 1.0 if self.cov is None else float(np.linalg.cond(self.cov))

    def covariance(self, data_dim: int) -> Array:
        """Lambda as a matrix `(D, D)`."""
        if self.cov is not None:
            return self.cov
        assert self.scale is not None
        return np.diag(np.broadcast_to(self.scale, data_dim) ** 2)

    @cached_property
    def _log_det_halves(self) -> dict[int, float]:
        # By data dimension: every density needs it.
        return {}

    def _log_det_half(self, data_dim: int) -> float:
        known = self._log_det_halves
        if data_dim not in known:
            logs = np.log(np.diagonal(self._chol) if self.scale is None else self.scale)  # type: ignore[attr-defined]
            known[data_dim] = float(np.broadcast_to(logs, data_dim).sum())
        return known[data_dim]

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
        return np.full(self.check_data(x).shape[:-1], self.log_peak(np.shape(x)[-1]))

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return self._density(x, params, self._by_difference)

    def _by_difference(self, x: Array, params: Array) -> Array:
        # The difference is computed first: the expanded square loses digits if the scale is small.
        away = x - params
        white = self.whiten(away) if self.scale is None else self._scaled(away)
        square: Array = np.einsum("...i,...i->...", white, white)
        return -0.5 * square + self.log_peak(x.shape[-1])

    def _at_infinity(self, x: Array, params: Array) -> Array:
        infinite = np.isinf(params)
        inner = self._by_difference(x, np.where(infinite, 0.0, params))
        return np.where(infinite.any(axis=-1), -np.inf, inner)

    def mean(self, params: Array) -> Array:
        return self.whiten(params)

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        x, params = self._pair(x, params)
        residual = x - params
        if self.scale is not None:
            with np.errstate(all="ignore"):
                return residual / self.scale**2
        flat = np.reshape(self.whiten(residual), (-1, residual.shape[-1])).T
        chol: Array = self._chol  # type: ignore[attr-defined]
        return solve_triangular(chol, flat, lower=True, trans="T", check_finite=False).T.reshape(
            residual.shape
        )

    def observed_information(self, x: ArrayLike, params: ArrayLike, jacobian: Array) -> Array:
        x, params = self._pair(x, params)
        return over_batch(self.expected_information(params, jacobian), x, params)

    def expected_information(self, params: Array, jacobian: Array) -> Array:
        white = self.whiten(np.swapaxes(jacobian, -1, -2))
        return white @ np.swapaxes(white, -1, -2)

    def immersed_jacobian(self, params: Array, jacobian: Array) -> Array:
        return np.swapaxes(self.whiten(np.swapaxes(jacobian, -1, -2)), -1, -2)

    def immersed_hessian(self, params: Array, jacobian: Array, hessian: Array) -> Array:
        return np.moveaxis(self.whiten(np.moveaxis(hessian, -3, -1)), -1, -3)

    def fisher_information(self, params: ArrayLike) -> Array:
        params = self._vectors(params)
        root = np.swapaxes(self.whiten(np.eye(params.shape[-1])), -1, -2)
        inverse = root.T @ root
        return np.broadcast_to(inverse, (*params.shape, params.shape[-1])).copy()

    def table(self, data: Array) -> Table:
        return GaussianTable(self, data)

    def fit(self, x: Array, log_weights: Array) -> Array:
        return np.exp(log_weights) @ x

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        loc = self._vectors(params)
        noise = rng.standard_normal(loc.shape)
        if self.scale is not None:
            return loc + self.scale * noise
        return loc + noise @ self._chol.T  # type: ignore[attr-defined]

    def _divergence(self, params: Array, other: Array) -> Array:
        return 0.5 * (self.whiten(params - other) ** 2).sum(axis=-1)


class GaussianTable(Table):
    """Gaussian likelihoods: squared residuals in whitened coordinates."""

    likelihood: Gaussian
    parabolic = True

    def __init__(self, likelihood: Gaussian, data: Array) -> None:
        super().__init__(likelihood, data)
        # Numbers divided by scales need no check: a finite number gives no NaN.
        self._whiten = likelihood.whiten if likelihood.scale is None else likelihood._scaled
        self.constant = likelihood.log_peak(data.shape[-1])
        self.anchor = data.mean(axis=0)
        self.white = self._whiten(data - self.anchor)
        self.square = np.einsum("nd,nd->n", self.white, self.white)
        self.condition = likelihood.condition

    def coordinates(self, change: Array) -> Array:
        return self._whiten(change)

    def dense(self, params: Array) -> tuple[Array, Array]:
        points = self._whiten(params - self.anchor)
        norms = np.einsum("md,md->m", points, points)
        square = self.white @ points.T
        square *= -2
        square += self.square[:, None]
        square += norms
        # The expanded square has lost digits; subtracting that error keeps the bound valid.
        square -= 1e-14 * (self.square.max() + norms)
        np.maximum(square, 0, out=square)
        return self.constant - 0.5 * square, np.sqrt(square)

    def greatest_slope(self, params: Array) -> Array:
        points = self._whiten(params - self.anchor)
        return np.sqrt(np.einsum("md,md->m", points, points)) + np.sqrt(self.square.max())

    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        # x - f is computed before the division by the scale, so that it keeps its digits.
        score = self._whiten(self.data[datum] - point[:, None])
        return self.constant - 0.5 * np.einsum("cld,cld->cl", score, score), score

    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        half = 0.5 * np.einsum("cmd,cmd->cm", delta, delta)
        out = score @ np.swapaxes(delta, -1, -2)
        out -= half[:, None]
        return out

    def bend(self, point: Array, delta: Array) -> Array:
        out: Array = 0.5 * np.einsum("cmd,cmd->cm", delta, delta).max(axis=-1)
        return out

    def upper(self, log_prob: Array, slope: Array, reach: Array, curvature: Curvature) -> Array:
        return self.constant - 0.5 * np.maximum(slope - reach, 0) ** 2
