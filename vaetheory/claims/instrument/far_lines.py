"""The check of 0a-rounding: stated errors cover rounding at large offsets and far data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._quadrature.result import Integral
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.instrument.fifty_digits import (
    Number,
    log_normal,
    minus,
    number,
    off,
    product,
    ratio,
    total,
)
from vaetheory.claims.instrument.stated_errors import (
    SHARPER,
    Figure,
    covered,
    hundredth,
    last_digit,
    stated,
    tolerance,
)
from vaetheory.evidence import linear_log_evidence, log_evidence, posterior_expectation
from vaetheory.models import LatentModel


@dataclass(frozen=True)
class FarLine:
    """A linear decoder w z + b of one latent dimension, the scale of a Gaussian, and x - b."""

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
    """Narrow posteriors at large offsets, and data far out, where all errors are rounding."""
    slope = draw(st.sampled_from((3.0, 0.75, 1000.0)))
    scale = draw(st.sampled_from((1e-3, 1e-5, 1e-6)))
    bias = draw(st.sampled_from((0.3, 1e3, 1e6, 3e4)))
    return FarLine(slope, bias, scale, draw(st.sampled_from((1.7, 0.3, 40.1, 5000.3))) * slope)


def rounding_is_covered(scenes: tuple[FarLine, ...], *, figure: Figure = stated) -> Comparison:
    """Compare log evidences by quadrature and in closed form, and means, with fifty digits."""
    parts = []
    for scene in scenes:
        truth = scene.log_evidence()
        for route, exact in (
            (_far_evidence, truth),
            (_closed_evidence, truth),
            (_far_mean, scene.mean()),
        ):
            computed = route(scene)
            parts.append(covered(off(float(computed.value), exact), float(figure(computed)), 0.0))
    return Comparison.all_of(*parts)


ROUNDING_IS_COVERED = Proposition(
    label="0a-rounding",
    title="Stated errors cover the truth where rounding is the only error",
    statement=(
        r"\big|\widehat{\log p}(x) - \log\mathcal N(x; b, w^2 + \sigma^2)\big|"
        r" \le \text{the stated error, by quadrature and in closed form}"
    ),
    hypotheses=(
        ("a linear decoder", r"f(z) = wz + b,\ b \text{ up to } 10^6,\ d = 1"),
        (
            "narrow or far",
            r"\sigma \text{ down to } 10^{-6},\ |x - b| \text{ up to } 5000 w",
        ),
    ),
    kind="inequality",
    instances=st.tuples(*[far_lines()] * 4),
    check=rounding_is_covered,
    controls=wrong(
        rounding_is_covered,
        {
            "a hundredth of the figure": {"figure": hundredth},
            "the rounding of the value alone": {"figure": last_digit},
            "the tolerance for the figure": {"figure": tolerance},
        },
    ),
    resolution=SHARPER,
)


@lru_cache(maxsize=64)
def _far_evidence(scene: FarLine) -> Integral:
    return log_evidence(scene.model, np.array([scene.x]))


@lru_cache(maxsize=64)
def _far_mean(scene: FarLine) -> Integral:
    return posterior_expectation(scene.model, np.array([scene.x]), lambda z: z[..., 0])


@lru_cache(maxsize=64)
def _closed_evidence(scene: FarLine) -> Integral:
    return linear_log_evidence(scene.model, np.array([scene.x]))
