"""Checks of 0d-elbo, 0d-rounding, 0f and 0f-penalty: stated errors of bounds cover the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.strategies import Vector
from vaetheory.claims.instrument.evidence import FarLine, Figure, covered, stated
from vaetheory.claims.instrument.fifty_digits import (
    PI,
    Number,
    log,
    minus,
    number,
    off,
    product,
    ratio,
    total,
)
from vaetheory.constant_variance import constant_variance_penalty
from vaetheory.encoders import Posterior
from vaetheory.evidence import posterior_kl
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP, gamma

# 0d-elbo -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WavyBound:
    """A decoder of one sine, a Gaussian likelihood, a datum, and a diagonal posterior."""

    frequency: Vector
    phase: float
    scale: float
    x: float
    loc: Vector
    variances: Vector
    rtol: float

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        k = np.array(self.frequency)

        def sine(z: Any) -> Any:
            return anp.sin(anp.sum(z * k, axis=-1, keepdims=True) + self.phase)

        return LatentModel(sine, likelihoods.Gaussian(scale=self.scale), len(k))

    def elbo(self) -> tuple[float, float]:
        """The ELBO in closed form, and the size of its terms."""
        k, m, s = (np.array(v) for v in (self.frequency, self.loc, self.variances))
        at, fall = float(k @ m) + self.phase, float(k**2 @ s)
        sine = float(np.exp(-0.5 * fall) * np.sin(at))
        square = 0.5 * (1 - float(np.exp(-2 * fall) * np.cos(2 * at)))
        misfit = (self.x**2 - 2 * self.x * sine + square) / (2 * self.scale**2)
        divergence = 0.5 * float((s + m**2 - 1 - np.log(s)).sum())
        value = -0.5 * LOG_2PI - np.log(self.scale) - misfit - divergence
        return float(value), 1 + (self.x**2 + 2 * abs(self.x) + 1) / self.scale**2 + divergence


@st.composite
def wavy_bounds(draw: DrawFn) -> WavyBound:
    """Sines of few or many cycles within the posterior, at fine and coarse tolerances."""
    dim = draw(st.sampled_from((1, 1, 2)))
    # Half-way between two rules: the first takes these waves for other ones, the next does not.
    frequency = st.sampled_from((3.25, 7.0, 3.5, 6.5, 3.75, 7.25, 0.5))
    return WavyBound(
        draw(st.tuples(*[frequency] * dim)),
        draw(st.sampled_from((0.5, 0.0, 2.0))),
        draw(st.sampled_from((1.0, 0.25))),
        draw(st.sampled_from((0.5, 0.0, 2.0))),
        draw(strategies.vectors(dim, -4, 4, 4)),
        draw(st.tuples(*[st.sampled_from((1.0, 0.25))] * dim)),
        draw(st.sampled_from((1e-3, 1e-12, 1e-4))),
    )


@lru_cache(maxsize=64)
def _wavy(scene: WavyBound) -> Integral:
    posterior = Posterior(np.array(scene.loc), cov=np.diag(scene.variances))
    return elbo(scene.model, np.array([scene.x]), posterior, rtol=scene.rtol)


def bound_is_covered(scenes: tuple[WavyBound, ...], *, figure: Figure = stated) -> Comparison:
    """The ELBOs of sines against their closed form."""
    parts = []
    for scene in scenes:
        found = _wavy(scene)
        truth, size = scene.elbo()
        # The cosine's argument is rounded at its own size.
        turns = 2 * float(np.abs(scene.frequency) @ np.abs(scene.loc)) + 4
        lost = gamma(16 + 2 * turns) * size
        away = abs(float(found.value) - truth)
        parts.append(covered(away, float(figure(found)), lost, size=8 * size))
    return Comparison.all_of(*parts)


def rounding_alone(found: Integral) -> Array:
    """A few units in the last place of the value, and no quadrature."""
    return 16 * ULP * (1 + np.abs(found.value))


# 0d-rounding -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FarBound(FarLine):
    """A linear decoder on great offsets, and a posterior of some mean and variance."""

    loc: float
    variance: float

    def terms(self) -> tuple[Number, Number, Number]:
        """Expected log likelihood, KL to the prior, and log evidence, to fifty digits."""
        w, b, sigma, x, m, s = (
            number(v) for v in (self.slope, self.bias, self.scale, self.x, self.loc, self.variance)
        )
        two, square = number(2.0), product(sigma, sigma)
        misfit = total((x, minus(b), minus(product(w, m))))
        second = total((product(misfit, misfit), product(w, w, s)))
        constant = log(product(two, PI, square))
        likelihood = minus(ratio(total((constant, ratio(second, square))), two))
        divergence = ratio(total((s, product(m, m), number(-1.0), minus(log(s)))), two)
        return likelihood, divergence, self.log_evidence()


@st.composite
def far_bounds(draw: DrawFn) -> FarBound:
    """Great offsets, small scales; posteriors displaced, or so narrow that all nodes are one."""
    slope = draw(st.sampled_from((3.0, 0.7, 100.3, 1e-6)))
    return FarBound(
        slope,
        draw(st.sampled_from((0.3, 1e3, 1e6, 3e4))),
        draw(st.sampled_from((1e-3, 0.1, 1.0))),
        draw(st.sampled_from((1.7, 0.3, 40.1))) * slope,
        draw(st.sampled_from((0.3, 1.7, -2.1, 31234.7))),
        draw(st.sampled_from((0.7, 1e-3, 1e-6, 1e-24))),
    )


@st.composite
def displaced(draw: DrawFn) -> FarBound:
    """A flat decoder and a posterior far from the prior: the divergence is all there is."""
    loc = draw(st.sampled_from((31234.7, 777.7, 1.2e5)))
    return FarBound(1e-6, 0.3, 1.0, 0.25, loc, draw(st.sampled_from((0.7, 1e-3))))


@lru_cache(maxsize=64)
def _far(scene: FarBound) -> Integral:
    posterior = Posterior(np.array([scene.loc]), cov=np.array([[scene.variance]]))
    return elbo(scene.model, np.array([scene.x]), posterior)


@lru_cache(maxsize=64)
def _far_divergence(scene: FarBound) -> Integral:
    posterior = Posterior(np.array([[scene.loc]]), cov=np.array([[[scene.variance]]]))
    found = posterior_kl(scene.model, np.array([[scene.x]]), posterior)
    return found.reshape(())


def bound_rounding_is_covered(
    scenes: tuple[FarBound, ...], *, figure: Figure = stated
) -> Comparison:
    """ELBOs, and KLs to the posterior, of linear models against fifty digits."""
    parts = []
    for scene in scenes:
        likelihood, divergence, evidence = scene.terms()
        bound = total((likelihood, minus(divergence)))
        routes = ((_far(scene), bound), (_far_divergence(scene), total((evidence, minus(bound)))))
        for found, truth in routes:
            away = off(float(found.value), truth)
            parts.append(covered(away, float(figure(found)), 0.0, size=1 + abs(float(truth))))
    return Comparison.all_of(*parts)


def last_digits(found: Integral) -> Array:
    """Four units in the last place of the value."""
    return 4 * ULP * (1 + np.abs(found.value))


# 0f ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """Poisson counts with log rate w z + b: a posterior whose best Gaussian has two equations."""

    slope: float
    bias: float
    x: float
    rtol: float
    loc: float
    variance: float

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(decoders.Affine([[self.slope]], [self.bias]), likelihoods.Poisson(), 1)

    def elbo(self, m: float, s: float) -> float:
        """The ELBO of N(m, s) but for log x!."""
        rate = np.exp(self.slope * m + self.bias + 0.5 * self.slope**2 * s)
        divergence = 0.5 * (s + m * m - 1 - np.log(s))
        return float(self.x * (self.slope * m + self.bias) - rate - divergence)

    def best(self) -> tuple[float, float]:
        """The greatest ELBO but for log x!, by Newton's method, and the size of its terms."""
        m, s, w = 0.0, 1 / (1 + self.slope**2 * max(self.x, 1.0)), self.slope
        m = (np.log(max(self.x, 0.5)) - self.bias) / w if w else 0.0
        for _ in range(200):
            rate = np.exp(w * m + self.bias + 0.5 * w * w * s)
            # Stationary: m = w (x - rate), 1 / s = 1 + w^2 rate; the second by itself is monotone.
            slope = np.array([w * (self.x - rate) - m, 0.5 * (1 / s - 1 - w * w * rate)])
            bend = np.array(
                [
                    [-w * w * rate - 1, -0.5 * w**3 * rate],
                    [-0.5 * w**3 * rate, -0.5 / s**2 - 0.25 * w**4 * rate],
                ]
            )
            step = -np.linalg.solve(bend, slope)
            step *= min(1.0, 0.5 * s / max(abs(step[1]), 1e-300), 1 / max(abs(step[0]), 1e-300))
            m, s = m + float(step[0]), s + float(step[1])
        return self.elbo(m, s), 1 + abs(self.x * (w * m + self.bias)) + float(rate) + m * m


