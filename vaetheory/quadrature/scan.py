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
from vaetheory.quadrature.grid import CELLS, INNER, Boxes, level, outer, pool, spread
from vaetheory.quadrature.merge import merge
from vaetheory.quadrature.pairs import MAX_PAIRS, Pairs, TooManyPairs, join, select, split
from vaetheory.quadrature.tables import Table
from vaetheory.quadrature.variation import (
    SAFETY,
    SAFETY_CURVE,
    Variation,
    batch,
    fit,
    offsets,
    vary,
)

#: A pair is resolved when, within the cell, log p bends away from a tangent by at most this
#: (whitened Gaussian: the cell is seen under 6 standard deviations) ...
MAX_BEND = 18.0
#: ... the decoder's own curvature moves it by at most this ...
MAX_CURVE = 10.0
#: ... and the log prior bends by at most this, all in nats.
MAX_PRIOR = 12.0
#: Nats below the tolerance at which a pair is dropped, so that many dropped ones stay below it.
MARGIN = 10.0
#: A cell's variation is taken to be at least this share of its parent's.
_INHERITED = 0.25
#: ... but no more than this many times its own.
_TRUSTED = 8.0
_LINEAR_SAFETY = 1.25
#: At least this share of the decoder's curvature is taken to lie along the score.
_ALIGNED = 0.1
_LOST = 1e-14
_LIMIT = 1_500_000
_DEEPEST = 80


@dataclass(frozen=True)
class Grid:
    """The fine grid with the decoder's variation in its cells; shared by all data."""

    params: Array
    reach: Array
    curve: Array
    bend: Array


