"""Checks of 6a, 6b and 6c: the prior that a batch floats to, the gauge, and the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import _gaussians
from vaetheory._validation import Array
from vaetheory.bounds import FORMS, BatchBound, bilbo
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import strategies
from vaetheory.checking.claim import Certificate
from vaetheory.checking.lattice import aggregate_expectation, lattice_integral
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.claims.bilbo.scenes import Batch, ModelBatch, batches, expected_log_likelihood
from vaetheory.evidence import log_evidence
from vaetheory.likelihoods import Support
from vaetheory.modes import posterior_mode
from vaetheory.rounding import gamma

#: Information of a batch and the prior (loc, cov) it floats to.
Fitted = Callable[[Array, Array, str], tuple[float, Array, Array]]


def library(loc: Array, scale: Array, form: str) -> tuple[float, Array, Array]:
    """The library's own."""
    found = bilbo(np.zeros(len(loc)), loc, scale, form)
    return found.information, found.prior_loc, found.prior_cov


def half_posterior_variance(loc: Array, scale: Array, form: str) -> tuple[float, Array, Array]:
    """A prior that has forgotten half of s^2."""
    information, mean, cov = library(loc, scale, form)
    return information, mean, cov - np.diag(scale**2) / 2


def mean_of_logs(loc: Array, scale: Array, form: str) -> tuple[float, Array, Array]:
    """The mean over the batch of log(1 + m^2 / s^2) in place of the log of the mean."""
    _, mean, cov = library(loc, scale, form)
    return float(0.5 * np.log1p((loc - mean) ** 2 / scale**2).sum(axis=-1).mean()), mean, cov


def no_half(loc: Array, scale: Array, form: str) -> tuple[float, Array, Array]:
    """Twice the information."""
    information, mean, cov = library(loc, scale, form)
    return 2 * information, mean, cov


# 6a ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PriorScene:
    """A batch, the log likelihoods of its data, and some other prior to hold against the best."""

    batch: Batch
    log_likelihood: Vector
    prior_loc: Vector
    prior_cov: Covariance

    def other(self, form: str) -> tuple[Array, Array]:
        """The other prior, brought to the form."""
        loc, cov = np.array(self.prior_loc), self.prior_cov.matrix
        if form == "diagonal":
            loc = np.zeros_like(loc)
        return loc, cov if form == "full" else np.diag(np.diagonal(cov))


@st.composite
def prior_scenes(draw: DrawFn) -> PriorScene:
    """Batches of one to four data in one or two dimensions, and any Gaussian prior."""
    dim = draw(st.sampled_from((1, 1, 2)))
    # Unlike deviations make a plane lattice long: they are left to the line.
    batch = draw(batches(dim) if dim == 1 else batches(dim, reach=2, scales=(1.0, 0.5)))
    return PriorScene(
        batch,
        draw(st.tuples(*[strategies.fractions(-8, 8, 2)] * len(batch.loc))),
        draw(strategies.vectors(dim)),
        draw(strategies.covariances(dim, (1.0, 0.5, 2.0, 4.0))),
    )


def best_prior(scene: PriorScene, *, fitted: Fitted = library, surplus: float = 1.0) -> Certificate:
    """The batch ELBO as a function of the prior, by lattice: greatest at the floating prior."""
    batch, terms = scene.batch, np.array(scene.log_likelihood)
    means, deviations = batch.means, batch.deviations
    entropy = float(_gaussians.entropy(np.diag(deviations**2)))

    def batch_elbo(loc: Array, cov: Array) -> tuple[float, float, float]:
        """Mean ELBO of the batch under the prior N(loc, cov), its error and its size."""
        cross, error, size = aggregate_expectation(
            lambda z: -_gaussians.log_prob(z, loc, cov), batch.encoder
        )
        size = size + np.abs(terms).max() + abs(entropy) + len(deviations)
        return terms.mean() - (cross - entropy), error, size

    parts = []
    for form in FORMS:
        information, loc, cov = fitted(means, deviations, form)
        value = terms.mean() - information
        best, error, size = batch_elbo(loc, cov)
        # log(1 + m^2 / s^2) is off by a few roundings however large it is; so is its prior.
        rounding = gamma(100 * len(loc)) * size
        parts.append(
            Certificate.identity(value, best, scale=size, lattice=error, numerics=rounding)
        )
        other_loc, other_cov = scene.other(form)
        lower, error, size = batch_elbo(other_loc, other_cov)
        deficit = float(_gaussians.kl_divergence(loc, cov, other_loc, other_cov))
        rounding = gamma(100 * len(loc)) * (size + deficit) * np.linalg.cond(other_cov)
        parts.append(
            Certificate.identity(
                value - lower, surplus * deficit, scale=size, lattice=error, numerics=rounding
            )
        )
    return Certificate.all_of(*parts)


# 6b ---------------------------------------------------------------------------------------------


