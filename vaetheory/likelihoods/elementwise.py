"""Likelihoods with independent data dimensions: everything is a function of one number."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, aligned
from vaetheory.likelihoods.base import ExponentialFamily, Likelihood


class ElementwiseLikelihood(Likelihood):
    """A likelihood with independent data dimensions.

    A family gives functions of one number, which broadcast; the sums over the dimensions and the
    checks are here.
    """

    @abstractmethod
    def _log_prob(self, x: Array, params: Array) -> Array:
        """Log density of each data dimension."""

    @abstractmethod
    def _score(self, x: Array, params: Array) -> Array:
        """Derivative of `_log_prob` in the params."""

    @abstractmethod
    def _information(self, x: Array, params: Array) -> Array:
        """-d^2 log p / dparams^2 of each data dimension."""

    @abstractmethod
    def _fisher(self, params: Array) -> Array:
        """Expectation of `_information`."""

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        return self._log_prob(*aligned(x, params)).sum(axis=-1)

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        return self._score(*aligned(x, params))

    def information(self, x: Array, params: Array, jacobian: Array) -> Array:
        weighted = self._information(x, params)[..., None] * jacobian
        return np.swapaxes(jacobian, -1, -2) @ weighted

    def fisher_information(self, params: Array) -> Array:
        return self._fisher(params)[..., None] * np.eye(params.shape[-1])


class ElementwiseExponentialFamily(ElementwiseLikelihood, ExponentialFamily):
    """An exponential family with independent data dimensions.

    Unless it says otherwise T(x) = x and the params are natural.
    """

    @abstractmethod
    def _log_partition(self, params: Array) -> Array: ...

    @abstractmethod
    def _log_base(self, x: Array) -> Array: ...

    def statistics(self, x: Array) -> Array:
        return x

    def natural_parameters(self, params: Array) -> Array:
        return params

    def log_partition(self, params: Array) -> Array:
        return self._log_partition(params).sum(axis=-1)

    def log_base(self, x: Array) -> Array:
        return self._log_base(x).sum(axis=-1)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        # Sums of each part, and not parts of each dimension: one matrix product in a table.
        return ExponentialFamily.log_prob(self, x, params)

    def _log_prob(self, x: Array, params: Array) -> Array:
        product = self.statistics(x) * self.natural_parameters(params)
        return product - self._log_partition(params) + self._log_base(x)

    def _score(self, x: Array, params: Array) -> Array:
        if not self.natural:
            raise TypeError(f"{type(self).__name__}: expected natural = True or a score of its own")
        return x - self.mean(params)
