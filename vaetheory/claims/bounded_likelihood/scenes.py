"""Data, a Gaussian likelihood, and VAEs whose decoders take finitely many values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.best_mixture import MixtureMaximum, npmle
from vaetheory.checking import once, strategies
from vaetheory.checking.strategies import Vector
from vaetheory.likelihoods import Gaussian
from vaetheory.rounding import gamma

ANY_VAE = ("any VAE", r"p(x) = \int p(x|\eta)\,dH(\eta),\ \eta = f(z),\ z \sim \text{any prior}")
FIXED = ("Gaussian likelihood", r"p(x|\eta) = \mathcal N(x; \eta, \xi I)")
_EM_STEPS = 300


@dataclass(frozen=True)
class Mixed:
    """Data, the deviation of the noise, a VAE of finitely many outputs, and numbers log c_n."""

    X: tuple[Vector, ...]
    scale: float
    outputs: tuple[Vector, ...]
    counts: tuple[int, ...]
    logs: Vector

    @property
    def shape(self) -> tuple[int, ...]:
        """N, D and the number of outputs, which are the same for instances in one array."""
        return len(self.X), len(self.X[0]), len(self.outputs)

    @property
    def data(self) -> Array:
        """The data `(N, D)`."""
        return np.array(self.X)

    @property
    def likelihood(self) -> Gaussian:
        """The likelihood of the VAE."""
        return Gaussian(scale=self.scale)


@st.composite
def mixed_data(draw: DrawFn, *, dims: Sequence[int] = (1, 1, 2, 3)) -> Mixed:
    """Two to four data, some of them equal, and one to three outputs."""
    dim = draw(st.sampled_from(tuple(dims)))
    X = draw(strategies.data_sets(dim, 2, 4, distinct=False))
    outputs = draw(strategies.data_sets(dim, 1, 3))
    return Mixed(
        X,
        draw(st.sampled_from((1.0, 0.5, 2.0, 0.25))),
        outputs,
        draw(st.tuples(*[st.integers(1, 4)] * len(outputs))),
        draw(st.tuples(*[strategies.fractions(-6, 0, 2)] * len(X))),
    )


@once
def best_mixtures(scenes: tuple[Mixed, ...]) -> list[MixtureMaximum]:
    """The library's best mixtures."""
    return [npmle(scene.likelihood, scene.data) for scene in scenes]


@dataclass(frozen=True)
class Stacked:
    """Instances of one shape: data in units of the deviation, `(I, N, D)`, and log peaks `(I,)`."""

    y: Array
    outputs: Array
    weights: Array
    peak: Array


def stacked(scenes: Sequence[Mixed]) -> Stacked:
    """Arrays of instances of one shape."""
    scale = np.array([s.scale for s in scenes])
    counts = np.array([s.counts for s in scenes], float)
    y = np.array([s.X for s in scenes]) / scale[:, None, None]
    return Stacked(
        y,
        np.array([s.outputs for s in scenes]) / scale[:, None, None],
        counts / counts.sum(axis=-1, keepdims=True),
        -0.5 * y.shape[-1] * np.log(2 * np.pi * scale**2),
    )


def kernels(y: Array, points: Array) -> Array:
    """exp(-|y - point|^2 / 2) of data `(..., N, D)` and points `(..., K, D)`, `(..., N, K)`."""
    return np.exp(-0.5 * ((y[..., :, None, :] - points[..., None, :, :]) ** 2).sum(axis=-1))


def mean_log(y: Array, outputs: Array, weights: Array) -> Array:
    """Mean log density of mixtures, less the peak's, `(I,)`."""
    return np.log((kernels(y, outputs) * weights[..., None, :]).sum(axis=-1)).mean(axis=-1)


@once
def by_em(scenes: tuple[Mixed, ...]) -> tuple[Array, Array]:
    """What EM reaches from one component at each datum: densities less the peak's, mean logs."""
    y = stacked(scenes).y
    atoms, weights = y.copy(), np.full(y.shape[:-1], 1 / y.shape[1])
    for _ in range(_EM_STEPS):
        shares = kernels(y, atoms) * weights[:, None]
        shares /= shares.sum(axis=-1, keepdims=True)
        mass = shares.sum(axis=1)
        atoms = np.swapaxes(shares, 1, 2) @ y / np.maximum(mass, 1e-300)[..., None]
        weights = mass / y.shape[1]
    densities = (kernels(y, atoms) * weights[:, None]).sum(axis=-1)
    return densities, np.log(densities).mean(axis=-1)


def lost(y: Array, peak: Array) -> Array:
    """Rounding of a mean log density, `(I,)`."""
    return gamma(200) * (1 + np.abs(peak) + (y**2).sum(axis=-1).max(axis=-1))
