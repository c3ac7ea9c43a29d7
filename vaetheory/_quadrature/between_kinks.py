"""Search for posterior mass on the plane between the kinks of which a decoder tells.

The cells are triangles in which the decoder is smooth, and mostly affine. They are bounded from
samples, dropped or halved, as the boxes of the other search are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.beyond_grid import beyond, log_prior_mass, radius_for
from vaetheory._quadrature.blocks import blocks
from vaetheory._quadrature.grid import CELLS, INNER, Boxes, level
from vaetheory._quadrature.pairs import MAX_PAIRS, Pairs, TooManyPairs, join, keep, marked, split
from vaetheory._quadrature.resolution import MAX_BEND, MAX_CURVE, MAX_PRIOR
from vaetheory._quadrature.search_state import Search
from vaetheory._quadrature.triangles import Triangles
from vaetheory._quadrature.variation import ROUGH, SAFETY, SAFETY_CURVE, UNSEEN
from vaetheory._validation import Array, Index
from vaetheory.rounding import ULP

#: Nodes per axis of the rules: most triangles are so small that few are enough.
LADDER = (7, 9, 13, 17, 21, 25)
#: Numbers in the samples of some cells, and in arrays over pairs.
_NUMBERS, _LIMIT = 2_000_000, 300_000
#: Levels of halving.
_DEEPEST = 60
_LOST = 1e-14
#: If the last digit of a log joint is worth this many nats, the search gives up on the datum.
_UNREADABLE = 1e-3


@dataclass(frozen=True)
class _Samples:
    """A decoder at the centres, the corners and the middles of the sides of C triangles.

    Attributes
    ----------
    centre : array (C, D)
    corners : array (C, 3, D)
        Changes from the centres, in the table's coordinates.
    misfit : array (C, 3, D)
        How far the middles of the sides are from the means of their ends.
    reach, curve : array (C,)
        Greatest change within a triangle, and greatest distance from an affine map: estimates.
    rough : array of bool (C,)
        Where the samples are far from an affine map, so that a tangent is no bound.
    """

    centre: Array
    corners: Array
    misfit: Array
    reach: Array
    curve: Array
    rough: NDArray[np.bool_]

    def longest(self, cells: Triangles) -> Index:
        """The corner opposite to the side along which decoder and latent change most."""
        change = np.concatenate([self.corners, cells.corners], axis=-1)
        side = change[:, [1, 2, 0]] - change[:, [2, 0, 1]]
        longest: Index = np.einsum("ckd,ckd->ck", side, side).argmax(axis=-1)
        return longest


class Between(Search):
    """A search over triangles."""

    def begin(self, level_of: Array | None = None) -> float:
        """Find a mode of each datum, and return the radius outside which the mass is negligible.

        Parameters
        ----------
        level_of : array (N,), optional
            Log evidences found before, nats. The level of a mode at a kink may be too high.
        """
        model, table = self.model, self.table
        boxes = level(2, CELLS[2])
        log_prob, _ = table.dense(table.restrict(model.decode(boxes.centre)))
        self.nodes += len(boxes)
        self.best[:] = -np.inf
        top = (log_prob + standard_log_prob(boxes.centre)).argmax(axis=-1)
        self.climb(np.arange(len(top)), boxes.centre[top])
        if level_of is not None:
            self.level[:] = level_of
        # As in the search on a grid: such log joints say nothing about the evidence.
        self.gave_up |= ~(ULP * (table.peak - self.level) < _UNREADABLE)
        rows = np.flatnonzero(~self.gave_up)
        if not len(rows):
            return 0.0
        return radius_for(table.take(rows), self.level[rows], self.task.ignored)

    def pairs(self, cells: Triangles, radius: float, size: float = np.inf) -> Pairs:
        """The triangles on which the integrand of each datum is resolved.

        Parameters
        ----------
        cells : Triangles
        radius : float
            Outside it the mass is negligible.
        size : float
            Sides longer than this are halved first: where a decoder is curved between its kinks,
            a few samples say little about a large triangle.
        """
        self.dropped += beyond(self.table, self.level, radius, 2)
        inside = np.flatnonzero(cells.least_square() < radius**2)
        self.nodes += len(inside)
        self.gave_up |= self.nodes > self.task.max_nodes
        cells = _no_longer(cells.take(inside), size)
        step = self._step()
        done: list[Pairs] = []
        todo: list[Pairs] = []
        for i in range(0, len(cells), step):
            some = cells.take(np.arange(i, min(i + step, len(cells))))
            seen = self._sample(some)
            alive = self._first(some, seen)
            kept, used = marked(some, alive)
            self._divide(kept, _taken(seen, used), done, todo)
        for _ in range(_DEEPEST):
            current, todo = join(todo, 2), []
            if not len(current):
                break
            if len(current) > MAX_PAIRS and len(self.best) > 1:
                raise TooManyPairs
            for i in range(0, len(current.boxes), step):
                low, high = np.searchsorted(current.cell, [i, i + step])
                halves = current.boxes.take(np.s_[i : i + step])
                part = Pairs(halves, current.cell[low:high] - i, current.datum[low:high])
                assert isinstance(halves, Triangles)
                self._divide(part, self._sample(halves), done, todo)
        done += todo
        return join(done, 2)

    def _step(self) -> int:
        return max(1, _NUMBERS // (14 * (self.model.param_dim + 2)))

    def _sample(self, cells: Triangles) -> _Samples:
        corners = cells.corners
        middles = 0.5 * (corners[:, [1, 2, 0]] + corners[:, [2, 0, 1]])
        z = np.concatenate([cells.centre[:, None], corners, middles], axis=1)
        params = self.table.restrict(self.model.decode(z))
        delta = self.table.coordinates(params[:, 1:] - params[:, :1])
        ends = delta[:, :3]
        misfit = delta[:, 3:] - 0.5 * (ends[:, [1, 2, 0]] + ends[:, [2, 0, 1]])
        curve = SAFETY_CURVE * np.sqrt(np.einsum("ckd,ckd->ck", misfit, misfit).max(axis=-1))
        reach = np.sqrt(np.einsum("ckd,ckd->ck", delta, delta).max(axis=-1))
        # In an affine map the corners are farthest from the centre. As in the search on a grid,
        # samples that are not on a plane may have missed a ridge between them.
        rough = curve > SAFETY_CURVE * ROUGH[2] * reach
        reach = np.where(rough, UNSEEN * SAFETY * reach, reach) + curve
        return _Samples(params[:, 0], ends, misfit, reach, curve, rough)

    def _first(self, cells: Triangles, seen: _Samples) -> NDArray[np.bool_]:
        """Bound all data in all cells; return which pairs are not dropped, `(N, C)`."""
        table = self.table
        log_prob, slope = table.dense(seen.centre)
        curvature = table.curvature(seen.centre, seen.reach)
        upper = np.minimum(table.upper(log_prob, slope, seen.reach, curvature), table.peak[:, None])
        upper += log_prior_mass(cells) - self.level[:, None]
        return self.drop(upper) & ~self.gave_up[:, None]

    def _divide(self, pairs: Pairs, seen: _Samples, done: list[Pairs], todo: list[Pairs]) -> None:
        """Bound pairs; those that are resolved go to `done`, and the halves of others to `todo`."""
        upper, rough = self._bounds(pairs, seen)
        alive = upper > self.threshold
        cells = pairs.boxes
        assert isinstance(cells, Triangles)
        # As in the search on a grid, cells at the resolution of float64 are not halved.
        tiny = np.asarray((cells.half <= 1e-13 * (1 + np.abs(cells.centre))).any(axis=-1))
        resolved = (rough <= 1) | tiny[pairs.cell]
        self.nodes += 7 * self.counts(pairs)
        # The cost of the next level is tested before it is spent, to keep the budget.
        cost = 14 * self.counts(keep(pairs, alive & ~resolved)[0])
        self.gave_up |= (cost > 0) & (self.nodes + cost > self.task.max_nodes)
        going = alive & (resolved | ~self.gave_up[pairs.datum])
        self.account(self.dropped, pairs, upper, ~going)
        turned = Pairs(cells.turned(seen.longest(cells)), pairs.cell, pairs.datum)
        done.append(keep(turned, going & resolved)[0])
        rest = keep(turned, going & ~resolved)[0]
        across = np.zeros((len(rest.boxes), 2), dtype=bool)
        across[:, 1] = True
        todo.append(split(rest, across)[0])

    def _bounds(self, pairs: Pairs, seen: _Samples) -> tuple[Array, Array]:
        """Log of the bound of each pair's mass, relative to exp(level), and how rough it is."""
        table, cells = self.table, pairs.boxes
        assert isinstance(cells, Triangles)
        upper, rough = np.empty(len(pairs)), np.empty(len(pairs))
        size = self.model.param_dim
        away = cells.corners - cells.centre[:, None]
        bend = SAFETY**2 * table.bend(seen.centre, seen.corners)
        # The prior lies below its tangent plane as well.
        falls = -np.einsum("ckj,cj->ck", away, cells.centre)
        start, least = standard_log_prob(cells.centre), 0.5 * cells.least_square()
        wide = 0.5 * np.einsum("ckj,ckj->ck", away, away).max(axis=-1) / MAX_PRIOR
        for b in blocks(pairs.cell, per_pair=2 * size, per_cell=6 * size, limit=_LIMIT):
            who, c = pairs.datum[b.pairs], b.cells
            value, score = table.centre(who, seen.centre[c])
            slope = np.sqrt(np.einsum("cld,cld->cl", score, score))
            curvature = table.curvature(seen.centre[c], seen.reach[c], who)
            linear = score @ np.swapaxes(seen.corners[c], -1, -2) + falls[c, None]
            curve = SAFETY_CURVE * np.abs(score @ np.swapaxes(seen.misfit[c], -1, -2)).max(axis=-1)
            curve = np.maximum(curve, 0.1 * slope * seen.curve[c, None])
            bound = value + start[c, None] + linear.max(axis=-1) + curve
            bound += curvature.convexity * (seen.reach[c] ** 2)[:, None]
            around = table.upper(value, slope, seen.reach[c, None], curvature)
            around += (start + falls.max(axis=-1))[c, None]
            bound = np.where(seen.rough[c, None], around, bound)
            bound += _LOST * (np.abs(value) + slope * seen.reach[c, None])
            highest = np.minimum(table.peak[who], curvature.ceiling) - least[c, None]
            highest += standard_log_prob(np.zeros((1, 2)))
            # What overflows leaves the peak.
            bound = np.fmin(bound, highest)
            there = b.pairs[b.valid]
            upper[there] = bound[b.valid]
            gap = table.bend_of(bend[c, None], slope, curvature) / MAX_BEND
            gap = np.maximum(gap, np.maximum(curve / MAX_CURVE, wide[c, None]))
            rough[there] = gap[b.valid]
        upper += cells.log_volume()[pairs.cell] - self.level[pairs.datum]
        return upper, np.where(np.isnan(rough), np.inf, rough)


def _taken(seen: _Samples, used: NDArray[np.bool_]) -> _Samples:
    return _Samples(
        seen.centre[used], seen.corners[used], seen.misfit[used], seen.reach[used],
        seen.curve[used], seen.rough[used],
    )  # fmt: skip


def _no_longer(cells: Triangles, size: float) -> Triangles:
    """Triangles halved until no side is longer than `size`, or more far from the origin."""
    done: list[Boxes] = []
    while len(cells):
        sides = cells.corners[:, [1, 2, 0]] - cells.corners[:, [2, 0, 1]]
        length = np.linalg.norm(sides, axis=-1)
        far = np.sqrt(cells.least_square()) / INNER
        long = length.max(axis=-1) > size * np.maximum(1.0, far)
        done.append(cells.take(np.flatnonzero(~long)))
        rest = cells.take(np.flatnonzero(long)).turned(length[long].argmax(axis=-1))
        cells = rest.halved(np.tile([False, True], (len(rest), 1)))[0]
    return Triangles.joined(done) if done else cells
