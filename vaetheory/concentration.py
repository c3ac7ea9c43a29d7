"""How far the mean of a sample may be from its expectation: the bound of statistical propositions.

A statistical proposition compares the mean of `count` independent draws with an exact expectation.
Its bound is Markov's inequality on an even moment of that mean, computed from the moments of one
draw: no normal approximation, so it is rigorous for any sample size.

Every comparison fails by chance with probability at most `LEVEL` = 1e-9. A run of the registry
therefore raises a false alarm with probability at most 1e-9 times the number of its comparisons
(Boole's inequality; they need not be independent), which stays below 1e-3 as long as there are
fewer than a million. `counting` counts them, and `tests/test_concentration.py` demands it of all
statistical propositions together, with the instances of the largest profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, as_array, fraction, integer
from vaetheory.rounding import gamma

#: Probability, at most, with which chance alone exceeds the bound of one comparison.
LEVEL = 1e-9
#: Probability, at most, with which chance alone raises an alarm in a run of the whole registry.
FALSE_ALARM = 1e-3


@dataclass
class Comparisons:
    """How many bounds were asked for, one for each comparison with a sample mean."""

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

    It is exceeded with probability `level` at most.

    Parameters
    ----------
    central_moments : array (..., 2 p - 1)
        Central moments of orders 2, 3, ..., 2 p of one draw, along the last axis. Upper bounds
        of their absolute values will do: the result grows with each of them.
    count : int
        Number of draws.
    level : float
        Probability with which the bound may be exceeded.

    Returns
    -------
    array (...)
        A bound, in the unit of the draws. It rests on the moments: if they are estimates, so is
        the bound.

    Raises
    ------
    ValueError
        If the orders do not end with an even one, an even moment is negative, the count is not
        a positive integer, or the level is not in (0, 1].

    Notes
    -----
    Markov: `P(|mean - E| >= t) <= E|mean - E|^(2k) / t^(2k)`, least over k = 1, ..., p. The moments
    of a sum of two independent parts are a binomial convolution of theirs, so those of `count`
    draws come by repeated doubling. Odd moments enter by absolute value; then all terms are
    positive, nothing cancels, and the sum is an upper bound.

    Examples
    --------
    A fair coin, +1 or -1, tossed 10,000 times: with probability 1 - 1e-9 the mean is within

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
    made = _counter.get()
    if made is not None:
        made.count += moments[..., 0].size
    order = moments.shape[-1] + 1
    orders = np.arange(2, order + 1)
    # In units of the largest norm every moment is at most one: no power can overflow.
    norms = np.abs(moments) ** (1 / orders)
    unit = norms.max(axis=-1)
    safe = np.where(unit > 0, unit, 1.0)[..., None]
    scaled = (norms / safe / np.sqrt(draws)) ** orders
    single = np.concatenate(
        [np.ones((*unit.shape, 1)), np.zeros((*unit.shape, 1)), scaled], axis=-1
    )
    total = _moments_of_sum(single, draws)
    # Each doubling costs a few roundings an order; a moment of order r carries r / 2 of them.
    lost = gamma(10 * order * (2 + 2 * draws.bit_length()))
    even = np.arange(2, order + 1, 2)
    roots = (total[..., even] * (1 + lost)) ** (1 / even) / level ** (1 / even)
    return unit * roots.min(axis=-1) / np.sqrt(draws) * (1 + gamma(50))


def log_mean_excess(shape: tuple[int, ...] = (), *, level: float = LEVEL) -> Array:
    """Bound on log(mean of draws / expectation) of draws that are not negative, nats.

    Exceeded with probability `level` at most, whatever the law and the number of draws.

    Parameters
    ----------
    shape : tuple of int
        Of the comparisons that are made.
    level : float

    Notes
    -----
    Markov's inequality on the mean itself: P(mean >= t E) <= 1 / t. It is what can be said of
    importance weights, whose variance may be infinite.

    Examples
    --------
    >>> round(float(log_mean_excess(level=0.05)), 6)
    2.995732
    """
    fraction("level", level, low=1e-300, high=1.0)
    made = _counter.get()
    if made is not None:
        made.count += int(np.prod(shape))
    return np.full(shape, -np.log(level))


def _moments_of_sum(single: Array, count: int) -> Array:
    """Moments of orders 0, 1, ... of a sum of `count` independent copies, by doubling."""
    out, power = np.zeros_like(single), single
    out[..., 0] = 1.0
    while count:
        if count % 2:
            out = _convolve(out, power)
        count //= 2
        if count:
            power = _convolve(power, power)
    return out


def _convolve(a: Array, b: Array) -> Array:
    """Moments of the sum of two independent parts from their moments."""
    terms = [
        sum(comb(r, j) * a[..., j] * b[..., r - j] for j in range(r + 1))
        for r in range(a.shape[-1])
    ]
    return np.stack(terms, axis=-1)
