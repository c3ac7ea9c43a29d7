"""Limits and exponents of a quantity measured on a ladder of scales, with their intervals."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking.comparison import Comparison


def extrapolate(values: Array, errors: Array) -> tuple[float, float, float]:
    """Limit at scale 0 of values at scales s, s/2, s/4, ... that expand in even powers.

    By Richardson's scheme. Returns the limit; an estimate of the remainder of the expansion (the
    difference from the extrapolation without the finest value or without the last power); and a
    bound of the effect of the errors of the values.

    Examples
    --------
    >>> s = 1 / 2 ** np.arange(4.0)
    >>> limit, left, noise = extrapolate(3 + s**2 - s**4, np.full(4, 1e-15))
    >>> round(limit, 12), left < 0.02
    (3.0, True)
    """
    column, noise = np.asarray(values, float), np.abs(np.asarray(errors, float))
    history = [column]
    for order in range(1, len(column)):
        factor = 4.0**order
        column = (factor * column[1:] - column[:-1]) / (factor - 1)
        noise = (factor * noise[1:] + noise[:-1]) / (factor - 1)
        history.append(column)
    last = float(history[-1][-1])
    # Without the last power at the finest scale, and without the finest scale.
    left = max(abs(last - float(value)) for value in history[-2])
    return last, left, float(noise[-1])


def power_law(
    values: Array,
    errors: Array,
    scales: Array,
    *,
    exponent: float,
    coefficient: float,
    rounding: float = 0.0,
) -> Comparison:
    """Comparison that values ~ coefficient scales^exponent as the scales halve towards 0.

    Both the coefficient and the exponent are extrapolated, each with an interval. `rounding` is
    the error of the predicted coefficient.
    """
    limit, left, noise = extrapolate(values / scales**exponent, errors / scales**exponent)
    size = max(abs(coefficient), float(np.abs(values / scales**exponent).max()))
    parts = [
        Comparison.identity(
            limit, coefficient, scale=size, expansion=left, numerics=noise, predicted=rounding
        )
    ]
    if coefficient:
        # A value that is not positive has no exponent: NaN makes the comparison inconclusive.
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = errors / values
            local = np.log2(values[:-1] / values[1:])
        measured, left, noise = extrapolate(local, (relative[:-1] + relative[1:]) / np.log(2))
        parts.append(
            Comparison.identity(measured, exponent, scale=1.0, expansion=left, numerics=noise)
        )
    return Comparison.all_of(*parts)


def settled(values: Array, errors: Array, scales: Array, *, exponent: float) -> bool:
    """Whether values / scales^exponent is constant enough for an exponent to be measured."""
    reduced = values / scales**exponent
    sharp = (np.abs(errors) < 1e-2 * np.abs(values)).all()
    return bool(sharp and np.ptp(reduced) < 0.3 * np.abs(reduced).min())


def leading_coefficient(
    values: Array,
    errors: Array,
    scales: Array,
    *,
    exponent: float,
    coefficient: float,
    rounding: float = 0.0,
) -> Comparison:
    """Comparison that values / scales^exponent tends to the coefficient, which may be 0.

    For a law whose leading term is zero or hidden by the next one: see `settled`.
    """
    reduced = values / scales**exponent
    limit, left, noise = extrapolate(reduced, errors / scales**exponent)
    size = 1 + float(np.abs(reduced).max())
    return Comparison.identity(
        limit, coefficient, scale=size, expansion=left, numerics=noise, predicted=rounding
    )
