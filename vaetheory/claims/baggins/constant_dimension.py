"""Check of 10f: a dimension without spread raises an error, unless dimensions are pooled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.bounds import baggins
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.baggins.scenes import TERM
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class ConstantScene:
    """A batch with one column that varies and one that is constant."""

    column: Vector
    constant: float
    information: float


@st.composite
def constant_scenes(draw: DrawFn) -> ConstantScene:
    """Two to five data."""
    column = draw(st.lists(strategies.fractions(-4, 4, 2), min_size=2, max_size=5))
    assume(len(set(column)) > 1)
    constant = draw(st.sampled_from((0.1, 0.0, -1e8, 1 / 3)))
    return ConstantScene(tuple(column), constant, draw(st.sampled_from((1.0, 0.0, 3.0))))


def _refused(x: Array, information: float, *, pooled: bool) -> bool:
    try:
        baggins(x, x, information=information, pooled=pooled)
    except ValueError:
        return True
    return False


def refusals(
    scene: ConstantScene, *, refused: bool = True, pooled: bool = False, slope: float = -1.0
) -> Comparison:
    """Check which batches raise an error, and how the term grows as a spread vanishes."""
    column, h = np.array(scene.column), scene.information
    x = np.stack([column, np.full_like(column, scene.constant)], axis=-1)
    equal = np.broadcast_to(x[:1], x.shape)
    verdicts = [
        (_refused(x, h, pooled=False), refused),
        (_refused(x[:1], h, pooled=False), refused),
        (_refused(x[:1], h, pooled=True), refused),
        (_refused(equal, h, pooled=True), refused),
        (_refused(x, h, pooled=True), pooled),
    ]
    mistakes = float(sum(came != expected for came, expected in verdicts))
    parts = [Comparison.identity(mistakes, 0.0, scale=1.0)]
    # Why there is an error: the greatest value of a column of spread s is -log s + a constant.
    spreads = 10.0 ** np.arange(0, -13, -3.0)
    values = np.array(
        [
            float(baggins((s * column)[:, None], (s * column)[:, None], information=h).value)
            for s in spreads
        ]
    )
    size = 10 + float(np.abs(values).max())
    parts.append(
        Comparison.identity(
            values - values[0], slope * np.log(spreads), scale=size, rounding=gamma(200) * size
        )
    )
    # Where pooled, the constant column has its share of the common variance.
    pooled_value = baggins(x, x, information=h, pooled=True).value
    direct = -(1 + LOG_2PI + np.log(column.var() / 2)) + 2 * h
    parts.append(
        Comparison.identity(
            pooled_value, direct, scale=size, rounding=gamma(200) * (size + abs(direct))
        )
    )
    return Comparison.all_of(*parts)


CONSTANT_DIMENSION = Proposition(
    label="10f",
    title="No spread, no scale: a constant dimension is refused unless pooled",
    statement=(
        r"v_i = 0 \text{ or } B = 1: \text{ refused};\quad "
        r"\max_{\hat x} T = -\log s + C \text{ for a column of spread } s \to 0;\quad "
        r"\text{pooled: refused iff all } v_i = 0"
    ),
    hypotheses=(TERM, ("no spread", r"v_i = \mathrm{Var}_B[x_i] = 0")),
    kind="counterexample",
    instances=constant_scenes(),
    check=refusals,
    controls=wrong(
        refusals,
        {
            "a value all the same": {"refused": False},
            "refused also where pooled": {"pooled": True},
            "a term that falls with the spread": {"slope": 1.0},
        },
    ),
    uses=("10b", "10c"),
    examples=10,
)
