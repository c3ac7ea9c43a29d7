"""Metrics as functions on the latent space, with their Christoffel symbols and curvature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, cast

import autograd.numpy as anp
import numpy as np
from numpy.typing import ArrayLike

from vaetheory import derivatives, differences
from vaetheory._validation import Array, dimension, require_callable, vectors
from vaetheory.decoders import Decoder
from vaetheory.decoders._outputs import as_output
from vaetheory.geometry.information import (
    fisher_pullback,
)
from vaetheory.likelihoods import Gaussian
from vaetheory.models import LatentModel, require_model
from vaetheory.rounding import ULP

# Errors that a function not written for autograd may raise when it is traced.
_UNTRACEABLE = (TypeError, ValueError, AttributeError, IndexError, KeyError, RuntimeError)


def _refuse(points: Array, bad: np.ndarray, came: str) -> None:
    where = points[bad].reshape(-1, points.shape[-1])[0].tolist()
    raise ValueError(f"metric: expected a positive-definite matrix at z = {where}, {came}")


def require_definite(g: Array, points: Array) -> None:
    """Raise a ValueError that names the first point where `g` is not positive definite."""
    diagonal = np.einsum("...ii->...i", g)
    bad = np.asarray(~np.isfinite(g).all(axis=(-2, -1)))
    if bad.any():
        _refuse(points, bad, f"got {g[bad][0].tolist()}")
    bad = ~(diagonal > 0).all(axis=-1)
    if bad.any():
        _refuse(points, bad, f"got a diagonal of {diagonal[bad][0].tolist()}")
    # The matrix is scaled to unit diagonal, so that the units of the coordinates do not matter.
    root = np.sqrt(diagonal)
    least = np.linalg.eigvalsh(g / root[..., :, None] / root[..., None, :])[..., 0]
    bad = least <= 4 * g.shape[-1] * ULP
    if bad.any():
        _refuse(points, bad, f"got a least eigenvalue of {least[bad][0]:.3g} at unit diagonal")


def raised(g: Array, lowered: Array) -> Array:
    """Raise the first of the indices `(..., d, d, ...)` with the inverse of `g` `(..., d, d)`."""
    flat = lowered.reshape(*g.shape[:-1], -1)
    root = np.sqrt(np.einsum("...ii->...i", g))
    scaled = g / root[..., :, None] / root[..., None, :]
    solved = np.linalg.solve(scaled, flat / root[..., None]) / root[..., None]
    return solved.reshape(lowered.shape)


class Metric(ABC):
    """A Riemannian metric on the latent space."""

    @abstractmethod
    def __call__(self, z: ArrayLike) -> Array:
        """The metric g_ab, `(..., d) -> (..., d, d)`; a ValueError if not positive definite."""

    @abstractmethod
    def christoffel(self, z: ArrayLike) -> Array:
        """Christoffel symbols Gamma^a_bc, `(..., d, d, d)`."""

    @abstractmethod
    def curvature(self, z: ArrayLike) -> Array:
        """Riemann tensor R_abcd with all indices lowered, `(..., d, d, d, d)`."""


class FunctionMetric(Metric):
    """A metric given as a function.

    Parameters
    ----------
    function : callable
        `(..., d) -> (..., d, d)`, row by row, symmetric and positive definite. If it is written
        with `autograd.numpy`, its derivatives are exact up to rounding. Otherwise it is
        differentiated by extrapolated central differences: if it is smooth on the scale of one,
        the Christoffel symbols have about eleven digits and the curvature has nine.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> plane = FunctionMetric(lambda z: anp.eye(2) / z[..., 1:, None] ** 2)
    >>> plane([[0.0, 2.0]]).tolist()
    [[[0.25, 0.0], [0.0, 0.25]]]
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        require_callable("metric", function, "(..., d) -> (..., d, d)")
        self.function = function

    def __call__(self, z: ArrayLike) -> Array:
        points = vectors("z", z, None)
        d = points.shape[-1]
        # A function may divide by zero at the edge of its domain; this is checked below.
        with np.errstate(all="ignore"):
            g = as_output(self.function(points), "metric")
        if g.dtype.kind not in "biuf" or g.shape != (*points.shape, d):
            raise ValueError(
                f"metric: expected real numbers of shape {(*points.shape, d)} for z of shape "
                f"{points.shape}, got {g.dtype} of shape {g.shape}"
            )
        bad = ~np.isfinite(g).all(axis=(-2, -1))
        if bad.any():
            _refuse(points, bad, f"got {g[bad][0].tolist()}")
        transposed = np.swapaxes(g, -1, -2)
        bad = np.abs(g - transposed).max(axis=(-2, -1)) > 1e-12 * np.abs(g).max(axis=(-2, -1))
        if bad.any():
            _refuse(points, bad, f"got the asymmetric {g[bad][0].tolist()}")
        g = (g + transposed) / 2
        require_definite(g, points)
        return g

    def _with_nan(self, z: Array) -> Array:
        """The function at points, with NaN at points outside its domain."""
        try:
            return np.asarray(self._flat(z), dtype=float)
        except ValueError:
            d = z.shape[-1]
            rows = [self._row_with_nan(row) for row in z.reshape(-1, 1, d)]
            return np.concatenate(rows).reshape(*z.shape[:-1], d * d)

    def _row_with_nan(self, row: Array) -> Array:
        try:
            return np.asarray(self._flat(row), dtype=float)
        except ValueError:
            return np.full((1, row.shape[-1] ** 2), np.nan)

    def _flat(self, z: Any) -> Any:
        g = self.function(z)
        if isinstance(g, np.ndarray) and g.dtype == object:
            raise TypeError("got tracers of autograd in a NumPy array")
        *leading, d = np.shape(z)
        return anp.reshape(g, (*leading, d * d))

    def _differentiate(self, name: str, z: Array) -> Array:
        """Derivatives of g_ab; the last axes are those of differentiation."""
        d = z.shape[-1]
        try:
            slopes = getattr(derivatives, name)(self._flat, z)
        except _UNTRACEABLE:
            slopes = getattr(differences, name)(self._with_nan, z)
        if not np.isfinite(slopes).all():
            bad = ~np.isfinite(slopes).reshape(*z.shape[:-1], -1).all(axis=-1)
            where = z[bad].reshape(-1, d)[0].tolist()
            raise ValueError(
                f"metric: expected a smooth metric at z = {where}, got one without a derivative"
            )
        slopes = slopes.reshape(*z.shape, *(d,) * (slopes.ndim - z.ndim + 1))
        return (slopes + np.swapaxes(slopes, z.ndim - 1, z.ndim)) / 2

    def _lowered(self, slope: Array) -> Array:
        """Gamma_abc = 1/2 (d_c g_ab + d_b g_ac - d_a g_bc) from slope[a, b, c] = d_c g_ab."""
        return 0.5 * (slope + np.swapaxes(slope, -1, -2) - np.moveaxis(slope, -1, -3))

    def christoffel(self, z: ArrayLike) -> Array:
        g, points = self(z), vectors("z", z, None)
        return raised(g, self._lowered(self._differentiate("jacobian", points)))

    def curvature(self, z: ArrayLike) -> Array:
        g, points = self(z), vectors("z", z, None)
        lowered = self._lowered(self._differentiate("jacobian", points))
        second = self._differentiate("hessian", points)
        # 1/2 (g_ad,bc + g_bc,ad - g_ac,bd - g_bd,ac), with g_ab,cd = second[a, b, c, d].
        ad_bc = np.einsum("...adbc->...abcd", second)
        bc_ad = np.einsum("...bcad->...abcd", second)
        linear = 0.5 * (ad_bc + bc_ad)
        linear = linear - np.swapaxes(linear, -1, -2)
        # In an orthonormal frame the symmetries of the tensor hold to the last digit.
        scale = np.sqrt(np.einsum("...ii->...i", g))
        root = np.linalg.cholesky(g / scale[..., :, None] / scale[..., None, :])
        flat = lowered.reshape(*points.shape, -1) / scale[..., None]
        framed = np.linalg.solve(root, flat).reshape(lowered.shape)
        product = np.einsum("...ebc,...ead->...abcd", framed, framed)
        return linear + (product - np.swapaxes(product, -1, -2))


