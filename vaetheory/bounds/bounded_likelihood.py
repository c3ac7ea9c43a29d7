"""BAGGINS, the bounded Gaussian likelihood, and the unbounded profile likelihood."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array, boolean, same_shape, shape_of_data
from vaetheory._value_equality import ByValue
from vaetheory.bounds._frameworks import framework, value_of

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


class TensorLikelihood(NamedTuple):
    """`baggins` or `profile_likelihood` of a batch of PyTorch tensors or JAX arrays.

    A named tuple of tensors, so that the frameworks' transformations can return it.

    Attributes
    ----------
    value, log_scale, size, scale
        As those of `ProfileLikelihood`, with log scale and scale NaN for a column that counts for
        nothing, and scale 0 below the range of the dtype.
    information : tensor (D,) or None
        As that of `BoundedLikelihood`, 0 for a column that counts for nothing; None for the profile
        likelihood.
    """

    value: Any
    log_scale: Any
    size: int
    scale: Any
    information: Any = None


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
        `value` in nats per datum. For PyTorch tensors and JAX arrays it is a named tuple of tensors
        with the same attributes, `TensorLikelihood`.

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not finite or beyond 1e300 in size, the information or
        a weight is negative, or the data have no spread: a batch of one, or a constant column
        (if pooled: only constant columns). For PyTorch and JAX only shapes, and what is given as
        plain numbers, are checked: no exception depends on the value of a tensor.

    Notes
    -----
    Source: claims 10a to 10f. The result is exact up to rounding for any offset and scale of the
    data: moments are centred, and no square overflows or underflows. Moments are divided by B.
    `autograd` can differentiate the result with respect to all three arrays, in reverse and forward
    mode and more than once; the gradient with respect to xhat is (x - xhat) / (B sigma^2).

    The arrays may be PyTorch tensors or JAX arrays, also under `torch.compile`, `jax.jit` and
    `vmap`; NumPy arrays and numbers may go with them. Half precisions are widened to float32, and
    weights are not differentiated. In each batch of pictures some pixels are constant: pool the
    dimensions. Otherwise a column of tensors that is constant in the batch counts for nothing: it
    adds neither to the value nor to the gradient, and the decoder learns nothing about it.

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
    f = framework(x, xhat, information, weights)
    xp = f.xp
    data, fits, shares = _batch(f, x, xhat, weights)
    shape, dim = data.shape, data.shape[1]
    presumed = _information(f, information, dim, pooled)
    away, spread_power = _spread(data, shares, pooled)
    # NumPy's data vary here; a constant column of tensors gets any spread and counts for nothing.
    varies = spread_power > -np.inf
    spread_power = xp.where(varies, spread_power, 0.0)
    spread = xp.where(varies, _moment(away, shares, pooled), 1.0)
    # Of images these arrays are large: none is kept longer than it is needed.
    del away
    residual = data - fits
    del data, fits
    # The unit of sigma is a power of two: the larger of the residuals' and the presumed noise's.
    noise_power = xp.floor(spread_power - f.frozen(presumed) / _LOG2)
    power = xp.maximum(_power(residual, pooled), noise_power)
    noise = spread * xp.exp(2 * ((spread_power - power) * _LOG2 - presumed))
    scaled = f.times_power(residual, -power)
    del residual
    variance = _moment(scaled, shares, pooled) + noise
    aggregate = 0.5 * (xp.log(spread) - xp.log(variance)) + (spread_power - power) * _LOG2
    aggregate = _all(xp.where(varies, aggregate, 0.0), dim)
    term = _term(variance, power, shape, varies)
    bound: Any = TensorLikelihood(*term, aggregate)
    return BoundedLikelihood(*term, aggregate) if f.checked else bound


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
        `value` in nats per datum; for tensors a `TensorLikelihood`.

    Raises
    ------
    ValueError
        As `baggins`, and if a dimension is fitted exactly, because the likelihood is then infinite.
        For tensors the value is infinite then, and the gradient is NaN.

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
    f = framework(x, xhat, weights)
    data, fits, shares = _batch(f, x, xhat, weights)
    shape, residual = data.shape, data - fits
    del data, fits
    power = _power(residual, pooled)
    perfect = power == -np.inf
    if f.checked and perfect.any():
        where = "" if pooled else f" of column {int(perfect.argmax())}"
        raise ValueError(
            f"xhat: expected residuals, got a perfect fit{where}, where the profile likelihood "
            "is infinite; baggins is bounded"
        )
    power = f.xp.where(perfect, 0.0, power)
    scaled = f.times_power(residual, -power)
    del residual
    variance = _moment(scaled, shares, pooled)
    term = _term(variance, power, shape, perfect | True)
    likelihood: Any = TensorLikelihood(*term)
    return ProfileLikelihood(*term) if f.checked else likelihood


def _batch(f: Any, x: Any, xhat: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Data, reconstructions (arrays or tracers) and weights; data of weight 0 are left out."""
    data, fits = f.borrow("x", x), f.borrow("xhat", xhat)
    shape_of_data("x", tuple(data.shape))
    shape_of_data("xhat", tuple(fits.shape))
    same_shape("xhat", fits, "x", data)
    if not f.checked:
        return _unchecked_batch(f, data, fits, weights)
    for name, array in (("x", data), ("xhat", fits)):
        largest = np.abs(array).max()
        if largest > _LARGEST:
            raise ValueError(
                f"{name}: expected entries of at most {_LARGEST:g} in size, got {largest:g}"
            )
    shares = f.shares(weights, len(data))
    kept = shares > 0
    data, fits = f.carry(x, data), f.carry(xhat, fits)
    return (data, fits, shares) if kept.all() else (data[kept], fits[kept], shares[kept])


