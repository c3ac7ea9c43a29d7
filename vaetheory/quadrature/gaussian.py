"""Expectations under Gaussians by tensor rules: Gauss-Hermite first, then a trapezoid lattice.

Gauss-Hermite needs the fewest nodes where the integrand is nearly polynomial at the scale of the
Gaussian; where it has poles nearby (a steep tanh) its convergence stalls and that of the
trapezoid rule, exponential in 1 / step, takes over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from vaetheory._validation import Array
from vaetheory.gaussians import standard_log_prob
from vaetheory.quadrature.result import GAVE_UP, NOT_REACHED, REACHED, Integral
from vaetheory.rounding import gamma

#: Integrand of datum-wise expectations: nodes (n, M, d) and the rows they belong to -> (n, M).
RowIntegrand = Callable[[Array, np.ndarray], Array]

_HERMITE_ORDERS = (2, 3, 4, 5, 7, 10, 14, 20, 28)
# Beyond these orders a lattice of about as many nodes is the better rule.
_LAST_HERMITE = {1: 10, 2: 10, 3: 10}
# Up to this dimension a lattice has the last word.
_LATTICE_DIM = 3
_LATTICE_RADIUS = 9.5
_GOLDEN = (1 + 5**0.5) / 2
# Steps and offsets (in steps) in golden ratios: an oscillation that one lattice takes for a
# constant is seen by the next.
_LATTICES = tuple((0.5 / _GOLDEN**k, (k * _GOLDEN) % 1) for k in range(9))
# Nodes at a time: what a model makes of them stays in the cache.
_CHUNK = 2**13


def _tensor(nodes: Array, log_weights: Array, dim: int) -> tuple[Array, Array]:
    grids = np.meshgrid(*[nodes] * dim, indexing="ij")
    logs = np.meshgrid(*[log_weights] * dim, indexing="ij")
    points = np.stack([g.ravel() for g in grids], axis=-1)
    total = np.sum([g.ravel() for g in logs], axis=0)
    # Nodes beyond every digit of the rest: exp(-64) is 1e-28.
    keep = total > total.max() - 64
    return points[keep], np.exp(total[keep])


@lru_cache(maxsize=64)
def hermite_rule(order: int, dim: int) -> tuple[Array, Array]:
    """Gauss-Hermite nodes `(M, dim)` and weights `(M,)` for N(0, I_dim); weights sum to 1.

    Examples
    --------
    >>> nodes, weights = hermite_rule(5, 1)
    >>> round(float(weights @ nodes[:, 0]**4), 12)
    3.0
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    return _tensor(nodes, np.log(weights / weights.sum()), dim)


@lru_cache(maxsize=64)
def lattice_rule(number: int, dim: int) -> tuple[Array, Array]:
    """Trapezoid nodes `(M, dim)` and weights `(M,)` for N(0, I_dim) within 9.5 deviations.

    Lattice 0 has step 1/2; each further one is finer by the golden ratio, and shifted.

    Examples
    --------
    >>> nodes, weights = lattice_rule(0, 1)
    >>> round(float(weights @ nodes[:, 0]**2), 12)
    1.0
    """
    step, offset = _LATTICES[number]
    count = int(_LATTICE_RADIUS / step)
    nodes = (np.arange(-count, count + 1) + offset) * step
    return _tensor(nodes, standard_log_prob(nodes[:, None]) + np.log(step), dim)


def _rules(dim: int, most: int) -> Iterator[tuple[Array, Array, bool]]:
    """Yield ever finer rules of at most `most` nodes, and whether each is a lattice."""
    for order in _HERMITE_ORDERS:
        if order**dim <= most and order <= _LAST_HERMITE.get(dim, order):
            yield *hermite_rule(order, dim), False
    if dim <= _LATTICE_DIM:
        for number, (step, _) in enumerate(_LATTICES):
            if (2 * _LATTICE_RADIUS / step) ** dim <= most:
                yield *lattice_rule(number, dim), True


def gaussian_expectation(
    integrand: RowIntegrand,
    loc: Array,
    cov: Array,
    *,
    rtol: float = 1e-12,
    max_nodes: int = 200_000,
) -> Integral:
    """E_{N(loc_n, cov_n)}[g_n(z)] for a batch of Gaussians and integrands.

    Parameters
    ----------
    integrand : callable
        `g(z, rows)`, nodes `(n, M, d)` of the rows `(n,)` -> values `(n, M)`.
    loc : array (N, d)
    cov : array (N, d, d)
    rtol : float
        Tolerance, relative to E|g|.
    max_nodes : int
        Most nodes of one rule for one row.

    Returns
    -------
    Integral
        `value` `(N,)`; `error` is an estimate: the difference from the rule before, or a tenth
        of the difference before that where it is larger (two orders of Gauss-Hermite can agree
        with each other better than with the truth), plus ten times the outermost shell of a
        lattice, plus a bound of the rounding in the sum. Up to three dimensions only a lattice,
        which looks 9.5 deviations out, can say "reached".

    Examples
    --------
    >>> import numpy as np
    >>> r = gaussian_expectation(lambda z, rows: z[..., 0]**2, np.ones((1, 1)), np.eye(1)[None])
    >>> round(float(r.value[0]), 12)
    2.0
    """
    count, dim = loc.shape
    chol = np.linalg.cholesky(cov)
    value, error = np.full(count, np.nan), np.full(count, np.inf)
    before = np.full(count, np.inf)
    status = np.full(count, NOT_REACHED, dtype="<U11")
    waiting = np.zeros(count, dtype=bool)
    active, spent = np.arange(count), 0
    for number, (nodes, weights, lattice) in enumerate(_rules(dim, max_nodes)):
        # Once two orders agree a row waits for the lattice that confirms or denies it.
        here = active if lattice else active[~waiting[active]]
        edge = weights * (np.abs(nodes).max(axis=-1) > _LATTICE_RADIUS - 0.5)
        for chunk in _chunks(here, len(nodes)):
            z = loc[chunk, None] + nodes @ np.swapaxes(chol[chunk], -1, -2)
            with np.errstate(over="ignore", invalid="ignore"):
                g = integrand(z, chunk)
                new = (g * weights).sum(axis=-1)
                magnitude = (np.abs(g) * weights).sum(axis=-1)
                # What a lattice leaves out is at most like its outermost shell, unless g
                # outgrows the Gaussian: then the shell is not small, and nothing is known.
                truncation = 10 * (np.abs(g) @ edge) if lattice else np.zeros(len(chunk))
            unknown = ~np.isfinite(magnitude) | (truncation > 1e-6 * magnitude)
            truncation = np.where(unknown, np.inf, truncation)
            # Pairwise sums: the logarithm of the count, not the count.
            rounding = gamma(4 + np.log2(len(weights))) * np.where(unknown, 0.0, magnitude)
            step = np.full(len(chunk), np.inf)
            if number:
                step = np.where(unknown, np.inf, np.abs(new - value[chunk]))
            spent += z.shape[0] * z.shape[1]
            error[chunk] = np.maximum(step, 0.1 * before[chunk]) + rounding + truncation
            value[chunk], before[chunk] = new, step
            good = error[chunk] <= rtol * magnitude + rounding
            waiting[chunk[good]] = True
            if lattice or dim > _LATTICE_DIM:
                status[chunk[good]] = REACHED
        active = active[status[active] != REACHED]
        if not len(active):
            break
    status[active] = GAVE_UP
    error[np.isnan(value)] = np.inf
    return Integral(value, error, status, spent)


def _chunks(rows: np.ndarray, nodes: int) -> Iterator[np.ndarray]:
    size = max(1, _CHUNK // nodes)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
