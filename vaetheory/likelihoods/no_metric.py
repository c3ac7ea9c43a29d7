"""Likelihoods that induce no Riemannian metric, and are refused where one is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, positive
from vaetheory.likelihoods.base import NoMetricError
from vaetheory.likelihoods.elementwise import ElementwiseLikelihood
from vaetheory.likelihoods.supports import Support


class _WithoutMetric(ElementwiseLikelihood):
    def _refuse(self) -> NoReturn:
        raise NoMetricError(self.no_metric)

    def _information(self, x: Array, params: Array) -> Array:
        self._refuse()

    def _fisher(self, params: Array) -> Array:
        self._refuse()


@dataclass(frozen=True)
class Uniform(_WithoutMetric):
    """Uniform likelihood on (0, theta); the decoder gives log theta.

    The support moves with the parameter, so that the mean of the score is -1 and not 0: there is
    no Fisher information metric, and `LatentModel` refuses the family (claim 7e). Its supremum
    over the params is at theta = x.

    Examples
    --------
    >>> import numpy as np
    >>> float(Uniform().log_prob(np.array([0.5]), np.zeros(1))) + 0.0
    0.0
    >>> Uniform().fisher_information([0.0])
    Traceback (most recent call last):
    vaetheory.likelihoods.base.NoMetricError: Uniform: E[score] = 0 fails, it is -1: the support \
moves with the parameter, so this family has no Fisher information metric
    """

    support = Support.POSITIVE
    no_metric = (
        "Uniform: E[score] = 0 fails, it is -1: the support moves with the parameter, "
        "so this family has no Fisher information metric"
    )

    def _log_prob(self, x: Array, params: Array) -> Array:
        return np.where(np.log(x) <= params, -params, -np.inf)

    def _score(self, x: Array, params: Array) -> Array:
        """-1 below theta; no number beyond, where the density is nought."""
        return np.where(np.log(x) <= params, -1.0, np.nan)

    def greatest_log_prob(self, x: Array) -> Array:
        return -np.log(x).sum(axis=-1)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        theta = np.exp(self._vectors(params))
        # 1 - u is in (0, 1].
        return theta * (1 - rng.random(theta.shape))


@dataclass(frozen=True)
class Laplace(_WithoutMetric):
    """Laplace likelihood of real data; the decoder gives locations.

    The score is +-1 / scale, of mean square 1 / scale^2, but the Hessian of the log density is 0
    wherever there is one: there is no Fisher information metric, and `LatentModel` refuses the
    family (claim 7e).

    Parameters
    ----------
    scale : float
        Mean absolute deviation from the location.

    Examples
    --------
    >>> import numpy as np
    >>> float(Laplace(scale=0.5).log_prob(np.array([1.0]), np.zeros(1)))
    -2.0
    """

    support = Support.REAL

    scale: float

    def __init__(self, scale: float) -> None:
        object.__setattr__(self, "scale", float(positive("scale", scale)))

    @property
    def no_metric(self) -> str:  # type: ignore[override]
        return (
            "Laplace: E[score score^T] = -E[Hessian] fails: the score form is 1 / scale^2 = "
            f"{self.scale**-2:g}, the Hessian form 0, so this family has no Fisher information "
            "metric"
        )

    def _log_prob(self, x: Array, params: Array) -> Array:
        return -np.abs(x - params) / self.scale - np.log(2 * self.scale)

    def _score(self, x: Array, params: Array) -> Array:
        return np.sign(x - params) / self.scale

    def greatest_log_prob(self, x: Array) -> Array:
        return np.full(x.shape[:-1], -x.shape[-1] * np.log(2 * self.scale))

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        return rng.laplace(self._vectors(params), self.scale)
