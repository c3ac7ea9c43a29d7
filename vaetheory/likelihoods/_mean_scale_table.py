"""The table of Gaussian likelihoods whose scales vary as well as their means."""

from __future__ import annotations

import numpy as np

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array, Index
from vaetheory.likelihoods.table import Curvature, Density, Responses, Table

#: Larger logarithms of ratios of scales would overflow; the density there is zero.
_MOST = 300.0
#: Digits that an expanded square loses, relative to the terms that cancel.
_LOST = 1e-14
#: For more data than this, changes are computed by matrix products.
_SEVERAL = 2


class MeanScaleTable(Table):
    """log p = constant + L(z) - |r|^2 / 2 with the residual r = (x - m) / s and L = -sum log s.

    L does not depend on the datum: it is a *field* over the latent plane, like the log prior, so
    that it needs no slope but only samples. Let r be the residual at a point, and let m, s change
    by dm and by a factor 1 / (1 + t), c = dm / s with the new s. Then the residual changes by
    r t - c, which is linear in (c, t): these and the change of L are the coordinates of a change,
    `(..., 2 D + 1)`. They are the same affine space as (m / s, 1 / s, L), but nothing cancels in
    them, wherever the data lie.

    Parameters
    ----------
    likelihood : Density
        A `GaussianMeanScale`.
    data : array (N, D)
    low, high : array (D,)
        Least and greatest data of all data for which bounds must hold, at least those of `data`.
    """

    parabolic = True
    field = True

    def __init__(self, likelihood: Density, data: Array, low: Array, high: Array) -> None:
        super().__init__(likelihood, data)
        size = data.shape[-1]
        self.constant = -0.5 * size * LOG_2PI
        self.low, self.high = low, high
        self.middle, self.half = 0.5 * (low + high), 0.5 * (high - low)
        self._centred = data - self.middle

    def take(self, which: Index) -> Table:
        if np.array_equal(which, np.arange(len(self.data))):
            return self
        return type(self)(self.likelihood, self.data[which], self.low, self.high)

    def _split(self, point: Array) -> tuple[Array, Array]:
        size = self.data.shape[-1]
        return point[..., :size], point[..., size:]

    def sizes(self, point: Array) -> Array:
        mean, log_scale = self._split(point)
        whitened = np.abs(mean) * np.exp(-log_scale)
        size = np.maximum(whitened.max(axis=-1), np.abs(log_scale).max(axis=-1))
        return np.maximum(size, np.abs(log_scale.sum(axis=-1)))

    def changes(self, params: Array, start: Array) -> Array:
        size = self.data.shape[-1]
        mean, log_scale = self._split(start)
        changes = np.empty((*params.shape[:-1], 2 * size + 1))
        c, t = changes[..., :size], changes[..., size:-1]
        np.subtract(log_scale, params[..., size:], out=t)
        changes[..., -1] = t.sum(axis=-1)
        np.minimum(t, _MOST, out=t)
        np.exp(t, out=t)
        np.subtract(params[..., :size], mean, out=c)
        c *= np.exp(-log_scale)
        c *= t
        t -= 1
        return changes

    def length(self, point: Array, delta: Array) -> Array:
        # The residual changes by (x - middle) db - da, with a = (m - middle) / s and b = 1 / s.
        mean, log_scale = self._split(point[:, None])
        c, t = self._changed(delta)
        inverse = np.exp(-log_scale)
        size = t * ((mean - self.middle) * inverse)
        size += c
        if self.half.any():
            np.abs(size, out=size)
            size += np.abs(t) * (self.half * inverse)
        return np.sqrt(np.einsum("cmd,cmd->cm", size, size))

    def _changed(self, delta: Array) -> tuple[Array, Array]:
        size = self.data.shape[-1]
        return delta[..., :size], delta[..., size:-1]

    def rise(self, delta: Array) -> Array:
        return delta[..., -1]

    def top(self, point: Array) -> Array:
        return np.asarray(self.constant - self._split(point)[1].sum(axis=-1))

    def dense(self, params: Array) -> tuple[Array, Array]:
        mean, log_scale = self._split(params)
        b = np.exp(-log_scale)
        a = (mean - self.middle) * b
        square = (self._centred**2) @ (b**2).T
        square -= self._centred @ (2 * a * b).T
        square += np.einsum("md,md->m", a, a)
        # The expanded square has lost digits; subtracting that error keeps the bound valid.
        size = np.abs(a) + self.half * b
        square -= _LOST * np.einsum("md,md->m", size, size)
        np.maximum(square, 0, out=square)
        # What overflows is impossible.
        np.copyto(square, np.inf, where=np.isnan(square))
        return self.top(params) - 0.5 * square, np.sqrt(square)

    def greatest_slope(self, params: Array) -> Array:
        mean, log_scale = self._split(params)
        size = (np.abs(mean - self.middle) + self.half) * np.exp(-log_scale)
        return np.sqrt(np.einsum("md,md->m", size, size))

    def centre(self, datum: Index, point: Array) -> tuple[Array, Array]:
        mean, log_scale = self._split(point[:, None])
        residual = (self.data[datum] - mean) * np.exp(-log_scale)
        value = self.top(point)[:, None] - 0.5 * np.einsum("cld,cld->cl", residual, residual)
        return value, residual

    def change(self, score: Array, datum: Index, point: Array, delta: Array) -> Array:
        # r'^2 - r^2 = (r (1 + t) - c)^2 - r^2 by dimension.
        c, t = self._changed(delta)
        out = score @ _transposed(c + c * t)
        out -= (score * score) @ _transposed(t + 0.5 * t * t)
        out += (delta[..., -1] - 0.5 * np.einsum("cmd,cmd->cm", c, c))[:, None]
        return out

    def change_to(self, score: Array, datum: Index, point: Array, params: Array) -> Array:
        if score.shape[1] > _SEVERAL:
            return super().change_to(score, datum, point, params)
        # For one or two data it is cheaper to begin anew than to compute the change.
        mean, log_scale = self._split(params)
        inverse = np.negative(log_scale)
        rise = inverse.sum(axis=-1) + self._split(point)[1].sum(axis=-1)[:, None]
        np.exp(inverse, out=inverse)
        residual = self.data[datum][:, :, None] - mean[:, None]
        residual *= inverse[:, None]
        square = np.einsum("clmd,clmd->clm", residual, residual)
        square -= np.einsum("cld,cld->cl", score, score)[..., None]
        square *= -0.5
        square += rise[:, None]
        return square

    def responses(self, datum: Index, params: Array) -> Responses:
        if datum.shape[1] > _SEVERAL:
            return self._responses_of_many(datum, params)
        mean, log_scale = self._split(params)
        residual = self.data[datum][:, :, None] - mean[:, None]
        residual *= np.exp(-log_scale)[:, None]
        centre, change = residual[:, :, 0], residual[:, :, 1:]
        square = np.einsum("cld,cld->cl", centre, centre)
        change -= centre[:, :, None]
        along = (change @ centre[..., None])[..., 0]
        value = self.top(params[:, 0])[:, None] - 0.5 * square
        return Responses(value, square, along, change @ _transposed(change))

    def _responses_of_many(self, datum: Index, params: Array) -> Responses:
        value, score = self.centre(datum, params[:, 0])
        c, t = self._changed(self.changes(params[:, 1:], params[:, :1]))
        squares, count = score * score, t.shape[1]
        i, j = np.triu_indices(count)
        # The residuals change by r t - c.
        flat = squares @ _transposed(t[:, i] * t[:, j])
        flat -= score @ _transposed(c[:, i] * t[:, j] + t[:, i] * c[:, j])
        flat += np.einsum("ckd,ckd->ck", c[:, i], c[:, j])[:, None]
        products = np.empty((*datum.shape, count, count))
        products[..., i, j] = flat
        products[..., j, i] = flat
        along = squares @ _transposed(t) - score @ _transposed(c)
        return Responses(value, np.einsum("cld->cl", squares), along, products)

    def gap(self, delta: Array) -> Array:
        t = self._changed(delta)[1]
        gap: Array = np.maximum(t.sum(axis=-1) - delta[..., -1], 0).max(axis=-1)
        return gap

    def bend(self, point: Array, delta: Array) -> Array:
        bend: Array = 0.5 * self.length(point, delta).max(axis=-1) ** 2 + self.gap(delta)
        return bend

    def bounds(
        self, params: Array, reach: Array, lift: Array, datum: Index | None = None
    ) -> Curvature:
        ceiling = self.top(params) + lift
        return Curvature(ceiling=ceiling if datum is None else ceiling[:, None])

    def upper(self, log_prob: Array, slope: Array, reach: Array, curvature: Curvature) -> Array:
        return curvature.ceiling - 0.5 * np.maximum(slope - reach, 0) ** 2


def _transposed(matrices: Array) -> Array:
    return np.swapaxes(matrices, -1, -2)
