"""What the checks of claim 20 share: curved decoders on a line, linear models, and Gaussians q.

The estimators are written out here once more, from their definitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds._reparametrised import Reparametrised
from vaetheory.bounds.gradient_moments import GradientNoise, gradient_noise
from vaetheory.checking import once, strategies
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

SAMPLED = (
    "reparametrised latents",
    r"z_k = m + L\varepsilon_k,\ \varepsilon_k \sim \mathcal N(0, I),\ q = \mathcal N(m, S),\ "
    r"S = LL^\top;\ \text{parameters } m \text{ and } t,\ L \mapsto L\,e^{\operatorname{diag}t}",
)
ESTIMATORS = (
    "estimators",
    r"u_k = w_k/\textstyle\sum w,\ w = p(x, z)/q(z): \text{ total } \textstyle\sum u_k h_k,\ "
    r"h = \mathrm d\log w/\mathrm d\phi;\ \text{path } \textstyle\sum u_k r_k,\ "
    r"r = \partial_z\log w\cdot\mathrm dz/\mathrm d\phi;\ \text{DReG } \textstyle\sum u_k^2r_k",
)
LINEAR = (
    "linear model",
    r"f(z) = Wz,\ \text{Gaussian noise},\ p(z|x) = \mathcal N(\mu, P^{-1})",
)

#: Standard deviations of q that the plain sums span.
_REACH = 8.5
#: Tolerance of the library's noise, whose stated error counts.
_RTOL = 1e-6
#: Up to so many latents the noise is computed by the library's lattices.
_LATTICES = 2


@dataclass(frozen=True)
class Curve:
    """The decoder f(z) = (slope z, bend z^2), a datum, and a Gaussian q = N(loc, scale^2)."""

    slope: float
    bend: float
    noise: float
    x: tuple[float, float]
    loc: float
    scale: float

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        decoder = decoders.Polynomial([[1], [2]], [[self.slope, 0.0], [0.0, self.bend]])
        return LatentModel(decoder, likelihoods.Gaussian(scale=self.noise), 1)

    @property
    def posterior(self) -> Posterior:
        """The Gaussian q of the one datum."""
        return Posterior([self.loc], scale=self.scale)


@st.composite
def curves(draw: DrawFn, scales: Sequence[float] = (0.5, 0.75, 0.25, 0.375)) -> Curve:
    """Small curves, some of them straight."""
    return Curve(
        draw(st.sampled_from((1.0, 0.5, 2.0))),
        draw(st.sampled_from((0.5, 0.25, 0.0))),
        draw(st.sampled_from((1.0, 0.5))),
        draw(st.tuples(*[strategies.fractions(-3, 3, 2)] * 2)),
        draw(strategies.fractions(-2, 2, 4)),
        draw(st.sampled_from(tuple(scales))),
    )


class Terms(NamedTuple):
    """At nodes of e, `(I, M)`: log weights, and the terms of estimators for m and log s.

    Attributes
    ----------
    logs : array (I, M)
    masses : array (M,)
        Of N(0, 1).
    total, path, score : arrays (I, M, 2)
        h, r, and the derivative of log q(z) in the parameters at fixed z.
    decoder : array (I, M, 2)
        The derivative of log p(x given z) in a bias of the outputs.
    """

    logs: Array
    masses: Array
    total: Array
    path: Array
    score: Array
    decoder: Array


def terms_of(scenes: Sequence[Curve], step: float, offset: float) -> Terms:
    """The terms of curves on a lattice over q."""
    e = step * (np.arange(-int(_REACH / step), int(_REACH / step) + 1) + offset)
    slope, bend, noise, loc, scale = (
        np.array([getattr(s, name) for s in scenes])[:, None]
        for name in ("slope", "bend", "noise", "loc", "scale")
    )
    first, second = np.array([s.x for s in scenes]).T[..., None]
    z = loc + scale * e
    away = np.stack([first - slope * z, second - bend * z**2], axis=-1) / noise[..., None] ** 2
    logs = -0.5 * noise**2 * (away**2).sum(axis=-1) - 0.5 * z**2 + 0.5 * e**2
    gradient = away[..., 0] * slope + away[..., 1] * 2 * bend * z - z
    score = np.stack([e / scale, e**2 - 1 + 0 * z], axis=-1)
    moves = np.stack([np.ones_like(z), scale * e], axis=-1)
    path = (gradient + e / scale)[..., None] * moves
    masses = np.exp(-0.5 * e**2)
    return Terms(logs, masses / masses.sum(), path - score, path, score, away)


@dataclass(frozen=True)
class LinearEncoder:
    """A linear model, a datum, and q = N(mu + offset, C), where mu is the posterior's mean."""

    singular_values: Vector
    angles: tuple[int, ...]
    noise: float
    x: Vector
    offset: Vector
    relative: Covariance

    @property
    def dim(self) -> int:
        """The latent dimension."""
        return len(self.offset)

    @cached_property
    def weight(self) -> Array:
        """W, a rotation of the latents and a factor for each."""
        return np.diag(self.singular_values) @ strategies.rotation(self.angles, self.dim).T

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(decoders.Affine(self.weight), likelihoods.Gaussian(scale=self.noise))

    @cached_property
    def precision(self) -> Array:
        """P."""
        return np.eye(self.dim) + self.weight.T @ self.weight / self.noise**2

    @cached_property
    def mean(self) -> Array:
        """The posterior's mean."""
        return np.linalg.solve(self.precision, self.weight.T @ np.array(self.x) / self.noise**2)

    @property
    def posterior(self) -> Posterior:
        """The Gaussian q."""
        return Posterior(self.mean + np.array(self.offset), cov=self.relative.matrix)

    @property
    def exact(self) -> Posterior:
        """The exact posterior."""
        cov = np.linalg.inv(self.precision)
        return Posterior(self.mean, cov=(cov + cov.T) / 2)


