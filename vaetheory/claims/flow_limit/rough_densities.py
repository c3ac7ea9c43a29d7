"""Counterexamples 8a-jump, 8e-rough and 8e-onto: densities with a jump, a kink or an edge.

The first two drop the hypothesis that the density is smooth; the third, that the flow is onto R^d.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import log_ndtr, ndtr

from vaetheory import likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.rates import extrapolate, power_law
from vaetheory.claims.flow_limit.divergence import expm1_less_argument
from vaetheory.claims.flow_limit.scenes import GAUSSIAN, OWN_DATA
from vaetheory.decoders import Decoder
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_PEAK = float(np.exp(-0.5 * LOG_2PI))


@dataclass(frozen=True)
class Kinked(Decoder):
    """f(z) = left z below 0 and right z + bend z^2 / 2 above: bijective, not smooth at 0.

    Two slopes, as of a leaky rectifier, give the density a jump; a bend alone, as at the knots of
    a quadratic spline, gives it a kink.
    """

    left: float
    right: float
    bend: float

    def _parts(self, z: Array) -> tuple[NDArray[np.bool_], Array]:
        return z < 0, np.maximum(z, 0.0)

    def __call__(self, z: Array) -> Array:
        below, up = self._parts(z)
        return np.where(below, self.left * z, up * (self.right + self.bend * up / 2))

    def jacobian(self, z: Array) -> Array:
        below, up = self._parts(z)
        return np.where(below, self.left, self.right + self.bend * up)[..., None]

    def hessian(self, z: Array) -> Array:
        below, _ = self._parts(z)
        return np.where(below, 0.0, self.bend)[..., None, None]

    def log_density(self, x: Array) -> Array:
        """The change of variables, `(...) -> (...)`."""
        up = np.maximum(x, 0.0)
        root = np.sqrt(self.right**2 + 2 * self.bend * up)
        # (root - right) / bend without cancellation, also where the bend is zero.
        z = np.where(x < 0, x / self.left, 2 * up / (root + self.right))
        slope = np.where(x < 0, self.left, root)
        return -0.5 * (z**2 + LOG_2PI) - np.log(slope)

    @property
    def sides(self) -> tuple[float, float]:
        """The density just below and just above 0."""
        return _PEAK / self.left, _PEAK / self.right


@st.composite
def kinked(draw: DrawFn, *, jumps: tuple[bool, ...] = (True, False)) -> Kinked:
    """Densities that jump by a factor of 3/2 to 3, or have a kink."""
    if draw(st.sampled_from(jumps)):
        left, right = draw(st.permutations((1.0, draw(st.sampled_from((2.0, 1.5, 3.0))))))
        return Kinked(left, right, 0.0)
    return Kinked(1.0, 1.0, draw(st.sampled_from((1.0, 2.0, 0.5))))


def arithmetic_mean(f: Kinked) -> float:
    """The log of the mean of the density's two sides."""
    return float(np.log(np.mean(f.sides)))


def geometric_mean(f: Kinked) -> float:
    """The mean of the logs of the two sides."""
    return float(np.mean(np.log(f.sides)))


def side_above(f: Kinked) -> float:
    """The log of the density just above 0."""
    return float(np.log(f.sides[1]))


@once
def _evidences_at_the_jump(f: Kinked) -> tuple[Array, Array]:
    """Log p_sigma(0) for a ladder of sigma, and its errors."""
    evidences = [
        log_evidence(LatentModel(f, likelihoods.Gaussian(scale=float(s)), 1), np.zeros(1))
        for s in 0.25 / 2.0 ** np.arange(5)
    ]
    values = np.array([float(r.value) for r in evidences])
    return values, np.array([float(r.error) for r in evidences])


def limit_at_the_jump(
    f: Kinked, *, limit: Callable[[Kinked], float] = arithmetic_mean
) -> Comparison:
    """Check that log p_sigma(0) tends to the log of the mean of the density's two sides."""
    measured, left, noise = extrapolate(*_evidences_at_the_jump(f))
    return Comparison.identity(measured, limit(f), scale=1.0, expansion=left, numerics=noise)