class PullbackMetric(Metric):
    """The pull-back metric of a latent model, with its geometry in closed form.

    Parameters
    ----------
    model : LatentModel
        With a Gaussian or categorical likelihood, or one with independent dimensions.

    Notes
    -----
    The own metric of such a family is flat, or that of a sphere, so the decoder is a surface in a
    space of constant curvature k, with tangents V_a and second derivatives W_bc in that space.
    Gamma^a_bc are the coefficients of W_bc along the tangents. The remainder N_bc gives the Gauss
    equation R_abcd = N_ac . N_bd - N_ad . N_bc + k (g_ac g_bd - g_ad g_bc). No third derivative is
    needed, and the result is exact up to rounding if the decoder's two derivatives are exact.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Circle(2.0), likelihoods.Gaussian(scale=0.5), 1)
    >>> PullbackMetric(model)([[0.0]]).tolist()
    [[[4.0]]]
    """

    def __init__(self, model: LatentModel) -> None:
        require_model(model)
        if model.likelihood.ambient_curvature is None:
            raise ValueError(
                "likelihood: expected one with an isometric immersion in a flat space, got "
                f"{type(model.likelihood).__name__}; `as_metric` accepts any model"
            )
        self.model = model

    def __call__(self, z: ArrayLike) -> Array:
        with np.errstate(all="ignore"):
            g = fisher_pullback(self.model, z)
        require_definite(g, vectors("z", z, self.model.latent_dim))
        return g

    def _frame(self, z: ArrayLike) -> tuple[Array, Array, Array]:
        """Orthonormal tangents Q, the R of V = Q R, and second derivatives W `(..., D, d^2)`."""
        model, points = self.model, vectors("z", z, self.model.latent_dim)
        params, jacobian = model.decode(points), model.decoder.jacobian(points)
        tangents = model.likelihood.immersed_jacobian(params, jacobian)
        norms = np.linalg.norm(tangents, axis=-2)
        bad = ~((norms > 0) & np.isfinite(norms)).all(axis=-1)
        if bad.any():
            _refuse(points, bad, f"got tangent vectors of lengths {norms[bad][0].tolist()}")
        unit = tangents / norms[..., None, :]
        d, size = unit.shape[-1], unit.shape[-2]
        least = np.linalg.svd(unit, compute_uv=False)[..., -1]
        bad = least <= 4 * max(d, size) * ULP if size >= d else np.ones_like(least, dtype=bool)
        if bad.any():
            _refuse(points, bad, f"got {d} tangent vectors that span less than {d} dimensions")
        q, r = np.linalg.qr(unit)
        hessian = model.decoder.hessian(points)
        second = model.likelihood.immersed_hessian(params, jacobian, hessian)
        return q, r * norms[..., None, :], second.reshape(*second.shape[:-2], d * d)

    def christoffel(self, z: ArrayLike) -> Array:
        q, r, second = self._frame(z)
        tangential = np.linalg.solve(r, np.swapaxes(q, -1, -2) @ second)
        return tangential.reshape(*r.shape, r.shape[-1])

    def curvature(self, z: ArrayLike) -> Array:
        q, r, second = self._frame(z)
        k = self.model.likelihood.ambient_curvature
        assert k is not None
        metric = np.swapaxes(r, -1, -2) @ r
        tensor = k * _area(metric, metric)
        # A surface that fills the space is not bent in it: the remainder would be rounding errors.
        if q.shape[-2] - (k > 0) > q.shape[-1]:
            normal = second - q @ (np.swapaxes(q, -1, -2) @ second)
            normal = normal.reshape(*normal.shape[:-1], *r.shape[-2:])
            product = np.einsum("...iac,...ibd->...abcd", normal, normal)
            tensor = tensor + (product - np.swapaxes(product, -1, -2))
        return tensor


