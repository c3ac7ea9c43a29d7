"""Merging of resolved neighbouring cells: the search needs finer cells than the quadrature."""

from __future__ import annotations

import numpy as np

from vaetheory._quadrature.grid import INNER, Boxes
from vaetheory._validation import Array, Index


def merge(
    boxes: Boxes,
    cell: Index,
    datum: Index,
    rough: Array,
    *,
    data: int,
    largest: float,
    cells: int,
) -> tuple[Boxes, Index, Index]:
    """Merge pairs of grid cells into pairs of coarser cells, as long as they stay smooth.

    Parameters
    ----------
    boxes : Boxes
        Cells of any level over the inner box, disjoint for each datum, and cells outside it.
    cell, datum : array of int (P,)
        The pairs.
    rough : array (P,)
        Roughness of the integrand: at most one where it is smooth, and about four times as large
        in a cell of twice the width. Pairs above one are left out, and block their parents.
    data : int
        N.
    largest : float
        Greatest half-width of a merged cell.
    cells : int
        Cells per axis on the finest level of the grid.

    Returns
    -------
    boxes : Boxes
    cell, datum : array of int
        The smooth pairs after merging, in no order; each cell appears once.
    """
    d = boxes.centre.shape[1]
    half = boxes.half[cell, 0]
    inside = np.asarray((np.abs(boxes.centre) < INNER).all(axis=-1))[cell]
    smooth = rough <= 1
    centres, halves, who = [], [], []

    def keep(centre: Array, size: Array, owner: Index) -> None:
        centres.append(centre)
        halves.append(size)
        who.append(owner)

    outer = np.flatnonzero(smooth & ~inside)
    keep(boxes.centre[cell[outer]], boxes.half[cell[outer]], datum[outer])
    # Entries from the next finer level: grid coordinates, owners, roughness.
    place, owner = np.empty((0, d), dtype=np.intp), np.empty(0, dtype=np.intp)
    value = np.empty(0)
    while True:
        size = INNER / cells
        here = np.flatnonzero(inside & (half == size))
        mine = np.floor((boxes.centre[cell[here]] + INNER) / (2 * size)).astype(np.intp)
        place, owner = np.concatenate([place, mine]), np.concatenate([owner, datum[here]])
        value = np.concatenate([value, rough[here]])
        if not len(value):
            if cells == 2:
                break
            cells //= 2
            continue
        parent = place // 2
        key = np.ravel_multi_index(tuple(parent.T), (max(cells // 2, 1),) * d) * data + owner
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        worst = np.zeros(len(first))
        np.maximum.at(worst, group, 4 * value)
        merged = (worst <= 1) & (2 * size <= largest) & (cells > 2)
        final = np.flatnonzero(~merged[group] & (value <= 1))
        keep((2 * place[final] + 1) * size - INNER, np.full((len(final), d), size), owner[final])
        if cells == 2:
            break
        place, owner = parent[first], owner[first]
        value = np.where(merged, worst, np.inf)
        cells //= 2
    centre, width, datum = np.concatenate(centres), np.concatenate(halves), np.concatenate(who)
    # The same cell for many data is one cell; its centre and width identify it.
    order = np.lexsort((*centre.T, *width.T))
    centre, width, datum = centre[order], width[order], datum[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = ((centre[1:] != centre[:-1]) | (width[1:] != width[:-1])).any(axis=-1)
    number: Index = np.cumsum(new) - 1
    return Boxes(centre[new], width[new]), number, datum
