"""Intervals of means over seeds, and of paired differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from vaetheory._validation import SQUARABLE, as_array, fraction, squarable
from vaetheory._value_equality import ByValue


@dataclass(frozen=True, eq=False)
class Interval(ByValue):
    """A mean over seeds and the interval of its expectation.

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
    """Student's interval of the expectation of independent values; of one value it is infinite.

    Parameters
    ----------
    values : array (n,)
        One a seed; of two objectives trained with the same seeds, their differences.
    level : float
    overlap : float
        Test data over training data where every seed splits one data set anew and the interval is
        to hold for other data sets of that size: the variance of the mean is then taken as
        (1 / n + overlap) s^2. With 0 it holds for other seeds and splits of this data set.

    Notes
    -----
    Source of the correction: C. Nadeau and Y. Bengio, Machine Learning 52 (2003), 239-281; it is
    a heuristic, as any estimate from one data set must be.

    Examples
    --------
    >>> found = confidence_interval([1.0, 2.0, 3.0])
    >>> round(found.mean, 6), round(found.low, 6), round(found.high, 6)
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
