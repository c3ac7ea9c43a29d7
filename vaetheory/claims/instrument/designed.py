"""Posteriors made to order: a binary datum whose likelihood is any sum of bumps and waves.

With a Bernoulli likelihood, x = 1 and the decoder f = logit m, the likelihood of z is m(z) itself,
for any m. So the evidence E[m(z)] is a sum of closed forms, and m can contain all that is hard for
an integrator: narrow modes beside broad ones, modes far out, floors, ripples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.strategies import Vector
from vaetheory.claims.instrument import fifty_digits
from vaetheory.claims.instrument.fifty_digits import Number, minus, number, product, ratio
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: Hypotheses of several propositions.
DESIGNED = (
    "a posterior made to order",
    r"p(x = 1|z) = m(z),\ m \text{ a sum of Gaussian bumps and ripples in any shares}",
)
SEEN = (
    "no bump between all samples",
    r"\text{widths of at least } 2^{-6} (d = 1),\ \tfrac18 (d = 2),\ \tfrac14 (d = 3),"
    r"\text{ or a needle at a corner of the grid}",
)

#: Log of the greatest likelihood of a part.
_TOP = -1.0


@dataclass(frozen=True)
class Bump:
    """A part exp(-|(u - centre) / width|^2 / 2) in turned coordinates u; its share of the mass."""

    log_share: float
    centre: Vector
    width: Vector


@dataclass(frozen=True)
class Wave:
    """A part 1 + cos(frequency . u + phase) / 2, on a level; its share of the mass."""

    log_share: float
    frequency: Vector
    phase: float


@dataclass(frozen=True)
class Designed:
    """The likelihood of x = 1: parts, by their shares of the evidence, and the axes' angles."""

    parts: tuple[Bump | Wave, ...]
    angles: tuple[int, ...] = ()

    @property
    def dim(self) -> int:
        """Latent dimension."""
        return len(self.angles) + 1

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(self, likelihoods.Bernoulli(), self.dim)

    @property
    def turn(self) -> Array:
        """Turned coordinates are u = z @ turn, `(d, d)`."""
        return strategies.rotation(self.angles, self.dim)

    def log_weights(self) -> Array:
        """Log of the factor of each part, the greatest for which m stays below one, `(K,)`."""
        weights = np.array([part.log_share - float(log_mass(part)) for part in self.parts])
        return weights - weights.max() + _TOP - np.log(len(weights))

    def masses(self) -> list[Number]:
        """The contribution of each part to the evidence, to fifty digits; its factor is a float."""
        return [
            fifty_digits.exp(fifty_digits.total((number(weight), log_mass(part))))
            for weight, part in zip(self.log_weights(), self.parts, strict=True)
        ]

    def log_evidence(self) -> tuple[Number, float]:
        """Log E[m(z)] to fifty digits, and a bound of what rounded entries of turned axes change.

        Turned coordinates have errors of a few roundings of the exponents of the greatest bumps.
        """
        return fifty_digits.log(fifty_digits.total(self.masses())), self.lost()

    def lost(self) -> float:
        """Bound of the relative rounding in m from axes that are not exactly orthonormal."""
        if not any(self.angles):
            return 0.0
        masses = max(abs(float(log_mass(part))) for part in self.parts)
        return gamma(8 + 4 * self.dim) * (1 + masses)

    def __call__(self, z: Any) -> Any:
        """The decoder logit m(z), `(..., d) -> (..., 1)`."""
        u = anp.dot(z, self.turn) if self.angles else z
        logs = []
        for log_weight, part in zip(self.log_weights(), self.parts, strict=True):
            if isinstance(part, Bump):
                away = (u - np.array(part.centre)) / np.array(part.width)
                logs.append(log_weight - 0.5 * anp.sum(away**2, axis=-1))
            else:
                turned = anp.dot(u, np.array(part.frequency)) + part.phase
                logs.append(log_weight + anp.log1p(anp.cos(turned) / 2))
        stack = anp.stack(logs, axis=-1)
        top = anp.max(stack, axis=-1, keepdims=True)
        log_m = anp.log(anp.sum(anp.exp(stack - top), axis=-1, keepdims=True)) + top
        return log_m - anp.log(-anp.expm1(log_m))


@lru_cache(maxsize=256)
def log_mass(part: Bump | Wave) -> Number:
    """Log of the mean of a part, of factor one, under N(0, I), to fifty digits."""
    one, half = number(1.0), number(0.5)
    if isinstance(part, Wave):
        square = fifty_digits.total(product(number(k), number(k)) for k in part.frequency)
        fall = fifty_digits.exp(minus(product(half, square)))
        ripple = product(half, fall, fifty_digits.cos(number(part.phase)))
        return fifty_digits.log(fifty_digits.total((one, ripple)))
    terms = []
    for centre, width in zip(part.centre, part.width, strict=True):
        c, square = number(centre), product(number(width), number(width))
        below = fifty_digits.total((one, square))
        terms += [ratio(product(c, c), below), fifty_digits.log(ratio(below, square))]
    return minus(product(half, fifty_digits.total(terms)))


