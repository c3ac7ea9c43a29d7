"""12a: the best encoder of a linear VAE, in rational arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix, Vector
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


def _squares(
    W: Matrix, noise: Fraction, x: Vector, loc: Vector, variances: Vector
) -> tuple[Fraction, Fraction]:
    """-2 ELBO of N(loc, diag(variances)) without its logarithms, and x^T C^-1 x."""
    fitted = [_exact.dot(row, loc) for row in W]
    misfit = sum(((a - b) ** 2 for a, b in zip(x, fitted, strict=True)), Fraction(0))
    lengths = [_exact.dot(column, column) for column in _exact.transpose(W)]
    spread = _exact.dot(lengths, variances)
    own = _exact.dot(loc, loc) + sum(variances, Fraction(0)) - len(loc)
    total = _exact.with_ridge(_exact.product(W, _exact.transpose(W)), noise)
    rows = _exact.inverse(total)
    return (misfit + spread) / noise + own, _exact.dot(x, [_exact.dot(row, x) for row in rows])


def _best_encoder(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    W = _exact.matrix("W", inputs["W"])
    noise = _exact.positive("variance", inputs["variance"])
    data = _exact.matrix("X", inputs["X"], len(W))
    d = len(W[0])
    other = _exact.positives("delta", inputs["delta"], d)
    M = _exact.with_ridge(_exact.product(_exact.transpose(W), W), noise)
    encoder = _exact.product(_exact.inverse(M), _exact.transpose(W))
    variances = tuple(noise / M[j][j] for j in range(d))
    squares = Fraction(0)
    for x in data:
        loc = tuple(_exact.dot(row, x) for row in encoder)
        # The slopes in the mean and in each variance vanish; the ELBO is concave in both.
        away = [a - _exact.dot(row, loc) for a, row in zip(x, W, strict=True)]
        for column, m in zip(_exact.transpose(W), loc, strict=True):
            demand(_exact.dot(column, away) == noise * m, "the means are stationary")
        own, whole = _squares(W, noise, x, loc, variances)
        demand(own == whole, "the rational parts of ELBO and evidence are equal, for every datum")
        squares += whole
    for j, v in enumerate(variances):
        demand(1 / v == M[j][j] / noise, "the variances are stationary")
    ratio = math.prod((M[j][j] for j in range(d)), start=Fraction(1)) / _exact.determinant(M)
    # The same ratio from the determinants of C and of the variances.
    total = _exact.with_ridge(_exact.product(W, _exact.transpose(W)), noise)
    again = noise ** len(W) / _exact.determinant(total)
    demand(ratio == again / math.prod(variances, start=Fraction(1)), "two routes to the gap agree")
    flat = all(M[i][j] == 0 for i in range(d) for j in range(i))
    demand((ratio == 1) if flat else (ratio > 1), "the gap vanishes iff the columns are orthogonal")
    gap = work.enclose(lambda F, bits: F.log(F.exact(ratio)) / 2, _RADIUS)
    if not flat:
        demand(gap.lower > 0, "the gap is positive")
    # 1/2 sum (t - 1 - log t) with t = delta / delta*.
    demand(other != variances, "the other variances are others")
    shares = [v / best for v, best in zip(other, variances, strict=True)]
    product = math.prod(shares, start=Fraction(1))
    loss = work.enclose(
        lambda F, bits: (F.exact(sum(shares, Fraction(-d))) - F.log(F.exact(product))) / 2, _RADIUS
    )
    demand(loss.lower > 0, "the other variances lose")
    best_variances: dict[str, Proved] = {f"delta_{j}": v for j, v in enumerate(variances)}
    return best_variances | {
        "squares": squares,
        "ratio": ratio,
        "gap": gap,
        "loss_of_the_other": loss,
    }


BEST_ENCODER = Certified(
    label="12a",
    title="The best encoder of a linear VAE loses the same for every datum",
    statement=r"V = M^{-1} W^\top,\ \delta_j = \sigma^2 / M_{jj} \implies \log p(x) -"
    r" \mathrm{ELBO}(x) = \tfrac12 \log r \text{ for every } x,\ r = \prod_j M_{jj} / \det M \ge 1,"
    r"\ r = 1 \iff W^\top W \text{ is diagonal}",
    keys=("W", "variance", "X", "delta"),
    hints=(),
    instances=(
        {
            "W": [["1", "0.5"], ["0", "1"], ["0.25", "-1"]],
            "variance": "0.1",
            "X": [["1", "2", "-1"], ["0.3", "0", "0"], ["-4", "1", "0.5"]],
            "delta": ["0.1", "0.1"],
        },
        {
            "W": [["1", "1"], ["1", "-1"]],
            "variance": "0.01",
            "X": [["1", "2"], ["-5", "0.5"]],
            "delta": ["0.005", "0.005"],
        },
    ),
    prepare=nothing_to_find,
    prove=_best_encoder,
    sentence=lambda i, p: (
        f"For the weight W = {list_texts(i['W'])} with noise of variance {i['variance']} the best "
        f"encoder has the variances {_variances(p)}; of the data {list_texts(i['X'])}, whose "
        f"squares x^T C^-1 x add up to {_square(p)}, each loses "
        + (
            "exactly nothing of its log evidence, as the columns are orthogonal"
            if p["ratio"] == 1
            else f"the same {p['gap']} nats of its log evidence"
        )
        + f"; the variances {list_texts(i['delta'])} lose {p['loss_of_the_other']} nats more."
    ),
)


def _variances(proved: Mapping[str, Any]) -> str:
    return ", ".join(_exact.text(v) for k, v in proved.items() if k.startswith("delta_"))


def _square(proved: Mapping[str, Any]) -> str:
    return _exact.text(proved["squares"])