def gauge(
    scene: ModelBatch,
    *,
    scaled_decoder: bool = True,
    scaled_posterior: bool = True,
    power: float = 1.0,
) -> Certificate:
    """BILBO, its log likelihoods by lattice, against the N(0, I) ELBO of the rescaled model."""
    likelihood, error = expected_log_likelihood(scene)
    d, parts = len(scene.batch.scale), []
    for form in FORMS:
        bound = bilbo(likelihood, scene.batch.means, scene.batch.deviations, form)
        loc, cov = bound.prior_loc, bound.prior_cov
        model = scene.rescaled(loc, cov) if scaled_decoder else scene.model
        posterior = scene.rescaled_posterior(loc, cov)
        if not scaled_posterior:
            posterior = type(posterior)(posterior.loc, scene.batch.deviations**2)
        if power != 1.0:
            values, axes = np.linalg.eigh(cov)
            model = scene.rescaled(loc, (axes * values**power) @ axes.T)
        other = elbo(model, scene.data, posterior)
        size = float(np.abs(likelihood).mean() + bound.information + d)
        condition = float(np.linalg.cond(cov))
        parts.append(
            Certificate.identity(
                bound.value,
                other.value.mean(),
                scale=size,
                lattice=error.mean(),
                elbo=other.error.mean(),
                rounding=gamma(100 * d) * condition * size,
            )
        )
    return Certificate.all_of(*parts)


# 6c ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LatticeEvidence:
    """Log evidence under a floating prior, and KL(q || posterior), of each datum `(B,)`."""

    value: Array
    divergence: Array
    error: Array


def lattice_evidence(scene: ModelBatch, bounds: list[BatchBound]) -> list[LatticeEvidence]:
    """Both by one lattice in the plain frame for all the priors; nothing is rescaled."""
    batch, count, d = scene.batch, len(scene.X), len(scene.batch.scale)
    encoder = batch.encoder
    first = bounds[0]
    modes = posterior_mode(scene.rescaled(first.prior_loc, first.prior_cov), scene.data)
    points = first.prior_loc + modes @ np.linalg.cholesky(first.prior_cov).T
    shift = np.diagonal(scene.log_likelihoods(points))

    def columns(z: Array) -> Array:
        likelihood = scene.log_likelihoods(z) - shift
        log_q = encoder.component_log_prob(z)
        q, out = np.exp(np.maximum(log_q, -700)), []
        for bound in bounds:
            log_joint = (
                likelihood + _gaussians.log_prob(z, bound.prior_loc, bound.prior_cov)[:, None]
            )
            terms = q * (log_q - log_joint)
            out += [np.exp(np.maximum(log_joint, -700)), terms, np.abs(terms)]
        return np.concatenate(out, axis=-1)

    widths = [9 * np.sqrt(np.diagonal(b.prior_cov)) for b in bounds]
    lower = np.min([b.prior_loc - w for b, w in zip(bounds, widths, strict=True)], axis=0)
    upper = np.max([b.prior_loc + w for b, w in zip(bounds, widths, strict=True)], axis=0)
    lower = np.minimum(lower, (batch.means - 9 * batch.deviations).min(axis=0))
    upper = np.maximum(upper, (batch.means + 9 * batch.deviations).max(axis=0))
    value, error = lattice_integral(columns, lower, upper, step=1 / 48 if d == 1 else 1 / 12)
    # Probabilities of discrete data are at most one; a Gaussian density has a peak.
    densities = scene.likelihood.support is Support.REAL
    peak = scene.likelihood.greatest_log_prob(scene.data).max() if densities else 0.0
    found = []
    for v, e in zip(value.reshape(-1, 3, count), error.reshape(-1, 3, count), strict=True):
        # Nine deviations out there is at most the prior's tail times the greatest likelihood.
        tail = 2 * d * np.exp(-40.5 + peak - shift)
        relative = (e[0] + tail) / v[0]
        size = v[2] + np.abs(np.log(v[0])) + np.abs(shift)
        found.append(
            LatticeEvidence(
                np.log(v[0]) + shift,
                v[1] + np.log(v[0]),
                e[1] + relative + gamma(100) * size,
            )
        )
    return found


def evidence_bound(
    scene: ModelBatch,
    *,
    floating: bool = True,
    information: float = 1.0,
    divergence: float = 1.0,
    sign: float = 1.0,
) -> Certificate:
    """BILBO below the mean log evidence under its own prior, by exactly the mean divergence."""
    likelihood, lost = expected_log_likelihood(scene)
    d, X = len(scene.batch.scale), scene.data
    bounds = [bilbo(likelihood, scene.batch.means, scene.batch.deviations, f) for f in FORMS]
    parts = []
    for bound, other in zip(bounds, lattice_evidence(scene, bounds), strict=True):
        loc, cov = bound.prior_loc, bound.prior_cov
        evidence = log_evidence(scene.rescaled(loc, cov) if floating else scene.model, X)
        value = float(likelihood.mean() - information * bound.information)
        size = float(np.abs(likelihood).mean() + np.abs(evidence.value).mean() + d)
        rounding = gamma(100 * d) * float(np.linalg.cond(cov)) * size
        engine = float(evidence.error.mean())
        parts += [
            Certificate.identity(
                evidence.value,
                other.value,
                scale=size,
                engine=evidence.error,
                lattice=other.error,
                rounding=rounding,
            ),
            Certificate.at_most(
                sign * value,
                sign * evidence.value.mean(),
                scale=size,
                engine=engine,
                likelihood=lost.mean(),
                rounding=rounding,
            ),
            Certificate.identity(
                evidence.value.mean() - value,
                divergence * other.divergence.mean(),
                scale=size,
                engine=engine,
                likelihood=lost.mean(),
                lattice=other.error.mean(),
                rounding=rounding,
            ),
        ]
    return Certificate.all_of(*parts)
