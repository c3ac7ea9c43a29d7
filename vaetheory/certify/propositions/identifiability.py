"""21a and 21c: a turn that only an encoder sees, and environments that determine a latent."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix, Vector
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
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


def _rotation(entries: Vector, size: int) -> Matrix:
    """(I - K)^-1 (I + K), with K antisymmetric: Cayley's rational rotation."""
    skew = [[Fraction(0)] * size for _ in range(size)]
    upper = [(i, j) for i in range(size) for j in range(i + 1, size)]
    for (i, j), value in zip(upper, entries, strict=True):
        skew[i][j], skew[j][i] = value, -value
    unit = _exact.identity(size)
    minus = [[unit[i][j] - skew[i][j] for j in range(size)] for i in range(size)]
    plus = [[unit[i][j] + skew[i][j] for j in range(size)] for i in range(size)]
    return _exact.product(_exact.inverse(minus), plus)


def _gram(rows: Matrix) -> Matrix:
    return _exact.product(rows, _exact.transpose(rows))


def _diagonal_ratio(W: Matrix, variance: Fraction) -> Fraction:
    """prod_j A_jj / det A, A = I + W^T W / sigma^2."""
    scaled = tuple(tuple(v / variance for v in row) for row in _gram(_exact.transpose(W)))
    A = _exact.with_ridge(scaled, Fraction(1))
    ratio = 1 / _exact.determinant(A)
    for j in range(len(A)):
        ratio *= A[j][j]
    return ratio


