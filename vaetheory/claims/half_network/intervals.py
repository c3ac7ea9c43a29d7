"""Check of 11g: the coverage of the intervals of paired differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from scipy.integrate import quad
from scipy.special import erf, gammaln

from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.rounding import gamma
from vaetheory.training import Interval, confidence_interval


@dataclass(frozen=True)
class Intervals:
    """Numbers of seeds, standard deviations of two objectives over them, and their correlation."""

    seeds: int
    first: float
    second: float
    correlation: float


def intervals() -> SearchStrategy[Intervals]:
    """Two to twelve seeds; positive correlations, where pairing helps, and others."""
    deviation = st.sampled_from((1.0, 2.0, 0.5))
    correlation = st.sampled_from((0.0, 0.5, 0.75, -0.5))
    return st.builds(Intervals, st.integers(2, 12), deviation, deviation, correlation)


def paired_coverage(
    scene: Intervals, *, level: float = 0.95, ddof: int = 1, paired: bool = True
) -> Comparison:
    """Compare the coverage of the interval of paired normal differences with its level.

    The interval is mean +- c s, with c taken from the library's interval of given numbers.
    """
    n = scene.seeds
    probe = np.where(np.arange(n) == 0, 1.0, 0.0)
    library: Interval = confidence_interval(probe, level=level)
    factor = (library.high - library.low) / 2 / probe.std(ddof=ddof)
    cross = 2 * scene.correlation * scene.first * scene.second
    variance = scene.first**2 + scene.second**2 - cross
    if not paired:
        # The width that independent samples would have.
        factor = factor * np.sqrt((variance + cross) / variance)

    def integrand(u: float) -> float:
        # u = s / deviation: a chi variable over its root of degrees of freedom.
        k = n - 1
        log = k / 2 * np.log(k) + (k - 1) * np.log(u) - k * u**2 / 2
        log -= (k / 2 - 1) * np.log(2) + gammaln(k / 2)
        return float(np.exp(log) * erf(factor * u * np.sqrt(n / 2)))

    value, error = quad(integrand, 0, 1, epsabs=1e-11, epsrel=1e-11, limit=200)
    rest, other = quad(integrand, 1, 40, epsabs=1e-11, epsrel=1e-11, limit=200)
    return Comparison.identity(
        value + rest, level, scale=1.0, quadrature=error + other, rounding=gamma(1e4)
    )


PAIRED_COVERAGE = Proposition(
    label="11g",
    title="The interval of paired differences covers with its stated probability",
    statement=(
        r"P\big(|\bar\delta - \mathbb E\delta| \le t_{n-1}(0.975)\,s_\delta/\sqrt n\big)"
        r" = 0.95,\quad \delta = a - b \text{ paired by seed}"
    ),
    hypotheses=(("normal differences", r"\text{independent over the seeds}"),),
    kind="identity",
    instances=intervals(),
    check=paired_coverage,
    controls=wrong(
        paired_coverage,
        {
            "unpaired": {"paired": False},
            "a variance over n": {"ddof": 0},
        },
    ),
)
