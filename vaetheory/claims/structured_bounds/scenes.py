"""Instances of claim 22: linear models with the encoder's Gaussian, given about the posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.linear_models import LinearScene
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.encoders import Posterior


@dataclass(frozen=True)
class EncodedScene:
    """A linear model, a datum, and q = N(m* + shift, C) with C in units of the noise."""

    linear: LinearScene
    shift: Vector
    spread: Covariance

    @property
    def dim(self) -> int:
        """Number of latents."""
        return len(self.shift)

    @cached_property
    def precision(self) -> Array:
        """P = I + W^T Lambda^-1 W, `(d, d)`."""
        weight = self.linear.weight
        inner = weight.T @ np.linalg.solve(self.linear.noise.matrix, weight)
        return np.eye(self.dim) + (inner + inner.T) / 2

    @cached_property
    def mean(self) -> Array:
        """The posterior's mean m*, `(d,)`."""
        scene = self.linear
        away = np.array(scene.x) - np.array(scene.bias)
        pulled = scene.weight.T @ np.linalg.solve(scene.noise.matrix, away)
        return np.linalg.solve(self.precision, pulled)

    @property
    def loc(self) -> Array:
        """Mean of q, `(d,)`."""
        return self.mean + np.array(self.shift)

    @property
    def condition(self) -> float:
        """How much matrices of the instance multiply rounding errors."""
        noise = np.array(self.linear.noise.variances)
        return float(np.linalg.cond(self.precision) * noise.max() / noise.min())

    @property
    def diagonal(self) -> Posterior:
        """The encoder's q, with the variances of C and no correlations."""
        return Posterior(self.loc, scale=np.sqrt(self.spread.variances))

    @property
    def full(self) -> Posterior:
        """The encoder's q, with all of C."""
        return Posterior(self.loc, cov=self.spread.matrix)


@st.composite
def encoded_scenes(draw: DrawFn, dims: Sequence[int] = (1, 2, 2, 3, 4, 8)) -> EncodedScene:
    """Linear models of up to eight latents, noise down to 1/16, and any Gaussian q."""
    dim = draw(st.sampled_from(dims))
    data_dim = dim + draw(st.integers(0, 2))
    noise = draw(st.sampled_from(((1.0, 0.25), (0.25, 0.015625), (0.00390625, 0.0078125))))
    far = draw(st.sampled_from((1.0, 1.0, 20.0)))
    linear = LinearScene(
        draw(st.tuples(*[st.sampled_from((1.0, 2.0, 0.5))] * dim)),
        draw(strategies.angles(data_dim)),
        draw(strategies.angles(dim)),
        draw(strategies.vectors(data_dim)),
        draw(strategies.covariances(data_dim, noise)),
        tuple(far * v for v in draw(strategies.vectors(data_dim))),
        (0.0,) * dim,
    )
    return EncodedScene(
        linear,
        draw(strategies.vectors(dim, -2, 2, 4)),
        draw(strategies.covariances(dim, (0.25, 1.0, 0.0625, 0.5))),
    )


def stacked(scenes: Sequence[EncodedScene]) -> tuple[Array, Array, Array, Array]:
    """P `(I, d, d)`, shifts `(I, d)`, variances of q `(I, d)` and conditions `(I,)`."""
    return (
        np.array([s.precision for s in scenes]),
        np.array([s.shift for s in scenes]),
        np.array([s.spread.variances for s in scenes]),
        np.array([s.condition for s in scenes]),
    )


def log_dets(matrices: Array) -> Array:
    """Log determinants by LU, `(..., d, d) -> (...)`."""
    return np.asarray(np.linalg.slogdet(matrices)[1])
