"""Sparse (cell, datum) pairs as dense padded blocks for matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Index

#: Bytes; glibc raises the size above which it maps each block separately, up to 32 MiB.
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
    """Cut pairs into blocks whose arrays hold at most about `limit` numbers.

    Parameters
    ----------
    cell : array of int (P,)
        The cell of each pair, sorted.
    per_pair, per_cell : int
        Numbers that are held for each pair and for each cell.
    limit : int
        Numbers that a block may hold.

    Yields
    ------
    Block
        Cells with similar numbers of pairs share a block; long lists of pairs are cut.
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
        # A list less than half as long as the block would be mostly padding.
        chosen = chosen[2 * counts[chosen] > width - 1]
        steps = np.arange(width)
        valid = steps < counts[chosen][:, None]
        pairs = starts[chosen][:, None] + np.where(valid, steps, 0)
        yield Block(cell[starts[chosen]], pairs, valid)
        i += len(chosen)


def keep_freed_memory() -> None:
    """Let the C library reuse freed blocks instead of returning them to the system.

    Returned memory is faulted in page by page when it is needed again, which took a fifth to a
    quarter of the time of short calls. glibc reuses blocks up to the size of the largest block
    that it has seen freed (at most 32 MiB), and keeps twice as many bytes free at the end of its
    heap. The effect lasts for the whole process (20 MB more were measured); other C libraries are
    not affected.
    """
    np.empty(_MAPPED, dtype=np.uint8)
