"""Check of 19f: how fast EM with the exact posterior converges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.lattice import lattice
from vaetheory.checking.strategies import Vector
from vaetheory.jets import Jet
from vaetheory.rounding import gamma
from vaetheory.scores import ParametricModel, em_rates

EXACT = ("exact steps", r"\theta_+ = \arg\max_{\theta'}\textstyle\sum_n\mathbb E_{p(z|x_n;\theta)}"
         r"[\log p(x_n, z; \theta')]")  # fmt: skip
STATIONARY = ("stationary", r"\nabla_\theta\textstyle\sum_n\log p(x_n; \theta_*) = 0")
_STEPS = 60


def _line(z: Any) -> Any:
    return [[z[..., :1]]]


def _lines(z: Any) -> Any:
    a = z[..., :1]
    return [[a, 0 * a], [0 * a, a]]


def _curve(z: Any) -> Any:
    a = z[..., :1]
    return [[a, 0 * a], [0 * a, a**2 - 1]]


def _bent(z: Any) -> Any:
    a = z[..., :1]
    return [[a, anp.tanh(a)], [0.5 * a, a**2 - 1]]


#: Families f = sum_k theta_k phi_k(z): of each output, its features.
FEATURES: dict[str, Callable[[Any], Any]] = {
    "line": _line,
    "lines": _lines,
    "curve": _curve,
    "bent": _bent,
}


@dataclass(frozen=True)
class Family:
    """The decoder sum_k theta_k phi_k(z), as a function of parameters and latents."""

    name: str

    def __call__(self, theta: Any, z: Any) -> Any:
        """Outputs of parameters `(..., p)` and latents `(..., 1)`."""
        rows = FEATURES[self.name](z)
        return anp.concatenate(
            [sum(theta[..., k : k + 1] * f for k, f in enumerate(row)) for row in rows], axis=-1
        )


@dataclass(frozen=True)
class EMScene:
    """A family that is linear in its parameters, a data set, the noise, and where EM starts."""

    name: str
    X: tuple[Vector, ...]
    noise: float
    start: Vector


@st.composite
def em_scenes(draw: DrawFn) -> EMScene:
    """Lines and curves with one or two outputs, and three or four data."""
    name = draw(st.sampled_from(("line", "lines", "curve", "bent")))
    outputs = 1 if name == "line" else 2
    X = draw(st.lists(strategies.vectors(outputs, -4, 4), min_size=3, max_size=4, unique=True))
    start = draw(st.tuples(*[strategies.nonzero_fractions(3, 2)] * (1 if name == "line" else 2)))
    return EMScene(name, tuple(X), draw(st.sampled_from((1.0, 0.5))), start)


def _features(name: str, z: Array) -> Array:
    """Features `(M, D, p)` at latents `(M, 1)`."""
    rows = FEATURES[name](z)
    return np.stack([np.concatenate(row, axis=-1) for row in rows], axis=-2)


def _solved(A: Any, b: Any) -> Any:
    """The solution of a system of one or two equations with series `(..., p, p)`, `(..., p)`."""
    if len(b) == 1:
        return [b[0] / A[0][0]]
    det = A[0][0] * A[1][1] - A[0][1] * A[1][0]
    return [
        (A[1][1] * b[0] - A[0][1] * b[1]) / det,
        (A[0][0] * b[1] - A[1][0] * b[0]) / det,
    ]


def _em(scene: EMScene, theta: Any, z: Array) -> tuple[Any, Any]:
    """EM's next parameters as a list, and the summed E[Phi^T Phi], by sums over the lattice.

    The parameters are a list of numbers or of series, each `(V,)`.
    """
    phi, X = _features(scene.name, z), np.array(scene.X)
    outputs = [
        sum(t[..., None] * phi[:, i, k] for k, t in enumerate(theta)) for i in range(X.shape[1])
    ]
    size = len(theta)
    A: Any = [[0.0] * size for _ in range(size)]
    b: Any = [0.0] * size
    for x in X:
        logs = sum(np.square(x[i] - f) for i, f in enumerate(outputs)) * (-0.5 / scene.noise**2)
        logs = logs - 0.5 * z[:, 0] ** 2
        values = logs.coefficients[0] if isinstance(logs, Jet) else logs
        weights = np.exp(logs - values.max(axis=-1, keepdims=True))
        total = weights.sum(axis=-1)
        for j in range(size):
            b[j] = b[j] + (weights * (phi[:, :, j] @ x)).sum(axis=-1) / total
            for k in range(size):
                square = np.einsum("mi,mi->m", phi[:, :, j], phi[:, :, k])
                A[j][k] = A[j][k] + (weights * square).sum(axis=-1) / total
    return _solved(A, b), A


class Found(NamedTuple):
    """A fixed point of EM, and the derivative of EM's map there, of one lattice.

    Attributes
    ----------
    theta : array (p,)
    slope : array (p, p)
    complete, by_prior : array (p, p)
        The complete information, and what it would be under the prior.
    off : float
        By how much the derivative may change between theta and the fixed point.
    """

    theta: Array
    slope: Array
    complete: Array
    by_prior: Array
    off: float


def _derivative(scene: EMScene, theta: Array, z: Array) -> tuple[Array, Array, float, Array]:
    """Next parameters, the derivative of EM's map, its own greatest slope, and E[Phi^T Phi]."""
    size = len(theta)
    unit = np.eye(size)
    series = [
        Jet(np.stack([np.full(size, theta[k]), unit[:, k], np.zeros(size)])) for k in range(size)
    ]
    moved, A = _em(scene, series, z)
    c = np.stack([m.coefficients for m in moved], axis=1)
    square = np.array([[a.coefficients[0, 0] for a in row] for row in A])
    return c[0, :, 0], c[1], float(2 * np.abs(c[2]).max()), square


