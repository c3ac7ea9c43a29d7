"""Tables of likelihoods with independent data dimensions, from bounds of second derivatives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from vaetheory._validation import Array, Index
from vaetheory.likelihoods._curvature_bounds import (
    IMPOSSIBLE,
    checked_bounds,
    checked_range,
    require_finite,
)
from vaetheory.likelihoods.table import Curvature, Density, Table
from vaetheory.rounding import ULP

#: How many numbers a block has.
_LIMIT = 500_000
#: Largest rounding error of the log density of one entry, in units in the last place of 1 + itself.
_OPERATIONS = 4.0
#: Largest params that are considered.
_FAR = 1e140
#: If second derivatives exceed this, the squares of scores may overflow.
_WILD = 1e140
#: A steeper slope belongs to a log density that has overflown.
_GREAT = 1e100
#: How many data the bounds are tested at, and how many numbers these have in total.
_TRIED, _TRIED_NUMBERS = 8, 512


class BoundedDensity(Density, Protocol):
    """The methods of a family with independent data dimensions that the tables call."""

    #: Whether log p is concave in the params.
    concave: bool

    def greatest_size(self, x: Array) -> Array:
        """Sum over the dimensions of the moduli of the greatest log densities, `(...)`."""

    def curvature_bounds(self, x: Array) -> tuple[Array, Array]:
        """Bounds of the second derivatives over all params, `(..., D)`."""

    def curvature_range(self, x: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Bounds of the second derivatives over params from `lower` to `upper`, `(..., D)`."""

    def require_bounds_at(self, x: Array, params: Array) -> None:
        """Raise a ValueError if second differences near params contradict any of this."""

    def _log_prob(self, x: Array, params: Array) -> Array:
        """Log density of each data dimension."""

    def _score(self, x: Array, params: Array) -> Array:
        """Derivative of `_log_prob` in the params."""


