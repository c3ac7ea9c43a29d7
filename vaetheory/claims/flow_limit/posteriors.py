"""Checks of 8b, 8d and 8f: the best Gaussian posterior, full or diagonal, as sigma tends to 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory import flows, likelihoods
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import extrapolate, leading_coefficient
from vaetheory.checking.strategies import Vector
from vaetheory.claims.flow_limit.scenes import (
    Bend,
    EmbeddedScene,
    Scene,
    embedded_scenes,
    flow_scenes,
    scales,
)
from vaetheory.claims.flow_limit.smoothing import (
    Limit,
    half_laplacian,
    half_scale,
    manifold_coefficient,
    true_limit,
)
from vaetheory.claims.stationary_evidence import gap_law
from vaetheory.encoders import Posterior
from vaetheory.flows import Embedding, Flow
from vaetheory.jets import taylor
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


def any_scenes() -> SearchStrategy[Scene]:
    """Flows, and curves and surfaces in one more dimension or two."""
    return st.one_of(flow_scenes(), embedded_scenes())


def best_posterior(
    flow: Embedding, z: Array, sigma: float, *, diagonal: bool = False
) -> StationaryPosterior:
    """The stationary Gaussian posterior of x = f(z), on the branch that begins at z."""
    model = LatentModel(flow, likelihoods.Gaussian(scale=sigma), flow.latent_dim)
    J = flow.jacobian(z)
    precision = J.T @ J / sigma**2 + np.eye(len(z))
    if diagonal:
        precision = np.diag(np.diagonal(precision))
    return stationary_posterior(
        model,
        flow.forward(z),
        start=Posterior(z, cov=np.linalg.inv(precision)),
        structure="diagonal" if diagonal else "full",
    )


def _size(*values: float) -> float:
    return 1 + float(np.max(np.abs(values)))


# 8b ---------------------------------------------------------------------------------------------


def smoothing_coefficient(flow: Embedding, z: Array) -> float:
    """The coefficient of sigma^2 in log p_sigma: 8a's where D = d, else 8c's."""
    return half_laplacian(flow, z) if isinstance(flow, Flow) else manifold_coefficient(flow, z)


def elbo_coefficient(
    flow: Embedding, z: Array, *, smoothing: float = 1.0, gap: float = 1.0
) -> float:
    """The coefficient of sigma^2 in the stationary ELBO: that of log p_sigma less the gap's."""
    lost = gap_law.predicted_coefficient(flow, z)
    return smoothing * smoothing_coefficient(flow, z) - gap * lost


def elbo_law(
    scene: Scene,
    *,
    coefficient: Callable[[Embedding, Array], float] = elbo_coefficient,
    limit: Limit = true_limit,
    exponent: float = 2.0,
) -> Comparison:
    """The stationary ELBO less the flow's log density: order sigma^2, with its coefficient."""
    flow, z, sigma = scene.flow, scene.latent, scales(scene)
    found = [best_posterior(flow, z, float(s)) for s in sigma]
    values = np.array([float(q.value) for q in found]) - limit(flow, z, sigma)
    blurred = gamma(64) * _condition(flow, z) * _size(float(found[0].value))
    errors = np.array([float(q.error) for q in found]) + blurred
    value = coefficient(flow, z)
    return leading_coefficient(
        values,
        errors,
        sigma,
        exponent=exponent,
        coefficient=value,
        rounding=gamma(800) * _condition(flow, z) ** 3 * half_scale(scene),
    )


def _condition(flow: Embedding, z: Array) -> float:
    return float(np.linalg.cond(flow.jacobian(z)))


# 8d ---------------------------------------------------------------------------------------------


def log_det_coefficient(
    flow: Embedding, z: Array, *, prior: float = 1.0, shift: float = 1.0, quartic: float = 0.5
) -> float:
    """Coefficient of sigma^2 in 1/2 log det(S / sigma^2): -1/2 tr(g^-1 M).

    M = I + T . mu + 1/2 phi_4 : g^-1, mu = -g^-1 (z + 1/2 T : g^-1) the shift of the mean over
    sigma^2, T and phi_4 the third and fourth derivatives of |f - x|^2 / 2.
    """
    metric, slope = gap_law.metric_slope(flow, z)
    inverse = np.linalg.inv(metric)
    traced = np.einsum("ijk,jk->i", slope, inverse)
    mean = -inverse @ (z + 0.5 * traced)
    # phi_4 : g^-1 : g^-1 is a third of the mean of phi_4(w, w, w, w) over w ~ N(0, g^-1).
    nodes, weights = hermite_rule(4, len(z))
    c = taylor(flow.forward, z, nodes @ np.linalg.cholesky(inverse).T, 3)
    fourth = 24 * (0.5 * (c[2] ** 2).sum(axis=-1) + (c[1] * c[3]).sum(axis=-1))
    curved = float(weights @ fourth) / 3
    return -0.5 * (prior * np.trace(inverse) + shift * traced @ mean + quartic * curved)


