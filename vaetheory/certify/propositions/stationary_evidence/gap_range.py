"""3f: bounds of the gap over sigma^2 for every small sigma."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias

from vaetheory.certify import _exact
from vaetheory.certify._cells import integrate
from vaetheory.certify._exact import Matrix
from vaetheory.certify._expansions import Expansion
from vaetheory.certify._objective import Objective
from vaetheory.certify._stationary import Candidate, krawczyk
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number
from vaetheory.certify.enclosure import Range, dyadic
from vaetheory.certify.propositions.base import Certified, Inputs, Proved, demand, list_texts

#: Coefficients of u^i sigma^j.
Potential: TypeAlias = dict[tuple[int, int], Fraction]
_BITS = 100
# The tails of the posterior of u begin at this many of its standard deviations.
_REACH = 12.0


def potential(curve: Matrix, z0: Fraction) -> Potential:
    """V(u, s) = (z0 + s u)^2 / 2 + |f(z0 + s u) - f(z0)|^2 / 2 s^2, from the coefficients of f.

    `curve` has one row for each power of z, starting with the constant.
    """
    terms: Potential = {}
    # The Taylor coefficient of order k at z0 belongs to u^k s^(k-1) in the difference over s.
    taylor = []
    for column in zip(*curve, strict=True):
        row = [
            sum(
                (c * math.comb(n, k) * z0 ** (n - k) for n, c in enumerate(column) if n >= k),
                Fraction(0),
            )
            for k in range(len(column))
        ]
        taylor.append(row)
    for row in taylor:
        for i in range(1, len(row)):
            for j in range(1, len(row)):
                key = (i + j, i + j - 2)
                terms[key] = terms.get(key, Fraction(0)) + row[i] * row[j] / 2
    for key, c in (((0, 0), z0 * z0 / 2), ((1, 1), z0), ((2, 2), Fraction(1, 2))):
        terms[key] = terms.get(key, Fraction(0)) + c
    return terms


def slope(v: Potential) -> Potential:
    """The derivative in s."""
    return {(i, j - 1): c * j for (i, j), c in v.items() if j}


def by_powers(F: Arithmetic, v: Potential, s: Number) -> dict[int, Number]:
    """Coefficients of u^i for a box of s."""
    coefficients: dict[int, Number] = {}
    for (i, j), c in v.items():
        term = F.exact(c) * F.power(s, j)
        coefficients[i] = coefficients[i] + term if i in coefficients else term
    return coefficients


class _Scaled(Objective):
    """-E V + 1/2 log w for u ~ N(a, w): the ELBO in u = (z - z0) / s without its constants."""

    def __init__(self, F: Arithmetic, v: Potential, s: Number) -> None:
        super().__init__(F, 1)
        self.expansion = Expansion(F, 1)
        for i, c in by_powers(F, v, s).items():
            self.expansion.add_power((i,), c)

    def expectations(
        self, m: Sequence[Number], v: Sequence[Number], orders: Sequence[tuple[int, ...]]
    ) -> list[Number]:
        return [-self.expansion.expectation(m, v, o) for o in orders]

    def gradient(self, m: Sequence[Number], v: Sequence[Number]) -> list[Number]:
        first, second = self.expectations(m, v, [(1,), (2,)])
        return [first, (second + 1 / v[0]) / 2]

    def hessian(self, m: Sequence[Number], v: Sequence[Number]) -> list[list[Number]]:
        two, three, four = self.expectations(m, v, [(2,), (3,), (4,)])
        return [[two, three / 2], [three / 2, four / 4 - 1 / self.F.square(v[0]) / 2]]


def _curvature(
    F: Arithmetic,
    layers: Sequence[Potential],
    s: Number,
    box: Candidate,
    steep: Fraction,
    most: Fraction,
) -> Number:
    """The second derivative of the gap in s, over a box of s."""
    v, first, second = layers
    target = _Scaled(F, v, s)
    point = krawczyk(F, target, box)
    for _ in range(4):
        ends = [F.bounds(p) for p in point]
        tighter = Candidate(
            tuple(dyadic((a + b) / 2, 60) for a, b in ends),
            tuple(dyadic((b - a) * Fraction(51, 100) + Fraction(1, 10**9), 30) for a, b in ends),
        )
        try:
            point = krawczyk(F, target, tighter)
        except NotProved:
            break
    m, w = [point[0]], [point[1]]
    moved = _Scaled(F, first, s).expectations(m, w, [(1,), (2,)])
    moved[1] = moved[1] / 2
    (direct,) = _Scaled(F, second, s).expectations(m, w, [(0,)])
    (a, b), (_, d) = target.hessian(m, w)
    det = a * d - b * b
    quadratic = (
        d * F.square(moved[0]) - 2 * b * moved[0] * moved[1] + a * F.square(moved[1])
    ) / det
    best = direct - quadratic
    one, mean, square, bent = _posterior(F, layers, s, steep, most)
    return F.square(mean / one) * -1 + square / one - bent / one - best


def _posterior(
    F: Arithmetic, layers: Sequence[Potential], s: Number, steep: Fraction, most: Fraction
) -> list[Number]:
    """Integrals of exp(-V) times 1, V_s, V_s^2 and V_ss over u, for a box of s."""
    v, first, second = (by_powers(F, layer, s) for layer in layers)
    reach = math.ceil(_REACH / math.sqrt(float(steep)))

    def value(coefficients: dict[int, Number], powers: list[Number]) -> Number:
        total = F.exact(0)
        for i, c in coefficients.items():
            total = total + c * powers[i]
        return total

    highest = max(max(c) for c in (v, first, second))

    def integrand(z: list[Number]) -> list[Number]:
        powers = [F.exact(1)]
        for _ in range(highest):
            powers.append(powers[-1] * z[0])
        weight = F.exp(-value(v, powers))
        one = value(first, powers)
        return [weight, weight * one, weight * one * one, weight * value(second, powers)]

    body = integrate(F, integrand, ((-float(reach), float(reach)),), tolerance=1e-6, order=10)
    # One output is affine, so V >= steep u^2 / 2; the other factors are bounded by coefficients.
    sizes = [_sizes(layer, most) for layer in layers]
    square: dict[int, Fraction] = {}
    for i, c in sizes[1].items():
        for j, d in sizes[1].items():
            square[i + j] = square.get(i + j, Fraction(0)) + c * d
    return [
        F.widen(value, _tail(F, size, steep, reach))
        for value, size in zip(body, ({0: Fraction(1)}, sizes[1], square, sizes[2]), strict=True)
    ]


def _sizes(v: Potential, most: Fraction) -> dict[int, Fraction]:
    sizes: dict[int, Fraction] = {}
    for (i, j), c in v.items():
        sizes[i] = sizes.get(i, Fraction(0)) + abs(c) * most**j
    return sizes


def _tail(F: Arithmetic, sizes: dict[int, Fraction], steep: Fraction, reach: int) -> Number:
    """Both tails of sum c u^n exp(-k u^2 / 2): each at most R^(n+1) exp(-k R^2/2) / (k R^2 - n)."""
    total = F.exact(0)
    for n, c in sizes.items():
        room = steep * reach**2 - n
        demand(room > 0, "the tails decay")
        total = total + F.exact(2 * c * Fraction(reach) ** (n + 1) / room)
    return total * F.exp(F.exact(-steep * reach**2 / 2))


def _ratio(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    curve = _exact.matrix("f", inputs["f"])
    z0, most = _exact.number("z0", inputs["z0"]), _exact.positive("sigma_0", inputs["sigma_0"])
    if not 2 <= len(curve) <= 6 or len(curve[0]) > 4:
        size = f"{len(curve)} of {len(curve[0])}"
        raise ValueError(f"f: expected from 2 to 6 rows of at most 4 entries, got {size}")
    flat = [column[1] for column in zip(*curve, strict=True) if not any(column[2:])]
    steep = max((c * c for c in flat), default=Fraction(0))
    demand(steep > 0, "one output is affine, so that the curve is a graph")
    columns = list(zip(*curve, strict=True))
    first = _tangent(curve, z0)
    second = [
        sum((n * (n - 1) * c * z0 ** (n - 2) for n, c in enumerate(col) if n > 1), Fraction(0))
        for col in columns
    ]
    metric = _exact.dot(first, first)
    coefficient = Fraction(3, 4) * _exact.dot(first, second) ** 2 / metric**3
    v = potential(curve, z0)
    layers = (v, slope(v), slope(slope(v)))
    box = _box(metric)
    pieces = _exact.number("pieces", witness["pieces"])
    demand(pieces.denominator == 1 and 1 <= pieces <= 1000, "a number of pieces")
    low = high = None
    for i in range(int(pieces)):
        with work.arithmetic(_BITS) as F:
            s = F.hull(most * i / pieces, most * (i + 1) / pieces)
            value = _curvature(F, layers, s, box, steep, most) / 2
            a, b = F.bounds(value)
        low = a if low is None else min(low, a)
        high = b if high is None else max(high, b)
    assert low is not None
    assert high is not None
    demand(low <= coefficient <= high, "the bounds hold the gap law's coefficient")
    demand(low > 0, "the lower bound is positive")
    point = [sum((c * z0**n for n, c in enumerate(col)), Fraction(0)) for col in columns]
    datum: dict[str, Proved] = {f"x_{j}": c for j, c in enumerate(point)}
    return datum | {"coefficient": coefficient, "ratio": Range.over(low, high)}


def _tangent(curve: Matrix, z0: Fraction) -> list[Fraction]:
    """f'(z0)."""
    return [
        sum((n * c * z0 ** (n - 1) for n, c in enumerate(col) if n), Fraction(0))
        for col in zip(*curve, strict=True)
    ]


