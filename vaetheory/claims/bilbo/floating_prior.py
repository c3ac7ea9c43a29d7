"""Checks of 6a, 6b and 6c: the prior fitted to a batch, the rescaled model, and the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import _gaussians
from vaetheory._validation import Array
from vaetheory.bounds import FORMS, bilbo
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.batches import (
    Batch,
    ModelBatch,
    batches,
    expected_log_likelihood,
    lattice_evidence,
)
from vaetheory.checking.lattice import aggregate_expectation
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.claims.bilbo.scenes import ENCODER, FLOATING, model_batches
from vaetheory.encoders import Posterior
from vaetheory.evidence import Integral, log_evidence
from vaetheory.rounding import gamma

_MODEL = ("a model", r"p(x|z) \text{ a likelihood with parameter } f(z)")


#: Information of a batch, and mean and covariance of the prior that is fitted to it.
Fitted = Callable[[Array, Array, str], tuple[float, Array, Array]]


def library(loc: Array, scale: Array, form: str) -> tuple[float, Array, Array]:
    """Information and prior of the library."""
    bound = bilbo(np.zeros(len(loc)), loc, scale, form=form)
    return bound.information, bound.prior_loc, bound.prior_cov


def half_posterior_variance(loc: Array, scale: Array, form: str) -> tuple[float, Array, Array]:
    """A prior that lacks half of s^2."""
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
    """A batch, the log likelihoods of its data, and some other prior to compare with the best."""

    batch: Batch
    log_likelihood: Vector
    prior_loc: Vector
    prior_cov: Covariance

    def other(self, form: str) -> tuple[Array, Array]:
        """The other prior, restricted to the form."""
        loc, cov = np.array(self.prior_loc), self.prior_cov.matrix
        if form == "diagonal":
            loc = np.zeros_like(loc)
        return loc, cov if form == "full" else np.diag(np.diagonal(cov))


@st.composite
def prior_scenes(draw: DrawFn) -> PriorScene:
    """Batches of one to four data in one or two dimensions, and any Gaussian prior."""
    dim = draw(st.sampled_from((1, 1, 2)))
    # Different deviations make a lattice of two dimensions long: only d = 1 draws them.
    batch = draw(batches(dim) if dim == 1 else batches(dim, reach=2, scales=(1.0, 0.5)))
    return PriorScene(
        batch,
        draw(st.tuples(*[strategies.fractions(-8, 8, 2)] * len(batch.loc))),
        draw(strategies.vectors(dim)),
        draw(strategies.covariances(dim, (1.0, 0.5, 2.0, 4.0))),
    )


@once
def _batch_elbo(scene: PriorScene, loc: Array, cov: Array) -> tuple[float, float, float]:
    """Mean ELBO of the batch under the prior N(loc, cov), its error and its size."""
    terms, deviations = np.array(scene.log_likelihood), scene.batch.deviations
    entropy = float(_gaussians.entropy(np.diag(deviations**2)))
    cross, error, size = aggregate_expectation(
        lambda z: -_gaussians.log_prob(z, loc, cov), scene.batch.encoder
    )
    size = size + np.abs(terms).max() + abs(entropy) + len(deviations)
    return terms.mean() - (cross - entropy), error, size


def best_prior(scene: PriorScene, *, fitted: Fitted = library, surplus: float = 1.0) -> Comparison:
    """Check by lattice that the batch ELBO is greatest at the floating prior, and by how much."""
    batch, terms = scene.batch, np.array(scene.log_likelihood)
    means, deviations = batch.means, batch.deviations
    parts = []
    for form in FORMS:
        information, loc, cov = fitted(means, deviations, form)
        value = terms.mean() - information
        best, error, size = _batch_elbo(scene, loc, cov)
        # log(1 + m^2 / s^2) and the prior are off by a few roundings, however large they are.
        rounding = gamma(100 * len(loc)) * size
        parts.append(Comparison.identity(value, best, scale=size, lattice=error, numerics=rounding))
        other_loc, other_cov = scene.other(form)
        lower, error, size = _batch_elbo(scene, other_loc, other_cov)
        deficit = float(_gaussians.kl_divergence(loc, cov, other_loc, other_cov))
        rounding = gamma(100 * len(loc)) * (size + deficit) * np.linalg.cond(other_cov)
        parts.append(
            Comparison.identity(
                value - lower, surplus * deficit, scale=size, lattice=error, numerics=rounding
            )
        )
    return Comparison.all_of(*parts)


BEST_PRIOR = Proposition(
    label="6a",
    title="BILBO is the batch ELBO at the best floating prior",
    statement=(
        r"\mathbb E_B[\mathrm{ELBO}(\mathcal N(\mu', V'))] = \mathrm{BILBO}"
        r" - \mathrm{KL}(\mathcal N(\hat\mu, \hat V)\,\|\,\mathcal N(\mu', V')),"
        r"\quad \hat v_j = \mathbb E_B[m_j^2] + s_j^2 \text{ for the zero-mean form}"
    ),
    hypotheses=(ENCODER, FLOATING),
    kind="identity",
    instances=prior_scenes(),
    check=best_prior,
    controls=wrong(
        best_prior,
        {
            "a prior that forgets half of s^2": {"fitted": half_posterior_variance},
            "the mean of the logs for the log of the mean": {"fitted": mean_of_logs},
            "no factor 1/2": {"fitted": no_half},
            "twice the divergence between the priors": {"surplus": 2.0},
        },
    ),
    examples=10,
)


# 6b ---------------------------------------------------------------------------------------------


def elbo_of_rescaled_model(
    scene: ModelBatch,
    *,
    scaled_decoder: bool = True,
    scaled_posterior: bool = True,
    power: float = 1.0,
) -> Comparison:
    """Compare BILBO, with log likelihoods by lattice, with the ELBO of the rescaled model."""
    likelihood, error = expected_log_likelihood(scene)
    d, parts = len(scene.batch.scale), []
    for form in FORMS:
        bound = bilbo(likelihood, scene.batch.means, scene.batch.deviations, form=form)
        loc, cov = bound.prior_loc, bound.prior_cov
        model = scene.rescaled(loc, cov) if scaled_decoder else scene.model
        posterior = scene.rescaled_posterior(loc, cov)
        if not scaled_posterior:
            posterior = Posterior(posterior.loc, scale=scene.batch.deviations)
        if power != 1.0:
            values, axes = np.linalg.eigh(cov)
            model = scene.rescaled(loc, (axes * values**power) @ axes.T)
        other = elbo(model, scene.data, posterior)
        size = float(np.abs(likelihood).mean() + bound.information + d)
        condition = float(np.linalg.cond(cov))
        parts.append(
            Comparison.identity(
                bound.value,
                other.value.mean(),
                scale=size,
                lattice=error.mean(),
                elbo=other.error.mean(),
                rounding=gamma(100 * d) * condition * size,
            )
        )
    return Comparison.all_of(*parts)


RESCALED_MODEL = Proposition(
    label="6b",
    title="BILBO is the ordinary ELBO of a model with rescaled latents",
    statement=(
        r"\mathrm{BILBO} = \mathbb E_B[\mathrm{ELBO}_{\mathcal N(0, I)}(f')],"
        r"\quad f'(z') = f(\hat\mu + \hat L z'),\ \hat L\hat L^\top = \hat V;"
        r"\text{ zero-mean diagonal: } z' = z/\sqrt{v}"
    ),
    hypotheses=(ENCODER, FLOATING, _MODEL),
    kind="identity",
    instances=model_batches(),
    check=elbo_of_rescaled_model,
    controls=wrong(
        elbo_of_rescaled_model,
        {
            "the decoder not rescaled": {"scaled_decoder": False},
            "the posterior's deviations not rescaled": {"scaled_posterior": False},
            "z' = z / v for z / sqrt(v)": {"power": 2.0},
        },
    ),
    uses=("6a",),
)


# 6c ---------------------------------------------------------------------------------------------


@once
def _evidence(scene: ModelBatch, loc: Array, cov: Array) -> Integral:
    """Log evidence of the batch under the prior N(loc, cov)."""
    return log_evidence(scene.rescaled(loc, cov), scene.data)


def evidence_bound(
    scene: ModelBatch,
    *,
    floating: bool = True,
    information: float = 1.0,
    divergence: float = 1.0,
    sign: float = 1.0,
) -> Comparison:
    """Check that BILBO is below the mean log evidence, by exactly the mean divergence."""
    likelihood, lost = expected_log_likelihood(scene)
    d, X = len(scene.batch.scale), scene.data
    bounds = [bilbo(likelihood, scene.batch.means, scene.batch.deviations, form=f) for f in FORMS]
    parts = []
    for bound, other in zip(bounds, lattice_evidence(scene, bounds), strict=True):
        loc, cov = bound.prior_loc, bound.prior_cov
        evidence = _evidence(scene, loc, cov) if floating else log_evidence(scene.model, X)
        value = float(likelihood.mean() - information * bound.information)
        size = float(np.abs(likelihood).mean() + np.abs(evidence.value).mean() + d)
        rounding = gamma(100 * d) * float(np.linalg.cond(cov)) * size
        engine = float(evidence.error.mean())
        parts += [
            Comparison.identity(
                evidence.value,
                other.value,
                scale=size,
                engine=evidence.error,
                lattice=other.error,
                rounding=rounding,
            ),
            Comparison.at_most(
                sign * value,
                sign * evidence.value.mean(),
                scale=size,
                engine=engine,
                likelihood=lost.mean(),
                rounding=rounding,
            ),
            Comparison.identity(
                evidence.value.mean() - value,
                divergence * other.divergence.mean(),
                scale=size,
                engine=engine,
                likelihood=lost.mean(),
                lattice=other.error.mean(),
                rounding=rounding,
            ),
        ]
    return Comparison.all_of(*parts)


EVIDENCE_BOUND = Proposition(
    label="6c",
    title="BILBO is a lower bound of the mean log evidence under its floating prior",
    statement=(
        r"\mathbb E_B[\log \hat p(x)] - \mathrm{BILBO}"
        r" = \mathbb E_B[\mathrm{KL}(q(z|x)\,\|\,\hat p(z|x))] \ge 0"
    ),
    hypotheses=(ENCODER, FLOATING, _MODEL),
    kind="inequality",
    instances=model_batches(),
    check=evidence_bound,
    controls=wrong(
        evidence_bound,
        {
            "the evidence under N(0, I)": {"floating": False},
            "half of the information term": {"information": 0.5},
            "the divergence of the wrong sign": {"divergence": -1.0},
            "an upper bound": {"sign": -1.0},
        },
    ),
    uses=("3a", "6a", "6b"),
    figure="bilbo",
    examples=8,
)
