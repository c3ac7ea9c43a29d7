"""Checks of 5d and 5e: the penalty of a constant variance as the likelihood narrows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import extrapolate, power_law
from vaetheory.checking.strategies import Vector
from vaetheory.claims.stationary_evidence import gap_law
from vaetheory.claims.stationary_evidence.linear_gaussian import LinearScene
from vaetheory.constant_variance import constant_variance_penalty, exact_penalty, mode_hessians
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.modes import climb
from vaetheory.rounding import gamma


def second_order_penalties(decoder: Decoder, Z: Array, scales: Array) -> tuple[Array, Array]:
    """Second-order penalty of the data f(z_n) for each sigma, at the modes near z_n; errors."""
    found = [_second_order(decoder, Z, float(scale)) for scale in scales]
    return np.array([v for v, _ in found]), np.array([e for _, e in found])


def _second_order(decoder: Decoder, Z: Array, scale: float) -> tuple[float, float]:
    model = LatentModel(decoder, likelihoods.Gaussian(scale=scale), Z.shape[-1])
    X = decoder(Z)
    modes, _, _ = climb(model, X, Z, polish=True)
    gradient, A, _ = model.potential_derivatives(X, modes)
    nearer = modes - np.linalg.solve(A, gradient[..., None])[..., 0]
    found = constant_variance_penalty(mode_hessians(model, X, nearer))
    # The last Newton step is more than what the mode still lacks.
    last = abs(float(found.value) - float(constant_variance_penalty(A).value))
    # The Hessians themselves are rounded, each relative to its own size.
    blurred = gamma(40) * float(np.linalg.cond(A).max()) * np.sqrt(4 * float(found.value))
    return float(found.value), float(found.error) + last + blurred


def exact_penalties(decoder: Decoder, Z: Array, scales: Array) -> tuple[Array, Array]:
    """Exact-ELBO penalty of the data f(z_n) for each sigma, on the branch near z_n; errors."""
    J, X = decoder.jacobian(Z), decoder(Z)
    metrics = np.swapaxes(J, -1, -2) @ J
    values, errors = [], []
    for scale in scales:
        model = LatentModel(decoder, likelihoods.Gaussian(scale=float(scale)), Z.shape[-1])
        start = Posterior(Z, cov=np.linalg.inv(metrics / scale**2 + np.eye(Z.shape[-1])))
        found = exact_penalty(model, X, start=start)
        values.append(found.value)
        errors.append(found.error)
    return np.array(values), np.array(errors)


# 5d ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GraphData:
    """A decoder that is a graph over its latents, and the latents of its data x_n = f(z_n)."""

    graph: gap_law.Graph
    others: tuple[Vector, ...]

    @property
    def latents(self) -> Array:
        """z_n, `(N, d)`."""
        return np.array([self.graph.z, *self.others])


@st.composite
def graph_data(draw: DrawFn) -> GraphData:
    """Two or three different points on a curve or a surface; their metrics differ."""
    graph = draw(gap_law.graphs())
    more = st.lists(strategies.vectors(len(graph.z), -2, 2, 2), min_size=1, max_size=2)
    scene = GraphData(graph, tuple(draw(more)))
    assume(float(_limit(scene.graph.decoder, scene.latents)) > 1e-3)
    return scene


def _metrics(decoder: Decoder, Z: Array) -> Array:
    return np.array([gap_law.metric_slope(decoder, z)[0] for z in Z])


def _limit(decoder: Decoder, Z: Array) -> float:
    """The penalty as sigma tends to 0, that of the metrics."""
    return float(constant_variance_penalty(_metrics(decoder, Z)).value)


def _quartic(decoder: Decoder, z: Array) -> tuple[Array, Array]:
    """Third and fourth derivatives of |f - f(z)|^2 / 2 at z, of a decoder of degree three."""
    J, H = decoder.jacobian(z), decoder.hessian(z)
    # The second derivatives are linear: this difference is exact.
    third = [(decoder.hessian(z + e) - decoder.hessian(z - e)) / 2 for e in np.eye(len(z))]
    bend = np.einsum("aij,akl->ijkl", H, H)
    slope = np.einsum("ai,lajk->ijkl", J, np.array(third))
    fourth = bend + bend.transpose(0, 2, 1, 3) + bend.transpose(0, 3, 2, 1)
    fourth = fourth + slope + slope.transpose(1, 0, 2, 3)
    fourth = fourth + slope.transpose(2, 1, 0, 3) + slope.transpose(3, 1, 2, 0)
    return gap_law.metric_slope(decoder, z)[1], fourth


def _correction(
    decoder: Decoder, z: Array, cov: Array, *, quartic: float = -1 / 8, cubic: float = 1 / 8
) -> float:
    """sigma^2 coefficient of what the ELBO adds to its second order, at covariance sigma^2 cov."""
    third, fourth = _quartic(decoder, z)
    v = np.einsum("ijk,jk->i", third, cov)
    metric = gap_law.metric_slope(decoder, z)[0]
    curved = quartic * np.einsum("ijkl,ij,kl->", fourth, cov, cov)
    return float(curved + cubic * v @ np.linalg.solve(metric, v))


def exact_coefficient(
    decoder: Decoder, Z: Array, *, quartic: float = -1 / 8, cubic: float = 1 / 8
) -> tuple[float, float]:
    """Coefficient of sigma^2 in exact less second-order penalty, and the size of its terms."""
    metrics = _metrics(decoder, Z)
    shared = np.linalg.inv(metrics.mean(axis=0))
    options = {"quartic": quartic, "cubic": cubic}
    own = [
        _correction(decoder, z, np.linalg.inv(g), **options)
        for z, g in zip(Z, metrics, strict=True)
    ]
    common = [_correction(decoder, z, shared, **options) for z in Z]
    return float(np.mean(own) - np.mean(common)), float(np.abs(own + common).max())


def gain_of_free_variances(decoder: Decoder, Z: Array) -> tuple[float, float]:
    """The gain of the free covariances alone: what the shared one gains is left out."""
    metrics = _metrics(decoder, Z)
    own = [_correction(decoder, z, np.linalg.inv(g)) for z, g in zip(Z, metrics, strict=True)]
    return float(np.mean(own)), float(np.abs(own).max())


def has_coefficient(scene: GraphData) -> bool:
    """Whether the coefficient of sigma^2 does not all but cancel."""
    value, size = exact_coefficient(scene.graph.decoder, scene.latents)
    return abs(value) > 0.02 * size


def exact_less_second_order(
    scene: GraphData,
    *,
    coefficient: Callable[[Decoder, Array], tuple[float, float]] = exact_coefficient,
    exponent: float = 2.0,
) -> Comparison:
    """Exact less second-order penalty on a ladder of sigma: exponent 2 and its coefficient."""
    decoder, Z = scene.graph.decoder, scene.latents
    scales = min(gap_law.natural_scale(decoder, z) for z in Z) / 16 / 2.0 ** np.arange(5)
    exact, errors = exact_penalties(decoder, Z, scales)
    second, more = second_order_penalties(decoder, Z, scales)
    value, size = coefficient(decoder, Z)
    condition = float(np.linalg.cond(_metrics(decoder, Z)).max())
    return power_law(
        exact - second,
        errors + more,
        scales,
        exponent=exponent,
        coefficient=value,
        rounding=gamma(500) * condition**3 * size,
    )


# 5e ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bent(Decoder):
    """A linear decoder with a quarter of its first latent's square on every output."""

    linear: Decoder

    def __call__(self, z: Array) -> Array:
        return self.linear(z) + 0.25 * z[..., :1] ** 2

    def jacobian(self, z: Array) -> Array:
        out = self.linear.jacobian(z)
        out[..., 0] += 0.5 * z[..., :1]
        return out

    def hessian(self, z: Array) -> Array:
        out = self.linear.hessian(z)
        out[..., 0, 0] += 0.5
        return out


