"""The check of 2-digits: the slope of the optimal decoder of 1,797 digits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.digits import load
from vaetheory.encoders import AggregatePosterior
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class DigitEncoder:
    """The digits' encoder of constant standard deviation s, and a point at which f* is checked."""

    s: float
    z: tuple[float, float]


def digit_encoders() -> st.SearchStrategy[DigitEncoder]:
    """Encoders of deviations from 1/8 to 1, and points of the latent space."""
    entry = st.integers(-6, 6).map(lambda k: k / 4)
    return st.builds(
        DigitEncoder, st.sampled_from((1.0, 0.5, 0.25, 0.125)), st.tuples(entry, entry)
    )


@lru_cache(maxsize=4)
def _slopes_at_codes(s: float) -> Array:
    """Spectral norms of the Jacobian of f* at every code; this takes long, so once for each s."""
    digits = load()
    f = OptimalDecoder(digits.images, AggregatePosterior(digits.codes, scale=s))
    return np.linalg.norm(f.jacobian(digits.codes), ord=2, axis=(-2, -1))


@lru_cache(maxsize=1)
def _diameters() -> float:
    """The greatest distance of two images times that of two codes."""
    digits = load()
    return float(pdist(digits.images).max() * pdist(digits.codes).max())


def digit_slopes(
    instance: DigitEncoder, *, weighted: bool = True, power: float = -2.0, factor: float = 0.25
) -> Comparison:
    """The Jacobian of f* is below the bound at every code, and is the complex-step derivative."""
    digits, s, z = load(), instance.s, np.array(instance.z)
    encoder = AggregatePosterior(digits.codes, scale=s)
    f = OptimalDecoder(digits.images, encoder)
    bound = factor * _diameters() * s**power
    slopes = _slopes_at_codes(s)

    def direct(point: Array) -> Array:
        exponents = -((point - digits.codes) ** 2).sum(axis=-1) / (2 * s**2)
        w = np.exp(exponents - exponents.real.max())
        if not weighted:
            w = 1 + 0 * w
        return (w @ digits.images) / w.sum()

    derivative = np.stack([direct(z + 1e-30j * e).imag / 1e-30 for e in np.eye(2)], axis=-1)
    size = 16 * (np.linalg.norm(z) + np.linalg.norm(digits.codes, axis=-1).max()) / s**2
    exponent = ((np.abs(z) + 4) ** 2).sum() / s**2
    steepest = int(slopes.argmax())
    finding = (
        f"digits, s = {s:g}: the steepest slope at a code is {slopes.max():.1f} grey values a unit "
        f"(datum {steepest}, a {digits.labels[steepest]}), {slopes.max() / bound:.1%} of the bound "
        f"{bound:.0f}"
    )
    return Comparison.all_of(
        Comparison.at_most(slopes.max(), bound, scale=bound, rounding=gamma(1e4) * bound),
        Comparison.identity(
            f.jacobian(z),
            derivative,
            scale=size,
            weights=gamma(100 + 10 * exponent) * size,
            rounding=gamma(100 + np.log2(len(digits.codes))) * size,
        ),
        findings=(finding,),
    )


SLOPE_BOUND_OF_DIGITS = Proposition(
    label="2-digits",
    title="On 1,797 digits the closed-form decoder keeps its slope bound",
    statement=(
        r"\|J^*(m(x_n))\| \le \tfrac14\,\mathrm{diam}(X)\,\mathrm{diam}(m(X))/s^2"
        r"\text{ for every digit},\quad J^* = \partial f^*"
    ),
    hypotheses=(("constant covariance", r"S = s^2 I,\ m \text{ the first two principal axes}"),),
    kind="inequality",
    instances=digit_encoders(),
    check=digit_slopes,
    controls=wrong(
        digit_slopes,
        {
            "diam m(X) for diam S^-1 m(X)": {"power": 0.0},
            "a sixtieth for a quarter": {"factor": 1 / 60},
            "the unweighted mean": {"weighted": False},
        },
    ),
    uses=("2a", "2c"),
    examples=4,
)
