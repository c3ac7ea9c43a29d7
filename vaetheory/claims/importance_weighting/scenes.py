"""What the checks of claim 14 share: curved decoders on a line, and Gaussian posteriors."""

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
from vaetheory.bounds.importance_weighting import importance_weighted_bound
from vaetheory.checking import once, strategies
from vaetheory.encoders import Posterior
from vaetheory.evidence import linear_log_evidence, log_evidence
from vaetheory.models import LatentModel

WEIGHTS = (
    "importance weights",
    r"w(z) = p(x, z) / q(z|x),\ \bar w = w / p(x),\ z_1, \dots, z_K \sim q \text{ independent}",
)
BOUND = ("bound of K samples", r"L_K = \mathbb E\log\tfrac1K\sum_k w(z_k)")
LINEAR = (
    "Gaussian posterior",
    r"p(z|x) = \mathcal N(\mu, S),\ q = \mathcal N(\mu, v) \text{ (linear model)}",
)

#: Nodes of the plain lattices over q: how many standard deviations they span, and their steps.
_REACH = 8.5
#: A weight that is so small relative to the greatest counts as this.
_LEAST = 1e-300


@dataclass(frozen=True)
class CurvedScene:
    """The decoder f(z) = (slope z, bend z^2), a datum, and a Gaussian q; or the exact posterior."""

    slope: float
    bend: float
    noise: float
    x: tuple[float, float]
    loc: float
    scale: float
    exact: bool

    @property
    def curve(self) -> float:
        """The bend; an exact posterior has none."""
        return 0.0 if self.exact else self.bend

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        decoder = decoders.Polynomial([[1], [2]], [[self.slope, 0.0], [0.0, self.curve]])
        return LatentModel(decoder, likelihoods.Gaussian(scale=self.noise), 1)

    @property
    def gaussian(self) -> tuple[float, float]:
        """Mean and standard deviation of q."""
        if not self.exact:
            return self.loc, self.scale
        precision = 1 + (self.slope / self.noise) ** 2
        return self.slope * self.x[0] / self.noise**2 / precision, precision**-0.5

    @property
    def posterior(self) -> Posterior:
        """The Gaussian q, for one datum."""
        loc, scale = self.gaussian
        return Posterior([[loc]], scale=scale)


@st.composite
def curved_scenes(draw: DrawFn) -> CurvedScene:
    """Small curves; one q in four is the exact posterior of a straight line."""
    return CurvedScene(
        draw(st.sampled_from((1.0, 0.5, 2.0))),
        draw(st.sampled_from((0.5, 0.25, 0.0))),
        draw(st.sampled_from((1.0, 0.5))),
        draw(st.tuples(*[strategies.fractions(-3, 3, 2)] * 2)),
        draw(strategies.fractions(-2, 2, 4)),
        draw(st.sampled_from((0.5, 0.75, 0.25, 0.625))),
        draw(st.sampled_from((False, False, False, True))),
    )


class Lattice(NamedTuple):
    """Log weights `(I, M)` at the nodes of a lattice over q, and the masses of q there `(M,)`."""

    logs: Array
    masses: Array


def lattice_over_q(scenes: Sequence[CurvedScene], step: float, offset: float) -> Lattice:
    """Log p(x, z) - log q(z), written out, on a lattice in standard deviations of q."""
    count = int(_REACH / step)
    y = step * (np.arange(-count, count + 1) + offset)
    loc, scale = np.array([s.gaussian for s in scenes]).T[..., None]
    slope, bend, noise = (
        np.array([getattr(s, name) for s in scenes])[:, None]
        for name in ("slope", "curve", "noise")
    )
    first, second = np.array([s.x for s in scenes]).T[..., None]
    z = loc + scale * y
    square = (first - slope * z) ** 2 + (second - bend * z**2) ** 2
    joint = -square / (2 * noise**2) - np.log(2 * np.pi * noise**2) - 0.5 * z**2
    masses = np.exp(-0.5 * y**2)
    return Lattice(joint + 0.5 * y**2 + np.log(scale), masses / masses.sum())


def log_means(lattices: Sequence[Lattice]) -> Array:
    """E log((w_1 + ... + w_K) / K) for K up to 3, `(I,)`: a sum over the product of K lattices."""
    if len(lattices) == 1:
        return np.asarray(lattices[0].logs @ lattices[0].masses)
    top = np.max([lattice.logs.max(axis=-1) for lattice in lattices], axis=0)
    found = np.empty(len(top))
    for row, shift in enumerate(top):
        total = np.zeros(())
        for lattice in lattices:
            w = np.maximum(np.exp(lattice.logs[row] - shift), _LEAST)
            total = total[..., None] + w
        value = np.log(total / len(lattices))
        for lattice in lattices[::-1]:
            value = value @ lattice.masses
        found[row] = value
    return found + top


@once
def product_values(scenes: tuple[CurvedScene, ...]) -> tuple[Array, Array]:
    """L_1, L_2, L_3 by product quadrature `(I, 3)`, and the differences of two rules.

    The log of a sum is least smooth where its weights are equal. The factors of the first rule
    have the same nodes, and those of the second nodes as far apart as can be: there the errors of
    the two have opposite signs.
    """
    rules = (((0.0,), (0.0, 0.0), (0.0, 0.0, 0.0)), ((0.5,), (0.5, 0.0), (0.0, 1 / 3, 2 / 3)))
    first, second = (
        np.stack(
            [
                log_means([lattice_over_q(scenes, step, offset) for offset in offsets])
                for step, offsets in zip((0.125, 0.125, 0.25), rule, strict=True)
            ],
            axis=-1,
        )
        for rule in rules
    )
    return (first + second) / 2, np.abs(first - second)


@once
def evidences(scenes: tuple[CurvedScene, ...]) -> tuple[Array, Array]:
    """Log evidences and their errors, `(I,)`, by the engine."""
    found = [log_evidence(s.model, [s.x], rtol=1e-12) for s in scenes]
    value, error = np.array([[f.value[0], f.error[0]] for f in found]).T
    return value, error


@dataclass(frozen=True)
class Line:
    """A Gaussian posterior N(0, S) on a line, and q = N(shift sqrt(S), ratio S)."""

    variance: float
    ratio: float
    shift: float = 0.0

    @cached_property
    def model(self) -> LatentModel:
        """A linear model whose posterior at x = 0 is N(0, S)."""
        weight = np.sqrt(1 / self.variance - 1)
        return LatentModel(decoders.Affine([[weight]]), likelihoods.Gaussian(scale=1.0), 1)

    @property
    def posterior(self) -> Posterior:
        """q, for one datum."""
        root = self.variance**0.5
        return Posterior([[self.shift * root]], scale=root * self.ratio**0.5)

    def gaps(self, counts: Sequence[int]) -> tuple[Array, Array]:
        """Log p(x) - L_K for each K, and the errors."""
        bound = importance_weighted_bound(self.model, [[0.0]], self.posterior, list(counts))
        evidence = linear_log_evidence(self.model, [[0.0]])
        return evidence.value - bound.value[0], evidence.error + bound.error[0]

    def log_weights(self, z: Array) -> Array:
        """Log of wbar at z sqrt(S), written out."""
        away = (z - self.shift) ** 2 / self.ratio
        return np.asarray(0.5 * (away - z**2 + np.log(self.ratio)))


@once
def gaps_of(scenes: tuple[Line, ...], counts: tuple[int, ...]) -> tuple[Array, Array]:
    """Log p(x) - L_K `(I, n)`, and the errors."""
    found = [s.gaps(counts) for s in scenes]
    return np.stack([f[0] for f in found]), np.stack([f[1] for f in found])
