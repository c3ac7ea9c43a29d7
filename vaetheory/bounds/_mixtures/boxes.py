"""A bound from above of a sum of Gaussian kernels in few dimensions, by boxes."""

from __future__ import annotations

import numpy as np

from vaetheory._log_sums import log_sum_exp
from vaetheory._validation import Array
from vaetheory.bounds._mixtures.climbing import BLOCK

# Kernels evaluated before the search ends, in up to three dimensions and in more, and halvings.
_EVALUATIONS, _FEWER, _HALVINGS = 2**25, 2**22, 60


def bound_by_boxes(y: Array, logs: Array, lower: float, atol: float) -> tuple[float, float, Array]:
    """Bound log sum_n exp(logs_n - |y_n - eta|^2 / 2) over all eta; see `docs/derivations`.

    Parameters
    ----------
    y : array (N, D)
        Data in units of the standard deviation, of few dimensions.
    logs : array (N,)
    lower : float
        A value that is attained.
    atol : float
        Boxes whose bound exceeds what is attained by no more than this are not halved.

    Returns
    -------
    upper : float
        In exact arithmetic at least the supremum.
    lower : float
        The greatest value that is known now.
    point : array (D,)
        The centre with this value; empty if none exceeds what was known.
    """
    low, high = y.min(axis=0), y.max(axis=0)
    centres, half = 0.5 * (low + high)[None], 0.5 * (high - low)
    point, spent, settled = np.empty(0), 0, -np.inf
    evaluations = _EVALUATIONS if y.shape[1] <= 3 else _FEWER
    signs = np.stack(np.meshgrid(*[[-0.5, 0.5]] * y.shape[1], indexing="ij"), -1)
    signs = signs.reshape(-1, y.shape[1])
    bounds = np.array([np.inf])
    for _ in range(_HALVINGS):
        if spent + len(centres) * len(y) > evaluations:
            break
        spent += len(centres) * len(y)
        values, bounds = _bounds(y, logs - lower, centres, half)
        at = int(values.argmax())
        if values[at] > 0:
            point = centres[at]
            bounds -= values[at]
            lower += float(values[at])
        waiting = bounds > atol
        settled = max(settled, lower + float(bounds[~waiting].max(initial=-np.inf)))
        if not waiting.any():
            return max(settled, lower), lower, point
        kept = centres[waiting]
        bounds = np.repeat(bounds[waiting], len(signs))
        centres = (kept[:, None] + signs * half).reshape(-1, y.shape[1])
        half = half / 2
    return max(settled, lower + float(bounds.max()), lower), lower, point


def _bounds(y: Array, logs: Array, centres: Array, half: Array) -> tuple[Array, Array]:
    """Values at the centres of boxes, and bounds of all values in them, `(M,)`."""
    rows = max(1, BLOCK // (4 * y.size))
    values, bounds = np.empty(len(centres)), np.empty(len(centres))
    for first in range(0, len(centres), rows):
        block = slice(first, first + rows)
        away = y - centres[block, None]
        apart = np.maximum(np.abs(away) - half, 0.0)
        nearest = log_sum_exp(logs - 0.5 * (apart**2).sum(axis=-1))
        heights = logs - 0.5 * (away**2).sum(axis=-1)
        values[block] = log_sum_exp(heights)
        # Of exp(y.v - v.v / 2) in the box: the plane at the centre, and what is above it.
        reach = np.abs(away) @ half
        with np.errstate(over="ignore", invalid="ignore"):
            terms = np.exp(heights)
            slope = np.abs(np.einsum("mn,mnd->md", terms, away)) @ half
            tangent = slope + (np.exp(heights + reach) - terms * reach).sum(axis=-1)
            tangent = np.log(tangent)
        bounds[block] = np.fmin(nearest, np.where(np.isnan(tangent), np.inf, tangent))
    return values, bounds
