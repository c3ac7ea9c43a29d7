"""Checks of 3c-wide and 3d-wide: linear decoders of up to 32 latents, without quadrature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory import _gaussians
from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import second_order_elbo
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.linear_models import LinearScene, wide_linear_scenes
from vaetheory.claims.stationary_evidence.linear_gaussian import (
    DIAGONAL_GAP,
    STATIONARY_IS_EXACT,
    ClosedForm,
    closed_form,
    deviations_for_variances,
    diagonal_gap_of,
    marginal_variances,
    no_gap,
    noise_for_its_inverse,
    twice_the_gap,
    without_log_det,
    without_prior,
)
from vaetheory.encoders import Posterior
from vaetheory.evidence import linear_log_evidence
from vaetheory.rounding import gamma


@once
def _evidence(scene: LinearScene) -> Integral:
    return linear_log_evidence(scene.model, np.array(scene.x))


def _elbo(scene: LinearScene, q: Posterior) -> float:
    """The ELBO; it is its second-order form, since the potential is a polynomial of degree 2."""
    return float(second_order_elbo(scene.model, np.array(scene.x), q))


def weights_are_constant(
    scene: LinearScene, *, closed: Callable[[LinearScene], ClosedForm] = closed_form
) -> Comparison:
    """Check that p(x, z) / q(z) is the evidence for every z, if q is the posterior in closed form.

    Then the ELBO of q is the evidence too, and that of any other Gaussian is less by its divergence
    from q.
    """
    expected, model, x = closed(scene), scene.model, np.array(scene.x)
    dim = model.latent_dim
    cov = np.linalg.inv(expected.precision)
    root = np.linalg.cholesky((cov + cov.T) / 2)
    # The mode, and three standard deviations from it along each axis of the factor.
    z = expected.loc + 3 * np.concatenate([np.zeros((1, dim)), root.T, -root.T])
    joint = model.log_joint(np.broadcast_to(x, (len(z), len(x))), z)
    log_q = _gaussians.log_prob(z, expected.loc, cov)
    rounding = gamma(10 * len(x) ** 2) * expected.condition
    size = abs(expected.log_evidence) + 4 * len(x) + np.abs(joint) + np.abs(log_q)
    parts = [
        Comparison.identity(
            joint - log_q,
            expected.log_evidence,
            scale=size,
            rounding=rounding * size,
            closed_form=expected.lost,
        )
    ]
    evidence, q = _evidence(scene), Posterior(expected.loc, cov=cov)
    for value, error in ((float(evidence.value), evidence.error), (_elbo(scene, q), 0.0)):
        parts.append(
            Comparison.identity(
                value,
                expected.log_evidence,
                scale=size[0],
                decomposition=error,
                rounding=rounding * size[0],
                closed_form=expected.lost,
            )
        )
    other = Posterior(np.array(scene.start), cov=0.5 * np.eye(dim))
    divergence = float(_gaussians.kl_divergence(other.loc, other.cov, expected.loc, cov))
    parts.append(
        Comparison.identity(
            _elbo(scene, other),
            expected.log_evidence - divergence,
            scale=size[0] + divergence,
            rounding=rounding * (size[0] + divergence),
            closed_form=expected.lost,
        )
    )
    # Both conditions of a stationary point, in units of the posterior's width.
    points = np.stack([expected.loc, other.loc])
    slopes, hessians, _ = model.potential_derivatives(np.stack([x, x]), points)
    shifts = (points - expected.loc) @ np.linalg.inv(root).T
    reach = 1 + np.abs(shifts).max() + np.linalg.norm(np.linalg.solve(root, expected.loc))
    parts += [
        Comparison.identity(slopes @ root, shifts, scale=reach, rounding=rounding * reach),
        Comparison.identity(
            root.T @ hessians @ root, np.broadcast_to(np.eye(dim), hessians.shape),
            scale=1.0, rounding=rounding,
        ),
    ]  # fmt: skip
    return Comparison.all_of(*parts)


CONSTANT_WEIGHTS = Proposition(
    label="3c-wide",
    title="In many dimensions as well a linear decoder's evidence is its best ELBO",
    statement=(
        r"\frac{p(x, z)}{\mathcal N(z; m, S)} = p(x) = e^{\mathrm{ELBO}(m, S)} \text{ for all } z,"
        r"\quad S = (I + W^\top\Lambda^{-1}W)^{-1},\ m = S W^\top\Lambda^{-1}(x-b)"
    ),
    hypotheses=(*STATIONARY_IS_EXACT.hypotheses, strategies.WIDE),
    kind="identity",
    instances=wide_linear_scenes(),
    check=weights_are_constant,
    controls=wrong(
        weights_are_constant,
        {
            "no prior precision": {"closed": without_prior},
            "Lambda for its inverse": {"closed": noise_for_its_inverse},
            "no log determinant": {"closed": without_log_det},
            "standard deviations for variances": {"closed": deviations_for_variances},
        },
    ),
    uses=("3c",),
    examples=8,
)


def wide_diagonal_gap(
    scene: LinearScene,
    *,
    gap: Callable[[Array], float] = diagonal_gap_of,
    variances: Callable[[Array], Array] = lambda A: 1 / np.diag(A),
) -> Comparison:
    """Compare the loss of the best diagonal posterior, and of another, with the closed forms."""
    expected, evidence = closed_form(scene), _evidence(scene)
    A, dim = expected.precision, scene.model.latent_dim
    best = Posterior(expected.loc, cov=np.diag(variances(A)))
    lost = float(evidence.value) - _elbo(scene, best)
    rounding = gamma(20 * len(scene.x) ** 2) * expected.condition
    size = abs(expected.log_evidence) + 4 * len(scene.x)
    numerics = float(evidence.error) + rounding * size + expected.lost
    roots = np.sqrt(np.diag(A))
    pairs = -0.5 * np.log1p(-(np.abs(A / np.outer(roots, roots) - np.eye(dim)).max() ** 2))
    # Any other mean and variances lose a sum of terms that are not negative.
    other = Posterior(np.array(scene.start), cov=np.diag(np.exp(0.5 * np.array(scene.start))))
    away = other.loc - expected.loc
    ratios = np.diag(other.cov) * np.diag(A)
    further = 0.5 * float(away @ A @ away + (ratios - 1 - np.log(ratios)).sum())
    return Comparison.all_of(
        Comparison.identity(lost, gap(A), scale=size, numerics=numerics),
        Comparison.at_most(pairs, lost, scale=size, numerics=numerics),
        Comparison.identity(
            _elbo(scene, best) - _elbo(scene, other),
            further,
            scale=size + further,
            numerics=numerics + rounding * further,
        ),
    )


WIDE_DIAGONAL_GAP = Proposition(
    label="3d-wide",
    title="In many dimensions as well a diagonal posterior loses Hadamard's slack",
    statement=(
        r"\log p(x) - \mathrm{ELBO}(m', \mathrm{diag}\,s) = \tfrac12\Big(\sum_j\log A_{jj}"
        r" - \log\det A\Big) + \tfrac12\|m' - m\|_A^2"
        r" + \tfrac12\sum_j\big(A_{jj}s_j - 1 - \log A_{jj}s_j\big)"
    ),
    hypotheses=(*DIAGONAL_GAP.hypotheses, strategies.WIDE),
    kind="identity",
    instances=wide_linear_scenes(),
    check=wide_diagonal_gap,
    controls=wrong(
        wide_diagonal_gap,
        {
            "exact marginal variances": {"gap": marginal_variances},
            "no factor 1/2": {"gap": twice_the_gap},
            "no gap at all": {"gap": no_gap},
            "the best variances thought to be the marginal ones": {
                "variances": lambda A: np.diag(np.linalg.inv(A))
            },
        },
    ),
    uses=("3c-wide", "3d"),
    examples=8,
)
