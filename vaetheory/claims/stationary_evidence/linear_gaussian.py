"""Checks of 3c and 3d: linear decoders, for which posterior and evidence have closed forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vaetheory import _gaussians
from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.linear_models import LinearScene, linear_scenes
from vaetheory.checking.strategies import Covariance
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.rounding import gamma

_GAUSSIAN = ("Gaussian likelihood", r"p(x|z) = \mathcal N(f(z), \Lambda)")


@dataclass(frozen=True)
class ClosedForm:
    """Posterior and evidence of a linear model, and bounds of their rounding."""

    precision: Array
    loc: Array
    log_evidence: float
    lost: float
    condition: float


def _precision(scene: LinearScene) -> Array:
    w = scene.weight
    return np.eye(w.shape[1]) + w.T @ np.linalg.solve(scene.noise.matrix, w)


def _without_prior(scene: LinearScene) -> Array:
    return _precision(scene) - np.eye(len(scene.singular_values)) * (1 - 1e-9)


def _noise_for_its_inverse(scene: LinearScene) -> Array:
    w = scene.weight
    return np.eye(w.shape[1]) + w.T @ scene.noise.matrix @ w


def closed_form(
    scene: LinearScene,
    *,
    precision: Callable[[LinearScene], Array] = _precision,
    log_det: bool = True,
    deviations: bool = False,
) -> ClosedForm:
    """S^-1 = I + W^T Lambda^-1 W, m = S W^T Lambda^-1 (x - b), log N(x; b, W W^T + Lambda)."""
    from scipy.stats import multivariate_normal

    w, noise = scene.weight, scene.noise.matrix
    away = np.array(scene.x) - np.array(scene.bias)
    inverse = precision(scene)
    loc = np.linalg.solve(inverse, w.T @ np.linalg.solve(noise, away))
    total = w @ w.T + noise
    if deviations:
        roots = tuple(np.sqrt(v) for v in scene.noise.variances)
        total = w @ w.T + Covariance(roots, scene.noise.angles).matrix
    value = float(multivariate_normal.logpdf(away, np.zeros(len(away)), total))
    if not log_det:
        value += 0.5 * float(np.linalg.slogdet(total)[1])
    condition = float(max(np.linalg.cond(total), np.linalg.cond(inverse), np.linalg.cond(noise)))
    square = float(away @ np.linalg.solve(total, away))
    # A solve loses its condition number times the size of its result.
    lost = gamma(10 * len(away) ** 2) * (condition * (square + len(away)) + abs(value) + 1)
    return ClosedForm(inverse, loc, value, lost, condition)


def _start(scene: LinearScene) -> Posterior:
    """A Gaussian from which the iteration starts, and which is not stationary."""
    return Posterior(np.array(scene.start), cov=0.5 * np.eye(scene.model.latent_dim))


@once
def _stationary(scene: LinearScene) -> tuple[StationaryPosterior, StationaryPosterior]:
    """The posterior by iteration from the default start, and from another one."""
    model, x = scene.model, np.array(scene.x)
    return stationary_posterior(model, x), stationary_posterior(model, x, start=_start(scene))


@once
def _elbo_at_start(scene: LinearScene) -> Integral:
    return elbo(scene.model, np.array(scene.x), _start(scene))


@once
def _evidence(scene: LinearScene) -> Integral:
    return log_evidence(scene.model, np.array(scene.x))


def stationary_is_exact(
    scene: LinearScene, *, closed: Callable[[LinearScene], ClosedForm] = closed_form
) -> Comparison:
    """Compare the stationary posterior by iteration, and its ELBO, with the closed forms."""
    expected, other = closed(scene), _start(scene)
    dim = other.latent_dim
    evidence_size = abs(expected.log_evidence) + 1
    parts = []
    for q in _stationary(scene):
        # In units of the posterior's width a deficit of e nats is a shift of at most sqrt(2 e).
        shift = np.sqrt(2 * float(q.deficit)) + gamma(50 * dim**2) * expected.condition
        root = np.linalg.cholesky(expected.precision)
        size = 1 + float(np.linalg.norm(root.T @ expected.loc))
        parts += [
            Comparison.identity(
                root.T @ q.loc, root.T @ expected.loc, scale=size, numerics=shift * size
            ),
            Comparison.identity(root.T @ q.cov @ root, np.eye(dim), scale=1.0, numerics=2 * shift),
            Comparison.identity(
                q.value,
                expected.log_evidence,
                scale=evidence_size,
                elbo=q.error,
                closed_form=expected.lost,
            ),
        ]
    # Any Gaussian loses its KL to the closed form, so that no other is stationary.
    lower = _elbo_at_start(scene)
    cov = np.linalg.inv(expected.precision)
    divergence = float(_gaussians.kl_divergence(other.loc, other.cov, expected.loc, cov))
    parts.append(
        Comparison.identity(
            lower.value,
            expected.log_evidence - divergence,
            scale=evidence_size + divergence,
            elbo=lower.error,
            closed_form=expected.lost + gamma(50 * dim**2) * expected.condition * (1 + divergence),
        )
    )
    if dim <= 2:
        evidence = _evidence(scene)
        parts.append(
            Comparison.identity(
                evidence.value,
                expected.log_evidence,
                scale=evidence_size,
                quadrature=evidence.error,
                closed_form=expected.lost,
            )
        )
    return Comparison.all_of(*parts)


def without_prior(scene: LinearScene) -> ClosedForm:
    """The posterior without the precision of the prior."""
    return closed_form(scene, precision=_without_prior)


def noise_for_its_inverse(scene: LinearScene) -> ClosedForm:
    """The posterior with Lambda in place of Lambda^-1."""
    return closed_form(scene, precision=_noise_for_its_inverse)


def without_log_det(scene: LinearScene) -> ClosedForm:
    """The evidence without its log determinant."""
    return closed_form(scene, log_det=False)


def deviations_for_variances(scene: LinearScene) -> ClosedForm:
    """The evidence with a root of Lambda in place of Lambda."""
    return closed_form(scene, deviations=True)


STATIONARY_IS_EXACT = Proposition(
    label="3c",
    title="A linear decoder has one stationary point, and there the ELBO is the evidence",
    statement=(
        r"S = (I + W^\top\Lambda^{-1}W)^{-1},\ m = S W^\top\Lambda^{-1}(x-b),\quad "
        r"\mathrm{ELBO} = \log\mathcal N(x; b, WW^\top + \Lambda)"
    ),
    hypotheses=(_GAUSSIAN, ("linear decoder", r"f(z) = Wz + b")),
    kind="identity",
    instances=linear_scenes(),
    check=stationary_is_exact,
    controls=wrong(
        stationary_is_exact,
        {
            "no prior precision": {"closed": without_prior},
            "Lambda for its inverse": {"closed": noise_for_its_inverse},
            "no log determinant": {"closed": without_log_det},
            "standard deviations for variances": {"closed": deviations_for_variances},
        },
    ),
    uses=("3a", "3b"),
)


def diagonal_gap_of(precision: Array) -> float:
    """1/2 (sum log A_jj - log det A)."""
    diagonal = np.diag(precision)
    return 0.5 * float(np.log(diagonal).sum() - _gaussians.log_det(precision))


@once
def _diagonal_stationary(scene: LinearScene) -> StationaryPosterior:
    return stationary_posterior(scene.model, np.array(scene.x), structure="diagonal")


def diagonal_gap(
    scene: LinearScene, *, gap: Callable[[Array], float] = diagonal_gap_of
) -> Comparison:
    """Compare the loss of the best mean-field ELBO with 1/2 (sum log A_jj - log det A)."""
    model, expected, best = scene.model, closed_form(scene), _diagonal_stationary(scene)
    measured = expected.log_evidence - float(best.value)
    # The difference of two evidences has the rounding of both.
    rounding = gamma(20 * model.latent_dim**2) * expected.condition
    size = abs(expected.log_evidence) + 1
    numerics = float(best.error) + expected.lost + rounding
    # Zero only if A is diagonal: by Fischer's inequality each pair of axes costs this much.
    roots = np.sqrt(np.diag(expected.precision))
    correlation = expected.precision / np.outer(roots, roots) - np.eye(model.latent_dim)
    pairs = -0.5 * np.log1p(-(np.abs(correlation).max() ** 2))
    # At the stationary point: the exact mean, and the inverse of A's diagonal.
    shift = np.sqrt(2 * float(best.deficit)) + gamma(50 * model.latent_dim**2) * expected.condition
    reach = 1 + float(np.linalg.norm(roots * expected.loc))
    return Comparison.all_of(
        Comparison.identity(
            measured,
            gap(expected.precision),
            scale=size,
            elbo=best.error,
            closed_form=expected.lost,
            predicted=rounding,
        ),
        Comparison.at_most(pairs, measured, scale=size, numerics=numerics),
        Comparison.identity(
            roots * best.loc, roots * expected.loc, scale=reach, numerics=shift * reach
        ),
        Comparison.identity(
            np.diag(best.cov) * roots**2, np.ones(len(roots)), scale=1.0, numerics=2 * shift
        ),
    )


def marginal_variances(precision: Array) -> float:
    """The gap of the posterior with the exact marginal variances, a common mistake."""
    cov = np.linalg.inv(precision)
    loc = np.zeros(len(cov))
    return float(_gaussians.kl_divergence(loc, np.diag(np.diag(cov)), loc, cov))


def twice_the_gap(precision: Array) -> float:
    """The gap without its factor 1/2."""
    return 2 * diagonal_gap_of(precision)


def no_gap(precision: Array) -> float:
    """No gap at all."""
    return 0.0


DIAGONAL_GAP = Proposition(
    label="3d",
    title="A diagonal posterior of a linear decoder loses the slack of Hadamard's inequality",
    statement=(
        r"\log p(x) - \mathrm{ELBO} = \tfrac12\Big(\sum_j\log A_{jj} - \log\det A\Big),"
        r"\quad A = I + W^\top\Lambda^{-1}W;\quad 0 \text{ iff } A \text{ is diagonal}"
    ),
    hypotheses=(
        _GAUSSIAN,
        ("linear decoder", r"f(z) = Wz + b"),
        ("mean field", r"S \text{ diagonal}"),
    ),
    kind="identity",
    instances=linear_scenes(),
    check=diagonal_gap,
    controls=wrong(
        diagonal_gap,
        {
            "exact marginal variances": {"gap": marginal_variances},
            "no factor 1/2": {"gap": twice_the_gap},
            "no gap at all": {"gap": no_gap},
        },
    ),
    uses=("3b", "3c"),
)
