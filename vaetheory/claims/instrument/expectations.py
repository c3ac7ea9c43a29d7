"""The check of 0d: stated errors of expectations under Gaussians cover the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.instrument.stated_errors import SHARPER, Figure, covered, stated, thousandth
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Kind:
    """An integrand of one standard normal variable with a parameter, and its mean.

    Attributes
    ----------
    function : callable
        `(t, parameter) -> values`.
    mean : callable
        `parameter -> (E[g], E|g| at most)`.
    parameters : tuple of float
    """

    function: Callable[[Array, float], Array]
    mean: Callable[[float], tuple[float, float]]
    parameters: Vector


def _even_moment(power: float) -> tuple[float, float]:
    moment = float(np.prod(np.arange(power - 1, 0, -2)))
    return moment, moment


#: Waves that two rules can mistake for the same constant, growth in the tails beyond a lattice,
#: narrow bumps, and polynomials of higher degree than that of the first rules.
KINDS = {
    "wave": Kind(
        lambda t, k: np.cos(k * t),
        lambda k: (float(np.exp(-0.5 * k * k)), 1.0),
        (3.0, 8.0, 20.0, 5.0, 12.566370614359172),
    ),
    "growth": Kind(
        lambda t, a: np.exp(a * t * t),
        lambda a: (float((1 - 2 * a) ** -0.5), float((1 - 2 * a) ** -0.5)),
        (0.25, 0.3, 0.2, 0.1, 0.32),
    ),
    "tilt": Kind(
        lambda t, a: np.exp(a * t),
        lambda a: (float(np.exp(0.5 * a * a)), float(np.exp(0.5 * a * a))),
        (1.0, 3.0, 4.0, 2.0, 4.5),
    ),
    "bump": Kind(
        lambda t, w: np.exp(-0.5 * ((t - 1) / w) ** 2),
        lambda w: (float(w / np.hypot(1, w) * np.exp(-0.5 / (1 + w * w))), 1.0),
        (0.5, 0.25, 0.125, 0.0625),
    ),
    "power": Kind(lambda t, k: t**k, _even_moment, (2.0, 4.0, 10.0, 20.0, 30.0)),
}


@dataclass(frozen=True)
class Expected:
    """One integrand of each kind, by its parameter; the dimension, the budget and the tolerance.

    The integrand depends on the first whitened coordinate only, which no rule makes use of.
    """

    parameters: Vector
    dim: int
    most: int
    rtol: float


def expected() -> SearchStrategy[Expected]:
    """One to three dimensions, few nodes or many, coarse and fine tolerances."""
    return st.builds(
        Expected,
        st.tuples(*[st.sampled_from(kind.parameters) for kind in KINDS.values()]),
        st.sampled_from((1, 2, 3)),
        st.sampled_from((200_000, 4000, 40)),
        st.sampled_from((1e-12, 1e-1, 1e-3, 1e-6)),
    )


@lru_cache(maxsize=64)
def expectations_of(scene: Expected) -> Integral:
    """The library's expectations of all integrands."""
    kinds = tuple(KINDS.values())
    # Mean and covariance are powers of two, so that the variable is not rounded.
    loc, spread = np.zeros(scene.dim), 4.0

    def integrand(z: Array, rows: Array) -> Array:
        t = z[..., 0] / np.sqrt(spread)
        integrands = np.empty(t.shape)
        for k, kind in enumerate(kinds):
            chosen = rows == k
            integrands[chosen] = kind.function(t[chosen], scene.parameters[k])
        return integrands

    count = len(kinds)
    return gaussian_expectation(
        integrand,
        np.broadcast_to(loc, (count, scene.dim)),
        np.broadcast_to(spread * np.eye(scene.dim), (count, scene.dim, scene.dim)),
        rtol=scene.rtol,
        max_nodes=scene.most,
    )


def expectation_is_covered(scene: Expected, *, figure: Figure = stated) -> Comparison:
    """Compare expectations under a Gaussian with their closed forms."""
    computed = expectations_of(scene)
    parts = []
    for k, kind in enumerate(KINDS.values()):
        truth, size = kind.mean(scene.parameters[k])
        off, claimed = abs(float(computed.value[k]) - truth), float(figure(computed)[k])
        parts.append(covered(off, claimed, gamma(16) * abs(truth), size=size))
    return Comparison.all_of(*parts)


def rounding_alone(computed: Integral) -> Array:
    """The rounding of the sums only."""
    return gamma(16) * np.maximum(np.abs(computed.value), 1.0)


EXPECTATION_IS_COVERED = Proposition(
    label="0d",
    title="Stated errors of expectations under Gaussians cover the truth",
    statement=(
        r"\big|\hat{\mathbb E}[g] - \mathbb E_{\mathcal N(0, 4I)}[g]\big|"
        r" \le \text{the stated error},\quad g \in \{\cos kt,\ e^{at^2},\ e^{at},\ "
        r"e^{-(t - 1)^2/2w^2},\ t^k\},\ t = z_1/2"
    ),
    hypotheses=(
        ("up to three dimensions", r"d \le 3"),
        (
            "any budget and tolerance",
            r"40 \text{ nodes or more, } 10^{-12} \text{ to } 10^{-1}",
        ),
    ),
    kind="inequality",
    instances=expected(),
    check=expectation_is_covered,
    controls=wrong(
        expectation_is_covered,
        {
            "the rounding of sums alone": {"figure": rounding_alone},
            "a thousandth of the figure": {"figure": thousandth},
        },
    ),
    figure="instrument",
    resolution=SHARPER,
    examples=40,
)
