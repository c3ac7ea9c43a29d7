"""The pieces of a plane on which layers are affine, cut out of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vaetheory._piecewise_linear.limits import Budget
from vaetheory._piecewise_linear.polygons import ON_THE_LINE, Polygons, boxes, widened
from vaetheory._validation import Array, Index
from vaetheory.decoders.layers import ElementwisePieces, LinearMap
from vaetheory.decoders.piecewise_linear import Layer

#: Polygons that are cut together, and numbers of an array of corners times units.
_TOGETHER, _NUMBERS = 4096, 2_000_000
#: Lines whose crossings are counted first, and the sine of an angle below which they are parallel.
_LINES, _PARALLEL = 2000, 1e-6


def ring(inner: float, outer: float) -> Polygons:
    """The square of half-width `outer` without that of half-width `inner`, as rectangles."""
    a, b = inner, outer
    if a == 0:
        return boxes(np.array([[-b, -b]]), np.array([[b, b]]))
    return boxes(
        np.array([[-b, -b], [a, -b], [-a, a], [-b, -a]]),
        np.array([[a, -a], [b, a], [b, b], [-a, b]]),
    )


def subdivided(
    layers: Sequence[Layer], start: Polygons, budget: Budget, others: int = 0
) -> Polygons:
    """The polygons of `start`, cut by every line at which the slope of the layers changes.

    Raises
    ------
    DoesNotApply
        If they and `others` are more than `budget` allows.
    """
    _require_few_crossings(layers, start, budget)
    done: list[Polygons] = []
    count = others + len(start)
    todo = [_Block(start, _identity(len(start)), np.zeros((len(start), 2)))]
    while todo:
        block = todo.pop()
        while block.layer < len(layers):
            layer = layers[block.layer]
            if isinstance(layer, LinearMap):
                block = block.mapped(layer)
                continue
            before = len(block.polygons)
            block = block.cut(layer, budget, count - before)
            count += len(block.polygons) - before
            if len(block.polygons) > _TOGETHER:
                # Depth first, so that few maps are in memory at a time.
                todo += block.halves()
                break
        else:
            done.append(block.polygons)
    return Polygons.joined(done)


def _require_few_crossings(layers: Sequence[Layer], start: Polygons, budget: Budget) -> None:
    """Raise `DoesNotApply` at once if the first layer alone makes too many pieces.

    Each point inside at which lines cross belongs to a piece that has it as an end, and to no other
    piece in the same way: there are more pieces than such points.
    """
    slope, offset = np.eye(2), np.zeros(2)
    for layer in layers:
        if isinstance(layer, LinearMap):
            slope, offset = layer.weight @ slope, layer.weight @ offset + layer.bias
            continue
        size = np.hypot(slope[:, 0], slope[:, 1])
        thresholds = np.broadcast_to(layer.thresholds, (len(size), layer.thresholds.shape[-1]))
        used = size > 0
        level = ((thresholds - offset[:, None])[used] / size[used, None]).ravel()
        x, y = np.repeat(slope[used] / size[used, None], thresholds.shape[1], axis=0)[:_LINES].T
        level = level[:_LINES]
        if len(x) * (len(x) - 1) // 2 <= budget.limit:
            return
        one, other = np.triu_indices(len(x), 1)
        area = x[one] * y[other] - y[one] * x[other]
        cross = np.abs(area) > _PARALLEL
        one, other, area = one[cross], other[cross], area[cross]
        place = (level[one] * y[other] - y[one] * level[other]) / area
        place = place + 1j * (x[one] * level[other] - level[one] * x[other]) / area
        low, high = start.corners.min(axis=1), start.corners.max(axis=1)
        inside = np.zeros(len(place), dtype=bool)
        for a, b in zip(low, high, strict=True):
            inside |= (
                (place.real > a[0])
                & (place.real < b[0])
                & (place.imag > a[1])
                & (place.imag < b[1])
            )
        # Lines through one point cross there only once.
        budget.require(len(np.unique(np.round(place[inside], 6))))
        return


def _identity(k: int) -> Array:
    return np.broadcast_to(np.eye(2), (k, 2, 2))


@dataclass(frozen=True, eq=False)
class _Block:
    """Polygons with the affine maps of the units of one layer on them.

    Attributes
    ----------
    polygons : Polygons
        K of them.
    slope : array (K, units, 2)
    offset : array (K, units)
    layer : int
        The layer that comes next.
    unit : int
        The unit of it by which the polygons are cut next.
    """

    polygons: Polygons
    slope: Array
    offset: Array
    layer: int = 0
    unit: int = 0

    def mapped(self, layer: LinearMap) -> _Block:
        """The block after an affine layer."""
        slope, offset = layer.weight @ self.slope, self.offset @ layer.weight.T + layer.bias
        return _Block(self.polygons, slope, offset, self.layer + 1)

    def halves(self) -> list[_Block]:
        """Two blocks with half of the polygons each."""
        middle = len(self.polygons) // 2
        return [
            replace(
                self,
                polygons=self.polygons.take(some),
                slope=self.slope[some].copy(),
                offset=self.offset[some].copy(),
            )
            for some in (np.s_[:middle], np.s_[middle:])
        ]

    def cut(self, layer: ElementwisePieces, budget: Budget, others: int) -> _Block:
        """The polygons cut where a unit slope z + offset crosses a threshold.

        After the last unit the layer is applied. If the polygons become many before that, the block
        is returned as it is, since it can then be seen anew which units cross which of them.
        """
        crossed = _crossed(self.polygons, self.slope, self.offset, layer, self.unit)
        pieces = _Pieces(self.polygons)
        thresholds = np.broadcast_to(layer.thresholds, (self.offset.shape[1], crossed.shape[2]))
        unit = self.unit
        for unit in (self.unit + np.flatnonzero(crossed.any(axis=(0, 2)))).tolist():
            if len(pieces) > max(_TOGETHER, 2 * len(self.polygons)):
                break
            for k in range(crossed.shape[2]):
                # What was cut before has the map of its parent.
                which = np.flatnonzero(crossed[pieces.parent, unit - self.unit, k])
                some, parent = pieces.take(which), pieces.parent[which]
                side = np.einsum("kpi,ki->kp", some.corners, self.slope[parent, unit])
                side += (self.offset[parent, unit] - thresholds[unit, k])[:, None]
                both, tolerance = _on_both_sides(side)
                cut = np.flatnonzero(both)
                budget.require(others + len(pieces) + len(cut))
                chosen = some.take(cut)
                side = side[cut, : chosen.corners.shape[1]]
                pieces.put(which[cut], *chosen.split(side, tolerance[cut]))
        else:
            return self._applied(layer, pieces)
        parent = pieces.parent
        return _Block(pieces.polygons(), self.slope[parent], self.offset[parent], self.layer, unit)

    def _applied(self, layer: ElementwisePieces, pieces: _Pieces) -> _Block:
        """The block after a layer by which its polygons have been cut."""
        polygons, slope, offset = pieces.polygons(), self.slope[pieces.parent], self.offset
        offset = offset[pieces.parent]
        values = np.einsum("kwi,ki->kw", slope, polygons.middle()) + offset
        factor, shift = layer.pieces(values)
        slope, offset = factor[..., None] * slope, factor * offset + shift
        return _Block(polygons, slope, offset, self.layer + 1)


def _on_both_sides(side: Array, axis: int = 1) -> tuple[NDArray[np.bool_], Array]:
    """Whether corners lie on both sides of a line, given their values; and the tolerance."""
    low, high = side.min(axis=axis), side.max(axis=axis)
    tolerance = ON_THE_LINE * np.maximum(-low, high)
    return (low < -tolerance) & (high > tolerance), tolerance


def _crossed(
    polygons: Polygons, slope: Array, offset: Array, layer: ElementwisePieces, first: int
) -> NDArray[np.bool_]:
    """Whether a unit, from the `first` on, crosses a threshold in a polygon, `(K, units, K')`."""
    thresholds = layer.thresholds[first:] if layer.thresholds.ndim == 2 else layer.thresholds
    slope, offset = slope[:, first:], offset[:, first:]
    units, count = offset.shape[1], thresholds.shape[-1]
    crossed = np.empty((len(polygons), units, count), dtype=bool)
    step = max(1, _NUMBERS // max(1, units * polygons.corners.shape[1]))
    for i in range(0, len(polygons), step):
        rows = np.s_[i : i + step]
        values = polygons.corners[rows] @ np.swapaxes(slope[rows], 1, 2) + offset[rows, None]
        for k in range(count):
            crossed[rows, :, k] = _on_both_sides(values - thresholds[..., k])[0]
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
