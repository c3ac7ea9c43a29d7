"""Gaussian likelihoods: parabolas in whitened coordinates."""

from __future__ import annotations

import numpy as np

from vaetheory._quadrature.blocks import Index
from vaetheory._quadrature.tables.base import Table
from vaetheory._validation import Array
from vaetheory.likelihoods import Gaussian


class GaussianTable(Table):
    """Gaussian likelihoods: squared residuals in whitened coordinates."""

    likelihood: Gaussian

    def __init__(self, likelihood: Gaussian, data: Array) -> None:
        super().__init__(likelihood, data)
        self.constant = likelihood.log_peak(data.shape[-1])
        self.anchor = data.mean(axis=0)
        self.white = likelihood.whiten(data - self.anchor)
        self.square = np.einsum("nd,nd->n", self.white, self.white)
        if likelihood.cov is not None:
            self.condition = float(np.linalg.cond(likelihood.cov))

    def coordinates(self, change: Array) -> Array:
        return self.likelihood.whiten(change)

    def dense(self, params: Array) -> tuple[Array, Array]:
        points = self.likelihood.whiten(params - self.anchor)
        norms = np.einsum("md,md->m", points, points)
        square = self.white @ points.T
        square *= -2
        square += self.square[:, None]
        square += norms
        # The expanded square has lost digits: shrinking it by that much keeps the bound a bound.
        square -= 1e-14 * (self.square.max() + norms)
        np.maximum(square, 0, out=square)
        return self.constant - 0.5 * square, np.sqrt(square)

    def greatest_slope(self, params: Array) -> Array:
        points = self.likelihood.whiten(params - self.anchor)
        return np.sqrt(np.einsum("md,md->m", points, points)) + np.sqrt(self.square.max())

    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        # x - f is formed before it is divided by the scale, so that its digits are kept.
        score = self.likelihood.whiten(self.data[datum] - point[:, None])
        return self.constant - 0.5 * np.einsum("cld,cld->cl", score, score), score

    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        half = 0.5 * np.einsum("cmd,cmd->cm", delta, delta)
        out = score @ np.swapaxes(delta, -1, -2)
        out -= half[:, None]
        return out

    def bend(self, point: Array, delta: Array) -> Array:
        out: Array = 0.5 * np.einsum("cmd,cmd->cm", delta, delta).max(axis=-1)
        return out

    def upper(self, log_prob: Array, slope: Array, reach: Array) -> Array:
        return self.constant - 0.5 * np.maximum(slope - reach, 0) ** 2