JUMP = Proposition(
    label="8a-jump",
    title="Where the density jumps the limit is the mean of its two sides",
    statement=(
        r"f(z) = az\ (z < 0),\ bz\ (z > 0):\quad "
        r"p_\sigma(0) \to \tfrac12\big(p(0^-) + p(0^+)\big)"
    ),
    hypotheses=(GAUSSIAN, ("a jump", r"f' \text{ jumps, as of a leaky rectifier}")),
    kind="counterexample",
    instances=kinked(jumps=(True,)),
    check=limit_at_the_jump,
    controls=wrong(
        limit_at_the_jump,
        {
            "the geometric mean": {"limit": geometric_mean},
            "the side above": {"limit": side_above},
        },
    ),
    uses=("8a",),
    resolution=1e-2,
    examples=3,
)


# What the average costs -------------------------------------------------------------------------


def _panels(edges: Array, order: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on each panel, one after the other."""
    t, w = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[..., None] / 2
    nodes = edges[..., :-1, None] + half * (t + 1)
    return nodes.reshape(*edges.shape[:-1], -1), (half * w).reshape(*edges.shape[:-1], -1)


@once
def kinked_divergence(f: Kinked, sigma: float, order: int) -> float:
    """KL(p || p_sigma) by Gauss-Legendre panels that end at the kink, in units of sigma."""
    near = np.linspace(-12, 12, 25)
    # Farther out the density is smooth: panels that grow, to where the density vanishes.
    far = np.geomspace(12 * sigma, 45.0, 24)
    edges = np.concatenate([-far[:0:-1], sigma * near, far[1:]])
    x, weights = _panels(edges, order)
    kink = np.clip(-x / sigma, -9.0, 9.0)[:, None]
    spread = np.linspace(0, 1, 7)
    u, w = _panels(
        np.concatenate([-9 + (kink + 9) * spread, kink + (9 - kink) * spread[1:]], 1), order
    )
    start = f.log_density(x)
    rise = f.log_density(x[:, None] + sigma * u) - start[:, None]
    ratio = (np.expm1(rise) * np.exp(-(u**2) / 2) * w).sum(axis=-1) * _PEAK
    return float(weights @ (np.exp(start) * expm1_less_argument(np.log1p(ratio))))


def roughness(f: Kinked) -> tuple[float, float]:
    """Exponent and coefficient of KL(p || p_sigma): 1 for a jump, 3 for a kink.

    A jump costs the divergence of the step from its smoothed copy. A kink costs
    1/2 sigma^3 [p']^2 / p times the integral of psi^2, where psi(s) = phi(s) - |s| Phi(-|s|) is the
    change of a kink of size 1 by smoothing.
    """
    below, above = f.sides
    if f.left != f.right:

        def step(s: float, here: float, other: float) -> float:
            return here * -np.log1p((other / here - 1) * ndtr(-s))

        return 1.0, sum(
            quad(step, 0, 12, args=(here, other), epsabs=1e-13)[0]
            for here, other in ((below, above), (above, below))
        )
    jump = _PEAK * f.bend / f.left**3
    return 3.0, 0.5 * jump**2 / below * psi_square()


def psi_square() -> float:
    """Integral of psi^2: (2 - sqrt 2) / (3 sqrt pi)."""
    return float((2 - np.sqrt(2)) / (3 * np.sqrt(np.pi)))


def rough_divergence(
    f: Kinked, *, shift: float = 0.0, factor: float = 1.0, exponent: float | None = None
) -> Comparison:
    """Check that KL(p || p_sigma) is of order sigma at a jump and sigma^3 at a kink."""
    # The expansion has all powers of sigma, which are the even powers of its root.
    sigma = 0.02 / 4.0 ** np.arange(5)
    values = np.array([kinked_divergence(f, float(s), 12) for s in sigma])
    coarse = np.array([kinked_divergence(f, float(s), 9) for s in sigma])
    law, coefficient = roughness(f)
    law = law + shift if exponent is None else exponent
    return power_law(
        values,
        np.abs(values - coarse) + 1e-14 * np.abs(values),
        np.sqrt(sigma),
        exponent=2 * law,
        coefficient=factor * coefficient,
        rounding=1e-10 * coefficient,
    )


ROUGH_DENSITY = Proposition(
    label="8e-rough",
    title="A jump of the density costs order sigma, a kink sigma^3",
    statement=(
        r"\mathrm{KL}(p\,\|\,p_\sigma) \sim \sigma\int p_0\log\frac{p_0}{p_0 * \phi}"
        r"\ (\text{jump}),\qquad \sim \frac{\sigma^3}2\frac{[p']^2}{p}"
        r"\cdot\frac{2 - \sqrt2}{3\sqrt\pi}\ (\text{kink})"
    ),
    hypotheses=(
        GAUSSIAN,
        OWN_DATA,
        (
            "not smooth",
            r"f' \text{ or } f'' \text{ jumps: } (\Delta p/p)^2 \text{ has no integral}",
        ),
    ),
    kind="counterexample",
    instances=kinked(),
    check=rough_divergence,
    controls=wrong(
        rough_divergence,
        {
            "order sigma^4": {"exponent": 4.0},
            "one order higher": {"shift": 1.0},
            "half the coefficient": {"factor": 0.5},
        },
    ),
    uses=("8e",),
    figure="flow-limit",
    resolution=5e-2,
    examples=3,
)


# An image with an edge --------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """The flow f(z) = width Phi(z), a diffeomorphism onto (0, width): uniform data."""

    width: float


def intervals() -> st.SearchStrategy[Interval]:
    """Widths of 1/2 to 4."""
    return st.builds(Interval, st.sampled_from((1.0, 2.0, 0.5, 4.0)))


class _Uniform(Decoder):
    def __init__(self, width: float) -> None:
        self.width = width

    def __call__(self, z: Array) -> Array:
        return self.width * ndtr(z)

    def jacobian(self, z: Array) -> Array:
        return (self.width * _PEAK * np.exp(-(np.asarray(z) ** 2) / 2))[..., None]

    def hessian(self, z: Array) -> Array:
        return -np.asarray(z)[..., None, None] * self.jacobian(z)[..., None]


def edge_divergence(
    scene: Interval, *, exponent: float = 1.0, edges: int = 2, squared: bool = False
) -> Comparison:
    """Check that KL(p || p_sigma) is 2 sigma / width times the integral of -log Phi over s > 0.

    The density is constant, so that 8e would give 0; the loss at the edges is of order sigma.
    """
    sigma = scene.width / 64 / 4.0 ** np.arange(4)
    s, weights = _panels(np.linspace(0, 9, 10), 8)
    values, errors = [], []
    for scale in sigma:
        model = LatentModel(_Uniform(scene.width), likelihoods.Gaussian(scale=float(scale)), 1)
        exact = log_evidence(model, (scale * s)[:, None])
        # Both edges cost the same; the middle is too far from either to cost anything.
        share = 2 * scale / scene.width * weights
        values.append(float(share @ (-np.log(scene.width) - exact.value)))
        errors.append(float(share @ (exact.error + gamma(8) * np.abs(exact.value))))
    integral = quad(lambda t: -log_ndtr(t), 0, 12, epsabs=1e-13)[0]
    if squared:
        integral = quad(lambda t: log_ndtr(t) ** 2, 0, 12, epsabs=1e-13)[0]
    return power_law(
        np.array(values),
        np.array(errors),
        np.sqrt(sigma),
        exponent=2 * exponent,
        coefficient=edges * integral / scene.width,
        # The error of eight Gauss-Legendre nodes on each deviation.
        rounding=1e-10,
    )


IMAGE_WITH_AN_EDGE = Proposition(
    label="8e-onto",
    title="An image with an edge costs order sigma, however smooth the density",
    statement=(
        r"f = w\Phi,\ p = 1/w \text{ on } (0, w):\quad \mathrm{KL}(p\,\|\,p_\sigma)"
        r" \sim \frac{2\sigma}w\int_0^\infty -\log\Phi(s)\,ds,\quad \Delta p = 0"
    ),
    hypotheses=(GAUSSIAN, OWN_DATA, ("not onto", r"f(\mathbb R) = (0, w)")),
    kind="counterexample",
    instances=intervals(),
    check=edge_divergence,
    controls=wrong(
        edge_divergence,
        {
            "order sigma^4": {"exponent": 4.0},
            "one edge": {"edges": 1},
            "the square of the logarithm": {"squared": True},
        },
    ),
    uses=("8e",),
    resolution=5e-2,
    examples=2,
)
