"""Instances of claims 21c and 21d: an invertible decoder, a latent, and priors of environments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, flows
from vaetheory._validation import Array
from vaetheory.checking import once, strategies
from vaetheory.checking.strategies import Vector
from vaetheory.flows import Embedding, compose, flow_log_density
from vaetheory.rounding import gamma

INJECTIVE = ("an injective decoder", r"x = f(z),\ f \text{ an immersion},\ 1 \le d \le D \le 9;"
             r"\ \text{no noise}")  # fmt: skip
SHIFTED = (
    "shifted priors",
    r"z|u \sim \mathcal N(\mu_u, I),\ \text{the same } f \text{ for every } u",
)


@dataclass(frozen=True)
class CurvedDecoder:
    """A rotation and stretches, the cubic z + z^3 / 3 of each, and a rotation into D dimensions."""

    stretch: Vector
    angles: tuple[int, ...]
    extra: int

    @property
    def dim(self) -> int:
        """The latent dimension."""
        return len(self.stretch)

    @cached_property
    def out(self) -> Array:
        """The last rotation, `(D, d)`, with orthonormal columns."""
        total = self.dim + self.extra
        return strategies.rotation((30,) * (total - 1), total)[:, : self.dim]

    @cached_property
    def first(self) -> Array:
        """The first matrix `(d, d)`."""
        return np.diag(self.stretch) @ strategies.rotation(self.angles, self.dim)

    @cached_property
    def flow(self) -> Embedding:
        """The library's decoder."""
        layers = [flows.Affine(self.first), flows.Cubic(self.dim)]
        if self.extra == 0:
            return compose(*layers, flows.Affine(self.out))
        last = flows.Immersion(decoders.Affine(self.out), self.dim, decoders.Affine(self.out.T))
        return compose(*layers, last)

    def log_volume(self, z: Array) -> Array:
        """Its log volume, written out, `(..., d) -> (...)`."""
        y = z @ self.first.T
        return np.log1p(y**2).sum(axis=-1) + np.log(np.abs(self.stretch)).sum()

    def spread(self, z: Array) -> float:
        """How far a latent moves if its datum moves by a unit in the last digit of its size."""
        slopes = self.flow.jacobian(z)
        size = np.linalg.norm(slopes) * (1 + np.linalg.norm(z)) + np.linalg.norm(self.flow(z))
        return float(gamma(40 * (1 + self.dim)) * np.linalg.norm(np.linalg.pinv(slopes)) * size)


@st.composite
def curved_decoders(draw: DrawFn, dims: Sequence[int] = (1, 2, 2, 3, 5, 8)) -> CurvedDecoder:
    """Decoders of one to eight latents."""
    dim = draw(st.sampled_from(tuple(dims)))
    stretch = draw(st.tuples(*[st.sampled_from((1.0, 0.5, 2.0))] * dim))
    return CurvedDecoder(stretch, draw(strategies.angles(dim)), draw(st.integers(0, 1)))


@dataclass(frozen=True)
class Environments:
    """A decoder, a latent, and the means and variances of priors, one row an environment."""

    decoder: CurvedDecoder
    z: Vector
    means: tuple[Vector, ...]
    variances: tuple[Vector, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """The number of environments and of latents."""
        return len(self.means), len(self.z)

    @property
    def latent(self) -> Array:
        """The latent `(d,)`."""
        return np.array(self.z)


@st.composite
def shifted_environments(draw: DrawFn, *, more: bool = True) -> Environments:
    """D + 1 affinely independent means, near each other or far, and sometimes one more."""
    decoder = draw(curved_decoders())
    d = decoder.dim
    first = draw(strategies.vectors(d))
    size = draw(st.sampled_from((1.0, 4.0, 0.125)))
    turn = strategies.rotation(draw(strategies.angles(d)), d)
    lengths = draw(st.tuples(*[st.sampled_from((1.0, 2.0, 0.5))] * d))
    lean = draw(strategies.vectors(d, -1, 1, 2))
    steps = size * (np.diag(lengths) + np.outer(lean, np.ones(d)) / 4 * np.tri(d, k=-1)) @ turn
    rows = [np.array(first), *(np.array(first) + steps)]
    if more and draw(st.booleans()):
        rows.append(np.array(first) - steps[0])
    means = tuple(tuple(float(v) for v in row) for row in rows)
    return Environments(
        decoder, draw(strategies.vectors(d, -6, 6, 2)), means, ((1.0,) * d,) * len(means)
    )


@once
def log_densities(scenes: tuple[Environments, ...]) -> tuple[Array, Array]:
    """Log p(x|u) of x = f(z) by change of variables, `(I, U)`, and bounds of their errors."""
    values, errors = [], []
    for s in scenes:
        z, f = s.latent, s.decoder.flow
        x, moved = f(z), s.decoder.spread(s.latent)
        rows, off = [], []
        for mean, variance in zip(s.means, s.variances, strict=True):
            prior = flows.Affine(np.sqrt(variance), mean)
            rows.append(float(flow_log_density(compose(prior, f), x)))
            # The inverse finds a latent nearby; the density's slope there.
            away = np.abs(z - np.array(mean)) / np.array(variance)
            slope = float(np.linalg.norm(away)) + 4 * s.decoder.dim * max(s.decoder.stretch)
            off.append(moved * slope + gamma(200) * (1 + abs(rows[-1]) + float((away**2).sum())))
        values.append(rows)
        errors.append(off)
    return np.array(values), np.array(errors)
