"""20b: the path gradient is the noisier one for an encoder of less than half the variance."""

from __future__ import annotations

from fractions import Fraction

from vaetheory.certify import _exact
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    nothing_to_find,
    text_of,
)

#: Coefficients of 1, y and y^2, where y = z - m.
Quadratic = tuple[Fraction, Fraction, Fraction]


def _moments(f: Quadratic, v: Fraction) -> tuple[Fraction, Fraction]:
    """Mean and variance of a quadratic function of y ~ N(0, v), from its moments up to four."""
    moments = (Fraction(1), Fraction(0), v, Fraction(0), 3 * v**2)
    mean = _exact.dot(f, moments[:3])
    square = sum(
        (a * b * moments[i + j] for i, a in enumerate(f) for j, b in enumerate(f)), Fraction(0)
    )
    return mean, square - mean**2


def _gradients(S: Fraction, offset: Fraction, v: Fraction) -> dict[str, Quadratic]:
    """The gradients in m and log s for q = N(mu + offset, v), of one draw."""
    zero, one = Fraction(0), Fraction(1)
    # The derivative of log p(x, z) in z, and that of log q(z), which the path gradient subtracts.
    slope, own = (-offset / S, -1 / S), (zero, -1 / v)
    path = (slope[0] - own[0], slope[1] - own[1])
    return {
        "total_mean": (slope[0], slope[1], zero),
        "path_mean": (path[0], path[1], zero),
        "total_scale": (one, slope[0], slope[1]),
        "path_scale": (zero, path[0], path[1]),
    }


def _crossing(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    S, narrow, wide = (_exact.positive(name, inputs[name]) for name in ("S", "narrow", "wide"))
    offset = _exact.number("offset", inputs["offset"])
    demand(narrow < S / 2 < wide, "the variances of q are on both sides of S / 2")
    proved: dict[str, Proved] = {}
    for name, v in (("narrow", narrow), ("wide", wide), ("half", S / 2)):
        found = {key: _moments(f, v) for key, f in _gradients(S, offset, v).items()}
        for of in ("mean", "scale"):
            (mean, total), (other, path) = found[f"total_{of}"], found[f"path_{of}"]
            demand(mean == other, "both gradients have the same mean")
            if name == "half":
                demand(total == path, "at S / 2 both have the same variance")
                continue
            demand((path > total) == (v < S / 2), "the path gradient is noisier below S / 2 only")
            proved |= {f"total_{of}_{name}": total, f"path_{of}_{name}": path}
        total, path = (found[f"{n}_mean"][1] for n in ("total", "path"))
        demand(path - total == 1 / v - 2 / S, "the difference is 1 / v - 2 / S")
    return proved


CROSSING = Certified(
    label="20b",
    title="The path gradient is noisier for a narrow encoder, and quieter for a wide one",
    statement=r"p(z|x) = \mathcal N(\mu, S),\ q = \mathcal N(\mu + \delta, v): \quad"
    r" \operatorname{Var}r > \operatorname{Var}h \iff v < \tfrac12S,\quad"
    r" \operatorname{Var}r_m - \operatorname{Var}h_m = \tfrac1v - \tfrac2S",
    keys=("S", "offset", "narrow", "wide"),
    hints=(),
    instances=(
        {"S": "1", "offset": "0", "narrow": "0.36", "wide": "0.64"},
        {"S": "0.25", "offset": "1.5", "narrow": "0.01", "wide": "0.2"},
    ),
    prepare=nothing_to_find,
    prove=_crossing,
    sentence=lambda i, p: (
        f"For a Gaussian posterior of variance {i['S']} and an encoder whose mean is {i['offset']} "
        f"off, the path gradient of the ELBO in this mean has the variance "
        f"{text_of(p, 'path_mean_narrow')} and the total one {text_of(p, 'total_mean_narrow')} if "
        f"the encoder's variance is {i['narrow']}, and {text_of(p, 'path_mean_wide')} and "
        f"{text_of(p, 'total_mean_wide')} if it is {i['wide']}; in log s these are "
        f"{text_of(p, 'path_scale_narrow')}, {text_of(p, 'total_scale_narrow')}, "
        f"{text_of(p, 'path_scale_wide')} and {text_of(p, 'total_scale_wide')}."
    ),
)
