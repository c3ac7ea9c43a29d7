"""Any likelihood of independent data dimensions whose second derivative has known bounds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vaetheory._quadrature.blocks import Index
from vaetheory._quadrature.tables.base import Table
from vaetheory._validation import Array
from vaetheory.likelihoods import ElementwiseLikelihood
from vaetheory.likelihoods._curvature_bounds import checked_bounds
from vaetheory.rounding import ULP

#: Numbers of a block.
_LIMIT = 500_000
#: Units in the last place that the log density of one entry may be off by, relative to 1 + itself.
_OPERATIONS = 4.0


class ElementwiseTable(Table):
    """Families that are not concave: entry by entry, bounded by their second derivatives."""

    likelihood: ElementwiseLikelihood

    def __init__(self, likelihood: ElementwiseLikelihood, data: Array) -> None:
        super().__init__(likelihood, data)
        low, high = checked_bounds(likelihood, data)
        #: Greatest second derivative in modulus, over all data and dimensions.
        self.steepest = float(np.maximum(np.abs(low), np.abs(high)).max())
        self.convexity = 0.5 * max(float(np.max(high)), 0.0)
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
        out: Array = 0.5 * self.steepest * np.einsum("cmd,cmd->cm", delta, delta).max(axis=-1)
        return out

    def rounding(self, log_prob: Array, datum: Index, offset: Array, shift: Array) -> Array:
        # Log densities are summed up, not differences of them.
        entries = self.magnitude[datum] + np.abs(log_prob - self.peak[datum])
        entries += self.data.shape[-1]
        return super().rounding(log_prob, datum, offset, shift) + _OPERATIONS * ULP * entries


def _slices(count: int, numbers: int) -> Iterator[slice]:
    """Parts of `count` columns such that `numbers` rows of each fit in a block."""
    step = max(1, _LIMIT // max(numbers, 1))
    for i in range(0, count, step):
        yield np.s_[i : i + step]
