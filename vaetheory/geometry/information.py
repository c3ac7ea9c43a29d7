"""Fisher information, its pull-back to the latent space, and the decoder's Hessian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, representable, require, same_leading, vectors
from vaetheory._value_equality import ByValue
from vaetheory.likelihoods import Likelihood
from vaetheory.models import LatentModel, require_model


def fisher_information(likelihood: Likelihood, params: ArrayLike) -> Array:
    """Fisher information of a likelihood in its parameters, in closed form.

    Parameters
    ----------
    likelihood : Likelihood
    params : array (..., D)

    Returns
    -------
    array (..., D, D)

    Raises
    ------
    ValueError
        If `likelihood` is no likelihood, or `params` is not finite or has another size than it.

    Notes
    -----
    Source: claim 7a, F = E[score score^T] = -E[Hessian of log p].

    Examples
    --------
    >>> from vaetheory import likelihoods
    >>> fisher_information(likelihoods.Bernoulli(), [0.0]).tolist()
    [[0.25]]
    """
    require("likelihood", likelihood, Likelihood, "a member of vaetheory.likelihoods")
    found = likelihood.fisher_information(vectors("params", params, likelihood.param_dim))
    return representable("params", found, "informations")


def pullback_metric(model: LatentModel, z: ArrayLike) -> Array:
    """Pull-back g = J^T F J of the likelihood's Fisher information to the latent space.

    Parameters
    ----------
    model : LatentModel
    z : array (..., d)

    Returns
    -------
    array (..., d, d)
        Positive semidefinite; definite iff the decoder is an immersion into the family's
        distributions at z. Up to rounding exact; the `(D, D)` matrix F is not formed for the
        Gaussian, the categorical and the families of independent dimensions.

    Raises
    ------
    ValueError
        If `model` is no latent model or `z` does not fit it.

    Notes
    -----
    Source: claims 4d and 7b.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[3.0], [4.0]]), likelihoods.Gaussian(scale=0.5), 1)
    >>> pullback_metric(model, [0.0]).tolist()
    [[100.0]]
    """
    require_model(model)
    with np.errstate(all="ignore"):
        return representable("z", fisher_pullback(model, z), "metrics")


def fisher_pullback(model: LatentModel, z: ArrayLike) -> Array:
    """As `pullback_metric`; where it overflows it is not finite."""
    points = vectors("z", z, model.latent_dim)
    params, jacobian = model.decode(points), model.decoder.jacobian(points)
    out = model.pulled_back(params, jacobian)
    return (out + np.swapaxes(out, -1, -2)) / 2


@dataclass(frozen=True, eq=False)
class DecoderHessian(ByValue):
    """The negative Hessian in z of log p(x given z), and its Gauss-Newton part.

    Attributes
    ----------
    full : array (..., d, d)
        -Hess_z log p(x given z) = J^T (-d^2 log p / dparams^2) J - score . d^2 f.
    gauss_newton : array (..., d, d)
        Its first term: without the decoder's second derivatives.
    """

    full: Array
    gauss_newton: Array


def decoder_hessian(model: LatentModel, x: ArrayLike, z: ArrayLike) -> DecoderHessian:
    """Second derivatives in z of -log p(x given z), in full and their Gauss-Newton part.

    Parameters
    ----------
    model : LatentModel
    x : array (..., D)
        Data, with the leading axes of `z`; or one datum `(D,)` for all points.
    z : array (..., d)

    Returns
    -------
    DecoderHessian
        Exact up to rounding. The Gauss-Newton part is the pull-back metric where the observed
        information does not depend on x (natural parameters, or a Gaussian), and has it as its
        expectation under p(x given z) otherwise.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a datum is outside the support.

    Notes
    -----
    Source: claims 4d and 4e; A = I + `full`.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> square = decoders.Polynomial([[2]], [[1.0]])
    >>> model = LatentModel(square, likelihoods.Gaussian(scale=1.0), 1)
    >>> found = decoder_hessian(model, [0.0], [1.0])
    >>> found.full.tolist(), found.gauss_newton.tolist()
    ([[6.0]], [[4.0]])
    """
    require_model(model)
    points, data = vectors("z", z, model.latent_dim), model.check_data(x)
    if data.ndim > 1:
        same_leading("x", data, "z", points)
    else:
        data = np.broadcast_to(data, (*points.shape[:-1], model.data_dim))
    with np.errstate(all="ignore"):
        _, full, gauss_newton = model.likelihood_derivatives(data, points)
    for found in (full, gauss_newton):
        representable("x and z", found, "second derivatives")
    return DecoderHessian(full, gauss_newton)
