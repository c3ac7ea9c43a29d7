"""Counterexamples of claim 8: jumps and kinks of the density, an image with an edge, closed curves.

Each drops one hypothesis: that the density is smooth, that the flow is onto R^d, that a datum has
one preimage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import log_ndtr, ndtr

from vaetheory import decoders, flows, likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import extrapolate, power_law
from vaetheory.claims.flow_limit.divergence import expm1_less_argument
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
        # The root less `right` over `bend`, without cancellation and for no bend.
        z = np.where(x < 0, x / self.left, 2 * up / (root + self.right))
        slope = np.where(x < 0, self.left, root)
        return -0.5 * (z**2 + LOG_2PI) - np.log(slope)

    @property
    def sides(self) -> tuple[float, float]:
        """The density just below and just above 0."""
        return _PEAK / self.left, _PEAK / self.right


@st.composite
def kinked(draw: DrawFn, *, jumps: tuple[bool, ...] = (True, False)) -> Kinked:
    """A jump by a factor of 3/2 to 3, or a kink."""
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


def limit_at_the_jump(
    f: Kinked, *, limit: Callable[[Kinked], float] = arithmetic_mean
) -> Comparison:
    """Log p_sigma(0), where the density jumps, tends to the log of the mean of its two sides."""
    sigma = 0.25 / 2.0 ** np.arange(5)
    found = [
        log_evidence(LatentModel(f, likelihoods.Gaussian(scale=float(s)), 1), np.zeros(1))
        for s in sigma
    ]
    values = np.array([float(r.value) for r in found])
    errors = np.array([float(r.error) for r in found])
    measured, left, noise = extrapolate(values, errors)
    return Comparison.identity(measured, limit(f), scale=1.0, expansion=left, numerics=noise)


# What the average costs -------------------------------------------------------------------------


def _panels(edges: Array, order: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on each panel, one after the other."""
    t, w = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[..., None] / 2
    nodes = edges[..., :-1, None] + half * (t + 1)
    return nodes.reshape(*edges.shape[:-1], -1), (half * w).reshape(*edges.shape[:-1], -1)


def kinked_divergence(f: Kinked, sigma: float, order: int) -> float:
    """KL(p || p_sigma) by Gauss-Legendre panels that end at the kink, in the units of sigma."""
    near = np.linspace(-12, 12, 25)
    # Farther out the density is smooth: panels that grow, to where nothing is left.
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
    1/2 sigma^3 [p']^2 / p times the integral of psi^2, psi(s) = phi(s) - |s| Phi(-|s|), which is
    that of a kink of 1 after smoothing.
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
    """KL(p || p_sigma) is of order sigma at a jump and sigma^3 at a kink, not sigma^4."""
    # The expansion has all powers of sigma: even ones of its root.
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
    """KL(p || p_sigma) = 2 sigma / width times the integral of -log Phi over s > 0.

    The density is constant, so that 8e would give 0: what leaks over the edges is of order sigma.
    """
    sigma = scene.width / 64 / 4.0 ** np.arange(4)
    s, weights = _panels(np.linspace(0, 9, 10), 8)
    values, errors = [], []
    for scale in sigma:
        model = LatentModel(_Uniform(scene.width), likelihoods.Gaussian(scale=float(scale)), 1)
        exact = log_evidence(model, (scale * s)[:, None])
        # Both edges alike; the middle is too far from either to be seen.
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
        # Of eight Gauss-Legendre nodes on each deviation.
        rounding=1e-10,
    )


# A datum with many preimages --------------------------------------------------------------------


@dataclass(frozen=True)
class Turn:
    """The circle of radius 1 and a latent: z and z + 2 pi k are one datum."""

    z: float


@st.composite
def turns(draw: DrawFn) -> Turn:
    """Latents that have a second preimage of some weight."""
    z = draw(strategies.fractions(4, 12, 4))
    assume(all_preimages(z) - one_preimage(z) > 1e-6)
    return Turn(z)


def one_preimage(z: float) -> float:
    """The change of variables at one preimage; the circle has unit speed."""
    return -0.5 * (z**2 + LOG_2PI)


def all_preimages(z: float) -> float:
    """The log of the sum of the prior over all preimages."""
    return float(np.logaddexp.reduce([one_preimage(z + 2 * np.pi * k) for k in range(-8, 9)]))


def one_preimage_twice(z: float) -> float:
    """Twice the density at the one."""
    return one_preimage(z) + float(np.log(2))


def closed_curve(scene: Turn, *, limit: Callable[[float], float] = all_preimages) -> Comparison:
    """Log p_sigma + 1/2 log(2 pi sigma^2) on the circle tends to the sum over all preimages."""
    circle = flows.Immersion(decoders.Circle(1.0), 1)
    z = np.array([scene.z])
    sigma = 0.2 / 2.0 ** np.arange(5)
    found = flows.smoothed_log_density(circle, circle.forward(z), sigma, latent=z)
    values = found.value + 0.5 * (LOG_2PI + 2 * np.log(sigma))
    measured, left, noise = extrapolate(values, found.error)
    return Comparison.identity(measured, limit(scene.z), scale=1.0, expansion=left, numerics=noise)
