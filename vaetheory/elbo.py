"""The ELBO, its second-order form, and the posteriors at which it is stationary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory import gaussians
from vaetheory._validation import Array, fraction, option, same_leading
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.modes import posterior_mode
from vaetheory.quadrature.gaussian import gaussian_expectation, hermite_rule
from vaetheory.quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory.rounding import gamma

_ITERATIONS = 500
_CHUNK = 2**16


def _flatten(model: LatentModel, X: ArrayLike, posterior: Posterior) -> tuple[Array, Array, Array]:
    """Check a batch and its posteriors against each other and return them with one leading axis."""
    data = model.check_data(X)
    if posterior.latent_dim != model.latent_dim:
        raise ValueError(
            f"posterior: expected latent dimension {model.latent_dim}, got {posterior.latent_dim}"
        )
    same_leading("X", data, "posterior.loc", posterior.loc)
    d = model.latent_dim
    return (
        data.reshape(-1, model.data_dim),
        posterior.loc.reshape(-1, d),
        posterior.cov.reshape(-1, d, d),
    )


def _rounding(model: LatentModel, X: Array, loc: Array, cov: Array) -> Array:
    """Rounding in the integrand: the decoder's own digits times the score, and the final sums."""
    nodes, weights = hermite_rule(2, model.latent_dim)
    z = loc[:, None] + nodes @ np.swapaxes(np.linalg.cholesky(cov), -1, -2)
    params = model.decode(z)
    score = np.abs(model.likelihood.score(X[:, None], params))
    carried = (score * (np.abs(params) + np.abs(X[:, None]))).sum(axis=-1)
    summed = np.abs(model.likelihood.log_prob(X[:, None], params))
    return gamma(8) * (carried @ weights) + gamma(8 + model.data_dim) * (summed @ weights)


def elbo(
    model: LatentModel, X: ArrayLike, posterior: Posterior, *, rtol: float = 1e-12
) -> Integral:
    """Evidence lower bound E_q[log p(x, z) - log q(z|x)] of each datum, in nats.

    The divergence from the prior is taken in closed form and the expected log likelihood by
    quadrature, so nothing is sampled.

    Parameters
    ----------
    model : LatentModel
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian a datum, with the leading axes of `X`.
    rtol : float
        Tolerance of the quadrature, relative to the mean size of the log likelihood.

    Returns
    -------
    Integral
        `value` `(...)` in nats; `error` is an estimate: quadrature plus rounding.

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
    >>> round(float(elbo(model, [[0.0]], Posterior([[0.0]], [0.5])).value[0]), 6)
    -1.265512
    """
    fraction("rtol", rtol, low=1e-15, high=0.1)
    data, loc, cov = _flatten(model, X, posterior)
    shape = posterior.loc.shape[:-1]
    expected = gaussian_expectation(
        lambda z, rows: model.log_likelihood(data[rows, None], z), loc, cov, rtol=rtol
    )
    d = model.latent_dim
    divergence = gaussians.kl_divergence(loc, cov, np.zeros(d), np.eye(d))
    # The terms of the divergence are each at most about its size plus a few nats a dimension.
    condition = np.abs(gaussians.log_det(cov)) + np.abs(divergence) + 2 * d
    error = expected.error + _rounding(model, data, loc, cov) + gamma(10 * d) * condition
    value = expected.value - divergence
    return Integral(
        value.reshape(shape), error.reshape(shape), expected.status.reshape(shape), expected.nodes
    )


def second_order_elbo(model: LatentModel, X: ArrayLike, posterior: Posterior) -> Array:
    """The ELBO with U replaced by its Taylor polynomial of degree 2 at the posterior's mean.

    Parameters and errors as for `elbo`; returns an array `(...)` in nats.

    Notes
    -----
    Source: claim 3e, -U(m) - 1/2 tr(A(m) S) + 1/2 log det(2 pi e S). Its greatest value over S
    is the Laplace evidence; see `docs/corrections.md` for what is held fixed when it is
    differentiated in m.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> round(float(second_order_elbo(model, [[0.0]], Posterior([[0.0]], [0.5]))[0]), 6)
    -1.265512
    """
    data, loc, cov = _flatten(model, X, posterior)
    _, hessian = model.potential_derivatives(data, loc)
    trace = np.einsum("...ij,...ji->...", hessian, cov)
    value = model.log_joint(data, loc) - 0.5 * trace + gaussians.entropy(cov)
    return value.reshape(posterior.loc.shape[:-1])


