"""Checks of 5f-sphere and 5f-rate: the least penalty of a cap of the unit sphere.

Let psi map the cap to the plane, and let the law on it be uniform. In the coordinates where the
mean metric is I the penalty is E[q(s1) + q(s2)], with s the singular values of Dpsi and
q(s) = (s^-2 - 1) / 2 + log s. On the circle at distance r from the pole let l be the stretch along
it and a = s1 s2 / l. Then

- q(s1) + q(s2) >= q(l) + q(a), since the stretch across the circle is at least a;
- its image encloses the area A with A'(r) = 2 pi sin r <l a>, where <.> is the mean over the
  circle; the isoperimetric inequality and Jensen's give sin(r)^2 <l^2> >= A / pi.

So for any p >= 0 that falls to p(R) = 0, with c = -p' sin(r) / 2, the integral of <c l^2 - p l a>
against sin r is not negative, and

    penalty >= E[ min over l <= L and a of q(l) + q(a) + p l a - c l^2 ]

for every psi that stretches no direction more than L. A radial map attains it. Without L there is
no such bound: slivers that are torn open cost their area times the logarithm of their stretch.
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
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.rates import power_law
from vaetheory.checking.strategies import Vector
from vaetheory.claims.constant_variance.coordinates import (
    Distorted,
    Least,
    Patch,
    least_penalty,
    penalty,
    reparametrised,
)
from vaetheory.constant_variance import log1pmx
from vaetheory.decoders import Decoder
from vaetheory.rounding import EPS, gamma

CAP = ("the cap", r"\text{uniform law on a geodesic disc of angle } R,\text{ unit sphere}")
_STRETCH = ("bounded stretch", r"M_n \succeq L^{-2}\,\bar M")


ORDER = 24
_TERMS = 7


def _q(stretch: Array) -> Array:
    return -0.5 * log1pmx(stretch**-2.0 - 1)


def cap_rule(angle: float, order: int) -> tuple[Array, Array]:
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
    """Least penalty of a map r -> rho(r), an odd polynomial of degree 13, in nats."""
    r, weights = cap_rule(angle, ORDER)
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
    optimum = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-12})
    return Radial(float(optimum.fun), along @ optimum.x, across @ optimum.x)


@lru_cache(maxsize=64)
@once
def dual_bound(angle: float, stretch: float) -> tuple[float, float]:
    """The lower bound for maps that stretch at most `stretch`, in nats, and its error.

    The multiplier p is a sum of powers of R^2 - r^2 with coefficients of one sign, fitted to the
    best radial map; any such p gives a bound. The error is an estimate, from two rules over r and
    from rounding.
    """
    r, _ = cap_rule(angle, ORDER)
    best = radial_map(angle)
    wanted = -(1 / best.across - best.across**-3.0) / best.along
    columns = np.arange(1, 5)
    b, _ = nnls((1 - (r[:, None] / angle) ** 2) ** columns, wanted)

    def bound(order: int) -> float:
        r, weights = cap_rule(angle, order)
        u = 1 - (r / angle) ** 2
        p = u[:, None] ** columns @ b
        # -p' is not negative, since no coefficient and no power is.
        slope = 2 * r / angle**2 * (u[:, None] ** (columns - 1) @ (columns * b))
        return float(weights @ _least(p, slope * np.sin(r) / 2, stretch))

    value = bound(ORDER)
    return value, abs(value - bound(ORDER + 8)) + gamma(1000) * (1 + value)


def _least(p: Array, c: Array, stretch: float) -> Array:
    """Least q(l) + q(a) + p l a - c l^2 over 0 < l <= stretch and a > 0, for each p, c >= 0."""

    def best_across(along: Array) -> Array:
        # a^2 + p l a^3 = 1: the left side rises and is convex, so Newton's method falls from 1.
        a, k = np.ones_like(along), p[:, None] * along
        for _ in range(40):
            fall = (a**2 + k * a**3 - 1) / (2 * a + 3 * k * a**2)
            a = a - fall
            if (fall <= 4 * EPS * a).all():
                break
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
    # How low the height may be inside a cell: its second derivative is at most 3 / l^4.
    steps = np.diff(grid, axis=-1)
    hidden = np.minimum(heights[:, 1:], heights[:, :-1]) - 0.375 * steps**2 / grid[:, :-1] ** 4
    # Up to where the height is surely convex the stationary point is the least.
    right = grid[:, 1:]
    convex = 3 / right**4 - 1 / right**2 > p[:, None] ** 2 / 2 + 2 * c[:, None]
    inside = convex & convex[rows, np.minimum(at, 398)][:, None]
    return np.minimum(deepest, np.where(inside, np.inf, hidden).min(axis=-1))


@dataclass(frozen=True)
class Cap:
    """A cap by its angle, the greatest stretch allowed, and coordinates on it, distorted."""

    angle: float
    stretch: float
    bends: Vector

    def patch(self, decoder: Decoder, order: int) -> Patch:
        """The uniform law on the cap, in its stereographic coordinates."""
        r, weights = cap_rule(self.angle, order)
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


@once
def least_over_degrees(
    cap: Cap, decoder: Decoder, degrees: tuple[int, ...] = CAP_DEGREES
) -> tuple[list[Least], Patch]:
    """The least penalty of the cap over polynomials of each degree, and its coarser patch."""
    coarse, fine = cap.patch(decoder, 10), cap.patch(decoder, 14)
    return [least_penalty(coarse, fine, degree) for degree in degrees], coarse


def _greatest_stretch(patch: Patch, slopes: Array) -> float:
    """Greatest stretch of a map, in the coordinates where the mean metric is I."""
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
    """Compare penalties of a cap, optimised or not, with the lower bound that the best attain."""
    decoder = surface()
    leasts, patch = least_over_degrees(cap, decoder)
    bound, error = dual_bound(cap.angle, cap.stretch)
    bound *= factor
    parts = [
        Comparison.at_most(bound, one.value, scale=bound, rule=one.rule, dual=error)
        for one in leasts
    ]
    parts += [
        Comparison.at_most(b.value, a.value, scale=bound, optimiser=b.slack)
        for a, b in itertools.pairwise(leasts)
    ]
    # The values fall geometrically: less than the last difference is left.
    parts.append(
        Comparison.identity(
            leasts[-1].value,
            bound,
            scale=bound,
            tail=leasts[-2].value - leasts[-1].value,
            multiplier=radial_map(cap.angle).value - bound / factor,
            optimiser=leasts[-1].error,
            dual=error,
        )
    )
    # The bound holds in any other coordinates, too.
    slopes = Distorted(decoder, cap.bends).slopes(patch.nodes)
    value, rounding = penalty(patch, slopes)
    stretches = [_greatest_stretch(patch, s) for s in (slopes, *(one.slopes for one in leasts))]
    parts.append(Comparison.at_most(bound, value, scale=bound, rounding=rounding, dual=error))
    parts.append(Comparison.at_most(stretches, cap.stretch, scale=1.0, rounding=gamma(1000)))
    return Comparison.all_of(*parts)


def plane() -> Decoder:
    """A plane in place of the sphere."""
    return decoders.Affine([[1.0, 0.0], [0.0, 1.0]])


def cylinder() -> Decoder:
    """A cylinder in place of the sphere."""
    return decoders.Cylinder(1.0)


SPHERICAL_CAP = Proposition(
    label="5f-sphere",
    title="A cap of the sphere keeps a penalty in all coordinates of bounded stretch",
    statement=(
        r"D\psi^{-\top} g\, D\psi^{-1} \succeq L^{-2}\,\bar M \;\Rightarrow\;"
        r"P[f\circ\psi^{-1}] \ge P_*(R) > 0,\quad "
        r"\min_{\deg\psi\le k} P[f\circ\psi^{-1}] \to P_*(R)"
    ),
    hypotheses=(
        ("the limit sigma -> 0", r"A_n \propto g(z_n)"),
        CAP,
        _STRETCH,
    ),
    kind="inequality",
    instances=caps(),
    check=cap_keeps_a_penalty,
    controls=wrong(
        cap_keeps_a_penalty,
        {
            "a plane for the sphere": {"surface": plane},
            "a cylinder for the sphere": {"surface": cylinder},
            "a bound one percent higher": {"factor": 1.01},
        },
    ),
    uses=("5f",),
    figure="constant-variance",
    resolution=1e-2,
    examples=5,
)


@dataclass(frozen=True)
class SmallCaps:
    """Caps of angles R, R / 2, R / 4, ..."""

    angle: float


def small_caps() -> st.SearchStrategy[SmallCaps]:
    """Greatest angles of 1/2 to 3/4."""
    return st.builds(SmallCaps, st.sampled_from((0.75, 0.5, 0.625)))


def small_cap_rate(
    scene: SmallCaps, *, coefficient: float = 1 / 192, exponent: float = 4.0
) -> Comparison:
    """Check that the bound of small caps is R^4 / 192, on a ladder of angles R."""
    scales = scene.angle / 2.0 ** np.arange(4)
    lower = [dual_bound(float(R), 2.5) for R in scales]
    values = np.array([v for v, _ in lower])
    upper = np.array([radial_map(float(R)).value for R in scales])
    errors = np.array([e for _, e in lower]) + np.abs(upper - values)
    return power_law(values, errors, scales, exponent=exponent, coefficient=coefficient)


SMALL_CAPS = Proposition(
    label="5f-rate",
    title="A small cap keeps R^4 / 192",
    statement=r"P_*(R) = \frac{R^4}{192} + O(R^6)",
    hypotheses=(
        CAP,
        _STRETCH,
    ),
    kind="rate",
    instances=small_caps(),
    check=small_cap_rate,
    controls=wrong(
        small_cap_rate,
        {
            "R^4 / 96": {"coefficient": 1 / 96},
            "order R^2": {"exponent": 2.0},
        },
    ),
    uses=("5f-sphere",),
    resolution=1e-2,
    examples=3,
)