def linear_is_free(
    scene: LinearScene, *, bent: bool = False, any_constant: bool = False
) -> Comparison:
    """A linear decoder, any W: a shared covariance costs nothing, exactly and to second order."""
    model, x = scene.model, np.array(scene.x)
    if bent:
        model = LatentModel(_Bent(model.decoder), model.likelihood, model.latent_dim)
    X = np.stack([x, np.array(scene.bias), 2 - x])
    found = exact_penalty(model, X)
    lost, error = found.value, found.error
    if any_constant:
        covs = np.broadcast_to(np.eye(model.latent_dim), found.free.cov.shape)
        other = elbo(model, X, Posterior(found.free.loc, cov=covs))
        lost = float((found.free.value - other.value).mean())
        error = float((found.free.error + other.error).mean())
    size = 1 + float(np.abs(found.free.value).max())
    second = constant_variance_penalty(mode_hessians(model, X, found.free.loc))
    return Comparison.all_of(
        Comparison.identity(lost, 0.0, scale=size, numerics=error),
        Comparison.identity(second.value, 0.0, scale=1.0, rounding=second.error),
    )


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
    """Without the two halves that are squared."""
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
    """At constant metric the second-order penalty is of order sigma^8."""
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
    """At constant metric and varying curvature the exact penalty is of order sigma^4."""
    # The greatest curvature is that at 0.
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


def varying_speed(scene: GraphData, *, factor: float = 1.0) -> Comparison:
    """At varying metric the penalty tends to that of the metrics themselves, which is positive."""
    decoder, Z = scene.graph.decoder, scene.latents
    scales = min(gap_law.natural_scale(decoder, z) for z in Z) / 16 / 2.0 ** np.arange(5)
    measured, left, noise = extrapolate(*second_order_penalties(decoder, Z, scales))
    g = _metrics(decoder, Z)
    limit = 0.5 * float(np.linalg.slogdet(g.mean(axis=0))[1] - np.linalg.slogdet(g)[1].mean())
    rounding = gamma(200) * float(np.linalg.cond(g).max()) * (1 + float(np.abs(np.log(g.max()))))
    return Comparison.all_of(
        Comparison.identity(
            measured, factor * limit, scale=limit, expansion=left, numerics=noise, rounding=rounding
        ),
        Comparison.at_most(left + noise, measured, scale=limit, rounding=rounding),
    )
