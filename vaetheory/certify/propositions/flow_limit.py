"""8a: the second term of the flow limit, with its remainder bounded for every small sigma."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from vaetheory.certify import _exact
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number
from vaetheory.certify.enclosure import Range, dyadic
from vaetheory.certify.propositions.base import Certified, Inputs, Proved, demand, list_texts

_RADIUS = Fraction(1, 10**31)
# The density is enclosed on boxes within this many standard deviations of the noise.
_SPAN = 10
_PIECES = 20

Coefficients = list[Fraction]


def _plus(a: Coefficients, b: Coefficients, factor: int = 1) -> Coefficients:
    size = max(len(a), len(b))
    pad = [*a, *[Fraction(0)] * (size - len(a))], [*b, *[Fraction(0)] * (size - len(b))]
    return [s + factor * t for s, t in zip(*pad, strict=True)]


def _times(a: Coefficients, b: Coefficients) -> Coefficients:
    product = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, s in enumerate(a):
        for j, t in enumerate(b):
            product[i + j] += s * t
    return product


def _slope(a: Coefficients) -> Coefficients:
    return [k * c for k, c in enumerate(a)][1:] or [Fraction(0)]


def _value(a: Sequence[Fraction], z: Fraction) -> Fraction:
    return sum((c * z**k for k, c in enumerate(a)), Fraction(0))


def numerators(f: Coefficients, most: int) -> list[Coefficients]:
    """Polynomials N_k with p^(k)(f(z)) = phi(z) N_k(z) / f'(z)^(2k+1), by d/dx = d/dz / f'.

    N_(k+1) = (N_k' - z N_k) f' - (2k + 1) N_k f''.
    """
    first = _slope(f)
    second = _slope(first)
    polynomials: list[Coefficients] = [[Fraction(1)]]
    for k in range(most):
        now = polynomials[-1]
        moved = _plus(_slope(now), _times([Fraction(0), Fraction(1)], now), -1)
        bent = [(2 * k + 1) * c for c in _times(now, second)]
        polynomials.append(_plus(_times(moved, first), bent, -1))
    return polynomials


def _at(F: Arithmetic, a: Sequence[Fraction], z: Number) -> Number:
    """A polynomial on a box, expanded about the middle of the box to get a tight enclosure."""
    low, high = F.bounds(z)
    middle = dyadic((low + high) / 2, 40)
    shifted = list(a)
    # Repeated Horner steps give the coefficients about the middle.
    for i in range(len(shifted)):
        for j in range(len(shifted) - 2, i - 1, -1):
            shifted[j] += middle * shifted[j + 1]
    offset = z - F.exact(middle)
    total = F.exact(0)
    for k, c in enumerate(shifted):
        if c:
            total = total + F.exact(c) * F.power(offset, k)
    return total


class _Flow:
    """The density of x = f(z), z ~ N(0, 1), and its derivatives."""

    def __init__(self, f: Coefficients, most: int = 6) -> None:
        self.f, self.first = f, _slope(f)
        self.numerators = numerators(f, most)

    def derivative(self, F: Arithmetic, k: int, z: Number) -> Number:
        """p^(k) at f(z), times sqrt(2 pi)."""
        low, high = F.ends(_at(F, self.first, z))
        if not F.less(F.exact(1), low):
            # `check` proves f' >= 1.
            low = F.exact(1)
        # Powers increase, so their values at the two ends give the tightest enclosure.
        stretch = F.hull(F.power(low, 2 * k + 1), F.power(high, 2 * k + 1))
        return F.exp(-F.square(z) / 2) * _at(F, self.numerators[k], z) / stretch

    def greatest(self, F: Arithmetic, k: int) -> Number:
        """A bound of |p^(k)| over the line, times sqrt(2 pi): f' >= 1, |z|^j phi by its maximum."""
        total = F.exact(0)
        for j, c in enumerate(self.numerators[k]):
            if c:
                peak = F.exact(1)
                if j:
                    peak = F.power(F.sqrt(F.exact(j) * F.exp(F.exact(-1))), j)
                total = total + F.exact(abs(c)) * peak
        return total

    def check(self) -> None:
        """Prove f' >= 1: it has only even powers, none negative, and a constant of at least 1."""
        good = self.first[0] >= 1 and all(
            c >= 0 and (k % 2 == 0 or c == 0) for k, c in enumerate(self.first)
        )
        demand(good, "f' is at least 1 everywhere")

    def preimage(self, x: Fraction, bits: int = 60) -> Fraction:
        """A dyadic number whose image is close to x, by bisection."""
        low, high = -1 - abs(x - self.f[0]), 1 + abs(x - self.f[0])
        for _ in range(bits):
            middle = dyadic((low + high) / 2, bits)
            if _value(self.f, middle) < x:
                low = middle
            else:
                high = middle
        return low


def _smoothed(F: Arithmetic, flow: _Flow, k: int, x: Fraction, sigma: Fraction) -> Number:
    """E p^(k)(x + tau eps) for all tau in [0, sigma] at once, times sqrt(2 pi).

    A weighted mean of values on boxes lies in their hull for any weights. A tighter
    enclosure weights the pieces from the middle outwards: p^(k) is p^(k)(x) plus a change, and the
    change on a piece counts at most with the probability of being that far out.
    """
    centre = flow.preimage(x)
    at_x = _value(flow.f, centre)
    # |x - f(centre)| is far below the width of a piece; the first piece is about f(centre).
    value = flow.derivative(F, k, F.hull(centre - abs(x - at_x), centre + abs(x - at_x)))
    total = value
    before = F.exact(0)
    step = sigma * _SPAN / _PIECES
    for i in range(_PIECES):
        far = abs(x - at_x) + (i + 1) * step
        low, high = flow.preimage(x - far), flow.preimage(x + far) + Fraction(1, 2**40)
        demand(_value(flow.f, low) <= x - far, "the box reaches the lower end of the piece")
        demand(_value(flow.f, high) >= x + far, "the box reaches the upper end of the piece")
        box = _pieces(F, flow, k, low, high)
        change = F.magnitude(box - value)
        if not F.finite(change):
            raise NotProved("a derivative of the density is not enclosed")
        # P(|eps| > t) <= 2 exp(-t^2 / 2), where t is the piece's inner end in standard deviations.
        chance = F.exact(1)
        inner = Fraction(i * _SPAN, _PIECES)
        if inner > 1:
            chance = 2 * F.exp(F.exact(-inner * inner / 2))
        # Both have width zero, so the comparison can always be decided.
        if F.less(before, change):
            total = F.widen(total, (change - before) * chance)
            before = change
    tail = 2 * F.exp(F.exact(-Fraction(_SPAN**2, 2)))
    return F.widen(total, tail * 2 * flow.greatest(F, k))


def _over_times(
    F: Arithmetic, flow: _Flow, k: int, z0: Fraction, x: Fraction, sigma: Fraction
) -> Number:
    """E p^(k)(x + tau eps) for all tau in [0, sigma] at once, times sqrt(2 pi).

    By the heat equation, d/dt = 1/2 d^2/dx^2 with t = tau^2, it is p^(k)(x) + t / 2 times
    E p^(k+2)(x + tau' eps) for some tau' in [0, tau].
    """
    time = F.hull(0, sigma**2)
    return flow.derivative(F, k, F.exact(z0)) + time / 2 * _smoothed(F, flow, k + 2, x, sigma)


def _pieces(F: Arithmetic, flow: _Flow, k: int, low: Fraction, high: Fraction) -> Number:
    """The hull of a derivative over a box, from four parts of the box."""
    ends = [low + (high - low) * i / 4 for i in range(5)]
    hull = None
    for a, b in itertools.pairwise(ends):
        value = flow.derivative(F, k, F.hull(a, b))
        hull = value if hull is None else F.hull(_low(F, hull, value), _high(F, hull, value))
    assert hull is not None
    return hull


def _low(F: Arithmetic, a: Number, b: Number) -> Number:
    first, second = F.ends(a)[0], F.ends(b)[0]
    return first if F.less(first, second) else second


def _high(F: Arithmetic, a: Number, b: Number) -> Number:
    first, second = F.ends(a)[1], F.ends(b)[1]
    return second if F.less(first, second) else first


def _remainder(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    f = list(_exact.vector("f", inputs["f"]))
    z0, sigma = _exact.number("z0", inputs["z0"]), _exact.positive("sigma_0", inputs["sigma_0"])
    if not 2 <= len(f) <= 8:
        raise ValueError(f"f: expected from 2 to 8 coefficients, got {len(f)}")
    flow = _Flow(f)
    flow.check()
    x = _value(f, z0)

    def limit(F: Arithmetic, bits: int) -> Number:
        p, second, fourth = (flow.derivative(F, k, F.exact(z0)) for k in (0, 2, 4))
        return fourth / p / 8 - F.square(second / p) / 8

    def coefficient(F: Arithmetic, bits: int) -> Number:
        return flow.derivative(F, 2, F.exact(z0)) / flow.derivative(F, 0, F.exact(z0)) / 2

    with work.arithmetic(100) as F:
        u, second, fourth = (_over_times(F, flow, k, z0, x, sigma) for k in (0, 2, 4))
        F.demand(F.exact(0), u, "the smoothed density is positive")
        # R is half the second derivative in t of log E p(x + tau eps), by Taylor.
        low, high = F.bounds(fourth / u / 8 - F.square(second / u) / 8)
        remainder = Range.over(low, high)
    limit_value = work.enclose(limit, _RADIUS)
    demand(remainder.lower < limit_value.lower, "the bound holds the limit")
    demand(limit_value.upper < remainder.upper, "the bound holds the limit")
    return {
        "x": x,
        "coefficient": work.enclose(coefficient, _RADIUS),
        "limit": limit_value,
        "remainder": remainder,
    }


REMAINDER = Certified(
    label="8a",
    title="The flow limit's remainder, for every sigma up to sigma_0",
    statement=r"\frac{\log p_\sigma(x) - \log p_{\mathrm{flow}}(x)"
    r" - \frac{\sigma^2}2 \frac{p''}{p}(x)}{\sigma^4} \in R \text{ for all } 0 < \sigma \le"
    r" \sigma_0, \quad \text{its limit } \frac{p''''}{8p} - \frac18 \Bigl(\frac{p''}p\Bigr)^2",
    keys=("f", "z0", "sigma_0"),
    hints=(),
    instances=(
        {"f": ["0", "1", "0", "1/3"], "z0": "0.5", "sigma_0": "0.05"},
        {"f": ["0.25", "2"], "z0": "-0.75", "sigma_0": "0.1"},
    ),
    prepare=lambda inputs: {},
    prove=_remainder,
    sentence=lambda i, p: _words(i, p),
)


def _words(i: Inputs, p: Any) -> str:
    return (
        f"For the diffeomorphism with coefficients f = {list_texts(i['f'])} (lowest power first) "
        f"and x = f({i['z0']}) = {_exact.text(p['x'])}: for every 0 < sigma <= {i['sigma_0']}, log "
        f"p_sigma(x) is log p_flow(x) plus sigma^2 times {p['coefficient']} plus sigma^4 times a "
        f"number in {p['remainder']}, whose "
        f"limit as sigma -> 0 is {p['limit']}."
    )
