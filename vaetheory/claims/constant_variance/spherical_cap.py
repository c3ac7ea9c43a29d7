"""Checks of 5f on a cap of the unit sphere: a bound from below that is attained, and a tear.

Let psi map the cap to the plane and let its law be the uniform one. In the coordinates where the
mean metric is I the penalty is E[q(s1) + q(s2)], with s the singular values of Dpsi and
q(s) = (s^-2 - 1) / 2 + log s. On the circle at distance r from the pole let l be the stretch along
it and a = s1 s2 / l. Then

- q(s1) + q(s2) >= q(l) + q(a), since the stretch across the circle is at least a;
- its image encloses the area A with A'(r) = 2 pi sin r <l a>, and the isoperimetric inequality and
  Jensen's give sin(r)^2 <l^2> >= A / pi, <.> the mean over the circle.

So for any p >= 0 that falls to p(R) = 0, with c = -p' sin(r) / 2, the integral of <c l^2 - p l a>
against sin r is not negative, and

    penalty >= E[ min over l <= L and a of q(l) + q(a) + p l a - c l^2 ]

for every psi that stretches no direction more than L. A radial map attains it. Without L nothing
holds: slivers that are torn wide open cost the logarithm of their stretch times their area.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import minimize, nnls

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import power_law
from vaetheory.checking.strategies import Vector
from vaetheory.claims.constant_variance.flat_coordinates import (
    Distorted,
    Least,
    Patch,
    least_penalty,
    penalty,
    reparametrised,
)
from vaetheory.constant_variance import constant_variance_penalty, log1pmx
from vaetheory.decoders import Decoder
from vaetheory.rounding import gamma

_ORDER = 24
_TERMS = 7


def _q(stretch: Array) -> Array:
    return -0.5 * log1pmx(stretch**-2.0 - 1)


def _rule(angle: float, order: int) -> tuple[Array, Array]:
    """Distances from the pole and weights of the uniform law on the cap; weights sum to 1."""
    x, w = np.polynomial.legendre.leggauss(order)
    r = (x + 1) / 2 * angle
    weights = w * np.sin(r)
    return r, weights / weights.sum()


@dataclass(frozen=True)
class Radial:
    """The best radial map of a cap: its penalty and its stretches at the nodes of the rule."""

    value: float
    along: Array
    across: Array


@lru_cache(maxsize=64)
def radial_map(angle: float) -> Radial:
    """Least penalty of a map r -> rho(r), an odd polynomial of degree 13, nats."""
    r, weights = _rule(angle, _ORDER)
    powers = 2 * np.arange(_TERMS) + 1
    along = (r[:, None] / angle) ** powers * angle / np.sin(r)[:, None]
    across = powers * (r[:, None] / angle) ** (powers - 1)

    def objective(c: Array) -> tuple[float, Array]:
        u, v = along @ c, across @ c
        if min(u.min(), v.min()) <= 0:
            return 1e3, np.zeros_like(c)
        slope = (weights * (1 / u - u**-3.0)) @ along + (weights * (1 / v - v**-3.0)) @ across
        return float(weights @ (_q(u) + _q(v))), slope

    start = np.eye(_TERMS)[0]
    found = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-12})
    return Radial(float(found.fun), along @ found.x, across @ found.x)


@lru_cache(maxsize=64)
def dual_bound(angle: float, stretch: float) -> tuple[float, float]:
    """The bound from below for maps that stretch at most `stretch`, nats, and its error.

    The multiplier p is a sum of powers of R^2 - r^2 whose coefficients have one sign, fitted to the
    best radial map; any such p gives a bound. The error is an estimate: two rules over r, and
    rounding.
    """
    r, _ = _rule(angle, _ORDER)
    best = radial_map(angle)
    wanted = -(1 / best.across - best.across**-3.0) / best.along
    columns = np.arange(1, 5)
    b, _ = nnls((1 - (r[:, None] / angle) ** 2) ** columns, wanted)

    def bound(order: int) -> float:
        r, weights = _rule(angle, order)
        u = 1 - (r / angle) ** 2
        p = u[:, None] ** columns @ b
        # -p', which is not negative: all coefficients and powers are not.
        slope = 2 * r / angle**2 * (u[:, None] ** (columns - 1) @ (columns * b))
        return float(weights @ _least(p, slope * np.sin(r) / 2, stretch))

    value = bound(_ORDER)
    return value, abs(value - bound(_ORDER + 8)) + gamma(1000) * (1 + value)


def _least(p: Array, c: Array, stretch: float) -> Array:
    """Least q(l) + q(a) + p l a - c l^2 over 0 < l <= stretch and a > 0, for each p, c >= 0."""

    def best_across(along: Array) -> Array:
        # a^2 + p l a^3 = 1: the left side rises and is convex, so Newton's steps from 1 fall.
        a, k = np.ones_like(along), p[:, None] * along
        for _ in range(40):
            a = a - (a**2 + k * a**3 - 1) / (2 * a + 3 * k * a**2)
        return a

    def height(along: Array) -> Array:
        across = best_across(along)
        linear = p[:, None] * along * across - c[:, None] * along**2
        return _q(along) + _q(across) + linear

    def slope(along: Array) -> Array:
        linear = p[:, None] * best_across(along) - 2 * c[:, None] * along
        return 1 / along - along**-3.0 + linear

    # Below 0.3 the height falls with l, for p and c below 1.
    grid = np.broadcast_to(np.geomspace(0.3, stretch, 400), (len(p), 400))
    heights = height(grid)
    at = heights.argmin(axis=-1)
    rows = np.arange(len(p))
    low, high = grid[rows, np.maximum(at - 1, 0)], grid[rows, np.minimum(at + 1, 399)]
    for _ in range(60):
        middle = (low + high) / 2
        falling = slope(middle[:, None])[:, 0] < 0
        low, high = np.where(falling, middle, low), np.where(falling, high, middle)
    deepest = np.minimum(height(low[:, None])[:, 0], heights[rows, at])
    # What a cell may hide between its ends: its second derivative is at most 3 / l^4.
    steps = np.diff(grid, axis=-1)
    hidden = np.minimum(heights[:, 1:], heights[:, :-1]) - 0.375 * steps**2 / grid[:, :-1] ** 4
    # Up to where it is surely convex the stationary point found is the least.
    right = grid[:, 1:]
    convex = 3 / right**4 - 1 / right**2 > p[:, None] ** 2 / 2 + 2 * c[:, None]
    inside = convex & convex[rows, np.minimum(at, 398)][:, None]
    return np.minimum(deepest, np.where(inside, np.inf, hidden).min(axis=-1))


# The bound --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cap:
    """A cap by its angle, the greatest stretch allowed, and coordinates on it, distorted."""

    angle: float
    stretch: float
    bends: Vector

    def patch(self, decoder: Decoder, order: int) -> Patch:
        """The uniform law on the cap, in its stereographic coordinates."""
        r, weights = _rule(self.angle, order)
        count = 3 * order
        turn = 2 * np.pi * np.arange(count) / count
        ring = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        nodes = 2 * np.tan(r / 2)[:, None, None] * ring
        return Patch.of(decoder, nodes.reshape(-1, 2), np.repeat(weights, count))


def caps() -> st.SearchStrategy[Cap]:
    """Caps of up to one radian."""
    kinds = st.sampled_from(((1.0, 2.5), (0.75, 3.0), (0.5, 4.0)))
    bend = strategies.fractions(-1, 1, 4)
    return st.builds(lambda k, b: Cap(k[0], k[1], b), kinds, st.tuples(bend, bend, bend))


CAP_DEGREES = (1, 3, 5, 7)


def least_over_degrees(
    cap: Cap, decoder: Decoder, degrees: tuple[int, ...] = CAP_DEGREES
) -> tuple[list[Least], Patch]:
    """The least penalty of the cap over polynomials of each degree, and its coarser patch."""
    coarse, fine = cap.patch(decoder, 10), cap.patch(decoder, 14)
    return [least_penalty(coarse, fine, degree) for degree in degrees], coarse


def _greatest_stretch(patch: Patch, slopes: Array) -> float:
    """The greatest stretch of a map, in the coordinates where the mean metric is I."""
    M = reparametrised(patch.metric, slopes)
    mean = np.tensordot(patch.weights, M, axes=1)
    white = np.linalg.inv(np.linalg.cholesky(mean))
    return float(np.linalg.eigvalsh(white @ M @ white.T)[:, 0].min() ** -0.5)


def cap_keeps_a_penalty(
    cap: Cap,
    *,
    surface: Callable[[], Decoder] = lambda: decoders.SpherePatch(1.0),
    factor: float = 1.0,
) -> Comparison:
    """Penalties of a cap, optimised and not, against the bound from below; the best attain it."""
    decoder = surface()
    found, patch = least_over_degrees(cap, decoder)
    bound, error = dual_bound(cap.angle, cap.stretch)
    bound *= factor
    parts = [
        Comparison.at_most(bound, one.value, scale=bound, rule=one.rule, dual=error)
        for one in found
    ]
    parts += [
        Comparison.at_most(b.value, a.value, scale=bound, optimiser=b.slack)
        for a, b in itertools.pairwise(found)
    ]
    # The values fall geometrically: what is left is less than the last difference.
    parts.append(
        Comparison.identity(
            found[-1].value,
            bound,
            scale=bound,
            tail=found[-2].value - found[-1].value,
            multiplier=radial_map(cap.angle).value - bound / factor,
            optimiser=found[-1].error,
            dual=error,
        )
    )
    # Any other coordinates, too.
    slopes = Distorted(decoder, cap.bends).slopes(patch.nodes)
    value, rounding = penalty(patch, slopes)
    stretches = [_greatest_stretch(patch, s) for s in (slopes, *(one.slopes for one in found))]
    parts.append(Comparison.at_most(bound, value, scale=bound, rounding=rounding, dual=error))
    parts.append(Comparison.at_most(stretches, cap.stretch, scale=1.0, rounding=gamma(1000)))
    return Comparison.all_of(*parts)


def plane() -> Decoder:
    """A plane in place of the sphere."""
    return decoders.Affine([[1.0, 0.0], [0.0, 1.0]])


def cylinder() -> Decoder:
    """A cylinder in place of the sphere."""
    return decoders.Cylinder(1.0)


@dataclass(frozen=True)
class SmallCaps:
    """Caps of angles R, R / 2, R / 4, ..."""

    angle: float


def small_caps() -> st.SearchStrategy[SmallCaps]:
    """From 3/4 downwards."""
    return st.builds(SmallCaps, st.sampled_from((0.75, 0.5, 0.625)))


def small_cap_rate(
    scene: SmallCaps, *, coefficient: float = 1 / 192, exponent: float = 4.0
) -> Comparison:
    """The bound of small caps: R^4 / 192 of the angle, on a ladder."""
    scales = scene.angle / 2.0 ** np.arange(4)
    lower = [dual_bound(float(R), 2.5) for R in scales]
    values = np.array([v for v, _ in lower])
    upper = np.array([radial_map(float(R)).value for R in scales])
    errors = np.array([e for _, e in lower]) + np.abs(upper - values)
    return power_law(values, errors, scales, exponent=exponent, coefficient=coefficient)


# The tear ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Torn:
    """A cap torn into petals, twice as many each time, down to the last."""

    angle: float
    petals: int


def tears() -> st.SearchStrategy[Torn]:
    """Caps of up to one radian; thousands of petals."""
    return st.builds(Torn, st.sampled_from((1.0, 0.75, 0.5)), st.sampled_from((1024, 2048, 4096)))


def torn_penalty(angle: float, petals: int, sliver: float) -> tuple[float, float, float]:
    """Penalty of a torn cap, its rounding, and its greatest stretch.

    Circles keep their distance from the pole. A petal is turned by sin(r) / r times its angle, so
    that it keeps its width; the part `sliver` of the circle between petals takes up the rest. The
    map is continuous and creased along radii; rounding the creases off costs arbitrarily little.
    """
    r, weights = _rule(angle, _ORDER)
    half = np.pi / petals
    x, w = np.polynomial.legendre.leggauss(6)
    x, w = (x + 1) / 2, w / 2
    turn = np.sin(r) / r
    drift = (np.cos(r) - turn) / r
    wide = (1 - turn * (1 - sliver)) / sliver
    # Stretch along the circle, and shear, at the nodes of half a petal and of half a sliver.
    along = np.stack([np.ones_like(r), wide * r / np.sin(r)], axis=-1)
    shear = np.stack([drift * (1 - sliver) * half, drift * (1 - sliver) * half], axis=-1)
    J = np.zeros((len(r), 2, len(x), 2, 2))
    J[..., 0, 0] = 1.0
    J[..., 1, 1] = along[..., None]
    J[..., 1, 0] = (r[:, None] * shear)[..., None] * x
    parts = np.array([1 - sliver, sliver])
    mass = (weights[:, None, None] * parts[:, None] * w).ravel()
    metrics = reparametrised(np.broadcast_to(np.eye(2), J.shape), J).reshape(-1, 2, 2)
    # The petals lie in all directions: each metric stands beside itself turned by 90 degrees.
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    both = np.concatenate([metrics, quarter @ metrics @ quarter.T])
    found = constant_variance_penalty(both, np.concatenate([mass, mass]) / 2)
    mean = np.linalg.inv(found.cov)[0, 0]
    greatest = float((np.linalg.eigvalsh(metrics)[:, 0].min() / mean) ** -0.5)
    return float(found.value), float(found.error), greatest


def torn_limit(angle: float, petals: int, sliver: float) -> float:
    """What a torn cap costs at most: half its squared shear, and its slivers' log stretch."""
    r, weights = _rule(angle, _ORDER)
    turn = np.sin(r) / r
    shear = (np.cos(r) - turn) * np.pi / petals
    stretch = (1 - turn * (1 - sliver)) / (sliver * turn)
    return float(weights @ (shear**2 / 2 + sliver * np.log(stretch)))


