"""Checks of 5e-isometric and 5e-curvature: the cost on decoders of constant metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.rates import power_law
from vaetheory.checking.strategies import Vector
from vaetheory.claims.constant_variance.ladders import exact_penalties, second_order_penalties
from vaetheory.claims.constant_variance.scenes import ISOTROPIC, NEAR
from vaetheory.decoders import Decoder
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class FlatData:
    """A decoder of constant metric I, and the latents of its data x_n = f(z_n)."""

    decoder: Decoder
    latents: tuple[Vector, ...]


def _flat(decoder: Decoder, dim: int) -> st.SearchStrategy[FlatData]:
    points = st.lists(strategies.vectors(dim, -4, 4, 2), min_size=2, max_size=3)
    return points.map(lambda z: FlatData(decoder, tuple(z)))


@st.composite
def flat_data(draw: DrawFn) -> FlatData:
    """Two or three points on a circle, helix, cylinder or flat torus."""
    curve = (decoders.Circle(1.0), decoders.Circle(2.0), decoders.Helix(1.0, 1.0))
    surface = (decoders.Cylinder(1.0), decoders.FlatTorus(1.0, 2.0))
    decoder = draw(st.sampled_from((*curve, *surface)))
    scene = draw(_flat(decoder, 2 if decoder in surface else 1))
    assume(isometric_coefficient(decoder, np.array(scene.latents)) > 1e-4)
    return scene


def _second_form(decoder: Decoder, Z: Array) -> Array:
    """K_ijkl = f_ij . f_kl at each z, `(N, d, d, d, d)`."""
    H = decoder.hessian(Z)
    return np.einsum("naij,nakl->nijkl", H, H)


def _spread(matrices: Array) -> float:
    away = matrices - matrices.mean(axis=0)
    return float((away**2).sum(axis=(-2, -1)).mean())


def isometric_coefficient(decoder: Decoder, Z: Array) -> float:
    """Coefficient of sigma^8 in the second-order penalty at constant metric."""
    return _spread(np.einsum("nijkl,nk,nl->nij", _second_form(decoder, Z), Z, Z)) / 16


def quarter_coefficient(decoder: Decoder, Z: Array) -> float:
    """The coefficient 1/4, without the two halves."""
    return 4 * isometric_coefficient(decoder, Z)


def first_powers(decoder: Decoder, Z: Array) -> float:
    """The spread of |z| in place of that of z^2."""
    return _spread(np.einsum("nijkl,nk->nij", _second_form(decoder, Z), np.abs(Z))) / 16


def isometric_penalty(
    scene: FlatData,
    *,
    coefficient: Callable[[Decoder, Array], float] = isometric_coefficient,
    exponent: float = 8.0,
) -> Comparison:
    """Check that at constant metric the second-order penalty is of order sigma^8."""
    Z = np.array(scene.latents)
    scales = 0.25 / 2.0 ** np.arange(4)
    values, errors = second_order_penalties(scene.decoder, Z, scales)
    value = coefficient(scene.decoder, Z)
    return power_law(
        values,
        errors,
        scales,
        exponent=exponent,
        coefficient=value,
        rounding=gamma(100) * float(np.abs(Z).max() ** 4 + 1),
    )


ISOMETRIC_PENALTY = Proposition(
    label="5e-isometric",
    title="On a constant metric the second-order cost is of order sigma^8",
    statement=(
        r"P_2 = \frac{\sigma^8}{16}\,\mathbb E\big\|w - \bar w\big\|_F^2 + O(\sigma^{10}),"
        r"\quad w_{ij} = f_{ij}\cdot f_{kl}\,z_k z_l;\quad "
        r"\text{circle of curvature } \kappa:\ \tfrac{\sigma^8}{16}\kappa^4\,"
        r"\mathrm{Var}(z^2)"
    ),
    hypotheses=(
        ISOTROPIC,
        ("constant metric", r"J^\top J = I"),
        ("data on the image", r"x_n = f(z_n),\ \text{modes near } z_n"),
    ),
    kind="rate",
    instances=flat_data(),
    check=isometric_penalty,
    controls=wrong(
        isometric_penalty,
        {
            "order sigma^6": {"exponent": 6.0},
            "a coefficient 1/4": {"coefficient": quarter_coefficient},
            "the spread of |z| for that of z^2": {"coefficient": first_powers},
        },
    ),
    uses=("5a", "5b"),
    figure="constant-variance",
    resolution=5e-2,
)


@st.composite
def catenary_data(draw: DrawFn) -> FlatData:
    """Two or three points on a catenary, of different curvature."""
    size = draw(st.sampled_from((1.0, 2.0)))
    scene = draw(_flat(decoders.Catenary(size), 1))
    assume(curvature_coefficient(scene.decoder, np.array(scene.latents)) > 2e-3 / size**4)
    return scene


def curvature_coefficient(decoder: Decoder, Z: Array) -> float:
    """Coefficient of sigma^4 in the exact penalty at constant metric."""
    return _spread(np.einsum("nijkk->nij", _second_form(decoder, Z))) / 16


def curvature_unsquared(decoder: Decoder, Z: Array) -> float:
    """The variance of the curvature in place of that of its square."""
    return _spread(np.sqrt(np.einsum("nijkk->nij", _second_form(decoder, Z)))) / 16


def curvature_quarter(decoder: Decoder, Z: Array) -> float:
    """A factor 1/4."""
    return 4 * curvature_coefficient(decoder, Z)


def curvature_penalty(
    scene: FlatData,
    *,
    coefficient: Callable[[Decoder, Array], float] = curvature_coefficient,
    exponent: float = 4.0,
) -> Comparison:
    """Check that at constant metric the exact penalty is of order sigma^4."""
    # The curvature is greatest at 0.
    scales = 0.1 / scene.decoder.hessian(np.zeros(1))[1, 0, 0] / 2.0 ** np.arange(4)
    Z = np.array(scene.latents)
    values, errors = exact_penalties(scene.decoder, Z, scales)
    value = coefficient(scene.decoder, Z)
    return power_law(
        values,
        errors,
        scales,
        exponent=exponent,
        coefficient=value,
        rounding=gamma(100) * (1 + value),
    )


CURVATURE_PENALTY = Proposition(
    label="5e-curvature",
    title="On a constant metric the exact cost is of order sigma^4: the curvature's spread",
    statement=r"P_{\mathrm{exact}} = \frac{\sigma^4}{16}\mathrm{Var}(\kappa^2) + O(\sigma^6)",
    hypotheses=(
        ISOTROPIC,
        ("unit speed", r"d = 1,\ \|f'\| = 1"),
        ("a curvature that varies", r"\kappa_n \ne \kappa_m"),
        NEAR,
    ),
    kind="rate",
    instances=catenary_data(),
    check=curvature_penalty,
    controls=wrong(
        curvature_penalty,
        {
            "order sigma^2": {"exponent": 2.0},
            "the variance of the curvature itself": {"coefficient": curvature_unsquared},
            "a factor 1/4": {"coefficient": curvature_quarter},
        },
    ),
    uses=("5d", "5e-isometric"),
    figure="constant-variance",
    resolution=5e-2,
    examples=8,
)
