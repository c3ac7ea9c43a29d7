"""19d: a wave whose average of local covariances exceeds the mean square error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from vaetheory.certify import _exact
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.propositions.base import Certified, Inputs, Proved, demand

_RADIUS = Fraction(1, 10**40)


def _polynomial(steep: Fraction, noise: Fraction, k: tuple[Fraction, Fraction]) -> list[Fraction]:
    """2 k - k^2 y as a polynomial in c, for k = k_0 + k_1 c and y = 1 + (1 + steep c)^2 / noise.

    Whatever k is, this is at most 1 / y: the difference is (1 - k y)^2 / y.
    """
    y = (1 + 1 / noise, 2 * steep / noise, steep**2 / noise)
    square = (k[0] ** 2, 2 * k[0] * k[1], k[1] ** 2)
    found = [Fraction(0)] * 5
    for i, a in enumerate(square):
        for j, b in enumerate(y):
            found[i + j] -= a * b
    for i in range(2):
        found[i] += 2 * k[i]
    return found


def _powers(e: list[Any]) -> list[Any]:
    """Means of cos^n, n = 0 to 4, from the means e_k of cos of k times the angle."""
    return [
        1, e[1], (1 + e[2]) / 2, (3 * e[1] + e[3]) / 4, (3 + 4 * e[2] + e[4]) / 8,
    ]  # fmt: skip


def _tangents(inputs: Inputs) -> dict[str, Any]:
    """The k of `_polynomial` on a grid of hundredths whose mean is greatest."""
    height, frequency, noise = (
        _exact.positive(name, inputs[name]) for name in ("height", "frequency", "variance")
    )
    means = _powers([math.exp(-(float(frequency * n) ** 2) / 2) for n in range(5)])
    best = (-math.inf, "0", "0")
    for level in range(5, 100, 5):
        for slope in range(-100, 5, 5):
            k = Fraction(level, 100), Fraction(slope, 100)
            terms = _polynomial(height * frequency, noise, k)
            value = sum(float(a) * m for a, m in zip(terms, means, strict=True))
            best = max(best, (value, _exact.text(k[0]), _exact.text(k[1])))
    return {"level": best[1], "slope": best[2]}


def _averaged(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    a, b, noise = (
        _exact.positive(name, inputs[name]) for name in ("height", "frequency", "variance")
    )
    k = _exact.number("level", witness["level"]), _exact.number("slope", witness["slope"])
    terms, steep = _polynomial(a * b, noise, k), a * b

    def cosines(F: Arithmetic) -> list[Number]:
        return [F.exp(F.exact(-(n**2) * b**2 / 2)) for n in range(5)]

    def average(F: Arithmetic, bits: int) -> Number:
        powers = _powers(cosines(F))
        return sum((F.exact(t) * p for t, p in zip(terms, powers, strict=True)), F.exact(0))

    def linear(F: Arithmetic, bits: int) -> Number:
        e = cosines(F)
        # f = z + a sin(b z): its covariance with z is E f', and E z sin(b z) = b E cos(b z).
        cross = 1 + F.exact(steep) * e[1]
        spread = 1 + F.exact(2 * steep) * e[1] + F.exact(a**2) * (1 - e[2]) / 2
        # The variance of sin(b z) is (1 - E cos 2 b z) / 2, since its mean is 0.
        return 1 - cross * cross / (spread + F.exact(noise))

    def bound(F: Arithmetic, bits: int) -> Number:
        e = cosines(F)
        metric = 1 + F.exact(2 * steep) * e[1] + F.exact(steep**2) * (1 + e[2]) / 2
        return F.exact(noise) / (F.exact(noise) + metric)

    lower, upper = work.enclose(average, _RADIUS), work.enclose(linear, _RADIUS)
    least = work.enclose(bound, _RADIUS)
    demand(lower.lower > upper.upper, "the average exceeds the best linear estimator's error")
    demand(least.upper < upper.lower, "van Trees' bound does not")
    return {"average_at_least": lower, "linear_error": upper, "van_trees": least}


def _text(proved: Mapping[str, Any], name: str) -> str:
    return str(proved[name])


AVERAGED = Certified(
    label="19d-average",
    title="The average of local covariances is no lower bound",
    statement=r"f(z) = z + a\sin bz:\quad \mathbb E\frac1{1 + f'(z)^2/\sigma^2} > "
    r"1 - \frac{\operatorname{Cov}(z, f)^2}{\operatorname{Var}f + \sigma^2} \ge "
    r"\mathbb E\operatorname{Var}(z|x)",
    keys=("height", "frequency", "variance"),
    hints=("level", "slope"),
    instances=(
        {"height": "0.5", "frequency": "2", "variance": "1"},
        {"height": "0.25", "frequency": "2", "variance": "0.25"},
    ),
    prepare=_tangents,
    prove=_averaged,
    sentence=lambda i, p: (
        f"For the decoder z + {i['height']} sin({i['frequency']} z) with noise of variance "
        f"{i['variance']} the average of the local covariances is at least "
        f"{_text(p, 'average_at_least')}; but a linear estimator already has the mean square error "
        f"{_text(p, 'linear_error')}, and van Trees' bound is {_text(p, 'van_trees')}."
    ),
)