@st.composite
def linear_encoders(
    draw: DrawFn,
    dims: tuple[int, ...] = (1, 2, 2, 3),
    variances: Sequence[float] = (1.0, 0.5, 0.25, 0.0625, 2.0),
) -> LinearEncoder:
    """Linear models, some of little noise, and q of all widths."""
    dim = draw(st.sampled_from(dims))
    return LinearEncoder(
        draw(st.tuples(*[st.sampled_from((1.0, 0.5, 2.0))] * dim)),
        draw(strategies.angles(dim)),
        draw(st.sampled_from((1.0, 0.5, 0.125))),
        draw(strategies.vectors(dim)),
        draw(strategies.vectors(dim, -2, 2, 4)),
        draw(strategies.covariances(dim, tuple(variances))),
    )


class Noise(NamedTuple):
    """Mean and variance of an estimator of several instances, and their errors."""

    mean: Array
    variance: Array
    mean_error: Array
    variance_error: Array

    @classmethod
    def of(cls, found: Sequence[GradientNoise]) -> Noise:
        """The noise of instances of the same shape, stacked."""
        names = ("mean", "variance", "mean_error", "variance_error")
        return cls(*(np.stack([getattr(f, name) for f in found]) for name in names))


@once
def noise_of_curves(
    scenes: tuple[Curve, ...], counts: tuple[int, ...], names: tuple[str, ...]
) -> dict[str, Noise]:
    """The library's noise of curves, `(I, n, 2)`."""
    found = [
        gradient_noise(s.model, s.x, s.posterior, list(counts), names, rtol=_RTOL) for s in scenes
    ]
    return {name: Noise.of([f[name] for f in found]) for name in names}


def _cubature(dim: int) -> tuple[Array, Array]:
    """Nodes and weights that integrate polynomials of degree five over N(0, I) exactly."""
    axes = np.sqrt(dim + 2) * np.eye(dim)
    places = np.triu_indices(dim, 1)
    pairs = np.zeros((len(places[0]), dim))
    pairs[np.arange(len(pairs)), places[0]] = pairs[np.arange(len(pairs)), places[1]] = 1.0
    turned = pairs.copy()
    turned[np.arange(len(pairs)), places[1]] = -1.0
    corners = np.sqrt((dim + 2) / 2) * np.concatenate([pairs, turned, -pairs, -turned])
    nodes = np.concatenate([np.zeros((1, dim)), axes, -axes, corners])
    weights = np.full(len(nodes), 1 / (dim + 2) ** 2)
    weights[0], weights[1 : 2 * dim + 1] = 2 / (dim + 2), (4 - dim) / (2 * (dim + 2) ** 2)
    return nodes, weights


def exact_noise(
    model: LatentModel, x: Sequence[float], q: Posterior, names: Sequence[str]
) -> dict[str, Noise]:
    """The library's noise of a linear model for K = 1, of any number of latents, `(2 d,)`.

    Of more than two it is computed from the terms of the draws, which are polynomials of degree
    two for a linear model, by a rule that is exact for their squares.
    """
    dim = q.latent_dim
    if dim <= _LATTICES:
        found = gradient_noise(model, np.array(x), q, 1, names)
        return {n: Noise(*(f[0] for f in Noise.of([own]))) for n, own in found.items()}
    data, rows = np.array([x]), np.array([0])
    nodes, weights = _cubature(dim)
    task = Reparametrised(model, data, model.reduced(data), q.loc[None], q.scale_tril[None])
    at = task.at(rows, nodes, decoder=False)
    told = {}
    for name in names:
        terms = task.terms(name, rows, nodes, at)[0]
        mean, square, size = weights @ terms, weights @ terms**2, np.abs(weights) @ terms**2
        lost = gamma(200 * dim) * (size + mean**2)
        told[name] = Noise(mean, square - mean**2, gamma(200 * dim) * np.sqrt(size), lost)
    return told
