"""Pieces of a line."""

from __future__ import annotations

import numpy as np

from vaetheory._piecewise_linear.charts import charts_around
from vaetheory._piecewise_linear.expansion import continued
from vaetheory._piecewise_linear.intervals import edges_of_pieces, inner_points
from vaetheory._piecewise_linear.limits import Budget
from vaetheory._piecewise_linear.network import Network
from vaetheory._piecewise_linear.pieces import Masses, Peaks, Pieces
from vaetheory._piecewise_linear.tails import falling
from vaetheory._validation import Array, Index
from vaetheory.rounding import ULP


class LinePieces(Pieces):
    """The intervals between neighbouring kinks, from minus to plus infinity."""

    resolution = 4 * ULP

    def __init__(self, network: Network, budget: Budget) -> None:
        edges = edges_of_pieces(network.hidden, budget)
        centre = inner_points(edges)[:, None]
        self.charts = charts_around(network.layers, centre)
        # At its ends, the affine map of a piece is evaluated again, since its centre may be far.
        # The decoder itself may be steep beyond an end, which is rounded.
        self._ends = tuple(
            (e, continued(network.layers, centre, np.where(np.isfinite(e), e, 0.0)[:, None]))
            for e in (edges[:-1], edges[1:])
        )
        whitened = self.charts.stretch[:, None] * (np.stack([edges[:-1], edges[1:]], 1) - centre)
        self.low, self.high = whitened[:, :1], whitened[:, 1:]
        width = np.minimum((self.high - self.low)[:, 0], np.sqrt(2 * np.pi))
        with np.errstate(divide="ignore"):
            self.log_size = np.log(width)

    def peaks(self, data: Array, k: Index) -> Peaks:
        charts, low, high = self.charts, self.low[k, 0], self.high[k, 0]
        residual: Array = data - charts.value[k]
        free = charts.gradients(residual, charts.centre[k], k)[:, 0]
        place: Array = np.clip(free, low, high)
        residual, z = self._at(data, k, place)
        gradient = charts.gradients(residual, z[:, None], k)[:, 0]
        log_joint = -0.5 * (np.einsum("mr,mr->m", residual, residual) + z**2)
        with np.errstate(divide="ignore"):
            log_mass = np.log(_mass(gradient, place - low, high - place))
        log_mass += log_joint + charts.log_volume[k]
        depth = np.minimum(place - low, high - place)
        return Peaks(log_mass, log_mass, log_joint, place[:, None], gradient[:, None], depth)

    def _at(self, data: Array, k: Index, place: Array) -> tuple[Array, Array]:
        """Residuals `(M, r)` and latents `(M,)` at places; at ends, from the values there."""
        residual, z = self.charts.moved(data - self.charts.value[k], place[:, None], k)
        z = z[:, 0]
        for limits, (ends, values) in zip((self.low, self.high), self._ends, strict=True):
            here = np.flatnonzero(place == limits[k, 0])
            residual[here] = data[here] - values[k[here]]
            z[here] = ends[k[here]]
        return residual, z

    def masses(self, data: Array, k: Index, peaks: Peaks) -> Masses:
        place, gradient = peaks.place[:, 0], peaks.gradient[:, 0]
        factor = _mass(gradient, place - self.low[k, 0], self.high[k, 0] - place)
        residual, _ = self._at(data, k, place)
        rounding = self.charts.noise(residual, peaks.place, k)
        # Inside, the distance from the border is the difference of two numbers.
        rounding += ULP * (4 + np.abs(place) * np.exp(-0.5 * peaks.depth**2))
        return Masses(factor * np.exp(self.charts.log_volume[k]), np.zeros(len(k)), rounding)

    def log_outside(self) -> float:
        return -np.inf


def _mass(gradient: Array, before: Array, after: Array) -> Array:
    """Integral of exp(gradient w - w^2 / 2) from -before to after."""
    total = np.zeros_like(gradient)
    for rate, length in ((gradient, before), (-gradient, after)):
        there = length > 0
        total[there] += falling(rate[there], length[there])
    return total
