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
_LAST_HERMITE = {1: 10, 2: 14}
_LATTICE_STEPS = (1 / 2, 1 / 3, 1 / 5, 1 / 8, 1 / 13, 1 / 21, 1 / 34, 1 / 55, 1 / 89)
_LATTICE_RADIUS = 9.5
_CHUNK = 2**18


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
def lattice_rule(step: float, dim: int) -> tuple[Array, Array]:
    """Trapezoid nodes `(M, dim)` and weights `(M,)` for N(0, I_dim) within 9.5 deviations.

    Examples
    --------
    >>> nodes, weights = lattice_rule(0.5, 1)
    >>> round(float(weights @ nodes[:, 0]**2), 12)
    1.0
    """
    half = np.arange(1, int(_LATTICE_RADIUS / step) + 1) * step
    nodes = np.concatenate([-half[::-1], [0.0], half])
    return _tensor(nodes, standard_log_prob(nodes[:, None]) + np.log(step), dim)


def _rules(dim: int, most: int) -> Iterator[tuple[Array, Array, Array]]:
    """Yield ever finer rules of at most `most` nodes: nodes, weights, and weights of the edge."""
    for order in _HERMITE_ORDERS:
        if order**dim <= most and order <= _LAST_HERMITE.get(dim, order):
            nodes, weights = hermite_rule(order, dim)
            yield nodes, weights, np.zeros_like(weights)
    for step in _LATTICE_STEPS:
        if (2 * _LATTICE_RADIUS / step) ** dim <= most:
            nodes, weights = lattice_rule(step, dim)
            edge = np.abs(nodes).max(axis=-1) > _LATTICE_RADIUS - 0.5
            yield nodes, weights, weights * edge


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
        with each other better than with the truth), plus ten times the outermost shell of a lattice, plus a bound of the rounding
        in the sum.

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
    active, spent, rule_count = np.arange(count), 0, 0
    for nodes, weights, edge in _rules(dim, max_nodes):
        rule_count += 1
        for chunk in _chunks(active, len(nodes)):
            z = loc[chunk, None] + nodes @ np.swapaxes(chol[chunk], -1, -2)
            g = integrand(z, chunk)
            new = g @ weights
            magnitude = np.abs(g) @ weights
            # Pairwise sums: the logarithm of the count, not the count.
            rounding = gamma(4 + np.log2(len(weights))) * magnitude
            step = np.abs(new - value[chunk]) if rule_count > 1 else np.full(len(chunk), np.inf)
            spent += z.shape[0] * z.shape[1]
            # What a lattice leaves out is at most like its outermost shell, unless g outgrows
            # the Gaussian, and then that shell is large.
            truncation = 10 * (np.abs(g) @ edge)
            error[chunk] = np.maximum(step, 0.1 * before[chunk]) + rounding + truncation
            value[chunk], before[chunk] = new, step
            status[chunk[error[chunk] <= rtol * magnitude + rounding]] = REACHED
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
