"""Gamma likelihoods of log means."""

from __future__ import annotations

import numpy as np

from vaetheory._quadrature.blocks import Index
from vaetheory._quadrature.tables.base import Table
from vaetheory._validation import Array
from vaetheory.likelihoods import Gamma


class GammaTable(Table):
    """Gamma likelihoods: log p = -a (params + x exp(-params)) + h(x), params the log means."""

    likelihood: Gamma

    def restrict(self, params: Array) -> Array:
        return np.clip(params, -300.0, 1e30)

    def dense(self, params: Array) -> tuple[Array, Array]:
        a, inverse = self.likelihood.shape, np.exp(-params)
        ratio = self.data @ inverse.T
        log_prob = -a * (params.sum(axis=-1) + ratio) + self.likelihood.log_base(self.data)[:, None]
        slope = self.data**2 @ (inverse**2).T - 2 * ratio + self.data.shape[-1]
        return np.minimum(log_prob, self.peak[:, None]), a * np.sqrt(np.maximum(slope, 0))

    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        a, away = self.likelihood.shape, np.log(self.data[datum]) - point[:, None]
        slope = np.expm1(np.minimum(away, 300.0))
        return self.peak[datum] - a * (slope - away).sum(axis=-1), a * slope

    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        a = self.likelihood.shape
        excess = np.expm1(np.minimum(-delta, 300.0)) + delta
        out = score @ np.swapaxes(delta, -1, -2)
        out -= (score + a) @ np.swapaxes(np.maximum(excess, 0), -1, -2)
        return out

    def bend(self, point: Array, delta: Array) -> Array:
        out: Array = 0.5 * np.einsum("cmd,cmd->cm", delta, delta).max(axis=-1)
        return out

    def bend_of(self, bend: Array, slope: Array) -> Array:
        # The second derivative is a x exp(-params) = score + a.
        return bend * (self.likelihood.shape + slope)
