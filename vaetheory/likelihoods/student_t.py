"""Real data with heavy tails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array, positive, representable, scales
from vaetheory._value_equality import ByValue
from vaetheory.likelihoods.elementwise import ElementwiseLikelihood
from vaetheory.likelihoods.special import log_gamma_ratio
from vaetheory.likelihoods.supports import Support


@dataclass(frozen=True, eq=False)
class StudentT(ByValue, ElementwiseLikelihood):
    """Student's t likelihood of real data; the decoder gives locations.

    This is not an exponential family: there are no mean parameters, and neither the fit nor the
    divergence has a closed form. The Fisher information is (dof + 1) / (dof + 3) / scale^2 at every
    location.

    Parameters
    ----------
    dof : float
        Degrees of freedom, nu > 0; 1 is the Cauchy distribution.
    scale : float or array (D,)
        Scale(s) s > 0; the variance is s^2 nu / (nu - 2) where nu > 2.

    Examples
    --------
    >>> import numpy as np
    >>> family = StudentT(dof=1.0, scale=1.0)
    >>> round(float(np.exp(family.log_prob(np.zeros(1), np.zeros(1))) * np.pi), 12)
    1.0
    """

    parameter = "location"
    growth_degree = 0
    support = Support.REAL

    dof: float
    scale: Array

    def __init__(self, dof: float, scale: ArrayLike) -> None:
        spread = scales("scale", scale)
        object.__setattr__(self, "dof", float(positive("dof", dof)))
        object.__setattr__(self, "scale", spread)
        object.__setattr__(self, "data_dim", len(spread) if spread.ndim else None)

    def check_data(self, x: ArrayLike) -> Array:
        data = super().check_data(x)
        with np.errstate(over="ignore"):
            representable("x", data / (self.scale * np.sqrt(self.dof)), "multiples of the scale")
        return data

    def _tangent(self, x: Array, params: Array) -> tuple[Array, Array, Array]:
        """Residual w in units of sqrt(nu) s, and the sine and cosine of its arc tangent."""
        w = (x - params) / (self.scale * np.sqrt(self.dof))
        length = np.hypot(1.0, w)
        return w, w / length, 1 / length

    def _peak(self) -> Array:
        """Log density at the location, of each data dimension."""
        ratio = log_gamma_ratio(np.asarray(self.dof / 2), np.asarray(0.5))
        return ratio - 0.5 * LOG_2PI - np.log(self.scale)

    def _log_prob(self, x: Array, params: Array) -> Array:
        w, _, cosine = self._tangent(x, params)
        # log(1 + w^2). For large w the square would overflow; for small w the logarithm of the
        # cosine would lose digits.
        near = np.log1p(np.minimum(np.abs(w), 1.0) ** 2)
        excess = np.where(np.abs(w) < 1, near, -2 * np.log(cosine))
        return self._peak() - 0.5 * (self.dof + 1) * excess

    def _limit(self, x: Array, params: Array) -> Array:
        return np.full(np.broadcast_shapes(x.shape, params.shape), -np.inf)

    def _greatest_log_prob(self, x: Array) -> Array:
        return np.broadcast_to(self._peak(), x.shape)

    def _score(self, x: Array, params: Array) -> Array:
        _, sine, cosine = self._tangent(x, params)
        return (self.dof + 1) / (self.scale * np.sqrt(self.dof)) * sine * cosine

    def _greatest_information(self) -> Array:
        return (1 + 1 / self.dof) / self.scale**2

    def _information(self, x: Array, params: Array) -> Array:
        _, sine, cosine = self._tangent(x, params)
        return self._greatest_information() * (cosine - sine) * (cosine + sine) * cosine**2

    def _fisher(self, params: Array) -> Array:
        return np.broadcast_to((self.dof + 1) / (self.dof + 3) / self.scale**2, params.shape)

    def _fisher_log_slope(self, params: Array) -> Array:
        return np.zeros_like(params)

    def curvature_bounds(self, x: Array) -> tuple[Array, Array]:
        # (1 - w^2) / (1 + w^2)^2 is between 1, at w = 0, and -1/8, at w^2 = 3.
        greatest = np.broadcast_to(self._greatest_information(), x.shape)
        return -greatest, greatest / 8

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        loc = self._vectors(params)
        return loc + self.scale * rng.standard_t(self.dof, loc.shape)
