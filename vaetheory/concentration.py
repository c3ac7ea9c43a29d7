"""Bounds of the distance between a sample mean and its expectation, for statistical propositions.

A statistical proposition compares the mean of `count` independent draws with an exact expectation.
Its bound is Markov's inequality for an even moment of that mean, computed from the moments of one
draw. It uses no normal approximation and is therefore rigorous for any sample size.

Each comparison fails by chance with probability at most `LEVEL` = 1e-9. A run of the registry
therefore raises a false alarm with probability at most 1e-9 times the number of its comparisons
(Boole's inequality; they need not be independent), which is below 1e-3 for fewer than a million
comparisons. `counting` counts them, and `tests/test_concentration.py` checks the number for all
statistical propositions together, with the instances of the largest profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, as_array, fraction, integer
from vaetheory.rounding import gamma

#: Greatest probability with which chance alone exceeds the bound of one comparison.
LEVEL = 1e-9
#: Greatest probability with which chance alone raises an alarm in a run of the whole registry.
FALSE_ALARM = 1e-3


@dataclass
class Comparisons:
    """Number of bounds that were computed, one for each comparison with a sample mean."""

    count: int = 0


_counter: ContextVar[Comparisons | None] = ContextVar("comparisons", default=None)


@contextmanager
def counting() -> Iterator[Comparisons]:
    """Count the comparisons whose bounds are computed within this context.

    Examples
    --------
    >>> with counting() as made:
    ...     bounds = mean_deviation([[1.0], [4.0]], 10)
    >>> made.count
    2
    """
    made = Comparisons()
    token = _counter.set(made)
    try:
        yield made
    finally:
        _counter.reset(token)


def mean_deviation(central_moments: ArrayLike, count: int, *, level: float = LEVEL) -> Array:
    """Bound on how far the mean of `count` independent draws is from its expectation.

    It is valid with chance 1 - `level`.

    Parameters
    ----------
    central_moments : array (..., 2 p - 1)
        Central moments of orders 2, 3, ..., 2 p of one draw, along the last axis. Upper bounds of
        their absolute values may be given instead, because the result increases with each of them.
    count : int
        Number of draws.
    level : float
        Greatest probability with which the bound may be exceeded.

    Returns
    -------
    array (...)
        A bound, in the unit of the draws. If the moments are estimates, the bound is an estimate.

    Raises
    ------
    ValueError
        If the last order is not even, an even moment is negative, the count is not a positive
        integer, or the level is not in (0, 1].

    Notes
    -----
    Markov: `P(|mean - E| >= t) <= E|mean - E|^(2k) / t^(2k)`, minimised over k = 1, ..., p. The
    moments of a sum of two independent parts are a binomial convolution of the moments of the
    parts, so repeated doubling gives those of `count` draws. Absolute values replace the odd
    moments; then all terms are positive, nothing cancels, and the sum is an upper bound.

    Examples
    --------
    A fair coin, +1 or -1, is tossed 10,000 times. With probability 1 - 1e-9 the mean is within

    >>> coin = [1.0, 0.0] * 7 + [1.0]
    >>> round(float(mean_deviation(coin, 10_000)), 3)
    0.09
    """
    moments = as_array("central_moments", central_moments, min_ndim=1)
    draws = integer("count", count, low=1)
    fraction("level", level, low=1e-300, high=1.0)
    if moments.shape[-1] % 2 == 0 or moments.size == 0:
        raise ValueError(
            "central_moments: expected orders 2, 3, ..., 2 p, an odd number of them, got an array "
            f"of shape {moments.shape}"
        )
    if (moments[..., ::2] < 0).any():
        raise ValueError(
            f"central_moments: expected even moments of at least 0, got {moments[..., ::2].min():g}"
        )
    counter = _counter.get()
    if counter is not None:
        counter.count += moments[..., 0].size
    order = moments.shape[-1] + 1
    orders = np.arange(2, order + 1)
    # In units of the largest norm every moment is at most one, so that no power overflows.
    norms = np.abs(moments) ** (1 / orders)
    unit = norms.max(axis=-1)
    safe = np.where(unit > 0, unit, 1.0)[..., None]
    scaled = (norms / safe / np.sqrt(draws)) ** orders
    single = np.concatenate(
        [np.ones((*unit.shape, 1)), np.zeros((*unit.shape, 1)), scaled], axis=-1
    )
    total = _moments_of_sum(single, draws)
    # Each doubling adds a few rounding errors per order; a moment of order r contains r / 2.
    lost = gamma(10 * order * (2 + 2 * draws.bit_length()))
    even = np.arange(2, order + 1, 2)
    roots = (total[..., even] * (1 + lost)) ** (1 / even) / level ** (1 / even)
    return unit * roots.min(axis=-1) / np.sqrt(draws) * (1 + gamma(50))


def log_mean_excess(shape: tuple[int, ...] = (), *, level: float = LEVEL) -> Array:
    """Bound on log(mean of draws / expectation) of non-negative draws, in nats.

    It is exceeded with probability at most `level`, for any law and any number of draws.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array of comparisons.
    level : float

    Notes
    -----
    Markov's inequality for the mean itself: P(mean >= t E) <= 1 / t. It also holds for importance
    weights, whose variance may be infinite.

    Examples
    --------
    >>> round(float(log_mean_excess(level=0.05)), 6)
    2.995732
    """
    fraction("level", level, low=1e-300, high=1.0)
    counter = _counter.get()
    if counter is not None:
        counter.count += int(np.prod(shape))
    return np.full(shape, -np.log(level))


def _moments_of_sum(single: Array, count: int) -> Array:
    """Moments of orders 0, 1, ... of a sum of `count` independent copies, by doubling."""
    total, power = np.zeros_like(single), single
    total[..., 0] = 1.0
    while count:
        if count % 2:
            total = _convolve(total, power)
        count //= 2
        if count:
            power = _convolve(power, power)
    return total


def _convolve(a: Array, b: Array) -> Array:
    """Moments of the sum of two independent parts, from the moments of the parts."""
    orders = a.shape[-1]
    choices, moments = _binomials(orders), np.zeros_like(a)
    for j in range(orders):
        moments[..., j:] += choices[j:, j] * a[..., j, None] * b[..., : orders - j]
    return moments


@lru_cache(maxsize=8)
def _binomials(size: int) -> Array:
    """Row r has the number of choices of 0, 1, ... out of r."""
    return np.array([[comb(r, j) for j in range(size)] for r in range(size)], dtype=np.float64)