class ElementwiseTable(Table):
    """Families whose params are not natural: entry by entry, with bounds of the curvature."""

    likelihood: BoundedDensity

    def __init__(self, likelihood: BoundedDensity, data: Array) -> None:
        super().__init__(likelihood, data)
        self.magnitude = likelihood.greatest_size(data)

    def dense(self, params: Array) -> tuple[Array, Array]:
        log_prob = np.empty((len(self.data), len(params)))
        slope = np.empty_like(log_prob)
        x = self.data[:, None]
        for part in _slices(len(params), self.data.size):
            log_prob[:, part] = self.likelihood.log_prob(x, params[part])
            score = self.likelihood.score(x, params[part])
            slope[:, part] = np.sqrt(np.einsum("nmd,nmd->nm", score, score))
        return np.minimum(log_prob, self.peak[:, None]), slope

    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        x, params = self.data[datum], point[:, None]
        return self.likelihood.log_prob(x, params), self.likelihood.score(x, params)

    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        x, params = self.data[datum][:, :, None], point[:, None, None]
        before = self.likelihood.log_prob(x, params)
        out = np.empty((*score.shape[:2], delta.shape[1]))
        for part in _slices(delta.shape[1], score.size):
            after = self.likelihood.log_prob(x, params + delta[:, None, part])
            out[..., part] = after - before
        return out

    def bend(self, point: Array, delta: Array) -> Array:
        out: Array = 0.5 * np.einsum("cmd,cmd->cm", delta, delta).max(axis=-1)
        return out

    def bend_of(self, bend: Array, slope: Array, curvature: Curvature) -> Array:
        # If nothing changes there is no gap, however steep log p is.
        return np.where(bend > 0, bend * curvature.steepest, 0.0)

    def rounding(self, log_prob: Array, datum: Index, offset: Array, shift: Array) -> Array:
        return super().rounding(log_prob, datum, offset, shift) + self._entries(log_prob, datum)

    def _entries(self, log_prob: Array, datum: Index | slice) -> Array:
        # The summands are log densities, not differences of them.
        entries = self.magnitude[datum] + np.abs(log_prob - self.peak[datum])
        entries += self.data.shape[-1]
        return _OPERATIONS * ULP * entries

    def try_bounds(self, params: Array) -> None:
        some = np.unique(np.linspace(0, len(params) - 1, _TRIED).astype(np.intp))
        some = some[: max(1, _TRIED_NUMBERS // params.shape[-1])]
        self.likelihood.require_bounds_at(self.data[some], params[some])

    def noise(self, params: Array) -> Array:
        # Third differences with steps so tiny that they contain only rounding. The steps are powers
        # of two, so that the params themselves are hardly rounded.
        step = 64 * np.spacing(1 + np.abs(params))
        values = np.stack(
            [self.likelihood.log_prob(self.data, params + k * step) for k in range(7)]
        )
        third = np.diff(values, n=3, axis=0)
        # The squares of the coefficients 1, 3, 3, 1 sum to 20.
        seen = np.sqrt((third**2).sum(axis=0) / (20 * len(third)))
        beyond = seen - self._entries(values[0], slice(None))
        return np.where(beyond > 0, seen, 0.0)

    def upper(self, log_prob: Array, slope: Array, reach: Array, curvature: Curvature) -> Array:
        bound = super().upper(log_prob, slope, reach, curvature)
        # If numbers overflow, only the ceiling is known.
        return np.minimum(np.where(np.isnan(bound), np.inf, bound), curvature.ceiling)


class GloballyBoundedTable(ElementwiseTable):
    """Families whose second derivatives are bounded over all params."""

    def __init__(self, likelihood: BoundedDensity, data: Array) -> None:
        super().__init__(likelihood, data)
        low, high = checked_bounds(likelihood.curvature_bounds(data), data.shape)
        self.steepest = np.maximum(np.abs(low), np.abs(high)).max(axis=-1)
        self.convexity = 0.5 * np.maximum(high, 0.0).max(axis=-1)

    def curvature(self, params: Array, reach: Array, datum: Index | None = None) -> Curvature:
        if datum is None:
            return Curvature(self.convexity[:, None], self.steepest[:, None])
        return Curvature(self.convexity[datum], self.steepest[datum])


class CellwiseTable(ElementwiseTable):
    """Families for which bounds of the curvature are known in each ball of the params."""

    def curvature(self, params: Array, reach: Array, datum: Index | None = None) -> Curvature:
        if datum is not None:
            return self._curvature(self.data[datum], params[:, None], reach[:, None, None])
        found = [
            self._curvature(self.data[:, None], params[part], reach[part, None])
            for part in _slices(len(params), self.data.size)
        ]
        return Curvature(
            np.concatenate([f.convexity for f in found], axis=-1),
            np.concatenate([f.steepest for f in found], axis=-1),
            np.concatenate([f.ceiling for f in found], axis=-1),
        )

    @abstractmethod
    def _curvature(self, x: Array, params: Array, reach: Array) -> Curvature:
        """Curvature of data in balls around params, `(..., D)` each; `reach` broadcasts."""

    def _ceiling(self, x: Array, lower: Array, upper: Array, convexity: Array) -> Array:
        """Bound of log p over params from `lower` to `upper`, `(...)`, from its values at the ends.

        A datum that is impossible at both ends may be likely between them, so that the values alone
        are no bound. From either end log p rises by no more than its slope and the greatest second
        derivative allow.
        """
        bound = np.full(x.shape, np.inf)
        for end, inwards in ((lower, upper - lower), (upper, lower - upper)):
            value, slope = self.likelihood._log_prob(x, end), self.likelihood._score(x, end)
            rise = np.maximum(slope * inwards, 0.0) + 0.5 * convexity * inwards**2
            highest = value + rise + 8 * ULP * (np.abs(value) + rise)
            # A log density of -inf with a great slope is an overflow; otherwise it is an underflow.
            overflown = (np.abs(slope) > _GREAT) & (rise < _WILD)
            highest = np.where(value > -np.inf, highest, np.where(overflown, -np.inf, np.inf))
            # NaN means unknown.
            bound = np.fmin(bound, highest)
        ceiling = bound.sum(axis=-1)
        return np.where((bound < IMPOSSIBLE).any(axis=-1), IMPOSSIBLE, ceiling)


def _interval(params: Array, reach: Array) -> tuple[Array, Array]:
    """Ends of the intervals in which the params of each dimension lie."""
    return np.clip(params - reach, -_FAR, _FAR), np.clip(params + reach, -_FAR, _FAR)


class LocallyBoundedTable(CellwiseTable):
    """Families whose second derivatives are bounded over intervals of the params."""

    def _curvature(self, x: Array, params: Array, reach: Array) -> Curvature:
        lower, upper = _interval(params, reach)
        low, high = checked_range(self.likelihood, x, lower, upper)
        steepest = np.maximum(np.abs(low), np.abs(high))
        convexity = np.zeros_like(high) if self.likelihood.concave else np.maximum(high, 0.0)
        ceiling = np.full(high.shape[:-1], np.inf)
        wild = np.argwhere(~(steepest < _WILD).all(axis=-1))
        if len(wild):
            # The params are so far from a datum that its log density overflows.
            there = tuple(wild.T)
            x, lower, upper = (np.broadcast_to(v, high.shape)[there] for v in (x, lower, upper))
            ends = [self.likelihood._log_prob(x, end) for end in (lower, upper)]
            known = np.isfinite(ends).all(axis=0) & (np.min(ends, axis=0) > IMPOSSIBLE)
            require_finite(x, lower, upper, low[there], high[there], known)
            ceiling[there] = self._ceiling(x, lower, upper, convexity[there])
        return Curvature(0.5 * convexity.max(axis=-1), steepest.max(axis=-1), ceiling)


class ConcaveTable(CellwiseTable):
    """Families that are concave in the params and state no bounds.

    Log p is below its tangents, and over an interval its distance from the tangent at the centre is
    greatest at one of the ends.
    """

    def _curvature(self, x: Array, params: Array, reach: Array) -> Curvature:
        lower, upper = _interval(params, reach)
        centre, half = 0.5 * (lower + upper), 0.5 * (upper - lower)
        value, slope = self.likelihood._log_prob(x, centre), self.likelihood._score(x, centre)
        ends = [self.likelihood._log_prob(x, end) for end in (lower, upper)]
        gaps = [value + side * slope * half - end for side, end in zip((-1, 1), ends, strict=True)]
        gap = np.max(gaps, axis=0)
        steepest = np.where(half > 0, 2 * np.maximum(gap, 0.0) / half**2, 0.0)
        ceiling = np.full(gap.shape[:-1], np.inf)
        wild = np.argwhere((~np.isfinite(gap) | (value < IMPOSSIBLE)).any(axis=-1))
        if len(wild):
            there = tuple(wild.T)
            x, lower, upper = (np.broadcast_to(v, gap.shape)[there] for v in (x, lower, upper))
            ceiling[there] = self._ceiling(x, lower, upper, np.zeros(x.shape))
        # If numbers overflow, nothing is known.
        steepest = np.where(np.isnan(gap), np.inf, steepest)
        return Curvature(np.zeros(ceiling.shape), steepest.max(axis=-1), ceiling)


def _slices(count: int, numbers: int) -> Iterator[slice]:
    """Parts of `count` columns such that `numbers` rows of each fit in a block."""
    step = max(1, _LIMIT // max(numbers, 1))
    for i in range(0, count, step):
        yield np.s_[i : i + step]
