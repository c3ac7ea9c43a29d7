"""The ELBO penalty of a constant posterior variance, in nats, and its upper bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._by_position import also_by_position
from vaetheory._small_matrices import eigenvalues, spectral_norm
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

# For a relative eigenvalue minus one below this, log det keeps more digits than log1p.
_FAR_BELOW = -0.5
# NumPy arrays have at most this many axes.
_MOST_AXES = 64


@dataclass(frozen=True, eq=False)
class Penalty(ByValue):
    """The loss of the best constant variance against free variances, to second order.

    Attributes
    ----------
    value : array (...)
        1/2 (log det E[A] - E[log det A]), in nats.
    error : array (...)
        First-order bound of the rounding error of `value`.
    cov : array (..., d, d)
        The best constant covariance, E[A]^-1.
    ratio : array (...)
        h, the least M / m with m I <= A <= M I for all data of positive weight.
    specht_bound : array (...)
        d/2 log Specht(h), an upper bound of `value` in nats.
    sharp_bound : array (...)
        The smaller of two upper bounds of `value`, in nats: the Specht bound, and the bound from
        the extreme eigenvalues of A relative to E[A], whose mean is 1.
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


@also_by_position("weights")
def constant_variance_penalty(A: ArrayLike, *, weights: ArrayLike | None = None) -> Penalty:
    """Loss per datum of the second-order ELBO when all posteriors share one covariance.

    Parameters
    ----------
    A : array (N, d), (N, d, d) or (..., N, d, d)
        Hessians of the potential, one per datum; an array of two axes is read as N diagonals.
        Leading axes are separate data sets.
    weights : array (N,), optional
        Non-negative weights of the data, the same for all sets; they are normalised. Equal by
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
    penalty is the mean of 1/2 (t - log(1 + t)), which has no negative terms. Differences of the A
    are formed first, so that the result keeps its digits even if the A are nearly equal.

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
            penalty = _penalty(stack, w)
        except np.linalg.LinAlgError:
            penalty = None
    if penalty is None or not all(np.isfinite(value).all() for value in vars(penalty).values()):
        raise ValueError(
            "A: expected matrices whose inverses and ratios fit in float64, got diagonals from "
            f"{np.einsum('...ii->...i', stack).min():.3g} to "
            f"{np.einsum('...ii->...i', stack).max():.3g}"
        )
    return penalty


def _penalty(stack: Array, w: Array) -> Penalty:
    """The penalty of matrices `(..., N, d, d)` with positive weights `(N,)` of sum 1."""
    count, d = stack.shape[-3], stack.shape[-1]
    # Differences from the datum of greatest weight, which are exact if the A are nearly equal.
    centre = stack[..., [int(w.argmax())], :, :]
    away = stack - centre
    raw = away
    drift = np.einsum("n,...nij->...ij", w, away)
    away = away - drift[..., None, :, :]
    mean = centre[..., 0, :, :] + drift
    # The error of Cholesky does not depend on the scales of the axes; its bound must not either.
    unit, scale = _scaled(mean)
    inverse_root = np.linalg.inv(np.linalg.cholesky(unit)) / scale[..., None, :]
    white = inverse_root[..., None, :, :]
    relative = white @ away @ np.swapaxes(white, -1, -2)
    relative = (relative + np.swapaxes(relative, -1, -2)) / 2
    excess = eigenvalues(relative)
    log_ratio = _log_det(stack) - _log_det(mean)[..., None]
    near = excess[..., 0] > _FAR_BELOW
    safe = np.where(near[..., None], excess, 0.0)
    each = np.where(near, -log1pmx(safe).sum(axis=-1), excess.sum(axis=-1) - log_ratio)
    value = 0.5 * (each @ w)

    lost = _lost(unit, scale, raw, w, relative)
    # d/dt (t - log(1 + t)) = t / (1 + t) for each eigenvalue; a log det loses digits as its
    # condition number says.
    slope = np.linalg.norm(safe / (1 + safe), axis=-1) * lost + lost**2
    determinants = d * (_log_det_error(stack) + _log_det_error(mean)[..., None])
    far = np.sqrt(d) * lost + determinants + gamma(4) * np.abs(log_ratio)
    error = 0.5 * (np.where(near, slope, far) @ w) + gamma(8 + 2 * d + count) * value

    # Least eigenvalues come from the inverse, where a nearly singular A keeps their digits.
    own = np.linalg.inv(np.linalg.cholesky(stack))
    greatest = spectral_norm(stack).max(axis=-1)
    with np.errstate(over="ignore"):
        inverse = spectral_norm(own).max(axis=-1)
        ratio = np.maximum(greatest * inverse * inverse, 1.0)
    if not np.isfinite(ratio).all():
        raise ValueError(
            "A: expected eigenvalues within a factor of 1e308 of each other, got up to "
            f"{greatest.max():.3g} and down to {np.exp(-2 * np.log(inverse.max())):.3g}"
        )
    rounded_up = ratio * (1 + gamma(20 * d) * _condition(stack).max(axis=-1))
    specht = 0.5 * d * log_specht_ratio(rounded_up)
    log_least = -2 * np.log(spectral_norm(own @ _root(mean)[..., None, :, :]))
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
    values = eigenvalues(_scaled(matrix)[0])
    return 1 / np.maximum(values[..., 0], gamma(1))


def _log_det_error(matrix: Array) -> Array:
    """Rounding error per axis of a log det by Cholesky, whose backward error is gamma(d + 1)."""
    d = matrix.shape[-1]
    return gamma(d * (d + 4)) * _condition(matrix) + gamma(2 * d + 4) * (
        1 + np.abs(_log_det(matrix)) / d
    )


def _lost(unit: Array, scale: Array, raw: Array, w: Array, relative: Array) -> Array:
    """Rounding error, in the Frobenius norm, of each A - E[A] relative to E[A].

    `unit` is E[A] with the scales of its axes removed; `raw` is the difference of each A from the
    A of greatest weight, and the mean of `raw` is the difference of E[A] from it.
    """
    count, d = raw.shape[-3:-1]
    condition = _condition(unit)[..., None]
    scaled = raw / (scale[..., :, None] * scale[..., None, :])[..., None, :, :]
    size = np.linalg.norm(scaled, axis=(-2, -1))
    # A difference has its own rounding and that of the mean; whitening adds its condition number.
    formed = gamma(4 + count) * condition * (size + (size @ w)[..., None])
    solved = gamma(10 * d**2) * condition * np.linalg.norm(relative, axis=(-2, -1))
    return formed + solved


def _chord(low: Array, log_least: Array, high: Array) -> Array:
    """Greatest -E[log(1 + t)] over laws on [low, high] with mean 0; a law on two points attains it.

    `log_least` is log(1 + low), which is used where it cannot be computed precisely from `low`.
    """
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    spread = np.where(high > low, high - low, 1.0)
    below = np.where(low > _FAR_BELOW, -log1pmx(np.maximum(low, _FAR_BELOW)), low - log_least)
    return (below * high + log1pmx(high) * low) / spread


# Specht's ratio ---------------------------------------------------------------------------------


#: Minus log of 1e-20: relative to the first term, a smaller one changes nothing.
_TINY_TERM = 46.0


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
    # log(1 + x) = 2 artanh(s): its first term is combined with x exactly; the rest is a series.
    s = t / (2 + t)
    square = s * s
    series = np.zeros_like(s)
    # The terms fall like powers of the square, which is at most 1/4.
    most = max(float(square.max(initial=0.0)), 1e-20)
    for k in range(min(28, 1 + int(-_TINY_TERM / np.log(most))), 0, -1):
        series = (series + 2 / (2 * k + 1)) * square
    outside = np.where(middle, 1.0, x)
    return np.where(middle, s * (series - t), np.log1p(outside) - outside)


def log_specht_ratio(h: ArrayLike) -> Array:
    """Log of Specht's ratio, `(...) -> (...)`, accurate to a few units in the last place.

    Parameters
    ----------
    h : array (...)
        Ratio of the greatest to the least of some positive numbers. Specht(1/h) = Specht(h), so the
        inverse ratio gives the same result.

    Raises
    ------
    ValueError
        If an entry is not positive and finite.

    Notes
    -----
    Source: claim 5c. With r = log h / (h - 1) it is r - 1 - log r, about (h - 1)^2 / 8 near 1.
    The result is as accurate as h: in float64, 1 + 1e-12 has kept only four digits of 1e-12.

    Examples
    --------
    >>> log_specht_ratio([1.0, 2.0, 10.0]).round(4).tolist()
    [0.0, 0.0597, 0.619]
    """
    ratio = positive("h", h, max_ndim=_MOST_AXES)
    r, slope = _logarithmic(ratio)
    near = np.abs(slope) < 2 / 3
    # log(log H / (H - 1)) for H the greater of h and 1 / h, also if that overflows.
    away = np.where(near, 2.0, ratio)
    log_r = np.log(np.abs(np.log(away))) - np.log(np.abs(away - 1)) + np.minimum(np.log(away), 0.0)
    return np.where(near, np.abs(log1pmx(np.where(near, slope, 0.0))), r - 1 - log_r)


def specht_ratio(h: ArrayLike) -> Array:
    """Specht's ratio h^(1/(h-1)) / (e log h^(1/(h-1))), `(...) -> (...)`; 1 at h = 1.

    It is the greatest ratio of the arithmetic to the geometric mean of numbers in [m, M], where
    h = M / m. Parameters, errors and accuracy are those of `log_specht_ratio`.

    Examples
    --------
    >>> specht_ratio([1.0, 2.0, 0.5]).round(6).tolist()
    [1.0, 1.061476, 1.061476]
    """
    r, slope = _logarithmic(positive("h", h, max_ndim=_MOST_AXES))
    with np.errstate(over="ignore", divide="ignore"):
        return representable("h", np.exp(slope) / r, "numbers of a ratio")


def _logarithmic(h: Array) -> tuple[Array, Array]:
    """The r = log(h) / (h - 1) and r - 1; for 1 / h instead of h if h is far below 1."""
    e = h - 1
    close = np.abs(e) <= 0.5
    safe = np.where(close & (e != 0), e, 1.0)
    slope = np.where(e == 0, 0.0, log1pmx(safe) / safe)
    far = np.where(close, 2.0, h)
    r = np.log(far) / (far - 1) * np.minimum(far, 1.0)
    return np.where(close, 1 + slope, r), np.where(close, slope, r - 1)


# The exact ELBO ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ExactPenalty(ByValue):
    """The loss of the exact ELBO of a model on data by a constant variance.

    Attributes
    ----------
    value : float
        Mean stationary ELBO with free covariances minus that with a shared one, in nats per datum.
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
    """Mean stationary ELBO with free covariances minus the mean with one covariance for all data.

    Parameters
    ----------
    model : LatentModel
    X : array (N, D)
    start : Posterior, optional
        Starting point of both ascents, as for `stationary_posterior`.
    rtol : float
        Tolerance of both ascents.

    Returns
    -------
    ExactPenalty

    Raises
    ------
    ValueError
        If `X` is no data set `(N, D)`, and as for `stationary_posterior`.

    Notes
    -----
    Source: claim 5d. On a branch of posteriors that narrow as the likelihood's scale s tends to 0
    it is `constant_variance_penalty` of the Hessians at the modes, plus a multiple of s^2. If the
    ELBO has several stationary points, the result is that of the two that the ascents reach.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[2.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> penalty = exact_penalty(model, [[0.5], [-1.0]])
    >>> abs(penalty.value) <= penalty.error < 1e-12
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
        If the shapes do not fit, or a Hessian is not positive definite: its point is then no mode.

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
