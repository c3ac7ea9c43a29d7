"""The exact ELBO of any Gaussian posterior, and its second-order approximation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory import _gaussians
from vaetheory._quadrature.gaussian import gaussian_expectation, hermite_rule
from vaetheory._quadrature.result import REACHED, Integral
from vaetheory._validation import Array, fraction, same_leading
from vaetheory.bounds._linear_gaussian import affine_map
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel, ReducedModel, require_model
from vaetheory.rounding import gamma

#: Up to so many dimensions rounding is judged at the corners of a cube, above along the axes.
_LARGEST_PRODUCT = 10


def flatten(
    model: LatentModel, X: ArrayLike, posterior: Posterior, name: str = "posterior"
) -> tuple[Array, Array, Array]:
    """Check that a batch and its posteriors fit; return both with one leading axis."""
    require_model(model)
    data = model.check_data(X)
    if not isinstance(posterior, Posterior):
        raise ValueError(f"{name}: expected a Posterior, got {type(posterior).__name__}")
    if posterior.latent_dim != model.latent_dim:
        raise ValueError(
            f"{name}: expected latent dimension {model.latent_dim}, got {posterior.latent_dim}"
        )
    same_leading("X", data, f"{name}.loc", posterior.loc)
    d = model.latent_dim
    return (
        data.reshape(-1, model.data_dim),
        posterior.loc.reshape(-1, d),
        posterior.cov.reshape(-1, d, d),
    )


def typical_nodes(dim: int) -> tuple[Array, Array]:
    """Nodes at the usual distance from the mean of N(0, I), and weights."""
    if dim <= _LARGEST_PRODUCT:
        return hermite_rule(2, dim)
    axes = np.sqrt(dim) * np.eye(dim)
    return np.concatenate([axes, -axes]), np.full(2 * dim, 1 / (2 * dim))


def integrand_rounding(reduced: ReducedModel, loc: Array, cov: Array) -> Array:
    """Rounding error of the integrand: of the decoder's outputs, times the score, and of sums."""
    model, X = reduced.model, reduced.data
    nodes, weights = typical_nodes(model.latent_dim)
    z = loc[:, None] + nodes @ np.swapaxes(np.linalg.cholesky(cov), -1, -2)
    params = model.decode(z)
    score = np.abs(model.likelihood.score(X[:, None], params))
    size = np.abs(X[:, None])
    if (each := model.likelihood.params_each) > 1:
        # Of a scale the exponential is rounded as well, whatever the size of its logarithm.
        size = 1 + np.tile(size, each)
    carried = (score * (np.abs(params) + size)).sum(axis=-1)
    summed = np.abs(model.likelihood.log_prob(X[:, None], params))
    own = gamma(8) * (carried @ weights) + gamma(8 + model.data_dim) * (summed @ weights)
    if (condition := model.likelihood.condition) > 1:
        # A solved system loses as many digits of the squared residual as its condition allows.
        drop = model.likelihood.greatest_log_prob(X)[:, None] - model.likelihood.log_prob(
            X[:, None], params
        )
        own += gamma(8) * condition * (drop @ weights)
    error: Array = own + reduced.rounding(z) @ weights + reduced.error
    return error


