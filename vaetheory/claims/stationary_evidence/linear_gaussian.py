"""Checks of 3c and 3d: linear decoders, where everything is known in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.stats import multivariate_normal

from vaetheory import _gaussians, decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class LinearScene:
    """A linear decoder by its singular values, a Gaussian likelihood, a datum, and a start."""

    singular_values: Vector
    left: tuple[int, ...]
    right: tuple[int, ...]
    bias: Vector
    noise: Covariance
    x: Vector
    start: Vector

    @property
    def weight(self) -> Array:
        """W = U diag(s) V^T, `(D, d)`."""
        data_dim, dim = len(self.x), len(self.singular_values)
        rows = strategies.rotation(self.left, data_dim)[:, :dim]
        columns = strategies.rotation(self.right, dim)
        return np.asarray((rows * np.array(self.singular_values)) @ columns.T)

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        decoder = decoders.Affine(self.weight, self.bias)
        return LatentModel(
            decoder, likelihoods.Gaussian(cov=self.noise.matrix), len(self.singular_values)
        )


@st.composite
def linear_scenes(draw: DrawFn) -> LinearScene:
    """Linear models of up to eight latent dimensions, some nearly singular, some far data."""
    dim = draw(st.sampled_from((1, 2, 2, 3, 4, 8)))
    data_dim = dim + draw(st.integers(0, 2))
    far = draw(st.sampled_from((1.0, 1.0, 20.0)))
    return LinearScene(
        draw(st.tuples(*[st.sampled_from((1.0, 2.0, 0.5, 0.0625))] * dim)),
        draw(strategies.angles(data_dim)),
        draw(strategies.angles(dim)),
        draw(strategies.vectors(data_dim)),
        draw(strategies.covariances(data_dim, (1.0, 0.25, 0.015625))),
        tuple(far * v for v in draw(strategies.vectors(data_dim))),
        draw(strategies.vectors(dim)),
    )


@dataclass(frozen=True)
class ClosedForm:
    """Posterior and evidence of a linear model, and how far rounding may have moved them."""

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
    # A solve loses its condition number times the size of what it returns.
    lost = gamma(10 * len(away) ** 2) * (condition * (square + len(away)) + abs(value) + 1)
    return ClosedForm(inverse, loc, value, lost, condition)


def stationary_is_exact(
    scene: LinearScene, *, closed: Callable[[LinearScene], ClosedForm] = closed_form
) -> Comparison:
    """The stationary posterior found by iteration, and its ELBO, against the closed forms."""
    model, x, expected = scene.model, np.array(scene.x), closed(scene)
    dim = model.latent_dim
    found = stationary_posterior(model, x)
    other = Posterior(np.array(scene.start), cov=0.5 * np.eye(dim))
    elsewhere = stationary_posterior(model, x, start=other)
    evidence_size = abs(expected.log_evidence) + 1
    parts = []
    for q in (found, elsewhere):
        # In units of the posterior's own width a deficit of e nats is a shift of sqrt(2 e).
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
    # For any Gaussian what the ELBO lacks is its KL to the closed form: no other is stationary.
    lower = elbo(model, x, other)
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
        evidence = log_evidence(model, x)
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
    """The posterior that forgets the prior's precision."""
    return closed_form(scene, precision=_without_prior)


def noise_for_its_inverse(scene: LinearScene) -> ClosedForm:
    """The posterior with Lambda where Lambda^-1 belongs."""
    return closed_form(scene, precision=_noise_for_its_inverse)


def without_log_det(scene: LinearScene) -> ClosedForm:
    """The evidence without its log determinant."""
    return closed_form(scene, log_det=False)


def deviations_for_variances(scene: LinearScene) -> ClosedForm:
    """The evidence with a root of Lambda where Lambda belongs."""
    return closed_form(scene, deviations=True)


def _diagonal_gap(precision: Array) -> float:
    diagonal = np.diag(precision)
    return 0.5 * float(np.log(diagonal).sum() - _gaussians.log_det(precision))


def diagonal_gap(
    scene: LinearScene, *, gap: Callable[[Array], float] = _diagonal_gap
) -> Comparison:
    """Log evidence less the best mean-field ELBO against 1/2 (sum log A_jj - log det A)."""
    model, x, expected = scene.model, np.array(scene.x), closed_form(scene)
    found = stationary_posterior(model, x, structure="diagonal")
    measured = expected.log_evidence - float(found.value)
    # The difference of two evidences carries the rounding of both.
    rounding = gamma(20 * model.latent_dim**2) * expected.condition
    size = abs(expected.log_evidence) + 1
    numerics = float(found.error) + expected.lost + rounding
    # Zero only for a diagonal A: by Fischer's inequality each pair of axes costs this much.
    roots = np.sqrt(np.diag(expected.precision))
    correlation = expected.precision / np.outer(roots, roots) - np.eye(model.latent_dim)
    pairs = -0.5 * np.log1p(-(np.abs(correlation).max() ** 2))
    # The stationary point itself: the exact mean, and the inverse of A's diagonal.
    shift = np.sqrt(2 * float(found.deficit)) + gamma(50 * model.latent_dim**2) * expected.condition
    reach = 1 + float(np.linalg.norm(roots * expected.loc))
    return Comparison.all_of(
        Comparison.identity(
            measured,
            gap(expected.precision),
            scale=size,
            elbo=found.error,
            closed_form=expected.lost,
            predicted=rounding,
        ),
        Comparison.at_most(pairs, measured, scale=size, numerics=numerics),
        Comparison.identity(
            roots * found.loc, roots * expected.loc, scale=reach, numerics=shift * reach
        ),
        Comparison.identity(
            np.diag(found.cov) * roots**2, np.ones(len(roots)), scale=1.0, numerics=2 * shift
        ),
    )


def marginal_variances(precision: Array) -> float:
    """The gap of the posterior that keeps the exact marginal variances: a common mistake."""
    cov = np.linalg.inv(precision)
    loc = np.zeros(len(cov))
    return float(_gaussians.kl_divergence(loc, np.diag(np.diag(cov)), loc, cov))


def twice_the_gap(precision: Array) -> float:
    """The gap without its factor 1/2."""
    return 2 * _diagonal_gap(precision)


def no_gap(precision: Array) -> float:
    """A mean-field posterior that loses nothing."""
    return 0.0
