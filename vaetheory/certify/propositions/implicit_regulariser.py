"""17d: columns that are stationary under rotations and not orthogonal."""

from __future__ import annotations

from fractions import Fraction

from vaetheory.certify import _exact
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    list_texts,
    nothing_to_find,
)

_RADIUS = Fraction(1, 10**40)


def _stationary(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    J = _exact.matrix("J", inputs["J"], 2)
    unit = _exact.positive("unit", inputs["unit"])
    gram = _exact.product(_exact.transpose(J), J)
    M = tuple(tuple(v + unit * (i == j) for j, v in enumerate(row)) for i, row in enumerate(gram))
    (a, off), (_, b) = M
    demand(off != 0, "the columns are not orthogonal")
    # With s = tan t: the diagonal entries are (a + 2 s off + s^2 b) / (1 + s^2) and the other way;
    # their product's first two Taylor coefficients in s are those in t.
    first = 2 * off * b - 2 * off * a
    demand(first == 0, "the product is stationary under turns")
    demand(a == b, "the diagonal entries are equal")
    # The product is a^2 - off^2 sin(2 t)^2 for a = b: from a^2 it falls as 4 off^2 t^2.
    bend = -8 * off**2 / a**2
    demand(bend < 0, "the sum of logarithms bends down: the point is no minimum")
    ratio = a * b / _exact.determinant(M)
    demand(ratio > 1, "the penalty exceeds that of orthogonal columns")
    excess = work.enclose(lambda F, bits: F.log(F.exact(ratio)), _RADIUS)
    demand(excess.lower > 0, "the excess is positive")
    return {"product": off, "second_derivative": bend, "excess": excess}


STATIONARY_TURN = Certified(
    label="17d",
    title="Columns that are stationary under rotations and not orthogonal",
    statement=r"M = J^\top J + \beta\sigma^2 I,\ M_{11} = M_{22},\ M_{12} \ne 0: \quad"
    r" \tfrac{d}{dt} \sum_j \log (R^\top M R)_{jj} = 0,\ \tfrac{d^2}{dt^2} ="
    r" -8 M_{12}^2 / M_{11}^2 < 0,\ \sum_j \log M_{jj} > \log\det M",
    keys=("J", "unit"),
    hints=(),
    instances=(
        {"J": [["1", "0.5"], ["0.5", "1"]], "unit": "0.75"},
        {"J": [["2", "1"], ["1", "2"], ["0.5", "-0.5"]], "unit": "0.01"},
    ),
    prepare=nothing_to_find,
    prove=_stationary,
    sentence=lambda i, p: (
        f"The Jacobian J = {list_texts(i['J'])}, with beta sigma^2 = {i['unit']}, is stationary "
        f"under turns of its columns, whose product is {p['product']} and not 0; the second "
        f"derivative is {p['second_derivative']}, and the penalty is {p['excess']} above that of "
        "orthogonal columns with the same determinant."
    ),
)
