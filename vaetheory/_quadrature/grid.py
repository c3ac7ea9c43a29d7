"""The cells of a search: a fixed fine grid, its coarser levels, and the cells outside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import EllipsisType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array

_T = TypeVar("_T", bound=np.generic)

#: The fine grid covers |z|_inf <= INNER; a power of two keeps all cell borders exact.
INNER = 8.0
#: Cells per axis at the start of a search, by dimension, ...
CELLS = {1: 256, 2: 32, 3: 16, 4: 8}
#: ... and the largest number, for decoders that are too wavy for the first grid.
MOST_CELLS = {1: 8192, 2: 128, 3: 32, 4: 16}
#: Ratio of neighbouring borders outside: wider cells there have hidden modes of a wavy decoder.
_GROWTH = {1: 1.01, 2: 1.1, 3: 1.4, 4: 2.0}


@dataclass(frozen=True)
class Boxes:
    """Axis-parallel cells.

    Attributes
    ----------
    centre, half : array (C, d)
        Centres and half-widths.
    """

    centre: Array
    half: Array

    def __len__(self) -> int:
        return len(self.centre)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Boxes:
        """The cells at some positions."""
        return Boxes(self.centre[which], self.half[which])

    def halved(self, axes: NDArray[np.bool_]) -> tuple[Boxes, NDArray[np.intp]]:
        """Halve each cell along its own `axes` (C, d); also return the parent of each part."""
        count = 1 << axes.sum(axis=-1)
        first = np.cumsum(count) - count
        parent = np.repeat(np.arange(len(axes)), count)
        child = np.arange(len(parent)) - first[parent]
        bit: NDArray[np.intp] = np.cumsum(axes, axis=-1) - axes
        sign = np.where(axes[parent], 2.0 * ((child[:, None] >> bit[parent]) & 1) - 1.0, 0.0)
        half = np.where(axes, self.half / 2, self.half)[parent]
        return Boxes(self.centre[parent] + sign * half, half), parent

    @classmethod
    def joined(cls, parts: list[Boxes]) -> Boxes:
        """The cells of several lists."""
        return Boxes(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("centre", "half")))

    def steps(self, places: Array) -> Array:
        """From the centres to the images of places `(K, d)` in the cube [-1, 1]^d, `(C, K, d)`."""
        return self.half[:, None] * places

    def scale(self) -> Array:
        """Volume of each cell relative to that of the cube, `(C,)`."""
        volume: Array = self.half.prod(axis=-1)
        return volume

    def density(self, places: Array) -> Array | None:
        """Volume of the cells around places relative to its mean, `(K,)`; None if it is one."""
        return None

    def log_volume(self) -> Array:
        """Log volume of each cell, `(C,)`."""
        volume: Array = np.log(2 * self.half).sum(axis=-1)
        return volume

    def least_square(self) -> Array:
        """Least ||z||^2 in each cell, `(C,)`."""
        least: Array = (np.maximum(np.abs(self.centre) - self.half, 0) ** 2).sum(axis=-1)
        return least


def corner_bits(d: int) -> NDArray[np.intp]:
    """Corners `(2^d, d)` of the unit cell, as zeros and ones."""
    return (np.arange(1 << d)[:, None] >> np.arange(d)[::-1]) & 1


@dataclass(frozen=True)
class Mesh:
    """Cells of a product of intervals; the last axis varies fastest, neighbours share corners.

    Attributes
    ----------
    edges : array (E,)
        Borders of the intervals, the same along every axis.
    place : array of int (C, d)
        Index of each cell's interval along each axis.
    """

    edges: Array
    place: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.place)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Mesh:
        """The cells at some positions."""
        return Mesh(self.edges, self.place[which])

    def boxes(self) -> Boxes:
        """Centres and half-widths."""
        left, right = self.edges[self.place], self.edges[self.place + 1]
        return Boxes((left + right) / 2, (right - left) / 2)

    def corners(self) -> tuple[Array, NDArray[np.intp]]:
        """The distinct corners `(K, d)`, and the indices of each cell's corners `(C, k)`."""
        d = self.place.shape[1]
        bits = corner_bits(d)
        shape = (len(self.edges),) * d
        index = np.ravel_multi_index(tuple(np.moveaxis(self.place[:, None] + bits, -1, 0)), shape)
        used, which = np.unique(index, return_inverse=True)
        points = self.edges[np.stack(np.unravel_index(used, shape), axis=-1)]
        return points, which.reshape(index.shape)


def _all(edges: Array, d: int) -> Mesh:
    places = np.indices((len(edges) - 1,) * d, dtype=np.intp)
    return Mesh(edges, np.ascontiguousarray(places.reshape(d, -1).T))


@lru_cache(maxsize=32)
def inner(d: int, cells: int) -> Mesh:
    """The inner box with `cells` cells per axis."""
    return _all(np.linspace(-INNER, INNER, cells + 1), d)


@lru_cache(maxsize=64)
def level(d: int, cells: int) -> Boxes:
    """The cells of `inner`."""
    return inner(d, cells).boxes()


def outer(d: int, radius: float) -> Mesh:
    """Cells that fill a ball outside the inner box; their width grows outwards."""
    edges = [INNER]
    while edges[-1] < radius:
        edges.append(min(_GROWTH[d] * edges[-1], radius))
    outside = np.array(edges)
    inside = np.linspace(-INNER, INNER, CELLS[d] // 2 + 1)
    mesh = _all(np.concatenate([-outside[:0:-1], inside, outside[1:]]), d)
    boxes = mesh.boxes()
    beyond = (np.abs(boxes.centre) > INNER).any(axis=-1)
    return mesh.take(np.flatnonzero(beyond & (boxes.least_square() < radius**2)))


def _along(axis: int, d: int, part: slice) -> tuple[EllipsisType | slice, ...]:
    """Index that takes a slice of one of the last d axes; `axis` counts from the end."""
    index = [slice(None)] * d
    index[axis] = part
    return (..., *index)


def pool(values: NDArray[_T], cells: int, d: int) -> NDArray[_T]:
    """Maximum over the 2^d children of each cell on the next coarser level.

    Parameters
    ----------
    values : array (..., cells^d)
    """
    grid = values.reshape(*values.shape[:-1], *(cells,) * d)
    # Slices, because a reduction over axes of length two is many times slower.
    for axis in range(-d, 0):
        grid = np.maximum(grid[_along(axis, d, np.s_[0::2])], grid[_along(axis, d, np.s_[1::2])])
    return grid.reshape(*values.shape[:-1], -1)


def spread(values: NDArray[np.bool_], cells: int, d: int) -> NDArray[np.bool_]:
    """Copy the flags of a level with `cells` cells per axis to the next finer level."""
    leading = values.shape[:-1]
    grid = values.reshape(*leading, *(cells, 1) * d)
    for i in range(d):
        grid = np.repeat(grid, 2, axis=len(leading) + 1 + 2 * i)
    return grid.reshape(*leading, -1)


def peaks(values: Array, cells: int, d: int) -> NDArray[np.bool_]:
    """Mark the cells that are at least as high as their neighbours along every axis.

    Parameters
    ----------
    values : array (..., cells^d)
    """
    shape = values.shape
    grid = values.reshape(*shape[:-1], *(cells,) * d)
    marked = np.ones(grid.shape, dtype=bool)
    for axis in range(-d, 0):
        left, right = _along(axis, d, np.s_[:-1]), _along(axis, d, np.s_[1:])
        falls = grid[left] >= grid[right]
        marked[left] &= falls
        marked[right] &= ~falls
    return marked.reshape(shape)
