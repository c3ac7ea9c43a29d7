"""3c and 3d: linear models in rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix, Vector
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.likelihoods import Gaussian
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    describe_model,
    model_of,
    nothing_to_find,
)
from vaetheory.certify.propositions.scenes import scene

_RADIUS = Fraction(1, 10**40)


class _Linear:
    """Posterior, marginal and stationary point from W, b, Lambda and x, in rational arithmetic."""

    def __init__(self, inputs: Inputs) -> None:
        model, x = model_of(inputs)
        linear = model.decoder.linear()
        if linear is None or model.likelihood.kind != "gaussian":
            raise ValueError("model: expected an affine decoder and a Gaussian likelihood")
        (self.W, bias), self.noise = linear, cast(Gaussian, model.likelihood).covariance(len(x))
        if len(self.W) != len(x):
            raise ValueError(f"x: expected {len(self.W)} entries, got {len(x)}")
        self.d, self.D = model.latent_dim, len(x)
        self.precision = _exact.inverse(self.noise)
        self.away = tuple(a - b for a, b in zip(x, bias, strict=True))
        back = _exact.product(_exact.transpose(self.W), self.precision)
        self.metric = _exact.product(back, self.W)
        self.A = _add(_exact.identity(self.d), self.metric)
        self.S = _exact.inverse(self.A)
        self.pull = tuple(_exact.dot(row, self.away) for row in back)
        self.mean = tuple(_exact.dot(row, self.pull) for row in self.S)
        self.marginal = _add(_exact.product(self.W, _exact.transpose(self.W)), self.noise)
        # The gradients in the mean, W^T Lambda^-1 (x - b - W m) - m, and in S vanish separately.
        for p, row, m in zip(self.pull, self.metric, self.mean, strict=True):
            demand(p - _exact.dot(row, self.mean) - m == 0, "the mean is stationary")
        demand(_exact.inverse(self.S) == self.A, "the covariance is stationary")

    @property
    def evidence_square(self) -> Fraction:
        """(x - b)^T (W W^T + Lambda)^-1 (x - b)."""
        rows = _exact.inverse(self.marginal)
        return _exact.dot(self.away, [_exact.dot(row, self.away) for row in rows])

    def elbo_square(self, S: Matrix) -> Fraction:
        """-2 ELBO of N(m, S) without its logarithms."""
        fitted = [_exact.dot(row, self.mean) for row in self.W]
        left = [a - f for a, f in zip(self.away, fitted, strict=True)]
        misfit = _exact.dot(left, [_exact.dot(row, left) for row in self.precision])
        spread = _exact.product(self.A, S)
        trace = sum((spread[i][i] for i in range(self.d)), Fraction(0))
        return misfit + _exact.dot(self.mean, self.mean) + trace - self.d

    def level(self, F: Arithmetic, square: Fraction, det: Fraction) -> Number:
        """-1/2 (square + log det + D log 2 pi)."""
        return -(F.exact(square) + F.log(F.exact(det)) + self.D * F.log(2 * F.pi())) / 2


def _add(a: Matrix, b: Matrix) -> Matrix:
    return tuple(tuple(s + t for s, t in zip(u, v, strict=True)) for u, v in zip(a, b, strict=True))


def _diagonal(values: Vector) -> Matrix:
    return tuple(tuple(v * (i == j) for j in range(len(values))) for i, v in enumerate(values))


def _no_gap(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    linear = _Linear(inputs)
    squares = linear.elbo_square(linear.S) - linear.evidence_square
    ratio = _exact.determinant(linear.noise) / _exact.determinant(linear.S)
    ratio /= _exact.determinant(linear.marginal)
    demand(squares == 0, "the rational parts of ELBO and evidence are equal")
    demand(ratio == 1, "their determinants are equal")
    det = _exact.determinant(linear.marginal)
    evidence = work.enclose(lambda F, bits: linear.level(F, linear.evidence_square, det), _RADIUS)
    proved: dict[str, Proved] = {"log_evidence": evidence, "gap": squares}
    return proved | {f"m_{j}": m for j, m in enumerate(linear.mean)}


def _plane(weight: list[list[str]], bias: list[str]) -> dict[str, Any]:
    return {"kind": "affine", "weight": weight, "bias": bias}


NO_GAP = Certified(
    label="3c",
    title="A linear model has no gap",
    statement=r"S = (I + W^\top \Lambda^{-1} W)^{-1},\ m = S W^\top \Lambda^{-1} (x - b)"
    r" \implies \nabla \mathrm{ELBO} = 0,\ \mathrm{ELBO} = \log N(x; b, W W^\top + \Lambda)",
    keys=("model", "x"),
    hints=(),
    instances=(
        scene(
            _plane([["1", "0.5"], ["0.25", "-1"], ["0.1", "2"]], ["0", "0.1", "-0.3"]),
            ["0.6", "0.8", "-1"],
            "0.1",
        ),
        {
            "model": {
                "decoder": _plane([["1.5"], ["-0.5"]], ["1", "0"]),
                "likelihood": {"kind": "gaussian", "cov": [["0.5", "0.1"], ["0.1", "0.02001"]]},
            },
            "x": ["3", "0.7"],
        },
    ),
    prepare=nothing_to_find,
    prove=_no_gap,
    sentence=lambda i, p: (
        f"For {describe_model(i)}, the ELBO at its one stationary point, of mean "
        f"({_means(p)}), is exactly the log evidence {p['log_evidence']}: the gap is 0, proved in "
        "rational arithmetic."
    ),
)


def _means(proved: Any) -> str:
    return ", ".join(_exact.text(v) for k, v in proved.items() if k.startswith("m_"))


def _diagonal_gap(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    linear = _Linear(inputs)
    best = tuple(1 / linear.A[j][j] for j in range(linear.d))
    # The mean is the same; S_jj = 1 / A_jj makes the slope -A_jj + 1 / S_jj vanish.
    for j, s in enumerate(best):
        demand(1 / s - linear.A[j][j] == 0, "the diagonal covariance is stationary")
    squares = linear.elbo_square(_diagonal(best)) - linear.evidence_square
    demand(squares == 0, "the rational parts of ELBO and evidence are equal")
    product = Fraction(1)
    for s in best:
        product /= s
    ratio = product / _exact.determinant(linear.A)
    # The same ratio from other determinants: those of Lambda, diag(S) and the marginal.
    other = _exact.determinant(linear.noise) * product / _exact.determinant(linear.marginal)
    demand(ratio == other, "the two routes to the gap agree")
    flat = all(linear.A[i][j] == 0 for i in range(linear.d) for j in range(i))
    demand((ratio == 1) if flat else (ratio > 1), "the gap vanishes iff A is diagonal")
    gap = work.enclose(lambda F, bits: F.log(F.exact(ratio)) / 2, _RADIUS)
    demand(flat or gap.lower > 0, "the gap is positive")
    return {"ratio": ratio, "gap": gap}


DIAGONAL_GAP = Certified(
    label="3d",
    title="What a diagonal covariance loses in a linear model",
    statement=r"\log p(x) - \mathrm{ELBO} = \tfrac12 \log r,\quad r = \prod_j A_{jj} / \det A,"
    r"\quad A = I + W^\top \Lambda^{-1} W, \quad r = 1 \iff A \text{ diagonal}",
    keys=("model", "x"),
    hints=(),
    instances=(
        scene(_plane([["1", "0.5"], ["0.25", "-1"]], ["0", "0.1"]), ["0.6", "0.8"], "0.3"),
        scene(_plane([["3", "-4"], ["4", "3"]], ["0", "0"]), ["1", "2"], "0.01"),
    ),
    prepare=nothing_to_find,
    prove=_diagonal_gap,
    sentence=lambda i, p: (
        f"For {describe_model(i)}, the best Gaussian of diagonal covariance has an ELBO "
        f"{p['gap']} nats below the log evidence; "
        + (
            "it is exactly zero, as A is diagonal."
            if p["ratio"] == 1
            else f"it is positive, half the logarithm of exactly {_of(p['ratio'])}."
        )
    ),
)


def _of(value: Any) -> str:
    return _exact.text(value)
