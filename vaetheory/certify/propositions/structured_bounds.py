"""22a and 22d: the parts of a gap, and mean scores of masked data, in rational arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TypeAlias

from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix, Vector
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.enclosure import Enclosure
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    list_texts,
    nothing_to_find,
    text_of,
)

_RADIUS = Fraction(1, 10**40)


def _square(matrix: Matrix, v: Vector) -> Fraction:
    return _exact.dot(v, [_exact.dot(row, v) for row in matrix])


def _split(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    W = _exact.matrix("W", inputs["W"])
    noise = _exact.positive("variance", inputs["variance"])
    x = _exact.vector("x", inputs["x"], len(W))
    d = len(W[0])
    loc = _exact.vector("m", inputs["m"], d)
    variances = _exact.positives("v", inputs["v"], d)
    inner = _exact.product(_exact.transpose(W), W)
    P = tuple(tuple(a / noise + (i == j) for j, a in enumerate(r)) for i, r in enumerate(inner))
    pulled = [_exact.dot(column, x) / noise for column in _exact.transpose(W)]
    mean = tuple(_exact.dot(row, pulled) for row in _exact.inverse(P))
    shift = tuple(a - b for a, b in zip(loc, mean, strict=True))
    diagonal = [P[j][j] for j in range(d)]
    # The gap from its definition: -2 ELBO and -2 log p(x) without their logarithms.
    fitted = [_exact.dot(row, loc) for row in W]
    misfit = sum(((a - b) ** 2 for a, b in zip(x, fitted, strict=True)), Fraction(0))
    spread = _exact.dot([inner[j][j] for j in range(d)], variances)
    lower = (misfit + spread) / noise + _exact.dot(loc, loc) + sum(variances, Fraction(0)) - d
    total = tuple(
        tuple(_exact.dot(a, b) + noise * (i == j) for j, b in enumerate(W)) for i, a in enumerate(W)
    )
    exact = _square(_exact.inverse(total), x)
    scaled = [p * v for p, v in zip(diagonal, variances, strict=True)]
    told = _square(P, shift) + sum(scaled, Fraction(-d))
    demand(lower - exact == told, "the rational parts of gap and formula are equal")
    # The logarithms: of the determinant of C over the noise, and of the variances.
    size = _exact.determinant(total) / noise ** len(W)
    demand(size == _exact.determinant(P), "the determinants of C and P agree")
    ratio = math.prod(diagonal, start=Fraction(1)) / size
    flat = all(P[i][j] == 0 for i in range(d) for j in range(i))
    demand((ratio == 1) if flat else (ratio > 1), "the price vanishes iff P is diagonal")
    widths = math.prod(scaled, start=Fraction(1))
    own = sum((p * s**2 for p, s in zip(diagonal, shift, strict=True)), Fraction(0))
    excess = (_square(P, shift) - own) / 2
    demand(flat or excess != 0, "the amortisation gap is no divergence of q from q*")

    def half(rational: Fraction, argument: Fraction) -> Enclosure:
        return work.enclose(
            lambda F, bits: (F.exact(rational) + F.log(F.exact(argument))) / 2, _RADIUS
        )

    return {
        "excess": excess,
        "approximation": half(Fraction(0), ratio),
        "amortisation": half(told, 1 / widths),
        "divergence": half(own + sum(scaled, Fraction(-d)), 1 / widths),
    }


SPLIT = Certified(
    label="22a",
    title="The gap of an encoder in its parts, and the divergence that is none of them",
    statement=r"\log p(x) - \mathrm{ELBO} = \tfrac12\log\frac{\prod_jP_{jj}}{\det P} + "
    r"\tfrac12\big(a^\top Pa + \textstyle\sum_j(P_{jj}v_j - 1 - \log P_{jj}v_j)\big),\quad "
    r"\text{the second part} = \mathrm{KL}(q\,\|\,q^*) + \tfrac12a^\top(P - \mathrm{diag}\,P)a",
    keys=("W", "variance", "x", "m", "v"),
    hints=(),
    instances=(
        {
            "W": [["1", "0.5"], ["0", "1"], ["0.25", "-1"]],
            "variance": "0.1",
            "x": ["1", "2", "-1"],
            "m": ["0.5", "1"],
            "v": ["0.1", "0.05"],
        },
        {
            "W": [["1", "1", "0"], ["1", "-0.5", "0.5"], ["0", "1", "2"]],
            "variance": "0.01",
            "x": ["1", "-1", "3"],
            "m": ["0", "1", "1"],
            "v": ["0.01", "0.01", "0.0025"],
        },
    ),
    prepare=nothing_to_find,
    prove=_split,
    sentence=lambda i, p: (
        f"For the weight W = {list_texts(i['W'])} with noise of variance {i['variance']} and the "
        f"datum {list_texts(i['x'])}, an encoder with the mean {list_texts(i['m'])} and the "
        f"variances {list_texts(i['v'])} lacks {p['approximation']} nats of the log evidence for "
        f"its diagonal covariance and {p['amortisation']} nats for amortisation; its divergence "
        f"from the best diagonal Gaussian is {p['divergence']} nats, and the difference of the two "
        f"is exactly {text_of(p, 'excess')}."
    ),
)


#: Probability of each pair of bits, and its slopes in all parameters.
Law: TypeAlias = "Mapping[tuple[int, int], tuple[Fraction, Vector]]"


def _law(prior: Vector, bits: Matrix) -> Law:
    """The law of two bits, with slopes in the probabilities of both bits given each latent."""
    made = {}
    for x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        total, slopes = Fraction(0), []
        for weight, row in zip(prior, bits, strict=True):
            one, two = (b if value else 1 - b for b, value in zip(row, x, strict=True))
            signs = [1 if value else -1 for value in x]
            total += weight * one * two
            slopes += [weight * signs[0] * two, weight * signs[1] * one]
        made[x] = total, tuple(slopes)
    return made


def _mean_score(
    law: Law, seen: Callable[[tuple[int, int]], Fraction], *, complete: bool = False
) -> Vector:
    """Mean score of what is observed, the second bit with the probability `seen(x)`.

    With `complete` only data that are complete count.
    """
    total = [Fraction(0)] * len(law[0, 0][1])
    for x, (p, slopes) in law.items():
        share = seen(x)
        alone = [law[x[0], value] for value in (0, 1)]
        mass = alone[0][0] + alone[1][0]
        for k, slope in enumerate(slopes):
            total[k] += p * share * (slope / p)
            if not complete:
                total[k] += p * (1 - share) * ((alone[0][1][k] + alone[1][1][k]) / mass)
    return tuple(total)


def _masks(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    prior = _exact.positives("prior", inputs["prior"])
    demand(sum(prior, Fraction(0)) == 1, "the prior adds up to 1")
    bits = _exact.matrix("bits", inputs["bits"], 2)
    demand(len(bits) == len(prior), "there is a row of bits for each latent")
    demand(all(0 < b < 1 for row in bits for b in row), "the bits have probabilities")
    rates = _exact.vector("rates", inputs["rates"], 2)
    demand(all(0 < r <= 1 for r in rates), "the rates are probabilities")
    demand(rates[0] != rates[1], "the rates differ")
    law = _law(prior, bits)
    demand(sum((p for p, _ in law.values()), Fraction(0)) == 1, "the law adds up to 1")
    at_random = _mean_score(law, lambda x: rates[x[0]])
    demand(not any(at_random), "every mean score is zero if the mask depends on the first bit")
    complete = _mean_score(law, lambda x: rates[x[0]], complete=True)
    # The slopes of P(complete) = r_0 + (r_1 - r_0) P(first bit is 1).
    slopes = [v for w in prior for v in (w * (rates[1] - rates[0]), Fraction(0))]
    demand(list(complete) == slopes, "complete cases have the slopes of their probability")
    demand(any(slopes), "one of these is not zero")
    hidden = _mean_score(law, lambda x: rates[x[1]])
    demand(any(hidden), "a mean score is not zero if the mask depends on the second bit")
    return {
        "complete": max(complete, key=abs),
        "hidden": max(hidden, key=abs),
        "parameters": len(hidden),
    }


MASKS = Certified(
    label="22d",
    title="A mask of a bit that may be ignored, and two ways in which it may not",
    statement=r"p(r|x) = p(r|x_1) \implies \mathbb E[\nabla_\theta\log p_\theta(x_{o(r)})] = 0"
    r" \text{ exactly};\quad \text{not for complete cases, nor if } p(r|x) = p(r|x_2)",
    keys=("prior", "bits", "rates"),
    hints=(),
    instances=(
        {
            "prior": ["0.25", "0.5", "0.25"],
            "bits": [["0.1", "0.2"], ["0.5", "0.6"], ["0.9", "0.75"]],
            "rates": ["0.25", "1"],
        },
        {
            "prior": ["1/3", "2/3"],
            "bits": [["1/7", "5/6"], ["0.75", "1/9"]],
            "rates": ["0.9", "0.1"],
        },
    ),
    prepare=nothing_to_find,
    prove=_masks,
    sentence=lambda i, p: (
        f"Two bits have the probabilities {list_texts(i['bits'])} given latents of the prior "
        f"{list_texts(i['prior'])}, and the second is observed with the probabilities "
        f"{list_texts(i['rates'])}. If these belong to the first bit, all {p['parameters']} mean "
        "scores of what is observed are exactly 0, but one of complete cases is "
        f"{text_of(p, 'complete')}; if they belong to the second bit, one of what is observed "
        f"is {text_of(p, 'hidden')}."
    ),
)
