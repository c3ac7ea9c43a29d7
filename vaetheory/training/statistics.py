"""Confidence intervals of means over seeds and of paired differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from vaetheory._validation import SQUARABLE, as_array, fraction, squarable
from vaetheory._value_equality import ByValue


@dataclass(frozen=True, eq=False)
class Interval(ByValue):
    """A mean over seeds and a confidence interval of its expectation.

    Attributes
    ----------
    mean, low, high : float
    count : int
        Number of seeds.
    """

    mean: float
    low: float
    high: float
    count: int


def confidence_interval(
    values: ArrayLike, *, level: float = 0.95, overlap: float = 0.0
) -> Interval:
    """Student's confidence interval of the expectation of independent values.

    The interval of a single value is infinite.

    Parameters
    ----------
    values : array (n,)
        One value a seed, or the differences of two objectives trained with the same seeds.
    level : float
    overlap : float
        With 0 the interval holds for other seeds and splits of the same data set. To make it hold
        for other data sets of the same size, although every seed splits the same data set, set it
        to the ratio of test to training data: the variance of the mean is (1 / n + overlap) s^2.

    Notes
    -----
    Source of the correction: C. Nadeau and Y. Bengio, Machine Learning 52 (2003), 239-281. Like any
    estimate from one data set, it is a heuristic.

    Examples
    --------
    >>> mean = confidence_interval([1.0, 2.0, 3.0])
    >>> round(mean.mean, 6), round(mean.low, 6), round(mean.high, 6)
    (2.0, -0.484138, 4.484138)
    """
    array = as_array("values", values, ndim=1)
    level = fraction("level", level, low=0.0, high=1.0)
    overlap = fraction("overlap", overlap, low=0.0, high=SQUARABLE)
    squarable("values", array)
    n = len(array)
    if n == 0:
        raise ValueError("values: expected at least one, got none")
    mean = float(array.mean())
    if n == 1:
        return Interval(mean, -np.inf, np.inf, 1)
    deviation = array.std(ddof=1) * np.sqrt(1 / n + overlap)
    half = float(stdtrit(n - 1, (1 + level) / 2) * deviation)
    return Interval(mean, mean - half, mean + half, n)
