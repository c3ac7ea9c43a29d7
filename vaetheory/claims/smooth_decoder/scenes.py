"""Instances that several checks share: data with their encoder, and a latent point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.strategies import EncodedData, Vector
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class EncodedPoint:
    """Data with their encoder, and a point of the latent space."""

    scene: EncodedData
    z: Vector


@st.composite
def encoded_points(draw: DrawFn, *, shared: bool | None = None) -> EncodedPoint:
    """Data, encoder and a point, in one or two latent dimensions; the point may lie far out."""
    dim, data_dim = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    scene = draw(strategies.encoded_data(dim, strategies.data_sets(data_dim), shared=shared))
    far = draw(st.sampled_from((1.0, 1.0, 5.0)))
    z = draw(strategies.vectors(dim))
    return EncodedPoint(scene, tuple(far * v for v in z))


def log_weights(scene: EncodedData, z: Array) -> Array:
    """-1/2 (z - m)^T S^-1 (z - m) - 1/2 log det S, `(N,)`, for a real or complex z `(d,)`."""
    away = z - scene.encoder.loc
    precision = np.linalg.inv(scene.encoder.cov)
    square = np.einsum("ni,nij,nj->n", away, precision, away)
    return -0.5 * square - 0.5 * np.linalg.slogdet(scene.encoder.cov)[1]


def weight_error(scene: EncodedData, z: Array) -> float:
    """Bound of the relative error of the weights q(x|z), from the size of their exponents."""
    exponents = log_weights(scene, z)
    # The error of a negligible weight does not reach the sum.
    alive = exponents > exponents.max() - 45
    condition = float(np.linalg.cond(scene.encoder.cov).max())
    return gamma((30 + 10 * float(np.abs(exponents[alive]).max())) * condition + len(scene.X))


def score_sizes(scene: EncodedData, z: Array) -> Array:
    """|S^-1| (|m| + |z|), the size of the terms that cancel in the score, `(N,)`."""
    inverse = np.linalg.norm(np.linalg.inv(scene.encoder.cov), ord=2, axis=(-2, -1))
    return inverse * (np.linalg.norm(scene.encoder.loc, axis=-1) + np.linalg.norm(z))
