"""The check of 7b-curvature: connection and curvature of pull-back metrics by two routes.

The second route is elementary. If a map y embeds the distributions of a family isometrically in a
Euclidean space, a surface z -> theta(z) becomes a surface Y = y(theta(z)) in that space. Classical
surface theory gives its metric, connection and curvature from the derivatives of Y along two
coordinates, here by autograd, without the library's geometry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import jacobian
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, geometry, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
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
    """A surface theta, a sum of u, v, u^2, uv, v^2 (rows), a point, and two directions."""

    family: str
    coefficients: tuple[Vector, ...]
    z: Vector
    first: Vector
    second: Vector

    @cached_property
    def decoder(self) -> Decoder:
        """The surface."""
        return decoders.Polynomial(_MONOMIALS, self.coefficients)

    @cached_property
    def model(self) -> LatentModel:
        """The latent model whose metric is checked."""
        return LatentModel(self.decoder, IMMERSIONS[self.family][0], 2)

    def immersed(self, z: Any) -> Any:
        """Y(z) for a point `(2,)`."""
        u, v = z[0], z[1]
        theta = anp.dot(anp.stack([u, v, u * u, u * v, v * v]), np.array(self.coefficients))
        return IMMERSIONS[self.family][1](theta)

    @cached_property
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
    """Surfaces with three parameters that are immersions at the point, and two directions."""
    family = draw(st.sampled_from(tuple(IMMERSIONS)))
    bend = strategies.vectors(3, -2, 2, 2)
    rows = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), draw(bend), draw(bend), draw(bend))
    z = draw(strategies.vectors(2, -2, 2, 2))
    first, second = draw(strategies.vectors(2, -2, 2, 1)), draw(strategies.vectors(2, -2, 2, 1))
    assume(abs(first[0] * second[1] - first[1] * second[0]) > 0)
    scene = BentSurface(family, rows, z, first, second)
    tangents, _ = scene.derivatives
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
    tangents, second = scene.derivatives
    g = tangents.T @ tangents
    lowered = np.einsum("na,nbc->abc", tangents, second)
    connection = np.linalg.solve(g, lowered.reshape(2, 4)).reshape(2, 2, 2)
    normal = second - np.einsum("na,abc->nbc", tangents, connection)
    product = normal[:, 0, 0] @ normal[:, 1, 1] + sign * normal[:, 0, 1] @ normal[:, 0, 1]
    return Classical(g, halved * connection, float(product / np.linalg.det(g)))


def undivided(scene: BentSurface) -> Classical:
    """The curvature not divided by the squared area of the frame."""
    right = gauss(scene)
    return Classical(
        right.metric, right.connection, right.curvature * float(np.linalg.det(right.metric))
    )


def with_normal_connection(scene: BentSurface) -> Classical:
    """The curvature from the whole second derivatives in place of their normal parts."""
    second = scene.derivatives[1]
    right = gauss(scene)
    product = second[:, 0, 0] @ second[:, 1, 1] - second[:, 0, 1] @ second[:, 0, 1]
    return Classical(right.metric, right.connection, float(product / np.linalg.det(right.metric)))


def curvature_is_intrinsic(
    scene: BentSurface, *, classical: Callable[[BentSurface], Classical] = gauss
) -> Comparison:
    """Check every curvature of the library, in closed form and from a metric's derivatives."""
    z, u, v = (np.array(t) for t in (scene.z, scene.first, scene.second))
    expected = classical(scene)
    g, K = expected.metric, expected.curvature
    area = float(np.linalg.det(g))
    riemann = K * (np.einsum("ac,bd->abcd", np.eye(2), g) - np.einsum("ad,bc->abcd", np.eye(2), g))
    _, second = scene.derivatives
    condition = float(np.linalg.cond(g))
    bend = float(np.abs(second).max())
    size = 1 + bend**2 * float(np.trace(g)) / area
    # A few hundred operations in sequence; a solve with g loses its condition number.
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
        # The scale is 1/2: four times the metric of unit scale.
        parts += agree(lambda p: 4 * scene.metric(p))
    return Comparison.all_of(*parts)


CURVATURE_IS_INTRINSIC = Proposition(
    label="7b-curvature",
    title="The curvature of the pull-back metric is Gauss's, of the surface it pulls back",
    statement=(
        r"K = \frac{N_{11}\cdot N_{22} - |N_{12}|^2}{\det g},\quad "
        r"N_{ij} = \partial_i\partial_j Y - \Gamma^k_{ij}\,\partial_k Y,\quad "
        r"R^a_{bcd} = K(\delta^a_c g_{bd} - \delta^a_d g_{bc}),\quad Y = y\circ f"
    ),
    hypotheses=(
        (
            "isometric families",
            r"y(\theta) \in \mathbb R^n,\ Dy^\top Dy = F(\theta)"
            r"\text{; of a categorical on the sphere of radius 2}",
        ),
        ("an immersion", r"g = DY^\top DY \succ 0,\ d = 2"),
    ),
    kind="identity",
    instances=bent_surfaces(),
    check=curvature_is_intrinsic,
    controls=wrong(
        curvature_is_intrinsic,
        {
            "the product added": {"classical": partial(gauss, sign=1.0)},
            "not divided by the area": {"classical": undivided},
            "second derivatives with their tangential part": {"classical": with_normal_connection},
            "half the connection": {"classical": partial(gauss, halved=0.5)},
        },
    ),
    uses=("7b",),
    examples=20,
)
