"""State of a search for posterior mass, and bounds of the mass in (cell, datum) pairs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import LOG_2PI, standard_log_prob
from vaetheory._quadrature.beyond_grid import MARGIN, log_prior_mass
from vaetheory._quadrature.blocks import blocks
from vaetheory._quadrature.frames import Slots
from vaetheory._quadrature.grid import Boxes
from vaetheory._quadrature.pairs import Pairs, keep, split
from vaetheory._quadrature.resolution import (
    ALIGNED,
    INHERITED,
    LINEAR_SAFETY,
    LOST,
    MAX_BEND,
    MAX_CURVE,
    MAX_PRIOR,
    TRUSTED,
)
from vaetheory._quadrature.tangent_bounds import PairArrays, Parabolas, Planes
from vaetheory._quadrature.task import Task
from vaetheory._quadrature.tilted_bounds import TiltedParabolas, look_at_cells
from vaetheory._quadrature.variation import (
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
from vaetheory._validation import Array, Index
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel
from vaetheory.modes import climb, log_laplace

_LIMIT = 300_000


@dataclass(frozen=True)
class Look:
    """Bounds and smoothness of pairs, from samples of the decoder in their cells.

    Attributes
    ----------
    upper : array (P,)
        Log of the bound of the mass, relative to exp(level).
    alive : array of bool (P,)
        True where that mass is too large to be dropped.
    rough : array (P,)
        At most one where the pair is resolved; it grows fourfold when the width doubles.
    varies : array (C, 4)
        Reach and curve of each cell, see `Variation`; swing and sag of its field.
    axes : array of bool (C, d)
        The axes along which a cell is to be halved.
    parabolas : PairArrays, optional
    """

    upper: Array
    alive: NDArray[np.bool_]
    rough: Array
    varies: Array
    axes: NDArray[np.bool_]
    parabolas: PairArrays | None


@dataclass
class Search:
    """State of the search for one chunk of data.

    Attributes
    ----------
    task : Task
    best : array (N,)
        Greatest log joint found so far, nats.
    level : array (N,)
        Log of a first guess of the evidence (Laplace at the mode found); decides what to drop.
    mode : array (N, d)
        The point at which the log joint is `best`.
    information : array (N, d, d)
        Gauss-Newton curvature at the mode.
    dropped : array (N,)
        Bound of the mass dropped, relative to exp(level).
    nodes : array of int (N,)
        Evaluations of the integrand.
    gave_up : array of bool (N,)
        True where the budget was spent.
    threshold : float
        Pairs are dropped if the log of their mass, relative to exp(level), is below this.
    """

    task: Task
    best: Array = field(init=False)
    level: Array = field(init=False)
    mode: Array = field(init=False)
    information: Array = field(init=False)
    dropped: Array = field(init=False)
    nodes: Index = field(init=False)
    gave_up: NDArray[np.bool_] = field(init=False)
    threshold: float = field(init=False)

    def __post_init__(self) -> None:
        n, d = len(self.table.data), self.model.latent_dim
        self.best, self.level = np.full(n, -np.inf), np.zeros(n)
        self.mode, self.information = np.zeros((n, d)), np.zeros((n, d, d))
        self.information[:] = np.eye(d)
        self.dropped = np.zeros(n)
        self.nodes = np.zeros(n, dtype=np.intp)
        self.gave_up = np.zeros(n, dtype=bool)
        self.threshold = float(np.log(self.task.ignored) - MARGIN)

    @property
    def model(self) -> LatentModel:
        """The model of the task."""
        return self.task.model

    @property
    def table(self) -> Table:
        """The likelihood of the N data."""
        return self.task.table

    def climb(self, which: Index, start: Array) -> None:
        """Climb from points, and keep the modes that are higher than the best so far."""
        z, best, information = climb(self.model, self.table.data[which], start)
        better = best > self.best[which]
        which, before = which[better], self.level[which[better]]
        self.mode[which], self.best[which] = z[better], best[better]
        self.information[which] = information[better]
        self.level[which] = best[better] + log_laplace(information[better])
        # The dropped mass is now relative to the new level.
        self.dropped[which] *= np.exp(np.clip(before - self.level[which], -700.0, 700.0))

    def account(self, dropped: Array, pairs: Pairs, upper: Array, gone: NDArray[np.bool_]) -> None:
        """Add the bounds of dropped pairs, those marked in `gone`, to `dropped`."""
        lost = np.exp(np.minimum(upper[gone], 700.0))
        dropped += np.bincount(pairs.datum[gone], lost, minlength=len(dropped))

    def drop(self, upper: Array) -> NDArray[np.bool_]:
        """Add the dropped pairs of an array `(N, C)` to `dropped`; return a mask of the others."""
        alive: NDArray[np.bool_] = upper > self.threshold
        # Most pairs lie far below the threshold: they are bounded by it, not exponentiated.
        near = np.flatnonzero(~alive & (upper > self.threshold - 20))
        datum, lost = near // upper.shape[1], np.exp(upper.ravel()[near])
        self.dropped += np.bincount(datum, lost, minlength=len(upper))
        self.dropped += upper.shape[1] * np.exp(self.threshold - 20)
        return alive

    def counts(self, pairs: Pairs, weights: Index | None = None) -> Index:
        """Number of pairs for each datum, or the sum of their weights."""
        sums = np.bincount(pairs.datum, weights, minlength=len(self.best))
        return sums.astype(np.intp, copy=False)

    def glance(self, pairs: Pairs, calm: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Bound the mass of pairs from the cell centres alone, with one evaluation per pair.

        Parameters
        ----------
        pairs : Pairs
        calm : array (C, 2)
            Reach and swing of the decoder in the cells, as predicted by their parents.

        Returns
        -------
        upper : array (P,)
            Log of the bound, relative to exp(level).
        alive : array of bool (P,)
        """
        upper = np.empty(len(pairs))
        params = np.empty((len(pairs.boxes), self.model.param_dim))
        step = max(1, _LIMIT // self.model.param_dim)
        for i in range(0, len(params), step):
            centre = pairs.boxes.centre[i : i + step]
            params[i : i + step] = self.table.restrict(self.model.decode(centre))
        for b in blocks(
            pairs.cell, per_pair=2 * params.shape[1], per_cell=params.shape[1], limit=_LIMIT
        ):
            who = pairs.datum[b.pairs]
            value, score = self.table.centre(who, params[b.cells])
            slope = np.sqrt(np.einsum("cld,cld->cl", score, score))
            reach, swing = calm[b.cells].T
            curvature = self.table.bounds(params[b.cells], reach, swing, who)
            bound = self.table.upper(value, slope, reach[:, None], curvature)
            bound += LOST * (np.abs(value) + slope * reach[:, None])
            # What overflows leaves the ceiling.
            bound = np.minimum(np.fmin(bound, curvature.ceiling), self.table.peak[who])
            upper[b.pairs[b.valid]] = bound[b.valid]
        self.nodes += self.counts(pairs)
        upper += log_prior_mass(pairs.boxes)[pairs.cell] - self.level[pairs.datum]
        return upper, upper > self.threshold

    def examine(
        self, pairs: Pairs, calm: Array, beyond: Slots | None = None, *, closely: bool = True
    ) -> Look:
        """Bound the mass of each pair, and measure how far it is from resolved.

        Parameters
        ----------
        pairs : Pairs
        calm : array (C, 2)
            Reach and swing of the decoder in each cell as predicted by its parent; zero without
            parent.
        beyond : Slots, optional
            Frames of the data: mass inside them does not count.
        closely : bool
            Evaluate the pairs at all samples of their cells, to measure how rough they are.
            Otherwise at the centres alone, which is possible for a Gaussian likelihood only: the
            decoder's tangent planes then give the bounds.
        """
        boxes, count = pairs.boxes, len(pairs.boxes)
        upper, rough = np.empty(len(pairs)), np.zeros(len(pairs))
        parabolas: PairArrays | None = None
        if self.table.parabolic:
            kind = TiltedParabolas if self.table.field else Parabolas
            parabolas = kind.empty(len(pairs), self.model.latent_dim)
        closely |= parabolas is None
        varies = np.zeros((count, 4))
        reach, curve = varies.T[:2]
        axes = np.empty((count, self.model.latent_dim), dtype=bool)
        step = batch(self.model)
        for i in range(0, count, step):
            cells = boxes.take(np.s_[i : i + step])
            lo, hi = np.searchsorted(pairs.cell, [i, i + step])
            here = None if parabolas is None else parabolas.take(np.s_[lo:hi])
            cell, datum = pairs.cell[lo:hi] - i, pairs.datum[lo:hi]
            if isinstance(here, TiltedParabolas):
                seen = look_at_cells(
                    self.model, self.table, cells, calm[i : i + step], cell, datum, beyond, closely
                )
                varies[i : i + step], axes[i : i + step] = seen.varies, seen.axes
                upper[lo:hi], rough[lo:hi] = seen.upper, seen.rough
                here.put(np.arange(hi - lo), seen.parabolas, np.ones(hi - lo, dtype=bool))
                self._climb_from_better(seen.best, seen.where, seen.points, cell, datum)
                continue
            assert here is None or isinstance(here, Parabolas)
            v = vary(self.model, self.table, cells)
            # A function that grows by orders of magnitude may really vary little in one half.
            inherited = np.minimum(INHERITED * calm[i : i + step, 0], TRUSTED * v.reach)
            reach[i : i + step] = np.maximum(v.reach, inherited)
            axes[i : i + step] = worst_axes(v, cells)
            curve[i : i + step] = v.curve
            self._pairs_of(
                v, cells, reach[i : i + step], cell, datum, upper[lo:hi], rough[lo:hi],
                here, beyond, closely,
            )  # fmt: skip
        each = len(offsets(self.model.latent_dim)) + 1 if closely else 1
        self.nodes += each * self.counts(pairs)
        upper += log_prior_mass(boxes)[pairs.cell] - self.level[pairs.datum]
        # A cell at the resolution of float64 cannot be split; its error figure will show it.
        tiny = np.asarray((boxes.half <= 1e-13 * (1 + np.abs(boxes.centre))).any(axis=-1))
        small = 0.5 * (boxes.half**2).sum(axis=-1) / MAX_PRIOR
        rough = np.maximum(rough, small[pairs.cell])
        rough = np.where(tiny[pairs.cell], 0.0, rough)
        return Look(upper, upper > self.threshold, rough, varies, axes, parabolas)

    def parts(
        self, pairs: Pairs, look: Look, which: NDArray[np.bool_], dropped: Array
    ) -> tuple[Pairs, Array]:
        """Halve the cells of some examined pairs; also return the variation in the parts.

        Parts whose bound by the tangent planes is below the threshold are added to `dropped`.
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
        # Tilted parabolas are bounds by themselves, the others up to the greatest log density.
        peak = 0.0 if self.table.field else self.table.peak[kept.datum]
        upper = parabolas.upper(chosen) + peak - self.level[kept.datum]
        constant = 0.5 * self.model.latent_dim * LOG_2PI
        upper += (kept.boxes.log_volume() - constant)[kept.cell]
        gone = upper <= self.threshold
        self.account(dropped, kept, upper, gone)
        kept, used = keep(kept, ~gone)
        return kept, calm[used]

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
        """Fill in `upper`, `rough` and `parabolas` for some cells, and climb from better points."""
        table, d = self.table, self.model.latent_dim
        points = boxes.centre[:, None] + boxes.half[:, None] * np.r_[np.zeros((1, d)), offsets(d)]
        prior = standard_log_prob(points)
        bend = SAFETY**2 * table.bend(v.centre, v.delta)
        # A variation inherited from the parent also enlarges the bend.
        bend = bend * np.maximum(1.0, reach / np.maximum(v.reach, 1e-300)) ** 2
        seen, where = np.empty(len(cell)), np.zeros(len(cell), dtype=np.intp)
        k, size = points.shape[1], self.model.param_dim
        planes = None if parabolas is None else Planes(v, boxes, reach)
        least = 0.5 * boxes.least_square()
        residual = misfit_matrix(d)
        for b in blocks(cell, per_pair=2 * k + 2 * size, per_cell=k * size, limit=_LIMIT):
            there, who = b.pairs[b.valid], datum[b.pairs]
            value, score = table.centre(who, v.centre[b.cells])
            slope = np.sqrt(np.einsum("cld,cld->cl", score, score))
            curvature = table.curvature(v.centre[b.cells], reach[b.cells], who)
            bound = table.upper(value, slope, reach[b.cells, None], curvature)
            # Where values are huge, their differences have lost digits.
            lost = LOST * (np.abs(value) + slope * reach[b.cells, None])
            best = value + prior[b.cells, :1]
            if closely:
                delta = v.delta[b.cells]
                linear = score @ np.swapaxes(delta, -1, -2)
                # In many dimensions most of the decoder's curvature is orthogonal to the score.
                curve = SAFETY_CURVE * np.abs(linear @ residual[:, 1:].T).max(axis=-1)
                curve = np.maximum(curve, ALIGNED * slope * v.curve[b.cells, None])
                tangent = value + LINEAR_SAFETY * np.maximum(linear.max(axis=-1), 0) + curve
                tangent += curvature.convexity * (reach**2)[b.cells, None]
                # If the samples are rough, the tangent is no bound: they may have missed a peak.
                tangent[v.rough[b.cells] > ROUGH[d]] = np.inf
                bound = np.fmin(bound, tangent)
                wide = table.bend_of(bend[b.cells, None], slope, curvature)
                rough[there] = np.maximum(curve / MAX_CURVE, wide / MAX_BEND)[b.valid]
                change = table.change(score, who, v.centre[b.cells], delta)
                change += prior[b.cells, None, 1:]
                at = change.argmax(axis=-1)
                where[there] = at[b.valid] + 1
                best = value + np.take_along_axis(change, at[..., None], axis=-1)[..., 0]
            bound = np.minimum(np.fmin(bound + lost, curvature.ceiling), table.peak[who])
            if planes is not None and parabolas is not None:
                here = planes.look(b.cells, score, who, beyond)
                here.square[:] -= 2 * lost
                flat = table.peak[who] + least[b.cells, None] + here.upper()
                bound = np.minimum(bound, flat + lost)
                parabolas.put(there, here, b.valid)
            upper[there] = bound[b.valid]
            seen[there] = (best - lost)[b.valid]
        self._climb_from_better(seen, where, points, cell, datum)

    def _climb_from_better(
        self, seen: Array, where: Index, points: Array, cell: Index, datum: Index
    ) -> None:
        """Climb from points of cells `(C, K + 1, d)` that are better than the best so far.

        `seen` is the greatest log joint of each pair, and `where` the point at which it is.
        """
        better = np.flatnonzero(seen > self.best[datum] + 1)
        if len(better):
            better = better[np.argsort(seen[better], kind="stable")]
            start = self.mode.copy()
            # Assigned in increasing order, so that the best point of a datum stays.
            start[datum[better]] = points[cell[better], where[better]]
            which = np.unique(datum[better])
            self.climb(which, start[which])
