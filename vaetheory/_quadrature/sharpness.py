"""Cells where log p may vary too fast for the node spacing, judged from the grid samples."""

from __future__ import annotations

import numpy as np

from vaetheory._quadrature.beyond_grid import log_prior_mass
from vaetheory._quadrature.decoder_grid import Grid
from vaetheory._quadrature.frames import Flags
from vaetheory._quadrature.grid import Boxes
from vaetheory._validation import Array
from vaetheory.likelihoods.table import Curvature, Table

#: Nats by which log p, or the decoder's curvature times the score, may bend between a node and the
#: points farthest from all nodes; sharper features may be hidden there. Includes safety factors.
_MAX_BEND, _MAX_CURVE = 0.6, 2.0
#: Share of the tolerance that hidden mass may take.
LITTLE = 0.25


def sharp(table: Table, cells: Grid, slope: Array, curvature: Curvature, most: Array) -> Flags:
    """Mark the cells in which log p may bend by more than `most` times what the nodes resolve.

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
    curve = slope * cells.curve / _MAX_CURVE
    if table.field:
        curve = curve + cells.sag / _MAX_CURVE
    bent: Flags = ~(np.maximum(bend, curve) <= most)
    # A kinked cell is not resolved by nodes that are farther apart than its width.
    return bent | cells.kinked


def sharp_mass(table: Table, cells: Grid, boxes: Boxes, level: Array, most: Array) -> Array:
    """Bound the mass of each datum in the cells marked by `sharp`, `(N, C)`; zero elsewhere.

    The mass is relative to exp(level).
    """
    log_prob, slope = table.dense(cells.params)
    known = table.bounds(cells.params, cells.reach, cells.lift)
    upper = np.minimum(table.upper(log_prob, slope, cells.reach, known), table.peak[:, None])
    upper += log_prior_mass(boxes) - level[:, None]
    return np.where(
        sharp(table, cells, slope, known, most), np.exp(np.clip(upper, -700.0, 700.0)), 0.0
    )
