"""Batches encoded with the same deviations for all data, and models that decode them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import _gaussians, decoders
from vaetheory._validation import Array
from vaetheory.bounds import BatchBound
from vaetheory.checking import strategies
from vaetheory.checking._once import once
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder
from vaetheory.encoders import AggregatePosterior, Posterior
from vaetheory.likelihoods import Likelihood, Support
from vaetheory.models import LatentModel
from vaetheory.modes import posterior_mode
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Batch:
    """Posterior means of a batch and the standard deviations that all its data share."""

    loc: tuple[Vector, ...]
    scale: Vector

    @property
    def means(self) -> Array:
        """The means `(B, d)`."""
        return np.array(self.loc)

    @property
    def deviations(self) -> Array:
        """The standard deviations `(d,)`."""
        return np.array(self.scale)

    @cached_property
    def encoder(self) -> AggregatePosterior:
        """The posteriors, and their aggregate."""
        return AggregatePosterior(self.means, scale=self.deviations)


@st.composite
def batches(
    draw: DrawFn,
    dim: int,
    *,
    min_size: int = 1,
    max_size: int = 4,
    reach: int = 4,
    scales: Sequence[float] = (1.0, 0.5, 0.25, 2.0),
    distinct: bool = False,
) -> Batch:
    """Batches of means in [-reach / 2, reach / 2]."""
    row = strategies.vectors(dim, -reach, reach)
    rows = draw(st.lists(row, min_size=min_size, max_size=max_size, unique=distinct))
    return Batch(tuple(rows), draw(st.tuples(*[st.sampled_from(scales)] * dim)))


def rescaled_model(model: LatentModel, prior_loc: Array, prior_cov: Array) -> LatentModel:
    """The model under the prior N(prior_loc, prior_cov), in latents in which it is N(0, I)."""
    inner = decoders.Reparametrised(model.decoder, np.linalg.cholesky(prior_cov), prior_loc)
    return LatentModel(inner, model.likelihood, len(prior_loc))


def rescaled_posterior(loc: Array, scale: Array, prior_loc: Array, prior_cov: Array) -> Posterior:
    """Posteriors of means `(B, d)` and the same deviations `(d,)` in the same latents."""
    inverse = np.linalg.inv(np.linalg.cholesky(prior_cov))
    turned = inverse @ np.diag(scale**2) @ inverse.T
    return Posterior((loc - prior_loc) @ inverse.T, cov=(turned + turned.T) / 2)


@dataclass(frozen=True)
class ModelBatch:
    """Data, their batch of posteriors, and a decoder with its likelihood."""

    decoder: Decoder
    likelihood: Likelihood
    X: tuple[Vector, ...]
    batch: Batch

    @property
    def data(self) -> Array:
        """The data `(B, D)`."""
        return np.array(self.X)

    @cached_property
    def model(self) -> LatentModel:
        """The model under the prior N(0, I)."""
        return LatentModel(self.decoder, self.likelihood, len(self.batch.scale))

    def rescaled(self, loc: Array, cov: Array) -> LatentModel:
        """The model under the prior N(loc, cov), in latents in which it is N(0, I)."""
        return rescaled_model(self.model, loc, cov)

    def rescaled_posterior(self, loc: Array, cov: Array) -> Posterior:
        """The posteriors of the batch in the same latents."""
        return rescaled_posterior(self.batch.means, self.batch.deviations, loc, cov)

    def log_likelihoods(self, z: Array) -> Array:
        """Log likelihood of every datum at every point, `(M, d) -> (M, B)`."""
        return self.likelihood.log_prob(self.data, self.decoder(z)[:, None])


@once
def expected_log_likelihood(scene: ModelBatch) -> tuple[Array, Array]:
    """E_q[log p(x|z)] of each datum `(B,)` by a lattice in the original latents; and its error."""
    batch, count = scene.batch, len(scene.X)
    means, deviations = batch.means, batch.deviations

    def columns(z: Array) -> Array:
        values = np.exp(batch.encoder.component_log_prob(z)) * scene.log_likelihoods(z)
        return np.concatenate([values, np.abs(values)], axis=-1)

    value, error = lattice_integral(
        columns,
        (means - 10 * deviations).min(axis=0),
        (means + 10 * deviations).max(axis=0),
        step=float(deviations.min()) / 6,
    )
    return value[:count], error[:count] + gamma(100) * value[count:]


@dataclass(frozen=True)
class LatticeEvidence:
    """Log evidence under a floating prior, and KL(q || posterior), of each datum `(B,)`."""

    value: Array
    divergence: Array
    error: Array


@once
def lattice_evidence(scene: ModelBatch, bounds: list[BatchBound]) -> list[LatticeEvidence]:
    """Evidence and divergence under every prior, by one lattice in the original latents."""
    batch, count, d = scene.batch, len(scene.X), len(scene.batch.scale)
    encoder = batch.encoder
    first = bounds[0]
    modes = posterior_mode(scene.rescaled(first.prior_loc, first.prior_cov), scene.data)
    points = first.prior_loc + modes @ np.linalg.cholesky(first.prior_cov).T
    shift = np.diagonal(scene.log_likelihoods(points))

    def columns(z: Array) -> Array:
        likelihood = scene.log_likelihoods(z) - shift
        log_q = encoder.component_log_prob(z)
        q, integrands = np.exp(np.maximum(log_q, -700)), []
        for bound in bounds:
            log_joint = (
                likelihood + _gaussians.log_prob(z, bound.prior_loc, bound.prior_cov)[:, None]
            )
            terms = q * (log_q - log_joint)
            integrands += [np.exp(np.maximum(log_joint, -700)), terms, np.abs(terms)]
        return np.concatenate(integrands, axis=-1)

    widths = [9 * np.sqrt(np.diagonal(b.prior_cov)) for b in bounds]
    lower = np.min([b.prior_loc - w for b, w in zip(bounds, widths, strict=True)], axis=0)
    upper = np.max([b.prior_loc + w for b, w in zip(bounds, widths, strict=True)], axis=0)
    lower = np.minimum(lower, (batch.means - 9 * batch.deviations).min(axis=0))
    upper = np.maximum(upper, (batch.means + 9 * batch.deviations).max(axis=0))
    value, error = lattice_integral(columns, lower, upper, step=1 / 48 if d == 1 else 1 / 12)
    # Probabilities of discrete data are at most one; a Gaussian density has a peak.
    densities = scene.likelihood.support is Support.REAL
    peak = scene.likelihood.greatest_log_prob(scene.data).max() if densities else 0.0
    evidences = []
    for v, e in zip(value.reshape(-1, 3, count), error.reshape(-1, 3, count), strict=True):
        # Beyond nine deviations there is at most the prior's tail times the greatest likelihood.
        tail = 2 * d * np.exp(-40.5 + peak - shift)
        relative = (e[0] + tail) / v[0]
        size = v[2] + np.abs(np.log(v[0])) + np.abs(shift)
        evidences.append(
            LatticeEvidence(
                np.log(v[0]) + shift,
                v[1] + np.log(v[0]),
                e[1] + relative + gamma(100) * size,
            )
        )
    return evidences
