"""10b: BAGGINS is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from vaetheory.certify import _exact
from vaetheory.certify._exact import Vector
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    list_texts,
    nothing_to_find,
)

_RADIUS = Fraction(1, 10**40)


def _bounded(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    x = _exact.matrix("x", inputs["x"])
    size = len(x[0])
    fit = _exact.matrix("fit", inputs["fit"], size)
    h = _exact.positive("h", inputs["h"])
    if len(x) != len(fit):
        raise ValueError(f"fit: expected {len(x)} rows, got {len(fit)}")
    residuals = _columns(
        [[(a - b) ** 2 for a, b in zip(u, w, strict=True)] for u, w in zip(x, fit, strict=True)]
    )
    means = _columns(x)
    spreads = _columns([[(a - m) ** 2 for a, m in zip(u, means, strict=True)] for u in x])
    demand(min(spreads) > 0, "no dimension is constant")
    demand(min(residuals) > 0, "the fit is not perfect in any dimension")

    def variance(F: Arithmetic, i: int) -> Number:
        return F.exact(residuals[i]) + F.exact(spreads[i]) * F.exp(F.exact(-2 * h))

    def level(F: Arithmetic, value: Number) -> Number:
        return -(F.log(2 * F.pi() * value) + 1) / 2

    def term(F: Arithmetic, bits: int) -> Number:
        return sum((level(F, variance(F, i)) for i in range(size)), F.exact(0))

    def bound(F: Arithmetic, bits: int) -> Number:
        total = sum((level(F, F.exact(v)) for v in spreads), F.exact(0))
        return total + F.exact(size * h)

    proved: dict[str, Proved] = {
        "term": work.enclose(term, _RADIUS),
        "bound": work.enclose(bound, _RADIUS),
    }
    demand(proved["term"].upper < proved["bound"].lower, "the term is below its bound")  # type: ignore[union-attr]
    for i in range(size):
        information = work.enclose(
            lambda F, bits, i=i: F.log(F.exact(spreads[i]) / variance(F, i)) / 2,  # type: ignore[misc]
            _RADIUS,
        )
        demand(information.upper < h, "the information of a dimension is below h")
        proved[f"information_{i}"] = information
    return proved


def _columns(rows: Sequence[Sequence[Fraction]]) -> Vector:
    return tuple(sum(c, Fraction(0)) / len(rows) for c in zip(*rows, strict=True))


BOUNDED = Certified(
    label="10b",
    title="BAGGINS is bounded, and so is the information of each dimension",
    statement=r"-\tfrac12 \sum_i \log(2 \pi e \sigma_i^2) < -\tfrac12 \sum_i \log(2 \pi e v_i)"
    r" + D h, \quad \tfrac12 \log(v_i / \sigma_i^2) < h, \quad \sigma_i^2 = r_i + v_i e^{-2h}",
    keys=("x", "fit", "h"),
    hints=(),
    instances=(
        {
            "x": [["1", "2"], ["0", "-1"], ["3", "0.5"]],
            "fit": [["0.9", "2.1"], ["0.1", "-1"], ["3", "0.4"]],
            "h": "2",
        },
        {
            "x": [["0"], ["1"]],
            "fit": [["0.000000000001"], ["1"]],
            "h": "3",
        },
    ),
    prepare=nothing_to_find,
    prove=_bounded,
    sentence=lambda i, p: (
        f"For the batch {list_texts(i['x'])} fitted by {list_texts(i['fit'])} at h = {i['h']} the "
        f"term is {p['term']} nats, below its bound {p['bound']}, and the information of every "
        "dimension is below h."
    ),
)