def tears_cost_nothing(
    scene: Torn, *, sliver: Callable[[float], float] = lambda n: n**-2.0, obeyed: bool = False
) -> Comparison:
    """Penalties of ever finer tears fall to zero, below the bound that holds without tears."""
    counts = scene.petals // 4 ** np.arange(3, -1, -1)
    bound, error = dual_bound(scene.angle, 2.5)
    torn = [torn_penalty(scene.angle, int(n), sliver(float(n))) for n in counts]
    values, roundings = np.array([t[0] for t in torn]), np.array([t[1] for t in torn])
    if obeyed:
        return Comparison.at_most(
            bound, values[-1], scale=bound, dual=error, rounding=roundings[-1]
        )
    limits = np.array([torn_limit(scene.angle, int(n), float(n) ** -2.0) for n in counts])
    return Comparison.all_of(
        Comparison.at_most(values, limits, scale=limits, rounding=roundings),
        # The limit is of order log(n) / n^2.
        Comparison.at_most(limits[1:], limits[:-1] / 4, scale=limits[:-1], rounding=roundings[1:]),
        Comparison.at_most(limits[-1], bound / 8, scale=bound, dual=error),
        Comparison.at_most(2.5, torn[-1][2], scale=2.5, rounding=gamma(1000)),
    )


def wide_slivers(n: float) -> float:
    """A tenth of the circle lies in tears, however many there are."""
    return 0.1
