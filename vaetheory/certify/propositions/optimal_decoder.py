"""1a: the loss of any other decoder against the closed-form one."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from vaetheory.certify import _exact
from vaetheory.certify._exact import Vector
from vaetheory.certify._objective import gaussian_expectation
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

_RADIUS = Fraction(1, 8 * 10**30)


def optimal(F: Arithmetic, x: Vector, codes: Vector, s: Fraction, z: Number) -> Number:
    """f*(z), the mean of the data with weights N(z; m_n, s^2), whose common factor cancels."""
    total, mean = F.exact(0), F.exact(0)
    # Weights are relative to that of the nearest code, so none is large.
    middle = sum(F.floats(F.real(z))) / 2
    base = min(codes, key=lambda m: abs(float(m) - middle))
    for value, m in zip(x, codes, strict=True):
        weight = F.exact(1)
        if m != base:
            exponent = F.exact((m - base) / s**2) * z - F.exact((m**2 - base**2) / (2 * s**2))
            weight = F.exp(exponent)
        total, mean = total + weight, mean + weight * F.exact(value)
    return mean / total


def _polynomial(F: Arithmetic, h: Vector, z: Number) -> Number:
    value = F.exact(h[-1])
    for c in h[-2::-1]:
        value = value * z + F.exact(c)
    return value


def _loss(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    x = _exact.vector("x", inputs["x"])
    codes = _exact.vector("m", inputs["m"], len(x))
    s, sigma = _exact.positive("s", inputs["s"]), _exact.positive("sigma", inputs["sigma"])
    h = _exact.vector("h", inputs["h"])
    if len(h) > 6 or len(x) > 20:
        raise ValueError(
            f"x, h: expected at most 20 data and 6 coefficients, got {len(x)} and {len(h)}"
        )
    demand(any(h), "h is not zero")
    spread = max(x) - min(x)
    away = [spread + abs(h[0]), *[abs(c) for c in h[1:]]]
    square = [Fraction(0)] * (2 * len(away) - 1)
    for i, a in enumerate(away):
        for j, b in enumerate(away):
            square[i + j] += a * b / (2 * sigma**2)
    half = 1 / (2 * sigma**2)

    def misfit(perturbed: bool) -> Enclosure:
        """The mean over the data of E_q (x - f)^2 / 2 sigma^2, by quadrature."""

        def attempt(F: Arithmetic, bits: int) -> Number:
            total = F.exact(0)
            for value, m in zip(x, codes, strict=True):

                def integrand(u: Number, z: Number, value: Fraction = value) -> list[Number]:
                    f = optimal(F, x, codes, s, z)
                    if perturbed:
                        f = f + _polynomial(F, h, z)
                    return [F.square(F.exact(value) - f) * F.exact(half)]

                total = (
                    total
                    + gaussian_expectation(
                        F, integrand, F.exact(m), F.exact(s), [square], [0], bits=bits
                    )[0]
                )
            return total / len(x)

        return work.enclose(attempt, _RADIUS)

    best, other = misfit(False), misfit(True)
    # E h^2 / 2 sigma^2 under the aggregate posterior, exactly, from Gaussian moments.
    loss = Fraction(0)
    for m in codes:
        moments = [Fraction(1), m]
        for k in range(2, 2 * len(h)):
            moments.append(m * moments[-1] + (k - 1) * s**2 * moments[-2])
        for i, a in enumerate(h):
            for j, b in enumerate(h):
                loss += a * b * moments[i + j] * half / len(x)
    demand(loss > 0, "the loss is positive")
    residual = Enclosure.between(other.lower - best.upper - loss, other.upper - best.lower - loss)
    demand(residual.lower <= 0 <= residual.upper, "the two sides agree")
    return {"misfit_best": best, "misfit_other": other, "loss": loss, "residual": residual}


PYTHAGORAS = Certified(
    label="1a",
    title="The closed-form decoder, and exactly what another one loses",
    statement=r"\mathrm{ELBO}[f^*] - \mathrm{ELBO}[f^* + h] = \tfrac1{2\sigma^2} E_{q(z)}[h^2]"
    r" > 0, \quad f^*(z) = E_{q(x|z)}[x]",
    keys=("x", "m", "s", "sigma", "h"),
    hints=(),
    instances=(
        {
            "x": ["-1", "0.5", "2"],
            "m": ["-1", "0.25", "1"],
            "s": "0.5",
            "sigma": "0.3",
            "h": ["0.1", "-0.2", "0.05"],
        },
        {"x": ["-1", "1"], "m": ["-1", "1"], "s": "0.5", "sigma": "1", "h": ["0.000000000001"]},
    ),
    prepare=nothing_to_find,
    prove=_loss,
    sentence=lambda i, p: _words(i, p),
)


def _words(i: Inputs, p: Any) -> str:
    return (
        f"For the data {list_texts(i['x'])} encoded at {list_texts(i['m'])} with standard "
        f"deviation {i['s']} and sigma = {i['sigma']}, the decoder f* + h, h a polynomial with "
        f"coefficients {list_texts(i['h'])}, has an ELBO lower by exactly {_exact.text(p['loss'])} "
        f"than f*; by quadrature the expected misfits are {p['misfit_other']} and "
        f"{p['misfit_best']}, whose difference is that up to {p['residual']}."
    )
