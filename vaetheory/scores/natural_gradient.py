"""Steps of the natural gradient of the ELBO from any Gaussian posterior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._quadrature.result import REACHED
from vaetheory._validation import Array, Index, fraction
from vaetheory.bounds._linear_gaussian import linear_decoder
from vaetheory.bounds.gaussian_elbo import flatten, integrand_rounding
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma
from vaetheory.scores._gaussian_means import gaussian_means
from vaetheory.scores._posterior_means import status_of


@dataclass(frozen=True, eq=False)
class NaturalStep(Posterior):
    """The Gaussian posterior after a step of the natural gradient.

    Attributes
    ----------
    loc, cov : arrays (..., d), (..., d, d)
        As in `Posterior`, so it can be used wherever one is expected.
    loc_error, cov_error : arrays (..., d), (..., d, d)
        Estimates of their absolute errors, of first order in those of the expectations.
    status : array of str (...)
        "reached" where the expectations reached the tolerance.
    """

    loc_error: Array
    cov_error: Array
    status: NDArray[np.str_]

    @property
    def reached(self) -> NDArray[np.bool_]:
        """Where the expectations reached the tolerance, `(...)`."""
        return np.asarray(self.status == REACHED)


def natural_gradient_step(
    model: LatentModel,
    X: ArrayLike,
    posterior: Posterior,
    step: float = 1.0,
    *,
    rtol: float = 1e-10,
) -> NaturalStep:
    """One step of the natural gradient of the ELBO in the natural parameters of q.

    With U = -log p(x, z), A its Hessian and all means under the old q,
    S^-1 <- (1 - step) S^-1 + step E[A], then m <- m - step S_new E[grad U]. A step of 1 solves a
    linear model with Gaussian noise at once, from any q.

    Parameters
    ----------
    model : LatentModel
        Of any latent dimension if it is linear with Gaussian noise. Otherwise the expectations are
        sharp up to three latents, and rough or unknown beyond: the errors say so.
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian q per datum, with the leading axes of `X`.
    step : float
        The length of the step, 0 to 1.
    rtol : float
        Tolerance of the expectations, relative to the mean modulus of their integrands.

    Returns
    -------
    NaturalStep
        The new posteriors; their errors are estimates.

    Raises
    ------
    ValueError
        As `elbo`, if the step is out of range, or if it leaves the Gaussians: where U is not convex
        on average, the new precision need not be positive definite.

    Notes
    -----
    Source: claim 19e. The expectations are those of values of U (Stein's identities), as in
    `stationary_posterior`, which iterates such steps; so they are right at kinks of the decoder.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.scores import natural_gradient_step
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> q = natural_gradient_step(model, [[2.0]], Posterior([[-3.0]], scale=5.0))
    >>> q.loc.round(9).tolist(), q.cov.round(9).tolist()
    ([[1.0]], [[[0.5]]])
    """
    rho = fraction("step", step, low=0.0, high=1.0)
    rtol = fraction("rtol", rtol, low=1e-14, high=0.1)
    data, loc, cov = flatten(model, X, posterior)
    slope, bend, slope_error, bend_error, good = _expectations(model, data, loc, cov, rtol)
    old = np.linalg.inv(cov)
    precision = (1 - rho) * old + rho * bend
    precision = (precision + np.swapaxes(precision, -1, -2)) / 2
    spread = np.linalg.eigvalsh(precision)
    off = rho * np.linalg.norm(bend_error, axis=(-2, -1))
    bad = ~(spread[:, 0] > 0)
    if bad.any():
        raise ValueError(
            "step: expected one that leaves the precision positive definite, got a least "
            f"eigenvalue of {spread[bad][0, 0]:g}, with an error of {off[bad][0]:g}"
        )
    d = loc.shape[-1]
    new = np.linalg.inv(precision)
    new = (new + np.swapaxes(new, -1, -2)) / 2
    mean = loc - rho * np.einsum("nij,nj->ni", new, slope)
    # Rounding of the inverses, of the old covariance too.
    condition = spread[:, -1] / spread[:, 0] + (1 - rho) * np.linalg.cond(cov)
    lost = gamma(20 * d) * condition[:, None, None] * np.abs(new).max(axis=(-2, -1), keepdims=True)
    cov_error = rho * np.abs(new) @ bend_error @ np.abs(new) + lost
    loc_error = rho * np.einsum("nij,nj->ni", np.abs(new), slope_error)
    loc_error += rho * np.einsum("nij,nj->ni", cov_error, np.abs(slope))
    loc_error += gamma(4 * d) * (np.abs(loc) + np.abs(mean))
    # Where the precision is known no better than its least eigenvalue, nothing is known.
    vague = ~(spread[:, 0] > off)
    loc_error[vague], cov_error[vague] = np.inf, np.inf
    lead = posterior.loc.shape[:-1]
    return NaturalStep(
        mean.reshape(*lead, d),
        new.reshape(*lead, d, d),
        loc_error.reshape(*lead, d),
        cov_error.reshape(*lead, d, d),
        status_of(good).reshape(lead),
    )


def _expectations(
    model: LatentModel, data: Array, loc: Array, cov: Array, rtol: float
) -> tuple[Array, Array, Array, Array, NDArray[np.bool_]]:
    """E[grad U] `(N, d)`, E[A] `(N, d, d)`, their errors, and where the tolerance was reached."""
    d = loc.shape[-1]
    if (line := linear_decoder(model)) is not None:
        # The potential is a parabola: its derivatives at the mean are those on average. The bias is
        # taken off the data first, so that a large one that both have leaves the others' digits.
        away, moved = data - line.bias, loc @ line.weight.T
        gradient = loc - model.likelihood.score(away, moved) @ line.weight
        _, hessian, _ = model.potential_derivatives(data, loc)
        precision = np.abs(model.likelihood.fisher_information(np.zeros(data.shape[-1])))
        size = np.abs(away) + np.abs(loc) @ np.abs(line.weight).T
        rest = np.abs(loc) + size @ precision @ np.abs(line.weight)
        slope_error = (
            gamma(20 * (d + data.shape[-1]))
            * model.likelihood.condition
            * (rest + np.linalg.norm(rest, axis=-1, keepdims=True))
        )
        size = np.abs(hessian).max(axis=(-2, -1), keepdims=True)
        bend_error = gamma(20 * data.shape[-1]) * model.likelihood.condition * size
        every = np.ones(len(data), dtype=bool)
        return gradient, hessian, slope_error, bend_error + 0 * hessian, every
    reduced = model.reduced(data)
    height = reduced.model.log_joint(reduced.data, loc)
    root = np.linalg.cholesky(cov)
    inverse = np.linalg.inv(root)
    upper = np.triu_indices(d)
    unit = np.eye(d)[upper]

    def functions(z: Array, rows: Index) -> Array:
        w = np.einsum("nij,nmj->nmi", inverse[rows], z - loc[rows, None])
        fall = height[rows, None] - reduced.model.log_joint(reduced.data[rows, None], z)
        second = w[..., upper[0]] * w[..., upper[1]] - unit
        return np.concatenate([w, second], axis=-1) * fall[..., None]

    found = gaussian_means(functions, loc, cov, d + len(upper[0]), rtol=rtol)
    # Rounding of U itself, times means of the moduli of w and of w w - 1 that are below 1.
    error = found.error + integrand_rounding(reduced, loc, cov)[:, None]
    across = np.swapaxes(inverse, -1, -2)

    def matrices(values: Array) -> Array:
        full = np.empty((len(data), d, d))
        full[:, upper[0], upper[1]] = values
        full[:, upper[1], upper[0]] = values
        return full

    slope = np.einsum("nij,nj->ni", across, found.value[:, :d])
    bend = across @ matrices(found.value[:, d:]) @ inverse
    slope_error = np.einsum("nij,nj->ni", np.abs(across), error[:, :d])
    bend_error = np.abs(across) @ matrices(error[:, d:]) @ np.abs(inverse)
    return slope, bend, slope_error, bend_error, np.asarray(found.reached.all(axis=-1))
