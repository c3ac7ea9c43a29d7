"""Decoders, data on them, and the beta-ELBO by that of a wider likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior
from vaetheory.checking import strategies
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder
from vaetheory.models import LatentModel

GAUSSIAN = ("Gaussian likelihood", r"p(x|z) = \mathcal N(f(z), \sigma^2 I),\ \sigma \text{ fixed}")
BETA = ("the beta-ELBO", r"\mathbb E_q\log p(x|z) - \beta\,\mathrm{KL}(q\,\|\,p)")


@dataclass(frozen=True)
class CurveScene:
    """The curve (z, bend z^2 / 2 + cubic z^3 / 6), a latent on it, beta and sigma."""

    bend: float
    cubic: float
    z0: float
    beta: float
    noise: float

    @property
    def decoder(self) -> Decoder:
        """The decoder, an immersion of one latent."""
        return decoders.Polynomial(
            [[1], [2], [3]], [[1.0, 0.0], [0.0, self.bend / 2], [0.0, self.cubic / 6]]
        )

    @property
    def x(self) -> Array:
        """The datum f(z0), `(2,)`."""
        return np.asarray(self.decoder(np.array([self.z0])))


def curve_scenes() -> st.SearchStrategy[CurveScene]:
    """Curves that bend a little, near the origin."""
    return st.builds(
        CurveScene,
        st.sampled_from((1.0, 0.5, -1.0, 0.0)),
        st.sampled_from((0.0, 0.5, -0.5)),
        st.sampled_from((0.5, 0.0, -0.5, 1.0)),
        st.sampled_from((1.7, 1.0, 0.5)),
        st.sampled_from((0.25, 0.5)),
    )


def wider_model(decoder: Decoder, noise: float, beta: float, dim: int) -> LatentModel:
    """The model whose ELBO has the maximisers of the beta-ELBO: noise beta sigma^2 (16d)."""
    scale = float(np.sqrt(beta) * noise)
    return LatentModel(decoder, likelihoods.Gaussian(scale=scale), dim)


def best_beta_elbo(
    decoder: Decoder, x: Array, noise: float, beta: float, dim: int, structure: str = "full"
) -> tuple[StationaryPosterior, float, float]:
    """The best posterior, its beta-ELBO and the error of this."""
    model = wider_model(decoder, noise, beta, dim)
    q = stationary_posterior(model, x, structure=structure)
    shift = (
        0.5 * len(x) * (beta * np.log(2 * np.pi * beta * noise**2) - np.log(2 * np.pi * noise**2))
    )
    return q, beta * float(q.value) + float(shift), beta * float(q.error)


@dataclass(frozen=True)
class ColumnScene:
    """Two columns of a linear decoder in three dimensions, a datum, beta and sigma."""

    columns: tuple[Vector, Vector]
    x: Vector
    beta: float
    noise: float

    @property
    def W(self) -> Array:
        """The weight `(3, 2)`."""
        return np.array(self.columns).T


def column_scenes() -> st.SearchStrategy[ColumnScene]:
    """Columns of small numbers; some are orthogonal."""
    column = strategies.vectors(3, -2, 2)
    return st.builds(
        ColumnScene,
        st.tuples(column, column),
        column,
        st.sampled_from((1.7, 1.0, 0.5)),
        st.sampled_from((0.5, 1.0, 0.25)),
    )
