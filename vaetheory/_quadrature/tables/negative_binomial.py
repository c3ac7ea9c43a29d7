"""Negative binomial likelihoods: concave, and bent according to where the parameters are."""

from __future__ import annotations

import numpy as np

from vaetheory._quadrature.tables.elementwise import ElementwiseTable
from vaetheory._validation import Array
from vaetheory.likelihoods import NegativeBinomial
from vaetheory.likelihoods.special import bernoulli_divergence


class NegativeBinomialTable(ElementwiseTable):
    """Log p leaves its tangent by (x + r) KL(p || p'), p and p' the shares of the mean in m + r."""

    likelihood: NegativeBinomial

    def __init__(self, likelihood: NegativeBinomial, data: Array) -> None:
        super().__init__(likelihood, data)
        self.weight = data.max(axis=0) + likelihood.shape

    def bend(self, point: Array, delta: Array) -> Array:
        logit = point[:, None] - np.log(self.likelihood.shape)
        gap = self.weight * bernoulli_divergence(logit, logit + delta)
        out: Array = np.maximum(gap.sum(axis=-1).max(axis=-1), 0.0)
        return out
