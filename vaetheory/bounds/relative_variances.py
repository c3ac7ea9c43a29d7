"""Variances that vary from datum to datum, for BAGGINS and the profile likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, same_shape, shape_of_data
from vaetheory.bounds._frameworks import framework, value_of


def with_relative_variances(
    x: ArrayLike, xhat: ArrayLike, log_variances: ArrayLike, *, weights: ArrayLike | None = None
) -> Any:
    """Reconstructions with which `baggins` measures residuals in units that vary over the batch.

    Let g be any relative log variances, one for each datum and dimension, and g' = g - E_B[g], so
    that their mean over the batch is zero in each dimension. This function returns
    x - (x - xhat) exp(-g' / 2). With these in place of xhat, `profile_likelihood` is the mean log
    density of the model N(x; xhat, sigma_i^2 exp(g')), whose sigma_i^2 it computes from the batch,
    and `baggins` that of data with the presumed noise, v_i exp(-2h) exp(g'). Because the mean of g'
    is zero, the log determinants of that model are those of sigma_i^2 alone: the likelihood of
    `baggins` has the same bound, h nats a dimension above the fit by the batch mean, whatever g.

    A network with half the outputs can compute g from its reconstruction alone, such as greater
    variances of grey pixels than of black ones.

    Parameters
    ----------
    x : array (B, D)
        The batch.
    xhat : array (B, D)
        Reconstructions: the decoder's means.
    log_variances : array (B, D) or (B, 1)
        g, without a unit. Only differences between data count.
    weights : array (B,), optional
        Weights of the data, as for `baggins`.

    Returns
    -------
    array (B, D)
        A tensor of PyTorch or an array of JAX if one of the arguments is one. A datum of weight 0
        has the values of another.

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not finite, a weight is negative, or a residual in the
        new units overflows. For PyTorch and JAX only shapes are checked.

    Notes
    -----
    Source: claim 10g; our derivation. Residuals in the new units are lost where they are below the
    rounding of the data. `autograd`, PyTorch and JAX can differentiate the result with respect to
    the first three arrays.

    To evaluate a model after training, compute `fit = baggins(...)` in this way from the whole
    training set: the log deviations are `fit.log_scale` - E[g] / 2 + g / 2, with the mean over the
    training set, and g of the latent at hand.

    Examples
    --------
    >>> from vaetheory.bounds import baggins
    >>> x, xhat = np.array([[0.0], [1.0], [8.0]]), np.array([[0.1], [0.9], [6.0]])
    >>> g = np.log([[0.01], [0.01], [4.0]])
    >>> round(float(baggins(x, xhat, information=3.0).value), 3)
    -1.577
    >>> round(float(baggins(x, with_relative_variances(x, xhat, g), information=3.0).value), 3)
    -0.292
    """
    f = framework(x, xhat, log_variances, weights)
    data, fits = f.borrow("x", x), f.borrow("xhat", xhat)
    relative = f.borrow("log_variances", log_variances)
    shape_of_data("x", tuple(data.shape))
    same_shape("xhat", fits, "x", data)
    size, dim = data.shape
    if tuple(relative.shape) not in ((size, dim), (size, 1)):
        raise ValueError(
            f"log_variances: expected shape ({size}, {dim}) or ({size}, 1), got "
            f"{tuple(relative.shape)}"
        )
    data, fits = f.carry(x, data), f.carry(xhat, fits)
    relative = f.carry(log_variances, relative)
    shares = None if weights is None else f.shares(weights, size)
    origin = relative[:1]
    if shares is not None:
        # A datum of weight 0 gets the values of one that counts, and is fitted exactly.
        counts = (shares > 0)[:, None]
        data = f.xp.where(counts, data, f.frozen(f.row_of_largest(shares, data)))
        fits = f.xp.where(counts, fits, data)
        origin = f.row_of_largest(shares, relative)
        relative = f.xp.where(counts, relative, f.frozen(origin))
    # Subtracting a row keeps the digits where a large number was added to all.
    relative = relative - f.frozen(origin)
    mean = f.xp.mean(relative, axis=0) if shares is None else f.weighted_sum(shares, relative)
    residual = data - fits
    # The unit of an exact reconstruction is irrelevant, and must not overflow.
    relative = f.xp.where(residual == 0, 0.0, relative - mean)
    if f.checked:
        _require_range(value_of(residual), value_of(relative))
    return data - residual * f.xp.exp(-0.5 * relative)


def _require_range(residual: Array, relative: Array) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        fits = np.isfinite(residual * np.exp(-0.5 * relative)).all()
    if not fits:
        raise ValueError(
            "log_variances: expected those with which residuals fit in float64, got an overflow"
        )