def elbo(
    model: LatentModel, X: ArrayLike, posterior: Posterior, *, rtol: float = 1e-12
) -> Integral:
    """Evidence lower bound E_q[log p(x, z) - log q(z|x)] of each datum, in nats.

    The divergence from the prior is in closed form, and the expected log likelihood is computed by
    quadrature; nothing is sampled.

    Parameters
    ----------
    model : LatentModel
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian per datum, with the leading axes of `X`.
    rtol : float
        Tolerance of the quadrature, relative to the mean modulus of the log likelihood.

    Returns
    -------
    Integral
        `value` `(...)` in nats; `error` is an estimate: quadrature plus rounding. Of more than
        some eight dimensions there is no rule: `value` may then be NaN, and `error` is infinite,
        unless the model is linear with Gaussian noise, which is then in closed form. Up to three
        dimensions it is also valid for decoders with kinks and jumps, for which "reached" is rare.
        It does not include a bump between all nodes that is at most three tenths of a standard
        deviation of the posterior wide; see the notes of
        `vaetheory._quadrature.gaussian.gaussian_expectation`.

    Raises
    ------
    ValueError
        If shapes do not fit, the data are outside the likelihood's support, or the decoder
        returns NaN.

    Notes
    -----
    Source: claim 3a, ELBO(x; m, S) = E[-U] + 1/2 log det(2 pi e S).

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, elbo, likelihoods
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> round(float(elbo(model, [[0.0]], Posterior([[0.0]], cov=[[0.5]])).value[0]), 6)
    -1.265512
    """
    fraction("rtol", rtol, low=1e-15, high=0.1)
    data, loc, cov = flatten(model, X, posterior)
    shape = posterior.loc.shape[:-1]
    reduced = model.reduced(data)

    def log_likelihood(z: Array, rows: NDArray[np.intp]) -> Array:
        found = reduced.model.log_likelihood(reduced.data[rows, None], z)
        return found + reduced.offset[rows, None]

    expected = gaussian_expectation(log_likelihood, loc, cov, rtol=rtol)
    d = model.latent_dim
    unknown, family = ~np.isfinite(expected.error), reduced.model.likelihood
    if unknown.any() and family.gaussian and affine_map(model.decoder, d) is not None:
        parabola = _of_a_parabola(model, data, loc, cov, family.condition)
        expected = Integral(
            np.where(unknown, parabola[0], expected.value),
            np.where(unknown, parabola[1], expected.error),
            np.where(unknown, REACHED, expected.status),
            expected.nodes,
        )
    divergence = _gaussians.kl_divergence(loc, cov, np.zeros(d), np.eye(d))
    # Each term of the divergence is about as large as the divergence plus a few nats per dimension.
    # A nearly singular S loses digits in its determinant, usually the root of the worst case.
    scaled = np.einsum("nii,nii->n", cov, np.linalg.inv(cov))
    condition = np.abs(_gaussians.log_det(cov)) + np.abs(divergence) + 2 * d + 20 * np.sqrt(scaled)
    error = expected.error + integrand_rounding(reduced, loc, cov) + gamma(10 * d) * condition
    value = expected.value - divergence
    return Integral(
        value.reshape(shape), error.reshape(shape), expected.status.reshape(shape), expected.nodes
    )


def _of_a_parabola(
    model: LatentModel, data: Array, loc: Array, cov: Array, condition: float
) -> tuple[Array, Array]:
    """The expected log likelihood of a linear model, and the rounding of its second term."""
    _, hessian, _ = model.potential_derivatives(data, loc)
    trace = np.einsum("nij,nji->n", hessian - np.eye(model.latent_dim), cov)
    lost = gamma(20 * (model.latent_dim + 5)) * condition * (np.abs(trace) + model.latent_dim)
    return model.log_likelihood(data, loc) - trace / 2, lost


def second_order_elbo(model: LatentModel, X: ArrayLike, posterior: Posterior) -> Array:
    """The ELBO with U replaced by its Taylor polynomial of degree 2 at the posterior's mean.

    Parameters and errors are those of `elbo`; returns an array `(...)` in nats.

    Notes
    -----
    Source: claim 3e, -U(m) - 1/2 tr(A(m) S) + 1/2 log det(2 pi e S). Its maximum over S is the
    Laplace evidence; `docs/corrections.md` says which terms are held fixed in its derivative with
    respect to m.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> round(float(second_order_elbo(model, [[0.0]], Posterior([[0.0]], cov=[[0.5]]))[0]), 6)
    -1.265512
    """
    data, loc, cov = flatten(model, X, posterior)
    _, hessian, _ = model.potential_derivatives(data, loc)
    trace = np.einsum("...ij,...ji->...", hessian, cov)
    value = model.log_joint(data, loc) - 0.5 * trace + _gaussians.entropy(cov)
    return value.reshape(posterior.loc.shape[:-1])
