"""A decoder sampled once, for all data, on a grid that is fine enough for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.grid import CELLS, INNER, MOST_CELLS, Mesh, inner, level
from vaetheory._quadrature.variation import SAFETY, batch, kinked, vary_mesh
from vaetheory._validation import Array, Index
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel

#: A decoder is wavy in a cell where it departs from a plane by this share of its change; ...
_WAVY = 0.45
#: ... a finer grid is used where such cells hold more than this share of the prior.
_WAVY_SHARE = 0.05
#: Number of data on which a method is tried first.
_PROBES = 16


def probes(n: int) -> Index:
    """Indices of a few of n data, on which a method is tried before it is used for all."""
    return np.unique(np.linspace(0, n - 1, _PROBES).astype(np.intp))


@dataclass(frozen=True)
class Grid:
    """The fine grid and the decoder's variation in its cells; all data share it.

    Attributes
    ----------
    cells : int
        Cells per axis.
    params : array (C, D)
        Likelihood parameters at the centres.
    reach, curve, bend, rough : array (C,)
        See `Variation` and `Table.bend`.
    lift, sag : array (C,)
        See `FieldVariation`.
    kinked : array of bool (C,)
        Cells of a line (d = 1) that are not merged into coarser cells, see `variation.kinked`.
    breaks : array (K,)
        Where the decoder says that its kinks are, on a line; sorted. Cells are cut there.
    """

    cells: int
    params: Array
    reach: Array
    curve: Array
    bend: Array
    rough: Array
    lift: Array
    sag: Array
    kinked: NDArray[np.bool_]
    breaks: Array

    def take(self, which: Index) -> Grid:
        """Some of the cells; the attribute `cells` does not change."""
        return Grid(
            self.cells, self.params[which], self.reach[which], self.curve[which],
            self.bend[which], self.rough[which], self.lift[which], self.sag[which],
            self.kinked[which], self.breaks,
        )  # fmt: skip


def _sample(model: LatentModel, table: Table, mesh: Mesh, cells: int) -> Grid:
    """Sample the decoder in the cells of a mesh with `cells` cells per axis."""
    step = batch(model)
    parts = []
    for i in range(0, len(mesh), step):
        v = vary_mesh(model, table, mesh.take(np.s_[i : i + step]))
        bend = SAFETY**2 * table.bend(v.centre, v.delta)
        bent = np.zeros(len(bend), dtype=bool)
        if model.latent_dim == 1:
            # Differences are rounded in proportion to the coordinates themselves.
            bent = kinked(v.changes, v.misfits, table.sizes(v.centre))
        field = v.field
        parts.append((v.centre, v.reach, v.curve, bend, v.rough, field.lift, field.sag, bent))
    arrays = [np.concatenate(p) for p in zip(*parts, strict=True)]
    params, reach, curve, bend, rough, lift, sag, bent = arrays
    return Grid(cells, params, reach, curve, bend, rough, lift, sag, bent.astype(bool), np.empty(0))


def _told(grid: Grid, model: LatentModel, table: Table, breaks: Array) -> Grid:
    """The same grid with the kinks of which the decoder tells; they are samples of their cells."""
    cell = np.floor((breaks + INNER) * (grid.cells / (2 * INNER))).astype(np.intp)
    inside = (cell >= 0) & (cell < grid.cells)
    cell, reach, kinked = cell[inside], grid.reach.copy(), grid.kinked.copy()
    lift = grid.lift.copy()
    kinked[cell] = True
    step = batch(model)
    for i in range(0, len(cell), step):
        here = cell[i : i + step]
        params = table.restrict(model.decode(breaks[inside][i : i + step, None]))
        change = table.changes(params, grid.params[here])
        length = table.length(grid.params[here], change[:, None])[:, 0]
        np.maximum.at(reach, here, SAFETY * length)
        if table.field:
            rise = SAFETY * np.maximum(table.rise(change), 0)
            np.maximum.at(lift, here, rise + grid.sag[here])
    return replace(grid, reach=reach, lift=lift, kinked=kinked, breaks=breaks)


def sample_grid(model: LatentModel, table: Table, breaks: Array | None = None) -> Grid:
    """Sample the decoder on a grid that is fine enough for it to look smooth.

    Parameters
    ----------
    model : LatentModel
    table : Table
    breaks : array (K,), optional
        Where the decoder says that its kinks are, if its latents are on a line; sorted.
    """
    d = model.latent_dim
    cells = CELLS[d]
    weight = np.exp(standard_log_prob(level(d, cells).centre))
    while True:
        grid = _sample(model, table, inner(d, cells), cells)
        # Cells in which the decoder is far from a plane and its change is not small.
        wavy = (grid.rough > _WAVY) & (grid.reach > 1)
        if cells == MOST_CELLS[d] or weight @ wavy <= _WAVY_SHARE * weight.sum():
            return grid if breaks is None else _told(grid, model, table, breaks)
        cells *= 2
        weight = np.exp(standard_log_prob(level(d, cells).centre))
