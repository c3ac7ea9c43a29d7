"""2c: the bound of the optimal decoder's slope is attained."""

from __future__ import annotations

from fractions import Fraction

from vaetheory.certify import _exact
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    nothing_to_find,
)

_RADIUS = Fraction(1, 10**40)


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
