"""Instances for checks of several claims: a latent model, a datum and a posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory import decoders, likelihoods
from vaetheory.checking import strategies
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.likelihoods import Likelihood, Support
from vaetheory.models import LatentModel


@dataclass(frozen=True)
class ModelScene:
    """A latent model, a datum, and any Gaussian posterior."""

    decoder: Decoder
    likelihood: Likelihood
    x: Vector
    loc: Vector
    cov: Covariance

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(self.decoder, self.likelihood, len(self.loc))

    @property
    def posterior(self) -> Posterior:
        """The posterior of the one datum."""
        return Posterior(np.array(self.loc), cov=self.cov.matrix)


@cache
def curves() -> SearchStrategy[Decoder]:
    """One-dimensional decoders with two outputs: linear, bent, closed, saturating."""
    entry = strategies.fractions(-4, 4, 2)
    pair = st.tuples(entry, entry)
    return st.one_of(
        st.builds(lambda w, b: decoders.Affine(np.array(w)[:, None], b), pair, pair),
        st.builds(lambda a, b: decoders.Polynomial([[1], [2]], [a, b]), pair, pair),
        st.builds(decoders.Circle, st.sampled_from((1.0, 2.0))),
        st.builds(
            lambda w, v, b: decoders.TanhNetwork(
                [np.array(w)[:, None], np.diag(v)], [np.array(b), np.zeros(2)]
            ),
            *[pair] * 3,
        ),
    )


@cache
def surfaces() -> SearchStrategy[Decoder]:
    """Two-dimensional decoders with two outputs."""
    entry = strategies.fractions(-2, 2, 2)
    pair = st.tuples(entry, entry)
    return st.one_of(
        st.builds(lambda u, v, b: decoders.Affine([u, v], b), *[pair] * 3),
        st.builds(
            lambda u, v, q: decoders.Polynomial([[1, 0], [0, 1], [1, 1]], [u, v, q]), *[pair] * 3
        ),
        st.builds(
            lambda u, v, b: decoders.TanhNetwork([[u, v], np.eye(2)], [b, np.zeros(2)]),
            *[pair] * 3,
        ),
    )


@st.composite
def model_scenes(
    draw: DrawFn, *, smallest: float = 0.0625, dims: Sequence[int] = (1, 1, 1, 2)
) -> ModelScene:
    """Models of one or two latent dimensions under four likelihoods, and any posterior."""
    dim = draw(st.sampled_from(dims))
    decoder = draw(curves() if dim == 1 else surfaces())
    likelihood = draw(
        st.sampled_from(
            (
                likelihoods.Gaussian(scale=1.0),
                likelihoods.Gaussian(scale=0.5),
                likelihoods.Gaussian(scale=[0.5, 1.0]),
                likelihoods.Bernoulli(),
                likelihoods.Poisson(),
            )
        )
    )
    # The mean of exp(z^2) under a broad Gaussian is infinite, and the ELBO with it.
    assume(likelihood.support is not Support.COUNTS or not isinstance(decoder, decoders.Polynomial))
    if likelihood.support is Support.BINARY:
        x = draw(st.tuples(*[st.sampled_from((0.0, 1.0))] * 2))
    elif likelihood.support is Support.COUNTS:
        x = draw(st.tuples(*[strategies.fractions(0, 5)] * 2))
    else:
        x = draw(strategies.vectors(2))
    variances = tuple(v for v in (0.25, 0.5, 1.0, 0.0625) if v >= smallest)
    return ModelScene(
        decoder,
        likelihood,
        x,
        draw(strategies.vectors(dim, -3, 3, 2)),
        draw(strategies.covariances(dim, variances)),
    )
