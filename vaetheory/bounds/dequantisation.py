"""Discrete data under a density: exact probabilities of cells, and bounds by added noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_expit

from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory._validation import (
    Array,
    as_array,
    fraction,
    integer,
    require,
    same_leading,
    scales,
)
from vaetheory.bounds._exact_evidence import any_log_evidence, linear_parts
from vaetheory.bounds._linear_gaussian import linear_gaussian, noisy_mean
from vaetheory.bounds._noise_means import mean_over_noise
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel, require_model

#: Data and noise that are evaluated together.
_ROWS = 2**14


def cell_model(model: LatentModel, step: ArrayLike = 1.0) -> LatentModel:
    """The model of rounded data: the probability of the cell [x, x + step) of each datum.

    Its evidence is exactly P(x), the integral of the density p over the cell, so every function of
    a model says of P what it otherwise says of p: `log_evidence`, `elbo`, `gap_split` and others.

    Parameters
    ----------
    model : LatentModel
        With a `Gaussian` likelihood of independent dimensions.
    step : number or array (D,)
        Widths of the cells, in the unit of the data: 1 for pixels 0, 1, ..., 255.

    Returns
    -------
    LatentModel
        A datum is the lower corner of its cell.

    Raises
    ------
    ValueError
        If the likelihood is not Gaussian or has correlations, or a width is not positive.

    Notes
    -----
    Source: claim 22e.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods, log_evidence
    >>> from vaetheory.bounds import cell_model
    >>> model = LatentModel(decoders.Affine([[0.6]]), likelihoods.Gaussian(scale=0.8))
    >>> round(float(log_evidence(cell_model(model), [0.0]).value), 9)
    -1.074862327
    """
    require_model(model)
    return model.with_likelihood(model.likelihood.rounded(_step(step, model)))


def dequantised_bound(
    model: LatentModel,
    X: ArrayLike,
    step: ArrayLike = 1.0,
    *,
    noise: Posterior | None = None,
    rtol: float = 1e-8,
) -> Integral:
    """Lower bound of log P(x) from noise within the cell, E_q[log p(x + u)] + H[q], in nats.

    Its gap is KL(q || p(u given the cell)). Uniform noise gives E[log p(x + u)] + log of the
    volume of a cell; other noise may close the gap.

    Parameters
    ----------
    model : LatentModel
        Of at most four latents unless it is linear with Gaussian noise.
    X : array (..., D)
        The lower corners of the cells.
    step : number or array (D,)
        Widths of the cells.
    noise : Posterior, optional
        One Gaussian for each datum, `(..., D)`, of v, where u = step / (1 + exp(-v)): variational
        dequantisation. By default the noise is uniform.
    rtol : float
        Tolerance, relative to 1 + the size of the bound.

    Returns
    -------
    Integral
        `value` `(...)` in nats; `error` is an estimate. Uniform noise of a linear model is in
        closed form; otherwise the mean is by Gauss-Legendre rules or lattices for up to three
        dimensions, and by quasi-random points beyond.

    Raises
    ------
    ValueError
        If the likelihood is not of real data, a width is not positive, or the shapes do not fit.

    Notes
    -----
    Sources: arXiv:1511.01844, arXiv:2001.11235 and claim 22e.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods, log_evidence
    >>> from vaetheory.bounds import cell_model, dequantised_bound
    >>> model = LatentModel(decoders.Affine([[0.6]]), likelihoods.Gaussian(scale=0.8))
    >>> bound, exact = dequantised_bound(model, [0.0]), log_evidence(cell_model(model), [0.0])
    >>> round(float(exact.value - bound.value), 6)
    0.010743
    """
    require_model(model)
    fraction("rtol", rtol, low=1e-14, high=0.1)
    data = model.check_data(X)
    width = np.broadcast_to(_step(step, model), (model.data_dim,))
    rows = data.reshape(-1, model.data_dim)
    # The upper corners must be data as well.
    model.check_data(rows + width)
    volume = float(np.log(width).sum())
    if noise is None:
        found = _uniform(model, rows, width, rtol)
        found = Integral(found.value + volume, found.error, found.status, found.nodes)
        return found.reshape(data.shape[:-1])
    require("noise", noise, Posterior)
    if noise.latent_dim != model.data_dim:
        raise ValueError(
            f"noise: expected {model.data_dim} dimensions as the data have, got {noise.latent_dim}"
        )
    same_leading("X", data, "noise.loc", noise.loc)
    loc = noise.loc.reshape(-1, model.data_dim)
    root = np.linalg.cholesky(noise.cov).reshape(-1, model.data_dim, model.data_dim)
    log_det = np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)

    def of_noise(nodes: Array) -> tuple[Array, Array]:
        v = loc[:, None] + nodes @ np.swapaxes(root, -1, -2)
        own = -0.5 * ((nodes**2).sum(axis=-1) + model.data_dim * LOG_2PI) - log_det[:, None]
        # log du/dv of the logistic function, and the width.
        slope = (log_expit(v) + log_expit(-v)).sum(axis=-1) + volume
        values, errors = _evidences(model, rows, np.exp(log_expit(v)) * width, rtol)
        return values + slope - own, errors

    if not len(rows):
        return _nothing().reshape(data.shape[:-1])
    found = mean_over_noise(of_noise, model.data_dim, normal=True, rtol=rtol)
    return found.reshape(data.shape[:-1])


def bits_per_dim(nats: ArrayLike, dim: int, *, levels: int = 1) -> Array:
    """Bits per dimension of data whose negative log density or probability is given in nats.

    It is nats / (D log 2) + log2(levels).

    Parameters
    ----------
    nats : array (...)
        -log p(x) of a density, or a bound of it, or -log P(x) of a probability.
    dim : int
        D, the number of data dimensions.
    levels : int
        For a density: the number of cells in a unit of the data, 256 for pixels that were divided
        by 256. 1, the default, is for cells of width 1 and for probabilities. For y = x / levels,
        log p(x) = log p(y) - D log(levels).

    Returns
    -------
    array (...)

    Raises
    ------
    ValueError
        If a number is not finite, or D or the number of levels is no integer of at least 1.

    Notes
    -----
    Source: claim 22e.

    Examples
    --------
    >>> from vaetheory.bounds import bits_per_dim
    >>> round(float(bits_per_dim(-1000.0, 784, levels=256)), 6)
    6.159828
    """
    value = as_array("nats", nats)
    size, count = integer("dim", dim, low=1), integer("levels", levels, low=1)
    return np.asarray(value / (size * np.log(2.0)) + np.log2(count))


def _step(step: ArrayLike, model: LatentModel) -> Array:
    width = scales("step", step)
    if width.ndim and len(width) != model.data_dim:
        raise ValueError(f"step: expected shape () or ({model.data_dim},), got {width.shape}")
    return width


def _uniform(model: LatentModel, rows: Array, width: Array, rtol: float) -> Integral:
    """E[log p(x + u)] of uniform u in the cells of data `(N, D)`."""
    if (parts := linear_parts(model)) is not None:
        weight, bias, likelihood = parts
        roots = np.broadcast_to(np.diag(width / np.sqrt(12)), (*rows.shape, len(width)))
        # A large bias that the data have as well is taken off first: it rounds the noise.
        middle = rows - bias + width / 2
        found = noisy_mean(weight, np.zeros_like(bias), likelihood, middle, roots)
        return Integral(found.value, found.error, np.full(len(rows), REACHED), 0)
    if not len(rows):
        return _nothing()

    def of_noise(nodes: Array) -> tuple[Array, Array]:
        cells = np.broadcast_to(nodes * width, (len(rows), *nodes.shape))
        return _evidences(model, rows, cells, rtol)

    return mean_over_noise(of_noise, model.data_dim, normal=False, rtol=rtol)


def _evidences(model: LatentModel, rows: Array, u: Array, rtol: float) -> tuple[Array, Array]:
    """Log evidences of data `(N, D)` with noise `(N, M, D)`, and their errors, `(N, M)`."""
    if (parts := linear_parts(model)) is not None:
        weight, bias, likelihood = parts
        moved = (rows - bias)[:, None] + u
        exact = linear_gaussian(weight, np.zeros_like(bias), likelihood, moved)
        return exact.value, exact.error
    values, errors = np.empty((2, *u.shape[:2]))
    size = max(1, _ROWS // u.shape[1])
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        flat = (rows[part, None] + u[part]).reshape(-1, rows.shape[1])
        found = any_log_evidence(model, flat, rtol)
        values[part] = found.value.reshape(-1, u.shape[1])
        errors[part] = found.error.reshape(-1, u.shape[1])
    return values, errors


def _nothing() -> Integral:
    return Integral(np.empty(0), np.empty(0), np.full(0, NOT_REACHED), 0)
