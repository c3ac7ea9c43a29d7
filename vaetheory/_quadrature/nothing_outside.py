"""Branch and bound for the mass outside the frames of a posterior."""

from __future__ import annotations

import numpy as np

from vaetheory._quadrature.frames import Flags, Slots
from vaetheory._quadrature.grid_search import Scan
from vaetheory._quadrature.pairs import MAX_PAIRS, Pairs, TooManyPairs, keep
from vaetheory._validation import Array

#: Pairs per frame after which the datum is left to the cells, by dimension.
MOST = {2: 1_500, 3: 60_000, 4: 100_000}
#: From this level on, the pairs of a datum become fewer from level to level, or are at most this
#: many per frame, unless there is mass at the border of a frame: that search would take too long.
_LEVELS, _FEW = 5, 16
#: If the scales vary, the search goes on for this many times more pairs, and more levels, and ends
#: when the rest is at most this share of what may be left out. (Searches of the other families
#: would end earlier by this rule as well, with errors that differ in their third digit.)
_PATIENCE, _MORE_LEVELS, _REST = 4, 3, 0.05
_DEEPEST = 40


def exclude(scan: Scan, slots: Slots, which: Flags) -> tuple[Array, Flags]:
    """Bound the mass of some data outside their frames.

    Parameters
    ----------
    scan : Scan
        After `begin`.
    slots : Slots
        The frames of the data.
    which : array of bool (N,)
        The data for which the mass is wanted.

    Returns
    -------
    dropped : array (N,)
        Bound of the mass, relative to exp(scan.level), in addition to `scan.dropped`.
    shown : array of bool (N,)
        True where the search ended, so that `dropped` bounds all mass outside the frames.
    """
    d = scan.model.latent_dim
    dropped, shown = np.zeros(len(which)), which.copy()
    best, spent = scan.best.copy(), scan.nodes.copy()
    frames = (slots.number >= 0).sum(axis=-1)
    most, levels = MOST[d], _LEVELS
    if scan.table.field:
        most, levels = _PATIENCE * most, levels + _MORE_LEVELS
    before = np.zeros(len(which), dtype=np.intp)

    def outside(pairs: Pairs) -> Flags:
        inside = slots.covered(pairs.boxes, pairs.cell, pairs.datum)
        flags: Flags = ~inside & shown[pairs.datum]
        return flags

    pairs = scan.survivors(which)
    pairs = keep(pairs, outside(pairs))[0]
    calm: Array = np.zeros((len(pairs.boxes), 2))
    for depth in range(_DEEPEST):
        if not len(pairs):
            return dropped, shown
        if len(pairs) > MAX_PAIRS and len(which) > 1:
            raise TooManyPairs
        # The cost is tested before the pairs are examined.
        count = scan.counts(pairs)
        shown &= scan.nodes - spent + count <= most * frames
        shown &= (depth < levels) | (count <= np.maximum(before, _FEW * frames))
        before = count
        pairs, used = keep(pairs, shown[pairs.datum])
        look = scan.examine(pairs, calm[used], slots, closely=False)
        alive = look.alive
        if scan.table.field:
            rest = np.bincount(pairs.datum, np.exp(np.minimum(look.upper, 0.0)) * alive, len(which))
            alive = alive & ~(rest <= _REST * scan.task.ignored)[pairs.datum]
        scan.account(dropped, pairs, look.upper, ~alive)
        # A better point elsewhere shows that the frames are wrong for this posterior.
        shown &= scan.best <= best
        pairs, calm = scan.parts(pairs, look, alive & shown[pairs.datum], dropped)
        pairs, used = keep(pairs, outside(pairs))
        calm = calm[used]
        if not len(pairs):
            break
        upper, alive = scan.glance(pairs, calm)
        scan.account(dropped, pairs, upper, ~alive)
        pairs, used = keep(pairs, alive)
        calm = calm[used]
    shown[pairs.datum] = False
    return dropped, shown
