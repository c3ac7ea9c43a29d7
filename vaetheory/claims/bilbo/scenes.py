"""Hypotheses and instances that several rooms of claim 6 share."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory import decoders, likelihoods
from vaetheory.checking import strategies
from vaetheory.checking.batches import ModelBatch, batches
from vaetheory.checking.scenes import curves, surfaces
from vaetheory.likelihoods import Likelihood, Support

ENCODER = (
    "constant variances",
    r"q(z|x) = \mathcal N(m(x), S),\ S = \mathrm{diag}(s^2) \text{ the same for all data}",
)
FLOATING = (
    "a floating prior",
    r"\mathcal N(0, \mathrm{diag}\,v),\ \mathcal N(\mu, \mathrm{diag}\,v)"
    r"\text{ or } \mathcal N(\mu, V), \text{ fitted to the batch}",
)
FINITE = ("a finite data set", r"q(z) = \tfrac1N\sum_n q(z|x_n)")


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
        # The mean of exp(z^2) under a broad Gaussian is infinite, and the ELBO would be too.
        maps = maps.filter(lambda f: not isinstance(f, decoders.Polynomial))
    entry: SearchStrategy[float] = strategies.fractions(-4, 4, 2)
    if likelihood.support is Support.BINARY:
        entry = st.sampled_from((0.0, 1.0))
    elif likelihood.support is Support.COUNTS:
        entry = strategies.fractions(0, 5)
    batch = draw(batches(dim, max_size=3, reach=4 if dim == 1 else 2, scales=(1.0, 0.5)))
    X = tuple(draw(st.tuples(entry, entry)) for _ in batch.loc)
    return ModelBatch(draw(maps), likelihood, X, batch)
