"""Checks of 19f: how fast EM with the exact posterior converges, and when it leaves collapse."""

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
from vaetheory.scores import ParametricModel, em_rates, ppca_em_rates

EXACT = ("exact steps", r"\theta_+ = \arg\max_{\theta'}\textstyle\sum_n\mathbb E_{p(z|x_n;\theta)}"
         r"[\log p(x_n, z; \theta')]")  # fmt: skip
STATIONARY = ("stationary", r"\nabla_\theta\textstyle\sum_n\log p(x_n; \theta_*) = 0")
PPCA = ("probabilistic PCA", r"f(z) = Wz,\ p(x|z) = \mathcal N(f(z), \sigma^2 I),\ "
        r"\sigma^2 \text{ known},\ \lambda_j = \lambda_j(\tfrac1N\sum_n x_nx_n^\top)")  # fmt: skip
_STEPS = 60
#: Outputs of the families of one column at zero.
_FEW = 3


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
    title="EM with the exact posterior converges as fast as information is missing",
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


@dataclass(frozen=True)
class PCAScene:
    """Eigenvalues of the data's covariance, the noise, the columns' turn, and the data's axes."""

    eigenvalues: Vector
    variance: float
    angles: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def dim(self) -> int:
        """The number of columns."""
        return len(self.angles) + 1

    @property
    def covariance(self) -> Array:
        """The covariance of the data."""
        turn = strategies.rotation(self.axes, len(self.eigenvalues))
        return (turn * np.array(self.eigenvalues)) @ turn.T

    @property
    def best(self) -> Array:
        """W at the maximum, with turned columns."""
        lengths = np.sqrt(np.array(self.eigenvalues[: self.dim]) - self.variance)
        turn = strategies.rotation(self.axes, len(self.eigenvalues))
        columns = turn[:, : self.dim] * lengths
        return np.asarray(columns @ strategies.rotation(self.angles, self.dim).T)


@st.composite
def pca_scenes(draw: DrawFn) -> PCAScene:
    """Up to eight columns of up to ten outputs; little and much noise, all units active."""
    dim = draw(st.sampled_from((1, 2, 2, 3, 4, 8)))
    size = dim + draw(st.integers(0, 2))
    values = draw(st.tuples(*[st.sampled_from((1.0, 2.0, 3.0, 4.0, 1.5, 8.0, 0.5))] * size))
    lam = tuple(sorted(values, reverse=True))
    variance = lam[dim - 1] * draw(st.sampled_from((0.5, 0.25, 0.75, 0.0625)))
    return PCAScene(lam, variance, draw(strategies.angles(dim)), draw(strategies.angles(size)))


def em_slope(covariance: Array, W: Array, variance: float) -> Array:
    """Derivative `(D d, D d)` of EM's map for W at W `(D, d)`, by complex steps."""
    D, d = W.shape
    step = 1e-30
    moved = W + 1j * step * np.eye(D * d).reshape(D * d, D, d)
    turned = np.swapaxes(moved, -1, -2)
    unit = variance * np.eye(d)
    M = turned @ moved + unit
    # W_+ = C W (sigma^2 + M^-1 W^T C W)^-1, with C the covariance of the data.
    right = unit + np.linalg.solve(M, turned @ covariance @ moved)
    new = np.swapaxes(
        np.linalg.solve(np.swapaxes(right, -1, -2), np.swapaxes(covariance @ moved, -1, -2)), -1, -2
    )
    slope: Array = (new.imag / step).reshape(D * d, D * d).T
    return slope


@once
def slopes(scenes: tuple[PCAScene, ...]) -> Array:
    """Derivatives of EM's map at the maxima, `(I, D d, D d)`."""
    return np.array([em_slope(s.covariance, s.best, s.variance) for s in scenes])


def spectrum(lam: Array, d: int, s: float, *, excess: float, turns: float, power: float) -> Array:
    """The rates of 19f-spectrum, written out pair by pair, in descending order."""
    rates = [(lam[k] / lam[j]) ** power for j in range(d) for k in range(d, len(lam))]
    for j in range(d):
        for k in range(j, d):
            rates.append(1 - s * (lam[j] + lam[k] - excess * s) / (lam[j] * lam[k]))
            rates += [turns] * (j < k)
    return np.sort(rates)[::-1]


def _shape(scene: PCAScene) -> tuple[int, int]:
    return len(scene.eigenvalues), scene.dim


@together(alike=_shape)
def all_rates(
    scenes: Sequence[PCAScene], *, excess: float = 2.0, turns: float = 1.0, power: float = 1.0
) -> list[Comparison]:
    """Compare closed rates, and the library's, with the eigenvalues of complex steps."""
    matrix = slopes(tuple(scenes))
    turned = np.swapaxes(matrix, -1, -2)
    found = np.linalg.eigvalsh((matrix + turned) / 2)[:, ::-1]
    lam, s = np.array([c.eigenvalues for c in scenes]), np.array([c.variance for c in scenes])
    d = scenes[0].dim
    told = np.array([
        spectrum(values, d, noise, excess=excess, turns=turns, power=power)
        for values, noise in zip(lam, s, strict=True)
    ])  # fmt: skip
    own = np.array([
        ppca_em_rates(values, d, variance=noise) for values, noise in zip(lam, s, strict=True)
    ])  # fmt: skip
    lost = (gamma(400 * lam.shape[1]) * (lam[:, 0] / s) ** 2)[:, None]
    each = (
        Comparison.identities(found, told, scale=1.0, rounding=lost),
        Comparison.identities(found, own, scale=1.0, rounding=lost),
        # At the maximum the complete information is a multiple of I: the derivative is symmetric.
        Comparison.identities(matrix, turned, scale=1.0, rounding=lost[..., None]),
    )
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