def _turned(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    W = _exact.matrix("W", inputs["W"])
    variance = _exact.positive("variance", inputs["variance"])
    x = _exact.vector("x", inputs["x"], len(W))
    d = len(W[0])
    demand(d >= 2, "there are two latents at least")
    R = _rotation(_exact.vector("skew", inputs["skew"], d * (d - 1) // 2), d)
    demand(_exact.product(_exact.transpose(R), R) == _exact.identity(d), "R is a rotation")
    turned = _exact.product(W, R)
    # The evidence depends on W W^T alone; both are computed.
    covs = [_exact.with_ridge(_gram(M), variance) for M in (W, turned)]
    demand(covs[0] == covs[1], "both decoders have the same marginal covariance")
    solved = _exact.product(_exact.inverse(covs[1]), [[v] for v in x])
    square = _exact.dot(x, [row[0] for row in solved])
    det = _exact.determinant(covs[1])

    def log_evidence(F: Arithmetic, bits: int) -> Number:
        return -(F.log(F.exact(det)) + len(x) * F.log(2 * F.pi()) + F.exact(square)) / 2

    ratios = [_diagonal_ratio(M, variance) for M in (W, turned)]
    demand(min(ratios) >= 1, "a diagonal covariance gains nothing")
    demand(ratios[0] != ratios[1], "the two losses differ")
    losses = [
        work.enclose(lambda F, bits, r=r: F.log(F.exact(r)) / 2, _RADIUS)  # type: ignore[misc]
        for r in ratios
    ]
    demand(
        (ratios[0] < ratios[1] and losses[0].upper < losses[1].lower)
        or (ratios[0] > ratios[1] and losses[0].lower > losses[1].upper),
        "the enclosures say in which order",
    )
    return {
        "log_evidence": work.enclose(log_evidence, _RADIUS),
        "loss": losses[0],
        "loss_turned": losses[1],
        "ratio": ratios[0],
        "ratio_turned": ratios[1],
    }


TURNED = Certified(
    label="21a-diagonal",
    title="A rotation of the latents that no datum shows and a diagonal encoder sees",
    statement=r"f(z) = Wz,\ R \text{ a rotation}: \quad p_{f \circ R}(x) = p_f(x),\quad "
    r"\log p(x) - \max_{m, s}\mathrm{ELBO} = \tfrac12\log\frac{\prod_jA_{jj}}{\det A}"
    r" \ne \tfrac12\log\frac{\prod_j(R^\top AR)_{jj}}{\det A}",
    keys=("W", "variance", "x", "skew"),
    hints=(),
    instances=(
        {
            "W": [["2", "0"], ["0", "1"], ["0", "0"]],
            "variance": "0.25",
            "x": ["1", "-0.5", "0.2"],
            "skew": ["0.5"],
        },
        {
            "W": [["1", "0.5", "0"], ["0", "1", "0.25"], ["0.3", "0", "2"], ["0.1", "0.2", "0.3"]],
            "variance": "0.09",
            "x": ["0.6", "0.8", "-1", "2"],
            "skew": ["1/3", "-0.25", "0.2"],
        },
    ),
    prepare=nothing_to_find,
    prove=_turned,
    sentence=lambda i, p: (
        f"The linear decoder {list_texts(i['W'])} and the same after a rotation of its latents "
        f"have the log evidence {p['log_evidence']} at x = {list_texts(i['x'])}, with noise of "
        f"variance {i['variance']}; the best encoder of diagonal covariance loses {p['loss']} nats "
        f"with the one and {p['loss_turned']} nats with the other, half the logarithms of "
        f"{text_of(p, 'ratio')} and {text_of(p, 'ratio_turned')}."
    ),
)


def _distance(z: Vector, mean: Vector) -> Fraction:
    return sum(((a - b) ** 2 for a, b in zip(z, mean, strict=True)), Fraction(0))


def _normal(steps: Matrix) -> Vector:
    """A vector across d - 1 independent vectors of d entries, by determinants."""
    d = len(steps[0])
    minors = [
        _exact.determinant([[row[k] for k in range(d) if k != j] for row in steps])
        for j in range(d)
    ]
    return tuple((-1) ** j * minor for j, minor in enumerate(minors))


def _environments(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    M = _exact.matrix("M", inputs["M"])
    d = len(M)
    z = _exact.vector("z", inputs["z"], d)
    means = _exact.matrix("means", inputs["means"], d)
    demand(len(M[0]) == d and len(means) == d + 1, "d latents have d + 1 environments")
    demand(d >= 2, "there are two latents at least")
    # x = y + y^3 / 3 with y = M z; its volume is rational, and no environment changes it.
    y = [_exact.dot(row, z) for row in M]
    volume = abs(_exact.determinant(M))
    for v in y:
        volume *= 1 + v**2
    demand(volume > 0, "the decoder is an immersion")
    x = {f"x_{i}": v + v**3 / 3 for i, v in enumerate(y)}
    # Logs of ratios of densities are half the differences of squared distances.
    far = [_distance(z, mean) for mean in means]
    ratios = [(far[0] - v) / 2 for v in far[1:]]
    steps = tuple(tuple(a - b for a, b in zip(mean, means[0], strict=True)) for mean in means[1:])
    demand(_exact.determinant(steps) != 0, "the means are affinely independent")
    squares = [_exact.dot(mean, mean) for mean in means]
    heights = [[r + (s - squares[0]) / 2] for r, s in zip(ratios, squares[1:], strict=True)]
    found = _exact.product(_exact.inverse(steps), heights)
    demand(tuple(row[0] for row in found) == z, "the linear system has the latent as solution")
    # Without the last environment a mirror image has the same densities.
    across = _normal(steps[:-1])
    height = _exact.dot(across, [a - b for a, b in zip(z, means[0], strict=True)])
    share = 2 * height / _exact.dot(across, across)
    other = tuple(a - share * n for a, n in zip(z, across, strict=True))
    demand(other != z, "the mirror image is another latent")
    mirrored = [_distance(other, mean) for mean in means]
    demand(mirrored[:-1] == far[:-1], "it has the same densities in all environments but the last")
    demand(mirrored[-1] != far[-1], "and another one there")

    def log_density(F: Arithmetic, bits: int) -> Number:
        return -(F.exact(far[0]) + d * F.log(2 * F.pi())) / 2 - F.log(F.exact(volume))

    proved: dict[str, Proved] = {"log_density": work.enclose(log_density, _RADIUS), **x}
    proved |= {f"other_{i}": v for i, v in enumerate(other)}
    return proved | {"difference": (far[-1] - mirrored[-1]) / 2}


ENVIRONMENTS = Certified(
    label="21c",
    title="d + 1 environments determine a latent, and d do not",
    statement=r"x = f(z),\ f(z) = y + \tfrac13y^3,\ y = Mz,\ z|u \sim \mathcal N(\mu_u, I): \quad "
    r"(\mu_u - \mu_0)^\top z' = \log\frac{p(x|u)}{p(x|0)} + \tfrac12(\|\mu_u\|^2 - \|\mu_0\|^2)"
    r" \text{ for } u \le d \iff z' = z; \text{ for } u < d \text{ a mirror image is as good}",
    keys=("M", "z", "means"),
    hints=(),
    instances=(
        {
            "M": [["1", "0.5"], ["-0.25", "1"]],
            "z": ["0.7", "-1.2"],
            "means": [["0", "0"], ["1", "0.5"], ["-0.5", "2"]],
        },
        {
            "M": [["2", "0", "1"], ["0", "1", "0"], ["1/3", "0", "-1"]],
            "z": ["1", "2", "-0.1"],
            "means": [["1", "0", "0"], ["0", "1", "0"], ["0", "0", "1"], ["1", "1", "1.5"]],
        },
    ),
    prepare=nothing_to_find,
    prove=_environments,
    sentence=lambda i, p: (
        f"The datum {list_texts(_exact.texts(_numbered(p, 'x')))} of the decoder y + y^3 / 3, "
        f"y = {list_texts(i['M'])} z, whose log density in the first of the environments of means "
        f"{list_texts(i['means'])} is {p['log_density']}, has the one latent "
        f"{list_texts(i['z'])}, by the linear system of all ratios; without the last environment "
        f"{list_texts(_exact.texts(_numbered(p, 'other')))} has the same densities, and there the "
        f"logs differ by {text_of(p, 'difference')}."
    ),
)


def _numbered(proved: Mapping[str, Any], name: str) -> tuple[Fraction, ...]:
    """The results `name_0`, `name_1` and so on."""
    found: list[Fraction] = []
    while (key := f"{name}_{len(found)}") in proved:
        found.append(proved[key])
    return tuple(found)
