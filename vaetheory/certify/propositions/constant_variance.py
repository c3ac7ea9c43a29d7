"""5a and 5c: the penalty of a constant variance, and Specht's bound of it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.enclosure import Enclosure
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    list_texts,
    nothing_to_find,
)

_RADIUS = Fraction(1, 10**40)


def _matrices(inputs: Inputs) -> list[Matrix]:
    matrices = [_exact.matrix(f"A[{i}]", a) for i, a in enumerate(inputs["A"])]
    if not matrices or len({len(a) for a in matrices}) != 1:
        sizes = sorted({len(a) for a in matrices})
        raise ValueError(f"A: expected at least one matrix, all of one size, got sizes {sizes}")
    for a in matrices:
        _exact.square_root_free(a)
    return matrices


def _mean(matrices: Sequence[Matrix]) -> Matrix:
    n = len(matrices)
    return tuple(
        tuple(sum(entries, Fraction(0)) / n for entries in zip(*rows, strict=True))
        for rows in zip(*matrices, strict=True)
    )


def _penalty(work: Workshop, matrices: Sequence[Matrix]) -> tuple[Fraction, Enclosure]:
    """exp(2 N penalty), and the penalty."""
    n = len(matrices)
    ratio = _exact.determinant(_mean(matrices)) ** n
    for a in matrices:
        ratio /= _exact.determinant(a)
    return ratio, work.enclose(lambda F, bits: F.log(F.exact(ratio)) / (2 * n), _RADIUS)


def _constant_penalty(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    matrices = _matrices(inputs)
    ratio, penalty = _penalty(work, matrices)
    same = all(a == matrices[0] for a in matrices)
    demand((ratio == 1) if same else (ratio > 1), "the penalty vanishes iff all A are equal")
    if not same:
        demand(penalty.lower > 0, "the penalty is positive")
    return {"ratio": ratio, "penalty": penalty}


CONSTANT_VARIANCE = Certified(
    label="5a",
    title="What the best constant covariance loses",
    statement=r"\tfrac12 (\log\det E[A] - E[\log\det A]) = \tfrac1{2N} \log r, \quad"
    r" r = \det(\bar A)^N / \prod_n \det A_n \ge 1, \quad r = 1 \iff A_1 = \dots = A_N",
    keys=("A",),
    hints=(),
    instances=(
        {"A": [[["2", "0.5"], ["0.5", "1"]], [["1", "0"], ["0", "3"]], [["4", "-1"], ["-1", "2"]]]},
        {"A": [[["2", "0.1"], ["0.1", "1"]], [["2", "0.1"], ["0.1", "1"]]]},
        {"A": [[["1"]], [["1.000000000001"]]]},
    ),
    prepare=nothing_to_find,
    prove=_constant_penalty,
    sentence=lambda i, p: (
        f"For the Hessians A = {list_texts(i['A'])} the best constant covariance loses "
        f"{p['penalty']} nats a datum against the best of each datum; "
        + ("it is exactly zero, as all are equal." if p["ratio"] == 1 else "it is positive.")
    ),
)


def _log_specht(F: Arithmetic, h: Fraction) -> Number:
    ratio = F.log(F.exact(h)) / F.exact(h - 1)
    return ratio - 1 - F.log(ratio)


def _specht(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    matrices = _matrices(inputs)
    low, high = _exact.positive("m", inputs["m"]), _exact.positive("M", inputs["M"])
    demand(low < high, "m < M")
    d = len(matrices[0])
    if d > 2:
        raise ValueError(f"A: expected matrices of at most two rows, got {d}")
    for a in matrices:
        for sign, end in ((1, low), (-1, high)):
            rest = [[sign * (v - end * (i == j)) for j, v in enumerate(r)] for i, r in enumerate(a)]
            semidefinite = _exact.determinant(rest) >= 0 and all(rest[i][i] >= 0 for i in range(d))
            demand(semidefinite, "all eigenvalues lie in [m, M]")
    h = high / low
    _, penalty = _penalty(work, matrices)
    bound = work.enclose(lambda F, bits: _log_specht(F, h) * d / 2, _RADIUS)
    demand(penalty.upper < bound.lower, "the penalty is below Specht's bound")

    def weight(F: Arithmetic, bits: int) -> Number:
        value = 1 / F.log(F.exact(h)) - F.exact(1 / (h - 1))
        F.demand(F.exact(0), value, "the weight is above 0")
        F.demand(value, F.exact(1), "the weight is below 1")
        return value

    def attained(F: Arithmetic, bits: int) -> Number:
        t = weight(F, bits)
        return (F.log(1 + t * F.exact(h - 1)) - t * F.log(F.exact(h)) - _log_specht(F, h)) / 2

    return {
        "penalty": penalty,
        "bound": bound,
        "weight": work.enclose(weight, _RADIUS),
        "attained_less_bound": work.enclose(attained, _RADIUS),
    }


SPECHT = Certified(
    label="5c",
    title="Specht's ratio bounds the penalty, and a law of two points attains it",
    statement=r"m I \preceq A \preceq M I \implies \text{penalty} < \tfrac d2 \log S(h),"
    r"\ h = M/m, \quad \tfrac12(\log(1 + t(h-1)) - t \log h) = \tfrac12 \log S(h)"
    r"\text{ at } t = \tfrac1{\log h} - \tfrac1{h-1}",
    keys=("A", "m", "M"),
    hints=(),
    instances=(
        {"A": [[["1"]], [["2"]]], "m": "1", "M": "2"},
        {
            "A": [[["2", "1"], ["1", "3"]], [["9", "0"], ["0", "1"]], [["5", "-2"], ["-2", "4"]]],
            "m": "1",
            "M": "10",
        },
    ),
    prepare=nothing_to_find,
    prove=_specht,
    sentence=lambda i, p: (
        f"The Hessians A = {list_texts(i['A'])} have all eigenvalues in [{i['m']}, {i['M']}]; a "
        f"constant covariance loses {p['penalty']} nats, below Specht's bound {p['bound']}. In one "
        f"dimension the law with weight {p['weight']} on M and the rest on m attains it: the "
        f"difference is {p['attained_less_bound']}."
    ),
)
