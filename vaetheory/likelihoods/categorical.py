"""One of K classes, as a one-hot vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp, softmax

from vaetheory._validation import Array
from vaetheory.likelihoods.base import ExponentialFamily, over_batch
from vaetheory.likelihoods.special import log_weighted_mean
from vaetheory.likelihoods.supports import Support


@dataclass(frozen=True)
class Categorical(ExponentialFamily):
    """Categorical likelihood of one-hot data `(..., K)`; the decoder gives K logits.

    Logits that differ by a constant give the same distribution, so the Fisher information has
    rank K - 1.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(Categorical().log_prob(np.array([0.0, 1.0]), np.zeros(2))), 6)
    -0.693147
    """

    parameter = "logit"
    growth_degree = 1
    natural = True
    ambient_curvature = 0.25
    support = Support.ONE_HOT

    def statistics(self, x: Array) -> Array:
        return x

    def greatest_log_prob(self, x: Array) -> Array:
        return np.zeros(self.check_data(x).shape[:-1])

    def natural_parameters(self, params: Array) -> Array:
        return params

    def log_partition(self, params: Array) -> Array:
        return logsumexp(params, axis=-1)

    def log_base(self, x: Array) -> Array:
        return np.zeros(x.shape[:-1])

    def mean(self, params: Array) -> Array:
        return softmax(params, axis=-1)

    def _at_infinity(self, x: Array, params: Array) -> Array:
        # The classes with the greatest logit share the mass. There is no limit if several logits
        # are infinite, or if all of them are minus infinity.
        above = params == np.inf
        lost = (above.sum(axis=-1) > 1) | (params == -np.inf).all(axis=-1)
        if lost.any():
            return super()._at_infinity(x, params)
        certain = np.where(above.any(axis=-1, keepdims=True), np.log(above), params)
        kept = np.where(x == 1, certain, 0.0).sum(axis=-1)
        return kept - logsumexp(certain, axis=-1)

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        x, params = self._pair(x, params)
        p = self.mean(params)
        hot = x * self._others(p)
        return hot - (1 - x) * p

    def _others(self, p: Array) -> Array:
        """1 - p as the sum of the other probabilities, which keeps its digits."""
        return p @ (1 - np.eye(p.shape[-1]))

    def centred(self, p: Array, rows: Array) -> Array:
        """Rows `(..., K, M)` minus their mean under the probabilities p `(..., K)`.

        The likeliest class is subtracted first, so that nothing cancels if it is almost certain.
        """
        leading = np.broadcast_shapes(p.shape[:-1], rows.shape[:-2])
        p = np.broadcast_to(p, (*leading, p.shape[-1]))
        rows = np.broadcast_to(rows, (*leading, *rows.shape[-2:]))
        top = p.argmax(axis=-1)[..., None, None]
        away = rows - np.take_along_axis(rows, top, axis=-2)
        return away - p[..., None, :] @ away

    def observed_information(self, x: ArrayLike, params: ArrayLike, jacobian: Array) -> Array:
        x, params = self._pair(x, params)
        return over_batch(self.expected_information(params, jacobian), x, params)

    def expected_information(self, params: Array, jacobian: Array) -> Array:
        p = self.mean(params)
        centred = self.centred(p, jacobian)
        return np.swapaxes(centred, -1, -2) @ (p[..., None] * centred)

    def immersed_jacobian(self, params: Array, jacobian: Array) -> Array:
        p = self.mean(params)
        return np.sqrt(p)[..., None] * self.centred(p, jacobian)

    def immersed_hessian(self, params: Array, jacobian: Array, hessian: Array) -> Array:
        p = self.mean(params)
        centred = self.centred(p, jacobian)
        rows = hessian + 0.5 * centred[..., :, None] * centred[..., None, :]
        flat = rows.reshape(*rows.shape[:-2], -1)
        return np.sqrt(p)[..., None, None] * self.centred(p, flat).reshape(rows.shape)

    def fisher_information(self, params: ArrayLike) -> Array:
        p = self.mean(self._vectors(params))
        off = p[..., :, None] * p[..., None, :] * (1 - np.eye(p.shape[-1]))
        return (p * self._others(p))[..., None] * np.eye(p.shape[-1]) - off

    def fit(self, x: Array, log_weights: Array) -> Array:
        return log_weighted_mean(x, log_weights)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        p = self.mean(self._vectors(params))
        choice = (rng.random((*p.shape[:-1], 1)) > np.cumsum(p, axis=-1)[..., :-1]).sum(axis=-1)
        return np.eye(p.shape[-1])[choice]
