"""Signs that importance weights cannot be trusted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array

#: Standard deviations of a two-sided normal interval at 99.9 %.
_WIDE = 3.29


def pareto_shape(log_weights: Array) -> Array:
    """Shape of the upper tail of importance weights, `(N, K) -> (N,)`.

    The generalised Pareto distribution is fitted to the greatest weights; a shape of 0.7 or more
    means that their mean converges too slowly.

    Notes
    -----
    Source: Zhang and Stephens, *A new and efficient estimation method for the generalized Pareto
    distribution*, Technometrics 51 (2009); Vehtari et al., *Pareto smoothed importance sampling*.

    Examples
    --------
    >>> u = (np.arange(4000) + 0.5) / 4000
    >>> bool(abs(pareto_shape(-0.5 * np.log(u)[None])[0] - 0.5) < 0.1)
    True
    """
    k = log_weights.shape[1]
    tail = int(min(0.2 * k, 3 * np.sqrt(k)))
    top = np.sort(log_weights, axis=1)[:, -tail - 1 :]
    x = np.exp(top[:, 1:] - top[:, -1:]) - np.exp(top[:, :1] - top[:, -1:])
    x = np.maximum(x, 1e-300)
    grid = np.arange(1, 30 + int(np.sqrt(tail)) + 1)
    b = (1 - np.sqrt(len(grid) / (grid - 0.5))) / (3 * x[:, int(tail / 4 + 0.5) - 1, None])
    b = b + 1 / x[:, -1:]
    shape = np.log1p(-b[:, :, None] * x[:, None]).mean(axis=2)
    with np.errstate(all="ignore"):
        profile = tail * (np.log(-b / shape) - shape - 1)
    profile = np.where(np.isfinite(profile), profile, -np.inf)
    w = np.exp(profile - profile.max(axis=1, keepdims=True))
    mean = (b * w).sum(axis=1) / w.sum(axis=1)
    return np.log1p(-mean[:, None] * x).mean(axis=1)


class Look(NamedTuple):
    """Shares of the posterior where weights are great, and whether they differ too much.

    Attributes
    ----------
    alarm : array of bool (N,)
        Whether the scout sees more than the proposal predicts, by four standard deviations.
    hole : array of bool (N,)
        Whether it sees more by one, which calls for a component there, but for no alarm.
    seen, predicted : array (N,)
        The shares, by the scout's particles and by the proposal's draws.
    most : array (N,)
        By how much the first may exceed the second: their difference, and where there is a hole
        3.3 standard deviations more, since few particles have seen it.
    """

    alarm: NDArray[np.bool_]
    hole: NDArray[np.bool_]
    seen: Array
    predicted: Array
    most: Array


def uncovered(
    particles: Array, draws: Array, log_weights: Array, log_evidence: Array, ratio: float
) -> Look:
    """Whether more of the scout's particles have a great weight than the proposal predicts.

    Parameters
    ----------
    particles : array (N, K)
        log p - log q at the scout's particles.
    draws, log_weights : array (N, J)
        The same at draws, and the weights with which these stand for the posterior: the same again
        for draws of the proposal, and others if they were annealed.
    log_evidence : array (N,)
    ratio : float
        A weight this many times the evidence is great.
    """
    limit = log_evidence[:, None] + np.log(ratio)
    count = particles.shape[1]
    seen = (particles > limit).mean(axis=1)
    w = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    predicted = np.where(draws > limit, w, 0.0).sum(axis=1) / w.sum(axis=1)
    deviation = np.sqrt(np.maximum(predicted, 1 / count) / count)
    alarm = seen > predicted + 4 * deviation + 4 / count
    hole = seen > predicted + deviation
    most = seen - predicted + np.where(hole, _WIDE * np.sqrt(seen / count), 0.0)
    return Look(alarm, hole, seen, predicted, most)
