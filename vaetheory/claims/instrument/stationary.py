"""The check of 0f: what a stationary ELBO lacks is within its stated error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.instrument.far_lines import FarLine, far_lines
from vaetheory.claims.instrument.fifty_digits import (
    off,
)
from vaetheory.claims.instrument.stated_errors import SHARPER, covered
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Counts:
    """Poisson counts with log rate w z + b, where two equations determine the best Gaussian."""

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
        """The ELBO of N(m, s) without the term log x!."""
        rate = np.exp(self.slope * m + self.bias + 0.5 * self.slope**2 * s)
        divergence = 0.5 * (s + m * m - 1 - np.log(s))
        return float(self.x * (self.slope * m + self.bias) - rate - divergence)

    def best(self) -> tuple[float, float]:
        """The greatest ELBO without log x!, by Newton's method, and the size of its terms."""
        m, s, w = 0.0, 1 / (1 + self.slope**2 * max(self.x, 1.0)), self.slope
        m = (np.log(max(self.x, 0.5)) - self.bias) / w if w else 0.0
        for _ in range(200):
            rate = np.exp(w * m + self.bias + 0.5 * w * w * s)
            # Stationary points solve m = w (x - rate) and 1 / s = 1 + w^2 rate.
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
    """Small and large counts, steep and flat decoders, far starts, coarse tolerances."""
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


def stated_error(computed: StationaryPosterior) -> Array:
    """The stated error."""
    return computed.error


def stationary_is_covered(
    scenes: tuple[Counts | FarLine, ...],
    *,
    figure: Callable[[StationaryPosterior], Array] = stated_error,
) -> Comparison:
    """Compare the stationary ELBO with the greatest one, which is within its stated error.

    In a linear model the greatest one is the log evidence, and only rounding is lost.
    """
    parts = []
    for scene in scenes:
        if isinstance(scene, FarLine):
            linear, evidence = _linear(scene), scene.log_evidence()
            away = off(float(linear.value), evidence)
            claimed = float(figure(linear))
            parts.append(covered(away, claimed, 0.0, size=1 + abs(float(evidence))))
            continue
        computed = _stationary(scene)
        constant = float(_log_factorial(scene.x))
        truth, size = scene.best()
        away = abs(float(computed.value) - (truth - constant))
        lost = gamma(24) * (size + constant)
        parts.append(covered(away, float(figure(computed)), lost, size=size + constant))
    return Comparison.all_of(*parts)


def _log_factorial(x: float) -> float:
    return float(np.log(np.arange(1.0, x + 1)).sum())


def without_deficit(computed: StationaryPosterior) -> Array:
    """The stated error without the deficit."""
    return computed.error - 4 * computed.deficit


def tenth_of_deficit(computed: StationaryPosterior) -> Array:
    """The stated error with a tenth of the deficit."""
    return computed.error - 3.9 * computed.deficit


DEFICIT_IS_COVERED = Proposition(
    label="0f",
    title="What a stationary ELBO still lacks is within its stated error",
    statement=(
        r"0 \le \max_{m, S}\mathrm{ELBO} - \mathrm{ELBO}(\hat m, \hat S) \le "
        r"\text{the stated error},\quad \mathrm{ELBO} = x(wm + b) - e^{wm + b + w^2S/2}"
        r" - \log x! - \mathrm{KL}"
    ),
    hypotheses=(
        (
            "counts",
            r"p(x|z) = \mathrm{Poisson}(e^{wz + b}),\ d = 1;\ \text{and linear models}",
        ),
        ("a coarse tolerance", r"10^{-2} \text{ or finer, from any start}"),
    ),
    kind="inequality",
    instances=st.tuples(*[counts()] * 3, far_lines()),
    check=stationary_is_covered,
    controls=wrong(
        stationary_is_covered,
        {
            "without the deficit": {"figure": without_deficit},
            "a tenth of the deficit": {"figure": tenth_of_deficit},
        },
    ),
    uses=("0d",),
    resolution=SHARPER,
)
