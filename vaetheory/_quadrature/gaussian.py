"""Expectations under Gaussians by shifted lattices, whose disagreement is the error estimate.

A few lattices with the same step are placed at irregular shifts. If the integrand is smooth at that
step, they agree to rounding. If it has a kink or a jump, the error of each lattice is of the order
of the kink times step^2, or of the jump times the step, with a factor that depends on the shift:
so the lattices differ. This needs no assumption about how fast finer lattices converge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature import whitened_lattice
from vaetheory._quadrature.result import GAVE_UP, NOT_REACHED, REACHED, Integral
from vaetheory._trust import unchecked
from vaetheory._validation import Array
from vaetheory.rounding import gamma

#: Integrand of one expectation per datum: nodes (n, M, d) and the rows of their data -> (n, M).
RowIntegrand = Callable[[Array, np.ndarray], Array]

#: Lattices are used up to this dimension.
LATTICE_DIM = 3
#: Orders of the Gauss-Hermite rules with which the coarsest lattices are compared where there are
#: only three lattices, see `shifted_lattices`.
_COMPARED = {2: (10,)}
#: Above that dimension, Gauss-Hermite rules of these orders are used, each in two to `_TURNS`
#: systems of axes: a rotation does not change N(0, I), but moves kinks relative to the nodes.
_HERMITE_ORDERS = (2, 3, 4, 5, 7, 10, 14, 20, 28)
_TURNS = 4
#: From this order on the outermost nodes are far out: an integrand that is large there grows too
#: fast.
_FAR_ORDER = 7
#: Step of the coarsest lattices in standard deviations, by dimension; each further step is smaller
#: by the golden ratio. The core extends to `_CORE` standard deviations, the nodes around it to 12.
_STEPS = {1: 0.65, 2: 0.7, 3: 0.7}
_CORE = 10.0
_GOLDEN = (1 + 5**0.5) / 2
_FINEST = {1: 8, 2: 6, 3: 3}
#: The error of lattices is estimated as this many times their spread, but at least as `_MEMORY`
#: times the estimate of the next coarser ones. With kinks and jumps of every kind (25,000
#: integrands for d = 1, eight steps; 4,500 for d = 2, four; 600 for d = 3, two) the error of the
#: mean was at most 16 times the spread of the coarsest lattices, and 10 times either spread for the
#: others; without a memory it was up to 35 times.
_SAFETY = 20.0
_MEMORY = 0.1
#: With four lattices the estimate is at most this many times their own, whatever came before.
_ALONE = 5.0
#: Share of E|g| above which the sum outside the core shows tails that are not known to be small;
#: the same for the sum over the outermost nodes of Gauss-Hermite rules.
_TAIL, _HERMITE_TAIL = 1e-8, 1e-2
#: Nodes evaluated at a time, so that a model's outputs stay in the cache.
_CHUNK = 2**13


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
    grids = np.meshgrid(*[nodes] * dim, indexing="ij")
    logs = np.meshgrid(*[np.log(weights / weights.sum())] * dim, indexing="ij")
    points = np.stack([g.ravel() for g in grids], axis=-1)
    total = np.sum([g.ravel() for g in logs], axis=0)
    # Weights below this share of the largest cannot change any digit: exp(-64) is 1e-28.
    keep = total > total.max() - 64
    return points[keep], np.exp(total[keep])


@dataclass(frozen=True)
class Rule:
    """Nodes and weights for N(0, I_d) of one rule, or of several lattices, concatenated.

    Attributes
    ----------
    nodes : array (M, d)
    weights : array (M,)
        Weights of each lattice by itself, which sum to about 1.
    parts : tuple of slice
        The nodes of each lattice.
    outside : array of bool (M,)
        True for the nodes outside the core of a lattice, or the outermost nodes of another rule.
    """

    nodes: Array
    weights: Array
    parts: tuple[slice, ...]
    outside: NDArray[np.bool_]

    @classmethod
    def alone(cls, nodes: Array, weights: Array) -> Rule:
        """A single rule that is no lattice; its spread is zero."""
        return cls(nodes, weights, (slice(None),), np.zeros(len(nodes), dtype=bool))

    def sums(self, values: Array) -> Array:
        """Pairwise sums of weighted values `(..., M)` over each lattice, `(..., L)`."""
        return np.stack([values[..., part].sum(axis=-1) for part in self.parts], axis=-1)

    def spread(self, sums: Array) -> Array:
        """Estimated error of the mean of the lattices, `(..., L) -> (...)`."""
        error: Array = _SAFETY * np.ptp(sums, axis=-1)
        return error


@lru_cache(maxsize=32)
def lattice_rule(number: int, dim: int) -> Rule:
    """Shifted lattices for N(0, I_dim) within 12 standard deviations; number 0 is the coarsest.

    Examples
    --------
    >>> rule = lattice_rule(0, 1)
    >>> sums = rule.sums(rule.weights * rule.nodes[:, 0]**2)
    >>> sums.round(12).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    rule = whitened_lattice.lattice_rule(dim, _STEPS[dim] / _GOLDEN**number, _CORE)
    which = rule.lattice.argmax(axis=-1)
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which))
    parts = tuple(slice(a, b) for a, b in pairwise((0, *ends)))
    weights = np.exp(rule.log_weights + standard_log_prob(rule.nodes))
    return Rule(rule.nodes[order], weights[order], parts, order >= rule.core)


