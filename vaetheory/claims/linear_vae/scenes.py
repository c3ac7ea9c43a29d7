"""Data of a known covariance, linear decoders, and the mean ELBO written out datum by datum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.strategies import Vector
from vaetheory.rounding import gamma

GAUSSIAN = ("Gaussian likelihood", r"p(x|z) = \mathcal N(Wz + b, \sigma^2 I),\ b = \bar x")
ENCODER = ("linear encoder", r"q(z|x) = \mathcal N(V(x - b), \operatorname{diag}\delta)")
MATRICES = ("notation", r"M = W^\top W + \sigma^2 I,\ C = WW^\top + \sigma^2 I")
SPECTRUM = (
    "data covariance",
    r"\Lambda = \tfrac1N\sum_n (x_n - \bar x)(x_n - \bar x)^\top = "
    r"\sum_j\lambda_j u_j u_j^\top,\ \lambda_1 \ge \lambda_2 \ge \dots",
)


@dataclass(frozen=True)
class AxisData:
    """2 D data on the axes of a rotated cross, whose covariance has a given spectrum exactly."""

    spectrum: Vector
    angles: tuple[int, ...]
    mean: Vector

    @cached_property
    def axes(self) -> Array:
        """The principal axes u_j, as columns, `(D, D)`."""
        return strategies.rotation(self.angles, len(self.spectrum))

    @cached_property
    def X(self) -> Array:
        """The data `(2 D, D)`."""
        dim = len(self.spectrum)
        away = self.axes * np.sqrt(dim * np.array(self.spectrum))
        return np.array(self.mean) + np.concatenate([away.T, -away.T])


@dataclass(frozen=True)
class LinearData:
    """Data, the latent dimension and the noise; a weight W, a point nearby, and a turn."""

    data: AxisData
    variance: float
    weight: tuple[Vector, ...]
    other: Vector
    turn: int

    @property
    def dim(self) -> int:
        """The latent dimension d."""
        return len(self.weight)

    @property
    def shape(self) -> tuple[int, int]:
        """D and d, which are the same for instances that fit into one array."""
        return len(self.data.spectrum), self.dim


@st.composite
def spectra(
    draw: DrawFn, dim: int, *, ratios: Sequence[float] = (1.0, 1.5, 2.0, 4.0), least: float = 0.25
) -> Vector:
    """Decreasing eigenvalues: the least, and the ratios of neighbours."""
    values = [least * draw(st.sampled_from((1.0, 2.0, 0.5)))]
    for ratio in draw(st.tuples(*[st.sampled_from(tuple(ratios))] * (dim - 1))):
        values.append(values[-1] * ratio)
    return tuple(reversed(values))


@st.composite
def linear_data(
    draw: DrawFn,
    *,
    shapes: Sequence[tuple[int, int]] = ((2, 1), (2, 2), (3, 2), (3, 3), (4, 2)),
    ratios: Sequence[float] = (1.0, 1.5, 2.0, 4.0),
    noises: Sequence[float] = (0.25, 0.0625, 1.0),
) -> LinearData:
    """Data of two to four dimensions, with weights of small numbers."""
    data_dim, dim = draw(st.sampled_from(tuple(shapes)))
    spectrum = draw(spectra(data_dim, ratios=ratios))
    data = AxisData(
        spectrum, draw(strategies.angles(data_dim)), draw(strategies.vectors(data_dim, -2, 2))
    )
    weight = draw(st.tuples(*[strategies.vectors(data_dim, -3, 3)] * dim))
    return LinearData(
        data,
        draw(st.sampled_from(tuple(noises))),
        weight,
        draw(strategies.vectors(dim)),
        draw(st.sampled_from((30, 45, 10, 60))),
    )


def stacked(scenes: Sequence[LinearData]) -> tuple[Array, Array, Array]:
    """Data `(I, N, D)`, weights `(I, D, d)` and noise variances `(I,)`."""
    X = np.stack([s.data.X for s in scenes])
    weights = np.stack([np.array(s.weight).T for s in scenes])
    return X, weights, np.array([s.variance for s in scenes])


def turned(scenes: Sequence[LinearData], weights: Array) -> Array:
    """W R, with R a rotation by the scenes' angle in the planes of neighbouring columns."""
    dim = weights.shape[-1]
    turns = np.stack([strategies.rotation((s.turn,) * (dim - 1), dim) for s in scenes])
    return weights @ turns


def covariance_of(X: Array) -> Array:
    """The covariance of data `(..., N, D)`, divided by N."""
    centred = X - X.mean(axis=-2, keepdims=True)
    return np.asarray(np.swapaxes(centred, -1, -2) @ centred / X.shape[-2])


def mean_elbo(X: Array, W: Array, noise: Array, encoder: Array, variances: Array) -> Array:
    """The mean ELBO of data `(..., N, D)` under any linear encoder, summed datum by datum.

    -D/2 log(2 pi sigma^2) - (squares of x - W m + sum_j delta_j w_j^T w_j) / (2 sigma^2) - KL, with
    the data less their mean and m = V x.
    """
    centred = X - X.mean(axis=-2, keepdims=True)
    loc = centred @ np.swapaxes(encoder, -1, -2)
    residual = ((centred - loc @ np.swapaxes(W, -1, -2)) ** 2).sum(axis=-1)
    residual = residual + (variances * (W**2).sum(axis=-2)).sum(axis=-1)[..., None]
    own = (variances - 1 - np.log(variances)).sum(axis=-1)[..., None]
    divergence = 0.5 * ((loc**2).sum(axis=-1) + own)
    size = X.shape[-1] * np.log(2 * np.pi * noise)
    each = -0.5 * (size[..., None] + residual / noise[..., None]) - divergence
    return np.asarray(each.mean(axis=-1))


def mean_log_density(X: Array, W: Array, noise: Array) -> Array:
    """The mean log density of the data under N(mean, W W^T + sigma^2 I), by Cholesky's factor."""
    dim = X.shape[-1]
    total = W @ np.swapaxes(W, -1, -2) + noise[..., None, None] * np.eye(dim)
    root = np.linalg.cholesky(total)
    centred = X - X.mean(axis=-2, keepdims=True)
    white = np.linalg.solve(root, np.swapaxes(centred, -1, -2))
    log_det = 2 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    square = (white**2).sum(axis=-2).mean(axis=-1)
    return np.asarray(-0.5 * (dim * np.log(2 * np.pi) + log_det + square))


def rounding_of(X: Array, W: Array, noise: Array, *, steps: int = 400) -> Array:
    """What formulas with inverses of C and M lose, `(...)`: their condition times their sizes."""
    most = (W**2).sum(axis=(-1, -2))
    condition = 1 + most / noise
    centred = X - X.mean(axis=-2, keepdims=True)
    # The mean itself is rounded, as far as the data are from the origin.
    scale = (np.abs(X).max(axis=(-1, -2)) ** 2 + (centred**2).sum(axis=-1).mean(axis=-1)) / noise
    size = 1 + scale + X.shape[-1] * (1 + np.abs(np.log(noise)) + np.log(condition))
    return np.asarray(gamma(steps) * condition * size)