def _area(one: Array, other: Array) -> Array:
    """one_ac other_bd - one_ad other_bc, `(..., d, d, d, d)`."""
    product = np.einsum("...ac,...bd->...abcd", one, other)
    return product - np.swapaxes(product, -1, -2)


def as_metric(metric: object, dim: int) -> Metric:
    """Return `metric` as a `Metric` over a latent space of `dim` dimensions.

    Parameters
    ----------
    metric : Metric, LatentModel, Decoder or callable
        A latent model becomes its pull-back metric, a decoder J^T J, and a callable
        `(..., d) -> (..., d, d)` a `FunctionMetric`.
    dim : int
        d.

    Raises
    ------
    ValueError
        If it is none of these, or a model with another latent dimension.
    """
    dimension("dim", dim)
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, Decoder):
        metric = LatentModel(metric, Gaussian(scale=1.0), dim)
    if isinstance(metric, LatentModel):
        if metric.latent_dim != dim:
            raise ValueError(
                f"metric: expected a model of latent dimension {dim}, as z has, got "
                f"{metric.latent_dim}"
            )
        model = metric
        if model.likelihood.ambient_curvature is not None:
            return PullbackMetric(model)
        return FunctionMetric(lambda z: fisher_pullback(model, z))
    require_callable("metric", metric, "(..., d) -> (..., d, d), a LatentModel or a decoder")
    return FunctionMetric(cast(Callable[[Any], Any], metric))
