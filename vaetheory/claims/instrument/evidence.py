"""Checks of claim 0: stated errors of the evidence and of posterior expectations cover the truth.

What is compared is the true error with the stated one. The bound is what the reference may be off
by, and the scale is the stated error itself: an instance decides only if its reference is sharper
than the figure that it judges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product as product_of

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory import decoders, likelihoods
from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.checking.comparison import Comparison
from vaetheory.claims.instrument.designed import Bump, Designed
from vaetheory.claims.instrument.fifty_digits import (
    Number,
    cos,
    exp,
    log_normal,
    minus,
    number,
    off,
    product,
    ratio,
    total,
)
from vaetheory.claims.instrument.kinked import Rectified
from vaetheory.evidence import MAX_NODES, linear_log_evidence, log_evidence, posterior_expectation
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP

#: Evaluations that a datum may cost: all that it wants, and so few that much is left open.
LINE, PLANE, SPACE = (MAX_NODES, 700), (MAX_NODES, 20_000), (600_000,)
#: An error figure, made of what a routine returned.
Figure = Callable[[Integral], Array]


def stated(found: Integral) -> Array:
    """The error figure itself."""
    return found.error


def half(found: Integral) -> Array:
    """Half of it."""
    return found.error / 2


def hundredth(found: Integral) -> Array:
    """A hundredth of it."""
    return found.error / 100


def tolerance(found: Integral) -> Array:
    """What was asked for, 1e-10, whether or not it was reached."""
    return np.full_like(found.error, 1e-10)


def last_digit(found: Integral) -> Array:
    """The rounding of the value alone."""
    return ULP * np.abs(found.value)


def covered(off: float, figure: float, lost: float, *, size: float = 1.0) -> Comparison:
    """A true error `off` is at most the stated `figure`, up to what the reference has `lost`.

    A figure below some hundred units in the last place of the value's `size` is not judged.
    """
    if not np.isfinite(figure):
        # That nothing is known is always true.
        return Comparison.identity(0.0, 0.0, scale=1.0)
    least = 256 * ULP * size
    return Comparison.at_most(off, figure, scale=max(figure, least), reference=lost)


# 0a and 0b ---------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _evidence(scene: Designed, max_nodes: int) -> Integral:
    return log_evidence(scene.model, np.ones(1), max_nodes=max_nodes)


def evidence_is_covered(
    scenes: tuple[Designed, ...], *, figure: Figure = stated, budgets: Sequence[int]
) -> Comparison:
    """Log evidences of designed posteriors, within each budget, against their closed forms."""
    parts = []
    for scene, budget in product_of(scenes, budgets):
        found = _evidence(scene, budget)
        truth, lost = scene.log_evidence()
        away, told = off(float(found.value), truth), float(figure(found))
        parts.append(covered(away, told, lost, size=1 + abs(float(truth))))
    return Comparison.all_of(*parts)


# 0a-rounding -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FarLine:
    """A linear decoder w z + b of one latent, a Gaussian of some scale, and x - b, all as drawn."""

    slope: float
    bias: float
    scale: float
    away: float

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        decoder = decoders.Affine([[self.slope]], [self.bias])
        return LatentModel(decoder, likelihoods.Gaussian(scale=self.scale), 1)

    @property
    def x(self) -> float:
        """The datum."""
        return self.bias + self.away

    def log_evidence(self) -> Number:
        """Log N(x; b, w^2 + sigma^2) to fifty digits."""
        w, sigma = number(self.slope), number(self.scale)
        variance = total((product(w, w), product(sigma, sigma)))
        return log_normal(total((number(self.x), minus(number(self.bias)))), variance)

    def mean(self) -> Number:
        """Posterior mean w (x - b) / (w^2 + sigma^2) to fifty digits."""
        w, sigma = number(self.slope), number(self.scale)
        away = total((number(self.x), minus(number(self.bias))))
        return ratio(product(w, away), total((product(w, w), product(sigma, sigma))))


@st.composite
def far_lines(draw: DrawFn) -> FarLine:
    """Narrow posteriors on great offsets, and data far out: all that is lost is rounding."""
    slope = draw(st.sampled_from((3.0, 0.75, 1000.0)))
    scale = draw(st.sampled_from((1e-3, 1e-5, 1e-6)))
    bias = draw(st.sampled_from((0.3, 1e3, 1e6, 3e4)))
    return FarLine(slope, bias, scale, draw(st.sampled_from((1.7, 0.3, 40.1, 5000.3))) * slope)


def rounding_is_covered(scenes: tuple[FarLine, ...], *, figure: Figure = stated) -> Comparison:
    """Log evidences, by quadrature and in closed form, and means against fifty digits."""
    parts = []
    for scene in scenes:
        truth = scene.log_evidence()
        for route, exact in (
            (_far_evidence, truth),
            (_closed_evidence, truth),
            (_far_mean, scene.mean()),
        ):
            found = route(scene)
            parts.append(covered(off(float(found.value), exact), float(figure(found)), 0.0))
    return Comparison.all_of(*parts)


@lru_cache(maxsize=64)
def _far_evidence(scene: FarLine) -> Integral:
    return log_evidence(scene.model, np.array([scene.x]))


@lru_cache(maxsize=64)
def _far_mean(scene: FarLine) -> Integral:
    return posterior_expectation(scene.model, np.array([scene.x]), lambda z: z[..., 0])


@lru_cache(maxsize=64)
def _closed_evidence(scene: FarLine) -> Integral:
    return linear_log_evidence(scene.model, np.array([scene.x]))


# 0a-kink -----------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _kinked(scene: Rectified) -> Integral:
    return log_evidence(scene.model, np.array([scene.x]))


def kinks_are_covered(scenes: tuple[Rectified, ...], *, figure: Figure = stated) -> Comparison:
    """Log evidences of rectified decoders against their closed forms."""
    parts = []
    for scene in scenes:
        found = _kinked(scene)
        truth, lost = scene.log_evidence()
        told = float(figure(found))
        parts.append(covered(abs(float(found.value) - truth), told, lost, size=1 + abs(truth)))
    return Comparison.all_of(*parts)


# 0e ----------------------------------------------------------------------------------------------

#: Frequencies of the waves whose expectations are asked for: slow, and nearly one cycle a node.
_FREQUENCIES = (3.0, 36.0)


def observed(z: Array) -> Array:
    """Functions of the latent: z_1^2, z_1 and waves, `(..., d) -> (..., 4)`."""
    first = z[..., 0]
    return np.stack([first**2, first, *(np.cos(k * first) for k in _FREQUENCIES)], axis=-1)


def bumps(scenes: SearchStrategy[Designed]) -> SearchStrategy[Designed]:
    """Designed posteriors without their ripples."""
    return scenes.map(
        lambda d: Designed(tuple(p for p in d.parts if isinstance(p, Bump)), d.angles)
    )


def on_a_broad_bump(scenes: SearchStrategy[Designed]) -> SearchStrategy[Designed]:
    """A bump on a floor, the floor replaced by a bump that is as good as flat."""
    return scenes.map(lambda d: Designed((d.parts[0], Bump(d.parts[1].log_share, (0.0,), (64.0,)))))


def expectations(scene: Designed) -> list[Number]:
    """Their posterior means to fifty digits, of a posterior on a line made of bumps."""
    masses = scene.masses()
    whole, one, half = total(masses), number(1.0), number(0.5)
    sums = [number(0.0)] * (2 + len(_FREQUENCIES))
    for mass, part in zip(masses, scene.parts, strict=True):
        if not isinstance(part, Bump):
            raise TypeError("expected bumps")
        # Under the bump's share of the posterior z is N(mean, variance).
        square = product(number(part.width[0]), number(part.width[0]))
        mean = ratio(number(part.centre[0]), total((one, square)))
        variance = ratio(square, total((one, square)))
        found = [total((product(mean, mean), variance)), mean]
        for frequency in map(number, _FREQUENCIES):
            fall = exp(minus(product(half, frequency, frequency, variance)))
            found.append(product(fall, cos(product(frequency, mean))))
        share = ratio(mass, whole)
        sums = [total((a, product(share, b))) for a, b in zip(sums, found, strict=True)]
    return sums


@lru_cache(maxsize=64)
def _expectation(scene: Designed, max_nodes: int) -> Integral:
    return posterior_expectation(scene.model, np.ones(1), observed, max_nodes=max_nodes)


def expectation_is_covered(
    scenes: tuple[Designed, ...], *, figure: Figure = stated, budgets: Sequence[int]
) -> Comparison:
    """Posterior expectations, within each budget, against closed forms."""
    parts = []
    for scene, budget in product_of(scenes, budgets):
        found = _expectation(scene, budget)
        for value, told, truth in zip(found.value, figure(found), expectations(scene), strict=True):
            away = off(float(value), truth)
            parts.append(covered(away, float(told), 0.0, size=1 + abs(float(truth))))
    return Comparison.all_of(*parts)
