"""Tables of families whose parameters are natural: one matrix product per table."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from vaetheory._validation import Array, Index
from vaetheory.likelihoods.table import Density, Table


class NaturalDensity(Density, Protocol):
    """The methods of a family with natural params and T(x) = x that the table calls."""

    def mean(self, params: Array) -> Array:
        """Mean parameters E[T], `(..., D)`."""

    def log_partition(self, params: Array) -> Array:
        """Log partition A, `(...)`."""

    def log_base(self, x: Array) -> Array:
        """Log base measure h(x), `(...)`."""


class NaturalTable(Table):
    """Families whose parameters are natural: log p = x . params - A(params) + h(x)."""

    likelihood: NaturalDensity

    def __init__(self, likelihood: NaturalDensity, data: Array) -> None:
        super().__init__(likelihood, data)
        self.base = likelihood.log_base(data)
        self.square = (data**2).sum(axis=-1)

    def dense(self, params: Array) -> tuple[Array, Array]:
        mean = self.likelihood.mean(params)
        log_prob = self.data @ params.T
        log_prob += self.base[:, None]
        log_prob -= self.likelihood.log_partition(params)
        slope = self.data @ (-2 * mean.T)
        slope += self.square[:, None]
        slope += (mean**2).sum(axis=-1)
        np.maximum(slope, 0, out=slope)
        np.sqrt(slope, out=slope)
        return np.minimum(log_prob, self.peak[:, None]), slope

    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        x, params = self.data[datum], point[:, None]
        score = x - self.likelihood.mean(params)
        return self.likelihood.log_prob(x, params), score

    def _bregman(self, point: Array, delta: Array) -> Array:
        """A(point + delta) - A(point) - mean . delta, `(C, M)`, never negative."""
        centre = point[:, None]
        mean = self.likelihood.mean(centre)
        far = self.likelihood.log_partition(centre + delta)
        out = far - self.likelihood.log_partition(centre) - (mean * delta).sum(axis=-1)
        positive: Array = np.maximum(out, 0)
        return positive

    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        out = score @ np.swapaxes(delta, -1, -2)
        out -= self._bregman(point, delta)[:, None]
        return out

    def bend(self, point: Array, delta: Array) -> Array:
        out: Array = self._bregman(point, delta).max(axis=-1)
        return out
