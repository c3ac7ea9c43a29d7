"""Instances of claim 6: a batch encoded with constant deviations, and a model to decode it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import curves, surfaces
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder
from vaetheory.encoders import Encoder, Posterior
from vaetheory.likelihoods import Likelihood, Support
from vaetheory.models import LatentModel
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

    @property
    def encoder(self) -> Encoder:
        """The posteriors, and their aggregate."""
        return Encoder(self.means, self.deviations**2)


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

    @property
    def model(self) -> LatentModel:
        """The model under the prior N(0, I)."""
        return LatentModel(self.decoder, self.likelihood, len(self.batch.scale))

    def rescaled(self, loc: Array, cov: Array) -> LatentModel:
        """The model under the prior N(loc, cov), in latents in which it is N(0, I)."""
        inner = decoders.Reparametrised(self.decoder, np.linalg.cholesky(cov), loc)
        return LatentModel(inner, self.likelihood, len(loc))

    def rescaled_posterior(self, loc: Array, cov: Array) -> Posterior:
        """The batch's posteriors in the same latents."""
        inverse = np.linalg.inv(np.linalg.cholesky(cov))
        turned = inverse @ np.diag(self.batch.deviations**2) @ inverse.T
        return Posterior((self.batch.means - loc) @ inverse.T, (turned + turned.T) / 2)

    def log_likelihoods(self, z: Array) -> Array:
        """Log likelihood of every datum at every point, `(M, d) -> (M, B)`."""
        return self.likelihood.log_prob(self.data, self.decoder(z)[:, None])


@st.composite
def model_batches(draw: DrawFn) -> ModelBatch:
    """One to three data under three likelihoods, decoded from one or two latent dimensions."""
    dim = draw(st.sampled_from((1, 1, 1, 2)))
    likelihood: Likelihood = draw(
        st.sampled_from(
            (likelihoods.Gaussian(scale=1.0), likelihoods.Bernoulli(), likelihoods.Poisson())
        )
    )
    maps = curves() if dim == 1 else surfaces()
    if likelihood.support is Support.COUNTS:
        # The mean of exp(z^2) under a broad Gaussian is infinite, and so would be the ELBO.
        maps = maps.filter(lambda f: not isinstance(f, decoders.Polynomial))
    entry: SearchStrategy[float] = strategies.fractions(-4, 4, 2)
    if likelihood.support is Support.BINARY:
        entry = st.sampled_from((0.0, 1.0))
    elif likelihood.support is Support.COUNTS:
        entry = strategies.fractions(0, 5)
    batch = draw(batches(dim, max_size=3, reach=4 if dim == 1 else 2, scales=(1.0, 0.5)))
    X = tuple(draw(st.tuples(entry, entry)) for _ in batch.loc)
    return ModelBatch(draw(maps), likelihood, X, batch)


def expected_log_likelihood(scene: ModelBatch) -> tuple[Array, Array]:
    """E_q[log p(x|z)] of each datum `(B,)` by a lattice in the plain frame, and its error."""
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
