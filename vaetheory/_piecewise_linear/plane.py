"""Pieces of a plane."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

from vaetheory._piecewise_linear.charts import Charts, charts_around
from vaetheory._piecewise_linear.limits import Budget
from vaetheory._piecewise_linear.network import Network
from vaetheory._piecewise_linear.pieces import Masses, Peaks, Pieces
from vaetheory._piecewise_linear.polygon_mass import masses
from vaetheory._piecewise_linear.polygons import ON_THE_LINE, Polygons
from vaetheory._piecewise_linear.subdivision import ring, subdivided
from vaetheory._validation import Array, Index
from vaetheory.rounding import EPS, ULP

#: Half-width of the innermost square, how much greater the next one is, and the greatest.
_FIRST, _GROWTH, _GREATEST = 8.0, 4.0, 1e15


class PlanePieces(Pieces):
    """Convex polygons that fill a square around the origin.

    Attributes
    ----------
    radius : float
        Half the width of the square.
    """

    # A polygon reaches from the place in question to the other side of its ring.
    resolution = _GROWTH * ON_THE_LINE

    def __init__(self, charts: Charts, polygons: Polygons, rounding: Array, radius: float) -> None:
        self.charts, self.radius = charts, radius
        self._polygons, self._rounding = polygons, rounding
        corners = polygons.corners
        self.low, self.high = corners.min(axis=1), corners.max(axis=1)
        extent = self.high - self.low
        self._width = extent.min(axis=1)
        # Of the sum of 2 P products of coordinates.
        off = 8 * EPS * corners.shape[1] * np.abs(corners).max(axis=(1, 2), initial=0.0) ** 2
        area = polygons.area()
        self._area = np.maximum(area - off, 0.0)
        greatest = np.minimum.reduce(
            [area + off, extent.prod(axis=1), np.full(len(off), 2 * np.pi)]
        )
        with np.errstate(divide="ignore"):
            self.log_size = np.log(np.maximum(greatest, 0.0))

    @classmethod
    def start(cls, network: Network, budget: Budget) -> PlanePieces:
        """The pieces in the innermost square."""
        return cls._of_ring(network, budget, 0.0, _FIRST)

    def larger(self, network: Network, budget: Budget) -> PlanePieces | None:
        """These pieces and those around them, in a larger square; None if it is the greatest."""
        outer = _GROWTH * self.radius
        if outer > _GREATEST:
            return None
        around = self._of_ring(network, budget, self.radius, outer, len(self))
        return PlanePieces(
            Charts.joined([self.charts, around.charts]),
            Polygons.joined([self._polygons, around._polygons]),
            np.concatenate([self._rounding, around._rounding]),
            outer,
        )

    @classmethod
    def _of_ring(
        cls, network: Network, budget: Budget, inner: float, outer: float, others: int = 0
    ) -> PlanePieces:
        found = subdivided(network.hidden, ring(inner, outer), budget, others)
        centre = found.middle()
        charts = charts_around(network.layers, centre)
        corners = charts.whitened(found.corners)
        # Axes along the polygon, so that its box is small.
        x, y = corners[..., 0], corners[..., 1]
        products = [(a * b).sum(axis=1) for a, b in ((x, y), (x, x), (y, y))]
        charts = charts.turned(0.5 * np.arctan2(2 * products[0], products[1] - products[2]))
        polygons = Polygons(charts.whitened(found.corners), found.count)
        rounding = 2 * ULP * charts.stretch * np.abs(found.corners).max(axis=(1, 2))
        return cls(charts, polygons, rounding, outer)

    def peaks(self, data: Array, k: Index) -> Peaks:
        charts, polygons = self.charts, self._polygons.take(k)
        residual: Array = data - charts.value[k]
        place, depth = polygons.nearest(charts.gradients(residual, charts.centre[k], k))
        residual, z = charts.moved(residual, place, k)
        gradient = charts.gradients(residual, z, k)
        log_joint: Array = np.einsum("mr,mr->m", residual, residual)
        log_joint += np.einsum("mi,mi->m", z, z)
        log_joint *= -0.5
        corners = polygons.corners - place[:, None]
        fall = 0.5 * np.einsum("mpi,mpi->mp", corners, corners)
        fall -= np.einsum("mpi,mi->mp", corners, gradient)
        peak = log_joint + charts.log_volume[k]
        with np.errstate(divide="ignore"):
            lower = peak + np.log(self._area[k] * _least_share(fall.max(axis=1)))
        return Peaks(peak + self.log_size[k], lower, log_joint, place, gradient, depth)

    def masses(self, data: Array, k: Index, peaks: Peaks) -> Masses:
        polygons = self._polygons.take(k)
        moved = Polygons(polygons.corners - peaks.place[:, None], polygons.count)
        factor, bound = masses(moved, peaks.gradient)
        residual, _ = self.charts.moved(data - self.charts.value[k], peaks.place, k)
        rounding = self.charts.noise(residual, peaks.place, k)
        # Corners are rounded, and not the same way in neighbouring polygons.
        rate = np.hypot(peaks.gradient[:, 0], peaks.gradient[:, 1])
        with np.errstate(divide="ignore"):
            rate += np.exp(-0.5 * peaks.depth**2) + 1 / self._width[k]
        rounding += np.minimum(self._rounding[k] * rate, 1.0) + 4 * ULP
        return Masses(factor * np.exp(self.charts.log_volume[k]), bound, rounding)

    def log_outside(self) -> float:
        # Outside the square one coordinate is beyond its side, and the likelihood is at most one.
        return float(np.log(8 * np.pi) + log_ndtr(-self.radius))


def _least_share(fall: Array) -> Array:
    """Least share of a polygon's area that is the integral of exp(-e) over it.

    e is convex, 0 at a point inside and at most `fall` = D. Since e(c p) <= c e(p) for c <= 1, the
    area where e <= t is at least (t / D)^2 of all.
    """
    d = np.maximum(fall, 1.0)
    rest = np.exp(-d)
    slow = (2 - rest * (d * (d + 2) + 2)) / d**2 + rest
    return np.where(fall < 1, np.exp(-np.maximum(fall, 0.0)), slow)
