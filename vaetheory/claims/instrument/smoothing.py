"""The check of 0i: stated errors of smoothed densities cover the truth, by each of the methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.instrument.fifty_digits import (
    Number,
    log,
    log_normal,
    minus,
    number,
    off,
    product,
    ratio,
    total,
)
from vaetheory.claims.instrument.stated_errors import SHARPER, covered
from vaetheory.flows import Affine, smoothed_log_density
from vaetheory.flows.smoothing import SmoothedDensity

#: Two error figures of a density, of the excess and of the value.
Figures = Callable[[SmoothedDensity], tuple[Array, Array]]
METHODS = ("series", "quadrature", "evidence", "auto")


@dataclass(frozen=True)
class NoisyLine:
    """A datum w z of a linear flow of one dimension, and the noise in units of w."""

    slope: float
    z: float
    noise: float

    def exact(self) -> tuple[Number, Number]:
        """Excess over the limit, and log density, to fifty digits."""
        w, x, sigma = number(self.slope), number(self.slope * self.z), number(self.scale)
        one, two = number(1.0), number(2.0)
        clean = product(w, w)
        noisy = total((clean, product(sigma, sigma)))
        share = ratio(noisy, clean)
        square = ratio(product(x, x), clean)
        gain = product(square, total((one, minus(ratio(one, share)))))
        excess = ratio(total((gain, minus(log(share)))), two)
        return excess, log_normal(x, noisy)

    @property
    def scale(self) -> float:
        """Sigma."""
        return self.noise * self.slope


def noisy_lines() -> SearchStrategy[NoisyLine]:
    """Slopes and data of any size; noise from tiny to where the series fails."""
    return st.builds(
        NoisyLine,
        st.sampled_from((1.0, 0.3, 1e3, 1e-3)),
        st.sampled_from((0.3, 0.0, 1.0, 2.7, -5.1, 20.3)),
        st.sampled_from((0.1, 0.5, 0.35, 0.75, 1.5, 0.01, 1e-4, 1e-7)),
    )


@lru_cache(maxsize=128)
def _smoothed(scene: NoisyLine, method: str) -> SmoothedDensity:
    x = np.array([scene.slope * scene.z])
    return smoothed_log_density(Affine([scene.slope]), x, scene.scale, method=method)


def both(computed: SmoothedDensity) -> tuple[Array, Array]:
    """The stated errors."""
    return computed.excess_error, computed.error


def relative(computed: SmoothedDensity, *, rtol: float = 1e-12) -> tuple[Array, Array]:
    """A tolerance relative to the excess, whether or not it was reached."""
    return rtol * np.abs(computed.excess), computed.error


def last_digit(computed: SmoothedDensity) -> tuple[Array, Array]:
    """The rounding of the value only."""
    return computed.excess_error, 1e-16 * np.abs(computed.value)


def smoothing_is_covered(scenes: tuple[NoisyLine, ...], *, figures: Figures = both) -> Comparison:
    """Compare excess and value by every method with fifty digits."""
    parts = []
    for scene in scenes:
        excess, value = scene.exact()
        for method in METHODS:
            computed = _smoothed(scene, method)
            small, great = (float(f) for f in figures(computed))
            parts += [
                covered(off(float(computed.excess), excess), small, 0.0, size=abs(float(excess))),
                covered(off(float(computed.value), value), great, 0.0, size=1 + abs(float(value))),
            ]
    return Comparison.all_of(*parts)


SMOOTHING_IS_COVERED = Proposition(
    label="0i",
    title="Stated errors of smoothed densities cover the truth, by every method",
    statement=(
        r"\big|\hat\epsilon - \epsilon\big|,\ "
        r"\big|\widehat{\log p_\sigma}(x) - \log p_\sigma(x)\big| \le \text{the stated error},"
        r"\quad \epsilon = \tfrac12\Big(\frac{z^2 s}{1 + s} - \log(1 + s)\Big),\ "
        r"s = \sigma^2/w^2"
    ),
    hypotheses=(
        ("a linear flow", r"x = wz,\ d = 1"),
        ("any noise", r"\sigma/w \text{ from } 10^{-7} \text{ to } 1.5"),
    ),
    kind="inequality",
    instances=st.tuples(*[noisy_lines()] * 2),
    check=smoothing_is_covered,
    controls=wrong(
        smoothing_is_covered,
        {
            "the tolerance for the figure": {"figures": relative},
            "the rounding of the value alone": {"figures": last_digit},
        },
    ),
    uses=("0a", "0d"),
    resolution=SHARPER,
)
