"""The check of 24c: the slack of the mean over the data, and that no smaller one is enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.simulated_evidence import slack
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Ratios:
    """Ratios of an estimate to the evidence, for N data: zero, or their reciprocal probability.

    Attributes
    ----------
    one_in : tuple of int
        For each datum: the ratio k with probability 1 / k, else zero.
    """

    one_in: tuple[int, ...]

    @property
    def product(self) -> int:
        """The greatest product of all ratios."""
        return int(np.prod(self.one_in))

    def laws(self) -> tuple[Array, Array]:
        """Ratios of all outcomes `(2^N, N)`, and their probabilities."""
        k = np.array(self.one_in, dtype=float)
        hit = np.array(list(product((False, True), repeat=len(k))))
        return np.where(hit, k, 0.0), np.where(hit, 1 / k, 1 - 1 / k).prod(axis=1)


@st.composite
def ratios(draw: DrawFn) -> Ratios:
    """One to four data whose ratios are two to five."""
    return Ratios(tuple(draw(st.lists(st.integers(2, 5), min_size=1, max_size=4))))


def mean_log(found: Array) -> Array:
    """The mean of the logarithms over the data."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(found).mean(axis=1))


def log_mean(found: Array) -> Array:
    """The logarithm of the mean over the data."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(found.mean(axis=1)))


def shared(scene: Ratios) -> tuple[Array, Array]:
    """The outcomes if all data share the draws of the first one."""
    k = scene.one_in[0]
    found = np.array([[0.0], [k]]) * np.ones(len(scene.one_in))
    return found, np.array([1 - 1 / k, 1 / k])


def enough_slack(
    scene: Ratios,
    *,
    part: float = 1.0,
    combined: Callable[[Array], Array] = mean_log,
    laws: Callable[[Ratios], tuple[Array, Array]] = Ratios.laws,
) -> Comparison:
    """Check that the combined ratio exceeds the slack of each level with at most half of it."""
    found, chances = laws(scene)
    value, n = combined(found), len(scene.one_in)
    parts = []
    # The first level is just below the probability that all ratios are at their greatest.
    for level in (scene.product**-1.02, scene.one_in[0] ** (-0.9 * n), 0.05, 0.2, 0.3):
        # Half of 2 * level is for each side.
        most = part * slack(1 - 2 * level, n)
        beyond = float(chances[value > most].sum())
        parts.append(Comparison.at_most(beyond, level, scale=1.0, rounding=gamma(200)))
    return Comparison.all_of(*parts)


SLACK = Proposition(
    label="24c",
    title="The mean over N data needs a slack of log(2 / delta) / N, and no less",
    statement=(
        r"\Pr\Big(\tfrac1N\textstyle\sum_n\log\rho_n > \tfrac1N\log\tfrac2\delta\Big)"
        r" \le \tfrac\delta2,\quad \rho_n \ge 0 \text{ independent},\ \mathbb E\rho_n = 1"
    ),
    hypotheses=(
        ("independent ratios", r"\rho_n = \hat Z_n/p(x_n) \text{ or } p(x_n)/\hat Z_n"),
        ("two values", r"\rho_n \in \{0, k_n\},\ \Pr(\rho_n = k_n) = 1/k_n"),
    ),
    kind="inequality",
    instances=ratios(),
    check=enough_slack,
    controls=wrong(
        enough_slack,
        {
            "half the slack": {"part": 0.5},
            "a slack that is smaller by a twentieth": {"part": 0.95},
            "the same draws for all data": {"laws": shared},
            "the logarithm of the mean": {"combined": log_mean},
        },
    ),
    uses=("24a",),
    figure="high-dimensional-evidence",
    examples=30,
)
