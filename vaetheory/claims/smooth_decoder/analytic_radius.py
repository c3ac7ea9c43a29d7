"""The check of 2d: complex zeros of q(z) bound the radius of convergence of the series of f*."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Commensurate:
    """One-dimensional data at integer codes with a common variance, and a point."""

    X: tuple[float, ...]
    codes: tuple[int, ...]
    variance: float
    z: float


@st.composite
def commensurate_codes(draw: DrawFn) -> Commensurate:
    """Distinct integer codes: q(z) is then a polynomial in exp(z / variance)."""
    codes = draw(st.lists(st.integers(-3, 3), min_size=2, max_size=4, unique=True))
    X = draw(st.tuples(*[strategies.fractions(-4, 4, 2)] * len(codes)))
    variance, z = draw(st.sampled_from((1.0, 0.5, 2.0))), draw(strategies.fractions(-4, 4, 2))
    instance = Commensurate(X, tuple(codes), variance, z)
    assume(_nearest(instance) is not None)
    return instance


def _poles(instance: Commensurate) -> tuple[Array, Array, Array]:
    """Zeros of q, the residues of f* there, and how ill-conditioned each zero is."""
    k, x, s2 = np.array(instance.codes), np.array(instance.X), instance.variance
    heights = np.exp(-(k**2) / (2 * s2))
    coefficients = np.zeros(k.max() - k.min() + 1)
    coefficients[k.max() - k] = heights
    roots = np.roots(coefficients).astype(complex)
    sheets = np.arange(-3, 4)
    zeros = (s2 * (np.log(roots)[:, None] + 2j * np.pi * sheets)).ravel()
    for _ in range(4):
        terms = heights * np.exp(np.multiply.outer(zeros, k / s2))
        slope = terms @ (k / s2)
        zeros = zeros - terms.sum(axis=-1) / slope
    terms = heights * np.exp(np.multiply.outer(zeros, k / s2))
    slope = terms @ (k / s2)
    lost = np.abs(terms).sum(axis=-1) / np.abs(slope)
    return zeros, (terms @ x) / slope, lost


@dataclass(frozen=True)
class _Nearest:
    """The zeros of q within a circle around the point, with no other zero near the circle."""

    away: Array
    residues: Array
    lost: Array
    radius: float

    @property
    def near(self) -> float:
        """Distance of the nearest."""
        return float(np.abs(self.away[0]))


def _nearest(instance: Commensurate) -> _Nearest | None:
    """The nearest zeros, or None if there is no such circle or the nearest zero is no pole."""
    zeros, residues, lost = _poles(instance)
    away = zeros - instance.z
    order = np.argsort(np.abs(away))
    away, residues, lost = away[order], residues[order], lost[order]
    reach = np.abs(away)
    wide = np.flatnonzero(reach[1:] / reach[:-1] > 1.25)
    if reach[-1] <= 3 * reach[0] or not len(wide):
        return None
    inside = int(wide[0]) + 1
    # Where the numerator of f* vanishes as well, there is no pole: see docs/corrections.md.
    first = np.abs(residues[:inside])[reach[:inside] < reach[0] * (1 + 1e-9)].max()
    if first <= 1e-3 * reach[0]:
        return None
    radius = float(np.sqrt(reach[inside - 1] * reach[inside]))
    return _Nearest(away[:inside], residues[:inside], lost[:inside], radius)


def radius_is_nearest_zero(
    instance: Commensurate, *, distance: float = 1.0, residue: complex = 1.0
) -> Comparison:
    """Compare the Taylor coefficients of f* with the pole series of the nearest zeros of q.

    Cauchy's estimate bounds the remainder: on a circle of radius r around z that has these poles
    inside, the k-th coefficient differs from their series by at most max|f*| r^-k.
    """
    k, x, s2 = np.array(instance.codes), np.array(instance.X), instance.variance
    nearest = _nearest(instance)
    if nearest is None:
        raise ValueError("the nearest zero of q(z): expected a pole apart from the rest, got none")
    near, radius = nearest.near, nearest.radius
    weight = np.abs(nearest.residues) / near

    def decode(points: Array) -> Array:
        logs = np.multiply.outer(points, k / s2) - k**2 / (2 * s2)
        terms = np.exp(logs - logs.real.max(axis=-1, keepdims=True))
        return (terms @ x) / terms.sum(axis=-1)

    turn = np.exp(2j * np.pi * np.arange(2048) / 2048)
    ceiling = 1.01 * np.abs(decode(instance.z + radius * turn)).max()
    # Orders so high that the remainder is a thousandth of the poles' part.
    first = np.log(1e3 * max(ceiling / weight.max(), 1.0)) / np.log(radius / near)
    orders = int(np.ceil(first)) + np.arange(4)
    inner = 0.9 * near
    samples = decode(instance.z + inner * turn)
    spectrum = (np.fft.fft(samples) / len(turn))[orders]
    scaled = (near / inner) ** orders
    coefficients = spectrum.real * scaled
    powers = (distance * nearest.away[:, None] / near) ** -(orders + 1.0) / near
    series = -(residue * nearest.residues[:, None] * powers).sum(axis=0).real
    # A zero that is off by EPS * lost moves its term by that times the order.
    moved = (weight * nearest.lost / near).sum()
    return Comparison.identity(
        coefficients,
        series,
        scale=float(weight.max()),
        remainder=ceiling * (near / radius) ** orders,
        sampling=gamma(60) * np.abs(samples).max() * scaled,
        zeros=gamma(200) * moved * (orders + 1),
    )


RADIUS_IS_NEAREST_ZERO = Proposition(
    label="2d",
    title="f* is analytic up to the nearest complex zero of q(z) that is a pole",
    statement=(
        r"c_k(z) = -\sum_{|p-z|<r} \frac{R_p}{(p-z)^{k+1}} + O(r^{-k}),"
        r"\quad q(p) = 0;\quad \text{radius} = \min_p |p - z|"
    ),
    hypotheses=(
        ("constant covariance", r"S(x) = S,\ d = 1"),
        ("a pole", r"R_p \ne 0 \text{ at the nearest zero}"),
    ),
    kind="identity",
    instances=commensurate_codes(),
    check=radius_is_nearest_zero,
    controls=wrong(
        radius_is_nearest_zero,
        {
            "poles twice as far": {"distance": 2.0},
            "poles a tenth nearer": {"distance": 0.9},
            "residues of the other sign": {"residue": -1},
            "entire: no poles": {"residue": 0},
        },
    ),
    uses=("2a",),
    figure="smooth-decoder",
    resolution=1e-2,
)
