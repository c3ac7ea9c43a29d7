"""Checks of claim 0: stated errors of the evidence and of posterior expectations cover the truth.

What is compared is the true error with the stated one. The bound is what the reference may be off
by, and the scale is the stated error itself: an instance decides only if its reference is sharper
than the figure that it judges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.claims.claim import Certificate
from vaetheory.claims.designed import Bump, Designed
from vaetheory.claims.exactly import Number, log_normal, minus, number, off, product, total
from vaetheory.evidence import linear_log_evidence, log_evidence, posterior_expectation
from vaetheory.models import LatentModel
from vaetheory.quadrature.result import Integral
from vaetheory.rounding import ULP, gamma

#: An error figure, made of what a routine returned.
Figure = Callable[[Integral], Array]


def stated(found: Integral) -> Array:
    """The error figure itself."""
    return found.error


def half(found: Integral) -> Array:
    """Half of it."""
    return found.error / 2


def tenth(found: Integral) -> Array:
    """A tenth of it."""
    return found.error / 10


def tolerance(found: Integral) -> Array:
    """What was asked for, 1e-10, whether or not it was reached."""
    return np.full_like(found.error, 1e-10)


def last_digit(found: Integral) -> Array:
    """The rounding of the value alone."""
    return ULP * np.abs(found.value)


def covered(off: float, figure: float, lost: float, *, size: float = 1.0) -> Certificate:
    """A true error `off` is at most the stated `figure`, up to what the reference has `lost`.

    A figure below a few dozen units in the last place of the value's `size` is not judged.
    """
    if not np.isfinite(figure):
        # That nothing is known is always true.
        return Certificate.identity(0.0, 0.0, scale=1.0)
    least = 64 * ULP * size
    return Certificate.at_most(off, figure, scale=max(figure, least), reference=lost)


# 0a and 0b ---------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _evidence(scene: Designed, max_nodes: int) -> Integral:
    return log_evidence(scene.model, np.ones(1), max_nodes=max_nodes)


def evidence_is_covered(
    scenes: tuple[Designed, ...], *, figure: Figure = stated, max_nodes: int = 50_000_000
) -> Certificate:
    """Log evidences of designed posteriors against their closed forms."""
    parts = []
    for scene in scenes:
        found = _evidence(scene, max_nodes)
        truth, lost = scene.log_evidence()
        off_by, told = abs(float(found.value) - truth), float(figure(found))
        parts.append(covered(off_by, told, lost, size=1 + abs(truth)))
    return Certificate.all_of(*parts)


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


@st.composite
def far_lines(draw: DrawFn) -> FarLine:
    """Narrow posteriors on great offsets, and data far out: all that is lost is rounding."""
    slope = draw(st.sampled_from((3.0, 0.75, 1000.0)))
    scale = draw(st.sampled_from((1e-3, 1e-5, 1e-6)))
    bias = draw(st.sampled_from((0.3, 1e3, 1e6, 3e4)))
    return FarLine(slope, bias, scale, draw(st.sampled_from((1.7, 0.3, 40.1, 5000.3))) * slope)


def rounding_is_covered(scenes: tuple[FarLine, ...], *, figure: Figure = stated) -> Certificate:
    """Log evidences by quadrature and in closed form against fifty digits."""
    parts = []
    for scene in scenes:
        truth = scene.log_evidence()
        for route in (_far_evidence, _closed_evidence):
            found = route(scene)
            parts.append(covered(off(float(found.value), truth), float(figure(found)), 0.0))
    return Certificate.all_of(*parts)


@lru_cache(maxsize=64)
def _far_evidence(scene: FarLine) -> Integral:
    return log_evidence(scene.model, np.array([scene.x]))


@lru_cache(maxsize=64)
def _closed_evidence(scene: FarLine) -> Integral:
    return linear_log_evidence(scene.model, np.array([scene.x]))


# 0e ----------------------------------------------------------------------------------------------

#: Frequency of the wave whose expectation is asked for.
_FREQUENCY = 3.0


def observed(z: Array) -> Array:
    """Functions of the latent: 1 + z_1^2, z_1 and a wave, `(..., d) -> (..., 3)`."""
    first = z[..., 0]
    return np.stack([1 + first**2, first, np.cos(_FREQUENCY * first)], axis=-1)


def expectations(scene: Designed) -> tuple[Array, Array]:
    """Their posterior means in closed form, of a posterior made of bumps, and what is lost."""
    logs, axis = scene.log_masses(), scene.turn[0]
    shares = np.exp(logs - np.logaddexp.reduce(logs))
    rows = []
    for part in scene.parts:
        if not isinstance(part, Bump):
            raise TypeError("expected bumps")
        square = np.array(part.width) ** 2
        # Under the bump's share of the posterior u is N(mean, square / (1 + square)).
        mean = float(axis @ (np.array(part.centre) / (1 + square)))
        variance = float(axis**2 @ (square / (1 + square)))
        wave = np.exp(-0.5 * _FREQUENCY**2 * variance) * np.cos(_FREQUENCY * mean)
        rows.append([1 + mean**2 + variance, mean, wave])
    found = np.array(rows)
    mean = shares @ found
    # Shares are off by the rounding of the masses, which a common factor does not move.
    lost = scene.lost() * (shares @ np.abs(found - mean))
    return mean, lost + gamma(24) * (shares @ (1 + np.abs(found)))


@lru_cache(maxsize=64)
def _expectation(scene: Designed) -> Integral:
    return posterior_expectation(scene.model, np.ones(1), observed)


def expectation_is_covered(
    scenes: tuple[Designed, ...], *, figure: Figure = stated
) -> Certificate:
    """Posterior expectations against closed forms."""
    parts = []
    for scene in scenes:
        found = _expectation(scene)
        truth, lost = expectations(scene)
        figures = figure(found)
        parts += [
            covered(
                abs(float(found.value[k]) - truth[k]),
                float(figures[k]),
                float(lost[k]),
                size=1 + abs(truth[k]),
            )
            for k in range(len(truth))
        ]
    return Certificate.all_of(*parts)
