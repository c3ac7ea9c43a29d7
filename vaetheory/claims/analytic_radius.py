"""The check of 2d: the Taylor series of f* knows the complex zeros of q(z)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.claims import strategies
from vaetheory.claims.claim import Certificate
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
    return Commensurate(
        X,
        tuple(codes),
        draw(st.sampled_from((1.0, 0.5, 2.0))),
        draw(strategies.fractions(-4, 4, 2)),
    )


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


def radius_is_nearest_zero(
    instance: Commensurate, *, distance: float = 1.0, residue: complex = 1.0
) -> Certificate:
    """Taylor coefficients of f* against the pole series of the nearest zeros of q.

    Cauchy's estimate bounds what is left: on a circle of radius r around z that has these poles
    inside, the k-th coefficient differs from their series by at most max|f*| r^-k.
    """
    k, x, s2 = np.array(instance.codes), np.array(instance.X), instance.variance
    zeros, residues, lost = _poles(instance)
    away = zeros - instance.z
    order = np.argsort(np.abs(away))
    away, residues, lost = away[order], residues[order], lost[order]
    reach = np.abs(away)
    assume(reach[-1] > 3 * reach[0])
    gaps = reach[1:] / reach[:-1]
    wide = np.flatnonzero(gaps > 1.25)
    assume(len(wide) > 0)
    inside = int(wide[0]) + 1
    radius = float(np.sqrt(reach[inside - 1] * reach[inside]))
    near, weight = reach[0], np.abs(residues[:inside]) / reach[0]
    # Where the numerator of f* vanishes too there is no pole: see docs/corrections.md.
    assume(weight[reach[:inside] < near * (1 + 1e-9)].max() > 1e-3)

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
    powers = (distance * away[:inside, None] / near) ** -(orders + 1.0) / near
    series = -(residue * residues[:inside, None] * powers).sum(axis=0).real
    # A zero off by EPS * lost moves its term by that times the order.
    moved = (np.abs(residues[:inside]) / near * lost[:inside] / near).sum()
    return Certificate.identity(
        coefficients,
        series,
        scale=float(weight.max()),
        remainder=ceiling * (near / radius) ** orders,
        sampling=gamma(60) * np.abs(samples).max() * scaled,
        zeros=gamma(200) * moved * (orders + 1),
    )
