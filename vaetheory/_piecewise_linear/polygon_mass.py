"""Masses of Gaussians on convex polygons, to relative accuracy."""

from __future__ import annotations

import numpy as np

from vaetheory._piecewise_linear.gauss import PANEL_ERROR, rules
from vaetheory._piecewise_linear.polygons import Polygons
from vaetheory._piecewise_linear.tails import between
from vaetheory._validation import Array, Index

#: Nats below the integrand at the origin at which the polygon is cut off.
_DEPTH = 43.0
#: Share of the mass that is lost by that. Where e(p) = b s + |p|^2 / 2 is the fall of the log
#: density at p, and v(t) the area in which e <= t, convexity gives v(t) <= (t / T)^2 v(T) for
#: t >= T, and the reverse for t <= T. So the mass beyond T is at most (1 + 2 / T + 2 / T^2)
#: exp(-T) v(T), and that within at least 2 / T^2 (1 - ...) v(T).
LOST = 0.55 * _DEPTH**2 * float(np.exp(-_DEPTH))


#: Panels of a slab: it is within the window, on which the integrand falls by `_DEPTH`.
_MOST_PANELS = 1000


def masses(polygons: Polygons, gradient: Array) -> tuple[Array, Array]:
    """Integrals of exp(gradient . p - |p|^2 / 2) over polygons, and bounds of their errors.

    The origin is the point of the polygon at which the integrand is greatest, up to rounding.

    Parameters
    ----------
    polygons : Polygons
        M of them.
    gradient : array (M, 2)

    Returns
    -------
    mass : array (M,)
    error : array (M,)
        A bound of the relative error of the rules and of what is cut off; rounding adds a few units
        in the last place.
    """
    rate = np.hypot(gradient[:, 0], gradient[:, 1])
    axis = np.where(rate[:, None] > 0, -gradient / np.where(rate > 0, rate, 1.0)[:, None], [1, 0])
    # s is the direction in which the integrand falls, t is across.
    s = np.einsum("mpi,mi->mp", polygons.corners, axis)
    t = polygons.corners[..., 1] * axis[:, :1] - polygons.corners[..., 0] * axis[:, 1:]
    turned = _windowed(Polygons(np.stack([s, t], axis=-1), polygons.count), rate)
    owner, start, length, low, high, low_slope, high_slope = _slabs(turned)
    total, error = np.zeros(len(rate)), np.zeros(len(rate))
    half, pull = 0.5 * length, rate[owner]
    steepest = np.maximum(np.abs(low_slope), np.abs(high_slope))
    size = half * np.maximum(pull, np.sqrt(1 + steepest**2))
    available = rules()
    reaches = np.array([reach for reach, _, _ in available])
    # More panels are needed only where rounding has left nothing of a polygon's shape.
    panels = np.fmin(np.fmax(np.ceil(size / reaches[-1]), 1), _MOST_PANELS).astype(np.intp)
    which = np.minimum(np.searchsorted(reaches, size / panels), len(reaches) - 1)
    for i in np.unique(which):
        _, nodes, weights = available[i]
        slabs = np.repeat(np.flatnonzero(which == i), panels[which == i])
        panel = np.arange(len(slabs)) - np.searchsorted(slabs, slabs)
        width = length[slabs] / panels[slabs]
        offset = width[:, None] * (panel[:, None] + nodes)
        lower = low[slabs, None] + low_slope[slabs, None] * offset
        upper = np.maximum(high[slabs, None] + high_slope[slabs, None] * offset, lower)
        inner, exponent = between(lower, upper)
        at = start[slabs, None] + offset
        exponent -= at * (pull[slabs, None] + 0.5 * at)
        value = width * ((inner * np.exp(exponent)) @ weights)
        total += np.bincount(owner[slabs], value, minlength=len(rate))
        middle = offset.mean(axis=1)
        thickness = (high - low)[slabs] + (high_slope - low_slope)[slabs] * middle
        greatest = np.exp(-pull[slabs] * (start[slabs] + width * panel))
        bound = PANEL_ERROR * width * np.maximum(thickness, 0.0) * greatest
        error += np.bincount(owner[slabs], bound, minlength=len(rate))
    return total, LOST + error / np.where(total > 0, total, 1.0)


def _windowed(polygons: Polygons, rate: Array) -> Polygons:
    """Polygons without what is more than `_DEPTH` below the origin, and little else."""
    far = np.sqrt(rate**2 + 2 * _DEPTH)
    across = np.sqrt(2 * _DEPTH) + np.minimum(rate, 1.0)
    for axis, sign, limit in (
        (0, -1, 2 * _DEPTH / (far + rate)),
        (0, 1, rate + far),
        (1, -1, across),
        (1, 1, across),
    ):
        side = limit[:, None] + sign * polygons.corners[..., axis]
        outside = np.flatnonzero((side < 0).any(axis=1))
        if len(outside):
            some = polygons.take(outside)
            cut = some.kept(side[outside, : some.corners.shape[1]])
            inside = np.flatnonzero((side >= 0).all(axis=1))
            order = np.argsort(np.concatenate([inside, outside]))
            polygons = Polygons.joined([polygons.take(inside), cut]).take(order)
    return polygons


def _slabs(polygons: Polygons) -> tuple[Index, Array, Array, Array, Array, Array, Array]:
    """Trapezoids between neighbouring levels of s, where a polygon is low(s) <= t <= high(s).

    Returns
    -------
    owner : array of int (Q,)
        The polygon.
    start, length : array (Q,)
        The interval of s.
    low, high : array (Q,)
        At the start.
    low_slope, high_slope : array (Q,)
    """
    first, along = polygons.edges()
    levels = np.sort(first[..., 0], axis=1)
    owner, i = np.nonzero(levels[:, 1:] > levels[:, :-1])
    start, end = levels[owner, i], levels[owner, i + 1]
    middle = 0.5 * start + 0.5 * end
    s, t = first[..., 0][owner], first[..., 1][owner]
    ds, dt = along[..., 0][owner], along[..., 1][owner]
    over = (np.minimum(s, s + ds) <= middle[:, None]) & (np.maximum(s, s + ds) >= middle[:, None])
    over &= ds != 0
    slope = np.where(over, dt, 0.0) / np.where(over, ds, 1.0)
    here = t + (middle[:, None] - s) * slope
    low = np.where(over, here, np.inf).argmin(axis=1)
    high = np.where(over, here, -np.inf).argmax(axis=1)
    q = np.arange(len(owner))
    ends = [t[q, j] + (start - s[q, j]) * slope[q, j] for j in (low, high)]
    return owner, start, end - start, ends[0], ends[1], slope[q, low], slope[q, high]
