"""The pieces of a plane on which layers are affine, cut out of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vaetheory._piecewise_linear.limits import Budget
from vaetheory._piecewise_linear.polygons import ON_THE_LINE, Polygons, boxes, widened
from vaetheory._validation import Array, Index
from vaetheory.decoders.layers import ElementwisePieces, LinearMap
from vaetheory.decoders.piecewise_linear import Layer

#: Polygons that are cut together, and numbers of an array of corners times units.
_TOGETHER, _NUMBERS = 4096, 2_000_000


def ring(inner: float, outer: float) -> Polygons:
    """The square of half-width `outer` without that of half-width `inner`, as rectangles."""
    a, b = inner, outer
    if a == 0:
        return boxes(np.array([[-b, -b]]), np.array([[b, b]]))
    return boxes(
        np.array([[-b, -b], [a, -b], [-a, a], [-b, -a]]),
        np.array([[a, -a], [b, a], [b, b], [-a, b]]),
    )


def subdivided(layers: Sequence[Layer], start: Polygons, budget: Budget) -> Polygons:
    """The polygons of `start`, cut by every line at which the slope of the layers changes.

    Raises
    ------
    DoesNotApply
        If there are more than `budget` allows.
    """
    done: list[Polygons] = []
    count = len(start)
    todo = [(0, start, _identity(len(start)), np.zeros((len(start), 2)))]
    while todo:
        i, polygons, slope, offset = todo.pop()
        while i < len(layers):
            layer = layers[i]
            i += 1
            if isinstance(layer, LinearMap):
                slope = layer.weight @ slope
                offset = offset @ layer.weight.T + layer.bias
                continue
            before = len(polygons)
            polygons, parent = _cut(polygons, slope, offset, layer, budget, count - before)
            count += len(polygons) - before
            slope, offset = slope[parent], offset[parent]
            middle = polygons.middle()
            factor, shift = layer.pieces(np.einsum("kwi,ki->kw", slope, middle) + offset)
            slope, offset = factor[..., None] * slope, factor * offset + shift
            if len(polygons) > _TOGETHER:
                # Depth first, so that few maps are in memory at a time.
                for j in range(0, len(polygons), _TOGETHER):
                    some = np.s_[j : j + _TOGETHER]
                    todo.append((i, polygons.take(some), slope[some].copy(), offset[some].copy()))
                break
        else:
            done.append(polygons)
    return Polygons.joined(done)


def _identity(k: int) -> Array:
    return np.broadcast_to(np.eye(2), (k, 2, 2))


def _cut(
    polygons: Polygons,
    slope: Array,
    offset: Array,
    layer: ElementwisePieces,
    budget: Budget,
    others: int,
) -> tuple[Polygons, Index]:
    """Polygons cut where one of the units slope z + offset crosses a threshold; their parents."""
    crossed = _crossed(polygons, slope, offset, layer)
    pieces = _Pieces(polygons)
    thresholds = np.broadcast_to(layer.thresholds, (offset.shape[1], crossed.shape[2]))
    for unit, k in np.argwhere(crossed.any(axis=0)):
        # What was cut before has the map of its parent.
        which = np.flatnonzero(crossed[pieces.parent, unit, k])
        some, parent = pieces.take(which), pieces.parent[which]
        side = np.einsum("kpi,ki->kp", some.corners, slope[parent, unit])
        side += (offset[parent, unit] - thresholds[unit, k])[:, None]
        both, tolerance = _on_both_sides(side)
        cut = np.flatnonzero(both)
        budget.require(others + len(pieces) + len(cut))
        chosen = some.take(cut)
        side = side[cut, : chosen.corners.shape[1]]
        pieces.put(which[cut], *chosen.split(side, tolerance[cut]))
    return pieces.polygons(), pieces.parent


def _on_both_sides(side: Array, axis: int = 1) -> tuple[NDArray[np.bool_], Array]:
    """Whether corners lie on both sides of a line, given their values; and the tolerance."""
    low, high = side.min(axis=axis), side.max(axis=axis)
    tolerance = ON_THE_LINE * np.maximum(-low, high)
    return (low < -tolerance) & (high > tolerance), tolerance


def _crossed(
    polygons: Polygons, slope: Array, offset: Array, layer: ElementwisePieces
) -> NDArray[np.bool_]:
    """Whether a unit crosses a threshold in a polygon, `(K, units, thresholds)`."""
    units, count = offset.shape[1], layer.thresholds.shape[-1]
    crossed = np.empty((len(polygons), units, count), dtype=bool)
    step = max(1, _NUMBERS // (units * polygons.corners.shape[1]))
    for i in range(0, len(polygons), step):
        rows = np.s_[i : i + step]
        values = polygons.corners[rows] @ np.swapaxes(slope[rows], 1, 2) + offset[rows, None]
        for k in range(count):
            crossed[rows, :, k] = _on_both_sides(values - layer.thresholds[..., k])[0]
    return crossed


class _Pieces:
    """Polygons that grow in number, and the index of the polygon from which each was cut."""

    def __init__(self, polygons: Polygons) -> None:
        k, p = polygons.corners.shape[:2]
        self._size = k
        self._corners = np.empty((2 * k + 256, p + 4, 2))
        self._count = np.empty(2 * k + 256, dtype=np.intp)
        self._parent = np.empty(2 * k + 256, dtype=np.intp)
        self._write(np.arange(k), polygons)
        self._parent[:k] = np.arange(k)

    def __len__(self) -> int:
        return self._size

    @property
    def parent(self) -> Index:
        """Where each polygon was cut from, `(K,)`."""
        return self._parent[: self._size]

    def polygons(self) -> Polygons:
        """All polygons."""
        return self.take(np.s_[: self._size])

    def take(self, which: Index | slice) -> Polygons:
        """Some of the polygons."""
        return Polygons(self._corners, self._count).take(which)

    def put(self, which: Index, replaced: Polygons, added: Polygons) -> None:
        """Replace some polygons by one part, and add the other."""
        start, end = self._size, self._size + len(added)
        if end > len(self._count):
            for name in ("_corners", "_count", "_parent"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.empty_like(old)]))
        self._size = end
        self._parent[start:end] = self._parent[which]
        self._write(which, replaced)
        self._write(np.arange(start, end), added)

    def _write(self, which: Index, polygons: Polygons) -> None:
        if polygons.corners.shape[1] > self._corners.shape[1]:
            self._corners = widened(self._corners, polygons.corners.shape[1] + 2)
        self._corners[which] = widened(polygons.corners, self._corners.shape[1])
        self._count[which] = polygons.count
