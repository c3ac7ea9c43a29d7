"""6a: the best variances of the floating prior."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

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
