"""14d and 14f: moments of importance weights, which a diagonal encoder may not have."""

from __future__ import annotations

from fractions import Fraction

from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    list_texts,
    nothing_to_find,
    text_of,
)

_RADIUS = Fraction(1, 10**40)


def _symmetric(name: str, value: object, rows: int | None = None) -> Matrix:
    P = _exact.matrix(name, value, rows)
    demand(
        len(P) == len(P[0]) and all(P[i][j] == P[j][i] for i in range(len(P)) for j in range(i)),
        f"{name} is symmetric",
    )
    return P


def _inner(P: Matrix, power: int) -> Matrix:
    """N P - (n - 1) diag P."""
    return tuple(
        tuple(power * v - (power - 1) * v * (i == j) for j, v in enumerate(row))
        for i, row in enumerate(P)
    )


def _pivots(P: Matrix) -> list[Fraction]:
    """The pivots of an elimination, up to the first that is not positive.

    Each is the value of the form at a vector whose entry there is one.
    """
    rows, found = [list(row) for row in P], []
    for k in range(len(rows)):
        found.append(rows[k][k])
        if found[-1] <= 0:
            break
        for i in range(k + 1, len(rows)):
            share = rows[i][k] / rows[k][k]
            rows[i] = [a - share * b for a, b in zip(rows[i], rows[k], strict=True)]
    return found


def _product(values: list[Fraction]) -> Fraction:
    total = Fraction(1)
    for value in values:
        total *= value
    return total


def _diagonal_encoders(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    P = _symmetric("P", inputs["P"])
    other = _symmetric("P_without", inputs["P_without"])
    power = _exact.whole("power", inputs["power"], low=2, high=20)
    for name, matrix in (("P", P), ("P_without", other)):
        own = _pivots(matrix)
        demand(len(own) == len(matrix) and own[-1] > 0, f"{name} is positive definite")
    inner = _inner(P, power)
    pivots = _pivots(inner)
    demand(len(pivots) == len(P) and pivots[-1] > 0, "n P - (n - 1) diag P is positive definite")
    diagonal = _product([P[i][i] for i in range(len(P))])
    # The moment's square: of each Gaussian integral a determinant, by two eliminations.
    det, det_inner = _exact.determinant(P), _exact.determinant(inner)
    demand(det == _product(_pivots(P)), "the determinant is the product of the pivots")
    demand(det_inner == _product(pivots), "so is that of n P - (n - 1) diag P")
    square = det**power / (diagonal ** (power - 1) * det_inner)
    demand(square >= 1, "a moment of a mean of one is at least one")
    moment = work.enclose(lambda F, bits: F.sqrt(F.exact(square)), _RADIUS)
    # Along the vector of a pivot that is not positive p^n / q^(n - 1) does not fall.
    last = _pivots(_inner(other, power))[-1]
    demand(last <= 0, "without a moment: n P - (n - 1) diag P is not positive definite")
    return {"moment": moment, "square": square, "form": last}


DIAGONAL_ENCODERS = Certified(
    label="14d",
    title="A diagonal encoder with a moment of its weights, and one without",
    statement=r"q = \mathcal N(\mu, (\operatorname{diag}P)^{-1}): \quad \mathbb E_q\bar w^n ="
    r" \frac{\det P^{n/2}}{\sqrt{\det(\operatorname{diag}P)^{n-1}\det(nP - (n-1)"
    r"\operatorname{diag}P)}} \text{ if } nP - (n-1)\operatorname{diag}P \succ 0,\ \infty"
    r" \text{ else}",
    keys=("P", "P_without", "power"),
    hints=(),
    instances=(
        {
            "P": [["1", "0.45"], ["0.45", "1"]],
            "P_without": [["1", "0.5"], ["0.5", "1"]],
            "power": "2",
        },
        {
            "P": [["2", "0.5", "0.5"], ["0.5", "1", "0.25"], ["0.5", "0.25", "1"]],
            "P_without": [
                ["1", "-0.25", "-0.25"],
                ["-0.25", "1", "-0.25"],
                ["-0.25", "-0.25", "1"],
            ],
            "power": "2",
        },
        {
            "P": [["4", "1"], ["1", "3"]],
            "P_without": [["4", "1.2"], ["1.2", "3"]],
            "power": "3",
        },
    ),
    prepare=nothing_to_find,
    prove=_diagonal_encoders,
    sentence=lambda i, p: (
        f"For the Gaussian posterior of precision {list_texts(i['P'])} the diagonal encoder of the "
        f"greatest ELBO has weights whose moment of order {i['power']} is {p['moment']}, the root "
        f"of {text_of(p, 'square')}; for the precision {list_texts(i['P_without'])} it has no "
        f"such moment: the form n P - (n - 1) diag P takes the value {text_of(p, 'form')}."
    ),
)


def _gap(F: Arithmetic, ratio: Fraction) -> Number:
    return (F.exact(ratio - 1) - F.log(F.exact(ratio))) / 2


def _variance(F: Arithmetic, ratio: Fraction) -> Number:
    return F.exact(ratio) / F.sqrt(F.exact(2 * ratio - 1)) - 1


def _variances(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    narrow, wide = (_exact.positive(name, inputs[name]) for name in ("narrow", "wide"))
    demand(Fraction(1, 2) < narrow < 1 < wide, "the ratios are on both sides of one, above 1/2")
    found = {
        f"{what}_{name}": work.enclose(
            lambda F, bits, rule=rule, ratio=ratio: rule(F, ratio),  # type: ignore[misc]
            _RADIUS,
        )
        for what, rule in (("variance", _variance), ("gap", _gap))
        for name, ratio in (("narrow", narrow), ("wide", wide))
    }
    # The order of the variances is that of rational numbers, their squares.
    squares = [r**2 / (2 * r - 1) for r in (narrow, wide)]
    demand(squares[0] > squares[1], "the narrow one has the greater variance")
    demand(found["variance_narrow"].lower > found["variance_wide"].upper, "so the enclosures say")
    demand(found["gap_narrow"].upper < found["gap_wide"].lower, "and the smaller gap")
    demand(
        2 * found["gap_wide"].lower > found["variance_wide"].upper,
        "the gap of the wide one is above half its variance",
    )
    proved: dict[str, Proved] = dict(found)
    return proved | {"square_narrow": squares[0], "square_wide": squares[1]}


VARIANCES = Certified(
    label="14f",
    title="Weights of less variance and a looser bound",
    statement=r"\rho = v/S: \quad \operatorname{Var}_q\bar w = \rho/\sqrt{2\rho - 1} - 1,\ "
    r"\log p(x) - \mathrm{ELBO} = \tfrac12(\rho - 1 - \log\rho): \quad \operatorname{Var}_1 >"
    r" \operatorname{Var}_2 \text{ and } \mathrm{gap}_1 < \mathrm{gap}_2,\ \mathrm{gap}_2 >"
    r" \tfrac12\operatorname{Var}_2",
    keys=("narrow", "wide"),
    hints=(),
    instances=({"narrow": "0.52", "wide": "4"}, {"narrow": "0.51", "wide": "3"}),
    prepare=nothing_to_find,
    prove=_variances,
    sentence=lambda i, p: (
        f"Of two encoders of a Gaussian posterior that with {i['wide']} times its variance has "
        f"weights of variance {p['variance_wide']} and loses {p['gap_wide']} nats, and that with "
        f"{i['narrow']} times has weights of variance {p['variance_narrow']}, which is more, and "
        f"loses {p['gap_narrow']} nats, which is less."
    ),
)
