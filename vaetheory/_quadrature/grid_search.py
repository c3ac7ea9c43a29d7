"""Search for each datum's posterior mass: first a fixed grid, then branch and bound.

The result is a list of (cell, datum) pairs on which the integrand is smooth enough for a
quadrature rule to resolve it, and a bound of the mass that was dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.beyond_grid import beyond, log_prior_mass, outskirts, radius_for
from vaetheory._quadrature.decoder_grid import Grid
from vaetheory._quadrature.grid import Boxes, level, peaks, pool, spread
from vaetheory._quadrature.merge_cells import merge
from vaetheory._quadrature.pairs import MAX_PAIRS, Pairs, TooManyPairs, cut, join, keep, marked
from vaetheory._quadrature.resolution import MAX_BEND, MAX_CURVE, MAX_PRIOR
from vaetheory._quadrature.search_state import Search
from vaetheory._quadrature.variation import offsets
from vaetheory._validation import Array, Index
from vaetheory.rounding import ULP

#: Levels of the search; a cell's width reaches the resolution of float64 long before.
_DEEPEST = 80
#: If the last digit of a log joint is worth this many nats, the search gives up on the datum.
_UNREADABLE = 1e-3


@dataclass
class Scan(Search):
    """A search that begins on the grid.

    Attributes
    ----------
    grid : Grid
    alive, rough : array (N, C)
        The cells of the grid that are not dropped, and how far they are from resolved.
    summits : pair of arrays of int
        Data and cells of local maxima of the log joint on the grid (d > 1).
    outside : Pairs
        Cells outside the grid that are not dropped.
    """

    grid: Grid = field(init=False)
    alive: NDArray[np.bool_] = field(init=False)
    rough: Array = field(init=False)
    summits: tuple[Index, Index] = field(init=False)
    outside: Pairs = field(init=False)

    def begin(self, grid: Grid) -> None:
        """Bound the mass in every cell of the grid, and in the cells outside it."""
        self._inner(grid)
        # The last digit of such large log joints is a visible part of a nat: they say nothing
        # about the evidence, and a search that far out would not end.
        self.gave_up |= ~(ULP * (self.table.peak - self.level) < _UNREADABLE)
        self.alive[self.gave_up] = False
        if self.gave_up.all():
            self.outside = join([], self.model.latent_dim)
            return
        rows = np.flatnonzero(~self.gave_up)
        radius = radius_for(self.table.take(rows), self.level[rows], self.task.ignored)
        self.outside = self._outer(radius)
        # The mass outside all cells.
        self.dropped += beyond(self.table, self.level, radius, self.model.latent_dim)

    def pairs(self, which: NDArray[np.bool_]) -> Pairs:
        """The cells on which the integrands of some data are resolved; the others are dropped."""
        d = self.model.latent_dim
        alive = self.alive & which[:, None]
        far = keep(self.outside, which[self.outside.datum])[0]
        *coarse, fine = self._pyramid(alive)
        if d > 1:
            return self._refine(join([*coarse, fine, far], d))
        fine = join([fine, far], d)
        if len(self.grid.breaks):
            fine = cut(fine, self.grid.breaks)
        # On a line, testing cells for a merge costs more than the few merged cells would save.
        return join([*coarse, self._refine(fine, merging=False)], d)

    def grid_centres(self) -> Array:
        """Centres of the grid's cells, `(C, d)`."""
        return level(self.model.latent_dim, self.grid.cells).centre

    def survivors(self, which: NDArray[np.bool_]) -> Pairs:
        """The cells of some data that were not dropped."""
        d = self.model.latent_dim
        near = marked(level(d, self.grid.cells), self.alive & which[:, None])[0]
        return join([near, keep(self.outside, which[self.outside.datum])[0]], d)

    def _inner(self, grid: Grid) -> None:
        d, table = self.model.latent_dim, self.table
        boxes = level(d, grid.cells)
        log_prob, slope = table.dense(grid.params)
        self.nodes += len(boxes)
        joint = log_prob + standard_log_prob(boxes.centre)
        # How far each pair is from resolved; both grow fourfold on the next coarser level.
        rough = slope * (grid.curve / MAX_CURVE)
        if table.field:
            rough += grid.sag / MAX_CURVE
        curvature = table.bounds(grid.params, grid.reach, grid.lift)
        np.maximum(rough, table.bend_of(grid.bend, slope, curvature) / MAX_BEND, out=rough)
        # Kinked cells are not merged into coarser ones, whose nodes might all miss the kinks.
        rough[:, grid.kinked] = np.maximum(rough[:, grid.kinked], 1.0)
        self._first_modes(joint, rough, boxes)
        upper = np.minimum(table.upper(log_prob, slope, grid.reach, curvature), table.peak[:, None])
        del log_prob, slope
        upper += log_prior_mass(boxes)
        upper -= self.level[:, None]
        self.grid, self.alive, self.rough = grid, self.drop(upper), rough
        if d > 1:
            self.summits = self._summits(joint)

    def _first_modes(self, joint: Array, rough: Array, boxes: Boxes) -> None:
        """Climb from the best cell of each datum, or use its centre if the grid resolves it."""
        table = self.table
        rows = np.arange(len(joint))
        top = joint.argmax(axis=-1)
        which = rows
        if self.model.latent_dim == 1:
            self.best, self.mode = joint[rows, top], boxes.centre[top]
            share = np.exp(np.maximum(joint - self.best[:, None], -50.0))
            self.level = self.best + np.log(share.sum(axis=-1)) + boxes.log_volume()[0]
            self.information = self.model.definite_information(table.data, self.mode)
            which = np.flatnonzero(rough[rows, top] > 1)
            self.best[which] = -np.inf
        self.climb(which, boxes.centre[top[which]])

    def _summits(self, joint: Array) -> tuple[Index, Index]:
        """Data and cells of the highest few local maxima in each row of an array `(N, C)`."""
        d = self.model.latent_dim
        datum, cell = np.nonzero(peaks(joint, self.grid.cells, d) & self.alive)
        order = np.lexsort((-joint[datum, cell], datum))
        datum, cell = datum[order], cell[order]
        first = np.searchsorted(datum, np.arange(len(joint)))
        kept = np.arange(len(datum)) - first[datum] < 1 << d
        return datum[kept], cell[kept]

    def _pyramid(self, alive: NDArray[np.bool_]) -> list[Pairs]:
        """The pairs that are not dropped, in the coarsest cells on which they are resolved."""
        d, cells, rough = self.model.latent_dim, self.grid.cells, self.rough
        levels = [(cells, alive, rough <= 1)]
        # Cells that are resolved have halves that are: a level without any is the coarsest.
        while cells > 2 and (levels[-1][1] & levels[-1][2]).any():
            alive, rough = pool(alive, cells, d), 4 * pool(rough, cells, d)
            cells //= 2
            levels.append((cells, alive, rough <= 1))
        covered = np.zeros_like(alive)
        parts: list[Pairs] = []
        for cells, alive, resolved in reversed(levels):
            boxes = level(d, cells)
            small = 0.5 * (boxes.half[0] ** 2).sum() <= MAX_PRIOR
            here = alive & ~covered
            if cells < self.grid.cells:
                here &= resolved if small else False
                covered = spread(covered | here, cells, d)
            parts.append(marked(boxes, here)[0])
        return parts

    def _outer(self, radius: float) -> Pairs:
        """The pairs outside the inner box that are not dropped."""
        parts: list[Pairs] = []
        for outskirt in outskirts(self.model, self.table, radius):
            self.nodes += len(outskirt.boxes)
            better = np.flatnonzero(~self.gave_up & (outskirt.joint.max(axis=-1) > self.best + 1))
            if len(better):
                self.climb(better, outskirt.boxes.centre[outskirt.joint[better].argmax(axis=-1)])
            alive = self.drop(outskirt.upper - self.level[:, None]) & ~self.gave_up[:, None]
            parts.append(marked(outskirt.boxes, alive)[0])
        return join(parts, self.model.latent_dim)

    def _refine(self, pairs: Pairs, *, merging: bool = True) -> Pairs:
        """Branch and bound until every pair is dropped or resolved."""
        d = self.model.latent_dim
        calm: Array = np.zeros((len(pairs.boxes), 2))
        done: list[Pairs] = []
        for depth in range(_DEEPEST):
            if not len(pairs):
                break
            if len(pairs) > MAX_PAIRS and len(self.best) > 1:
                raise TooManyPairs
            if depth:
                upper, alive = self.glance(pairs, calm)
                self.account(self.dropped, pairs, upper, ~alive)
                pairs, used = keep(pairs, alive)
                calm = calm[used]
            look = self.examine(pairs, calm)
            upper, alive, rough, axes = look.upper, look.alive, look.rough, look.axes
            resolved = rough <= 1
            if depth == _DEEPEST - 1:
                resolved[:] = True
            # The cost of the next level is tested before it is spent, to keep the budget.
            children = np.where(alive & ~resolved, 1 << axes.sum(axis=-1)[pairs.cell], 0)
            cost = (len(offsets(d)) + 1) * self.counts(pairs, children)
            self.gave_up |= (cost > 0) & (self.nodes + cost > self.task.max_nodes)
            going = alive & (resolved | ~self.gave_up[pairs.datum])
            self.account(self.dropped, pairs, upper, ~going)
            if merging and not depth:
                done.append(self._merge(pairs, going, rough))
            else:
                done.append(keep(pairs, going & resolved)[0])
            pairs, calm = self.parts(pairs, look, going & ~resolved, self.dropped)
        return join(done, d)

    def _merge(self, pairs: Pairs, which: NDArray[np.bool_], rough: Array) -> Pairs:
        """The resolved pairs among those given, in the coarsest cells that are still resolved."""
        largest = np.sqrt(2 * MAX_PRIOR / self.model.latent_dim)
        merged = merge(
            pairs.boxes,
            pairs.cell[which],
            pairs.datum[which],
            rough[which],
            data=len(self.best),
            largest=float(largest),
            cells=self.grid.cells,
        )
        return Pairs(*merged)
