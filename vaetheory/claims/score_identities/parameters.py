"""Checks of 19a and 19b: scores and informations of parameters from the exact posterior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.score_identities.scenes import (
    FISHER,
    FamilyScene,
    family_scenes,
    of_evidence,
    of_gaussian_mean,
)
from vaetheory.encoders import Posterior
from vaetheory.rounding import gamma
from vaetheory.scores import elbo_score, evidence_information, evidence_score


def _kind(scene: FamilyScene) -> str:
    return scene.kind


def _stacked(found: Sequence[Integral]) -> tuple[Array, Array]:
    return np.concatenate([f.value for f in found]), np.concatenate([f.error for f in found])


@once
def under_posteriors(scenes: tuple[FamilyScene, ...]) -> tuple[Array, Array]:
    """The library's score of the evidence, `(I, p)`, and its errors."""
    return _stacked([evidence_score(s.model, [s.x]) for s in scenes])


@once
def under_gaussians(scenes: tuple[FamilyScene, ...], *, prior: bool) -> tuple[Array, Array]:
    """The library's mean score under q, `(I, p)`, or under the prior; and its errors."""
    means = [
        Posterior([0.0 * np.array(s.loc)], scale=1.0) if prior else s.posterior for s in scenes
    ]
    return _stacked([elbo_score(s.model, [s.x], q) for s, q in zip(scenes, means, strict=True)])


@together(alike=_kind)
def fisher(
    scenes: Sequence[FamilyScene], *, law: str = "posterior", unbiased: bool = False,
    sign: float = 1.0,
) -> list[Comparison]:  # fmt: skip
    """Compare mean scores with Taylor series of the evidence and of the ELBO."""
    many = tuple(scenes)
    exact, lower = of_evidence(many), of_gaussian_mean(many)
    own, error = under_posteriors(many)
    if law != "posterior":
        own, error = under_gaussians(many, prior=law == "prior")
    q, q_error = under_gaussians(many, prior=False)
    size = 1 + np.abs(exact.gradient) + np.abs(lower.gradient) + np.abs(q)
    # The gradient of KL(q || posterior) is that of log p(x) - E_q[log p(x, z)].
    slope = 0.0 if unbiased else exact.gradient - lower.gradient
    evidences = Comparison.identities(
        own,
        exact.gradient,
        scale=size,
        library=error,
        lattice=exact.gradient_error,
        rounding=gamma(100) * size,
    )
    bounds = Comparison.identities(
        own - q, sign * slope, scale=size, library=error + q_error,
        lattice=exact.gradient_error + lower.gradient_error, rounding=gamma(100) * size,
    )  # fmt: skip
    return [Comparison.all_of(*pair) for pair in zip(evidences, bounds, strict=True)]


FISHER_IDENTITY = Proposition(
    label="19a",
    title="The evidence's gradient is a posterior mean; the ELBO's is off by that of its gap",
    statement=(
        r"\nabla_\theta\log p(x) = \mathbb E_{p(z|x)}[\nabla_\theta\log p(x, z)],\quad "
        r"\nabla_\theta\log p(x) - \nabla_\theta\mathrm{ELBO} = "
        r"\nabla_\theta\,\mathrm{KL}(q\,\|\,p(z|x)) = "
        r"(\mathbb E_{p(z|x)} - \mathbb E_q)[\nabla_\theta\log p(x, z)]"
    ),
    hypotheses=(FISHER, ("q held fixed", r"q \text{ does not depend on } \theta")),
    kind="identity",
    instances=family_scenes(),
    check=fisher,
    controls=wrong(
        fisher,
        {
            "the mean under q": {"law": "q"},
            "the mean under the prior": {"law": "prior"},
            "the ELBO's gradient is that of the evidence": {"unbiased": True},
            "the gap's gradient with the other sign": {"sign": -1.0},
        },
    ),
    uses=("3a",),
    figure="score-identities",
    examples=8,
)


@once
def informations(scenes: tuple[FamilyScene, ...]) -> tuple[Array, Array, Array, Array, Array]:
    """Complete and missing information, their errors, and the score, of the library."""
    found = [evidence_information(s.model, [s.x]) for s in scenes]
    parts = [(f.complete, f.missing, f.complete_error, f.missing_error, f.score) for f in found]
    a, b, c, d, e = (np.concatenate(p) for p in zip(*parts, strict=True))
    return a, b, c, d, e


@together(alike=_kind)
def louis(
    scenes: Sequence[FamilyScene], *, sign: float = 1.0, centred: bool = True
) -> list[Comparison]:
    """Compare complete less missing information with Taylor series of the evidence."""
    many = tuple(scenes)
    exact = of_evidence(many)
    complete, missing, off, more, score = informations(many)
    second = missing if centred else missing + score[:, :, None] * score[:, None, :]
    size = 1 + np.abs(complete) + np.abs(second)
    least = np.linalg.eigvalsh(missing)[:, :1]
    each = (
        Comparison.identities(
            complete - sign * second, -exact.hessian, scale=size, complete=off, missing=more,
            lattice=exact.hessian_error, rounding=gamma(100) * size,
        ),
        Comparison.each_at_most(
            0.0 * least, least, scale=size.max(axis=(1, 2))[:, None],
            missing=more.sum(axis=(1, 2))[:, None],
            rounding=gamma(100) * size.max(axis=(1, 2))[:, None],
        ),
    )  # fmt: skip
    return [Comparison.all_of(*pair) for pair in zip(*each, strict=True)]


LOUIS = Proposition(
    label="19b",
    title="The observed information is the complete information less what is missing",
    statement=(
        r"-\nabla_\theta^2\log p(x) = \underbrace{\mathbb E_{p(z|x)}[-\nabla_\theta^2"
        r"\log p(x, z)]}_{I_{\mathrm{com}}} - \underbrace{\operatorname{Cov}_{p(z|x)}"
        r"[\nabla_\theta\log p(x, z)]}_{I_{\mathrm{mis}} \succeq 0}"
    ),
    hypotheses=(FISHER,),
    kind="identity",
    instances=family_scenes(),
    check=louis,
    controls=wrong(
        louis,
        {
            "nothing is missing": {"sign": 0.0},
            "the missing information with the other sign": {"sign": -1.0},
            "the second moment of the gradient for its covariance": {"centred": False},
        },
    ),
    uses=("19a",),
    examples=7,
)