@st.composite
def counts(draw: DrawFn) -> Counts:
    """Small and large counts, steep and flat, from starts far off, at coarse tolerances."""
    return Counts(
        draw(st.sampled_from((1.0, 0.5, 2.0, -1.0))),
        draw(st.sampled_from((0.0, 1.0, -2.0))),
        draw(st.sampled_from((3.0, 0.0, 1.0, 40.0))),
        draw(st.sampled_from((1e-3, 1e-13, 1e-4, 1e-2))),
        draw(st.sampled_from((0.0, 1.0, -1.0))),
        draw(st.sampled_from((1.0, 0.25, 0.0625))),
    )


@lru_cache(maxsize=64)
def _stationary(scene: Counts) -> StationaryPosterior:
    start = Posterior(np.array([scene.loc]), cov=np.array([[scene.variance]]))
    return stationary_posterior(scene.model, np.array([scene.x]), start=start, rtol=scene.rtol)


@lru_cache(maxsize=64)
def _linear(scene: FarLine) -> StationaryPosterior:
    return stationary_posterior(scene.model, np.array([scene.x]))


def stated_too(found: StationaryPosterior) -> Array:
    """The error figure itself."""
    return found.error


def stationary_is_covered(
    scenes: tuple[Counts | FarLine, ...],
    *,
    figure: Callable[[StationaryPosterior], Array] = stated_too,
) -> Comparison:
    """The stationary ELBO against the greatest one: what was left to gain is in its error.

    Of a linear model that is the log evidence, of which only rounding is lost.
    """
    parts = []
    for scene in scenes:
        if isinstance(scene, FarLine):
            linear, evidence = _linear(scene), scene.log_evidence()
            away = off(float(linear.value), evidence)
            told = float(figure(linear))
            parts.append(covered(away, told, 0.0, size=1 + abs(float(evidence))))
            continue
        found = _stationary(scene)
        constant = float(_log_factorial(scene.x))
        truth, size = scene.best()
        away = abs(float(found.value) - (truth - constant))
        lost = gamma(24) * (size + constant)
        parts.append(covered(away, float(figure(found)), lost, size=size + constant))
    return Comparison.all_of(*parts)


