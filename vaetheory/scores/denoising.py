"""Scores of the data, and the posterior-mean reconstruction that is the best denoiser."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory._validation import Array
from vaetheory.bounds._linear_gaussian import linear_decoder
from vaetheory.decoders.layers import LinearMap
from vaetheory.evidence import log_evidence, posterior_expectation
from vaetheory.likelihoods import Gaussian
from vaetheory.models import LatentModel, require_model
from vaetheory.rounding import ULP, gamma
from vaetheory.scores._posterior_means import (
    checked,
    posterior_means,
    products_floor,
    status_of,
)


def _require_gaussian(model: LatentModel) -> Gaussian:
    require_model(model)
    if not model.likelihood.gaussian:
        raise ValueError(
            "model: expected a Gaussian likelihood, by which the data are real and have a score, "
            f"got {type(model.likelihood).__name__}"
        )
    return cast(Gaussian, model.likelihood)


def _residual(line: LinearMap, noise: Gaussian, data: Array) -> tuple[Array, Array]:
    """Whitened x - E[f(z) given x] of a linear model, and an estimate of its rounding."""
    white = noise.whiten(line.weight.T).T
    away = noise.whiten(data - line.bias)
    left, values, _ = np.linalg.svd(white, full_matrices=False)
    along = away @ left
    # (I + J J^T)^-1 takes 1 + s^2 off along each singular direction, and nothing off the others.
    rest = (away - along @ left.T) + (along / (1 + values**2)) @ left.T
    length = np.linalg.norm(away, axis=-1)
    return rest, gamma(10 * sum(white.shape)) * noise.condition * length


def denoise(model: LatentModel, X: ArrayLike, *, rtol: float = 1e-10) -> Integral:
    """The best denoiser of each datum: the exact posterior mean of its mean without noise.

    For Gaussian noise it is E[f(z) given x] = x + Lambda grad log p(x) (Tweedie); for counts it is
    the posterior mean of the rates (Robbins). It is not f(E z), unless f is linear.

    Parameters
    ----------
    model : LatentModel
        With Gaussian noise, or with a family whose params are natural, such as `Poisson` and
        `Bernoulli`. At most four latents, unless it is linear with Gaussian noise.
    X : array (..., D)
        The data.
    rtol : float
        Tolerance of each entry, relative to the posterior mean of its modulus.

    Returns
    -------
    Integral
        `value` `(..., D)` in the unit of the data; `error` is an estimate, as for
        `posterior_expectation`, of rounding for linear models, which are in closed form.

    Raises
    ------
    ValueError
        As `posterior_expectation`, and for other families.

    Notes
    -----
    Source: claim 19c.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.scores import denoise
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> denoise(model, [[2.0]]).value.round(9).tolist()
    [[1.0]]
    """
    require_model(model)
    family = model.likelihood
    if not (family.gaussian or family.natural):
        raise ValueError(
            "model: expected Gaussian noise or a family with natural params, got "
            f"{type(family).__name__}"
        )
    if (line := linear_decoder(model)) is not None:
        noise = cast(Gaussian, family)
        data = model.check_data(X)
        rows = data.reshape(-1, data.shape[-1])
        left, lost = _residual(line, noise, rows)
        value = rows - _unwhitened(noise, left)
        scale = np.sqrt(np.diagonal(noise.covariance(data.shape[-1])))
        error = lost[:, None] * scale + 2 * ULP * (np.abs(rows) + np.abs(value))
        status = np.full(value.shape, REACHED)
        return Integral(value, error, status, 0).reshape(data.shape)

    def means(z: Array) -> Array:
        params = model.decode(z)
        return params if family.gaussian else family.mean(params)  # type: ignore[attr-defined]

    return posterior_expectation(model, X, means, rtol=rtol)


def _unwhitened(noise: Gaussian, white: Array) -> Array:
    """Lambda^(1/2) v, the inverse of the likelihood's whitening."""
    if noise.scale is not None:
        return white * noise.scale
    return white @ np.linalg.cholesky(cast(Array, noise.cov)).T


def data_score(model: LatentModel, X: ArrayLike, *, rtol: float = 1e-10) -> Integral:
    """Gradient of the exact log evidence in the datum, grad_x log p(x), for Gaussian noise.

    It is Lambda^-1 (E[f(z) given x] - x): what a denoising score model of the data estimates.

    Parameters
    ----------
    model : LatentModel
        With Gaussian noise. At most four latents, unless it is linear.
    X : array (..., D)
        The data.
    rtol : float
        Tolerance of each entry, relative to the posterior mean of its modulus.

    Returns
    -------
    Integral
        `value` `(..., D)`, in nats per unit of the data; `error` is an estimate, as for
        `posterior_expectation`, of rounding for linear models, which are in closed form.

    Raises
    ------
    ValueError
        As `posterior_expectation`, and if the noise is not Gaussian.

    Notes
    -----
    Source: claim 19c.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.scores import data_score
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> data_score(model, [[2.0]]).value.round(9).tolist()
    [[-1.0]]
    """
    noise = _require_gaussian(model)
    if (line := linear_decoder(model)) is not None:
        data = model.check_data(X)
        rows = data.reshape(-1, data.shape[-1])
        left, lost = _residual(line, noise, rows)
        value = -noise.score(_unwhitened(noise, left), np.zeros_like(left))
        scale = np.sqrt(np.diagonal(noise.fisher_information(np.zeros(rows.shape[-1]))))
        error = lost[:, None] * scale + gamma(10) * noise.condition * np.abs(value)
        return Integral(value, error, np.full(value.shape, REACHED), 0).reshape(data.shape)
    data, rtol, shape = checked(model, X, rtol)

    def columns(rows: slice, z: Array) -> Array:
        return -noise.score(data[rows], model.decode(z)[..., None, :])

    found = posterior_means(model, data, columns, rtol)
    error = found.error + _rounding(noise, data)
    return Integral(found.value, error, found.status, found.nodes).reshape((*shape, data.shape[-1]))


