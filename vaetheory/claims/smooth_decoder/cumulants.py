"""The check of 2b: derivatives of the optimal decoder are joint cumulants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.smooth_decoder.scenes import (
    EncodedPoint,
    encoded_points,
    log_weights,
    score_sizes,
    weight_error,
)
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Direction:
    """A point with a direction, and the order of the derivative along it."""

    point: EncodedPoint
    v: Vector
    order: int


@st.composite
def directions(draw: DrawFn) -> Direction:
    """A shared covariance, a point, and a direction that is not zero."""
    point = draw(encoded_points(shared=True))
    v = draw(strategies.vectors(len(point.z), denominator=1, low=-2, high=2))
    assume(any(v))
    return Direction(point, v, draw(st.integers(1, 3)))


def _series_derivative(instance: Direction) -> tuple[Array, float]:
    """The k-th derivative of f* along v by division of power series, and the size of its terms."""
    scene, z, k = instance.point.scene, np.array(instance.point.z), instance.order
    exponents = log_weights(scene, z)
    w = np.exp(exponents - np.logaddexp.reduce(exponents))
    slope = np.linalg.solve(scene.encoder.cov[0], scene.encoder.loc.T).T @ np.array(instance.v)
    # A common factor exp(t c) cancels between numerator and denominator.
    slope = slope - w @ slope
    factorial = np.cumprod([1, 1, 2, 3])[: k + 1]
    powers = w * slope ** np.arange(k + 1)[:, None] / factorial[:, None]
    below, above = powers.sum(axis=1), powers @ (scene.data - w @ scene.data)
    quotient: list[Array] = []
    for j in range(k + 1):
        carried = sum((quotient[i] * below[j - i] for i in range(j)), np.zeros(above.shape[1]))
        quotient.append((above[j] - carried) / below[0])
    away = np.abs(scene.data - w @ scene.data).max()
    moments = [float(w @ np.abs(slope) ** j) for j in range(k + 1)]
    size = away * (moments[k] + 3 * moments[k - 1] * moments[1] + moments[1] ** k)
    return quotient[k] * factorial[k], size


def derivative_is_cumulant(
    instance: Direction, *, formula: Callable[[Direction], Array] | None = None
) -> Comparison:
    """Compare the library's closed forms along v with the division of power series."""
    scene, z = instance.point.scene, np.array(instance.point.z)
    lopsided = 0.0
    if formula is None:
        cumulant = OptimalDecoder(scene.data, scene.encoder).derivative(z, order=instance.order)
        for axis in range(2, cumulant.ndim):
            # Derivatives along one direction alone do not show an antisymmetric part.
            lopsided = max(lopsided, float(np.abs(cumulant - cumulant.swapaxes(1, axis)).max()))
        for _ in range(instance.order):
            cumulant = cumulant @ np.array(instance.v)
    else:
        cumulant = formula(instance)
    derivative, size = _series_derivative(instance)
    slope = np.linalg.solve(scene.encoder.cov[0], scene.encoder.loc.T).T @ np.array(instance.v)
    spread = float(np.ptp(scene.data, axis=0).max())
    range_before = spread * (1 + np.ptp(slope)) ** (instance.order - 1)
    reach = 1 + score_sizes(scene, z).max() * float(np.linalg.norm(instance.v))
    rounding = gamma(200 * len(scene.X)) * range_before * reach
    return Comparison.all_of(
        Comparison.identity(
            cumulant,
            derivative,
            scale=range_before * (1 + np.ptp(slope)),
            weights=20 * weight_error(scene, z) * size,
            rounding=rounding,
        ),
        Comparison.identity(
            lopsided, 0.0, scale=range_before * (1 + score_sizes(scene, z).max()), rounding=rounding
        ),
    )


def _weighted_moment(
    instance: Direction, *, precision: bool, central: bool, weighted: bool
) -> Array:
    scene, z = instance.point.scene, np.array(instance.point.z)
    w = scene.encoder.responsibilities(z)
    if not weighted:
        w = np.full_like(w, 1 / len(w))
    codes = scene.encoder.loc
    if precision:
        codes = np.linalg.solve(scene.encoder.cov[0], codes.T).T
    along = codes @ np.array(instance.v)
    if central:
        along = along - w @ along
    return (w * along**instance.order) @ (scene.data - w @ scene.data)


DERIVATIVES_ARE_CUMULANTS = Proposition(
    label="2b",
    title="With a shared covariance the derivatives of f* are joint cumulants",
    statement=(
        r"\partial_{v}^k f^*(z) = \kappa_{q(x|z)}"
        r"(x, \underbrace{v\cdot S^{-1}m(x), \dots}_{k}),\quad k = 1, 2, 3"
    ),
    hypotheses=(("constant covariance", r"S(x) = S"),),
    kind="identity",
    instances=directions(),
    check=derivative_is_cumulant,
    controls=wrong(
        derivative_is_cumulant,
        {
            "central moments for cumulants": {
                "formula": partial(_weighted_moment, precision=True, central=True, weighted=True)
            },
            "raw moments": {
                "formula": partial(_weighted_moment, precision=True, central=False, weighted=True)
            },
            "m for S^-1 m": {
                "formula": partial(_weighted_moment, precision=False, central=True, weighted=True)
            },
            "unweighted": {
                "formula": partial(_weighted_moment, precision=True, central=True, weighted=False)
            },
        },
    ),
    uses=("2a",),
    examples=50,
)
