"""Lists of (cell, datum) pairs, and functions that join, select and split them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaetheory._quadrature.grid import Boxes
from vaetheory._validation import Array, Index

#: Most pairs in memory at once.
MAX_PAIRS = 3_000_000


class TooManyPairs(Exception):
    """There are too many pairs for the memory; the caller tries again with fewer data."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of a cell and a datum: two index arrays, of which `cell` is sorted."""

    boxes: Boxes
    cell: Index
    datum: Index

    def __len__(self) -> int:
        return len(self.cell)


def join(parts: list[Pairs], d: int) -> Pairs:
    """Concatenate several lists of pairs."""
    if not parts:
        empty = np.empty(0, dtype=np.intp)
        return Pairs(Boxes(np.empty((0, d)), np.empty((0, d))), empty, empty)
    first = np.cumsum([0, *(len(p.boxes) for p in parts[:-1])])
    return Pairs(
        parts[0].boxes.joined([p.boxes for p in parts]),
        np.concatenate([p.cell + i for p, i in zip(parts, first, strict=True)]),
        np.concatenate([p.datum for p in parts]),
    )


def select(boxes: Boxes, cell: Index, datum: Index) -> tuple[Pairs, NDArray[np.bool_]]:
    """Return pairs with the unused cells left out, and the mask `(C,)` of the used cells."""
    used = np.zeros(len(boxes), dtype=bool)
    used[cell] = True
    number = np.cumsum(used) - 1
    return Pairs(boxes.take(used), number[cell], datum), used


def marked(boxes: Boxes, flags: NDArray[np.bool_]) -> tuple[Pairs, NDArray[np.bool_]]:
    """The pairs that are marked in an array `(N, C)`, as `select` returns them."""
    # NumPy finds the marks along one axis several times faster than those along two.
    cell, datum = np.divmod(np.flatnonzero(flags.T), len(flags))
    return select(boxes, cell, datum)


def keep(pairs: Pairs, which: NDArray[np.bool_]) -> tuple[Pairs, NDArray[np.bool_]]:
    """Return some of the pairs, and the mask `(C,)` of the cells that they use."""
    return select(pairs.boxes, pairs.cell[which], pairs.datum[which])


def split(pairs: Pairs, axes: NDArray[np.bool_]) -> tuple[Pairs, Index, Index]:
    """Halve each cell along its own `axes` (C, d).

    The parent of each new cell and the original of each new pair are returned as well.
    """
    return divide(pairs, *pairs.boxes.halved(axes))


def divide(pairs: Pairs, boxes: Boxes, parent: Index) -> tuple[Pairs, Index, Index]:
    """Replace each cell by its parts `boxes`, of which `parent` tells the cells, sorted.

    The result is that of `split`.
    """
    count = np.bincount(parent, minlength=len(pairs.boxes))
    first = np.cumsum(count) - count
    copies = count[pairs.cell]
    source = np.repeat(np.arange(len(pairs)), copies)
    number = np.arange(len(source)) - np.repeat(np.cumsum(copies) - copies, copies)
    cell = first[pairs.cell[source]] + number
    order = np.argsort(cell, kind="stable")
    source = source[order]
    return Pairs(boxes, cell[order], pairs.datum[source]), parent, source


def cut(pairs: Pairs, places: Array) -> Pairs:
    """Cut the cells of a line at some sorted places."""
    low = (pairs.boxes.centre - pairs.boxes.half)[:, 0]
    high = (pairs.boxes.centre + pairs.boxes.half)[:, 0]
    first = np.searchsorted(places, low, side="right")
    count = np.maximum(np.searchsorted(places, high, side="left") - first, 0) + 1
    parent = np.repeat(np.arange(len(low)), count)
    number = np.arange(len(parent)) - np.repeat(np.cumsum(count) - count, count)
    at = first[parent] + number
    left = np.where(number == 0, low[parent], places[np.maximum(at - 1, 0)])
    last = number == count[parent] - 1
    right = np.where(last, high[parent], places[np.minimum(at, len(places) - 1)])
    boxes = Boxes((left + right)[:, None] / 2, (right - left)[:, None] / 2)
    return divide(pairs, boxes, parent)[0]
