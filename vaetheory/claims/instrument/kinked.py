"""The check of 0a-kink: rectified decoders, whose evidence is two pieces of a normal law."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.special import log_ndtr

from vaetheory import likelihoods
from vaetheory._quadrature.result import Integral
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.claims.instrument.stated_errors import (
    SHARPER,
    Figure,
    covered,
    hundredth,
    last_digit,
    stated,
)
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Rectified:
    """f(z) = max(slope (z - kink), leak slope (z - kink)), the scale of a Gaussian, and x."""

    slope: float
    kink: float
    leak: float
    scale: float
    x: float

    def __call__(self, z: Any) -> Any:
        """The decoder."""
        t = self.slope * (z - self.kink)
        return anp.maximum(t, self.leak * t)

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(self, likelihoods.Gaussian(scale=self.scale), 1)

    def log_evidence(self) -> tuple[float, float]:
        """Log evidence in closed form, and a bound of its rounding."""
        logs: list[float] = []
        sizes: list[float] = []
        above = float(np.sign(self.slope))
        for side, w in ((above, self.slope), (-above, self.leak * self.slope)):
            # On each side x is linear in z: a normal density times the mass of z given x there.
            variance = w * w + self.scale**2
            away = self.x + w * self.kink
            mean, width = w * away / variance, self.scale / np.sqrt(variance)
            level = -0.5 * (np.log(2 * np.pi * variance) + away**2 / variance)
            edge = side * (mean - self.kink) / width
            logs.append(float(level + log_ndtr(edge)))
            # Far out on the wrong side log_ndtr is -edge^2 / 2, and has the error of its argument.
            steep = max(-edge, 0.0) + np.exp(-0.5 * edge**2)
            sizes.append(1.0 + abs(level) + steep * (abs(mean) + abs(self.kink)) / width)
        value = float(np.logaddexp.reduce(logs))
        # Each piece has the weight of its share.
        return value, gamma(16) * float(np.exp(np.array(logs) - value) @ np.array(sizes))


@st.composite
def rectified(draw: DrawFn) -> Rectified:
    """Kinks at and beside dyadic numbers; leaks from zero to a fold."""
    place = draw(st.sampled_from((0.25, 0.0, 0.5, 1.0, 0.75)))
    beside = draw(st.sampled_from((0.0, -0.001, 0.0005, 0.013, -0.002)))
    sign = draw(st.sampled_from((1.0, -1.0)))
    return Rectified(
        draw(st.sampled_from((1.0, -1.0, 2.0, 0.5))),
        sign * place + beside,
        draw(st.sampled_from((0.0, 0.01, 0.25, -1.0))),
        draw(st.sampled_from((0.125, 1.0, 0.5, 0.25))),
        draw(strategies.fractions(-8, 8, 4)),
    )


@lru_cache(maxsize=64)
def _kinked(scene: Rectified) -> Integral:
    return log_evidence(scene.model, np.array([scene.x]))


def kinks_are_covered(scenes: tuple[Rectified, ...], *, figure: Figure = stated) -> Comparison:
    """Compare log evidences of rectified decoders with their closed forms."""
    parts = []
    for scene in scenes:
        computed = _kinked(scene)
        truth, lost = scene.log_evidence()
        claimed = float(figure(computed))
        parts.append(
            covered(abs(float(computed.value) - truth), claimed, lost, size=1 + abs(truth))
        )
    return Comparison.all_of(*parts)


KINKS_ARE_COVERED = Proposition(
    label="0a-kink",
    title="Stated errors of log evidences cover the truth at kinks",
    statement=(
        r"\big|\widehat{\log p}(x) - \log p(x)\big| \le \text{the stated error},"
        r"\quad p(x) = \sum_\pm\mathcal N(x; -w_\pm a, w_\pm^2 + \sigma^2)\,"
        r"P(\pm(z - a) > 0\,|\,x, w_\pm)"
    ),
    hypotheses=(
        ("a kink", r"f(z) = \max(w(z - a), \lambda w(z - a)),\ d = 1"),
        ("a Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2)"),
    ),
    kind="inequality",
    instances=st.tuples(*[rectified()] * 4),
    check=kinks_are_covered,
    controls=wrong(
        kinks_are_covered,
        {
            "the rounding of the value alone": {"figure": last_digit},
            "a hundredth of the figure": {"figure": hundredth},
        },
    ),
    uses=("0a",),
    resolution=SHARPER,
)
