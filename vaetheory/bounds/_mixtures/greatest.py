"""The greatest value of a mean of likelihoods over their parameters, from below and from above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from vaetheory._log_sums import log_sum_exp
from vaetheory._validation import Array
from vaetheory.bounds._mixtures.balls import bound_by_balls
from vaetheory.bounds._mixtures.boxes import bound_by_boxes
from vaetheory.bounds._mixtures.climbing import highest
from vaetheory.likelihoods import Gaussian, Likelihood
from vaetheory.rounding import gamma

#: What a search leaves undecided, in nats.
ATOL = 1e-8
# Most dimensions in which boxes are halved.
BOXES = 6
# Modes about which the sum is bounded by its second derivatives.
_CENTRES = 8
# Logarithms below the greatest by more than this do not count.
_NOTHING = 800.0
# Singular values below the largest by this factor are rounding of the data.
_FLAT = 1e-13


@dataclass(frozen=True)
class Enclosure:
    """A supremum from below and from above, in nats, and parameters near the lower value.

    Parameters are those of the likelihood, or None if they are at the boundary.
    """

    lower: float
    upper: float
    at: Array | None


@dataclass(frozen=True)
class White:
    """Data in units of a Gaussian's standard deviations, in as many coordinates as they vary in."""

    y: Array
    axes: Array
    mean: Array
    likelihood: Gaussian
    rounding: float

    def params(self, points: Array) -> Array:
        """Points `(..., r)` as means of the Gaussian `(..., D)`."""
        matrix = self.likelihood.whiten(np.eye(self.axes.shape[1]))
        flat = (points @ self.axes).reshape(-1, self.axes.shape[1])
        found: Array = np.linalg.solve(matrix.T, flat.T).T.reshape(*points.shape[:-1], -1)
        return found + self.mean


def whitened(likelihood: Gaussian, X: Array) -> White:
    """Data `(N, D)` as seen by a Gaussian, centred and turned to their principal axes.

    Coordinates in which data do not vary are left out; kernels are only greater without them.
    """
    mean = X.mean(axis=0)
    white = likelihood.whiten(X - mean)
    size = float(np.abs(likelihood.whiten(X)).max(initial=0.0))
    _, roots, axes = np.linalg.svd(white, full_matrices=False)
    rank = max(1, int((roots > _FLAT * roots[0]).sum()))
    axes = axes[:rank]
    y = white @ axes.T
    # Of an exponent: a distance and its rounding, both as they are relevant.
    lost = gamma(20 * X.shape[1] + 50) * likelihood.condition * (size + 1)
    return White(y, axes, mean, likelihood, lost * np.sqrt(2 * _NOTHING))


def greatest_sum(likelihood: Likelihood, X: Array, logs: Array, *, atol: float = ATOL) -> Enclosure:
    """The supremum over the params of log sum_n exp(logs_n) p(x_n given params).

    Parameters
    ----------
    likelihood : Likelihood
    X : array (N, D)
        Checked data.
    logs : array (N,)
    atol : float
        What the search may leave undecided, in nats.

    Returns
    -------
    Enclosure
        `upper` is proved, and includes the rounding.
    """
    simpler, data, offset = likelihood.narrowest().reduced(X)
    logs = logs + offset
    if not simpler.gaussian:
        return _by_parts(simpler, data, logs)
    white = whitened(cast(Gaussian, simpler), data)
    peak = white.likelihood.log_peak(data.shape[1])
    top = float(logs.max())
    used = logs > top - _NOTHING
    y, heights = white.y[used], logs[used] - top
    lower, point, values, points = highest(y, heights, y)
    upper = np.inf
    if y.shape[1] <= BOXES:
        upper, lower, better = bound_by_boxes(y, heights, lower, atol)
        point = better if better.size else point
    if upper > lower + atol:
        modes = _modes(values, points, point)
        upper = min(upper, bound_by_balls(y, heights, lower, atol, modes))
    lost = gamma(len(X) + 60) + gamma(8) * 2 * _NOTHING + white.rounding
    lost += gamma(4) * (abs(top) + abs(peak)) + (len(X) - len(y)) * np.exp(-_NOTHING)
    shift = top + peak
    return Enclosure(float(lower + shift - lost), float(upper + shift + lost), white.params(point))


def _modes(values: Array, points: Array, best: Array) -> Array:
    """The highest different ends of climbs, the best first."""
    modes = [best]
    for k in np.argsort(-values, kind="stable"):
        if len(modes) == _CENTRES:
            break
        if min(((points[k] - mode) ** 2).sum() for mode in modes) > 1e-6:
            modes.append(points[k])
    return np.array(modes)


def _by_parts(likelihood: Likelihood, X: Array, logs: Array) -> Enclosure:
    """Each term at its own greatest, as far as probabilities of different data sum to one."""
    distinct, which = np.unique(X, axis=0, return_inverse=True)
    together = np.full(len(distinct), -np.inf)
    np.logaddexp.at(together, which.reshape(-1), logs)
    most = likelihood.greatest_log_prob(distinct)
    lower = float((together + most).max())
    upper = float(log_sum_exp(together + most))
    if likelihood.support is not None and likelihood.support.counted:
        # The greatest mean of the factors under probabilities that are at most their greatest.
        order = np.argsort(-together, kind="stable")
        taken = np.minimum(np.cumsum(np.exp(most[order])), 1.0)
        with np.errstate(divide="ignore"):
            upper = float(log_sum_exp(np.log(np.diff(taken, prepend=0.0)) + together[order]))
    lost = gamma(2 * len(X) + 60) + gamma(8) * float(np.abs(logs).max() + np.abs(most).max())
    return Enclosure(lower - lost, upper + lost, None)