SPECTRUM = Proposition(
    label="19f-spectrum",
    title="All rates of EM for probabilistic PCA: rotations stand still, little noise is slow",
    statement=(
        r"\operatorname{spec}\frac{\partial W_+}{\partial W} = \Big\{\frac{\lambda_k}{\lambda_j}"
        r"\Big\}_{j \le d < k} \cup \Big\{1 - \sigma^2\,\frac{\lambda_j + \lambda_k - 2\sigma^2}"
        r"{\lambda_j\lambda_k}\Big\}_{j \le k \le d} \cup \{1\}_{j < k \le d}"
    ),
    hypotheses=(
        PPCA,
        EXACT,
        ("at the maximum", r"W = U_d(\Lambda_d - \sigma^2)^{1/2}R,\ \lambda_d > \sigma^2"),
    ),
    kind="identity",
    instances=pca_scenes(),
    check=all_rates,
    controls=wrong(
        all_rates,
        {
            "the noise taken off once only": {"excess": 1.0},
            "rotations of the latents converge as well": {"turns": 0.0},
            "power iteration with the square of the eigenvalues": {"power": 2.0},
        },
    ),
    uses=("19f", "12b"),
    figure="score-identities",
    examples=30,
)


@dataclass(frozen=True)
class CollapsedScene:
    """Eigenvalues of the data's covariance, the noise, and the number of columns, all zero."""

    eigenvalues: Vector
    variance: float
    dim: int


@st.composite
def collapsed_scenes(draw: DrawFn) -> CollapsedScene:
    """Noise above and below the greatest eigenvalue, and equal to it."""
    size = draw(st.sampled_from((1, 2, 2, 3, 8)))
    lam = draw(st.tuples(*[st.sampled_from((1.0, 2.0, 4.0, 0.5))] * size))
    variance = draw(st.sampled_from((1.0, 2.0, 3.0, 0.5, 5.0)))
    return CollapsedScene(tuple(sorted(lam, reverse=True)), variance, draw(st.integers(1, size)))


@once
def of_collapsed(scenes: tuple[CollapsedScene, ...]) -> list[tuple[Array, Array, float]]:
    """Rates at W = 0 by complex steps; and the library's with one column, with its error."""
    found = []
    for s in scenes:
        lam = np.array(s.eigenvalues)
        slope = em_slope(np.diag(lam), np.zeros((len(lam), s.dim)), s.variance)
        lower = lam[:_FEW]
        # Data on the axes, of either sign, have this covariance.
        axes = np.diag(np.sqrt(len(lower) * lower))
        family = ParametricModel(
            _times, likelihoods.Gaussian(scale=np.sqrt(s.variance)), 0 * lower, 1
        )
        own = em_rates(family, np.concatenate([axes, -axes]))
        found.append((np.sort(np.linalg.eigvals(slope).real)[::-1], own.value, own.error))
    return found


def _times(theta: Any, z: Any) -> Any:
    return theta * z


@together
def collapsed(scenes: Sequence[CollapsedScene], *, law: str = "ratio") -> list[Comparison]:
    """Compare the rates at W = 0 with lam / sigma^2."""
    comparisons = []
    for s, (found, own, error) in zip(scenes, of_collapsed(tuple(scenes)), strict=True):
        lam = np.array(s.eigenvalues)
        ratio = {
            "ratio": lam / s.variance,
            "share": lam / (lam + s.variance),
            "excess": 1 - s.variance / lam,
            "root": np.sqrt(lam / s.variance),
        }[law]
        size = 1 + lam[0] / s.variance
        lost = gamma(400 * len(lam)) * size
        comparisons.append(
            Comparison.all_of(
                Comparison.identity(found, np.repeat(ratio, s.dim), scale=size, rounding=lost),
                Comparison.identity(own, ratio[:_FEW], scale=size, library=error, rounding=lost),
            )
        )
    return comparisons


COLLAPSED = Proposition(
    label="19f-collapse",
    title="EM leaves a collapsed model if and only if the noise is below the greatest eigenvalue",
    statement=(
        r"W = 0:\quad \operatorname{spec}\frac{\partial W_+}{\partial W} = "
        r"\Big\{\frac{\lambda_j}{\sigma^2}\Big\} \text{ ($d$ times each)},\quad "
        r"\text{all below } 1 \iff \sigma^2 > \lambda_1"
    ),
    hypotheses=(PPCA, EXACT),
    kind="identity",
    instances=collapsed_scenes(),
    check=collapsed,
    controls=wrong(
        collapsed,
        {
            "lam / (lam + sigma^2)": {"law": "share"},
            "1 - sigma^2 / lam": {"law": "excess"},
            "the root": {"law": "root"},
        },
    ),
    uses=("19f", "13a"),
    examples=8,
)
