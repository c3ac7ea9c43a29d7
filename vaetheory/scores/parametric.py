"""Latent models with parameters, and the derivatives of their joint density in these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vaetheory import derivatives
from vaetheory._arguments import protected
from vaetheory._validation import Array, as_array, dimension, require_callable
from vaetheory._value_equality import ByValue
from vaetheory.decoders import FunctionDecoder
from vaetheory.decoders._agreement import require_derivatives
from vaetheory.likelihoods import Likelihood
from vaetheory.models import LatentModel

#: Maps parameters `(..., p)` and latents `(..., d)` to a likelihood's parameters `(..., P)`.
Family = Callable[[Any, Any], Any]


def _decoded(function: Family, theta: Array, z: Any) -> Any:
    """The family's outputs at latents `(..., d)` for one vector of parameters."""
    theta = np.broadcast_to(theta, (*np.shape(z)[:-1], len(theta)))
    # Protected here and not before, so that models can be sent to other processes.
    return protected(function, "function")(theta, z)


def _by_theta(function: Family, z: Array, theta: Any) -> Any:
    """The family's outputs at parameters `(..., p)`, each with the same latent or its own."""
    return function(theta, np.broadcast_to(z, (*np.shape(theta)[:-1], z.shape[-1])))


def _require_traced(function: Family, theta: Array, d: int) -> None:
    """Raise a ValueError unless autograd finds the derivatives in theta of the family's values."""
    for start in (0.3, -1.1):
        z = start + 0.7 * np.sqrt(np.arange(1.0, d + 1))
        inner = FunctionDecoder(partial(_by_theta, function, z))
        try:
            known = inner.jacobian(theta[None]), inner.hessian(theta[None])
        except Exception as error:
            raise ValueError(
                "function: expected one written with autograd.numpy, which autograd can trace in "
                f"theta, got {type(error).__name__}: {error}"
            ) from None
        require_derivatives(inner, theta, "function of theta", known)


@dataclass(frozen=True, eq=False, init=False)
class ParametricModel(ByValue):
    """The model p(x, z; theta) = N(z; 0, I_d) p(x given f(theta, z)) at one theta.

    Parameters
    ----------
    function : callable
        f, `(..., p), (..., d) -> (..., P)`, row by row, written with `autograd.numpy`: the decoder
        and whatever else of the likelihood is learned. Index parameters with `[..., k]`. With
        `likelihoods.GaussianMeanScale` the outputs are means and log scales.
    likelihood : Likelihood
        The family; the outputs are its parameters.
    theta : array (p,)
        The parameters.
    latent_dim : int
        The dimension d of z.

    Attributes
    ----------
    model : LatentModel
        The model at this theta.

    Raises
    ------
    ValueError
        As `LatentModel`, and if `theta` is no vector of finite numbers.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> from vaetheory import likelihoods
    >>> from vaetheory.scores import ParametricModel
    >>> def bent(theta, z):
    ...     return anp.concatenate([theta[..., :1] * z, theta[..., 1:] * z**2], axis=-1)
    >>> family = ParametricModel(bent, likelihoods.Gaussian(scale=0.5), [1.0, 0.3], 1)
    >>> family.model.data_dim, family.at([2.0, 0.0]).model.decode([[3.0]]).tolist()
    (2, [[6.0, 0.0]])
    """

    function: Family
    likelihood: Likelihood
    theta: Array
    latent_dim: int
    model: LatentModel

    def __init__(
        self, function: Family, likelihood: Likelihood, theta: ArrayLike, latent_dim: int
    ) -> None:
        require_callable("function", function, "(..., p), (..., d) -> (..., P)")
        vector = as_array("theta", theta, ndim=1)
        if not len(vector):
            raise ValueError("theta: expected at least one parameter, got none")
        d = dimension("latent_dim", latent_dim)
        model = LatentModel(partial(_decoded, function, vector), likelihood, d)
        _require_traced(function, vector, d)
        for name, value in (
            ("function", function),
            ("likelihood", likelihood),
            ("theta", vector),
            ("latent_dim", d),
            ("model", model),
        ):
            object.__setattr__(self, name, value)

    def at(self, theta: ArrayLike) -> ParametricModel:
        """The same family at other parameters `(p,)`."""
        vector = as_array("theta", theta, ndim=1)
        if vector.shape != self.theta.shape:
            raise ValueError(f"theta: expected shape {self.theta.shape}, got {vector.shape}")
        return ParametricModel(self.function, self.likelihood, vector, self.latent_dim)

    def outputs(self, z: Array) -> tuple[Array, Array]:
        """The likelihood's parameters `(..., P)` and their derivatives in theta `(..., P, p)`."""
        jacobian = derivatives.jacobian(partial(_by_theta, self.function, z), self._frames(z))
        return self.model.decode(z), jacobian

    def score(self, X: Array, z: Array) -> Array:
        """Gradient in theta of log p(x, z; theta) of all data at all latents.

        Data `(n, D)` and latents `(..., d)` give `(..., n, p)`.
        """
        params, jacobian = self.outputs(z)
        return self.likelihood.score(X, params[..., None, :]) @ jacobian

    def joint_derivatives(self, X: Array, z: Array) -> tuple[Array, Array]:
        """Gradient `(..., n, p)` and Hessian `(..., n, p, p)` in theta of log p(x, z; theta)."""
        params, jacobian = self.outputs(z)
        score = self.likelihood.score(X, params[..., None, :])
        bend = derivatives.hessian(partial(_by_theta, self.function, z), self._frames(z))
        information = self.likelihood.observed_information(
            X, params[..., None, :], jacobian[..., None, :, :]
        )
        hessian = np.einsum("...na,...aij->...nij", score, bend) - information
        return score @ jacobian, hessian

    def _frames(self, z: Array) -> Array:
        return np.array(np.broadcast_to(self.theta, (*z.shape[:-1], len(self.theta))))


def require_family(model: object) -> ParametricModel:
    """Return `model` if it is a `ParametricModel`, or raise a ValueError."""
    if not isinstance(model, ParametricModel):
        raise ValueError(f"model: expected a ParametricModel, got {type(model).__name__}")
    return model
