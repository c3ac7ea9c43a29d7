"""Any likelihood of independent data dimensions whose second derivatives have known bounds."""

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

#: Numbers of a block.
_LIMIT = 500_000
#: Units in the last place that the log density of one entry may be off by, relative to 1 + itself.
_OPERATIONS = 4.0
#: Params are asked about no farther out than this.
_FAR = 1e140
#: Where second derivatives are greater the squares of scores may overflow.
_WILD = 1e140
#: A slope from here on goes with a log density that has overflown.
_GREAT = 1e100
#: Data at which bounds are tried, and numbers of them.
_TRIED, _TRIED_NUMBERS = 8, 512


class BoundedDensity(Density, Protocol):
    """What the tables ask of a family of independent data dimensions."""

    #: Whether log p is concave in the params.
    concave: bool

    def greatest_size(self, x: Array) -> Array:
        """What the greatest log densities of the dimensions add up to in modulus, `(...)`."""

    def curvature_bounds(self, x: Array) -> tuple[Array, Array]:
        """Bounds of the second derivatives over all params, `(..., D)`."""

    def curvature_range(self, x: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Bounds of the second derivatives over params from `lower` to `upper`, `(..., D)`."""

    def require_bounds_at(self, x: Array, params: Array) -> None:
        """Raise a ValueError if any of this is visibly false near params."""

    def _log_prob(self, x: Array, params: Array) -> Array:
        """Log density of each data dimension."""

    def _score(self, x: Array, params: Array) -> Array:
        """Derivative of `_log_prob` in the params."""


class ElementwiseTable(Table):
    """Families that are not concave: entry by entry, bounded by their second derivatives."""

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
        # Where nothing changes there is no gap, however steep log p may be.
        return np.where(bend > 0, bend * curvature.steepest, 0.0)

    def rounding(self, log_prob: Array, datum: Index, offset: Array, shift: Array) -> Array:
        return super().rounding(log_prob, datum, offset, shift) + self._entries(log_prob, datum)

    def _entries(self, log_prob: Array, datum: Index | slice) -> Array:
        # Log densities are summed up, not differences of them.
        entries = self.magnitude[datum] + np.abs(log_prob - self.peak[datum])
        entries += self.data.shape[-1]
        return _OPERATIONS * ULP * entries

    def try_bounds(self, params: Array) -> None:
        some = np.unique(np.linspace(0, len(params) - 1, _TRIED).astype(np.intp))
        some = some[: max(1, _TRIED_NUMBERS // params.shape[-1])]
        self.likelihood.require_bounds_at(self.data[some], params[some])

    def noise(self, params: Array) -> Array:
        # Third differences in steps so tiny that nothing but rounding is left in them. The steps
        # are powers of two, so that the params themselves are hardly rounded.
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
        # Where numbers overflow nothing is known but the ceiling.
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


class _ByIntervals(ElementwiseTable):
    """Families of whom something is known over each interval of the params."""

    def curvature(self, params: Array, reach: Array, datum: Index | None = None) -> Curvature:
        lower = np.maximum(params - reach[:, None], -_FAR)
        upper = np.minimum(params + reach[:, None], _FAR)
        if datum is not None:
            return self._curvature(self.data[datum], lower[:, None], upper[:, None])
        found = [
            self._curvature(self.data[:, None], lower[part], upper[part])
            for part in _slices(len(params), self.data.size)
        ]
        return Curvature(
            np.concatenate([f.convexity for f in found], axis=-1),
            np.concatenate([f.steepest for f in found], axis=-1),
            np.concatenate([f.ceiling for f in found], axis=-1),
        )

    @abstractmethod
    def _curvature(self, x: Array, lower: Array, upper: Array) -> Curvature:
        """Curvature over params from `lower` to `upper`, `(..., D)`."""

    def _ceiling(self, x: Array, lower: Array, upper: Array, convexity: Array) -> Array:
        """Bound of log p over params from `lower` to `upper`, `(...)`, from what it is at the ends.

        Between two ends where a datum is impossible it may be likely, so that values alone say
        nothing. From either end log p rises no more than its slope and second derivative allow.
        """
        bound = np.full(x.shape, np.inf)
        for end, inwards in ((lower, upper - lower), (upper, lower - upper)):
            value, slope = self.likelihood._log_prob(x, end), self.likelihood._score(x, end)
            rise = np.maximum(slope * inwards, 0.0) + 0.5 * convexity * inwards**2
            found = value + rise + 8 * ULP * (np.abs(value) + rise)
            # A log density that overflows has a great slope; with any other it was underflow.
            overflown = (np.abs(slope) > _GREAT) & (rise < _WILD)
            found = np.where(value > -np.inf, found, np.where(overflown, -np.inf, np.inf))
            # Of NaN nothing is known.
            bound = np.fmin(bound, found)
        ceiling = bound.sum(axis=-1)
        return np.where((bound < IMPOSSIBLE).any(axis=-1), IMPOSSIBLE, ceiling)


class LocallyBoundedTable(_ByIntervals):
    """Families whose second derivatives are bounded over intervals of the params."""

    def _curvature(self, x: Array, lower: Array, upper: Array) -> Curvature:
        low, high = checked_range(self.likelihood, x, lower, upper)
        steepest = np.maximum(np.abs(low), np.abs(high))
        convexity = np.zeros_like(high) if self.likelihood.concave else np.maximum(high, 0.0)
        ceiling = np.full(high.shape[:-1], np.inf)
        wild = np.argwhere(~(steepest < _WILD).all(axis=-1))
        if len(wild):
            # Params so far from a datum that its log density overflows.
            there = tuple(wild.T)
            x, lower, upper = (np.broadcast_to(v, high.shape)[there] for v in (x, lower, upper))
            ends = [self.likelihood._log_prob(x, end) for end in (lower, upper)]
            known = np.isfinite(ends).all(axis=0) & (np.min(ends, axis=0) > IMPOSSIBLE)
            require_finite(x, lower, upper, low[there], high[there], known)
            ceiling[there] = self._ceiling(x, lower, upper, convexity[there])
        return Curvature(0.5 * convexity.max(axis=-1), steepest.max(axis=-1), ceiling)


class ConcaveTable(_ByIntervals):
    """Families that are concave in the params, of whom nothing else is known.

    They are below their tangents, by no more than at the ends of an interval.
    """

    def _curvature(self, x: Array, lower: Array, upper: Array) -> Curvature:
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
        # Where numbers overflow nothing is known.
        steepest = np.where(np.isnan(gap), np.inf, steepest)
        return Curvature(np.zeros(ceiling.shape), steepest.max(axis=-1), ceiling)


def _slices(count: int, numbers: int) -> Iterator[slice]:
    """Parts of `count` columns such that `numbers` rows of each fit in a block."""
    step = max(1, _LIMIT // max(numbers, 1))
    for i in range(0, count, step):
        yield np.s_[i : i + step]
