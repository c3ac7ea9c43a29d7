"""Stochastic estimators of Hessians and Jacobian norms from evaluations at perturbed points.

A Gaussian posterior N(m, S) perturbs the latent by L eps with S = L L^T. From values or gradients
at the perturbed points these functions estimate E[Hess g], the Hessian averaged over the
posterior, or the squared norm of the Jacobian.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import (
    Array,
    as_array,
    lower_triangular,
    positive,
    representable,
    same_shape,
)
from vaetheory._value_equality import ByValue


@dataclass(frozen=True, eq=False)
class Estimate(ByValue):
    """The mean of n draws of an unbiased estimator, with its standard error.

    Attributes
    ----------
    value : array
        The mean over the draws.
    error : array
        Standard error of each entry, estimated from the sample: the root of the unbiased variance
        divided by n. Infinite for a single draw, which contains no information about its spread.
    draws : int
        n.

    Examples
    --------
    >>> Estimate(value=1.0, error=0.1, draws=100).draws
    100
    """

    value: Array
    error: Array
    draws: int


#: Name of the inputs in error messages.
_INPUTS = "values, noise and scale"


def _mean(draws: Array, axis: int) -> Estimate:
    """Mean and standard error of draws, without warnings; an overflow raises an error."""
    # Sums along the last axis of memory are fast, and pairwise.
    draws = np.ascontiguousarray(np.moveaxis(draws, axis, -1))
    count = draws.shape[-1]
    value = representable(_INPUTS, draws.mean(axis=-1), "estimates")
    if count == 1:
        return Estimate(value, np.full_like(value, np.inf), 1)
    # Scaled before squaring, because the squares of large deviations would overflow.
    unit = np.maximum(np.abs(draws).max(axis=-1, keepdims=True), np.finfo(float).tiny)
    spread = (draws / unit).std(axis=-1, ddof=1) * unit[..., 0]
    return Estimate(value, representable(_INPUTS, spread, "deviations") / np.sqrt(count), count)


def _whitened(noise: ArrayLike, scale_tril: ArrayLike) -> tuple[Array, Array, Array]:
    """Noise `(..., n, d)`, L^-T eps `(..., n, d)`, and S^-1 `(d, d)`."""
    eps = as_array("noise", noise, min_ndim=2)
    if eps.shape[-2] == 0 or eps.shape[-1] == 0:
        raise ValueError(f"noise: expected at least one draw (..., n, d), got shape {eps.shape}")
    root = lower_triangular("scale_tril", scale_tril, 2 * eps.shape[-1:])
    with np.errstate(over="ignore", invalid="ignore"):
        inverse = np.linalg.inv(root)
        return eps, eps @ inverse, inverse.T @ inverse


def stein_hessian(
    values: ArrayLike, noise: ArrayLike, scale_tril: ArrayLike, *, baseline: ArrayLike = 0.0
) -> Estimate:
    """Estimate E[Hess g(z)], z = m + L eps, from values of g alone.

    Parameters
    ----------
    values : array (..., n)
        g at the points m + L eps; leading axes are independent estimates.
    noise : array (..., n, d)
        The standard normal draws eps.
    scale_tril : array (d, d)
        L, lower triangular with a positive diagonal; S = L L^T.
    baseline : float or array (...)
        A number subtracted from the values, one per estimate. The estimator stays unbiased for any
        constant; g(m) removes most of the variance if S is small, but can increase it otherwise.

    Returns
    -------
    Estimate
        `value` `(..., d, d)`, symmetric.

    Raises
    ------
    ValueError
        If shapes do not fit, L is not lower triangular with a positive diagonal, or an estimate
        does not fit in float64.

    Notes
    -----
    Source: claim 4b, Stein's identity of second order,
    E[(S^-1 (z-m)(z-m)^T S^-1 - S^-1) g(z)] = E[Hess g(z)]. For S = s^2 I and small s one draw has
    a total variance (summed over the entries) of (d^2 + d) g(m)^2 / s^4 without a baseline, and
    of ((d + 2)^2 + d) ||grad g(m)||^2 / s^2 with the baseline g(m): claim 4b-variances.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).standard_normal((100_000, 1))
    >>> z = 1 + 0.5 * noise
    >>> estimate = stein_hessian(z[:, 0] ** 2, noise, [[0.5]], baseline=1.0)
    >>> bool(abs(estimate.value[0, 0] - 2) < 4 * estimate.error[0, 0] < 0.2)
    True
    """
    eps, score, precision = _whitened(noise, scale_tril)
    g = as_array("values", values, min_ndim=1)
    same_shape("values", g, "noise", eps[..., 0])
    level = as_array("baseline", baseline)
    if level.ndim and level.shape != g.shape[:-1]:
        raise ValueError(
            f"baseline: expected a number or shape {g.shape[:-1]}, got shape {level.shape}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        weights = score[..., :, None] * score[..., None, :] - precision
        return _mean(weights * (g - level[..., None])[..., None, None], axis=-3)


def price_hessian(gradients: ArrayLike, noise: ArrayLike, scale_tril: ArrayLike) -> Estimate:
    """Estimate E[Hess g(z)], z = m + L eps, from gradients of g.

    Parameters
    ----------
    gradients : array (..., n, d)
        grad g at the points m + L eps; leading axes are independent estimates.
    noise : array (..., n, d)
        The standard normal draws eps.
    scale_tril : array (d, d)
        L, lower triangular with a positive diagonal; S = L L^T.

    Returns
    -------
    Estimate
        `value` `(..., d, d)`, symmetric: each draw S^-1 (z-m) grad g(z)^T is replaced by its
        symmetric part, which has the same expectation and no larger variance.

    Raises
    ------
    ValueError
        If shapes do not fit, L is not lower triangular with a positive diagonal, or an estimate
        does not fit in float64.

    Notes
    -----
    Source: claim 4b, E[S^-1 (z-m) grad g(z)^T] = E[Hess g(z)]. A constant may be subtracted from
    the gradients, like the baseline from values. For S = s^2 I and small s one draw has a total
    variance of (d + 1) / 2 ||grad g(m)||^2 / s^2: claim 4b-variances.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).standard_normal((100_000, 1))
    >>> z = 1 + 0.5 * noise
    >>> estimate = price_hessian(2 * z, noise, [[0.5]])
    >>> bool(abs(estimate.value[0, 0] - 2) < 4 * estimate.error[0, 0] < 0.1)
    True
    """
    eps, score, _ = _whitened(noise, scale_tril)
    slopes = as_array("gradients", gradients, min_ndim=2)
    same_shape("gradients", slopes, "noise", eps)
    with np.errstate(over="ignore", invalid="ignore"):
        draws = score[..., :, None] * slopes[..., None, :]
        return _mean((draws + np.swapaxes(draws, -1, -2)) / 2, axis=-3)


def jacobian_norm(values: ArrayLike, centre: ArrayLike, scale: ArrayLike) -> Estimate:
    """Estimate (with bias) the squared Frobenius norm of a Jacobian from values at m + s eps.

    Parameters
    ----------
    values : array (..., n, D)
        f at the points m + s eps, eps standard normal; leading axes are independent estimates.
    centre : array (..., D)
        f(m).
    scale : float
        s.

    Returns
    -------
    Estimate
        `value` `(...)`, whose expectation is ||J(m)||_F^2 + c s^2 + O(s^4); `error` is the
        standard error and does not include the bias.

    Raises
    ------
    ValueError
        If shapes do not fit, the scale is not a positive number, or an estimate does not fit in
        float64.

    Notes
    -----
    Source: claim 4c, which gives c. For a linear f there is no bias for any s.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).standard_normal((100_000, 1))
    >>> estimate = jacobian_norm(np.sin(0.01 * noise), [0.0], 0.01)
    >>> bool(abs(estimate.value - 1) < 4 * estimate.error < 0.02)
    True
    """
    s = positive("scale", scale)
    points, at = as_array("values", values, min_ndim=2), as_array("centre", centre, min_ndim=1)
    if 0 in points.shape[-2:] or at.shape != (*points.shape[:-2], points.shape[-1]):
        raise ValueError(
            "values and centre: expected shapes (..., n, D) and (..., D) of at least one draw, got "
            f"{points.shape} and {at.shape}"
        )
    # Scaled before squaring, because the square of a tiny displacement would underflow.
    with np.errstate(over="ignore", invalid="ignore"):
        moved = (points - at[..., None, :]) / s
        return _mean((moved**2).sum(axis=-1), axis=-1)
