"""The checks of 24b: the wealth of a player who bets against a mean, over all samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.betting import betting_lower_bound, log_wealth
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Wagers:
    """Non-negative values with whole probabilities, a number of draws, and bets in eighths."""

    values: tuple[int, ...]
    parts: tuple[int, ...]
    draws: int
    bets: tuple[int, ...]

    @property
    def chances(self) -> Array:
        """Probabilities of the values."""
        return np.array(self.parts) / sum(self.parts)

    @property
    def mean(self) -> float:
        """Expectation of one draw."""
        return float(self.chances @ np.array(self.values, dtype=float))

    @property
    def shares(self) -> Array:
        """The bets."""
        return np.array(self.bets) / 8

    def samples(self) -> tuple[Array, Array]:
        """All samples `(M, n)` of draws, and their probabilities."""
        rows = np.array(list(product(range(len(self.values)), repeat=self.draws)))
        return np.array(self.values, dtype=float)[rows], self.chances[rows].prod(axis=1)


@st.composite
def wagers(draw: DrawFn) -> Wagers:
    """Two or three values, of which some are zero, one to four draws, and two or three bets."""
    count = draw(st.integers(2, 3))
    values = draw(st.lists(st.integers(0, 12), min_size=count, max_size=count, unique=True))
    parts = draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    bets = draw(st.lists(st.integers(1, 8), min_size=2, max_size=3, unique=True))
    return Wagers(tuple(values), tuple(parts), draw(st.integers(1, 4)), tuple(bets))


def library_wealth(scene: Wagers, ratios: Array) -> Array:
    """The wealth of the library, for W / mean `(M, n)`."""
    with np.errstate(divide="ignore"):
        logs = np.log(ratios)
    stakes = np.full(len(scene.bets), -np.log(len(scene.bets)))
    return np.asarray(np.exp(log_wealth(logs, scene.shares, stakes)))


def _factors(scene: Wagers, ratios: Array) -> Array:
    """Factors of each bet at each draw, `(M, n, J)`."""
    return 1 + scene.shares * (ratios[..., None] - 1)


def best_bet(scene: Wagers, ratios: Array) -> Array:
    """The best of the bets, chosen afterwards."""
    return np.asarray(_factors(scene, ratios).prod(axis=1).max(axis=-1))


def power_of_mean(scene: Wagers, ratios: Array) -> Array:
    """A power of the mean factor for the product of the factors."""
    return np.asarray((_factors(scene, ratios).mean(axis=1) ** scene.draws).mean(axis=-1))


def foreseeing(scene: Wagers, ratios: Array) -> Array:
    """The larger bet where the draw will be above the mean."""
    factors = _factors(scene, ratios)
    return np.asarray(factors.max(axis=-1).prod(axis=1))


def wealth_is_one(
    scene: Wagers, *, wealth: Callable[[Wagers, Array], Array] = library_wealth, mean: float = 1.0
) -> Comparison:
    """Compare the expected wealth over all samples with the first wealth, which is one."""
    values, chances = scene.samples()
    found = wealth(scene, values / (mean * scene.mean))
    size = float(chances @ found)
    # The library also rounds its wealth down by a bound of this rounding.
    rounding = gamma(100 * scene.draws) * (1 + size)
    return Comparison.identity(size, 1.0, scale=1.0, rounding=rounding)


_DRAWS = (
    "independent draws",
    r"W_1, \dots, W_n \ge 0,\ \mathbb E W_i = m, \text{ all samples listed}",
)
_BETS = ("bets fixed before", r"0 < b_j \le 1, \text{ equal stakes}")

WEALTH = Proposition(
    label="24b",
    title="Bets against the right mean neither gain nor lose on average",
    statement=(
        r"\mathbb E\Big[\tfrac1J\textstyle\sum_j"
        r"\prod_{i \le n}\big(1 + b_j(W_i/m - 1)\big)\Big] = 1"
    ),
    hypotheses=(_DRAWS, _BETS),
    kind="identity",
    instances=wagers(),
    check=wealth_is_one,
    controls=wrong(
        wealth_is_one,
        {
            "the best bet, chosen afterwards": {"wealth": best_bet},
            "a power of the mean for the product": {"wealth": power_of_mean},
            "bets that foresee the draw": {"wealth": foreseeing},
            "a mean that is too small": {"mean": 0.9},
        },
    ),
    examples=40,
)


@dataclass(frozen=True)
class BoundedWager:
    """Draws of zero or of a value, of probability one over a whole number."""

    scene: Wagers
    one_in: int

    @property
    def level(self) -> float:
        """The probability with which the bound may miss: a tenth less than that of the value."""
        return 0.9 / self.one_in


@st.composite
def bounded_wagers(draw: DrawFn) -> BoundedWager:
    """A value whose probability is small, so that the bound can be attained."""
    one_in = draw(st.integers(3, 12))
    scene = Wagers((0, draw(st.integers(1, 9))), (one_in - 1, 1), draw(st.integers(1, 3)), (8, 4))
    return BoundedWager(scene, one_in)


def by_bets(logs: Array, level: float, shares: Array) -> Array:
    """The library's bound, with half of the stake on each of two bets."""
    return betting_lower_bound(logs, confidence=1 - level, bets=shares)


def at_the_root(logs: Array, level: float, shares: Array) -> Array:
    """A level that is the square root of the stated one."""
    return betting_lower_bound(logs, confidence=max(0.5, 1 - level**0.5), bets=shares)


def mean_itself(logs: Array, level: float, shares: Array) -> Array:
    """The mean of the draws."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(logs).mean(axis=1)))


def at_twice_the_level(logs: Array, level: float, shares: Array) -> Array:
    """Twice the stated level, as if it were that of two bounds."""
    return betting_lower_bound(logs, confidence=max(0.5, 1 - 2 * level), bets=shares)


def bound_misses_rarely(
    instance: BoundedWager, *, bound: Callable[[Array, float, Array], Array] = by_bets
) -> Comparison:
    """Check that the bound exceeds the mean with at most the stated probability."""
    values, chances = instance.scene.samples()
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    found = bound(logs, instance.level, instance.scene.shares)
    missed = float(chances[found > np.log(instance.scene.mean)].sum())
    return Comparison.at_most(missed, instance.level, scale=1.0, rounding=gamma(100))


LOWER_BOUND = Proposition(
    label="24b-bound",
    title="The largest mean against which the bets win is a lower bound",
    statement=(
        r"\Pr\Big(\sup\Big\{m : \tfrac1J\textstyle\sum_j\prod_i(1 + b_j(W_i/m - 1)) \ge 1/\delta"
        r"\Big\} > \mathbb E W\Big) \le \delta"
    ),
    hypotheses=(_DRAWS, _BETS),
    kind="inequality",
    instances=bounded_wagers(),
    check=bound_misses_rarely,
    controls=wrong(
        bound_misses_rarely,
        {
            "the mean of the draws": {"bound": mean_itself},
            "the root of the level": {"bound": at_the_root},
            "twice the level": {"bound": at_twice_the_level},
        },
    ),
    uses=("24b",),
    examples=40,
)
