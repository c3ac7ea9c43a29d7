"""Weighted data, their Gaussian codes in one dimension, and what the codes say about the data."""

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

GAUSSIAN = ("Gaussian likelihood", r"p(x|z) = \mathcal N(f(z), \sigma^2 I),\ \sigma \text{ fixed}")
COLLAPSE = (
    "collapse",
    r"q(z|x) = p(z),\ f = \bar x,\ \mathrm{ELBO}_0 = -\tfrac D2\log 2\pi\sigma^2 - "
    r"\tfrac{1}{2\sigma^2}\operatorname{tr}\Lambda",
)
OPTIMAL = ("the best decoder", r"f^*(z) = \mathbb E_{q(x|z)}[x] \text{ (1a)}")
PROXY = (
    "variance proxy",
    r"\tau^2 = \sup_\theta\,2\log\mathbb E_n e^{\theta^\top(x_n - \bar x)}/\|\theta\|^2",
)

_POINTS = 1024


@dataclass(frozen=True)
class WeightedData:
    """Data with their counts, which are their weights."""

    X: tuple[Vector, ...]
    counts: tuple[int, ...]

    @property
    def data(self) -> Array:
        """The data `(N, D)`."""
        return np.array(self.X)

    @cached_property
    def weights(self) -> Array:
        """The weights `(N,)`."""
        counts = np.array(self.counts, float)
        return np.asarray(counts / counts.sum())

    @cached_property
    def centred(self) -> Array:
        """The data less their mean `(N, D)`."""
        return np.asarray(self.data - self.weights @ self.data)

    @cached_property
    def variance(self) -> float:
        """The largest eigenvalue of the covariance."""
        cov = (self.centred.T * self.weights) @ self.centred
        return float(np.linalg.eigvalsh(cov)[-1])


@st.composite
def weighted_data(
    draw: DrawFn,
    *,
    dims: Sequence[int] = (1, 1, 2),
    sizes: tuple[int, int] = (2, 4),
    counts: Sequence[int] = (1, 1, 2, 4, 19),
) -> WeightedData:
    """Two to four data; some of them are rare."""
    dim = draw(st.sampled_from(tuple(dims)))
    X = draw(strategies.data_sets(dim, *sizes))
    return WeightedData(X, draw(st.tuples(*[st.sampled_from(tuple(counts))] * len(X))))


@dataclass(frozen=True)
class Coded:
    """Weighted data, means and deviations of their codes, and sigma^2 over the largest eigenvalue.

    The means are `pull` times the data along the first principal axis, in units of its deviation.
    """

    data: WeightedData
    pull: float
    shift: Vector
    scale: Vector
    share: float

    @property
    def noise(self) -> float:
        """The variance sigma^2."""
        return self.share * self.data.variance

    @cached_property
    def loc(self) -> Array:
        """The means of the codes `(N,)`."""
        centred, p = self.data.centred, self.data.weights
        axis = np.linalg.eigh((centred.T * p) @ centred)[1][:, -1]
        return np.asarray(
            self.pull * centred @ axis / np.sqrt(self.data.variance) + np.array(self.shift)
        )

    @property
    def shape(self) -> tuple[int, int]:
        """N and D, which are the same for instances that fit into one array."""
        return self.data.data.shape[0], self.data.data.shape[1]


@st.composite
def coded_data(
    draw: DrawFn,
    data: st.SearchStrategy[WeightedData],
    *,
    shares: Sequence[float] = (0.5, 1.0, 1.25, 2.0, 4.0),
) -> Coded:
    """Codes that follow the data, more or less, with deviations from 1/4 to 1."""
    found = draw(data)
    count = len(found.X)
    return Coded(
        found,
        draw(st.sampled_from((0.5, 0.25, 0.75, 1.0))),
        draw(st.tuples(*[strategies.fractions(-1, 1, 4)] * count)),
        draw(st.tuples(*[st.sampled_from((1.0, 0.75, 0.5, 0.25))] * count)),
        draw(st.sampled_from(tuple(shares))),
    )


@dataclass(frozen=True)
class Said:
    """What codes say, for each instance `(I,)`: nats, and a square in the units of the data.

    Attributes
    ----------
    information : array
        I_q(x; z).
    apart : array
        KL(q(z) || p(z)).
    explained : array
        E_q(z) of the square of E_{q(x|z)}[x] less the mean.
    information_error, apart_error, explained_error : arrays
        Differences of two lattices, and rounding.
    """

    information: Array
    apart: Array
    explained: Array
    information_error: Array
    apart_error: Array
    explained_error: Array


def said(centred: Array, p: Array, loc: Array, scale: Array) -> Said:
    """What the codes N(loc, scale^2) say about data `(I, N, D)` of weights `(I, N)`.

    By two lattices of the trapezoidal rule on the support of q(z), half a step apart.
    """
    lower = (loc - 10 * scale).min(axis=-1)
    step = ((loc + 10 * scale).max(axis=-1) - lower) / _POINTS
    found, sizes = [], []
    for offset in (0.0, 0.5):
        z = lower[:, None] + step[:, None] * (np.arange(_POINTS) + offset)
        white = (z[:, None] - loc[..., None]) / scale[..., None]
        log_each = -0.5 * white**2 - np.log(scale)[..., None] - 0.5 * np.log(2 * np.pi)
        joint = log_each + np.log(p)[..., None]
        most = joint.max(axis=1, keepdims=True)
        log_q = np.log(np.exp(joint - most).sum(axis=1)) + most[:, 0]
        mass = np.exp(joint)
        shares = np.exp(joint - log_q[:, None])
        fitted = np.einsum("inm,ind->imd", shares, centred)
        q = np.exp(log_q) * step[:, None]
        log_p = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
        told = mass * step[:, None, None] * (log_each - log_q[:, None])
        parts = (told, (q * (log_q - log_p))[:, None], (q * (fitted**2).sum(axis=-1))[:, None])
        found.append([part.sum(axis=(1, 2)) for part in parts])
        sizes.append([np.abs(part).sum(axis=(1, 2)) for part in parts])
    values = np.array(found)
    lost = np.abs(values[0] - values[1])
    # Outside there is less than a rounding of the mass; the exponents have up to 50 nats.
    lost = lost + gamma(400) * (np.array(sizes).max(axis=0) + np.array([[1.0], [1.0], [0.0]]))
    mean = values.mean(axis=0)
    return Said(mean[0], mean[1], mean[2], lost[0], lost[1], lost[2])
