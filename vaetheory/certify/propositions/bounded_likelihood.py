"""18c: what no VAE with a Gaussian likelihood can exceed on given numbers."""

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
    list_texts,
    nothing_to_find,
)

_RADIUS = Fraction(1, 10**30)
# Of the bounds in the cells, whose place only matters.
_ROUGH = Fraction(1, 10**12)
_CELLS = 4096


def _sum(F: Arithmetic, factors: _exact.Vector, exponents: list[Fraction]) -> Number:
    """The sum of factors times exponentials."""
    terms = (F.exact(a) * F.exp(F.exact(e)) for a, e in zip(factors, exponents, strict=True))
    return sum(terms, F.exact(Fraction(0)))


def _ceiling(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    data = _exact.vector("data", inputs["data"])
    noise = _exact.positive("variance", inputs["variance"])
    ratios = _exact.positives("ratios", inputs["ratios"], len(data))
    atoms = _exact.vector("atoms", inputs["atoms"])
    weights = _exact.positives("weights", inputs["weights"], len(atoms))
    most = _exact.positive("most", inputs["most"])
    count = _exact.whole("cells", inputs["cells"], low=1, high=_CELLS)
    demand(sum(weights) == 1, "the weights of the components add up to 1")
    factors = tuple(1 / (len(data) * r) for r in ratios)
    low, high = min(data), max(data)
    demand(low < high, "the data differ")
    half = (high - low) / (2 * count)
    # Outside the data's range every kernel is below its value at the nearer end.
    for k in range(count):
        middle = low + (2 * k + 1) * half
        heights = [-((x - middle) ** 2) / (2 * noise) for x in data]
        reach = [abs(x - middle) * half / noise for x in data]

        def bound(
            F: Arithmetic,
            bits: int,
            heights: list[Fraction] = heights,
            reach: list[Fraction] = reach,
            middle: Fraction = middle,
        ) -> Number:
            # exp(-(x - m - v)^2 / 2 xi) is at most b e^s with s = v (x - m) / xi, and
            # e^s - s at most e^t - t for s up to t in size.
            tilted = [h + t for h, t in zip(heights, reach, strict=True)]
            slopes = tuple(
                a * (x - middle) * half / noise for a, x in zip(factors, data, strict=True)
            )
            slope = F.magnitude(_sum(F, slopes, heights))
            lost = tuple(a * t for a, t in zip(factors, reach, strict=True))
            return slope + _sum(F, factors, tilted) - _sum(F, lost, heights)

        demand(work.enclose(bound, _ROUGH).upper <= most, f"cell {k} has no greater value")

    def reached(F: Arithmetic, bits: int) -> Number:
        logs = (
            F.log(_sum(F, weights, [-((x - a) ** 2) / (2 * noise) for a in atoms])) for x in data
        )
        return sum(logs, F.exact(Fraction(0))) / len(data) - _half_log(F, noise)

    def ceiling(F: Arithmetic, bits: int) -> Number:
        logs = sum((F.log(F.exact(r)) for r in ratios), F.exact(Fraction(0))) / len(data)
        return logs + F.log(F.exact(most)) - _half_log(F, noise)

    low_value, high_value, peak = (
        work.enclose(attempt, _RADIUS)
        for attempt in (reached, ceiling, lambda F, bits: -_half_log(F, noise))
    )
    demand(low_value.lower <= high_value.upper, "the VAE is below the ceiling")
    demand(high_value.upper < peak.lower, "the ceiling is below the peak")
    return {"reached": low_value, "ceiling": high_value, "peak": peak}


def _half_log(F: Arithmetic, noise: Fraction) -> Number:
    """1/2 log(2 pi noise)."""
    return F.log(2 * F.pi() * F.exact(noise)) / 2


CEILING = Certified(
    label="18c",
    title="What no VAE with this noise can exceed on these numbers",
    statement=r"\mathbb E_n \log p(x_n) \le \mathbb E_n \log c_n + \log M, \quad"
    r" \mathbb E_n\,p(x_n|\eta) / c_n \le M \text{ for every } \eta; \quad"
    r" \text{a VAE with the components reaches the other number}",
    keys=("data", "variance", "ratios", "atoms", "weights", "most", "cells"),
    hints=(),
    instances=(
        {
            "data": ["-1.5", "1.5"],
            "variance": "1",
            "ratios": ["0.50586", "0.50586"],
            "atoms": ["-1.46324", "1.46324"],
            "weights": ["0.5", "0.5"],
            "most": "1.001",
            "cells": "64",
        },
        {
            "data": ["-2.6", "-2", "-0.4", "0.3", "2.2"],
            "variance": "0.64",
            "ratios": ["0.36559", "0.41055", "0.39121", "0.37201", "0.20817"],
            "atoms": ["-2.22495", "-0.06551", "2.11177"],
            "weights": ["0.40515", "0.39257", "0.20228"],
            "most": "1.001",
            "cells": "160",
        },
    ),
    prepare=nothing_to_find,
    prove=_ceiling,
    sentence=lambda i, p: (
        f"On the data {list_texts(i['data'])} no VAE with Gaussian noise of variance "
        f"{i['variance']}, whatever its decoder and prior, has a mean log likelihood above "
        f"{p['ceiling']}; one that puts the weights {list_texts(i['weights'])} on the outputs "
        f"{list_texts(i['atoms'])} has {p['reached']}, and the peak of the noise is {p['peak']}."
    ),
)