# Instances ---------------------------------------------------------------------------------------


def _angles(dim: int) -> SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.sampled_from((0, 30, 45, 75))] * (dim - 1))


@st.composite
def mixtures(draw: DrawFn, dim: int, widths: Sequence[float]) -> Designed:
    """One to three bumps, broad and narrow ones in one posterior, and perhaps a ripple."""
    parts: list[Bump | Wave] = []
    for _ in range(draw(st.integers(1, 3))):
        centre = draw(strategies.vectors(dim, -12, 12, 4))
        width = draw(st.tuples(*[st.sampled_from(tuple(widths))] * dim))
        parts.append(Bump(draw(st.sampled_from((0.0, -3.0, -8.0))), centre, width))
    if draw(st.booleans()):
        frequency = draw(strategies.vectors(dim, -24, 24, 4))
        parts.append(Wave(draw(st.sampled_from((0.0, -3.0, -8.0))), frequency, 0.5))
    return Designed(tuple(parts), draw(_angles(dim)))


@st.composite
def edged(draw: DrawFn) -> Designed:
    """A bump on a floor, six to seven widths away from a dyadic border.

    Cells end at dyadic numbers; the mass of the tail lies between a border and the first node.
    """
    width = draw(st.sampled_from((0.03, 0.025, 0.02, 0.035)))
    border = draw(st.sampled_from((0.0, 1.0, -1.0, 2.0, 0.5)))
    away = draw(st.sampled_from((6.25, 6.0, 6.5, 5.5, 7.0))) * width
    side = draw(st.sampled_from((1.0, -1.0)))
    floor = draw(st.sampled_from((-4.0, -6.0, -2.0)))
    return Designed((Bump(0.0, (border + side * away,), (width,)), Wave(floor, (0.25,), 0.5)))


@st.composite
def needles(draw: DrawFn, dim: int, powers: tuple[int, int]) -> Designed:
    """A needle on a floor that the search drops, which causes all of the error.

    The needle stands at a corner of every grid, so that the grid samples it; the first guess of the
    evidence treats it as if it were as wide as the prior.
    """
    width = 2.0 ** -draw(st.integers(*powers))
    centre = (draw(st.sampled_from((0.0, 1.0, -1.0))),) + (0.0,) * (dim - 1)
    # How far the floor's likelihood is below the needle's, in nats.
    depths = (30.0, 28.0, 31.0, 32.0, 33.0) if dim == 1 else (28.0, 27.0, 30.0, 25.0, 32.0)
    depth = draw(st.sampled_from(depths))
    needle, floor = Bump(0.0, centre, (width,) * dim), Wave(0.0, (0.0,) * dim, 0.0)
    share = float(log_mass(floor)) - depth - float(log_mass(needle))
    return Designed((needle, Wave(share, floor.frequency, 0.0)), (0,) * (dim - 1))


@st.composite
def outlying(draw: DrawFn, dim: int) -> Designed:
    """A bump in the middle, and one outside of every grid that has a good share of the mass."""
    far = draw(st.sampled_from((12.0, -11.0, 14.0, 10.0)))
    width = draw(st.sampled_from((0.5, 0.25, 1.0)))
    share = draw(st.sampled_from((0.0, -4.0, -8.0, -12.0)))
    rest = (0.0,) * (dim - 1)
    middle = Bump(0.0, (draw(st.sampled_from((0.0, 1.0))), *rest), (0.5,) * dim)
    return Designed((middle, Bump(share, (far, *rest), (width,) * dim)), draw(_angles(dim)))


@st.composite
def hidden(draw: DrawFn, dim: int, widths: Sequence[float]) -> Designed:
    """A narrow bump with a good share of the mass in a posterior that is broad otherwise.

    In more than one dimension it stands at a corner of the grid, so that the grid samples it.
    """
    width = draw(st.sampled_from(tuple(widths)))
    centre = draw(strategies.vectors(dim, -8, 8, 4) if dim == 1 else strategies.vectors(dim))
    broad = Bump(0.0, (0.0,) * dim, (1.0,) * dim)
    share = draw(st.sampled_from((-1.0, -4.0, -8.0)))
    return Designed((broad, Bump(share, centre, (width,) * dim)), draw(_angles(dim)))
