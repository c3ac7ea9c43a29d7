"""Linear decoders under a Gaussian likelihood, drawn by their singular values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.models import LatentModel


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

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        decoder = decoders.Affine(self.weight, self.bias)
        return LatentModel(
            decoder, likelihoods.Gaussian(cov=self.noise.matrix), len(self.singular_values)
        )


@st.composite
def linear_scenes(draw: DrawFn) -> LinearScene:
    """Linear models of up to eight latent dimensions; some nearly singular, some data far."""
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


@st.composite
def wide_linear_scenes(draw: DrawFn) -> LinearScene:
    """Linear models of five to 32 latents, whose numbers are a few that come again and again."""
    dim = draw(strategies.wide_dims())
    data_dim = dim + draw(st.integers(0, 2))
    entries = strategies.fractions(-4, 4, 2)
    return LinearScene(
        draw(strategies.repeated(st.sampled_from((1.0, 2.0, 0.5, 0.0625)), dim)),
        draw(strategies.repeated(strategies.ANGLES, data_dim - 1)),
        draw(strategies.repeated(strategies.ANGLES, dim - 1)),
        draw(strategies.repeated(entries, data_dim)),
        draw(strategies.wide_covariances(data_dim, (1.0, 0.25, 0.015625))),
        draw(strategies.repeated(entries, data_dim)),
        draw(strategies.repeated(entries, dim)),
    )
