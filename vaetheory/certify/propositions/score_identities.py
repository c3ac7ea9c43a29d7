"""19d, 19e and 19f for linear models, in rational arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix, applied
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    list_texts,
    nothing_to_find,
    text_of,
)


def _combined(a: Matrix, b: Matrix, share: Fraction = Fraction(1)) -> Matrix:
    """A + share B."""
    return tuple(
        tuple(x + share * y for x, y in zip(row, other, strict=True))
        for row, other in zip(a, b, strict=True)
    )


def _positive(name: str, value: Any, size: int) -> Matrix:
    """A symmetric positive-definite matrix."""
    rows = _exact.matrix(name, value, size)
    minors = [_exact.determinant([row[:k] for row in rows[:k]]) for k in range(1, size + 1)]
    if len(rows) != size or rows != _exact.transpose(rows) or min(minors) <= 0:
        raise ValueError(f"{name}: expected a symmetric positive-definite matrix")
    return rows


def _model(inputs: Inputs) -> tuple[Matrix, Matrix]:
    """W and Lambda."""
    W = _exact.matrix("W", inputs["W"])
    return W, _positive("Lambda", inputs["Lambda"], len(W))


def _precision(W: Matrix, noise: Matrix) -> Matrix:
    """I + W^T Lambda^-1 W, the prior's information and the metric."""
    metric = _exact.product(_exact.transpose(W), _exact.product(_exact.inverse(noise), W))
    return _combined(_exact.identity(len(W[0])), metric)


def _conditioned(W: Matrix, noise: Matrix) -> tuple[Matrix, Matrix]:
    """Cov(z, x) Cov(x)^-1 and the error covariance of the best linear estimator."""
    turned = _exact.transpose(W)
    total = _combined(_exact.product(W, turned), noise)
    gain = _exact.product(turned, _exact.inverse(total))
    identity = _exact.identity(len(W[0]))
    return gain, _combined(identity, _exact.product(gain, W), Fraction(-1))


