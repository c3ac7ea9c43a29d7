"""Check of 20b-curvature: for any model the smoothed Hessian decides which gradient is quieter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vaetheory._trust import unchecked
from vaetheory._validation import Array
from vaetheory.bounds.gradient_moments import gradient_noise
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.claims.gradient_estimators.crossing import ONE_SAMPLE
from vaetheory.claims.gradient_estimators.scenes import ESTIMATORS, SAMPLED
from vaetheory.encoders import Posterior
from vaetheory.rounding import gamma

_NAMES = ("total", "path")
#: Steps of two plain lattices over q, in standard deviations, by dimension; and how far they go.
_STEPS, _REACH = {1: 0.125, 2: 0.25}, 8.5


class Curvature(NamedTuple):
    """Means over q of the diagonals of L^T A L, plain and with 1 + e_j^2, and of A, `(d,)` each.

    Errors and sizes are those of A and of the second, one after the other, `(2 d,)`.
    """

    mean: Array
    weighted: Array
    plain: Array
    error: Array
    size: Array


def smoothed(scene: ModelScene, q: Posterior) -> Curvature:
    """Diagonals of the smoothed Hessians, by two plain lattices half a step apart."""
    d, root = q.latent_dim, q.scale_tril
    step, found = _STEPS[d], []
    for offset in (0.0, 0.5):
        line = step * (np.arange(-int(_REACH / step), int(_REACH / step) + 1) + offset)
        e = np.stack([g.ravel() for g in np.meshgrid(*[line] * d, indexing="ij")], axis=-1)
        masses = np.exp(-0.5 * (e**2).sum(axis=-1))
        masses /= masses.sum()
        with unchecked():
            _, hessian, _ = scene.model.potential_derivatives(
                np.array([scene.x]), q.loc + e @ root.T
            )
        inner = np.einsum("ij,nik,kj->nj", root, hessian, root)
        columns = [inner, inner * (1 + e**2), np.einsum("njj->nj", hessian)]
        found.append([[masses @ c for c in columns], [masses @ np.abs(c) for c in columns]])
    first, second = np.array(found)
    mean, weighted, plain = (first[0] + second[0]) / 2
    sizes = first[1] + second[1]
    error = np.abs(first[0] - second[0]) + gamma(4000) * sizes
    return Curvature(mean, weighted, plain, error[[2, 1]].ravel(), sizes[[2, 1]].ravel())


class Gap(NamedTuple):
    """Var r - Var h `(2 d,)`, its error, and the smoothed Hessians at the same q."""

    value: Array
    error: Array
    size: Array
    curvature: Curvature
    q: Posterior


def gap_of(scene: ModelScene, q: Posterior) -> Gap:
    """The library's difference of variances."""
    found = gradient_noise(scene.model, np.array(scene.x), q, 1, _NAMES)
    total, path = found["total"], found["path"]
    return Gap(
        path.variance - total.variance,
        path.variance_error + total.variance_error,
        path.variance + total.variance,
        smoothed(scene, q),
        q,
    )


@once
def gaps(scenes: tuple[ModelScene, ...]) -> list[tuple[Gap, Gap | None, float]]:
    """At any q, and where the ELBO is stationary, if such a q was found, with its deficit."""
    found: list[tuple[Gap, Gap | None, float]] = []
    for scene in scenes:
        best = stationary_posterior(scene.model, np.array(scene.x))
        there = gap_of(scene, Posterior(best.loc, cov=best.cov)) if best.reached else None
        found.append((gap_of(scene, scene.posterior), there, float(best.deficit)))
    return found


@together
def curvature(
    scenes: Sequence[ModelScene],
    *,
    times: float = 2.0,
    at_the_mean: bool = False,
    fourth: float = 1.0,
    fisher: float = -1.0,
) -> list[Comparison]:
    """Compare differences of variances with smoothed Hessians, and with S^-1 where stationary."""
    comparisons = []
    for scene, (own, best, deficit) in zip(scenes, gaps(tuple(scenes)), strict=True):
        told, inverse = own.curvature, np.linalg.inv(own.q.cov)
        plain = told.plain
        if at_the_mean:
            _, hessian, _ = scene.model.potential_derivatives(np.array(scene.x), own.q.loc)
            plain = np.diagonal(hessian)
        in_m = np.diagonal(inverse) - times * plain
        in_t = 2 - times * (told.mean + fourth * (told.weighted - told.mean))
        size = own.size + told.size + np.concatenate([np.diagonal(inverse), 2 + 0 * in_t])
        parts = [
            Comparison.identity(
                own.value, np.concatenate([in_m, in_t]), scale=size, library=own.error,
                lattices=2 * told.error, rounding=gamma(100) * size,
            )
        ]  # fmt: skip
        if best is not None:
            d = best.q.latent_dim
            inverse = np.diagonal(np.linalg.inv(best.q.cov))
            # The ELBO falls by a quarter of the square of L^T E[A] L - I, and more.
            still = 8 * np.sqrt(deficit) * inverse
            parts.append(
                Comparison.identity(
                    best.value[:d], fisher * inverse, scale=best.size[:d] + inverse,
                    library=best.error[:d], stationarity=still, rounding=gamma(400) * inverse,
                )
            )  # fmt: skip
        comparisons.append(Comparison.all_of(*parts))
    return comparisons


CURVATURE = Proposition(
    label="20b-curvature",
    title="The smoothed Hessian decides; where S is optimal the path gradient is always quieter",
    statement=(
        r"\operatorname{Var}r_{m_j} - \operatorname{Var}h_{m_j} = (S^{-1})_{jj} - 2\,\mathbb "
        r"E_q[A_{jj}],\quad \operatorname{Var}r_{t_j} - \operatorname{Var}h_{t_j} = 2 - 2\,\mathbb "
        r"E\big[(1 + \varepsilon_j^2)(L^\top AL)_{jj}\big];\quad \nabla_S\mathrm{ELBO} = 0 "
        r"\Rightarrow \operatorname{Cov}r_m = \operatorname{Cov}h_m - S^{-1}"
    ),
    hypotheses=(
        SAMPLED,
        ESTIMATORS,
        ONE_SAMPLE,
        ("any model", r"A = \nabla_z^2(-\log p(x, z)),\ \text{finite moments under } q"),
    ),
    kind="identity",
    instances=model_scenes(),
    check=curvature,
    controls=wrong(
        curvature,
        {
            "the Hessian counts once": {"times": 1.0},
            "the Hessian at the mean of q": {"at_the_mean": True},
            "without the factor 1 + e^2": {"fourth": 0.0},
            "noisier by S^-1 where stationary": {"fisher": 1.0},
            "equal where stationary": {"fisher": 0.0},
        },
    ),
    uses=("3b", "20b"),
    figure="gradient-estimators",
    resolution=1e-4,
    examples=10,
)