def _rounding(noise: Gaussian, data: Array) -> Array:
    """How far Lambda^-1 (f - x) is rounded; outputs are as large as data `(N, D)`, up to noise."""
    sizes = 2 * np.abs(data) + np.sqrt(np.diagonal(noise.covariance(data.shape[-1])))
    lost: Array = gamma(4) * sizes @ np.abs(noise.fisher_information(np.zeros(data.shape[-1])))
    return lost


def data_curvature(model: LatentModel, X: ArrayLike, *, rtol: float = 1e-9) -> Integral:
    """Hessian of the exact log evidence in the datum, for Gaussian noise.

    It is Lambda^-1 Cov[f(z) given x] Lambda^-1 - Lambda^-1: the posterior covariance of the
    reconstruction is read off the data's density.

    Parameters
    ----------
    model : LatentModel
        With Gaussian noise and at most four latents.
    X : array (..., D)
        The data.
    rtol : float
        Tolerance of each entry, relative to the posterior mean of the products' moduli.

    Returns
    -------
    Integral
        `value` `(..., D, D)`, in nats per square of the data's unit; `error` is an estimate, as for
        `posterior_expectation`.

    Raises
    ------
    ValueError
        As `posterior_expectation`, and if the noise is not Gaussian.

    Notes
    -----
    Source: claim 19c.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.scores import data_curvature
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> data_curvature(model, [[2.0]]).value.round(8).tolist()
    [[[-0.5]]]
    """
    noise = _require_gaussian(model)
    data, rtol, shape = checked(model, X, rtol)
    D = data.shape[-1]
    centre = data_score(model, data, rtol=max(rtol / 10, 1e-14))
    upper = np.triu_indices(D)
    floor = products_floor(_rounding(noise, data), upper)

    def columns(rows: slice, z: Array) -> Array:
        away = -noise.score(data[rows], model.decode(z)[..., None, :]) - centre.value[rows]
        return away[..., upper[0]] * away[..., upper[1]] + floor[rows]

    found = posterior_means(model, data, columns, rtol)
    precision = noise.fisher_information(np.zeros(D))

    def matrices(values: Array) -> Array:
        full = np.empty((len(data), D, D))
        full[:, upper[0], upper[1]] = values
        full[:, upper[1], upper[0]] = values
        return full

    off = centre.error[:, upper[0]] * centre.error[:, upper[1]]
    lost = gamma(20) * noise.condition * np.abs(precision).max()
    value, error = matrices(found.value - floor) - precision, matrices(found.error + off) + lost
    status = matrices(np.where(found.reached, 1.0, 0.0)) > 0
    shape = (*shape, D, D)
    return Integral(value, error, status_of(status), found.nodes + centre.nodes).reshape(shape)


def robbins(model: LatentModel, X: ArrayLike, *, rtol: float = 1e-10) -> Integral:
    """Posterior means of Poisson rates from evidences alone: (x_i + 1) p(x + e_i) / p(x).

    Nothing of the latents is used, only probabilities of data: where these can be counted, so can
    the posterior mean. `denoise` computes the same number from the posterior.

    Parameters
    ----------
    model : LatentModel
        With a `Poisson` likelihood and at most four latents.
    X : array (..., D)
        Counts.
    rtol : float
        Tolerance of each evidence.

    Returns
    -------
    Integral
        `value` `(..., D)`, rates; `error` is an estimate, as for `log_evidence`.

    Raises
    ------
    ValueError
        As `log_evidence`, and if the likelihood is not `Poisson`.

    Notes
    -----
    Source: claim 19c-counts.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.scores import denoise, robbins
    >>> model = LatentModel(decoders.Affine([[0.5]], [1.0]), likelihoods.Poisson())
    >>> rates = robbins(model, [[3.0]]).value
    >>> bool(np.allclose(rates, denoise(model, [[3.0]]).value, rtol=1e-9))
    True
    """
    require_model(model)
    usual = model.likelihood.usual_parameters(np.zeros(model.param_dim))
    if usual is None or usual[0] != "poisson":
        raise ValueError(
            f"model: expected a Poisson likelihood, got {type(model.likelihood).__name__}"
        )
    data = model.check_data(X)
    D = data.shape[-1]
    rows = data.reshape(-1, 1, D)
    both = np.concatenate([rows, rows + np.eye(D)], axis=1)
    found = log_evidence(model, both, rtol=rtol)
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = found.value[:, 1:] - found.value[:, :1]
        value = (rows[:, 0] + 1) * np.exp(ratio)
        off = found.error[:, 1:] + found.error[:, :1]
        error = value * (np.expm1(off) + gamma(4) * (1 + np.abs(ratio)))
    known = np.isfinite(error)
    good = found.reached[:, 1:] & found.reached[:, :1]
    status = np.where(good & known, REACHED, NOT_REACHED)
    return Integral(value, np.where(known, error, np.inf), status, found.nodes).reshape(data.shape)
