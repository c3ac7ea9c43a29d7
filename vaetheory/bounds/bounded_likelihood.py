"""BAGGINS, the bounded Gaussian likelihood, and the unbounded profile likelihood."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import autograd.numpy as anp
import numpy as np
from numpy.typing import ArrayLike

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array, as_array, boolean, data_set, same_shape, weights_of
from vaetheory._value_equality import ByValue
from vaetheory.bounds._tracing import traced, value_of

# Differences of entries up to this size do not overflow.
_LARGEST = 1e300
# Above this many nats the rounding of the exponent would be visible.
_MOST = 1e6
_LOG2 = float(np.log(2))


@dataclass(frozen=True, eq=False)
class ProfileLikelihood(ByValue):
    """Gaussian log likelihood of a batch, with variances computed from the batch itself.

    Under `autograd` the fields are traced like any other result.

    Attributes
    ----------
    value : float
        -1/2 sum_i log(2 pi e sigma_i^2), in nats per datum.
    log_scale : array (D,)
        log sigma_i; all are equal if the variances are pooled.
    size : int
        Number of data in the batch, B.
    """

    value: float
    log_scale: Array
    size: int
    _scale: Array = field(repr=False)

    @property
    def scale(self) -> Array:
        """Standard deviations sigma_i of the likelihood, `(D,)`.

        Raises
        ------
        ValueError
            If one is below the normal range of float64; `log_scale` is still valid then.
        """
        least = value_of(self._scale).min()
        if least < np.finfo(np.float64).tiny:
            raise ValueError(
                "scale: expected deviations in the range of float64, got one of exp("
                f"{value_of(self.log_scale).min():g}); use log_scale"
            )
        return self._scale


@dataclass(frozen=True, eq=False)
class BoundedLikelihood(ProfileLikelihood):
    """The bounded Gaussian likelihood of a batch.

    Attributes
    ----------
    information : array (D,)
        Aggregate information, 1/2 log(v_i / sigma_i^2), in nats per dimension: at most the presumed
        information, and negative if the batch mean would fit better. All are equal if pooled.
    """

    information: Array


def baggins(
    x: ArrayLike,
    xhat: ArrayLike,
    *,
    information: ArrayLike,
    pooled: bool = False,
    weights: ArrayLike | None = None,
) -> BoundedLikelihood:
    """Bounded Gaussian log likelihood of a batch, invariant to the scale of the data.

    Let r_i = E_B[(x_i - xhat_i)^2] be the residual, v_i = Var_B[x_i] the spread and h the presumed
    information of a datum. Then sigma_i^2 = r_i + v_i exp(-2h): a datum is presumed to be known
    only up to noise of variance v_i exp(-2h), so that no fit, however close, gains more than h nats
    per dimension. No variance is learned or set by hand.

    Parameters
    ----------
    x : array (B, D)
        The batch, of at least two data.
    xhat : array (B, D)
        Reconstructions of the batch: the decoder's means.
    information : number or array (D,)
        h, in nats per dimension, from 0 to 1e6; a number is used for all dimensions.
    pooled : bool
        Whether all dimensions share one variance, computed from the means of r_i and v_i over i.
        `information` must then be a number.
    weights : array (B,), optional
        Weights of the data in all moments, which are normalised; equal by default. With them a
        datum can appear once for each node of a quadrature over its posterior.

    Returns
    -------
    BoundedLikelihood
        `value` in nats per datum.

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not finite or beyond 1e300 in size, the information or
        a weight is negative, or the data have no spread: a batch of one, or a constant column
        (if pooled: only constant columns).

    Notes
    -----
    Source: claims 10a to 10f. The result is exact up to rounding for any offset and scale of the
    data: moments are centred, and no square overflows or underflows. Moments are divided by B.
    `autograd` can differentiate the result with respect to all three arrays, in reverse and forward
    mode and more than once; the gradient with respect to xhat is (x - xhat) / (B sigma^2).

    Examples
    --------
    >>> term = baggins([[0.0], [2.0]], [[0.0], [2.0]], information=1.5)
    >>> round(float(term.value), 6), term.information.round(12).tolist()
    (0.081061, [1.5])
    >>> from autograd import grad
    >>> x, xhat = np.array([[0.0], [2.0]]), np.array([[0.5], [1.5]])
    >>> grad(lambda f: baggins(x, f, information=0.0).value)(xhat).tolist()
    [[-0.2], [0.2]]
    """
    boolean("pooled", pooled)
    data, fits, shares = _batch(x, xhat, weights)
    presumed = _information(information, data.shape[1], pooled)
    away, spread_power = _spread(data, shares, pooled)
    spread, residual = _moment(away, shares, pooled), data - fits
    # The unit of sigma is a power of two: the larger of the residuals' and the presumed noise's.
    noise_power = np.floor(spread_power - value_of(presumed) / _LOG2)
    power = np.maximum(_power(residual, pooled), noise_power)
    noise = spread * anp.exp(2 * ((spread_power - power) * _LOG2 - presumed))
    variance = _moment(_times_power(residual, -power), shares, pooled) + noise
    aggregate = 0.5 * (anp.log(spread) - anp.log(variance)) + (spread_power - power) * _LOG2
    return BoundedLikelihood(*_term(variance, power, data.shape), _all(aggregate, data.shape[1]))


def profile_likelihood(
    x: ArrayLike,
    xhat: ArrayLike,
    *,
    pooled: bool = False,
    weights: ArrayLike | None = None,
) -> ProfileLikelihood:
    """Gaussian log likelihood of a batch at its best variances, sigma_i^2 = r_i; it is unbounded.

    It is the limit of `baggins` as the presumed information grows.

    Parameters
    ----------
    x, xhat : array (B, D)
        As for `baggins`; a batch of one is allowed.
    pooled : bool
        Whether all dimensions share one variance.
    weights : array (B,), optional
        As for `baggins`.

    Returns
    -------
    ProfileLikelihood
        `value` in nats per datum.

    Raises
    ------
    ValueError
        As `baggins`, and if a dimension is fitted exactly, because the likelihood is then infinite.

    Notes
    -----
    Source: claim 10d.

    Examples
    --------
    >>> term = profile_likelihood([[0.0], [2.0]], [[1.0], [1.0]])
    >>> term.scale.tolist(), round(float(term.value), 6)
    ([1.0], -1.418939)
    """
    boolean("pooled", pooled)
    data, fits, shares = _batch(x, xhat, weights)
    residual = data - fits
    power = _power(residual, pooled)
    perfect = np.isneginf(power)
    if perfect.any():
        where = "" if pooled else f" of column {int(perfect.argmax())}"
        raise ValueError(
            f"xhat: expected residuals, got a perfect fit{where}, where the profile likelihood "
            "is infinite; baggins is bounded"
        )
    variance = _moment(_times_power(residual, -power), shares, pooled)
    return ProfileLikelihood(*_term(variance, power, data.shape))


def _batch(x: Any, xhat: Any, weights: Any) -> tuple[Any, Any, Array]:
    """Data, reconstructions (arrays or tracers) and weights; data of weight 0 are left out."""
    data, fits = data_set("x", value_of(x)), data_set("xhat", value_of(xhat))
    same_shape("xhat", fits, "x", data)
    for name, array in (("x", data), ("xhat", fits)):
        largest = np.abs(array).max()
        if largest > _LARGEST:
            raise ValueError(
                f"{name}: expected entries of at most {_LARGEST:g} in size, got {largest:g}"
            )
    shares = weights_of("weights", weights, len(data))
    kept = shares > 0
    data, fits = traced(x, data), traced(xhat, fits)
    return (data, fits, shares) if kept.all() else (data[kept], fits[kept], shares[kept])


def _information(information: Any, dim: int, pooled: bool) -> Any:
    """The checked presumed information, `(D,)`, or `(1,)` if pooled."""
    presumed = as_array("information", value_of(information))
    if presumed.shape not in ((), *([] if pooled else [(dim,)])):
        expected = "a number for pooled dimensions" if pooled else f"a number or ({dim},)"
        raise ValueError(f"information: expected {expected}; got shape {presumed.shape}")
    if presumed.min() < 0 or presumed.max() > _MOST:
        raise ValueError(
            f"information: expected numbers from 0 to {_MOST:g} nats, got "
            f"{presumed.min():g}..{presumed.max():g}"
        )
    return traced(information, presumed) * np.ones(1 if pooled else dim)


def _moment(array: Any, weights: Array, pooled: bool) -> Any:
    """Mean square of each column, `(D,)`, or of all of them, `(1,)`."""
    square = anp.dot(weights, array**2)
    return anp.mean(square, keepdims=True) if pooled else square


def _power(array: Any, pooled: bool) -> Array:
    """Least n with 2^n above the moduli of each column, `(D,)`, or of all; -inf for zeros."""
    top = np.abs(value_of(array)).max(axis=None if pooled else 0, keepdims=pooled).ravel()
    return np.where(top > 0, np.frexp(top)[1].astype(float), -np.inf)


def _times_power(x: Any, power: Array) -> Any:
    """The product x 2^power in two steps, so that no factor overflows if the product does not."""
    half = np.floor(power / 2)
    for part in (half, power - half):
        x = x * np.exp2(np.clip(part, -1074, 1023))
    return x


def _spread(data: Any, weights: Array, pooled: bool) -> tuple[Any, Array]:
    """Deviations from the mean in units of a power of two, and that power; zeros are rejected."""
    # Subtracting the first row gives a constant column zero spread, however its mean is rounded.
    shifted = data - value_of(data)[0]
    power = _power(shifted, pooled)
    if np.isneginf(power).any():
        if len(shifted) == 1:
            came = "a batch of one, which has no spread to set the scale"
        elif pooled:
            came = f"{len(shifted)} times the same datum"
        else:
            column = int(np.isneginf(power).argmax())
            came = f"a constant column {column}; leave it out, or pool the dimensions"
        raise ValueError(f"x: expected data that vary over the batch, got {came}")
    scaled = _times_power(shifted, -power)
    return scaled - anp.dot(weights, scaled), power


def _all(numbers: Any, dim: int) -> Any:
    """One number for each dimension, also if they are pooled."""
    return numbers * np.ones(dim)


def _term(variance: Any, power: Array, shape: tuple[int, int]) -> tuple[Any, Any, int, Any]:
    """Value, log scale, size and scale, from variances in units of 4^power."""
    size, dim = shape
    log_scale = _all(0.5 * anp.log(variance) + power * _LOG2, dim)
    value = -0.5 * dim * (1 + LOG_2PI) - anp.sum(log_scale)
    return value, log_scale, size, _all(_times_power(anp.sqrt(variance), power), dim)
