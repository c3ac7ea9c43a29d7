"""What a constant posterior variance costs: the penalty in nats, and bounds of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import (
    Array,
    as_array,
    covariances,
    data_set,
    positive,
    representable,
    same_leading,
    weights_of,
)
from vaetheory._value_equality import ByValue
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel, require_model
from vaetheory.rounding import gamma

# Below this relative eigenvalue less one, log1p has lost digits that log det still has.
_FAR_BELOW = -0.5
# An array of NumPy's has no more.
_MOST_AXES = 64


@dataclass(frozen=True, eq=False)
class Penalty(ByValue):
    """What the best constant variance loses against free ones, to second order.

    Attributes
    ----------
    value : array (...)
        1/2 (log det E[A] - E[log det A]), in nats.
    error : array (...)
        Bound, to first order, of the rounding in `value`.
    cov : array (..., d, d)
        The best constant covariance, E[A]^-1.
    ratio : array (...)
        h, the least M / m with m I <= A <= M I for all data of positive weight.
    specht_bound : array (...)
        d/2 log Specht(h), in nats: no `value` is greater.
    sharp_bound : array (...)
        The least upper bound of `value` known here, in nats: the Specht bound, or the one from
        the extreme eigenvalues of A relative to E[A], whose mean is known to be 1.
    second_order : array (...)
        The small-variation approximation 1/4 E ||E[A]^-1/2 (A - E[A]) E[A]^-1/2||_F^2, in nats.
    """

    value: Array
    error: Array
    cov: Array
    ratio: Array
    specht_bound: Array
    sharp_bound: Array
    second_order: Array


def constant_variance_penalty(A: ArrayLike, weights: ArrayLike | None = None) -> Penalty:
    """The second-order ELBO that is lost, a datum, when all posteriors share their covariance.

    Parameters
    ----------
    A : array (N, d), (N, d, d) or (..., N, d, d)
        Hessians of the potential, one a datum; an array of two axes is read as N diagonals.
        Leading axes are data sets of their own.
    weights : array (N,), optional
        Weights of the data, the same for all sets; not negative, and normalised here. Equal by
        default.

    Returns
    -------
    Penalty

    Raises
    ------
    ValueError
        If a shape does not fit, a Hessian is not symmetric positive definite, a weight is
        negative, or no weight is positive.

    Notes
    -----
    Source: claims 5a to 5c. The eigenvalues 1 + t of A relative to E[A] have mean 1, so the
    penalty is the mean of 1/2 (t - log(1 + t)), whose terms are not negative; differences of the
    A are formed before anything else, so the digits last however nearly equal the A are.

    Examples
    --------
    >>> penalty = constant_variance_penalty([[1.0], [4.0]])
    >>> round(float(penalty.value), 6), penalty.cov.tolist()
    (0.111572, [[0.4]])
    >>> bool(penalty.value <= penalty.sharp_bound <= penalty.specht_bound)
    True
    """
    given = as_array("A", A, min_ndim=2)
    if given.ndim == 2:
        given = positive("A (diagonals)", given, max_ndim=2)[..., None] * np.eye(given.shape[1])
    stack = covariances("A", given)
    w = weights_of("weights", weights, stack.shape[-3])
    used = w > 0
    stack, w = stack[..., used, :, :], w[used]

    with np.errstate(all="ignore"):
        try:
            found = _penalty(stack, w)
        except np.linalg.LinAlgError:
            found = None
    if found is None or not all(np.isfinite(value).all() for value in vars(found).values()):
        raise ValueError(
            "A: expected matrices whose inverses and ratios fit in float64, got diagonals from "
            f"{np.einsum('...ii->...i', stack).min():.3g} to "
            f"{np.einsum('...ii->...i', stack).max():.3g}"
        )
    return found


def _penalty(stack: Array, w: Array) -> Penalty:
    """The penalty of matrices `(..., N, d, d)` with positive weights `(N,)` of sum 1."""
    count, d = stack.shape[-3], stack.shape[-1]
    # About the heaviest datum: where the A are nearly equal these differences are exact.
    centre = stack[..., [int(w.argmax())], :, :]
    away = stack - centre
    raw = away
    drift = np.einsum("n,...nij->...ij", w, away)
    away = away - drift[..., None, :, :]
    mean = centre[..., 0, :, :] + drift
    # Cholesky's error does not depend on the scales of the axes; nor shall its bound.
    unit, scale = _scaled(mean)
    inverse_root = np.linalg.inv(np.linalg.cholesky(unit)) / scale[..., None, :]
    white = inverse_root[..., None, :, :]
    relative = white @ away @ np.swapaxes(white, -1, -2)
    relative = (relative + np.swapaxes(relative, -1, -2)) / 2
    excess = np.linalg.eigvalsh(relative)
    log_ratio = _log_det(stack) - _log_det(mean)[..., None]
    near = excess[..., 0] > _FAR_BELOW
    safe = np.where(near[..., None], excess, 0.0)
    each = np.where(near, -log1pmx(safe).sum(axis=-1), excess.sum(axis=-1) - log_ratio)
    value = 0.5 * (each @ w)

    lost = _lost(unit, scale, raw, w, relative)
    # d/dt (t - log(1 + t)) = t / (1 + t), by eigenvalues; a log det loses its own condition.
    slope = np.linalg.norm(safe / (1 + safe), axis=-1) * lost + lost**2
    determinants = d * (_log_det_error(stack) + _log_det_error(mean)[..., None])
    apart = np.sqrt(d) * lost + determinants + gamma(4) * np.abs(log_ratio)
    error = 0.5 * (np.where(near, slope, apart) @ w) + gamma(8 + 2 * d + count) * value

    # Least eigenvalues from the side of the inverse, where a nearly singular A keeps them.
    own = np.linalg.inv(np.linalg.cholesky(stack))
    greatest = np.linalg.norm(stack, ord=2, axis=(-2, -1)).max(axis=-1)
    with np.errstate(over="ignore"):
        inverse = np.linalg.norm(own, ord=2, axis=(-2, -1)).max(axis=-1)
        ratio = np.maximum(greatest * inverse * inverse, 1.0)
    if not np.isfinite(ratio).all():
        raise ValueError(
            "A: expected eigenvalues within a factor of 1e308 of each other, got up to "
            f"{greatest.max():.3g} and down to {np.exp(-2 * np.log(inverse.max())):.3g}"
        )
    rounded_up = ratio * (1 + gamma(20 * d) * _condition(stack).max(axis=-1))
    specht = 0.5 * d * log_specht_ratio(rounded_up)
    log_least = -2 * np.log(
        np.linalg.norm(own @ _root(mean)[..., None, :, :], ord=2, axis=(-2, -1))
    )
    chord = _chord(excess[..., 0].min(axis=-1), log_least.min(axis=-1), excess.max(axis=(-2, -1)))
    return Penalty(
        value=value,
        error=error,
        cov=np.swapaxes(inverse_root, -1, -2) @ inverse_root,
        ratio=ratio,
        specht_bound=specht,
        sharp_bound=np.fmin(specht, 0.5 * d * chord),
        second_order=0.25 * np.einsum("n,...nij,...nij->...", w, relative, relative),
    )


def _scaled(matrix: Array) -> tuple[Array, Array]:
    """Matrices with a unit diagonal, and the scales of their axes, powers of two."""
    scale = 2.0 ** np.round(0.5 * np.log2(np.einsum("...ii->...i", matrix)))
    return matrix / scale[..., :, None] / scale[..., None, :], scale


def _root(matrix: Array) -> Array:
    """Cholesky factors, `(..., d, d) -> (..., d, d)`."""
    unit, scale = _scaled(matrix)
    return np.linalg.cholesky(unit) * scale[..., :, None]


def _log_det(matrix: Array) -> Array:
    return 2 * np.log(np.einsum("...ii->...i", _root(matrix))).sum(axis=-1)


def _condition(matrix: Array) -> Array:
    """Norm of the inverse of a matrix whose diagonal is scaled to about 1."""
    values = np.linalg.eigvalsh(_scaled(matrix)[0])
    return 1 / np.maximum(values[..., 0], gamma(1))


def _log_det_error(matrix: Array) -> Array:
    """Rounding of a log det by Cholesky, an axis: its backward error, at most gamma(d + 1)."""
    d = matrix.shape[-1]
    return gamma(d * (d + 4)) * _condition(matrix) + gamma(2 * d + 4) * (
        1 + np.abs(_log_det(matrix)) / d
    )


def _lost(unit: Array, scale: Array, raw: Array, w: Array, relative: Array) -> Array:
    """Rounding, in the Frobenius norm, of each A - E[A] relative to E[A], a scaled `unit`.

    `raw` is what each A differs by from the heaviest, and E[A] from that by its mean.
    """
    count, d = raw.shape[-3:-1]
    condition = _condition(unit)[..., None]
    scaled = raw / (scale[..., :, None] * scale[..., None, :])[..., None, :, :]
    size = np.linalg.norm(scaled, axis=(-2, -1))
    # A difference carries its own rounding and that of the mean; the whitening its condition.
    formed = gamma(4 + count) * condition * (size + (size @ w)[..., None])
    solved = gamma(10 * d**2) * condition * np.linalg.norm(relative, axis=(-2, -1))
    return formed + solved


def _chord(low: Array, log_least: Array, high: Array) -> Array:
    """Greatest -E[log(1 + t)] of a law on [low, high] of mean 0, that of two points.

    `log_least` is log(1 + low), for where `low` has lost it.
    """
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    spread = np.where(high > low, high - low, 1.0)
    below = np.where(low > _FAR_BELOW, -log1pmx(np.maximum(low, _FAR_BELOW)), low - log_least)
    return (below * high + log1pmx(high) * low) / spread


# Specht's ratio ---------------------------------------------------------------------------------


def log1pmx(x: ArrayLike) -> Array:
    """log(1 + x) - x to full relative accuracy, for x > -1; at x = 0 it is -x^2 / 2.

    Examples
    --------
    >>> float(log1pmx(2.0**-40)) / 2.0**-81
    -0.9999999999993937
    """
    x = as_array("x", x)
    if x.size and x.min() <= -1:
        raise ValueError(f"x: expected numbers above -1, got {x.min():g}")
    middle = (x > -2 / 3) & (x < 2)
    t = np.where(middle, x, 0.0)
    # log(1 + x) = 2 artanh(s): the part of order x^2 stands apart, the rest is a series.
    s = t / (2 + t)
    square = s * s
    series = np.zeros_like(s)
    for k in range(28, 0, -1):
        series = (series + 2 / (2 * k + 1)) * square
    outside = np.where(middle, 1.0, x)
    return np.where(middle, s * (series - t), np.log1p(outside) - outside)


def log_specht_ratio(h: ArrayLike) -> Array:
    """Log of Specht's ratio, `(...) -> (...)`, accurate to a few units in the last place.

    Parameters
    ----------
    h : array (...)
        Greatest over least of positive numbers. Specht(1/h) = Specht(h), so the order of the two
        does not matter.

    Raises
    ------
    ValueError
        If an entry is not positive and finite.

    Notes
    -----
    Source: claim 5c. With r = log h / (h - 1) it is r - 1 - log r, about (h - 1)^2 / 8 near 1.
    The accuracy is that of the given h: of 1 + 1e-12 a float64 has kept four digits of 1e-12.

    Examples
    --------
    >>> log_specht_ratio([1.0, 2.0, 10.0]).round(4).tolist()
    [0.0, 0.0597, 0.619]
    """
    ratio = positive("h", h, max_ndim=_MOST_AXES)
    r, slope = _logarithmic(ratio)
    near = np.abs(slope) < 2 / 3
    # log(log H / (H - 1)), H the greater of h and 1 / h, also where that is beyond float64.
    away = np.where(near, 2.0, ratio)
    log_r = np.log(np.abs(np.log(away))) - np.log(np.abs(away - 1)) + np.minimum(np.log(away), 0.0)
    return np.where(near, np.abs(log1pmx(np.where(near, slope, 0.0))), r - 1 - log_r)


def specht_ratio(h: ArrayLike) -> Array:
    """Specht's ratio h^(1/(h-1)) / (e log h^(1/(h-1))), `(...) -> (...)`; 1 at h = 1.

    The greatest ratio of the arithmetic to the geometric mean of numbers in [m, M], h = M / m.
    Parameters, errors and accuracy as for `log_specht_ratio`.

    Examples
    --------
    >>> specht_ratio([1.0, 2.0, 0.5]).round(6).tolist()
    [1.0, 1.061476, 1.061476]
    """
    r, slope = _logarithmic(positive("h", h, max_ndim=_MOST_AXES))
    with np.errstate(over="ignore", divide="ignore"):
        return representable("h", np.exp(slope) / r, "numbers of a ratio")


def _logarithmic(h: Array) -> tuple[Array, Array]:
    """R = log(h) / (h - 1) and r - 1; of 1 / h where h is far below 1."""
    e = h - 1
    close = np.abs(e) <= 0.5
    safe = np.where(close & (e != 0), e, 1.0)
    slope = np.where(e == 0, 0.0, log1pmx(safe) / safe)
    apart = np.where(close, 2.0, h)
    r = np.log(apart) / (apart - 1) * np.minimum(apart, 1.0)
    return np.where(close, 1 + slope, r), np.where(close, slope, r - 1)


# The exact ELBO ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ExactPenalty(ByValue):
    """What a constant variance loses in the exact ELBO of a model on data.

    Attributes
    ----------
    value : float
        Mean stationary ELBO with free covariances less that with a shared one, nats a datum.
    error : float
        Estimate of the error of `value`.
    free, shared : StationaryPosterior
        The two stationary posteriors.
    """

    value: float
    error: float
    free: StationaryPosterior
    shared: StationaryPosterior


def exact_penalty(
    model: LatentModel, X: ArrayLike, *, start: Posterior | None = None, rtol: float = 1e-13
) -> ExactPenalty:
    """Mean stationary ELBO with free covariances less the mean with one for all data.

    Parameters
    ----------
    model : LatentModel
    X : array (N, D)
    start : Posterior, optional
        Where both ascents start, as for `stationary_posterior`.
    rtol : float
        Their tolerance.

    Returns
    -------
    ExactPenalty

    Raises
    ------
    ValueError
        If `X` is no data set `(N, D)`; and as for `stationary_posterior`.

    Notes
    -----
    Source: claim 5d. On a branch of posteriors that narrow as the likelihood's scale s tends to 0
    it is `constant_variance_penalty` of the Hessians at the modes, plus a multiple of s^2. Where
    the ELBO has several stationary points it is that of the two that the ascents reach.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[2.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> found = exact_penalty(model, [[0.5], [-1.0]])
    >>> abs(found.value) <= found.error < 1e-12
    True
    """
    data = data_set("X", X)
    free = stationary_posterior(model, data, start=start, rtol=rtol)
    shared = stationary_posterior(model, data, structure="shared", start=start, rtol=rtol)
    return ExactPenalty(
        value=float((free.value - shared.value).mean()),
        error=float((free.error + shared.error).mean()),
        free=free,
        shared=shared,
    )


def mode_hessians(model: LatentModel, X: ArrayLike, modes: ArrayLike) -> Array:
    """Hessians A of the potential at given modes, `(..., D), (..., d) -> (..., d, d)`.

    Raises
    ------
    ValueError
        If the shapes do not fit or a Hessian is not positive definite, so that there is no mode.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[2.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> mode_hessians(model, [[0.5]], [[0.2]]).tolist()
    [[[5.0]]]
    """
    require_model(model)
    data, points = model.check_data(X), as_array("modes", modes, min_ndim=1)
    same_leading("X", data, "modes", points)
    return covariances("A at the modes", model.potential_derivatives(data, points)[1])