def inverse_metric(flow: Embedding, z: Array) -> Array:
    """g^-1 at z."""
    J = flow.jacobian(z)
    return np.linalg.inv(J.T @ J)


def metric(flow: Embedding, z: Array) -> Array:
    """G at z."""
    J = flow.jacobian(z)
    return np.asarray(J.T @ J)


def posterior_covariance(
    scene: Scene,
    *,
    power: float = 2.0,
    volume: float = 1.0,
    coefficient: Callable[[Embedding, Array], float] = log_det_coefficient,
    limit: Callable[[Embedding, Array], Array] = inverse_metric,
    diagonal: bool = False,
) -> Comparison:
    """S / sigma^2 -> g^-1 and 1/2 log det(S / sigma^2) -> -log volume, with the next term."""
    flow, z, sigma = scene.flow, scene.latent, scales(scene)
    found = [best_posterior(flow, z, float(s), diagonal=diagonal) for s in sigma]
    covs = np.array([q.cov for q in found]) / (sigma**power)[:, None, None]
    # The deficit is a quarter of the squared mismatch of S^-1, relative to S^-1.
    mismatch = 2 * np.sqrt(np.array([float(q.deficit) for q in found]))
    condition = _condition(flow, z)
    relative = mismatch + gamma(200) * condition**2
    size = np.abs(covs).max(axis=(-2, -1))
    parts = []
    wanted = limit(flow, z)
    for i, j in np.ndindex(*wanted.shape):
        measured, left, noise = extrapolate(covs[:, i, j], relative * size)
        parts.append(
            Comparison.identity(
                measured,
                wanted[i, j],
                scale=float(size.max()),
                expansion=left,
                numerics=noise,
                rounding=gamma(200) * condition**2 * np.abs(wanted).max(),
            )
        )
    half = 0.5 * np.linalg.slogdet(covs)[1] + volume * float(flow.log_volume(z))
    next_term = leading_coefficient(
        half,
        0.5 * len(z) * relative + gamma(32) * _size(*half),
        sigma,
        exponent=2.0,
        coefficient=coefficient(flow, z),
        rounding=gamma(800) * condition**3 * half_scale(scene),
    )
    return Comparison.all_of(*parts, next_term)


# 8f ---------------------------------------------------------------------------------------------


@st.composite
def oblique_scenes(draw: DrawFn) -> Scene:
    """Flows and surfaces of two latents whose Jacobian has columns that are not orthogonal."""
    scene: Scene = draw(st.one_of(flow_scenes(dims=(2,)), embedded_scenes().filter(_is_surface)))
    assume(float(flows.ima_contrast(scene.flow, scene.latent)) > 1e-2)
    return scene


def _is_surface(scene: EmbeddedScene) -> bool:
    return len(scene.z) == 2


def contrast(flow: Embedding, z: Array) -> float:
    """c_IMA by the determinant of the correlations of the columns, apart from the library's QR."""
    J = flow.jacobian(z)
    g = J.T @ J
    length = np.sqrt(np.diagonal(g))
    return -0.5 * float(np.linalg.slogdet(g / np.outer(length, length))[1])


def no_loss(flow: Embedding, z: Array) -> float:
    """Nothing, as with the full covariance."""
    return 0.0


def twice(flow: Embedding, z: Array) -> float:
    """Without the half of the log determinant."""
    return 2 * contrast(flow, z)


def column_variances(flow: Embedding, z: Array) -> Array:
    """1 / |d_k f|^2."""
    return np.asarray(1 / (flow.jacobian(z) ** 2).sum(axis=0))


def marginal_variances(flow: Embedding, z: Array) -> Array:
    """The diagonal of g^-1, the variances of the full posterior."""
    return np.diagonal(inverse_metric(flow, z))


