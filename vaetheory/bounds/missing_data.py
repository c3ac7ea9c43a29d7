"""Data of which some coordinates are missing: evidences of the others, and imputation bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory._validation import (
    Array,
    finite,
    flattened,
    fraction,
    require,
    require_callable,
    same_leading,
)
from vaetheory.bounds._exact_evidence import any_log_evidence, linear_parts
from vaetheory.bounds._linear_gaussian import noisy_mean
from vaetheory.bounds._noise_means import mean_over_noise
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.decoders._selected import selected
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel, require_model

#: Data and imputed values that are evaluated together.
_ROWS = 2**14


def observed_model(model: LatentModel, observed: ArrayLike) -> LatentModel:
    """The model of some of the data dimensions: what it says when the others are missing.

    Its evidence is the marginal p(x_o), so it can be given to every function of a model.

    Parameters
    ----------
    model : LatentModel
        Of a likelihood whose data dimensions are independent given z, or a Gaussian one.
    observed : array of bool (D,)
        True for the dimensions to be kept; at least one.

    Returns
    -------
    LatentModel
        Its data have the observed dimensions only, in their order.

    Raises
    ------
    ValueError
        If the mask does not fit, nothing is observed, or the likelihood has no marginals, as the
        categorical one.

    Notes
    -----
    Source: claim 22c.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.bounds import observed_model
    >>> model = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=[0.5, 0.25]))
    >>> observed_model(model, [False, True]).likelihood.scale.tolist()
    [0.25]
    """
    require_model(model)
    mask = _mask(observed, model.data_dim)
    if mask.ndim != 1:
        raise ValueError(f"observed: expected shape ({model.data_dim},), got {mask.shape}")
    if not mask.any():
        raise ValueError("observed: expected at least one dimension, got none")
    return _marginal(model, mask)


def observed_log_evidence(
    model: LatentModel,
    X: ArrayLike,
    observed: ArrayLike | None = None,
    *,
    rtol: float = 1e-10,
) -> Integral:
    """Log evidence of the observed coordinates of each datum, log p(x_o), in nats.

    Parameters
    ----------
    model : LatentModel
        As for `observed_model`; of at most four latents unless it is linear with Gaussian noise.
    X : array (..., D)
        The data. What stands in missing coordinates does not count, and may be NaN.
    observed : array of bool (D,) or (..., D), optional
        Which coordinates are observed, the same for all data or for each. By default those that
        are not NaN.
    rtol : float
        As for `log_evidence`.

    Returns
    -------
    Integral
        As from `log_evidence`. Where nothing is observed the value is 0.

    Raises
    ------
    ValueError
        As `log_evidence` and `observed_model`; if an observed coordinate is not finite.

    Notes
    -----
    Source: claims 22c and 22d. If the mask depends on observed values only, these evidences are the
    likelihood to be maximised: the mask need not be modelled. If it depends on missing values it
    must be. Time grows with the number of different masks, each of which has a model of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.bounds import observed_log_evidence
    >>> model = LatentModel(decoders.Affine([[1.0], [1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> found = observed_log_evidence(model, [[0.0, 0.0], [0.0, np.nan], [np.nan, np.nan]])
    >>> found.value.round(6).tolist()
    [-2.387183, -1.265512, 0.0]
    """
    require_model(model)
    rtol = fraction("rtol", rtol, low=1e-14, high=0.1)
    data = np.asarray(flattened("X", X, model.data_shape), dtype=np.float64)
    if data.ndim == 0 or data.shape[-1] != model.data_dim:
        raise ValueError(f"X: expected shape (..., {model.data_dim}), got {data.shape}")
    mask = ~np.isnan(data) if observed is None else _mask(observed, model.data_dim)
    if mask.ndim > 1 and mask.shape != data.shape:
        raise ValueError(
            f"observed: expected shape ({model.data_dim},) or {data.shape}, got {mask.shape}"
        )
    rows = data.reshape(-1, model.data_dim)
    masks = np.broadcast_to(mask, data.shape).reshape(rows.shape)
    value, error = np.zeros(len(rows)), np.zeros(len(rows))
    status, nodes = np.full(len(rows), REACHED, dtype="<U11"), 0
    # One model for each pattern of missing coordinates.
    patterns, which = np.unique(masks, axis=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        if not pattern.any():
            continue
        own = np.flatnonzero(which.reshape(-1) == k)
        part = _marginal(model, pattern)
        found = any_log_evidence(part, part.check_data(rows[own][:, pattern]), rtol)
        value[own], error[own], status[own] = found.value, found.error, found.status
        nodes += found.nodes
    return Integral(value, error, status, nodes).reshape(data.shape[:-1])


def imputation_bound(
    model: LatentModel,
    X: ArrayLike,
    observed: ArrayLike,
    imputed: Posterior,
    *,
    encoder: Callable[[Array], Posterior] | None = None,
    rtol: float = 1e-8,
) -> Integral:
    """Lower bound of log p(x_o) from imputed values x_m ~ q, E_q[log p(x_o, x_m)] + H[q].

    Its gap is KL(q || p(x_m given x_o)). With an encoder log p is replaced by the ELBO of the
    completed datum, which adds the mean of its own gap. The entropy H[q] belongs to the bound:
    without it the value is a log density of other dimensions, which may be above log p(x_o).

    Parameters
    ----------
    model : LatentModel
        Its data must be real numbers; of at most four latents unless it is linear with Gaussian
        noise, or an encoder is given.
    X : array (..., D)
        The data. What stands in missing coordinates does not count, and may be NaN.
    observed : array of bool (D,)
        Which coordinates are observed, the same for all data; not all of them.
    imputed : Posterior
        q, one Gaussian over the missing coordinates for each datum, with the leading axes of `X`.
    encoder : callable, optional
        Data `(M, D)` -> `Posterior` of the latents, of M data.
    rtol : float
        Tolerance, relative to 1 + the size of the bound.

    Returns
    -------
    Integral
        `value` `(...)` in nats; `error` is an estimate. A linear model without an encoder is in
        closed form. Otherwise the mean over up to three missing coordinates is by lattices, and
        over more by quasi-random points.

    Raises
    ------
    ValueError
        As `observed_model`; if nothing is missing, or the shapes do not fit.

    Notes
    -----
    Source: claim 22c.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import imputation_bound, observed_log_evidence
    >>> model = LatentModel(decoders.Affine([[1.0], [1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> x, mask = [1.0, 0.0], [True, False]
    >>> bound = imputation_bound(model, x, mask, Posterior([0.5], cov=[[1.5]]))
    >>> float(bound.value.round(9)), float(observed_log_evidence(model, x, mask).value.round(9))
    (-1.515512123, -1.515512123)
    """
    require_model(model)
    fraction("rtol", rtol, low=1e-14, high=0.1)
    require("imputed", imputed, Posterior)
    mask = _mask(observed, model.data_dim)
    if mask.ndim != 1 or mask.all():
        raise ValueError("observed: expected one mask (D,) with a missing coordinate")
    missing = np.flatnonzero(~mask)
    if imputed.latent_dim != len(missing):
        raise ValueError(
            f"imputed: expected {len(missing)} coordinates, as many as are missing, got "
            f"{imputed.latent_dim}"
        )
    data = np.array(flattened("X", X, model.data_shape), dtype=np.float64)
    if data.ndim == 0 or data.shape[-1] != model.data_dim:
        raise ValueError(f"X: expected shape (..., {model.data_dim}), got {data.shape}")
    finite("X", data[..., mask])
    same_leading("X", data, "imputed.loc", imputed.loc)
    if encoder is not None:
        require_callable("encoder", encoder, "(M, D) -> Posterior")
    data[..., missing] = imputed.loc
    rows = model.check_data(data.reshape(-1, model.data_dim))
    roots = np.linalg.cholesky(imputed.cov).reshape(-1, len(missing), len(missing))
    entropy = np.asarray(imputed.entropy()).reshape(-1)
    if encoder is None and (parts := linear_parts(model)) is not None:
        spread = np.zeros((len(rows), model.data_dim, len(missing)))
        spread[:, missing] = roots
        closed = noisy_mean(*parts, rows, spread)
        found = Integral(closed.value, closed.error, np.full(len(rows), REACHED), 0)
    else:
        found = _mean(model, rows, missing, roots, encoder, rtol)
    error = found.error + 1e-15 * np.abs(entropy)
    bound = Integral(found.value + entropy, error, found.status, found.nodes)
    return bound.reshape(data.shape[:-1])


def _mean(
    model: LatentModel,
    rows: Array,
    missing: NDArray[np.intp],
    roots: Array,
    encoder: Callable[[Array], Posterior] | None,
    rtol: float,
) -> Integral:
    """E_q of log evidences or ELBOs of completed data."""

    def of_noise(nodes: Array) -> tuple[Array, Array]:
        values, errors = np.empty((2, len(rows), len(nodes)))
        size = max(1, _ROWS // len(nodes))
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            whole = np.repeat(rows[part, None], len(nodes), axis=1)
            whole[..., missing] += nodes @ np.swapaxes(roots[part], -1, -2)
            flat = whole.reshape(-1, model.data_dim)
            if encoder is None:
                found = any_log_evidence(model, flat, rtol)
            else:
                found = elbo(model, flat, encoder(flat), rtol=rtol)
            values[part] = found.value.reshape(whole.shape[:2])
            errors[part] = found.error.reshape(whole.shape[:2])
        return values, errors

    if not len(rows):
        return Integral(np.empty(0), np.empty(0), np.full(0, NOT_REACHED), 0)
    return mean_over_noise(of_noise, len(missing), normal=True, rtol=rtol)


def _mask(observed: ArrayLike, data_dim: int) -> NDArray[np.bool_]:
    mask = np.asarray(observed)
    if mask.dtype.kind != "b" or mask.ndim == 0 or mask.shape[-1] != data_dim:
        raise ValueError(
            f"observed: expected booleans (..., {data_dim}), got an array {mask.shape} of "
            f"{mask.dtype}"
        )
    return mask


def _marginal(model: LatentModel, mask: NDArray[np.bool_]) -> LatentModel:
    if mask.all():
        return model
    which = np.flatnonzero(mask)
    family, each = model.likelihood.marginal(which), model.likelihood.params_each
    params = np.concatenate([which + k * model.data_dim for k in range(each)])
    return LatentModel(selected(model.decoder, params), family, model.latent_dim)
