"""Decoders whose images are curves of unit speed: circle, helix and catenary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, positive, vectors
from vaetheory.decoders.base import Decoder


@dataclass(frozen=True)
class Circle(Decoder):
    """The circle of radius r at unit speed, f(z) = r (cos(z / r), sin(z / r)); d = 1, D = 2.

    Its metric is constant, but it is not injective: z and z + 2 pi r decode to the same datum.

    Examples
    --------
    >>> Circle(2.0)([[0.0]]).tolist()
    [[2.0, 0.0]]
    """

    radius: float

    #: Dimension d of the latent space.
    latent_dim = 1
    growth_degree = 0

    def __init__(self, radius: float) -> None:
        object.__setattr__(self, "radius", float(positive("radius", radius)))

    def __call__(self, z: ArrayLike) -> Array:
        angle = vectors("z", z, 1)[..., 0] / self.radius
        return self.radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)

    def jacobian(self, z: Array) -> Array:
        angle = vectors("z", z, 1) / self.radius
        return np.stack([-np.sin(angle), np.cos(angle)], axis=-2)

    def hessian(self, z: Array) -> Array:
        return -self(z)[..., None, None] / self.radius**2


@dataclass(frozen=True)
class Helix(Decoder):
    """The helix at unit speed, f(z) = (r cos(z/c), r sin(z/c), p z/c), c^2 = r^2 + p^2.

    Its metric is constant, its curvature is r / c^2, and it is injective; d = 1, D = 3.

    Examples
    --------
    >>> Helix(3.0, 4.0)([[0.0]]).tolist()
    [[3.0, 0.0, 0.0]]
    """

    radius: float
    pitch: float

    #: Dimension d of the latent space.
    latent_dim = 1
    growth_degree = 1

    def __init__(self, radius: float, pitch: float) -> None:
        object.__setattr__(self, "radius", float(positive("radius", radius)))
        object.__setattr__(self, "pitch", float(positive("pitch", pitch)))

    @property
    def curvature(self) -> float:
        """Curvature of the curve."""
        return self.radius / (self.radius**2 + self.pitch**2)

    def _turn(self, z: ArrayLike) -> tuple[Array, float]:
        length = float(np.hypot(self.radius, self.pitch))
        return vectors("z", z, 1)[..., 0] / length, length

    def __call__(self, z: ArrayLike) -> Array:
        t, _ = self._turn(z)
        return np.stack([self.radius * np.cos(t), self.radius * np.sin(t), self.pitch * t], axis=-1)

    def jacobian(self, z: Array) -> Array:
        t, length = self._turn(z)
        rise = np.full_like(t, self.pitch)
        tangent = np.stack([-self.radius * np.sin(t), self.radius * np.cos(t), rise], axis=-1)
        return tangent[..., None] / length

    def hessian(self, z: Array) -> Array:
        t, length = self._turn(z)
        bend = np.stack([np.cos(t), np.sin(t), np.zeros_like(t)], axis=-1)
        return -self.radius * bend[..., None, None] / length**2


@dataclass(frozen=True)
class Catenary(Decoder):
    """The catenary at unit speed, f(z) = (a arsinh(z / a), sqrt(a^2 + z^2)); d = 1, D = 2.

    Its metric is constant; its curvature a / (a^2 + z^2) is not.

    Examples
    --------
    >>> Catenary(2.0)([[0.0]]).tolist()
    [[0.0, 2.0]]
    """

    scale: float

    #: Dimension d of the latent space.
    latent_dim = 1
    growth_degree = 1

    def __init__(self, scale: float) -> None:
        object.__setattr__(self, "scale", float(positive("scale", scale)))

    def curvature(self, z: ArrayLike) -> Array:
        """Curvature of the curve at z, `(..., 1) -> (...)`."""
        return self.scale / (self.scale**2 + vectors("z", z, 1)[..., 0] ** 2)

    def _place(self, z: ArrayLike) -> tuple[Array, Array]:
        place = vectors("z", z, 1)[..., 0]
        return place, np.hypot(self.scale, place)

    def __call__(self, z: ArrayLike) -> Array:
        place, height = self._place(z)
        return np.stack([self.scale * np.arcsinh(place / self.scale), height], axis=-1)

    def jacobian(self, z: Array) -> Array:
        place, height = self._place(z)
        return np.stack([self.scale / height, place / height], axis=-1)[..., None]

    def hessian(self, z: Array) -> Array:
        place, height = self._place(z)
        normal = np.stack([-place / height, self.scale / height], axis=-1)
        return (self.curvature(z)[..., None] * normal)[..., None, None]
