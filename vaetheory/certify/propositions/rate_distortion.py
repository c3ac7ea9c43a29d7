"""16d: the rate and the distortion of a linear VAE at a water level."""

from __future__ import annotations

from fractions import Fraction

from vaetheory.certify import _exact
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    list_texts,
    nothing_to_find,
)

_RADIUS = Fraction(1, 10**40)


def _water(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    lam = _exact.positives("spectrum", inputs["spectrum"])
    beta, noise = (_exact.positive(name, inputs[name]) for name in ("beta", "variance"))
    units = _exact.whole("units", inputs["units"], low=1, high=len(lam))
    demand(list(lam) == sorted(lam, reverse=True), "the eigenvalues do not rise")
    level = beta * noise
    square, ratio = sum(lam[units:], Fraction(0)), Fraction(1)
    for value in lam[:units]:
        # Along an axis: M, the encoder's slope squared times the variance, and the posterior's own.
        length = max(value - level, Fraction(0))
        M = length + level
        moment, delta = length * value / M**2, level / M
        left = value * (1 - length / M) ** 2 + delta * length
        demand(left == min(value, level), "the square left over on an axis is min(lam, t)")
        demand(moment + delta == 1, "the code has second moment 1")
        square += left
        ratio *= max(value / level, Fraction(1))
    rate = work.enclose(lambda F, bits: F.log(F.exact(ratio)) / 2, _RADIUS)
    active = sum(value > level for value in lam[:units])
    distortion = work.enclose(
        lambda F, bits: (
            F.exact(square / (2 * noise)) + F.log(2 * F.pi() * F.exact(noise)) * len(lam) / 2
        ),
        _RADIUS,
    )
    return {
        "rate": rate,
        "square": square,
        "distortion": distortion,
        "active": active,
    }


WATER = Certified(
    label="16d",
    title="The linear VAE at a water level",
    statement=r"t = \beta\sigma^2: \quad R = \tfrac12 \log \prod_{j \le d} \max(\lambda_j / t, 1),"
    r"\ \mathbb E \|x - \hat x\|^2 = \sum_{j \le d} \min(\lambda_j, t) + \sum_{j > d} \lambda_j",
    keys=("spectrum", "units", "beta", "variance"),
    hints=(),
    instances=(
        {"spectrum": ["4", "2", "1", "0.5"], "units": "3", "beta": "2", "variance": "0.75"},
        {"spectrum": ["3", "0.1"], "units": "1", "beta": "0.5", "variance": "0.2"},
    ),
    prepare=nothing_to_find,
    prove=_water,
    sentence=lambda i, p: (
        f"For data with the eigenvalues {list_texts(i['spectrum'])} the best linear VAE, with "
        f"beta = {i['beta']} and noise of variance {i['variance']}, uses {p['active']} of its "
        f"{i['units']} units and has the rate {p['rate']}, the mean square error {p['square']} "
        f"and the distortion {p['distortion']}."
    ),
)