@dataclass(frozen=True)
class StationaryPosterior(Posterior):
    """A Gaussian posterior at which the ELBO is stationary, with its ELBO.

    Attributes
    ----------
    loc, cov : arrays (..., d), (..., d, d)
        As in `Posterior`, so it can be used wherever one is expected.
    value : array (...)
        The ELBO there, in nats.
    error : array (...)
        Estimate of the error of `value` plus `deficit`.
    deficit : array (...)
        Estimate, in nats, of what the ELBO still gains on the way to the stationary point.
    status : array of str (...)
        `"reached"` where the deficit fell below the tolerance.
    iterations : int
    """

    value: Array
    error: Array
    deficit: Array
    status: NDArray[np.str_]
    iterations: int


def stationary_posterior(
    model: LatentModel,
    X: ArrayLike,
    *,
    structure: str = "full",
    start: Posterior | None = None,
    rtol: float = 1e-13,
) -> StationaryPosterior:
    """The Gaussian posterior of each datum at which the exact ELBO is stationary.

    Fixed-point (natural-gradient) steps on the stationarity conditions of claim 3b, with the
    expectations by Gauss-Hermite rules that are refined until refining changes nothing. By
    default they start from the highest mode found with the inverse Hessian there; where the
    ELBO has several stationary points the one reached from the start is returned.

    Parameters
    ----------
    model : LatentModel
    X : array (..., D)
    structure : {"full", "diagonal"}
        Whether the covariance is free or diagonal.
    start : Posterior, optional
        Where to start.
    rtol : float
        Tolerance on the ELBO still to gain, relative to 1 + the size of the ELBO.

    Returns
    -------
    StationaryPosterior

    Raises
    ------
    ValueError
        As for `elbo`; also for an unknown structure.

    Notes
    -----
    Source: claims 3b to 3d. grad_m ELBO = -E[grad U], grad_S ELBO = 1/2 (S^-1 - E[A]).

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods, stationary_posterior
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> q = stationary_posterior(model, [[2.0]])
    >>> q.loc.round(12).tolist(), q.cov.round(12).tolist()
    ([[1.0]], [[[0.5]]])
    """
    option("structure", structure, ("full", "diagonal"))
    fraction("rtol", rtol, low=1e-15, high=0.1)
    data = model.check_data(X)
    shape, d = data.shape[:-1], model.latent_dim
    if start is None:
        flat = data.reshape(-1, model.data_dim)
        loc = posterior_mode(model, flat)
        precision = _definite(*_hessians(model, flat, loc))
        cov = np.linalg.inv(precision)
        if structure == "diagonal":
            cov = np.linalg.inv(_diagonal(precision))
    else:
        flat, loc, cov = _flatten(model, data, start)
        loc, cov = loc.copy(), _diagonal(cov) if structure == "diagonal" else cov.copy()
    deficit = np.full(len(flat), np.inf)
    iterations = 0
    for order in _orders(d):
        iterations += _iterate(model, flat, loc, cov, deficit, order, structure, rtol)
    bound = elbo(model, flat, Posterior(loc, cov))
    reached = deficit <= rtol * (1 + np.abs(bound.value))
    status = np.where(reached & bound.reached, REACHED, NOT_REACHED)
    return StationaryPosterior(
        loc.reshape(*shape, d),
        cov.reshape(*shape, d, d),
        value=bound.value.reshape(shape),
        error=(bound.error + deficit).reshape(shape),
        deficit=deficit.reshape(shape),
        status=status.reshape(shape),
        iterations=iterations,
    )


def _orders(dim: int) -> tuple[int, ...]:
    """Rules of increasing order: the last is there to find nothing left to do."""
    return {1: (12, 24, 48), 2: (8, 14, 24), 3: (5, 8, 12), 4: (4, 6)}.get(dim, (2, 3))


def _diagonal(matrix: Array) -> Array:
    return np.diagonal(matrix, axis1=-2, axis2=-1)[..., None] * np.eye(matrix.shape[-1])