def _log_factorial(x: float) -> float:
    return float(np.log(np.arange(1.0, x + 1)).sum())


def without_deficit(found: StationaryPosterior) -> Array:
    """The error of the ELBO alone."""
    return found.error - 4 * found.deficit


def tenth_of_deficit(found: StationaryPosterior) -> Array:
    """A tenth of what is left to gain."""
    return found.error - 3.9 * found.deficit


# 0f-penalty --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Diagonals:
    """Hessians that are diagonal, `(N, d)`: a scale times one plus small or great variations."""

    scales: Vector
    variations: tuple[Vector, ...]
    unit: float

    def entries(self) -> Array:
        """The diagonals."""
        return np.array(self.scales) * (1 + self.unit * np.array(self.variations))

    def penalty(self) -> Number:
        """1/2 sum over the axes of log of the mean less the mean of logs, to fifty digits."""
        found = []
        for column in self.entries().T:
            values = [number(v) for v in column]
            count = number(float(len(values)))
            mean = ratio(total(values), count)
            found.append(total((log(mean), minus(ratio(total(map(log, values)), count)))))
        return ratio(total(found), number(2.0))


@st.composite
def diagonals(draw: DrawFn) -> Diagonals:
    """Two to five diagonals of one or two axes, nearly equal or far from it."""
    dim, count = draw(st.integers(1, 2)), draw(st.integers(2, 5))
    rows = draw(st.tuples(*[strategies.vectors(dim, 0, 12, 4)] * count))
    assume(len(set(rows)) > 1)
    return Diagonals(
        draw(st.tuples(*[st.sampled_from((1.0, 0.3, 1e3, 1e-3))] * dim)),
        rows,
        draw(st.sampled_from((1.0, 1e-3, 1e-6, 1e3))),
    )


def penalty_is_covered(scene: Diagonals, *, share: float = 1.0) -> Comparison:
    """The penalty of a constant variance against fifty digits."""
    found, truth = constant_variance_penalty(scene.entries()), scene.penalty()
    away = off(float(found.value), truth)
    # Nought is exact: the penalty of Hessians that rounding made equal.
    return covered(away, share * float(found.error), 0.0, size=float(truth))
