"""A bound from above of a sum of Gaussian kernels in any dimension, by distances."""

from __future__ import annotations

import numpy as np

from vaetheory._log_sums import log_sum_exp
from vaetheory._validation import Array
from vaetheory.bounds._exponentials import beyond_tangent
from vaetheory.bounds._mixtures.climbing import BLOCK, heights_at, squares
from vaetheory.rounding import gamma

# The first radius about a centre, in standard deviations, and the ratio of the next ones; with
# larger matrices a larger one, and one centre only.
_FIRST, _RATIO, _LARGE, _WIDER = 1e-3, 1.1, 128, 1.5
# Halvings of the radii about a datum.
_HALVINGS = 8
# Data of the first block, which shows what need not be refined.
_FIRST_ROWS = 8


def rings(y: Array, logs: Array, lower: float, centre: Array) -> tuple[Array, Array]:
    """Outer radii of rings about a centre, and bounds of the sum in each ring, less `lower`.

    The last radius is infinite.
    """
    away = y - centre
    length = np.sqrt((away**2).sum(axis=-1))
    heights = logs - lower - 0.5 * length**2
    total = float(log_sum_exp(logs - lower))
    outermost = float(length.max()) + np.sqrt(2 * max(total, 0.0)) + 1
    ratio = _RATIO if min(y.shape) <= _LARGE else _WIDER
    count = max(2, int(np.ceil(np.log(outermost / _FIRST) / np.log(ratio))))
    outer = np.geomspace(_FIRST, outermost, count)
    inner = np.concatenate([[0.0], outer[:-1]])
    far = log_sum_exp(logs - lower - 0.5 * np.maximum(inner[:, None] - length, 0.0) ** 2)
    bounds = far.copy()
    # A product of the smaller size has the same largest eigenvalue.
    tall = len(away) > away.shape[1]
    terms = np.exp(heights)
    slope = np.sqrt(((terms @ away) ** 2).sum())
    for k, (a, b) in enumerate(zip(inner, outer, strict=True)):
        reach = b * length
        with np.errstate(over="ignore", invalid="ignore"):
            # (exp t - 1 - t) / t^2 grows with t, so it is at most that of the greatest t.
            weights = np.where(
                reach < 1,
                terms * b**2 * _half_tangent(reach),
                (np.exp(heights + reach) - terms * (1 + reach)) / np.maximum(length, 1e-300) ** 2,
            )
        if not np.isfinite(weights).all():
            break
        root = np.sqrt(weights)[:, None] * away
        product = root.T @ root if tall else root @ root.T
        curve = float(np.linalg.eigvalsh(product)[-1])
        curve += gamma(len(away) + 20 * len(product)) * float(np.trace(product))
        inside = np.log(terms.sum() + b * slope + max(curve, 0.0)) - 0.5 * a**2
        bounds[k] = min(bounds[k], inside)
    outside = float(log_sum_exp(logs - lower - 0.5 * np.maximum(outer[-1] - length, 0.0) ** 2))
    return np.append(outer, np.inf), np.append(bounds, outside)


def _half_tangent(t: Array) -> Array:
    """(exp t - 1 - t) / t^2, and 1/2 at 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(t > 0, beyond_tangent(t) / t**2, 0.5)


def bound_by_balls(y: Array, logs: Array, lower: float, atol: float, centres: Array) -> float:
    """Bound log sum_n exp(logs_n - |y_n - eta|^2 / 2) over all eta; see `docs/derivations`.

    Parameters
    ----------
    y : array (N, D)
        Data in units of the standard deviation.
    logs : array (N,)
    lower : float
        A value that is attained.
    atol : float
        What exceeds `lower` by no more than this is not refined.
    centres : array (C, D)
        Modes: about each of them the sum is bounded by its second derivatives.

    Returns
    -------
    float
        In exact arithmetic at least the supremum.
    """
    centres = centres if min(y.shape) <= _LARGE else centres[:1]
    found = [rings(y, logs, lower, centre) for centre in centres]
    whole = min(float(bounds.max()) for _, bounds in found)
    if whole <= atol:
        return lower + max(whole, 0.0)
    # About each centre a ball without greater values; eta within it needs no other bound.
    balls = []
    for (radii, bounds), centre in zip(found, centres, strict=True):
        good = np.maximum.accumulate(bounds) <= atol
        if good[0]:
            radius = radii[good][-1] if not good.all() else np.inf
            balls.append((centre, float(radius)))
    total = float(log_sum_exp(logs - lower))
    reach = np.sqrt(2 * max(total, 0.0))
    greatest = atol
    moduli = np.einsum("nd,nd->n", y, y)
    # Data in dense places first: what is found there need not be refined elsewhere.
    order = np.argsort(-heights_at(y, logs, y), kind="stable")
    rows = max(1, BLOCK // len(y))
    first, size = 0, min(_FIRST_ROWS, rows)
    while first < len(order):
        own = order[first : first + size]
        d2 = squares(y, y[own])
        # What cancelled may have made a distance too large.
        d2 -= gamma(4 * y.shape[1] + 8) * 2 * (moduli + moduli[own, None])
        d = np.sqrt(np.maximum(d2, 0.0))
        free = [radius - np.sqrt(((y[own] - centre) ** 2).sum(axis=-1)) for centre, radius in balls]
        inside = np.max(free, axis=0) if free else np.full(len(own), -np.inf)
        greatest = _about_data(d, logs - lower, reach, inside, greatest)
        first, size = first + size, min(4 * size, rows)
    return lower + min(greatest, whole)


def _about_data(d: Array, logs: Array, reach: float, inside: Array, known: float) -> float:
    """The greatest bound over the eta to which data are nearest, from distances `(B, N)`.

    At the distance r of its nearest datum m, eta is at least max(r, d_mn - r) from datum n, which
    is r for m itself. The result is at least `known`, and what does not exceed it is not refined.
    """
    row = np.arange(len(d))
    a, b = np.zeros(len(d)), np.full(len(d), reach)
    chunk = max(1, BLOCK // d.shape[1])
    for halving in range(_HALVINGS + 1):
        bounds = np.empty(len(row))
        for first in range(0, len(row), chunk):
            part = slice(first, first + chunk)
            far = d[row[part]]
            gaps = np.maximum(far / 2, far - b[part, None])
            np.maximum(gaps, a[part, None], out=gaps)
            np.square(gaps, out=gaps)
            gaps *= -0.5
            gaps += logs
            bounds[part] = log_sum_exp(gaps)
        waiting = (bounds > known) & (b > inside[row])
        if halving == _HALVINGS or not waiting.any():
            return max(known, float(bounds[waiting].max(initial=-np.inf)))
        row, a, b = row[waiting], a[waiting], b[waiting]
        middle = 0.5 * (a + b)
        row = np.concatenate([row, row])
        a, b = np.concatenate([a, middle]), np.concatenate([middle, b])
    raise AssertionError("the last halving returns")
