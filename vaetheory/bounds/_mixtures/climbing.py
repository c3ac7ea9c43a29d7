"""High values of a sum of Gaussian kernels, found by climbing."""

from __future__ import annotations

import numpy as np

from vaetheory._log_sums import log_sum_exp
from vaetheory._validation import Array

#: Numbers in a block of distances.
BLOCK = 2**21
# Steps of a climb, its starts, and the least step, in standard deviations.
_STEPS, _STARTS, _LEAST = 60, 256, 1e-7
# Newton steps at the highest point.
_NEWTON = 12


def squares(y: Array, points: Array) -> Array:
    """Squared distances of points `(M, D)` from data `(N, D)`, `(M, N)`, rounded like moduli."""
    found: Array = points @ y.T
    found *= -2
    found += np.einsum("nd,nd->n", y, y)
    found += np.einsum("md,md->m", points, points)[:, None]
    return np.maximum(found, 0.0, out=found)


def log_sum(y: Array, logs: Array, points: Array) -> Array:
    """The log sum of kernels at points `(M, D)`, `(M,)`, by differences, to its last digits."""
    rows = max(1, BLOCK // y.size)
    found = [
        log_sum_exp(logs - 0.5 * ((y - block[:, None]) ** 2).sum(axis=-1))
        for block in np.array_split(points, -(-len(points) // rows))
    ]
    return np.concatenate(found)


def _shares(y: Array, logs: Array, points: Array) -> tuple[Array, Array]:
    """Log sums `(M,)`, and the share of each term `(M, N)`."""
    terms = squares(y, points)
    terms *= -0.5
    terms += logs
    found = log_sum_exp(terms)
    terms -= found[:, None]
    return found, np.exp(terms, out=terms)


def heights_at(y: Array, logs: Array, points: Array) -> Array:
    """The log sum at many points `(M, D)`, `(M,)`; distances are rounded like moduli."""
    rows = max(1, BLOCK // len(y))
    blocks = np.array_split(points, -(-len(points) // rows))
    return np.concatenate([_shares(y, logs, block)[0] for block in blocks])


def shifted(y: Array, logs: Array, points: Array) -> Array:
    """Where one mean shift takes points `(M, D)`: the mean of the data, weighted by their terms."""
    return np.asarray(_shares(y, logs, points)[1] @ y)


def climb(y: Array, logs: Array, starts: Array, *, most: int = _STARTS) -> tuple[Array, Array]:
    """Where mean shifts from the highest starts `(S, D)` end: values `(M,)`, points `(M, D)`.

    A mean shift goes to the mean of the data, weighted by their terms, and never descends.
    """
    rows = max(1, BLOCK // len(y))
    values = heights_at(y, logs, starts)
    chosen = np.argsort(-values, kind="stable")[:most]
    points, values = starts[chosen].copy(), values[chosen]
    moving = np.arange(len(points))
    for _ in range(_STEPS):
        left = []
        for rows_now in np.array_split(moving, -(-len(moving) // rows)):
            values[rows_now], shares = _shares(y, logs, points[rows_now])
            ends = shares @ y
            steps = ((ends - points[rows_now]) ** 2).sum(axis=-1)
            points[rows_now] = ends
            left.append(rows_now[steps > _LEAST**2])
        moving = np.concatenate(left)
        if not len(moving):
            break
    return values, points


def highest(y: Array, logs: Array, starts: Array) -> tuple[float, Array, Array, Array]:
    """The greatest value found from starts `(S, D)`, its point, and all values and points found.

    The greatest value is computed by differences, so that it is right to its last digits.
    """
    values, points = climb(y, logs, starts)
    best = points[values.argmax()]
    value = float(log_sum(y, logs, best[None])[0])
    for _ in range(_NEWTON):
        # The Hessian of the logarithm is the covariance of the shares less I.
        away = y - best
        terms = logs - 0.5 * (away**2).sum(axis=-1)
        shares = np.exp(terms - log_sum_exp(terms))
        mean = shares @ away
        curve = np.eye(y.shape[1]) - (away.T * shares) @ away + np.outer(mean, mean)
        try:
            step = np.linalg.solve(curve, mean)
        except np.linalg.LinAlgError:
            break
        higher = float(log_sum(y, logs, (best + step)[None])[0])
        if not higher > value:
            break
        best, value = best + step, higher
    return value, best, values, points
