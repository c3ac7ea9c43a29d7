"""The check of 2d: the Taylor series of f* knows the complex zeros of q(z)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
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
    """The zeros of q within a circle around the point that no other comes near."""

    away: Array
    residues: Array
    lost: Array
    radius: float

    @property
    def near(self) -> float:
        """Distance of the nearest."""
        return float(np.abs(self.away[0]))


def _nearest(instance: Commensurate) -> _Nearest | None:
    """The nearest zeros, or None where there is no such circle or the nearest is no pole."""
    zeros, residues, lost = _poles(instance)
    away = zeros - instance.z
    order = np.argsort(np.abs(away))
    away, residues, lost = away[order], residues[order], lost[order]
    reach = np.abs(away)
    wide = np.flatnonzero(reach[1:] / reach[:-1] > 1.25)
    if reach[-1] <= 3 * reach[0] or not len(wide):
        return None
    inside = int(wide[0]) + 1
    # Where the numerator of f* vanishes too there is no pole: see docs/corrections.md.
    first = np.abs(residues[:inside])[reach[:inside] < reach[0] * (1 + 1e-9)].max()
    if first <= 1e-3 * reach[0]:
        return None
    radius = float(np.sqrt(reach[inside - 1] * reach[inside]))
    return _Nearest(away[:inside], residues[:inside], lost[:inside], radius)


def radius_is_nearest_zero(
    instance: Commensurate, *, distance: float = 1.0, residue: complex = 1.0
) -> Comparison:
    """Taylor coefficients of f* against the pole series of the nearest zeros of q.

    Cauchy's estimate bounds what is left: on a circle of radius r around z that has these poles
    inside, the k-th coefficient differs from their series by at most max|f*| r^-k.
    """
    k, x, s2 = np.array(instance.codes), np.array(instance.X), instance.variance
    found = _nearest(instance)
    if found is None:
        raise ValueError("the nearest zero of q(z): expected a pole apart from the rest, got none")
    near, radius = found.near, found.radius
    weight = np.abs(found.residues) / near

    def decode(points: Array) -> Array:
        logs = np.multiply.outer(points, k / s2) - k**2 / (2 * s2)
        terms = np.exp(logs - logs.real.max(axis=-1, keepdims=True))
        return (terms @ x) / terms.sum(axis=-1)

    turn = np.exp(2j * np.pi * np.arange(2048) / 2048)
    ceiling = 1.01 * np.abs(decode(instance.z + radius * turn)).max()
    # Far enough out in the series for the remainder to be a thousandth of the poles' part.
    first = np.log(1e3 * max(ceiling / weight.max(), 1.0)) / np.log(radius / near)
    orders = int(np.ceil(first)) + np.arange(4)
    inner = 0.9 * near
    samples = decode(instance.z + inner * turn)
    spectrum = (np.fft.fft(samples) / len(turn))[orders]
    scaled = (near / inner) ** orders
    coefficients = spectrum.real * scaled
    powers = (distance * found.away[:, None] / near) ** -(orders + 1.0) / near
    series = -(residue * found.residues[:, None] * powers).sum(axis=0).real
    # A zero off by EPS * lost moves its term by that times the order.
    moved = (weight * found.lost / near).sum()
    return Comparison.identity(
        coefficients,
        series,
        scale=float(weight.max()),
        remainder=ceiling * (near / radius) ** orders,
        sampling=gamma(60) * np.abs(samples).max() * scaled,
        zeros=gamma(200) * moved * (orders + 1),
    )
