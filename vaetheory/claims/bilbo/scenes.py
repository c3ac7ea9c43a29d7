"""Instances of claim 6: data, a batch of posteriors, and a model."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory import decoders, likelihoods
from vaetheory.checking import strategies
from vaetheory.checking.batches import ModelBatch, batches
from vaetheory.checking.scenes import curves, surfaces
from vaetheory.likelihoods import Likelihood


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
    if isinstance(likelihood, likelihoods.Poisson):
        # The mean of exp(z^2) under a broad Gaussian is infinite, and so would be the ELBO.
        maps = maps.filter(lambda f: not isinstance(f, decoders.Polynomial))
    entry: SearchStrategy[float] = strategies.fractions(-4, 4, 2)
    if isinstance(likelihood, likelihoods.Bernoulli):
        entry = st.sampled_from((0.0, 1.0))
    elif isinstance(likelihood, likelihoods.Poisson):
        entry = strategies.fractions(0, 5)
    batch = draw(batches(dim, max_size=3, reach=4 if dim == 1 else 2, scales=(1.0, 0.5)))
    X = tuple(draw(st.tuples(entry, entry)) for _ in batch.loc)
    return ModelBatch(draw(maps), likelihood, X, batch)
