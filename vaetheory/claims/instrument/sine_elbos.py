"""The check of 0d-elbo: stated errors of ELBOs cover the truth where quadrature loses most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.instrument.stated_errors import SHARPER, Figure, covered, stated, thousandth
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP, gamma


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
    # Between two rules: the first one aliases these waves, the next one does not.
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
    """Compare the ELBOs of sines with their closed form."""
    parts = []
    for scene in scenes:
        computed = _wavy(scene)
        truth, size = scene.elbo()
        # The argument of the cosine has rounding of its own size.
        turns = 2 * float(np.abs(scene.frequency) @ np.abs(scene.loc)) + 4
        lost = gamma(16 + 2 * turns) * size
        away = abs(float(computed.value) - truth)
        parts.append(covered(away, float(figure(computed)), lost, size=8 * size))
    return Comparison.all_of(*parts)


def rounding_alone(computed: Integral) -> Array:
    """A few units in the last place of the value, and no quadrature."""
    return 16 * ULP * (1 + np.abs(computed.value))


ELBO_IS_COVERED = Proposition(
    label="0d-elbo",
    title="Stated errors of ELBOs cover the truth where most of the error is quadrature",
    statement=(
        r"\big|\widehat{\mathrm{ELBO}} - \mathrm{ELBO}\big| \le "
        r"\text{the stated error},\quad \mathbb E_q[\sin(k\cdot z + \phi)] = "
        r"e^{-k^\top S k/2}\sin(k\cdot m + \phi)"
    ),
    hypotheses=(
        ("a sine", r"f(z) = \sin(k\cdot z + \phi),\ p(x|z) = \mathcal N(f(z), \sigma^2)"),
        ("a coarse tolerance", r"10^{-3} \text{ or finer}"),
    ),
    kind="inequality",
    instances=st.tuples(*[wavy_bounds()] * 4),
    check=bound_is_covered,
    controls=wrong(
        bound_is_covered,
        {
            "without the quadrature's part": {"figure": rounding_alone},
            "a thousandth of the figure": {"figure": thousandth},
        },
    ),
    uses=("0d",),
    resolution=SHARPER,
)