@lru_cache(maxsize=16)
def turned_rule(order: int, dim: int, turns: int = _TURNS) -> Rule:
    """Gauss-Hermite rules for N(0, I_dim) in several rotated systems of axes, concatenated.

    Examples
    --------
    >>> rule = turned_rule(3, 4)
    >>> sums = rule.sums(rule.weights * rule.nodes[:, 0]**4)
    >>> sums.round(12).tolist()
    [3.0, 3.0, 3.0, 3.0]
    """
    nodes, weights = hermite_rule(order, dim)
    axes = np.linalg.qr(np.random.default_rng(dim).normal(size=(turns, dim, dim)))[0]
    ends = len(weights) * np.arange(turns + 1)
    parts = tuple(slice(a, b) for a, b in pairwise(ends))
    outermost = np.abs(nodes).max(axis=-1) == nodes.max()
    outside = np.tile(outermost & (order >= _FAR_ORDER), turns)
    return Rule((nodes @ axes).reshape(-1, dim), np.tile(weights, turns), parts, outside)


def _rules(dim: int, most: int) -> Iterator[Rule]:
    """Yield finer and finer rules of at most `most` nodes."""
    if dim > LATTICE_DIM:
        for order in _HERMITE_ORDERS:
            if (turns := min(most // order**dim, _TURNS)) > 1:
                yield turned_rule(order, dim, turns)
        return
    for order in _COMPARED.get(dim, ()):
        yield Rule.alone(*hermite_rule(order, dim))
    for number in range(_FINEST[dim]):
        # The number of nodes is estimated, so that no rule is built that has too many.
        if len(lattice_rule(0, dim).nodes) * _GOLDEN ** (number * dim) <= most:
            yield lattice_rule(number, dim)


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
        `g(z, rows)`, nodes `(n, M, d)` of the rows `(n,)` -> values `(n, M)`. It is called
        `unchecked`: what it gives to methods of the library must have been checked.
    loc : array (N, d)
    cov : array (N, d, d)
    rtol : float
        Tolerance, relative to E|g|.
    max_nodes : int
        Largest number of nodes of one rule for one row (approximately).

    Returns
    -------
    Integral
        `value` `(N,)`; `error` is an estimate. Up to three dimensions it is the largest of 20
        times the spread of the lattices, twice the spread of the next coarser lattices, and the
        difference from the previous rule; added to it are a hundred times the sum of moduli more
        than 10 standard deviations out, and a bound of the rounding error of the sum. Beyond three
        dimensions only Gauss-Hermite rules are used, each in two to four systems of axes: the error
        is the largest of 20 times their spread, the difference from the previous rule, and the
        difference before that, plus the rounding bound.

    Notes
    -----
    Kinks and jumps: up to three dimensions the error figure is valid, because lattices at irregular
    shifts meet them at different phases. It decreases like step^2 at a kink and like the step at a
    jump, so such rows end as "gave up" unless the kinks are weak or far out, or the tolerance is
    loose. Beyond three dimensions it can be too small if a kink lies farther out than the nodes
    that were enough for everything else: this happened for one in a hundred random kinked networks
    of four and five latents. In any dimension a spike stays unnoticed if it lies between the nodes,
    is at most three tenths of a standard deviation wide, and has no effect at the nodes beside it.

    Examples
    --------
    >>> import numpy as np
    >>> r = gaussian_expectation(lambda z, rows: z[..., 0]**2, np.ones((1, 1)), np.eye(1)[None])
    >>> round(float(r.value[0]), 12)
    2.0
    """
    count, dim = loc.shape
    lattices = dim <= LATTICE_DIM
    most = _TAIL if lattices else _HERMITE_TAIL
    chol = np.linalg.cholesky(cov)
    value, error = np.full(count, np.nan), np.full(count, np.inf)
    # The error estimate that the previous rule gave for itself.
    before = np.full(count, 0.0 if lattices else np.inf)
    status = np.full(count, NOT_REACHED, dtype="<U11")
    active, spent = np.arange(count), 0
    for rule in _rules(dim, max_nodes):
        for chunk in _chunks(active, len(rule.nodes)):
            z = loc[chunk, None] + rule.nodes @ np.swapaxes(chol[chunk], -1, -2)
            with np.errstate(over="ignore", invalid="ignore"):
                with unchecked():
                    values = integrand(z, chunk)
                terms = values * rule.weights
                sums = rule.sums(terms)
                new = sums.mean(axis=-1)
                step = np.abs(new - value[chunk])
                sizes = np.abs(terms)
                magnitude = sizes.sum(axis=-1) / len(rule.parts)
                outside = sizes @ rule.outside / len(rule.parts)
                # If the integrand outgrows the Gaussian, nothing is known about its tails.
                unknown = ~np.isfinite(magnitude) | (outside > most * magnitude)
                own = rule.spread(sums)
            own = np.where(np.isfinite(own), own, np.inf)
            # A first rule has no error estimate, nor have rotated rules, which agree for a round
            # integrand; a first set of lattices has one.
            step[~np.isfinite(step)] = 0.0 if lattices and len(rule.parts) > 1 else np.inf
            magnitude[unknown] = 0.0
            # Pairwise summation: the error grows with the logarithm of the count.
            rounding = gamma(4 + np.log2(len(rule.weights))) * magnitude
            spent += z.shape[0] * z.shape[1]
            if lattices:
                known = np.maximum(np.maximum(own, _MEMORY * before[chunk]), step)
                if len(rule.parts) == 4:
                    known = np.minimum(known, _ALONE * own)
            else:
                known = np.maximum(np.maximum(own, step), before[chunk])
                own = step
                outside[:] = 0.0
            error[chunk] = (
                np.where(unknown, np.inf, known + whitened_lattice.SPARSE * outside) + rounding
            )
            value[chunk], before[chunk] = new, own
            good = error[chunk] <= rtol * magnitude + rounding
            status[chunk[good]] = REACHED
        active = active[status[active] != REACHED]
        if not len(active):
            break
    status[active] = GAVE_UP
    error[~np.isfinite(value)] = np.inf
    return Integral(value, error, status, spent)


def _chunks(rows: np.ndarray, nodes: int) -> Iterator[np.ndarray]:
    size = max(1, _CHUNK // nodes)
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
