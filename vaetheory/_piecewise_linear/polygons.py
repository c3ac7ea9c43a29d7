"""Batches of convex polygons: corners, splitting by lines, area, nearest points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array, Index

#: A corner is on a line if its distance is below this share of the polygon's greatest one.
ON_THE_LINE = 1e-13


@dataclass(frozen=True, eq=False)
class Polygons:
    """K convex polygons.

    Attributes
    ----------
    corners : array (K, P, 2)
        Counter-clockwise; a polygon of fewer than P corners repeats its last one.
    count : array of int (K,)
        Number of corners of each.
    """

    corners: Array
    count: Index

    def __len__(self) -> int:
        return len(self.count)

    @classmethod
    def joined(cls, parts: list[Polygons]) -> Polygons:
        """The polygons of several batches."""
        most = max(p.corners.shape[1] for p in parts)
        corners = np.concatenate([widened(p.corners, most) for p in parts])
        return cls(corners, np.concatenate([p.count for p in parts]))

    def take(self, which: Index | slice) -> Polygons:
        """Some of the polygons."""
        count = self.count[which]
        return Polygons(self.corners[which][:, : count.max(initial=1)], count)

    def middle(self) -> Array:
        """The mean of the corners, `(K, 2)`, a point inside."""
        real = np.arange(self.corners.shape[1]) < self.count[:, None]
        return np.einsum("kpi,kp->ki", self.corners, real / self.count[:, None])

    def edges(self) -> tuple[Array, Array]:
        """First corners and directions of the edges, `(K, P, 2)`; repeated corners have none."""
        return self.corners, np.roll(self.corners, -1, axis=1) - self.corners

    def area(self) -> Array:
        """Areas `(K,)`; coordinates should be of the size of the polygon."""
        x, y = self.corners[..., 0], self.corners[..., 1]
        return 0.5 * (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)

    def kept(self, side: Array) -> Polygons:
        """The parts where a linear function with values `side` `(K, P)` at the corners is >= 0."""
        keep = side >= 0
        cross, points = self._crossings(side, keep != np.roll(keep, -1, axis=1))
        return self._compressed(keep, cross, points)

    def split(self, side: Array, tolerance: Array) -> tuple[Polygons, Polygons]:
        """The parts below and above zero of a linear function with values `side` at the corners.

        Corners with values of at most `tolerance` `(K,)` are on both sides. Both parts share the
        points at which the line enters and leaves, so that nothing lies between them.
        """
        close = tolerance[:, None]
        above, below = side > close, side < -close
        after = np.roll(above, -1, axis=1), np.roll(below, -1, axis=1)
        cross, points = self._crossings(side, (above & after[1]) | (below & after[0]))
        return tuple(self._compressed(keep, cross, points) for keep in (~above, ~below))  # type: ignore[return-value]

    def _crossings(self, side: Array, cross: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Array]:
        """Where an edge crosses zero: which edges, and points on all edges."""
        after = np.roll(self.corners, -1, axis=1), np.roll(side, -1, axis=1)
        # From the negative end, so that the polygon on the other side finds the same point.
        first = (side < 0)[..., None]
        low = np.where(first, self.corners, after[0])
        high = np.where(first, after[0], self.corners)
        below, above = np.minimum(side, after[1]), np.maximum(side, after[1])
        share = np.where(cross, below, 0.0) / np.where(cross, below - above, 1.0)
        return cross, low + share[..., None] * (high - low)

    def _compressed(
        self, keep: NDArray[np.bool_], cross: NDArray[np.bool_], points: Array
    ) -> Polygons:
        """Corners that are kept, and points on edges, in their order."""
        k, p = keep.shape
        real: NDArray[np.bool_] = np.arange(p) < self.count[:, None]
        there: NDArray[np.bool_] = np.stack([keep & real, cross], axis=-1).reshape(k, 2 * p)
        all_points = np.stack([self.corners, points], axis=2).reshape(k, 2 * p, 2)
        count = there.sum(axis=1)
        order = np.argsort(~there, axis=1, kind="stable")[:, : max(1, int(count.max(initial=1)))]
        place = np.minimum(np.arange(order.shape[1]), np.maximum(count - 1, 0)[:, None])
        order = np.take_along_axis(order, place, axis=1)
        return Polygons(np.take_along_axis(all_points, order[..., None], axis=1), count)

    def nearest(self, target: Array) -> tuple[Array, Array]:
        """The point nearest to `target` `(K, 2)`, and how far the target is inside, `(K,)`.

        Squares of distances are compared by their differences from that of a point which is nearly
        the nearest, since the target may be far away, and the polygon far from the origin.
        """
        start, along = self.edges()
        ahead = target[:, None] - start
        length = np.einsum("kpi,kpi->kp", along, along)
        real = length > 0
        share = np.einsum("kpi,kpi->kp", ahead, along) / np.where(real, length, 1.0)
        points = start + np.clip(share, 0.0, 1.0)[..., None] * along
        found = points[:, 0]
        for _ in range(3):
            step = points - found[:, None]
            farther = 0.5 * np.einsum("kpi,kpi->kp", step, step)
            farther += np.einsum("kpi,ki->kp", step, found - target)
            best = farther.argmin(axis=1)
            found = np.take_along_axis(points, best[:, None, None], axis=1)[:, 0]
        height = along[..., 0] * ahead[..., 1] - along[..., 1] * ahead[..., 0]
        inside: NDArray[np.bool_] = np.asarray((height >= 0).all(axis=1))
        depth = np.where(real, height / np.sqrt(np.where(real, length, 1.0)), np.inf).min(axis=1)
        return np.where(inside[:, None], target, found), np.where(inside, depth, 0.0)


def boxes(low: Array, high: Array) -> Polygons:
    """Rectangles with lower left and upper right corners `(K, 2)`."""
    x0, y0, x1, y1 = low[:, 0], low[:, 1], high[:, 0], high[:, 1]
    corners = np.stack([np.stack(c, axis=-1) for c in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))], 1)
    return Polygons(corners, np.full(len(low), 4))


def widened(corners: Array, most: int) -> Array:
    """The same corners with the last one repeated up to `most`."""
    more = most - corners.shape[1]
    return np.concatenate([corners, np.repeat(corners[:, -1:], more, axis=1)], axis=1)
