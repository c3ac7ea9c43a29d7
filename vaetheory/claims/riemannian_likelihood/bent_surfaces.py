"""Checks of 7b-curvature and 5f-arc: connection and curvature of pull-back metrics, two ways.

The second way is elementary: a family whose distributions lie isometrically in a Euclidean space,
by a map y written out here, makes of a surface z -> theta(z) one in that space, Y = y(theta(z)).
Its metric, connection and curvature are those of classical surface theory, from the derivatives
of Y along two coordinates by autograd; none of the library's geometry is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import jacobian
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, geometry, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder
from vaetheory.likelihoods import Likelihood
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_MONOMIALS = np.array([[1, 0], [0, 1], [2, 0], [1, 1], [0, 2]])


def _softmax(t: Any) -> Any:
    e = anp.exp(t - anp.max(t))
    return e / anp.sum(e)


#: Families with an isometric map of their parameters into a Euclidean space.
IMMERSIONS: dict[str, tuple[Likelihood, Callable[[Any], Any]]] = {
    "Gaussian": (likelihoods.Gaussian(scale=0.5), lambda t: 2 * t),
    "Bernoulli": (likelihoods.Bernoulli(), lambda t: 2 * anp.arctan(anp.exp(t / 2))),
    "Poisson": (likelihoods.Poisson(), lambda t: 2 * anp.exp(t / 2)),
    "Gamma": (likelihoods.Gamma(shape=4.0), lambda t: 2 * t),
    "negative binomial": (
        likelihoods.NegativeBinomial(shape=4.0),
        lambda t: 4 * anp.arcsinh(anp.exp(t / 2) / 2),
    ),
    "Categorical": (likelihoods.Categorical(), lambda t: 2 * anp.sqrt(_softmax(t))),
}


@dataclass(frozen=True)
class BentSurface:
    """A surface theta = sum of monomials u, v, u^2, uv, v^2 (rows), a point, and two directions."""

    family: str
    coefficients: tuple[Vector, ...]
    z: Vector
    first: Vector
    second: Vector

    @property
    def decoder(self) -> Decoder:
        """The surface."""
        return decoders.Polynomial(_MONOMIALS, self.coefficients)

    @property
    def model(self) -> LatentModel:
        """The latent model whose metric is looked at."""
        return LatentModel(self.decoder, IMMERSIONS[self.family][0], 2)

    def immersed(self, z: Any) -> Any:
        """Y(z) for a point `(2,)`."""
        u, v = z[0], z[1]
        theta = anp.dot(anp.stack([u, v, u * u, u * v, v * v]), np.array(self.coefficients))
        return IMMERSIONS[self.family][1](theta)

    def derivatives(self) -> tuple[Array, Array]:
        """First and second derivatives of Y, `(n, 2)` and `(n, 2, 2)`."""
        z = np.array(self.z)
        first = jacobian(self.immersed)
        return np.asarray(first(z)), np.asarray(jacobian(first)(z))

    def metric(self, z: Any) -> Any:
        """The metric at points `(..., 2)` of a Gaussian of unit scale, written for autograd."""
        u, v = z[..., 0], z[..., 1]
        zero, one = 0 * u, 1 + 0 * u
        rows = [[one, zero, 2 * u, v, zero], [zero, one, zero, u, 2 * v]]
        tangents = [anp.dot(anp.stack(row, axis=-1), np.array(self.coefficients)) for row in rows]
        pairs = [[anp.sum(a * b, axis=-1) for b in tangents] for a in tangents]
        return anp.stack([anp.stack(row, axis=-1) for row in pairs], axis=-2)


@st.composite
def bent_surfaces(draw: DrawFn) -> BentSurface:
    """Surfaces of three parameters that are immersions at the point, and two directions."""
    family = draw(st.sampled_from(tuple(IMMERSIONS)))
    bend = strategies.vectors(3, -2, 2, 2)
    rows = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), draw(bend), draw(bend), draw(bend))
    z = draw(strategies.vectors(2, -2, 2, 2))
    first, second = draw(strategies.vectors(2, -2, 2, 1)), draw(strategies.vectors(2, -2, 2, 1))
    assume(abs(first[0] * second[1] - first[1] * second[0]) > 0)
    scene = BentSurface(family, rows, z, first, second)
    tangents, _ = scene.derivatives()
    assume(np.linalg.cond(tangents) < 16)
    return scene


@dataclass(frozen=True)
class Classical:
    """Metric `(2, 2)`, connection `(2, 2, 2)` and Gauss's curvature by classical formulas."""

    metric: Array
    connection: Array
    curvature: float


def gauss(scene: BentSurface, *, sign: float = -1.0, halved: float = 1.0) -> Classical:
    """K = (N_11 . N_22 - |N_12|^2) / det g, N the normal part of the second derivatives."""
    tangents, second = scene.derivatives()
    g = tangents.T @ tangents
    lowered = np.einsum("na,nbc->abc", tangents, second)
    connection = np.linalg.solve(g, lowered.reshape(2, 4)).reshape(2, 2, 2)
    normal = second - np.einsum("na,abc->nbc", tangents, connection)
    product = normal[:, 0, 0] @ normal[:, 1, 1] + sign * normal[:, 0, 1] @ normal[:, 0, 1]
    return Classical(g, halved * connection, float(product / np.linalg.det(g)))


