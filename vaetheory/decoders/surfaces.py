"""Decoders whose images are surfaces: flat ones (cylinder, torus) and the curved sphere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, positive, vectors
from vaetheory.decoders.base import Decoder
from vaetheory.decoders.curves import Circle


@dataclass(frozen=True)
class Cylinder(Decoder):
    """The cylinder of radius r, f(u, v) = (r cos(u / r), r sin(u / r), v); d = 2, D = 3.

    Its metric is the unit matrix everywhere, although it is bent. Like the circle, it is not
    injective.

    Examples
    --------
    >>> Cylinder(2.0)([[0.0, 3.0]]).tolist()
    [[2.0, 0.0, 3.0]]
    """

    radius: float

    #: Dimension d of the latent space.
    latent_dim = 2
    growth_degree = 1

    def __init__(self, radius: float) -> None:
        object.__setattr__(self, "radius", Circle(radius).radius)

    def __call__(self, z: ArrayLike) -> Array:
        points = vectors("z", z, 2)
        return np.concatenate([Circle(self.radius)(points[..., :1]), points[..., 1:]], axis=-1)

    def jacobian(self, z: Array) -> Array:
        points = vectors("z", z, 2)
        first = np.zeros((*points.shape[:-1], 3, 2))
        first[..., :2, :1] = Circle(self.radius).jacobian(points[..., :1])
        first[..., 2, 1] = 1.0
        return first

    def hessian(self, z: Array) -> Array:
        points = vectors("z", z, 2)
        second = np.zeros((*points.shape[:-1], 3, 2, 2))
        second[..., :2, :1, :1] = Circle(self.radius).hessian(points[..., :1])
        return second


@dataclass(frozen=True)
class FlatTorus(Decoder):
    """The product of two circles at unit speed with radii r and s; d = 2, D = 4.

    Its metric is the unit matrix everywhere. Like the circle, it is not injective.

    Examples
    --------
    >>> FlatTorus(1.0, 2.0)([[0.0, 0.0]]).tolist()
    [[1.0, 0.0, 2.0, 0.0]]
    """

    radius: float
    other_radius: float

    #: Dimension d of the latent space.
    latent_dim = 2
    growth_degree = 0

    def __init__(self, radius: float, other_radius: float) -> None:
        object.__setattr__(self, "radius", float(positive("radius", radius)))
        object.__setattr__(self, "other_radius", float(positive("other_radius", other_radius)))

    def _circles(self) -> tuple[Circle, Circle]:
        return Circle(self.radius), Circle(self.other_radius)

    def __call__(self, z: ArrayLike) -> Array:
        points = vectors("z", z, 2)
        one, other = self._circles()
        return np.concatenate([one(points[..., :1]), other(points[..., 1:])], axis=-1)

    def jacobian(self, z: Array) -> Array:
        points = vectors("z", z, 2)
        first = np.zeros((*points.shape[:-1], 4, 2))
        for i, circle in enumerate(self._circles()):
            first[..., 2 * i : 2 * i + 2, [i]] = circle.jacobian(points[..., [i]])
        return first

    def hessian(self, z: Array) -> Array:
        points = vectors("z", z, 2)
        second = np.zeros((*points.shape[:-1], 4, 2, 2))
        for i, circle in enumerate(self._circles()):
            second[..., 2 * i : 2 * i + 2, i, i] = circle.hessian(points[..., [i]])[..., 0, 0]
        return second


@dataclass(frozen=True)
class SpherePatch(Decoder):
    """The sphere of radius r without one point, in stereographic coordinates; d = 2, D = 3.

    f(z) = (z / s, r (2 / s - 1)) with s = 1 + z.z / 4 r^2. Its metric is I / s^2, the unit matrix
    at the origin. It is not constant in any coordinates, because the curvature is 1 / r^2.

    Examples
    --------
    >>> SpherePatch(2.0)([[0.0, 0.0], [4.0, 0.0]]).tolist()
    [[0.0, 0.0, 2.0], [2.0, 0.0, 0.0]]
    """

    radius: float

    #: Dimension d of the latent space.
    latent_dim = 2
    growth_degree = 0

    def __init__(self, radius: float) -> None:
        object.__setattr__(self, "radius", float(positive("radius", radius)))

    def _height(self, z: ArrayLike) -> tuple[Array, Array, Array, Array]:
        """Latents, and t = 1 / s with its first and second derivatives."""
        points = vectors("z", z, 2)
        a = 0.5 / self.radius**2
        t = 1 / (1 + 0.5 * a * (points**2).sum(axis=-1))
        first = -a * (t**2)[..., None] * points
        outer = points[..., :, None] * points[..., None, :]
        second = (2 * a**2 * t**3)[..., None, None] * outer - (a * t**2)[..., None, None] * np.eye(
            2
        )
        return points, t, first, second

    def __call__(self, z: ArrayLike) -> Array:
        points, t, _, _ = self._height(z)
        up = self.radius * (2 * t - 1)
        return np.concatenate([points * t[..., None], up[..., None]], axis=-1)

    def jacobian(self, z: Array) -> Array:
        points, t, first, _ = self._height(z)
        flat = t[..., None, None] * np.eye(2) + points[..., :, None] * first[..., None, :]
        return np.concatenate([flat, 2 * self.radius * first[..., None, :]], axis=-2)

    def hessian(self, z: Array) -> Array:
        points, _, first, second = self._height(z)
        mixed = np.eye(2)[:, :, None] * first[..., None, None, :]
        flat = (
            mixed + np.swapaxes(mixed, -1, -2) + points[..., None, None] * second[..., None, :, :]
        )
        return np.concatenate([flat, 2 * self.radius * second[..., None, :, :]], axis=-3)
