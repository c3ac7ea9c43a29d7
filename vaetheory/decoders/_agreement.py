"""A check that the derivatives of a user-defined decoder are those of its values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory._validation import Array
from vaetheory.decoders._outputs import double
from vaetheory.decoders.base import Decoder
from vaetheory.rounding import ULP

#: Steps of central differences, each a quarter of the previous one.
_STEPS = 4.0 ** -np.arange(2, 14)
#: A step so small that third differences are only rounding errors.
_CLOSE = 2.0**-22
#: A larger relative difference is a mistake, not rounding.
_WRONG = 1e-3
#: Differences with a smaller relative error do not agree with a derivative by chance.
_CLEAR = 0.1
#: Share of all outputs and derivatives that may be rounding of terms that cancel in a decoder.
_CANCELLED = 1e-9


def require_derivatives(decoder: Decoder, z: Array, name: str = "decoder") -> None:
    """Raise a ValueError if `jacobian` or `hessian` are not the derivatives of the decoder.

    They are compared along one direction with extrapolated central differences. An error is raised
    only if the differences have converged to another value, so that a decoder that is too rough for
    differences passes.

    Parameters
    ----------
    decoder : Decoder
    z : array (d,)
        The point.
    name : str
        Name of the decoder in error messages.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory.decoders import Circle
    >>> require_derivatives(Circle(2.0), np.array([0.3]))
    """
    d = len(z)
    # No two entries have a simple ratio, which could hide a mistake in a periodic decoder.
    direction = np.sqrt(np.arange(2.0, d + 2)) % 1.0 + 0.3
    point = z[None]
    first = double(decoder.jacobian(point), f"{name}.jacobian")
    second = double(decoder.hessian(point), f"{name}.hessian")
    size = np.shape(decoder(point))[-1]
    for kind, array, shape in (
        ("jacobian", first, (1, size, d)),
        ("hessian", second, (1, size, d, d)),
    ):
        if array.shape != shape:
            raise ValueError(
                f"{name}: expected {kind} to map shape (1, {d}) to {shape}, got {array.shape}"
            )
    ones = np.linspace(1.0, 2.0, size)
    weighted = double(decoder.weighted_hessian(point, ones[None]), f"{name}.weighted_hessian")
    if weighted.shape != (1, d, d):
        raise ValueError(
            f"{name}: expected weighted_hessian to map shapes (1, {d}) and (1, {size}) to "
            f"(1, {d}, {d}), got {weighted.shape}"
        )
    # Where layers cancel or saturate, derivatives are rounding errors of much greater terms.
    # Derivatives that overflow internally are NaN and are not compared.
    scale = _CANCELLED * max(_greatest(a) for a in (np.asarray(decoder(point)), first, second))
    for kind, given, function in (
        ("jacobian", first[0] @ direction, lambda x: np.asarray(decoder(x), dtype=float)),
        ("hessian", second[0] @ direction, lambda x: np.asarray(decoder.jacobian(x), dtype=float)),
    ):
        slope, error = _slope(function, z, direction, given)
        off = np.abs(given - slope)
        bad = off > _WRONG * np.maximum(np.abs(given), np.abs(slope)) + error + scale
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            what = "values" if kind == "jacobian" else "Jacobian"
            raise ValueError(
                f"{name}: expected `{kind}` to be the derivative of its {what}, but at z = "
                f"{z.tolist()} along {direction.round(3).tolist()} entry {at} is {given[at]:.6g}, "
                f"and differences give {slope[at]:.6g}"
            )
    summed = np.einsum("i,ijk->jk", ones, second[0])
    most = np.einsum("i,ijk->jk", ones, np.abs(second[0]))
    if (np.abs(weighted[0] - summed) > _WRONG * most + 2 * size * scale).any():
        raise ValueError(
            f"{name}: expected `weighted_hessian` to be the weighted sum of `hessian`, got "
            f"{weighted[0].tolist()} for {summed.tolist()} at z = {z.tolist()}"
        )


def _greatest(array: Array) -> float:
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))


def _slope(
    function: Callable[[Array], Array], z: Array, direction: Array, claimed: Array
) -> tuple[Array, Array]:
    """Derivative of a function along a direction by differences, and its error estimate.

    `claimed` is the derivative to be tested. Steps are not used if a function of that slope would
    change by more over the step than the values do. The error is infinite (no objection) if the
    differences for some step agree with the claim: smaller steps may show the rounding of values.
    """
    size = np.abs(claimed)
    shifts = _STEPS[:, None] * direction
    with np.errstate(all="ignore"):
        ahead, behind = function(z + shifts), function(z - shifts)
        steps = _STEPS.reshape(-1, *(1,) * (ahead.ndim - 1))
        quotient = (ahead - behind) / (2 * steps)
        sizes = np.abs(ahead) + np.abs(behind)
        # If terms cancel inside the function, only third differences show the rounding errors.
        third = np.diff(function(z + _CLOSE * np.arange(24.0)[:, None] * direction), n=3, axis=0)
        rounding = np.sqrt((third**2).mean(axis=0) / 20)
        noise = 8 * (ULP * (sizes + (1 + np.abs(z).max()) * size) + rounding) / steps
        finer = (16 * quotient[1:] - quotient[:-1]) / 15
        change = np.abs(np.diff(finer, axis=0))
        # Two successive changes must be small, so that one by chance does not count.
        error = 100 * (np.maximum(change[1:], change[:-1]) + noise[3:])
        spread = np.abs(ahead - behind).max(axis=0)
        error = np.where(steps[:-3] * size <= spread, error, np.inf)
    error = np.where(np.isfinite(error), error, np.inf)
    best = error.argmin(axis=0)[None]
    agreed = (np.abs(finer[2:] - claimed) <= _WRONG * size) & (error <= _CLEAR * size)
    error = np.where(agreed.any(axis=0), np.inf, error)
    take = np.take_along_axis
    return take(finer[2:], best, 0)[0], take(error, best, 0)[0]
