"""Putting resolved neighbours together again: the search needs finer cells than the quadrature."""

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
    """Merge pairs of the pyramid's cells into pairs of coarser ones, as long as they stay smooth.

    Parameters
    ----------
    boxes : Boxes
        Cells of the pyramid over the inner box, disjoint for each datum, and cells outside it.
    cell, datum : array of int (P,)
        The pairs.
    rough : array (P,)
        How far the integrand is from smooth: at most one where it is, and about four times as
        much in a cell of twice the width. Pairs above one are left out, and block their parents.
    data : int
        N.
    largest : float
        Greatest half-width of a merged cell.
    cells : int
        Cells an axis of the pyramid's finest level.

    Returns
    -------
    boxes : Boxes
    cell, datum : array of int
        The smooth pairs after merging; cells appear once a pair list, in no order.
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

    out = np.flatnonzero(smooth & ~inside)
    keep(boxes.centre[cell[out]], boxes.half[cell[out]], datum[out])
    # Entries handed up from the level below: grid coordinates, owners, roughness.
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
    # The same cell for many data is one cell: a centre and a width name it.
    order = np.lexsort((*centre.T, *width.T))
    centre, width, datum = centre[order], width[order], datum[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = ((centre[1:] != centre[:-1]) | (width[1:] != width[:-1])).any(axis=-1)
    number: Index = np.cumsum(new) - 1
    return Boxes(centre[new], width[new]), number, datum
