"""The check of 0f-penalty: the stated rounding of a constant variance's penalty is a bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.instrument.fifty_digits import (
    Number,
    log,
    minus,
    number,
    off,
    ratio,
    total,
)
from vaetheory.claims.instrument.stated_errors import SHARPER, covered
from vaetheory.constant_variance import constant_variance_penalty


@dataclass(frozen=True)
class Diagonals:
    """Diagonal Hessians `(N, d)`: a scale times one plus small or large variations."""

    scales: Vector
    variations: tuple[Vector, ...]
    unit: float

    def entries(self) -> Array:
        """The diagonals."""
        return np.array(self.scales) * (1 + self.unit * np.array(self.variations))

    def penalty(self) -> Number:
        """1/2 sum over the axes of (log of the mean - mean of the logs), to fifty digits."""
        terms = []
        for column in self.entries().T:
            values = [number(v) for v in column]
            count = number(float(len(values)))
            mean = ratio(total(values), count)
            terms.append(total((log(mean), minus(ratio(total(map(log, values)), count)))))
        return ratio(total(terms), number(2.0))


@st.composite
def diagonals(draw: DrawFn) -> Diagonals:
    """Two to five diagonals of one or two axes, nearly equal or very different."""
    dim, count = draw(st.integers(1, 2)), draw(st.integers(2, 5))
    rows = draw(st.tuples(*[strategies.vectors(dim, 0, 12, 4)] * count))
    assume(len(set(rows)) > 1)
    return Diagonals(
        draw(st.tuples(*[st.sampled_from((1.0, 0.3, 1e3, 1e-3))] * dim)),
        rows,
        draw(st.sampled_from((1.0, 1e-3, 1e-6, 1e3))),
    )


def penalty_is_covered(scene: Diagonals, *, share: float = 1.0) -> Comparison:
    """Compare the penalty of a constant variance with its value of fifty digits."""
    computed, truth = constant_variance_penalty(scene.entries()), scene.penalty()
    away = off(float(computed.value), truth)
    # The penalty may be exactly zero, of Hessians that are equal after rounding.
    return covered(away, share * float(computed.error), 0.0, size=float(truth))


PENALTY_IS_COVERED = Proposition(
    label="0f-penalty",
    title="The stated rounding of a constant variance's penalty is a bound",
    statement=(
        r"\big|\hat P - \tfrac12(\log\det\bar A - \mathbb E\log\det A)\big| \le "
        r"\text{the stated error}"
    ),
    hypotheses=(("diagonal Hessians", r"A_n \succ 0 \text{, nearly equal or far from it}"),),
    kind="inequality",
    instances=diagonals(),
    check=penalty_is_covered,
    controls=wrong(
        penalty_is_covered, {"a hundredth of it": {"share": 0.01}, "nothing": {"share": 0.0}}
    ),
    resolution=SHARPER,
)