def _box(metric: Fraction) -> Candidate:
    """The box of means and variances of u = (z - z0) / s; the sentence states its size."""
    shift = (metric.numerator.bit_length() - metric.denominator.bit_length()) // 2 + 30
    # Near 1 / 4 |f'|, with few digits because the sentence states it.
    mean = math.isqrt(math.floor(Fraction(4) ** shift / metric)) * Fraction(2) ** (-shift - 2)
    return Candidate((Fraction(0), 1 / metric), (dyadic(mean, 8), dyadic(1 / (4 * metric), 8)))


GAP_RANGE = Certified(
    label="3f",
    title="The gap law, for every sigma up to sigma_0",
    statement=r"\frac{\log p(x) - \mathrm{ELBO}(x; m^*, v^*)}{\sigma^2} \in [a, b] \ni"
    r" \tfrac34 \frac{(f' \cdot f'')^2}{|f'|^6}(z_0) \text{ for all } 0 < \sigma \le \sigma_0",
    keys=("f", "z0", "sigma_0"),
    hints=("pieces",),
    instances=({"f": [["0", "0"], ["1", "0"], ["0", "0.5"]], "z0": "1", "sigma_0": "0.1"},),
    prepare=lambda inputs: {"pieces": "64"},
    prove=_ratio,
    sentence=lambda i, p: _words(i, p),
)


def _words(i: Inputs, p: Any) -> str:
    ratio = p["ratio"]
    x = ", ".join(_exact.text(p[k]) for k in sorted(p) if k.startswith("x_"))
    first = _tangent(_exact.matrix("f", i["f"]), _exact.number("z0", i["z0"]))
    box = _box(_exact.dot(first, first))
    (_, var), (mean, spread) = box.centre, box.radius
    return (
        f"For the curve with coefficients f = {list_texts(i['f'])} (lowest power first) and x = "
        f"f({i['z0']}) = ({x}): for every 0 < sigma <= {i['sigma_0']} the ELBO has exactly one "
        f"stationary point (m, v) with |m - z0| < {_exact.text(mean)} sigma and "
        f"|v - {_exact.text(var)} sigma^2| < {_exact.text(spread)} sigma^2, a maximum, and its gap "
        f"over sigma^2 lies in {ratio}; its limit as sigma -> 0 is exactly "
        f"{_exact.text(p['coefficient'])}."
    )
