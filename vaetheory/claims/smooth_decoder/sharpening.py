"""The check of 2e: as the posterior variance vanishes, the optimal decoder becomes a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.encoders import AggregatePosterior
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import EPS, gamma

_SCALES = 1 / 2.0 ** np.arange(4, 8)


@dataclass(frozen=True)
class Line:
    """Distinct codes on a line with their data, and a place between two neighbours."""

    X: tuple[float, ...]
    codes: tuple[float, ...]
    gap: int
    place: float


@st.composite
def lines(draw: DrawFn) -> Line:
    """At least two codes; neighbours carry different data; the place is not half-way."""
    codes = sorted(
        draw(st.lists(strategies.fractions(-6, 6, 2), min_size=2, max_size=5, unique=True))
    )
    X = draw(st.tuples(*[strategies.fractions(-4, 4, 2)] * len(codes)))
    gap = draw(st.integers(0, len(codes) - 2))
    assume(X[gap] != X[gap + 1])
    return Line(X, tuple(codes), gap, draw(st.sampled_from((0.25, 0.0, 0.75, 1.0))))


def decoder_sharpens(
    instance: Line, *, coefficient: float = 0.25, exponent: float = -2.0, nearest: bool = True
) -> Comparison:
    """As s falls, f* tends to the datum of the nearest code, and its slope grows as s^-2."""
    x, m = np.array(instance.X), np.array(instance.codes)
    i = instance.gap
    width, jump = m[i + 1] - m[i], x[i + 1] - x[i]
    middle, place = (m[i] + m[i + 1]) / 2, m[i] + instance.place * width
    diam = np.ptp(x)
    distances = np.sort((place - m) ** 2)
    order = np.argsort((place - m) ** 2)
    step_value = x[order[0 if nearest else 1]]
    others = np.delete((middle - m) ** 2, [i, i + 1]) - width**2 / 4

    values, slopes = [], []
    for s in _SCALES:
        f = OptimalDecoder(x[:, None], AggregatePosterior(m[:, None], scale=s))
        values.append(f([[place]])[0, 0])
        slopes.append(f.jacobian([[middle]])[0, 0, 0])
    slope = np.array(slopes)
    near = np.exp(-(distances[1] - distances[0]) / (2 * _SCALES**2))
    # The largest exponent of a weight that is not negligible, as in 2a.
    rounding = gamma(100 + 20 * float((width / _SCALES.min()) ** 2))
    step = Comparison.identity(
        values,
        step_value,
        scale=max(1.0, float(diam)),
        others=diam * (len(m) - 1) * near,
        rounding=rounding * float(np.abs(x).max() + diam),
    )
    # Each datum beyond the two neighbours has at most this share of the weight.
    share = np.exp(-others[:, None] / (2 * _SCALES**2)).sum(axis=0) / 2
    leak = 2 * share * diam * np.ptp(m)
    limit = coefficient * jump * width
    growth = Comparison.identity(
        slope * _SCALES**-exponent,
        limit,
        scale=abs(jump * width),
        others=leak,
        rounding=rounding * diam * np.ptp(m) / _SCALES ** (2 + exponent),
    )
    measured = np.log(slope[1:] / slope[:-1]) / np.log(_SCALES[1:] / _SCALES[:-1])
    relative = (leak + rounding * diam * np.ptp(m)) / np.abs(0.25 * jump * width)
    power = Comparison.identity(
        measured[-1],
        exponent,
        scale=1.0,
        others=(relative[-1] + relative[-2]) / np.log(2),
        rounding=8 * EPS,
    )
    return Comparison.all_of(step, growth, power)


DECODER_SHARPENS = Proposition(
    label="2e",
    title="As the posterior variance vanishes the decoder becomes a step, with slope s^-2",
    statement=(
        r"f^*(z) \to x_{\text{nearest}},\quad s^2 J^*(\text{half-way}) \to"
        r" \tfrac14 \Delta x\, \Delta m"
    ),
    hypotheses=(("constant covariance", r"S = s^2,\ d = 1,\ s \to 0"),),
    kind="rate",
    instances=lines(),
    check=decoder_sharpens,
    controls=wrong(
        decoder_sharpens,
        {
            "a slope of order 1/s": {"exponent": -1.0},
            "half for a quarter": {"coefficient": 0.5},
            "the second nearest code": {"nearest": False},
        },
    ),
    uses=("2a", "2c"),
    figure="smooth-decoder",
    resolution=1e-3,
)