def _unchecked_batch(f: Any, data: Any, fits: Any, weights: Any) -> tuple[Any, Any, Any]:
    """As `_batch` for tensors: a datum of weight 0 gets the values of one that counts."""
    if weights is None:
        return data, fits, None
    shares = f.shares(weights, len(data))
    ignored = (shares == 0)[:, None]
    data = f.xp.where(ignored, f.row_of_largest(shares, data), data)
    return data, f.xp.where(ignored, data, fits), shares


def _information(f: Any, information: Any, dim: int, pooled: bool) -> Any:
    """The checked presumed information, `(D,)`, or `(1,)` if pooled."""
    presumed = f.read("information", information)
    if tuple(presumed.shape) not in ((), *([] if pooled else [(dim,)])):
        expected = "a number for pooled dimensions" if pooled else f"a number or ({dim},)"
        raise ValueError(f"information: expected {expected}; got shape {tuple(presumed.shape)}")
    # Plain numbers are checked in every framework.
    least, most = 0.0, _MOST
    if f.checked:
        least, most = presumed.min(), presumed.max()
    elif isinstance(information, int | float):
        least = most = information
    if not 0 <= least <= most <= _MOST:
        raise ValueError(
            f"information: expected numbers from 0 to {_MOST:g} nats, got {least:g}..{most:g}"
        )
    return f.carry(information, presumed) * f.ones(1 if pooled else dim)


def _moment(array: Any, weights: Any, pooled: bool) -> Any:
    """Mean square of each column, `(D,)`, or of all of them, `(1,)`."""
    square = _mean(array**2, weights)
    return framework(array).xp.mean(square, axis=0, keepdims=True) if pooled else square


def _mean(array: Any, weights: Any) -> Any:
    """Weighted mean of the rows; with equal weights if `weights` is None."""
    f = framework(array)
    return f.xp.mean(array, axis=0) if weights is None else f.weighted_sum(weights, array)


def _power(array: Any, pooled: bool) -> Any:
    """Least n with 2^n above the moduli of each column, `(D,)`, or of all; -inf for zeros."""
    f = framework(array)
    top = f.largest(array, None if pooled else 0)
    return f.xp.where(top == 0, -np.inf, f.exponent(top))


def _spread(data: Any, weights: Any, pooled: bool) -> tuple[Any, Any]:
    """Deviations from the mean in units of a power of two, and that power.

    Zeros are rejected in NumPy; in other frameworks their power is -inf.
    """
    f = framework(data)
    if len(data) == 1:
        raise _constant("a batch of one, which has no spread to set the scale")
    # Subtracting the first row gives a constant column zero spread, however its mean is rounded.
    shifted = data - f.frozen(data)[0]
    power = _power(shifted, pooled)
    zero = power == -np.inf
    if f.checked and zero.any():
        if pooled:
            raise _constant(f"{len(shifted)} times the same datum")
        column = int(zero.argmax())
        raise _constant(f"a constant column {column}; leave it out, or pool the dimensions")
    scaled = f.times_power(shifted, f.xp.where(zero, 0.0, -power))
    del shifted
    return scaled - _mean(scaled, weights), power


def _constant(came: str) -> ValueError:
    return ValueError(f"x: expected data that vary over the batch, got {came}")


def _all(numbers: Any, dim: int) -> Any:
    """One number for each dimension, also if they are pooled."""
    return numbers * framework(numbers).ones(dim)


def _term(
    variance: Any, power: Any, shape: tuple[int, int], varies: Any
) -> tuple[Any, Any, int, Any]:
    """Value, log scale, size and scale, from variances in units of 4^power.

    What does not vary counts for nothing.
    """
    f = framework(variance)
    xp = f.xp
    size, dim = shape
    log_scale = _all(0.5 * xp.log(variance) + power * _LOG2, dim)
    counted = varies * f.ones(dim)
    value = -0.5 * xp.sum(counted) * (1 + LOG_2PI) - xp.sum(xp.where(counted > 0, log_scale, 0.0))
    log_scale = xp.where(counted > 0, log_scale, np.nan)
    if f.checked:
        return value, log_scale, size, _all(f.times_power(xp.sqrt(variance), power), dim)
    return value, log_scale, size, xp.exp(log_scale)