def _attained(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    W, noise = _model(inputs)
    lower = _exact.inverse(_precision(W, noise))
    _, upper = _conditioned(W, noise)
    demand(lower == upper, "van Trees' bound is the error of the best linear estimator")
    proved: dict[str, Proved] = {
        f"S_{i + 1}{j + 1}": lower[i][j] for i in range(len(lower)) for j in range(i + 1)
    }
    return proved | {"determinant": _exact.determinant(lower)}


ATTAINED = Certified(
    label="19d-linear",
    title="Van Trees' bound is attained by a linear decoder",
    statement=r"(I + W^\top\Lambda^{-1}W)^{-1} = I - W^\top(WW^\top + \Lambda)^{-1}W",
    keys=("W", "Lambda"),
    hints=(),
    instances=(
        {"W": [["2"], ["1"]], "Lambda": [["1", "0.5"], ["0.5", "2"]]},
        {
            "W": [["1", "0.5", "0"], ["0", "1", "-1"], ["0.25", "0", "3"], ["1", "1", "1"]],
            "Lambda": [
                ["0.01", "0", "0", "0"],
                ["0", "0.02", "0.01", "0"],
                ["0", "0.01", "0.02", "0"],
                ["0", "0", "0", "1"],
            ],
        },
    ),
    prepare=nothing_to_find,
    prove=_attained,
    sentence=lambda i, p: (
        f"For the linear decoder of weight {list_texts(i['W'])} with noise of covariance "
        f"{list_texts(i['Lambda'])} van Trees' lower bound of the mean posterior covariance is "
        f"this covariance itself, and the error of the best linear estimator; its determinant is "
        f"{text_of(p, 'determinant')}."
    ),
)


def _mixed(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    W, noise = _model(inputs)
    x = _exact.vector("x", inputs["x"], len(W))
    size = len(W[0])
    m, S = _exact.vector("m", inputs["m"], size), _positive("S", inputs["S"], size)
    rho = _exact.positive("step", inputs["step"])
    demand(rho <= 1, "the step is at most the whole way")
    A, old = _precision(W, noise), _exact.inverse(S)
    inner = _exact.product(_exact.transpose(W), _exact.inverse(noise))
    # E_q[grad U] = A m - W^T Lambda^-1 x: U is a parabola.
    slope = tuple(a - b for a, b in zip(applied(A, m), applied(inner, x), strict=True))
    precision = _combined(_scaled(old, 1 - rho), A, rho)
    moved = applied(_exact.inverse(precision), slope)
    mean = tuple(a - rho * b for a, b in zip(m, moved, strict=True))
    # The posterior by conditioning the joint Gaussian of z and x.
    gain, cov = _conditioned(W, noise)
    exact = _exact.inverse(cov)
    code = applied(gain, x)
    demand(
        precision == _combined(_scaled(old, 1 - rho), _scaled(exact, rho)),
        "the precisions are mixed",
    )
    pull = tuple(
        (1 - rho) * a + rho * b for a, b in zip(applied(old, m), applied(exact, code), strict=True)
    )
    demand(applied(precision, mean) == pull, "so are the products of precision and mean")
    if rho == 1:
        demand(mean == code and _exact.inverse(precision) == cov, "a whole step is the posterior")
    proved: dict[str, Proved] = {f"m_{k + 1}": v for k, v in enumerate(mean)}
    return proved | {"determinant": _exact.determinant(precision)}


def _scaled(a: Matrix, share: Fraction) -> Matrix:
    return tuple(tuple(share * v for v in row) for row in a)


MIXED = Certified(
    label="19e-linear",
    title="A step of the natural gradient mixes a Gaussian with the posterior",
    statement=r"S_+^{-1} = (1 - \rho)S^{-1} + \rho\,\mathbb E_q[A],\ m_+ = m - \rho S_+"
    r"\mathbb E_q[\nabla U]:\quad q_+ \propto q^{1-\rho}\,p(z|x)^\rho",
    keys=("W", "Lambda", "x", "m", "S", "step"),
    hints=(),
    instances=(
        {
            "W": [["2"], ["1"]],
            "Lambda": [["1", "0.5"], ["0.5", "2"]],
            "x": ["1", "-3"],
            "m": ["100"],
            "S": [["25"]],
            "step": "1",
        },
        {
            "W": [["1", "0.5"], ["0", "1"], ["0.25", "-1"]],
            "Lambda": [["0.1", "0", "0"], ["0", "0.1", "0"], ["0", "0", "0.1"]],
            "x": ["1", "2", "-1"],
            "m": ["-1", "4"],
            "S": [["1", "0.25"], ["0.25", "0.5"]],
            "step": "1/3",
        },
    ),
    prepare=nothing_to_find,
    prove=_mixed,
    sentence=lambda i, p: (
        f"For the weight {list_texts(i['W'])}, noise of covariance {list_texts(i['Lambda'])} and "
        f"the datum {list_texts(i['x'])}, a step of {i['step']} from the Gaussian of mean "
        f"{list_texts(i['m'])} and covariance {list_texts(i['S'])} leads to the geometric mixture "
        f"of it with the posterior in that share, whose precision has the determinant "
        f"{text_of(p, 'determinant')}" + (": the posterior itself." if i["step"] == "1" else ".")
    ),
)


def _slope(C: Matrix, W: Matrix, noise: Fraction, change: Matrix) -> tuple[Matrix, Matrix]:
    """EM's next W, and its derivative along a change of W, by the rules of products."""
    product, turn = _exact.product, _exact.transpose
    ridge = _scaled(_exact.identity(len(W[0])), noise)
    M = _combined(product(turn(W), W), ridge)
    inner = product(turn(W), product(C, W))
    inverse = _exact.inverse(M)
    K = _combined(ridge, product(inverse, inner))
    right = _exact.inverse(K)
    half = product(turn(W), change)
    dM = _combined(half, turn(half))
    half = product(turn(W), product(C, change))
    d_inner = _combined(half, turn(half))
    dK = product(inverse, _combined(d_inner, product(dM, product(inverse, inner)), Fraction(-1)))
    new = product(C, product(W, right))
    along = _combined(
        product(C, product(change, right)), product(new, product(dK, right)), Fraction(-1)
    )
    return new, along


def _spectrum(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    lengths = _exact.positives("lengths", inputs["lengths"])
    rest = _exact.vector("rest", inputs["rest"])
    noise = _exact.positive("variance", inputs["variance"])
    demand(min(rest) >= 0, "the other eigenvalues are not negative")
    d, size = len(lengths), len(lengths) + len(rest)
    lam = [w**2 + noise for w in lengths] + list(rest)
    demand(max(rest) <= min(lam[:d]), "the columns have the leading axes")

    def entry(places: Mapping[tuple[int, int], Fraction], columns: int) -> Matrix:
        return tuple(
            tuple(places.get((i, j), Fraction(0)) for j in range(columns)) for i in range(size)
        )

    C = entry({(i, i): v for i, v in enumerate(lam)}, size)
    W = entry({(j, j): w for j, w in enumerate(lengths)}, d)
    rates: list[Fraction] = []
    still = 0

    def check(places: Mapping[tuple[int, int], Fraction], rate: Fraction, what: str) -> None:
        change = entry(places, d)
        new, along = _slope(C, W, noise, change)
        demand(new == W, "W is a fixed point of EM")
        demand(along == _scaled(change, rate), f"{what}: an eigenvector of EM's derivative")

    one = Fraction(1)
    for j in range(d):
        for k in range(d, size):
            rates.append(lam[k] / lam[j])
            check({(k, j): one}, rates[-1], "another axis")
        for k in range(j, d):
            rates.append(one - noise * (lam[j] + lam[k] - 2 * noise) / (lam[j] * lam[k]))
            # Two columns: each takes of the other's axis; with j = k the column's own length.
            check({(j, k): lengths[k], (k, j): lengths[j]}, rates[-1], "two columns")
            if j < k:
                check({(j, k): lengths[j], (k, j): -lengths[k]}, one, "a rotation of the latents")
                still += 1
    # These D d changes are orthogonal to each other: there are no other rates.
    demand(len(rates) + still == size * d, "all directions have been tried")
    return {"rates": len(rates), "still": still, "slowest": max(rates), "fastest": min(rates)}


SPECTRUM = Certified(
    label="19f-spectrum",
    title="All rates of EM for a probabilistic PCA",
    statement=r"\lambda_j = w_j^2 + \sigma^2\ (j \le d):\quad "
    r"\operatorname{spec}\frac{\partial W_+}{\partial W} = \Big\{\frac{\lambda_k}{\lambda_j}\Big\}"
    r"\cup\Big\{1 - \sigma^2\,\frac{\lambda_j + \lambda_k - 2\sigma^2}{\lambda_j\lambda_k}\Big\}"
    r"\cup\{1\}",
    keys=("lengths", "rest", "variance"),
    hints=(),
    instances=(
        {"lengths": ["1.5"], "rest": ["0"], "variance": "0.75"},
        {"lengths": ["2", "1.5", "0.5"], "rest": ["1", "0.25"], "variance": "1"},
    ),
    prepare=nothing_to_find,
    prove=_spectrum,
    sentence=lambda i, p: (
        f"Of a probabilistic PCA whose columns have the lengths {list_texts(i['lengths'])}, with "
        f"noise of variance {i['variance']} and the other eigenvalues {list_texts(i['rest'])}, EM "
        f"has {p['rates']} rates from {text_of(p, 'fastest')} to {text_of(p, 'slowest')}, and "
        f"{p['still']} directions in which it stands still."
    ),
)
