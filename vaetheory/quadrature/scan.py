"""Where the posterior mass of each datum can be: a fixed grid, then branch and bound.

The result is a list of (cell, datum) pairs on which the integrand is smooth enough for a
quadrature rule to see everything, and a bound of what was dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array
from vaetheory.gaussians import LOG_2PI, standard_log_prob
from vaetheory.models import LatentModel
from vaetheory.modes import climb, log_laplace
from vaetheory.quadrature.blocks import Index, blocks
from vaetheory.quadrature.frames import Slots
from vaetheory.quadrature.grid import (
    Boxes,
    level,
    peaks,
    pool,
    spread,
)
from vaetheory.quadrature.merge import merge
from vaetheory.quadrature.outskirts import MARGIN, beyond, log_prior_mass, outskirts, radius_for
from vaetheory.quadrature.pairs import MAX_PAIRS, Pairs, TooManyPairs, join, keep, select, split
from vaetheory.quadrature.planes import Parabolas, Planes
from vaetheory.quadrature.survey import Grid
from vaetheory.quadrature.tables import GaussianTable, Table
from vaetheory.quadrature.variation import (
    ROUGH,
    SAFETY,
    SAFETY_CURVE,
    Variation,
    batch,
    calmer,
    misfit_matrix,
    offsets,
    vary,
    worst_axes,
)

#: A pair is resolved when, within the cell, log p bends away from a tangent by at most this
#: (whitened Gaussian: the cell is seen under 6 standard deviations) ...
MAX_BEND = 18.0
#: ... the decoder's own curvature moves it by at most this ...
MAX_CURVE = 10.0
#: ... and the log prior bends by at most this, all in nats.
MAX_PRIOR = 12.0
#: A cell's variation is taken to be at least this share of what its parent has foretold, ...
_INHERITED = 0.5
#: ... but no more than this many times its own.
_TRUSTED = 8.0
_LINEAR_SAFETY = 1.25
#: At least this share of the decoder's curvature is taken to lie along the score.
_ALIGNED = 0.1
_LOST = 1e-14
_LIMIT = 300_000
_DEEPEST = 80


@dataclass(frozen=True)
class Look:
    """What a closer look at pairs has shown.

    Attributes
    ----------
    upper : array (P,)
        Log of the bound of the mass, relative to exp(level).
    alive : array of bool (P,)
        Where that is too much to be dropped.
    rough : array (P,)
        At most one where the pair is resolved; it grows fourfold when the width doubles.
    varies : array (C, 2)
        Reach and curve of each cell, see `Variation`.
    axes : array of bool (C, d)
        Along which axes a cell is to be halved.
    parabolas : Parabolas, optional
    """

    upper: Array
    alive: NDArray[np.bool_]
    rough: Array
    varies: Array
    axes: NDArray[np.bool_]
    parabolas: Parabolas | None


@dataclass
class Scan:
    """State of the search for one chunk of data.

    Attributes
    ----------
    best : array (N,)
        Greatest log joint seen, nats.
    level : array (N,)
        Log of a first guess of the evidence (Laplace at the mode found); decides what to drop.
    mode : array (N, d)
        Where `best` was seen.
    information : array (N, d, d)
        Gauss-Newton curvature there.
    dropped : array (N,)
        Bound of the mass dropped, relative to exp(level).
    nodes : array of int (N,)
        Evaluations of the integrand.
    gave_up : array of bool (N,)
        Where the budget was spent.
    alive, rough : array (N, C)
        Which cells of the grid are not dropped, and how far they are from resolved.
    summits : pair of arrays of int
        Data and cells where the log joint is greatest among its neighbours (d > 1).
    outside : Pairs
        Cells outside the grid that are not dropped.
    outside_reach : array (C,)
        Their reach, see `Variation`.
    """

    model: LatentModel
    table: Table
    rtol: float
    max_nodes: int
    best: Array = field(init=False)
    level: Array = field(init=False)
    mode: Array = field(init=False)
    information: Array = field(init=False)
    dropped: Array = field(init=False)
    nodes: Index = field(init=False)
    gave_up: NDArray[np.bool_] = field(init=False)
    grid: Grid = field(init=False)
    alive: NDArray[np.bool_] = field(init=False)
    rough: Array = field(init=False)
    summits: tuple[Index, Index] = field(init=False)
    outside: Pairs = field(init=False)
    outside_reach: Array = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.table.data)
        self.dropped = np.zeros(n)
        self.nodes = np.zeros(n, dtype=np.intp)
        self.gave_up = np.zeros(n, dtype=bool)
        self._threshold = np.log(self.rtol) - MARGIN

    def _climb(self, which: Index, start: Array) -> None:
        z, best, information = climb(self.model, self.table.data[which], start)
        better = best > self.best[which]
        which, before = which[better], self.level[which[better]]
        self.mode[which], self.best[which] = z[better], best[better]
        self.information[which] = information[better]
        self.level[which] = best[better] + log_laplace(information[better])
        # What was dropped is kept relative to the new level.
        self.dropped[which] *= np.exp(np.clip(before - self.level[which], -700.0, 700.0))

    def begin(self, grid: Grid) -> None:
        """Look at every cell of the grid, and of what surrounds it."""
        n, d = len(self.table.data), self.model.latent_dim
        self.best, self.level = np.full(n, -np.inf), np.zeros(n)
        self.mode, self.information = np.zeros((n, d)), np.zeros((n, d, d))
        self.information[:] = np.eye(d)
        self._inner(grid)
        radius = radius_for(self.table, self.level, self.rtol)
        self.outside, self.outside_reach = self._outer(radius)
        # What no cell covers.
        self.dropped += beyond(self.table, self.level, radius, d)

    def pairs(self, which: NDArray[np.bool_]) -> Pairs:
        """The cells on which the integrands of some data are resolved; all else is dropped."""
        d = self.model.latent_dim
        alive = self.alive & which[:, None]
        far = keep(self.outside, which[self.outside.datum])[0]
        *coarse, fine = self._pyramid(alive)
        if d > 1:
            return self._refine(join([*coarse, fine, far], d))
        # On a line a closer look costs more than the few cells that it would merge.
        return join([*coarse, self._refine(join([fine, far], d), merging=False)], d)

    def grid_centres(self) -> Array:
        """Centres of the grid's cells, `(C, d)`."""
        return level(self.model.latent_dim, self.grid.cells).centre

    def survivors(self, which: NDArray[np.bool_]) -> tuple[Pairs, Array]:
        """The cells of some data that were not dropped, and the reach of each cell."""
        d = self.model.latent_dim
        cell, datum = np.nonzero((self.alive & which[:, None]).T)
        near, seen = select(level(d, self.grid.cells), cell, datum)
        far, used = keep(self.outside, which[self.outside.datum])
        reach = np.concatenate([self.grid.reach[seen], self.outside_reach[used]])
        return join([near, far], d), reach

    def _drop(self, upper: Array) -> NDArray[np.bool_]:
        """Account for the pairs of a table `(N, C)` that are dropped; return the others."""
        alive: NDArray[np.bool_] = upper > self._threshold
        # Most lie far below: they are counted, not exponentiated.
        near = ~alive & (upper > self._threshold - 20)
        datum, cell = np.nonzero(near)
        self.dropped += np.bincount(datum, np.exp(upper[datum, cell]), minlength=len(upper))
        self.dropped += upper.shape[1] * np.exp(self._threshold - 20)
        return alive

    def _inner(self, grid: Grid) -> None:
        d, table = self.model.latent_dim, self.table
        boxes = level(d, grid.cells)
        log_prob, slope = table.dense(grid.params)
        self.nodes += len(boxes)
        joint = log_prob + standard_log_prob(boxes.centre)
        # How far each pair is from resolved; both grow fourfold from a level to a coarser one.
        rough = slope * (grid.curve / MAX_CURVE)
        np.maximum(rough, table.bend_of(grid.bend, slope) / MAX_BEND, out=rough)
        self._first_modes(joint, rough, boxes)
        upper = np.minimum(table.upper(log_prob, slope, grid.reach), table.peak[:, None])
        del log_prob, slope
        upper += log_prior_mass(boxes)
        upper -= self.level[:, None]
        self.grid, self.alive, self.rough = grid, self._drop(upper), rough
        if d > 1:
            self.summits = self._summits(joint)

    def _first_modes(self, joint: Array, rough: Array, boxes: Boxes) -> None:
        """Climb from the best cell of each datum, or take it where the grid resolves it."""
        table = self.table
        rows = np.arange(len(joint))
        top = joint.argmax(axis=-1)
        which = rows
        if self.model.latent_dim == 1:
            self.best, self.mode = joint[rows, top], boxes.centre[top]
            share = np.exp(np.maximum(joint - self.best[:, None], -50.0))
            self.level = self.best + np.log(share.sum(axis=-1)) + boxes.log_volume()[0]
            self.information = self.model.gauss_newton(table.data, self.mode)[1]
            which = np.flatnonzero(rough[rows, top] > 1)
            self.best[which] = -np.inf
        self._climb(which, boxes.centre[top[which]])

    def _summits(self, joint: Array) -> tuple[Index, Index]:
        """Data and cells of the greatest few local maxima of each row of a table `(N, C)`."""
        d = self.model.latent_dim
        datum, cell = np.nonzero(peaks(joint, self.grid.cells, d) & self.alive)
        order = np.lexsort((-joint[datum, cell], datum))
        datum, cell = datum[order], cell[order]
        first = np.searchsorted(datum, np.arange(len(joint)))
        kept = np.arange(len(datum)) - first[datum] < 1 << d
        return datum[kept], cell[kept]

    def _pyramid(self, alive: NDArray[np.bool_]) -> list[Pairs]:
        """The pairs that are alive, in the coarsest cells on which they are resolved."""
        d, cells, rough = self.model.latent_dim, self.grid.cells, self.rough
        found = [(cells, alive, rough <= 1)]
        while cells > 2:
            alive, rough = pool(alive, cells, d), 4 * pool(rough, cells, d)
            cells //= 2
            found.append((cells, alive, rough <= 1))
        covered = np.zeros_like(alive)
        parts: list[Pairs] = []
        for cells, alive, resolved in reversed(found):
            boxes = level(d, cells)
            small = 0.5 * (boxes.half[0] ** 2).sum() <= MAX_PRIOR
            here = alive & ~covered
            if cells < self.grid.cells:
                here &= resolved if small else False
                covered = spread(covered | here, cells, d)
            cell, datum = np.nonzero(here.T)
            parts.append(select(boxes, cell, datum)[0])
        return parts

    def _outer(self, radius: float) -> tuple[Pairs, Array]:
        """The pairs outside the inner box that are not dropped, and the cells' reach."""
        parts: list[Pairs] = []
        reach: list[Array] = [np.empty(0)]
        for some in outskirts(self.model, self.table, radius):
            self.nodes += len(some.boxes)
            better = np.flatnonzero(some.joint.max(axis=-1) > self.best + 1)
            if len(better):
                self._climb(better, some.boxes.centre[some.joint[better].argmax(axis=-1)])
            cell, datum = np.nonzero(self._drop(some.upper - self.level[:, None]).T)
            pairs, used = select(some.boxes, cell, datum)
            parts.append(pairs)
            reach.append(some.reach[used])
        return join(parts, self.model.latent_dim), np.concatenate(reach)

    def glance(self, pairs: Pairs, calm: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Bound the mass of pairs by the centres alone: one evaluation a pair.

        Parameters
        ----------
        pairs : Pairs
        calm : array (C,)
            What the cells vary by, as their parents had it.

        Returns
        -------
        upper : array (P,)
            Log of the bound, relative to exp(level).
        alive : array of bool (P,)
        """
        upper = np.empty(len(pairs))
        params = np.empty((len(pairs.boxes), self.model.data_dim))
        step = max(1, _LIMIT // self.model.data_dim)
        for i in range(0, len(params), step):
            centre = pairs.boxes.centre[i : i + step]
            params[i : i + step] = self.table.restrict(self.model.decode(centre))
        for b in blocks(
            pairs.cell, per_pair=2 * params.shape[1], per_cell=params.shape[1], limit=_LIMIT
        ):
            who = pairs.datum[b.pairs]
            value, score = self.table.centre(who, params[b.cells])
            slope = np.sqrt(np.einsum("cld,cld->cl", score, score))
            bound = self.table.upper(value, slope, calm[b.cells, None])
            bound += _LOST * (np.abs(value) + slope * calm[b.cells, None])
            upper[b.pairs[b.valid]] = np.minimum(bound, self.table.peak[who])[b.valid]
        self.nodes += self.counts(pairs)
        upper += log_prior_mass(pairs.boxes)[pairs.cell] - self.level[pairs.datum]
        return upper, upper > self._threshold

    def account(self, dropped: Array, pairs: Pairs, upper: Array, gone: NDArray[np.bool_]) -> None:
        """Add the bounds of the pairs that are gone to `dropped`."""
        lost = np.exp(np.minimum(upper[gone], 700.0))
        dropped += np.bincount(pairs.datum[gone], lost, minlength=len(dropped))

    def counts(self, pairs: Pairs, weights: Index | None = None) -> Index:
        """Number of pairs of each datum, or the sum of their weights."""
        sums = np.bincount(pairs.datum, weights, minlength=len(self.best))
        return sums.astype(np.intp, copy=False)

    def _refine(self, pairs: Pairs, *, merging: bool = True) -> Pairs:
        """Branch and bound until every pair is dropped or resolved."""
        d = self.model.latent_dim
        calm: Array = np.zeros(len(pairs.boxes))
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
            # What the next level would cost decides, so that the budget is kept.
            children = np.where(alive & ~resolved, 1 << axes.sum(axis=-1)[pairs.cell], 0)
            cost = (len(offsets(d)) + 1) * self.counts(pairs, children)
            self.gave_up |= (cost > 0) & (self.nodes + cost > self.max_nodes)
            going = alive & (resolved | ~self.gave_up[pairs.datum])
            self.account(self.dropped, pairs, upper, ~going)
            if merging and not depth:
                done.append(self._merge(pairs, going, rough))
            else:
                done.append(keep(pairs, going & resolved)[0])
            pairs, calm = self.parts(pairs, look, going & ~resolved, self.dropped)
        return join(done, d)

    def examine(
        self, pairs: Pairs, calm: Array, beyond: Slots | None = None, *, closely: bool = True
    ) -> Look:
        """Bound the mass of each pair and say how far it is from resolved.

        Parameters
        ----------
        pairs : Pairs
        calm : array (C,)
            What each cell varies by as its parent had it; zero where there is none.
        beyond : Slots, optional
            Frames of the data: what lies in them does not count.
        closely : bool
            Evaluate the pairs at all samples of their cells, to tell how rough they are; otherwise
            at the centres alone, where a Gaussian likelihood makes of the decoder's planes bounds.
        """
        boxes, count = pairs.boxes, len(pairs.boxes)
        upper, rough = np.empty(len(pairs)), np.zeros(len(pairs))
        parabolas = None
        if isinstance(self.table, GaussianTable):
            parabolas = Parabolas.empty(len(pairs), self.model.latent_dim)
        closely |= parabolas is None
        varies = np.empty((count, 2))
        reach, curve = varies.T
        axes = np.empty((count, self.model.latent_dim), dtype=bool)
        step = batch(self.model)
        for i in range(0, count, step):
            some = boxes.take(np.s_[i : i + step])
            v = vary(self.model, self.table, some)
            # A function that grows by orders of magnitude may truly be calm in one half.
            inherited = np.minimum(_INHERITED * calm[i : i + step], _TRUSTED * v.reach)
            reach[i : i + step] = np.maximum(v.reach, inherited)
            axes[i : i + step] = worst_axes(v, some)
            curve[i : i + step] = v.curve
            lo, hi = np.searchsorted(pairs.cell, [i, i + step])
            self._pairs_of(
                v, some, reach[i : i + step], pairs.cell[lo:hi] - i, pairs.datum[lo:hi],
                upper[lo:hi], rough[lo:hi], parabolas and parabolas.take(np.s_[lo:hi]), beyond,
                closely,
            )  # fmt: skip
        each = len(offsets(self.model.latent_dim)) + 1 if closely else 1
        self.nodes += each * self.counts(pairs)
        upper += log_prior_mass(boxes)[pairs.cell] - self.level[pairs.datum]
        # A cell at the resolution of float64 cannot be split; its error figure will tell.
        tiny = np.asarray((boxes.half <= 1e-13 * (1 + np.abs(boxes.centre))).any(axis=-1))
        small = 0.5 * (boxes.half**2).sum(axis=-1) / MAX_PRIOR
        rough = np.maximum(rough, small[pairs.cell])
        rough = np.where(tiny[pairs.cell], 0.0, rough)
        return Look(upper, upper > self._threshold, rough, varies, axes, parabolas)

    def parts(
        self, pairs: Pairs, look: Look, which: NDArray[np.bool_], dropped: Array
    ) -> tuple[Pairs, Array]:
        """Halve the cells of some pairs that were looked at; also returns what the parts vary by.

        Parts that the cells' planes show to hold too little are added to `dropped`.
        """
        kept, used = keep(pairs, which)
        axes = look.axes[used]
        calm = calmer(look.varies[used], axes)
        kept, parent, source = split(kept, axes)
        calm = calm[parent]
        if look.parabolas is None or not len(kept):
            return kept, calm
        parabolas = look.parabolas.take(np.flatnonzero(which)[source])
        centre = pairs.boxes.centre[used]
        above = (kept.boxes.centre > centre[parent])[kept.cell].T
        chosen = np.where(above, parabolas.halves[:, 1], parabolas.halves[:, 0])
        chosen = np.where(axes[parent][kept.cell].T, chosen, parabolas.whole())
        upper = parabolas.upper(chosen) + self.table.peak[kept.datum] - self.level[kept.datum]
        constant = 0.5 * self.model.latent_dim * LOG_2PI
        upper += (kept.boxes.log_volume() - constant)[kept.cell]
        gone = upper <= self._threshold
        self.account(dropped, kept, upper, gone)
        kept, used = keep(kept, ~gone)
        return kept, calm[used]

    def _merge(self, pairs: Pairs, which: NDArray[np.bool_], rough: Array) -> Pairs:
        """The resolved pairs among those kept, in the coarsest cells that are still resolved."""
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

    def _pairs_of(
        self,
        v: Variation,
        boxes: Boxes,
        reach: Array,
        cell: Index,
        datum: Index,
        upper: Array,
        rough: Array,
        parabolas: Parabolas | None,
        beyond: Slots | None,
        closely: bool,
    ) -> None:
        """Fill in what is known of the pairs of some cells, and note better points."""
        table, d = self.table, self.model.latent_dim
        points = boxes.centre[:, None] + boxes.half[:, None] * np.r_[np.zeros((1, d)), offsets(d)]
        prior = standard_log_prob(points)
        bend = SAFETY**2 * table.bend(v.centre, v.delta)
        # A variation inherited from the parent counts for the bend as well.
        bend = bend * np.maximum(1.0, reach / np.maximum(v.reach, 1e-300)) ** 2
        seen, where = np.empty(len(cell)), np.zeros(len(cell), dtype=np.intp)
        k, size = points.shape[1], self.model.data_dim
        planes = None if parabolas is None else Planes(v, boxes, reach)
        least = 0.5 * boxes.least_square()
        residual = misfit_matrix(d)
        for b in blocks(cell, per_pair=2 * k + 2 * size, per_cell=k * size, limit=_LIMIT):
            there, who = b.pairs[b.valid], datum[b.pairs]
            value, score = table.centre(who, v.centre[b.cells])
            slope = np.sqrt(np.einsum("cld,cld->cl", score, score))
            bound = table.upper(value, slope, reach[b.cells, None])
            # Where values are huge, what cancels has lost its digits.
            lost = _LOST * (np.abs(value) + slope * reach[b.cells, None])
            best = value + prior[b.cells, :1]
            if closely:
                delta = v.delta[b.cells]
                linear = score @ np.swapaxes(delta, -1, -2)
                # In many dimensions most of the decoder's curvature is orthogonal to the score.
                curve = SAFETY_CURVE * np.abs(linear @ residual[:, 1:].T).max(axis=-1)
                curve = np.maximum(curve, _ALIGNED * slope * v.curve[b.cells, None])
                tangent = value + _LINEAR_SAFETY * np.maximum(linear.max(axis=-1), 0) + curve
                tangent += (table.convexity * reach**2)[b.cells, None]
                # A tangent says nothing of what rough samples may have missed.
                tangent[v.rough[b.cells] > ROUGH[d]] = np.inf
                bound = np.minimum(bound, tangent)
                wide = table.bend_of(bend[b.cells, None], slope)
                rough[there] = np.maximum(curve / MAX_CURVE, wide / MAX_BEND)[b.valid]
                change = table.change(score, who, v.centre[b.cells], delta)
                change += prior[b.cells, None, 1:]
                where[there] = change.argmax(axis=-1)[b.valid] + 1
                best = value + change.max(axis=-1)
            bound = np.minimum(bound + lost, table.peak[who])
            if planes is not None:
                found = planes.look(b.cells, score, who, beyond)
                found.square[:] -= 2 * lost
                flat = table.peak[who] + least[b.cells, None] + found.upper()
                bound = np.minimum(bound, flat + lost)
                parabolas.put(there, found, b.valid)
            upper[there] = bound[b.valid]
            seen[there] = (best - lost)[b.valid]
        better = np.flatnonzero(seen > self.best[datum] + 1)
        if len(better):
            better = better[np.argsort(seen[better], kind="stable")]
            start = self.mode.copy()
            # Assigned in increasing order, so that the best point of a datum stays.
            start[datum[better]] = points[cell[better], where[better]]
            which = np.unique(datum[better])
            self._climb(which, start[which])
