"""2c, 5a, 5c, 6a and 10b: propositions whose core is rational arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix, Vector
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


# ---- 2c ----


def _sharp_slope(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    a, m, s, z = (_exact.positive(name, inputs[name]) for name in ("a", "m", "s", "z"))
    data, codes = (a, -a), (m, -m)
    bound = (2 * a) * (2 * m / s**2) / 4
    # The exponents at 0 are equal, so both weights are exactly 1/2.
    demand(codes[0] ** 2 == codes[1] ** 2, "the weights at 0 are equal")
    scores = [c / s**2 for c in codes]
    slope = sum((x * g / 2 for x, g in zip(data, scores, strict=True)), Fraction(0))
    demand(sum(scores) == 0 and sum(data) == 0, "both means at 0 vanish")
    demand(slope == bound, "the slope at 0 is the bound")

    def away(F: Arithmetic, bits: int) -> Number:
        weights = [F.exp(F.exact(-((z - c) ** 2) / (2 * s**2))) for c in codes]
        total = weights[0] + weights[1]
        mean = [
            sum((w * F.exact(v) for w, v in zip(weights, values, strict=True)), F.exact(0)) / total
            for values in (data, scores)
        ]
        both = [F.exact(x * g) for x, g in zip(data, scores, strict=True)]
        value = weights[0] / total * both[0] + weights[1] / total * both[1] - mean[0] * mean[1]
        F.demand(value, F.exact(bound), "the slope at z is below the bound")
        return value

    return {"slope_at_0": slope, "bound": bound, "slope_at_z": work.enclose(away, _RADIUS)}


SHARP_SLOPE = Certified(
    label="2c",
    title="The bound of the optimal decoder's slope is attained",
    statement=r"J^*(0) = \tfrac14 \operatorname{diam}(X) \operatorname{diam}(S^{-1} m(X))"
    r" = a m / s^2 > J^*(z)",
    keys=("a", "m", "s", "z"),
    hints=(),
    instances=(
        {"a": "1.5", "m": "0.7", "s": "0.3", "z": "0.01"},
        {"a": "1", "m": "1", "s": "0.5", "z": "2"},
    ),
    prepare=nothing_to_find,
    prove=_sharp_slope,
    sentence=lambda i, p: (
        f"For the data -{i['a']} and {i['a']} encoded at -{i['m']} and {i['m']} with standard "
        f"deviation {i['s']}, the slope of the optimal decoder at 0 is exactly {p['bound']}, the "
        f"bound of 2c, and at z = {i['z']} it is {p['slope_at_z']}, which is below the bound."
    ),
)


# ---- 5a ----


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


# ---- 5c ----


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


# ---- 6a ----


def _floating_prior(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    loc = _exact.matrix("loc", inputs["loc"])
    d = len(loc[0])
    scale, other = _exact.vector("scale", inputs["scale"], d), _exact.vector("v", inputs["v"], d)
    demand(min(scale) > 0 and min(other) > 0, "scales and variances are positive")
    moments = [sum((row[j] ** 2 for row in loc), Fraction(0)) / len(loc) for j in range(d)]
    best = [moment + s**2 for moment, s in zip(moments, scale, strict=True)]
    # d/dv of 1/2 (log v + (E m^2 + s^2) / v), and its second derivative at the zero.
    for moment, s, v in zip(moments, scale, best, strict=True):
        demand(1 / (2 * v) - (moment + s**2) / (2 * v**2) == 0, "the slope vanishes at v")
        demand(-1 / (2 * v**2) + (moment + s**2) / v**3 > 0, "the divergence is least at v")
    demand(tuple(best) != other, "the other prior is another one")
    ratio = math.prod(v / s**2 for v, s in zip(best, scale, strict=True))
    excess = sum((v / w - 1 for v, w in zip(best, other, strict=True)), Fraction(0))
    worse = math.prod(w / v for w, v in zip(other, best, strict=True))
    loss = work.enclose(
        lambda F, bits: (F.log(F.exact(Fraction(worse))) + F.exact(excess)) / 2, _RADIUS
    )
    demand(loss.lower > 0, "the other prior loses")
    variances: dict[str, Proved] = {f"v_{j}": v for j, v in enumerate(best)}
    information = work.enclose(lambda F, bits: F.log(F.exact(Fraction(ratio))) / 2, _RADIUS)
    return variances | {"information": information, "loss_of_the_other": loss}


FLOATING_PRIOR = Certified(
    label="6a",
    title="BILBO is the batch ELBO under its best floating prior",
    statement=r"\operatorname*{arg\,max}_v = E_B[m_j^2] + s_j^2, \quad"
    r" \tfrac12 \sum_j \log(1 + E_B[m_j^2] / s_j^2) = E_B[\mathrm{KL}] \text{ there}",
    keys=("loc", "scale", "v"),
    hints=(),
    instances=(
        {
            "loc": [["1", "0.5"], ["-0.5", "0.25"], ["2", "-1"]],
            "scale": ["0.5", "0.1"],
            "v": ["1", "1"],
        },
        {"loc": [["0.3"], ["-0.3"]], "scale": ["1"], "v": ["1.0900000000000001"]},
    ),
    prepare=nothing_to_find,
    prove=_floating_prior,
    sentence=lambda i, p: (
        f"For the batch of posterior means {list_texts(i['loc'])} with standard deviations "
        f"{list_texts(i['scale'])} the floating prior's best variances are exactly "
        f"{_joined(p, 'v_')}, where the information term is {p['information']} nats; the "
        f"variances {list_texts(i['v'])} lose {p['loss_of_the_other']} nats, which is positive."
    ),
)


def _joined(proved: Mapping[str, Any], prefix: str) -> str:
    return ", ".join(_exact.text(v) for k, v in proved.items() if k.startswith(prefix))


# ---- 10b ----


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
