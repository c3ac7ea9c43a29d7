"""The cells every search starts from: a fixed fine grid, its pyramid, and what lies outside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array

_T = TypeVar("_T", bound=np.generic)

#: The fine grid covers |z|_inf <= INNER; a power of two keeps all cell borders exact.
INNER = 8.0
#: Cells an axis, by dimension: 4096 in all.
CELLS = {1: 4096, 2: 64, 3: 16, 4: 8}
#: Ratio of neighbouring borders outside: wide cells there once hid the modes of a wavy decoder.
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

    def log_volume(self) -> Array:
        """Log volume of each cell, `(C,)`."""
        out: Array = np.log(2 * self.half).sum(axis=-1)
        return out

    def least_square(self) -> Array:
        """Least ||z||^2 in each cell, `(C,)`."""
        out: Array = (np.maximum(np.abs(self.centre) - self.half, 0) ** 2).sum(axis=-1)
        return out


def _product(edges: Array, d: int) -> Boxes:
    centre, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    mesh = np.meshgrid(*(centre,) * d, indexing="ij")
    sizes = np.meshgrid(*(half,) * d, indexing="ij")
    return Boxes(
        np.stack([m.ravel() for m in mesh], axis=-1), np.stack([s.ravel() for s in sizes], axis=-1)
    )


@lru_cache(maxsize=64)
def level(d: int, cells: int) -> Boxes:
    """The inner box with `cells` cells an axis, the last axis varying fastest."""
    return _product(np.linspace(-INNER, INNER, cells + 1), d)


def outer(d: int, radius: float) -> Boxes:
    """Cells that fill |z|_inf <= radius outside the inner box, wider and wider outwards."""
    if radius <= INNER:
        return Boxes(np.empty((0, d)), np.empty((0, d)))
    edges = [INNER]
    while edges[-1] < radius:
        edges.append(min(_GROWTH[d] * edges[-1], radius))
    outside = np.array(edges)
    inside = np.linspace(-INNER, INNER, CELLS[d] // 2 + 1)
    boxes = _product(np.concatenate([-outside[:0:-1], inside, outside[1:]]), d)
    return boxes.take(np.flatnonzero((np.abs(boxes.centre) > INNER).any(axis=-1)))


def pool(values: NDArray[_T], cells: int, d: int) -> NDArray[_T]:
    """Maximum over the 2^d children of each cell of the next coarser level.

    Parameters
    ----------
    values : array (..., cells^d)
    """
    leading = values.shape[:-1]
    out = values.reshape(*leading, *(cells // 2, 2) * d)
    best: NDArray[_T] = out.max(axis=tuple(len(leading) + 1 + 2 * i for i in range(d)))
    return best.reshape(*leading, -1)


def spread(values: NDArray[np.bool_], cells: int, d: int) -> NDArray[np.bool_]:
    """Hand the flags of a level of `cells` an axis down to the next finer one."""
    leading = values.shape[:-1]
    out = values.reshape(*leading, *(cells, 1) * d)
    for i in range(d):
        out = np.repeat(out, 2, axis=len(leading) + 1 + 2 * i)
    return out.reshape(*leading, -1)
