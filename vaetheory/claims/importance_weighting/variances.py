"""Check of 14f: weights of less variance may give the looser bound, until K is large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.weight_moments import importance_weighted_expansion
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.importance_weighting.scenes import BOUND, LINEAR, WEIGHTS, Line, gaps_of
from vaetheory.rounding import gamma

_COUNTS = (1, 10**5)


@dataclass(frozen=True)
class Two:
    """A posterior N(0, S), and the variances of a narrow and a wide q over S."""

    variance: float
    narrow: float
    wide: float

    @property
    def lines(self) -> tuple[Line, Line]:
        """The narrow one and the wide one."""
        return Line(self.variance, self.narrow), Line(self.variance, self.wide)


@st.composite
def two_of_them(draw: DrawFn) -> Two:
    """Narrow ones with hardly a variance, and wide ones with a small one."""
    return Two(
        draw(st.sampled_from((0.5, 0.25, 0.9))),
        draw(st.sampled_from((0.52, 0.5625, 0.53))),
        draw(st.sampled_from((4.0, 3.0, 2.5))),
    )


@once
def sums_of(lines: tuple[Line, ...]) -> tuple[Array, Array]:
    """E_q wbar^2 - 1 and E_q log wbar by plain sums over two lattices, `(I, 2)`; differences."""
    found = []
    for offset in (0.0, 0.5):
        rows = []
        for line in lines:
            # In units where the wider of p^2 / q and q is resolved.
            reach = 12 * np.sqrt(max(line.ratio, 1 / (2 - 1 / line.ratio)))
            step = 2 * reach / 1500
            z = step * (np.arange(-750, 751) + offset)
            logs = line.log_weights(z)
            own = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
            rows.append([
                np.exp(own + logs).sum() * step - 1, (np.exp(own - logs) * logs).sum() * step
            ])  # fmt: skip
        found.append(np.array(rows))
    return (found[0] + found[1]) / 2, np.abs(found[0] - found[1])


@together
def variances(
    scenes: Sequence[Two],
    *,
    root: float = 2.0,
    half: float = 0.5,
    ordered: bool = False,
    bounded: bool = False,
    for_ever: bool = False,
) -> list[Comparison]:
    """Compare both closed forms with sums and the library, and the two orders."""
    lines = tuple(line for s in scenes for line in s.lines)
    ratio = np.array([line.ratio for line in lines])
    closed = ratio / np.sqrt(root * ratio - 1) - 1
    gap = half * (ratio - 1 - np.log(ratio))
    sums, spread = sums_of(lines)
    gaps, errors = gaps_of(lines, _COUNTS)
    found = [importance_weighted_expansion(s.model, [[0.0]], s.posterior) for s in lines]
    own, own_error = np.array([[f.variance[0], f.error[0, 0]] for f in found]).T
    lost = gamma(4000) * (1 + np.abs(closed))

    def pairs(values: Array) -> Array:
        return values.reshape(len(scenes), 2)

    one, many, off = pairs(gaps[:, 0]), pairs(gaps[:, 1]), pairs(errors.max(axis=-1))
    both, variance = off.sum(axis=-1), pairs(own)
    # The narrow q has the greater variance and the smaller gap of one sample; for many samples the
    # order of the variances decides.
    lower, upper = (one[:, 1], one[:, 0]) if ordered else (one[:, 0], one[:, 1])
    last = many[:, ::-1] if not for_ever else many
    each = [
        Comparison.identities(
            pairs(own), pairs(closed), scale=1.0, library=pairs(own_error), rounding=pairs(lost)
        ),
        Comparison.identities(
            pairs(sums[:, 0]), pairs(closed), scale=1.0, lattices=pairs(spread[:, 0]),
            rounding=pairs(lost),
        ),
        Comparison.identities(
            one, pairs(gap), scale=1.0, library=off, rounding=gamma(100)
        ),
        Comparison.identities(
            -pairs(sums[:, 1]), pairs(gap), scale=1.0, lattices=pairs(spread[:, 1]),
            rounding=pairs(lost),
        ),
        Comparison.each_at_most(
            variance[:, 1], variance[:, 0], scale=1.0, library=pairs(own_error).sum(axis=-1)
        ),
        Comparison.each_at_most(lower, upper, scale=1.0, library=both),
        Comparison.each_at_most(last[:, 0], last[:, 1], scale=1.0, library=both),
        Comparison.each_at_most(
            one if bounded else 0 * one, variance / 2, scale=1.0, library=off
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


VARIANCES = Proposition(
    label="14f",
    title="Weights of less variance do not give the tighter bound, until K is large",
    statement=(
        r"\rho = v/S:\ \operatorname{Var}_q\bar w = \rho/\sqrt{2\rho - 1} - 1,\ "
        r"\log p(x) - L_1 = \tfrac12(\rho - 1 - \log\rho);\quad \rho = 4,\ 0.52:\ "
        r"\operatorname{Var} = 0.512 < 1.600,\ \log p - L_1 = 0.807 > 0.087,\ "
        r"\log p - L_K \text{ in the other order for large } K"
    ),
    hypotheses=(WEIGHTS, BOUND, LINEAR, ("variance", r"v > S/2")),
    kind="counterexample",
    instances=two_of_them(),
    check=variances,
    controls=wrong(
        variances,
        {
            "the order of the variances decides for one sample": {"ordered": True},
            "the gap is at most half the variance": {"bounded": True},
            "the order is the same for every K": {"for_ever": True},
            "rho / sqrt(3 rho - 1)": {"root": 3.0},
            "the gap without the factor 1/2": {"half": 1.0},
        },
    ),
    uses=("14a", "14b"),
    figure="importance-weighting",
    examples=6,
)
