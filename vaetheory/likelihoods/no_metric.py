"""Families that induce no metric on their parameters: Fisher's identities fail for them.

Evidences, ELBOs and stationary posteriors need no metric, and Laplace has them. What needs one
raises a `NoMetricError`. The support of the uniform family moves with its parameter; it has no
model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, positive
from vaetheory.likelihoods.base import NoMetricError
from vaetheory.likelihoods.elementwise import ElementwiseLikelihood
from vaetheory.likelihoods.supports import Support


class NoMetricLikelihood(ElementwiseLikelihood):
    """A family with a log density, a score and samples, but no Fisher information.

    `observed_information` and `fisher_information` raise a `NoMetricError`. `_information` still
    gives the pointwise second derivative, wherever it exists. `metric_identities` shows which
    identity fails.
    """

    def observed_information(self, x: ArrayLike, params: ArrayLike, jacobian: Array) -> NoReturn:
        raise NoMetricError(self.no_metric)

    def fisher_information(self, params: ArrayLike) -> NoReturn:
        raise NoMetricError(self.no_metric)

    def _fisher(self, params: Array) -> NoReturn:
        raise NoMetricError(self.no_metric)

    def _fisher_log_slope(self, params: Array) -> NoReturn:
        raise NoMetricError(self.no_metric)

    def _limit(self, x: Array, params: Array) -> Array:
        return np.full(np.broadcast_shapes(x.shape, params.shape), -np.inf)

    def _information(self, x: Array, params: Array) -> Array:
        return np.zeros(np.broadcast_shapes(x.shape, params.shape))


@dataclass(frozen=True)
class Uniform(NoMetricLikelihood):
    """Uniform likelihood on (0, theta); the parameter is log theta.

    E[score] is -1 and not 0: the end of the support moves with the parameter, so differentiation
    and integration do not commute. There is no Fisher information, and a `LatentModel` refuses it.

    Examples
    --------
    >>> import numpy as np
    >>> Uniform().log_prob(np.array([[0.5], [2.0]]), np.zeros(1)).tolist()
    [0.0, -inf]
    """

    parameter, fixed_support = "log theta", False
    support = Support.POSITIVE
    no_metric = (
        "Uniform: E[score] = 0 fails: the support (0, theta) moves with the parameter, and "
        "E[d log p / d log theta] = -1"
    )

    def _log_prob(self, x: Array, params: Array) -> Array:
        inside = (x > 0) & (np.log(np.maximum(x, np.finfo(np.float64).tiny)) < params)
        return np.where(inside, -params, -np.inf)

    def _score(self, x: Array, params: Array) -> Array:
        return np.full(np.broadcast_shapes(x.shape, params.shape), -1.0)

    def _greatest_log_prob(self, x: Array) -> Array:
        # The limit as theta tends to x from above.
        return -np.log(x)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        log_theta = self._vectors(params)
        # The open interval (0, 1): one draw in 2^53 would be 1.
        return np.exp(log_theta) * np.minimum(1 - rng.random(log_theta.shape), 1 - 2.0**-53)


@dataclass(frozen=True)
class Laplace(NoMetricLikelihood):
    """Laplace likelihood of real data with a fixed scale; the decoder gives locations.

    Its log density is minus the L1 loss over the scale, up to a constant.
    E[score score^T] is 1 / scale^2, but the log density is piecewise linear in the location, so
    -E[Hessian] is 0: the two forms of the Fisher information differ, and there is no metric.
    `log_evidence`, `posterior_expectation`, `elbo` and `stationary_posterior` need none. What needs
    one (`vaetheory.geometry`, `second_order_elbo`) raises a `NoMetricError`, and so does
    `posterior_mode`, whose modes would lie at kinks.

    Parameters
    ----------
    scale : float
        s > 0; the variance is 2 s^2.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(Laplace(scale=0.5).log_prob(np.ones(1), np.zeros(1))), 12)
    -2.0

    The evidence of f(z) = z, a convolution in closed form:

    >>> from vaetheory import LatentModel, decoders, log_evidence
    >>> model = LatentModel(decoders.Affine([[1.0]]), Laplace(scale=0.5))
    >>> log_evidence(model, [[1.0]]).value.round(9).tolist()
    [-1.459479483]
    """

    parameter, concave = "location", True
    support = Support.REAL
    no_metric = (
        "Laplace: E[score score^T] = -E[Hessian] fails: the score form is 1/scale^2, the Hessian "
        "form 0"
    )
    scale: float

    def __init__(self, scale: float) -> None:
        object.__setattr__(self, "scale", float(positive("scale", scale)))

    def usual_parameters(self, params: Array) -> tuple[str, dict[str, Array]]:
        return "laplace", {"loc": params, "scale": np.full_like(params, self.scale)}

    def _log_prob(self, x: Array, params: Array) -> Array:
        return -np.abs(x - params) / self.scale - np.log(2 * self.scale)

    def _score(self, x: Array, params: Array) -> Array:
        return np.sign(x - params) / self.scale

    def definite_information(self, x: Array, params: Array, jacobian: Array) -> Array:
        # The score form of the Fisher information: the Hessian form vanishes.
        return np.swapaxes(jacobian, -1, -2) @ jacobian / self.scale**2

    def _greatest_log_prob(self, x: Array) -> Array:
        return np.full_like(x, -np.log(2 * self.scale))

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        return rng.laplace(self._vectors(params), self.scale)