def _hessians(model: LatentModel, X: Array, z: Array) -> tuple[Array, Array]:
    return model.potential_derivatives(X, z)[1], model.gauss_newton(X, z)[1]


def _definite(hessian: Array, gauss_newton: Array) -> Array:
    """The Hessian where it is positive definite, else its Gauss-Newton part."""
    indefinite = np.linalg.eigvalsh(hessian)[..., 0] <= 0
    return np.where(indefinite[..., None, None], gauss_newton, hessian)


def _expectations(
    model: LatentModel, X: Array, loc: Array, cov: Array, order: int
) -> tuple[Array, Array, Array, Array]:
    """ELBO, E[grad U], E[A] and E[Gauss-Newton part] of each row by one Gauss-Hermite rule."""
    nodes, weights = hermite_rule(order, model.latent_dim)
    count, d = loc.shape
    height, gradient = np.empty(count), np.empty((count, d))
    hessian, safe = np.empty((count, d, d)), np.empty((count, d, d))
    chol = np.linalg.cholesky(cov)
    size = max(1, _CHUNK // len(nodes))
    for i in range(0, count, size):
        rows = slice(i, i + size)
        z = loc[rows, None] + nodes @ np.swapaxes(chol[rows], -1, -2)
        x = np.broadcast_to(X[rows, None], (*z.shape[:-1], X.shape[-1]))
        height[rows] = model.log_joint(x, z) @ weights
        g, a = model.potential_derivatives(x, z)
        gradient[rows] = np.einsum("nmi,m->ni", g, weights)
        hessian[rows] = np.einsum("nmij,m->nij", a, weights)
        safe[rows] = np.einsum("nmij,m->nij", model.gauss_newton(x, z)[1], weights)
    return height + gaussians.entropy(cov), gradient, hessian, safe


def _iterate(
    model: LatentModel,
    X: Array,
    loc: Array,
    cov: Array,
    deficit: Array,
    order: int,
    structure: str,
    rtol: float,
) -> int:
    """Improve `loc`, `cov` and `deficit` in place with one rule; return the number of steps."""
    active = np.arange(len(X))
    damping = np.ones(len(X))
    height = np.full(len(X), -np.inf)
    old_loc, old_cov = loc.copy(), cov.copy()
    before = np.zeros_like(cov)
    for iteration in range(1, _ITERATIONS + 1):
        new, gradient, hessian, safe = _expectations(
            model, X[active], loc[active], cov[active], order
        )
        slack = 1e-13 * (1 + np.abs(new))
        worse = new < height[active] - slack
        # Rows that fell go back half-way; the rest take a full step from where they are.
        back = active[worse]
        loc[back] = (loc[back] + old_loc[back]) / 2
        cov[back] = (cov[back] + old_cov[back]) / 2
        damping[back] /= 2
        keep = active[~worse]
        old_loc[keep], old_cov[keep], height[keep] = loc[keep], cov[keep], new[~worse]
        precision = _definite(hessian, safe)[~worse]
        step = -np.linalg.solve(precision, gradient[~worse, :, None])[..., 0]
        target = np.linalg.inv(_diagonal(precision) if structure == "diagonal" else precision)
        mismatch = np.linalg.solve(cov[keep], target) - np.eye(loc.shape[-1])
        deficit[keep] = 0.5 * np.abs((gradient[~worse] * step).sum(axis=-1)) + 0.25 * np.einsum(
            "nij,nji->n", mismatch, mismatch
        )
        # A fixed point of slope near -1 (a quartic potential has it) is reached by half steps.
        swing = np.einsum("nij,nij->n", mismatch, before[keep]) < -0.1 * np.einsum(
            "nij,nij->n", before[keep], before[keep]
        )
        before[keep] = mismatch
        target = np.where(swing[:, None, None], (target + cov[keep]) / 2, target)
        loc[keep] += step
        cov[keep] = (target + np.swapaxes(target, -1, -2)) / 2
        done = deficit[active] <= 0.01 * rtol * (1 + np.abs(new))
        stalled = damping[active] < 1e-12
        active = active[(worse | ~done) & ~stalled]
        if not len(active):
            break
    return iteration