def _fixed_point(scene: EMScene, offset: float) -> Found:
    z = lattice(np.array([-9.0]), np.array([9.0]), 1 / 24, offset)
    theta = np.array(scene.start)
    for _ in range(_STEPS):
        theta = np.stack(_em(scene, [t[None] for t in theta], z)[0], axis=-1)[0]
    for _ in range(6):
        # Newton's steps of the equation theta = EM(theta).
        moved, slope, _, _ = _derivative(scene, theta, z)
        theta = theta + np.linalg.solve(np.eye(len(theta)) - slope, moved - theta)
    moved, slope, bend, square = _derivative(scene, theta, z)
    phi = _features(scene.name, z)
    prior = np.exp(-0.5 * z[:, 0] ** 2)
    mean = np.einsum("m,mij,mik->jk", prior / prior.sum(), phi, phi)
    off = float(np.abs(moved - theta).sum()) * bend
    return Found(
        theta, slope, square / scene.noise**2, len(scene.X) * mean / scene.noise**2, off
    )  # fmt: skip


@once
def of_lattices(scenes: tuple[EMScene, ...]) -> list[tuple[Found, float]]:
    """Fixed points and derivatives, and how far two lattices differ in the latter."""
    found = []
    for scene in scenes:
        one, other = (_fixed_point(scene, k) for k in (0.0, 0.5))
        spread = np.abs(one.slope - other.slope).sum() + np.abs(one.theta - other.theta).sum()
        found.append((one, float(spread)))
    return found


@once
def of_library(scenes: tuple[EMScene, ...]) -> list[tuple[Array, float]]:
    """The library's rates at the same points, and their errors."""
    found = []
    for scene, (one, _) in zip(scenes, of_lattices(scenes), strict=True):
        family = likelihoods.Gaussian(scale=scene.noise)
        rates = em_rates(ParametricModel(Family(scene.name), family, one.theta, 1), scene.X)
        found.append((rates.value, rates.error))
    return found


def _size(scene: EMScene) -> int:
    return len(scene.start)


@together(alike=_size)
def missing(
    scenes: Sequence[EMScene], *, share: str = "missing / complete", by_prior: bool = False
) -> list[Comparison]:
    """Compare the library's rates with the eigenvalues of the derivative of EM's map."""
    comparisons = []
    for (point, spread), (own, error) in zip(
        of_lattices(tuple(scenes)), of_library(tuple(scenes)), strict=True
    ):
        matrix = point.slope
        if by_prior:
            matrix = np.linalg.solve(point.by_prior, point.complete @ matrix)
        rates = np.sort(np.linalg.eigvals(matrix).real)[::-1]
        if share == "observed / complete":
            rates = np.sort(1 - rates)[::-1]
        elif share == "missing / observed":
            rates = rates / (1 - rates)
        # In the coordinates of the complete information the derivative is symmetric.
        condition = np.sqrt(np.linalg.cond(point.complete))
        lost = gamma(2000) * condition * (1 + np.abs(point.slope).max())
        comparisons.append(
            Comparison.identity(
                own, rates, scale=1 + np.abs(own), library=error, lattice=condition * spread,
                stationarity=condition * point.off * len(own), rounding=lost,
            )
        )  # fmt: skip
    return comparisons


MISSING = Proposition(
    label="19f",
    title="The rate of EM with the exact posterior is the share of information that is missing",
    statement=(
        r"\frac{\partial\theta_+}{\partial\theta}\Big|_{\theta_*} = "
        r"I_{\mathrm{com}}^{-1}I_{\mathrm{mis}} = 1 - I_{\mathrm{com}}^{-1}I_{\mathrm{obs}}"
    ),
    hypotheses=(
        EXACT,
        STATIONARY,
        ("complete information", r"I_{\mathrm{com}} = \textstyle\sum_n\mathbb E_{p(z|x_n)}"
         r"[-\nabla_\theta^2\log p(x_n, z)] \succ 0"),
    ),
    kind="identity",
    instances=em_scenes(),
    check=missing,
    controls=wrong(
        missing,
        {
            "observed over complete information": {"share": "observed / complete"},
            "missing over observed information": {"share": "missing / observed"},
            "the complete information under the prior": {"by_prior": True},
        },
    ),
    uses=("19b",),
    examples=6,
)  # fmt: skip
