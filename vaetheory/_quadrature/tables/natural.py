"""Families whose parameters are natural: one matrix product a table."""

from __future__ import annotations

import numpy as np

from vaetheory._quadrature.blocks import Index
from vaetheory._quadrature.tables.base import Table
from vaetheory._validation import Array
from vaetheory.likelihoods import ExponentialFamily, Poisson


class NaturalTable(Table):
    """Families whose parameters are natural: log p = T(x) . params - A(params) + h(x)."""

    likelihood: ExponentialFamily

    def __init__(self, likelihood: ExponentialFamily, data: Array) -> None:
        super().__init__(likelihood, data)
        self.base = likelihood.log_base(data)
        self.square = (data**2).sum(axis=-1)

    def restrict(self, params: Array) -> Array:
        if isinstance(self.likelihood, Poisson):
            # Beyond e^300 counts a datum is impossible anyway, and products still fit in float64.
            return np.clip(params, -1e30, 300.0)
        return params

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
        if not isinstance(self.likelihood, Poisson):
            return self.likelihood.log_prob(x, params), score
        # Below the peak by the deviance: large counts keep their digits.
        away = params - np.log(np.maximum(x, 1.0))
        deviance = x * (np.expm1(np.minimum(away, 300.0)) - away)
        deviance = np.where(x > 0, deviance, self.likelihood.mean(params))
        return self.peak[datum] - deviance.sum(axis=-1), score

    def _bregman(self, point: Array, delta: Array) -> Array:
        """A(point + delta) - A(point) - mean . delta, `(C, M)`, never negative."""
        centre = point[:, None]
        mean = self.likelihood.mean(centre)
        if isinstance(self.likelihood, Poisson):
            out = (mean * (np.expm1(np.minimum(delta, 300.0)) - delta)).sum(axis=-1)
        else:
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