def sample_grid(model: LatentModel, table: Table) -> Grid:
    """Sample the decoder over the fine grid."""
    d = model.latent_dim
    boxes = level(d, CELLS[d])
    step = batch(model)
    parts = []
    for i in range(0, len(boxes), step):
        v = vary(model, table, boxes.take(np.s_[i : i + step]))
        parts.append((v.centre, v.reach, v.curve, SAFETY**2 * table.bend(v.centre, v.delta)))
    return Grid(*(np.concatenate(p) for p in zip(*parts, strict=True)))


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

    def __post_init__(self) -> None:
        n = len(self.table.data)
        self.dropped = np.zeros(n)
        self.nodes = np.zeros(n, dtype=np.intp)
        self.gave_up = np.zeros(n, dtype=bool)
        self._threshold = np.log(self.rtol) - MARGIN
        self._constant = 0.5 * self.model.latent_dim * LOG_2PI

    def _climb(self, which: Index, start: Array) -> None:
        z, best, information = climb(self.model, self.table.data[which], start)
        better = best > self.best[which]
        which, before = which[better], self.level[which[better]]
        self.mode[which], self.best[which] = z[better], best[better]
        self.information[which] = information[better]
        self.level[which] = best[better] + log_laplace(information[better])
        # What was dropped is kept relative to the new level.
        self.dropped[which] *= np.exp(np.clip(before - self.level[which], -700.0, 700.0))

    def run(self, grid: Grid) -> Pairs:
        """Search everywhere; return the resolved pairs."""
        n, d = len(self.table.data), self.model.latent_dim
        self.best, self.level = np.full(n, -np.inf), np.zeros(n)
        self.mode, self.information = np.zeros((n, d)), np.zeros((n, d, d))
        self.information[:] = np.eye(d)
        start = self._inner(grid)
        excess = (self.table.peak - self.level).max() - np.log(self.rtol) + MARGIN + 2
        radius = max(INNER, np.sqrt(2 * max(excess, 0.0)))
        start += self._outer(radius)
        # 2 d one-sided tails of the prior, each at most exp(-R^2 / 2) / (R sqrt(2 pi)).
        tail = np.log(2 * d / radius) - 0.5 * (radius**2 + LOG_2PI)
        self.dropped += np.exp(np.minimum(self.table.peak + tail - self.level, 700.0))
        return self._refine(join(start, d))

    def _log_weight(self, boxes: Boxes) -> Array:
        """Log of volume times the greatest prior density of each cell."""
        return boxes.log_volume() - 0.5 * boxes.least_square() - self._constant

    def _drop(self, upper: Array) -> NDArray[np.bool_]:
        """Account for the pairs of a table `(N, C)` that are dropped; return the others."""
        alive: NDArray[np.bool_] = upper > self._threshold
        # Most lie far below: they are counted, not exponentiated.
        near = ~alive & (upper > self._threshold - 20)
        datum, cell = np.nonzero(near)
        self.dropped += np.bincount(datum, np.exp(upper[datum, cell]), minlength=len(upper))
        self.dropped += upper.shape[1] * np.exp(self._threshold - 20)
        return alive

    def _inner(self, grid: Grid) -> list[Pairs]:
        d, table = self.model.latent_dim, self.table
        cells = CELLS[d]
        boxes = level(d, cells)
        log_prob, slope = table.dense(grid.params)
        self.nodes += len(boxes)
        joint = log_prob + standard_log_prob(boxes.centre)
        self._climb(np.arange(len(joint)), boxes.centre[joint.argmax(axis=-1)])
        del joint
        upper = np.minimum(table.upper(log_prob, slope, grid.reach), table.peak[:, None])
        del log_prob
        upper += self._log_weight(boxes)
        upper -= self.level[:, None]
        alive = self._drop(upper)
        del upper
        # How far each pair is from resolved; both grow fourfold from a level to a coarser one.
        rough = slope * (grid.curve / MAX_CURVE)
        np.maximum(rough, table.bend_of(grid.bend, slope) / MAX_BEND, out=rough)
        del slope
        found: list[tuple[int, NDArray[np.bool_], NDArray[np.bool_]]] = [(cells, alive, rough <= 1)]
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
            if cells < CELLS[d]:
                here &= resolved if small else False
                covered = spread(covered | here, cells, d)
            cell, datum = np.nonzero(here.T)
            parts.append(select(boxes, cell, datum))
        return parts

    def _outer(self, radius: float) -> list[Pairs]:
        boxes = outer(self.model.latent_dim, radius)
        step = min(batch(self.model), max(1, 4_000_000 // len(self.best)))
        parts: list[Pairs] = []
        for i in range(0, len(boxes), step):
            some = boxes.take(np.s_[i : i + step])
            v = vary(self.model, self.table, some)
            log_prob, slope = self.table.dense(v.centre)
            self.nodes += len(some)
            joint = log_prob + standard_log_prob(some.centre)
            better = np.flatnonzero(joint.max(axis=-1) > self.best + 1)
            if len(better):
                self._climb(better, some.centre[joint[better].argmax(axis=-1)])
            upper = self.table.upper(log_prob, slope, v.reach)
            upper = np.minimum(upper, self.table.peak[:, None])
            upper += self._log_weight(some) - self.level[:, None]
            cell, datum = np.nonzero(self._drop(upper).T)
            parts.append(select(some, cell, datum))
        return parts

    def _refine(self, pairs: Pairs) -> Pairs:
        """Branch and bound until every pair is dropped or resolved."""
        d = self.model.latent_dim
        floor = np.zeros(len(pairs.boxes))
        done: list[Pairs] = []
        for depth in range(_DEEPEST):
            if not len(pairs):
                break
            if len(pairs) > MAX_PAIRS and len(self.best) > 1:
                raise TooManyPairs
            upper, rough, reach, axes = self._examine(pairs, floor)
            resolved = rough <= 1
            if depth == _DEEPEST - 1:
                resolved[:] = True
            # What the next level would cost decides, so that the budget is kept.
            going = ~resolved & (upper > self._threshold)
            children = np.where(going, 1 << axes.sum(axis=-1)[pairs.cell], 0)
            cost = (len(offsets(d)) + 1) * np.bincount(
                pairs.datum, children, minlength=len(self.best)
            )
            self.gave_up |= (cost > 0) & (self.nodes + cost > self.max_nodes)
            keep = (upper > self._threshold) & (resolved | ~self.gave_up[pairs.datum])
            lost = np.exp(np.minimum(upper[~keep], 700.0))
            self.dropped += np.bincount(pairs.datum[~keep], lost, minlength=len(self.best))
            ready, again = keep & resolved, keep & ~resolved
            if depth:
                done.append(select(pairs.boxes, pairs.cell[ready], pairs.datum[ready]))
            else:
                done.append(self._merge(pairs, keep, rough))
            kept = np.unique(pairs.cell[again])
            pairs, parent = split(
                select(pairs.boxes, pairs.cell[again], pairs.datum[again]), axes[kept]
            )
            floor = _INHERITED * reach[kept][parent]
        return join(done, d)

    def _examine(self, pairs: Pairs, floor: Array) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
        """Bound the mass of each pair and say how far it is from resolved.

        Returns
        -------
        upper : array (P,)
            Log of the bound, relative to exp(level).
        rough : array (P,)
            At most one where the pair is resolved; it grows fourfold when the width doubles.
        reach : array (C,)
            The variation of each cell.
        axes : array of bool (C, d)
            Along which axes a cell is to be halved.
        """
        boxes, count = pairs.boxes, len(pairs.boxes)
        upper, rough = np.empty(len(pairs)), np.empty(len(pairs))
        reach, axes = np.empty(count), np.empty((count, self.model.latent_dim), dtype=bool)
        step = batch(self.model)
        for i in range(0, count, step):
            some = boxes.take(np.s_[i : i + step])
            v = vary(self.model, self.table, some)
            # A function that grows by orders of magnitude may truly be calm in one half.
            inherited = np.minimum(floor[i : i + step], _TRUSTED * v.reach)
            reach[i : i + step] = np.maximum(v.reach, inherited)
            axes[i : i + step] = _axes(v, some)
            lo, hi = np.searchsorted(pairs.cell, [i, i + step])
            self._pairs_of(
                v, some, reach[i : i + step], pairs.cell[lo:hi] - i, pairs.datum[lo:hi],
                upper[lo:hi], rough[lo:hi],
            )  # fmt: skip
        self.nodes += np.bincount(pairs.datum, minlength=len(self.best)) * (
            len(offsets(self.model.latent_dim)) + 1
        )
        upper += self._log_weight(boxes)[pairs.cell] - self.level[pairs.datum]
        # A cell at the resolution of float64 cannot be split; its error figure will tell.
        tiny = np.asarray((boxes.half <= 1e-13 * (1 + np.abs(boxes.centre))).any(axis=-1))
        small = 0.5 * (boxes.half**2).sum(axis=-1) / MAX_PRIOR
        rough = np.maximum(rough, small[pairs.cell])
        return upper, np.where(tiny[pairs.cell], 0.0, rough), reach, axes

    def _merge(self, pairs: Pairs, keep: NDArray[np.bool_], rough: Array) -> Pairs:
        """The resolved pairs among those kept, in the coarsest cells that are still resolved."""
        largest = np.sqrt(2 * MAX_PRIOR / self.model.latent_dim)
        merged = merge(
            pairs.boxes,
            pairs.cell[keep],
            pairs.datum[keep],
            rough[keep],
            data=len(self.best),
            largest=float(largest),
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
    ) -> None:
        """Fill `upper` and `rough` of the pairs of some cells, and note better points."""
        table, d = self.table, self.model.latent_dim
        points = boxes.centre[:, None] + boxes.half[:, None] * offsets(d)
        prior = standard_log_prob(points)
        bend = SAFETY**2 * table.bend(v.centre, v.delta)
        # A variation inherited from the parent counts for the bend as well.
        bend = bend * np.maximum(1.0, reach / np.maximum(v.reach, 1e-300)) ** 2
        seen, where = np.empty(len(cell)), np.empty(len(cell), dtype=np.intp)
        k, size = points.shape[1], self.model.data_dim
        residual = fit(d)[1]
        for b in blocks(cell, per_pair=2 * k + 2 * size, per_cell=k * size, limit=_LIMIT):
            who = datum[b.pairs]
            value, score = table.centre(who, v.centre[b.cells])
            delta = v.delta[b.cells]
            slope = np.sqrt(np.einsum("cld,cld->cl", score, score))
            change = table.change(score, who, v.centre[b.cells], delta)
            linear = score @ np.swapaxes(delta, -1, -2)
            bound = table.upper(value, slope, reach[b.cells, None])
            # In many dimensions most of the decoder's curvature is orthogonal to the score.
            curve = SAFETY_CURVE * np.abs(linear @ residual[:, 1:].T).max(axis=-1)
            curve = np.maximum(curve, _ALIGNED * slope * v.curve[b.cells, None])
            tangent = value + _LINEAR_SAFETY * np.maximum(linear.max(axis=-1), 0) + curve
            # Where values are huge, what cancels has lost its digits.
            lost = _LOST * (np.abs(value) + slope * reach[b.cells, None])
            bound = np.minimum(np.minimum(bound, tangent) + lost, table.peak[who])
            change += prior[b.cells, None]
            top = change.argmax(axis=-1)
            there = b.pairs[b.valid]
            upper[there] = bound[b.valid]
            wide = table.bend_of(bend[b.cells, None], slope)
            rough[there] = np.maximum(curve / MAX_CURVE, wide / MAX_BEND)[b.valid]
            seen[there] = (value + change.max(axis=-1) - lost)[b.valid]
            where[there] = top[b.valid]
        better = np.flatnonzero(seen > self.best[datum] + 1)
        if len(better):
            better = better[np.argsort(seen[better], kind="stable")]
            start = self.mode.copy()
            # Assigned in increasing order, so that the best point of a datum stays.
            start[datum[better]] = points[cell[better], where[better]]
            which = np.unique(datum[better])
            self._climb(which, start[which])


def _axes(v: Variation, boxes: Boxes) -> NDArray[np.bool_]:
    """Axes along which a cell varies at least half as much as along its worst."""
    change = np.sqrt(v.axes**2 + boxes.half**2)
    # Where the decoder is far from linear the fitted slopes mean little: long axes are halved.
    change = np.where((2 * v.curve > v.reach)[:, None], boxes.half, change)
    worst = change.max(axis=-1, keepdims=True)
    chosen: NDArray[np.bool_] = change >= 0.5 * worst
    return chosen
