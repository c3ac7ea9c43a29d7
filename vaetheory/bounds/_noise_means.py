"""Means over noise of a few dimensions by product rules, of many by quasi-random points."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.special import ndtri, stdtrit

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory._validation import Array
from vaetheory.rounding import gamma

#: Nodes `(M, k)` -> values and errors of all data `(N, M)`.
OfNoise = Callable[[Array], tuple[Array, Array]]

#: Up to so many dimensions there are product rules: of uniform noise Gauss-Legendre rules of these
#: orders, of normal noise lattices of these steps, out to a radius of nine standard deviations.
_LARGEST, _ORDERS = 3, {1: (6, 12, 24, 48), 2: (5, 9, 15, 24), 3: (4, 7, 11, 16)}
_STEPS = {1: (0.8, 0.4, 0.2, 0.1), 2: (0.8, 0.55, 0.35, 0.2), 3: (0.9, 0.7, 0.5)}
_RADIUS = 9.0
#: Replicates of quasi-random points, the points of each, and half the width of a 99.9 % interval.
_REPLICATES, _POINTS = 8, 64
_WIDTH = float(stdtrit(_REPLICATES - 1, 0.9995))


@lru_cache(maxsize=16)
def legendre_rule(order: int, dim: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes `(M, dim)` of the unit cube, and weights that sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    grids = np.meshgrid(*[(nodes + 1) / 2] * dim, indexing="ij")
    products = np.meshgrid(*[weights / 2] * dim, indexing="ij")
    points = np.stack([g.ravel() for g in grids], axis=-1)
    return points, np.prod([g.ravel() for g in products], axis=0)


@lru_cache(maxsize=16)
def lattice_rule(step: float, dim: int) -> tuple[Array, Array]:
    """Points `(M, dim)` of a lattice for N(0, I), and weights that sum to about 1.

    It is as good as a function is analytic, also where it is no polynomial.
    """
    axis = step * (np.arange(-np.floor(_RADIUS / step), np.floor(_RADIUS / step) + 1) + 0.25)
    points = np.stack([g.ravel() for g in np.meshgrid(*[axis] * dim, indexing="ij")], axis=-1)
    points = points[(points**2).sum(axis=-1) <= _RADIUS**2]
    return points, np.exp(standard_log_prob(points)) * step**dim


def quasi_random(dim: int, replicate: int, count: int, *, normal: bool) -> Array:
    """Sobol points of the unit cube with a random shift, or of N(0, I), `(count, dim)`."""
    # Imported here because scipy.stats takes a second to load.
    from scipy.stats import qmc

    shift = np.random.default_rng([replicate, dim]).random(dim)
    points = (qmc.Sobol(dim, scramble=False).random(count) + shift) % 1
    points = np.clip(points, 2.0**-53, 1 - 2.0**-53)
    return np.asarray(ndtri(points) if normal else points)


def mean_over_noise(function: OfNoise, dim: int, *, normal: bool, rtol: float) -> Integral:
    """E[function] over N(0, I) or the unit cube, of each of N data.

    Returns
    -------
    Integral
        `value` `(N,)`; `error` is an estimate. Up to three dimensions it is the difference of the
        last two product rules or lattices, beyond them half the 99.9 % interval of the mean of
        replicates; the mean of the errors of the values is added, and rounding.
    """
    if dim > _LARGEST:
        return _by_points(function, dim, normal)
    if normal:
        rules = [lattice_rule(step, dim) for step in _STEPS[dim]]
    else:
        rules = [legendre_rule(order, dim) for order in _ORDERS[dim]]
    value = error = np.empty(0)
    reached = np.empty(0, dtype=bool)
    count = 0
    for k, (nodes, weights) in enumerate(rules):
        values, errors = function(nodes)
        count += len(nodes) * len(values)
        new = values @ weights
        lost = errors @ weights + gamma(len(weights)) * (np.abs(values) @ weights)
        step = np.abs(new - value) if k else np.full(len(new), np.inf)
        value, error, reached = new, step + lost, step <= rtol * (1 + np.abs(new))
        if reached.all():
            break
    error = np.where(np.isfinite(value) & np.isfinite(error), error, np.inf)
    return Integral(value, error, np.where(reached, REACHED, NOT_REACHED), count)


def _by_points(function: OfNoise, dim: int, normal: bool) -> Integral:
    means, lost = [], []
    for k in range(_REPLICATES):
        values, errors = function(quasi_random(dim, k, _POINTS, normal=normal))
        means.append(values.mean(axis=-1))
        lost.append(errors.mean(axis=-1))
    spread = np.std(means, axis=0, ddof=1) / np.sqrt(_REPLICATES)
    value, error = np.mean(means, axis=0), _WIDTH * spread + np.mean(lost, axis=0)
    error = np.where(np.isfinite(value) & np.isfinite(error), error, np.inf)
    count = _REPLICATES * _POINTS * len(value)
    return Integral(value, error, np.full(len(value), NOT_REACHED), count)
