"""Checks of 8f and 8f-orthogonal: what a diagonal posterior loses, and where it loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import flows
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.checking.strategies import Vector
from vaetheory.claims.flow_limit.excess import true_limit
from vaetheory.claims.flow_limit.posteriors import best_posterior, inverse_metric, size_of
from vaetheory.claims.flow_limit.scenes import (
    EMBEDDING,
    GAUSSIAN,
    Bend,
    EmbeddedScene,
    Scene,
    condition_at,
    embedded_scenes,
    flow_scenes,
    scales,
    tame,
)
from vaetheory.flows import Embedding, Flow
from vaetheory.rounding import gamma


@st.composite
def oblique_scenes(draw: DrawFn) -> Scene:
    """Flows and surfaces of two latents whose Jacobian has columns that are not orthogonal."""
    scene: Scene = draw(st.one_of(flow_scenes(dims=(2,)), embedded_scenes().filter(_is_surface)))
    assume(float(flows.ima_contrast(scene.flow, scene.latent)) > 1e-2)
    return scene


def _is_surface(scene: EmbeddedScene) -> bool:
    return len(scene.z) == 2


def contrast(flow: Embedding, z: Array) -> float:
    """c_IMA by the determinant of the correlations of the columns; the library uses QR."""
    J = flow.jacobian(z)
    g = J.T @ J
    length = np.sqrt(np.diagonal(g))
    return -0.5 * float(np.linalg.slogdet(g / np.outer(length, length))[1])


def no_loss(flow: Embedding, z: Array) -> float:
    """No loss, as with the full covariance."""
    return 0.0


def twice(flow: Embedding, z: Array) -> float:
    """Twice c_IMA: without the half of the log determinant."""
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
    """Check the limits c_IMA of log p_flow minus ELBO and 1 / |d_k f|^2 of s_k^2 / sigma^2."""
    flow, z, sigma = scene.flow, scene.latent, scales(scene)
    best = [best_posterior(flow, z, float(s), diagonal=diagonal) for s in sigma]
    lost = true_limit(flow, z, sigma) - np.array([float(q.value) for q in best])
    condition = condition_at(flow, z)
    errors = np.array([float(q.error) for q in best])
    errors = errors + gamma(64) * condition * size_of(float(best[0].value))
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
    mismatch = 2 * np.sqrt(np.array([float(q.deficit) for q in best])) + rounding
    for k, wanted in enumerate(variances(flow, z)):
        s = np.array([q.cov[k, k] for q in best]) / sigma**power
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


DIAGONAL_POSTERIOR = Proposition(
    label="8f",
    title="A diagonal posterior loses c_IMA in the limit",
    statement=(
        r"\mathrm{ELBO}_{\mathrm{diag}} \to \log p_{\mathrm{flow}} - c,\quad "
        r"c = \sum_k\log\|\partial_k f\| - \tfrac12\log\det J^\top J,\quad "
        r"s_k^2/\sigma^2 \to \|\partial_k f\|^{-2}"
    ),
    hypotheses=(GAUSSIAN, EMBEDDING, ("mean field", r"S \text{ diagonal, stationary}")),
    kind="rate",
    instances=oblique_scenes().map(tame),
    check=diagonal_loss,
    controls=wrong(
        diagonal_loss,
        {
            "the diagonal posterior taken for the full one": {"loss": no_loss},
            "the full posterior": {"diagonal": False},
            "c without its half": {"loss": twice},
            "the variances of the full posterior": {"variances": marginal_variances},
            "sigma for sigma^2": {"power": 1.0},
        },
    ),
    uses=("3d", "8b", "8d"),
    figure="flow-limit",
    resolution=5e-2,
    examples=6,
)


@dataclass(frozen=True)
class ColumnScene:
    """Layers that keep columns orthogonal, then a shear that may not, and a latent.

    The inner layers act on each coordinate alone, then follow a rotation and a shear of size
    `shear`: where it is zero the columns are orthogonal.
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
    """Check c_IMA >= -1/2 log(1 - rho^2) for each pair of columns, with equality for d = 2.

    rho is the correlation of two columns; so c_IMA is zero only where all are orthogonal.
    """
    flow, z = scene.flow(rows=rows), np.array(scene.z)
    J = flow.jacobian(z)
    value = float(flows.ima_contrast(flow, z))
    length = np.linalg.norm(J, axis=0)
    rho = (J / length).T @ (J / length)
    worst = float(np.abs(rho - np.eye(len(z))).max())
    rounding = gamma(100) * condition_at(flow, z) ** 2
    lower = -0.5 * factor * float(np.log1p(-min(worst if squared else worst**2, 1 - rounding)))
    parts = [Comparison.at_most(lower, value, scale=1.0, rounding=rounding)]
    if len(z) == 2:
        parts.append(Comparison.identity(lower, value, scale=1.0, rounding=rounding))
    if scene.shear == 0:
        # Rotations keep the columns orthogonal, and c_IMA is zero.
        parts.append(Comparison.identity(value, 0.0, scale=1.0, rounding=rounding))
    return Comparison.all_of(*parts)


ORTHOGONAL_COLUMNS = Proposition(
    label="8f-orthogonal",
    title="c_IMA is zero exactly where the columns of the Jacobian are orthogonal",
    statement=(
        r"c \ge -\tfrac12\log(1 - \rho_{jk}^2) \text{ for all } j \ne k,"
        r"\text{ equal for } d = 2;\quad c = 0 \text{ if all } \rho_{jk} = 0,\quad "
        r"\rho_{jk} = \frac{\partial_j f\cdot\partial_k f}"
        r"{\|\partial_j f\|\|\partial_k f\|}"
    ),
    hypotheses=(("an immersion", r"g = J^\top J \succ 0"),),
    kind="inequality",
    instances=column_scenes(),
    check=orthogonal_columns,
    controls=wrong(
        orthogonal_columns,
        {
            "orthogonal rows": {"rows": True},
            "no half": {"factor": 2.0},
            "rho for rho^2": {"squared": True},
        },
    ),
    uses=("8f",),
    figure="flow-limit",
)
