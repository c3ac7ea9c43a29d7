"""15a: CUBO of a linear model, or that it is infinite, decided in rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix, applied
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


def _minors(a: Matrix) -> list[Fraction]:
    """The leading principal minors: all are positive iff the matrix is positive definite."""
    return [_exact.determinant([row[:k] for row in a[:k]]) for k in range(1, len(a) + 1)]


def _cubo(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    P, Q = (_exact.matrix(name, inputs[name]) for name in ("P", "Q"))
    n = _exact.whole("n", inputs["n"], low=2, high=20)
    for name, rows in (("P", P), ("Q", Q)):
        if len(rows) != len(rows[0]) or rows != _exact.transpose(rows) or min(_minors(rows)) <= 0:
            raise ValueError(f"{name}: expected a symmetric positive-definite matrix")
    if len(P) != len(Q):
        raise ValueError(f"Q: expected a matrix of the size of P, {len(P)}, got {len(Q)}")
    away = _exact.vector("away", inputs["away"], len(P))
    mixed = tuple(
        tuple(n * p - (n - 1) * q for p, q in zip(row, other, strict=True))
        for row, other in zip(P, Q, strict=True)
    )
    least = min(_minors(mixed))
    if least <= 0:
        # Then some direction has a quadratic form of zero or less, along which w^n q does not fall.
        return {"finite": 0, "minor": least}
    inverse = _exact.inverse(mixed)
    # The squares that are left in w^n q, completed at its own mean, with the posterior's mean at 0.
    pull = tuple((n - 1) * v for v in applied(Q, away))
    left = _exact.dot(pull, applied(inverse, pull)) + (n - 1) * _exact.dot(away, applied(Q, away))
    told = n * (n - 1) * _exact.dot(away, applied(P, applied(inverse, applied(Q, away))))
    demand(left == told, "both forms of the exponent are equal")
    ratio = _exact.determinant(P) ** n / _exact.determinant(Q) ** (n - 1)
    ratio /= _exact.determinant(mixed)
    excess = work.enclose(
        lambda F, bits: (F.log(F.exact(ratio)) + F.exact(left)) / (2 * n), _RADIUS
    )
    demand(P == Q or excess.lower > 0, "CUBO is above the evidence")
    return {"finite": 1, "minor": least, "ratio": ratio, "square": left, "excess": excess}


CUBO = Certified(
    label="15a",
    title="CUBO of a linear model, and where it is infinite",
    statement=r"M = nP - (n-1)Q \succ 0: \quad \mathrm{CUBO}_n - \log p(x) = \tfrac{1}{2n}\Big("
    r"\log\frac{|P|^n}{|Q|^{n-1}|M|} + n(n-1)\,\delta^\top PM^{-1}Q\,\delta\Big);\quad "
    r"\text{else } \mathrm{CUBO}_n = \infty",
    keys=("P", "Q", "away", "n"),
    hints=(),
    instances=(
        {
            "P": [["4", "1.8"], ["1.8", "4"]],
            "Q": [["4", "0"], ["0", "4"]],
            "away": ["0.1", "-0.2"],
            "n": "2",
        },
        {
            "P": [["2", "1", "1"], ["1", "2", "1"], ["1", "1", "2"]],
            "Q": [["2", "0", "0"], ["0", "2", "0"], ["0", "0", "2"]],
            "away": ["0", "0", "0"],
            "n": "2",
        },
        {"P": [["3"]], "Q": [["4"]], "away": ["0.5"], "n": "3"},
    ),
    prepare=nothing_to_find,
    prove=_cubo,
    sentence=lambda i, p: (
        f"For a posterior of precision {list_texts(i['P'])} and a Gaussian of precision "
        f"{list_texts(i['Q'])}, whose mean is away by {list_texts(i['away'])}, CUBO of order "
        f"{i['n']} "
        + (
            f"exceeds the log evidence by {p['excess']}."
            if p["finite"]
            else f"is infinite: a principal minor of n P - (n - 1) Q is {p['minor']}."
        )
    ),
)
