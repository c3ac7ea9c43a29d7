"""The decoder on a grid that is fine enough for it: sampled once, shared by all data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.grid import CELLS, MOST_CELLS, Mesh, inner, level
from vaetheory._quadrature.variation import SAFETY, batch, kinked, vary_mesh
from vaetheory._validation import Array, Index
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel

#: A decoder is wavy on a grid where it leaves its tangent by this share of its change ...
_WAVY = 0.45
#: ... in cells that hold more than this share of the prior.
_WAVY_SHARE = 0.05
#: Data that a road is tried on first.
_PROBES = 16


def probes(n: int) -> Index:
    """Some of n data, on which to try first what may be worth nothing."""
    return np.unique(np.linspace(0, n - 1, _PROBES).astype(np.intp))


@dataclass(frozen=True)
class Grid:
    """The fine grid with the decoder's variation in its cells; shared by all data.

    Attributes
    ----------
    cells : int
        Cells an axis.
    params : array (C, D)
        At the centres.
    reach, curve, bend, rough : array (C,)
        See `Variation` and `Table.bend`.
    kinked : array of bool (C,)
        Cells of a line that are looked at with nodes of their own, see `variation.kinked`.
    """

    cells: int
    params: Array
    reach: Array
    curve: Array
    bend: Array
    rough: Array
    kinked: NDArray[np.bool_]

    def take(self, which: Index) -> Grid:
        """Some of the cells; `cells` stays."""
        return Grid(
            self.cells, self.params[which], self.reach[which], self.curve[which],
            self.bend[which], self.rough[which], self.kinked[which],
        )  # fmt: skip


def _sample(model: LatentModel, table: Table, mesh: Mesh, cells: int) -> Grid:
    """Sample the decoder in the cells of a mesh, `cells` an axis."""
    step = batch(model)
    parts = []
    for i in range(0, len(mesh), step):
        v = vary_mesh(model, table, mesh.take(np.s_[i : i + step]))
        bend = SAFETY**2 * table.bend(v.centre, v.delta)
        bent = np.zeros(len(bend), dtype=bool)
        if model.latent_dim == 1:
            # The coordinates of the outputs themselves: what differences of them are rounded by.
            sizes = np.abs(table.coordinates(v.centre)).max(axis=-1)
            bent = kinked(v.delta, sizes)
        parts.append((v.centre, v.reach, v.curve, bend, v.rough, bent))
    params, reach, curve, bend, rough, bent = (np.concatenate(p) for p in zip(*parts, strict=True))
    return Grid(cells, params, reach, curve, bend, rough, bent.astype(bool))


def sample_grid(model: LatentModel, table: Table) -> Grid:
    """Sample the decoder over a grid that is fine enough for it to look smooth."""
    d = model.latent_dim
    cells = CELLS[d]
    weight = np.exp(standard_log_prob(level(d, cells).centre))
    while True:
        grid = _sample(model, table, inner(d, cells), cells)
        # Cells in which it looks nothing like a plane, apart from what is small anyway.
        wavy = (grid.rough > _WAVY) & (grid.reach > 1)
        if cells == MOST_CELLS[d] or weight @ wavy <= _WAVY_SHARE * weight.sum():
            return grid
        cells *= 2
        weight = np.exp(standard_log_prob(level(d, cells).centre))
