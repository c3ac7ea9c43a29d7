"""Sparse (cell, datum) pairs as dense padded blocks, so that matrix products do the work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Index

#: Bytes; glibc raises the size from which on it maps blocks one by one to 32 MiB at most.
_MAPPED = (32 << 20) - (1 << 16)


@dataclass(frozen=True)
class Block:
    """Some cells, each with a list of pairs padded to the same length.

    Attributes
    ----------
    cells : array of int (C,)
    pairs : array of int (C, L)
        Positions in the list of pairs; padding repeats a pair of the same cell.
    valid : array of bool (C, L)
        False at the padding.
    """

    cells: Index
    pairs: Index
    valid: NDArray[np.bool_]


def blocks(cell: Index, *, per_pair: int, per_cell: int, limit: int) -> Iterator[Block]:
    """Cut pairs into blocks whose arrays hold about `limit` numbers at most.

    Parameters
    ----------
    cell : array of int (P,)
        The cell of each pair, sorted.
    per_pair, per_cell : int
        Numbers that the work needs for a pair, for a cell.
    limit : int
        Numbers that a block may need.

    Yields
    ------
    Block
        Cells with similar numbers of pairs share a block; long lists are cut.
    """
    if not len(cell):
        return
    starts = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])
    counts = np.diff(np.r_[starts, len(cell)])
    longest = max(1, limit // per_pair)
    if counts.max() > longest:
        pieces = -(-counts // longest)
        which = np.repeat(np.arange(len(starts)), pieces)
        first = np.repeat(np.cumsum(pieces) - pieces, pieces)
        offset = (np.arange(len(which)) - first) * longest
        counts = np.minimum(counts[which] - offset, longest)
        starts = starts[which] + offset
    order = np.argsort(-counts, kind="stable")
    i = 0
    while i < len(order):
        width = int(counts[order[i]])
        most = max(1, min(limit // (per_pair * width), limit // per_cell))
        chosen = order[i : i + most]
        # A list shorter than half the block's would be mostly padding.
        chosen = chosen[2 * counts[chosen] > width - 1]
        steps = np.arange(width)
        valid = steps < counts[chosen][:, None]
        pairs = starts[chosen][:, None] + np.where(valid, steps, 0)
        yield Block(cell[starts[chosen]], pairs, valid)
        i += len(chosen)


def keep_freed_memory() -> None:
    """Let the C library reuse what blocks have freed instead of handing it back to the system.

    Memory that was handed back is faulted in page by page when it is wanted again, which took a
    fifth to a quarter of short calls. glibc reuses blocks of any size up to that of the largest it
    has seen freed, 32 MiB at most, and keeps twice as many bytes free at the end of its heap.
    That holds for the whole process from then on (20 MB more were seen); to others it does nothing.
    """
    np.empty(_MAPPED, dtype=np.uint8)
