"""The base class of flows that apply one monotone function to every coordinate."""

from __future__ import annotations

from abc import abstractmethod

import autograd.numpy as anp
import numpy as np

from vaetheory._validation import Array, integer, points
from vaetheory.flows.base import Flow


class Elementwise(Flow):
    """A flow that applies a monotone function of one variable to every coordinate.

    One of your own is a subclass with the five functions of one variable below.

    Parameters
    ----------
    latent_dim : int
        d.
    """

    #: Larger latents raise an error, because the output or its square would overflow. As the
    #: decoder of a model, which is evaluated at any latent, the flow clips them instead.
    limit = np.inf

    def __init__(self, latent_dim: int) -> None:
        self.latent_dim = integer("latent_dim", latent_dim, low=1)

    @abstractmethod
    def value(self, z: Array) -> Array:
        """The function."""

    @abstractmethod
    def solve(self, x: Array) -> Array:
        """Its inverse."""

    @abstractmethod
    def log_slope(self, z: Array) -> Array:
        """Log of its derivative, which is positive."""

    @abstractmethod
    def slope(self, z: Array) -> Array:
        """Its derivative."""

    @abstractmethod
    def bend(self, z: Array) -> Array:
        """Its second derivative."""

    def forward(self, z: Array) -> Array:
        return self.value(self._latents(z))

    def __call__(self, z: Array) -> Array:
        return self.value(self._stopped(z))

    def inverse(self, x: Array) -> Array:
        return self.solve(points("x", x, self.latent_dim))

    def log_det(self, z: Array) -> Array:
        return anp.sum(self.log_slope(self._latents(z)), axis=-1)

    def jacobian(self, z: Array) -> Array:
        return self.slope(self._stopped(z))[..., None] * np.eye(self.latent_dim)

    def hessian(self, z: Array) -> Array:
        d = self.latent_dim
        diagonal = np.eye(d)[:, :, None] * np.eye(d)[:, None, :]
        return self.bend(self._stopped(z))[..., None, None] * diagonal

    def _latents(self, z: Array) -> Array:
        return points("z", z, self.latent_dim, limit=self.limit)

    def _stopped(self, z: Array) -> Array:
        array = points("z", z, self.latent_dim)
        return np.clip(array, -self.limit, self.limit) if type(array) is np.ndarray else array
