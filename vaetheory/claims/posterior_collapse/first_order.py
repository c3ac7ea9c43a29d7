"""Check of 13d-jump: with a nonlinear decoder the best rate jumps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, together, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.posterior_collapse.scenes import (
    COLLAPSE,
    GAUSSIAN,
    OPTIMAL,
    WeightedData,
    said,
)

#: Nineteen data at 0 and one at 1, with sigma^2 = 2 lam_1.
_RARE = WeightedData(((0.0,), (1.0,)), (19, 1))
_NOISE = 2 * _RARE.variance
#: Means and deviations of codes that gain there: those of the common datum and of the rare one.
_LOC, _SCALE = (-0.119, 2.26), (0.874, 0.36)
#: Codes of a smaller rate than this, in nats, do not gain.
_RATE = 0.1


@dataclass(frozen=True)
class QuietCodes:
    """Codes near the prior: their means, and logarithms of their deviations."""

    loc: Vector
    log_scale: Vector


@st.composite
def quiet_codes(draw: DrawFn) -> QuietCodes:
    """Codes that are near the prior, that of the rare datum less so."""
    return QuietCodes(
        (draw(strategies.fractions(-4, 4, 32)), draw(strategies.fractions(-8, 16, 8))),
        (draw(strategies.fractions(-4, 4, 32)), draw(strategies.fractions(-4, 2, 8))),
    )


def _gains(loc: Array, scale: Array) -> tuple[Array, Array, Array]:
    """What codes `(I, 2)` gain, their rate, and an error of both."""
    count = len(loc)
    found = said(
        np.repeat(_RARE.centred[None], count, 0),
        np.repeat(_RARE.weights[None], count, 0),
        loc,
        scale,
    )
    rate = (0.5 * (loc**2 + scale**2 - 1) - np.log(scale)) @ _RARE.weights
    gain = found.explained / (2 * _NOISE) - rate
    return gain, rate, found.explained_error / (2 * _NOISE) + 1e-15 * (1 + rate)


@together
def rate_jumps(
    scenes: Sequence[QuietCodes],
    *,
    collapse_is_best: bool = False,
    quiet_pays: bool = False,
    continuous: bool = False,
    linear: bool = False,
) -> list[Comparison]:
    """Check that certain codes gain at twice the largest eigenvalue, and quiet codes do not."""
    loc = np.array([s.loc for s in scenes] + [_LOC])
    scale = np.concatenate([np.exp([s.log_scale for s in scenes]), [_SCALE]])
    gain, rate, error = _gains(loc, scale)
    best, best_rate, best_error = float(gain[-1]), float(rate[-1]), float(error[-1])
    gain, rate, error = gain[:-1], rate[:-1], error[:-1]
    quiet = (rate > 1e-3) & (rate < _RATE)
    # The same codes with the best linear decoder for them.
    offset = np.array(_LOC) - _RARE.weights @ np.array(_LOC)
    cross = float((_RARE.weights * offset) @ _RARE.centred[:, 0])
    second = float(_RARE.weights @ (offset**2 + np.array(_SCALE) ** 2))
    straight = cross**2 / second / (2 * _NOISE) - best_rate
    fixed = Comparison.all_of(
        Comparison.at_most(
            best if collapse_is_best else best_error, 0.0 if collapse_is_best else best,
            scale=1.0, lattice=best_error if collapse_is_best else 0.0,
        ),
        Comparison.at_most(
            best_rate if continuous else _RATE, _RATE if continuous else best_rate, scale=1.0,
            rounding=1e-14,
        ),
        Comparison.at_most(
            0.0 if linear else straight, straight if linear else 0.0, scale=1.0, rounding=1e-14
        ),
    )  # fmt: skip
    sign = -1.0 if quiet_pays else 1.0
    some = Comparison.each_at_most(np.where(quiet, sign * gain, 0.0), 0.0, scale=1.0, lattice=error)
    return [Comparison.all_of(fixed, one) for one in some]


RATE_JUMPS = Proposition(
    label="13d-jump",
    title="With a nonlinear decoder the best rate jumps: collapse is stable long before it is best",
    statement=(
        r"x \in \{0, 1\},\ p = \tfrac1{20},\ \sigma^2 = 2\lambda_1 < \tau^2 \approx 3.22\lambda_1:"
        r"\quad \text{codes } \mathcal N(-0.119, 0.874^2),\ \mathcal N(2.26, 0.36^2) \text{ gain}, "
        r"\text{ at a rate above } 0.17;\quad "
        r"10^{-3} < \mathbb E_n\mathrm{KL} < 0.1 \Rightarrow \mathrm{ELBO} < \mathrm{ELBO}_0"
    ),
    hypotheses=(
        GAUSSIAN,
        COLLAPSE,
        OPTIMAL,
        ("Gaussian encoders", r"d = 1;\ \text{the second part: drawn near the prior}"),
    ),
    kind="counterexample",
    instances=quiet_codes(),
    check=rate_jumps,
    controls=wrong(
        rate_jumps,
        {
            "above lam_1 collapse is the optimum": {"collapse_is_best": True},
            "the rate is continuous: codes that gain say little": {"continuous": True},
            "collapse is unstable: quiet codes gain": {"quiet_pays": True},
            "a linear decoder would do": {"linear": True},
        },
    ),
    uses=("13a", "13b", "13d"),
    figure="posterior-collapse",
)