def diagonal_loss(
    scene: Scene,
    *,
    loss: Callable[[Embedding, Array], float] = contrast,
    variances: Callable[[Embedding, Array], Array] = column_variances,
    diagonal: bool = True,
    power: float = 2.0,
) -> Comparison:
    """Log p_flow less the best diagonal ELBO tends to c_IMA; s_k^2 / sigma^2 to 1 / |d_k f|^2."""
    flow, z, sigma = scene.flow, scene.latent, scales(scene)
    found = [best_posterior(flow, z, float(s), diagonal=diagonal) for s in sigma]
    lost = true_limit(flow, z, sigma) - np.array([float(q.value) for q in found])
    condition = _condition(flow, z)
    errors = np.array([float(q.error) for q in found])
    errors = errors + gamma(64) * condition * _size(float(found[0].value))
    measured, left, noise = extrapolate(lost, errors)
    rounding = gamma(200) * condition**2
    parts = [
        Comparison.identity(
            measured,
            loss(flow, z),
            scale=contrast(flow, z),
            expansion=left,
            numerics=noise,
            rounding=rounding,
        ),
        Comparison.identity(
            contrast(flow, z),
            float(flows.ima_contrast(flow, z)),
            scale=contrast(flow, z),
            rounding=rounding,
        ),
    ]
    mismatch = 2 * np.sqrt(np.array([float(q.deficit) for q in found])) + rounding
    for k, wanted in enumerate(variances(flow, z)):
        s = np.array([q.cov[k, k] for q in found]) / sigma**power
        measured, left, noise = extrapolate(s, mismatch * s)
        parts.append(
            Comparison.identity(
                measured,
                wanted,
                scale=float(s.max()),
                expansion=left,
                numerics=noise,
                rounding=rounding * wanted,
            )
        )
    return Comparison.all_of(*parts)


@dataclass(frozen=True)
class ColumnScene:
    """Layers that keep columns orthogonal, then one that need not; a latent.

    The inner layers act on each coordinate alone, a rotation follows, and `shear` times a
    quarter turn's upper part: zero leaves the columns orthogonal.
    """

    bends: tuple[str, ...]
    stretch: Vector
    angles: tuple[int, ...]
    shear: float
    z: Vector

    def flow(self, *, rows: bool = False) -> Flow:
        """The flow; with the rotation first instead of last, its rows are orthogonal."""
        d = len(self.z)
        inner: list[Flow] = [flows.Affine(np.array(self.stretch))]
        inner += [Bend(kind, d).build() for kind in self.bends]
        turn: list[Flow] = [flows.Rotation(np.radians(self.angles))]
        sheared = flows.Affine(np.eye(d) + self.shear * np.eye(d, k=1))
        return flows.Composition(*(turn + inner if rows else inner + turn), sheared)


@st.composite
def column_scenes(draw: DrawFn) -> ColumnScene:
    """Two or three coordinates; half of the scenes without the shear."""
    d = draw(st.sampled_from((2, 2, 3)))
    return ColumnScene(
        tuple(draw(st.lists(st.sampled_from(("cubic", "sinh")), max_size=1))),
        draw(st.tuples(*[st.sampled_from((1.0, 2.0, 0.5))] * d)),
        draw(strategies.angles(d)),
        draw(st.sampled_from((0.0, 0.5, -1.0))),
        draw(strategies.vectors(d, -2, 2, 2)),
    )


def orthogonal_columns(
    scene: ColumnScene, *, rows: bool = False, factor: float = 1.0, squared: bool = False
) -> Comparison:
    """c_IMA >= -1/2 log(1 - rho^2) for each pair of columns, equal for d = 2; 0 if all rho are.

    rho is the correlation of two columns; so c_IMA is zero only where all are orthogonal.
    """
    flow, z = scene.flow(rows=rows), np.array(scene.z)
    J = flow.jacobian(z)
    value = float(flows.ima_contrast(flow, z))
    length = np.linalg.norm(J, axis=0)
    rho = (J / length).T @ (J / length)
    worst = float(np.abs(rho - np.eye(len(z))).max())
    rounding = gamma(100) * _condition(flow, z) ** 2
    lower = -0.5 * factor * float(np.log1p(-min(worst if squared else worst**2, 1 - rounding)))
    parts = [Comparison.at_most(lower, value, scale=1.0, rounding=rounding)]
    if len(z) == 2:
        parts.append(Comparison.identity(lower, value, scale=1.0, rounding=rounding))
    if scene.shear == 0:
        # Rotations keep the columns orthogonal: nothing is lost.
        parts.append(Comparison.identity(value, 0.0, scale=1.0, rounding=rounding))
    return Comparison.all_of(*parts)
