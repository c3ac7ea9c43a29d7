"""Angles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import i0e, i1e

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array, positive
from vaetheory.likelihoods.elementwise import ElementwiseExponentialFamily, ElementwiseLikelihood
from vaetheory.likelihoods.supports import Support


@dataclass(frozen=True)
class VonMises(ElementwiseExponentialFamily):
    """Von Mises likelihood of angles with a fixed concentration; the decoder gives directions.

    Angles are in radians and count modulo 2 pi. The density in (-pi, pi] is
    exp(kappa cos(x - params)) / (2 pi I_0(kappa)).

    The family is curved: its statistics T = (cos x, sin x), and so its natural parameters and
    `mean`, are `(..., 2 D)`, the cosines of all dimensions before the sines. `fit` matches the
    direction of the mean of T; its length is fixed by the concentration.

    Parameters
    ----------
    concentration : float
        kappa > 0; the Fisher information is kappa I_1(kappa) / I_0(kappa).

    Examples
    --------
    >>> import numpy as np
    >>> family = VonMises(concentration=2.0)
    >>> x, direction = np.array([0.3]), np.array([1.1])
    >>> bool(np.isclose(family.log_prob(x, direction), family.log_prob(x + 2 * np.pi, direction)))
    True
    """

    parameter = "direction"
    support = Support.CIRCLE

    concentration: float

    def __init__(self, concentration: float) -> None:
        object.__setattr__(self, "concentration", float(positive("concentration", concentration)))

    def statistics(self, x: Array) -> Array:
        return np.concatenate([np.cos(x), np.sin(x)], axis=-1)

    def natural_parameters(self, params: Array) -> Array:
        return self.concentration * self.statistics(params)

    def _peak(self) -> float:
        """Log density in the direction of the params, of each data dimension."""
        return float(-LOG_2PI - np.log(i0e(self.concentration)))

    def _mean_length(self) -> float:
        return float(i1e(self.concentration) / i0e(self.concentration))

    def _log_partition(self, params: Array) -> Array:
        return np.full_like(params, self.concentration - self._peak())

    def _log_base(self, x: Array) -> Array:
        return np.zeros_like(x)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return ElementwiseLikelihood.log_prob(self, x, params)

    def _log_prob(self, x: Array, params: Array) -> Array:
        # cos - 1 by the half angle: near the mode all digits are kept.
        return self._peak() - 2 * self.concentration * np.sin((x - params) / 2) ** 2

    def _greatest_log_prob(self, x: Array) -> Array:
        return np.full_like(x, self._peak())

    def mean(self, params: Array) -> Array:
        return self._mean_length() * self.statistics(params)

    def _score(self, x: Array, params: Array) -> Array:
        return self.concentration * np.sin(x - params)

    def _information(self, x: Array, params: Array) -> Array:
        return self.concentration * np.cos(x - params)

    def _fisher(self, params: Array) -> Array:
        return np.full_like(params, self.concentration * self._mean_length())

    def _fisher_log_slope(self, params: Array) -> Array:
        return np.zeros_like(params)

    def curvature_bounds(self, x: Array) -> tuple[Array, Array]:
        return np.full_like(x, -self.concentration), np.full_like(x, self.concentration)

    def fit(self, x: Array, log_weights: Array) -> Array:
        cosines, sines = np.split(np.exp(log_weights) @ self.statistics(x), 2, axis=-1)
        return np.arctan2(sines, cosines)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        return rng.vonmises(self._vectors(params), self.concentration)

    def _divergence(self, params: Array, other: Array) -> Array:
        squares = np.sin((params - other) / 2) ** 2
        return 2 * self.concentration * self._mean_length() * squares.sum(axis=-1)
