"""Where log p may be sharper than nodes some distance apart can see, by what the grid has seen."""

from __future__ import annotations

import numpy as np

from vaetheory._quadrature.beyond_grid import log_prior_mass
from vaetheory._quadrature.decoder_grid import Grid
from vaetheory._quadrature.frames import Flags
from vaetheory._quadrature.grid import Boxes
from vaetheory._validation import Array
from vaetheory.likelihoods.table import Curvature, Table

#: Nats that log p, or the decoder's curvature times the score, may bend by from a node to what is
#: farthest from all: what is sharper may be hidden there. Safety factors included.
_MAX_BEND, _MAX_CURVE = 0.6, 2.0
#: Share of the tolerance that what may be hidden may hold.
LITTLE = 0.25


def sharp(table: Table, cells: Grid, slope: Array, curvature: Curvature, most: Array) -> Flags:
    """Mark the cells in which log p may bend by more than `most` times what nodes see.

    Parameters
    ----------
    table : Table
    cells : Grid
    slope : array (..., C)
        Slopes of log p at the centres.
    curvature : Curvature
        Of log p in the cells.
    most : array (..., C)
    """
    bend = table.bend_of(cells.bend, slope, curvature) / _MAX_BEND
    out: Flags = ~(np.maximum(bend, slope * cells.curve / _MAX_CURVE) <= most)
    # What is like no polynomial is not resolved by nodes farther apart than it is wide.
    return out | cells.kinked


def sharp_mass(table: Table, cells: Grid, boxes: Boxes, level: Array, most: Array) -> Array:
    """Bound the mass of those cells for each datum, `(N, C)`, relative to exp(level)."""
    log_prob, slope = table.dense(cells.params)
    known = table.curvature(cells.params, cells.reach)
    upper = np.minimum(table.upper(log_prob, slope, cells.reach, known), table.peak[:, None])
    upper += log_prior_mass(boxes) - level[:, None]
    return np.where(
        sharp(table, cells, slope, known, most), np.exp(np.clip(upper, -700.0, 700.0)), 0.0
    )
