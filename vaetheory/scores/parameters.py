"""Gradients in a model's parameters: of the exact log evidence, and of the ELBO."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array, Index, fraction
from vaetheory.bounds.gaussian_elbo import flatten, typical_nodes
from vaetheory.encoders import Posterior
from vaetheory.rounding import gamma
from vaetheory.scores._gaussian_means import gaussian_means
from vaetheory.scores._posterior_means import checked, posterior_means
from vaetheory.scores.parametric import ParametricModel, require_family


def evidence_score(model: ParametricModel, X: ArrayLike, *, rtol: float = 1e-10) -> Integral:
    """Gradient of the exact log evidence in the parameters, by Fisher's identity.

    It is the posterior mean of the gradient of log p(x, z; theta): nothing is differentiated that
    contains an integral.

    Parameters
    ----------
    model : ParametricModel
        With at most four latents, or with any number if it is linear with Gaussian noise (its
        outputs, at latents near and far, are an affine map of them).
    X : array (..., D)
        The data.
    rtol : float
        Tolerance of each component, relative to the posterior mean of its modulus.

    Returns
    -------
    Integral
        `value` `(..., p)` in nats per unit of theta; `error` is an estimate, as for
        `posterior_expectation`.

    Raises
    ------
    ValueError
        As `posterior_expectation`, and if `model` has no parameters.

    Notes
    -----
    Source: claim 19a.

    Examples
    --------
    For x = theta z + noise of variance 1 the evidence is N(0, 1 + theta^2).

    >>> from vaetheory import likelihoods
    >>> from vaetheory.scores import ParametricModel, evidence_score
    >>> line = ParametricModel(lambda t, z: t * z, likelihoods.Gaussian(scale=1.0), [1.0], 1)
    >>> evidence_score(line, [[2.0]]).value.round(9).tolist()
    [[0.5]]
    """
    family = require_family(model)
    data, rtol, shape = checked(family.model, X, rtol)
    found, lost = rounded_score(family, data, rtol)
    found = Integral(found.value, found.error + lost, found.status, found.nodes)
    return found.reshape((*shape, len(family.theta)))


def rounded_score(family: ParametricModel, data: Array, rtol: float) -> tuple[Integral, Array]:
    """Scores of checked data `(N, D)`, and estimates of the rounding of their integrand, `(N, p)`.

    The likelihood's score is rounded as x and the outputs are, times its slope.
    """
    size = len(family.theta)

    def columns(rows: slice, z: Array) -> Array:
        params, jacobian = family.outputs(z)
        score, squares = _with_squares(family, data[rows], params[..., None, :])
        return np.concatenate([score @ jacobian, squares @ jacobian**2], axis=-1)

    found = posterior_means(family.model, data, columns, rtol)
    own, square = slice(0, size), found.value[:, size:]
    score = Integral(found.value[:, own], found.error[:, own], found.status[:, own], found.nodes)
    return score, _rounding(family, square)


def _with_squares(family: ParametricModel, X: Array, params: Array) -> tuple[Array, Array]:
    """The likelihood's score, and the sum of the squares of what is rounded in it, `(..., P)`."""
    score = family.likelihood.score(X, params)
    slope = family.likelihood.observed_information(X, params, np.eye(params.shape[-1]))
    slope = np.diagonal(slope, axis1=-2, axis2=-1)
    sizes = params**2 + np.tile(X, family.likelihood.params_each) ** 2
    return score, score**2 + slope**2 * sizes


def _rounding(family: ParametricModel, squares: Array) -> Array:
    return gamma(8) * np.sqrt(family.model.param_dim * np.maximum(squares, 0.0))


def elbo_score(
    model: ParametricModel, X: ArrayLike, posterior: Posterior, *, rtol: float = 1e-10
) -> Integral:
    """Gradient of the exact ELBO in the parameters of the model, q held fixed.

    It is the mean of the gradient of log p(x, z; theta) under q. From `evidence_score` it is off by
    the gradient of KL(q || p(z given x)).

    Parameters
    ----------
    model : ParametricModel
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian q per datum, with the leading axes of `X`.
    rtol : float
        Tolerance of each component, relative to the mean modulus under q.

    Returns
    -------
    Integral
        `value` `(..., p)` in nats per unit of theta; `error` is an estimate, as for `elbo`.

    Raises
    ------
    ValueError
        As `elbo`, and if `model` has no parameters.

    Notes
    -----
    Source: claim 19a.

    Examples
    --------
    With the exact posterior N(1, 1/2) it is the gradient of the evidence; a wider q is off by its
    variance.

    >>> from vaetheory import Posterior, likelihoods
    >>> from vaetheory.scores import ParametricModel, elbo_score
    >>> line = ParametricModel(lambda t, z: t * z, likelihoods.Gaussian(scale=1.0), [1.0], 1)
    >>> q = Posterior([[1.0], [1.0]], cov=[[[0.5]], [[0.75]]])
    >>> elbo_score(line, [[2.0], [2.0]], q).value.round(9).tolist()
    [[0.5], [0.25]]
    """
    family = require_family(model)
    rtol = fraction("rtol", rtol, low=1e-14, high=0.1)
    data, loc, cov = flatten(family.model, X, posterior)
    size = len(family.theta)

    def components(z: Array, rows: Index) -> Array:
        params, jacobian = family.outputs(z)
        score = family.likelihood.score(data[rows, None], params)
        return np.einsum("nma,nmak->nmk", score, jacobian)

    found = gaussian_means(components, loc, cov, size, rtol=rtol)
    nodes, weights = typical_nodes(family.latent_dim)
    z = loc[:, None] + nodes @ np.swapaxes(np.linalg.cholesky(cov), -1, -2)
    params, jacobian = family.outputs(z)
    _, squares = _with_squares(family, data[:, None], params)
    lost = _rounding(family, np.einsum("nma,nmak,m->nk", squares, jacobian**2, weights))
    shape = (*posterior.loc.shape[:-1], size)
    return Integral(found.value, found.error + lost, found.status, found.nodes).reshape(shape)