def undivided(scene: BentSurface) -> Classical:
    """The curvature without the area of the frame."""
    found = gauss(scene)
    return Classical(
        found.metric, found.connection, found.curvature * float(np.linalg.det(found.metric))
    )


def with_normal_connection(scene: BentSurface) -> Classical:
    """The product of the whole second derivatives in place of their normal parts."""
    second = scene.derivatives()[1]
    found = gauss(scene)
    product = second[:, 0, 0] @ second[:, 1, 1] - second[:, 0, 1] @ second[:, 0, 1]
    return Classical(found.metric, found.connection, float(product / np.linalg.det(found.metric)))


def curvature_is_intrinsic(
    scene: BentSurface, *, classical: Callable[[BentSurface], Classical] = gauss
) -> Comparison:
    """Every form of the library's curvature, in closed form and from a metric's derivatives."""
    z, u, v = (np.array(t) for t in (scene.z, scene.first, scene.second))
    expected = classical(scene)
    g, K = expected.metric, expected.curvature
    area = float(np.linalg.det(g))
    riemann = K * (np.einsum("ac,bd->abcd", np.eye(2), g) - np.einsum("ad,bc->abcd", np.eye(2), g))
    _, second = scene.derivatives()
    condition = float(np.linalg.cond(g))
    bend = float(np.abs(second).max())
    size = 1 + bend**2 * float(np.trace(g)) / area
    # Chains of a few hundred operations; solving with g costs its condition number.
    rounding = gamma(2000) * condition**2 * size
    spread = float(np.abs(g).max())

    def agree(metric: object) -> list[Comparison]:
        pairs = (
            (geometry.christoffel_symbols(metric, z), expected.connection, 1.0),
            (geometry.gaussian_curvature(metric, z), K, 1.0),
            (geometry.sectional_curvature(metric, z, u, v), K, 1.0),
            (geometry.scalar_curvature(metric, z), 2 * K, 2.0),
            (geometry.ricci_curvature(metric, z), K * g, spread),
            (geometry.riemann_curvature(metric, z), riemann, spread),
        )
        return [
            Comparison.identity(a, b, scale=s * size, rounding=s * rounding) for a, b, s in pairs
        ]

    parts = agree(scene.model)
    if scene.family == "Gaussian":
        # Of scale 1/2: four times the metric of unit scale.
        parts += agree(lambda p: 4 * scene.metric(p))
    return Comparison.all_of(*parts)


# 5f-arc -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arc:
    """A curve z -> a z + b z^2 + c z^3 (rows), of unit noise, and a share of it."""

    coefficients: tuple[Vector, ...]
    share: float


@st.composite
def arcs(draw: DrawFn) -> Arc:
    """Curves in the plane or in space that never stand still."""
    dim = draw(st.integers(2, 3))
    rest = draw(st.tuples(*[strategies.vectors(dim - 1, -2, 2, 2)] * 3))
    # Along the first axis the speed is 1 + 3 c z^2.
    along = (1.0, 0.0, draw(st.sampled_from((0.0, 0.5))))
    rows = tuple((first, *row) for first, row in zip(along, rest, strict=True))
    assume(any(any(row) for row in rows[1:]))
    return Arc(rows, draw(st.sampled_from((0.5, 0.25, 0.75, 0.0, 1.0))))


def unit_speed(arc: Arc, *, power: int = 2, sign: float = -1.0, bent: float = 1.0) -> Comparison:
    """By arc length the tangent has length one and the second derivative is the curvature vector.

    f_ss = (f_zz - (f_z . f_zz / |f_z|^2) f_z) / |f_z|^2, from the polynomial itself.
    """
    decoder = decoders.Polynomial([[1], [2], [3]], arc.coefficients)
    by = geometry.arc_length_parametrisation(decoder, -1.0, 1.0)
    s = np.array([by.lengths[0] + arc.share * (by.lengths[1] - by.lengths[0])])
    even = by.decoder(decoder)
    z = by.latent(s)
    first, second = decoder.jacobian(z)[:, 0], decoder.hessian(z)[:, 0, 0]
    speed = float(np.linalg.norm(first))
    along = float(first @ second) / speed**2
    curvature = bent * (second + sign * along * first) / speed**power
    found, unit = even.hessian(s)[:, 0, 0], even.jacobian(s)[:, 0]
    size = 1 + float(np.linalg.norm(second)) * (1 + 1 / speed**2)
    # The latent is off by the inverse map's rounding, which moves all by the derivatives' own size.
    third = 6 * float(np.abs(np.array(arc.coefficients)).max())
    rounding = gamma(200) * size * (1 + third) * (1 + by.lengths[1] - by.lengths[0])
    return Comparison.all_of(
        Comparison.identity(unit, first / speed, scale=1.0, rounding=rounding),
        Comparison.identity(found @ unit, 0.0, scale=size, rounding=rounding),
        Comparison.identity(found, curvature, scale=size, rounding=rounding),
    )
