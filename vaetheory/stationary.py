"""Gaussian posteriors at which the exact ELBO is stationary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory import gaussians
from vaetheory._validation import Array, fraction, option
from vaetheory.elbo import elbo, flatten
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel, require_model
from vaetheory.modes import posterior_mode
from vaetheory.quadrature.gaussian import hermite_rule, lattice_rule
from vaetheory.quadrature.result import NOT_REACHED, REACHED
from vaetheory.rounding import EPS

_ITERATIONS = 200
_MEMORY = 6
# Steps without the deficit halving after which a row is left as it is.
_PATIENCE = 25
# Nodes at a time: their outputs stay in the cache.
_CHUNK = 2**12


@dataclass(frozen=True, eq=False)
class StationaryPosterior(Posterior):
    """A Gaussian posterior at which the ELBO is stationary, with its ELBO.

    Attributes
    ----------
    loc, cov : arrays (..., d), (..., d, d)
        As in `Posterior`, so it can be used wherever one is expected.
    value : array (...)
        The ELBO there, in nats.
    error : array (...)
        Estimate of the error of `value` plus `deficit`.
    deficit : array (...)
        Estimate, in nats, of what the ELBO (where the covariance is shared, its mean over the
        data) still gains on the way to the stationary point.
    status : array of str (...)
        `"reached"` where the deficit fell below the tolerance.
    iterations : int
    """

    value: Array
    error: Array
    deficit: Array
    status: NDArray[np.str_]
    iterations: int


def stationary_posterior(
    model: LatentModel,
    X: ArrayLike,
    *,
    structure: str = "full",
    start: Posterior | None = None,
    rtol: float = 1e-13,
) -> StationaryPosterior:
    """The Gaussian posterior of each datum at which the exact ELBO is stationary.

    With `structure="shared"` all data of a set have one covariance, and it is the mean of their
    ELBOs that is stationary.

    Fixed-point (natural-gradient) steps on the stationarity conditions of claim 3b, mixed by
    Anderson's scheme, with the expectations by rules of increasing strength. By
    default they start from the highest mode found with the inverse Hessian there; where the
    ELBO has several stationary points the one reached from the start is returned.

    Parameters
    ----------
    model : LatentModel
    X : array (..., D)
        The data; with a shared covariance `(..., N, D)`, sets of N.
    structure : {"full", "diagonal", "shared"}
        Whether the covariance of each datum is free, diagonal, or the same for all N of a set.
    start : Posterior, optional
        Where to start.
    rtol : float
        Tolerance on the ELBO still to gain, relative to 1 + the size of the ELBO.

    Returns
    -------
    StationaryPosterior

    Raises
    ------
    ValueError
        As for `elbo`; also for an unknown structure.

    Notes
    -----
    Source: claims 3b to 3d, 5d. grad_m ELBO = -E[grad U], grad_S ELBO = 1/2 (S^-1 - E[A]); of
    the mean over the data, grad_S = 1/2 (S^-1 - mean E[A]). A shared covariance is stationary for
    the mean only: the ELBO of one datum alone moves with the root of the deficit.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods, stationary_posterior
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> q = stationary_posterior(model, [[2.0]])
    >>> q.loc.round(12).tolist(), q.cov.round(12).tolist()
    ([[1.0]], [[[0.5]]])
    """
    option("structure", structure, ("full", "diagonal", "shared"))
    rtol = fraction("rtol", rtol, low=1e-15, high=0.1)
    require_model(model)
    data = model.check_data(X)
    shape, d = data.shape[:-1], model.latent_dim
    if start is None:
        flat = data.reshape(-1, model.data_dim)
        loc = posterior_mode(model, flat)
        _, hessian, safe = model.potential_derivatives(flat, loc)
        precision = _definite(hessian, safe)
    else:
        flat, loc, cov = flatten(model, data, start, "start")
        precision = np.linalg.inv(cov)
    if structure == "diagonal":
        precision = _diagonal(precision)
    # Sets of data that share a covariance: of one datum each, where it is its own.
    size = shape[-1] if structure == "shared" and shape else 1
    sets = flat.reshape(-1, size, model.data_dim)
    precision = precision.reshape(-1, size, d, d).mean(axis=1)
    # The ascent works in place: the start stays as it was given.
    means = loc.reshape(-1, size, d).copy()
    ascent = _Ascent(model, sets, means, precision, structure == "diagonal")
    iterations, rows = 0, np.arange(len(sets))
    for rule in _rules(d):
        if len(rows):
            steps, rows = ascent.run(rows, rule, rtol)
            iterations += steps
    root = _root(ascent.precision)
    loc, cov = ascent.loc.reshape(-1, d), np.repeat(root @ np.swapaxes(root, -1, -2), size, axis=0)
    bound = elbo(model, flat, Posterior(loc, cov), rtol=max(rtol, 1e-12))
    reached = ascent.deficit <= rtol * (1 + np.abs(bound.value.reshape(-1, size)).mean(axis=-1))
    # What the last rule still moved no finer rule has confirmed.
    reached[rows] = False
    status = np.where(np.repeat(reached, size) & bound.reached, REACHED, NOT_REACHED)
    deficit = np.repeat(ascent.deficit, size)
    return StationaryPosterior(
        loc.reshape(*shape, d),
        cov.reshape(*shape, d, d),
        value=bound.value.reshape(shape),
        error=(bound.error + deficit).reshape(shape),
        deficit=deficit.reshape(shape),
        status=status.reshape(shape),
        iterations=iterations,
    )


def _rules(dim: int) -> list[tuple[Array, Array]]:
    """Rules of increasing strength: a row in which the next one finds nothing to do is done.

    Gauss-Hermite rules alone can agree with each other and be wrong, so lattices come last.
    """
    orders = {1: (12,), 2: (8, 14), 3: (5, 8), 4: (4, 6, 8)}.get(dim, (2, 3))
    lattices = {1: 4, 2: 3, 3: 2}.get(dim, 0)
    rules = [hermite_rule(order, dim) for order in orders]
    return rules + [lattice_rule(number, dim) for number in range(lattices)]


def _diagonal(matrix: Array) -> Array:
    return np.diagonal(matrix, axis1=-2, axis2=-1)[..., None] * np.eye(matrix.shape[-1])


def _definite(hessian: Array, gauss_newton: Array) -> Array:
    """The Hessian where it is positive definite, else its Gauss-Newton part."""
    indefinite = np.linalg.eigvalsh(hessian)[..., 0] <= 0
    return np.where(indefinite[..., None, None], gauss_newton, hessian)


def _expectations(
    model: LatentModel, X: Array, loc: Array, root: Array, rule: tuple[Array, Array]
) -> tuple[Array, Array, Array, Array]:
    """ELBO, E[grad U], E[A] and E[Gauss-Newton part] of each datum of each set by one rule."""
    nodes, weights = rule
    sets, d = loc.shape[:2], loc.shape[-1]
    x_all, m_all = X.reshape(-1, X.shape[-1]), loc.reshape(-1, d)
    count, roots = len(m_all), np.repeat(root, sets[1], axis=0)
    height, gradient = np.empty(count), np.empty((count, d))
    hessian, safe = np.empty((count, d, d)), np.empty((count, d, d))
    size = max(1, _CHUNK // len(nodes))
    for i in range(0, count, size):
        rows = slice(i, i + size)
        z = m_all[rows, None] + nodes @ np.swapaxes(roots[rows], -1, -2)
        x = np.broadcast_to(x_all[rows, None], (*z.shape[:-1], X.shape[-1]))
        height[rows] = model.log_joint(x, z) @ weights
        g, a, b = model.potential_derivatives(x, z)
        gradient[rows] = np.einsum("nmi,m->ni", g, weights)
        hessian[rows] = np.einsum("nmij,m->nij", a, weights)
        safe[rows] = np.einsum("nmij,m->nij", b, weights)
    entropy = 0.5 * d * (1 + gaussians.LOG_2PI) + np.linalg.slogdet(root)[1]
    return (
        height.reshape(sets) + entropy[:, None],
        gradient.reshape(*sets, d),
        hessian.reshape(*sets, d, d),
        safe.reshape(*sets, d, d),
    )


def _root(precision: Array) -> Array:
    """A root R of the covariance, S = R R^T, from the precision: S itself would lose its digits."""
    return np.swapaxes(np.linalg.inv(np.linalg.cholesky(precision)), -1, -2)


class _Ascent:
    """The iteration for all rows at once: means, precision, and the mean ELBO still to gain.

    A row is a set of data with one precision `(d, d)` and a mean each, `(N, d)`.
    """

    def __init__(
        self, model: LatentModel, X: Array, loc: Array, precision: Array, diagonal: bool
    ) -> None:
        self.model, self.X, self.diagonal = model, X, diagonal
        self.loc, self.precision = loc, precision
        self.deficit = np.full(len(X), np.inf)
        # The mixing weighs residuals in units of the first posterior's width.
        self._unit = np.linalg.cholesky(precision)
        self._inverse_unit = np.linalg.inv(self._unit)

    def run(
        self, rows: np.ndarray, rule: tuple[Array, Array], rtol: float
    ) -> tuple[int, np.ndarray]:
        """Iterate `rows` with one rule; return the steps and the rows it moved."""
        count, members, dim = self.loc.shape
        size = members * dim + dim * dim
        targets, residuals = np.zeros((2, _MEMORY, count, size))
        filled = np.zeros((_MEMORY, count), dtype=bool)
        height = np.full(count, -np.inf)
        old_loc, old_precision = self.loc.copy(), self.precision.copy()
        halvings, stale = np.zeros((2, count), dtype=int)
        least = np.full(count, np.inf)
        before = self.deficit[rows]
        self.deficit[rows] = np.inf
        active, moved = rows, rows
        step = 0
        while len(active) and step < _ITERATIONS:
            step += 1
            root = _root(self.precision[active])
            heights, gradient, hessian, safe = _expectations(
                self.model, self.X[active], self.loc[active], root, rule
            )
            new = heights.mean(axis=-1)
            shift = -np.linalg.solve(_definite(hessian, safe), gradient[..., None])[..., 0]
            target = _definite(hessian.mean(axis=1), safe.mean(axis=1))
            if self.diagonal:
                target = _diagonal(target)
            mismatch = np.swapaxes(root, -1, -2) @ target @ root - np.eye(dim)
            deficit = 0.5 * np.abs((gradient * shift).sum(axis=-1)).mean(axis=-1) + (
                0.25 * np.einsum("nij,nji->n", mismatch, mismatch)
            )
            # Either sign of progress will do: the ELBO of a coarse rule and its stationarity
            # conditions disagree by the error of the rule.
            lower = new < height[active] - 1e-13 * (1 + np.abs(new))
            worse = lower & (deficit > self.deficit[active])
            # Rows that fell go back half-way and forget how they got there.
            back = active[worse]
            self.loc[back] = (self.loc[back] + old_loc[back]) / 2
            self.precision[back] = (self.precision[back] + old_precision[back]) / 2
            filled[:, back] = False
            halvings[back] += 1

            keep, shift, target = active[~worse], shift[~worse], target[~worse]
            height[keep], self.deficit[keep], halvings[keep] = new[~worse], deficit[~worse], 0
            old_loc[keep], old_precision[keep] = self.loc[keep], self.precision[keep]
            # The first step of all is taken even from a point that is good enough: where the
            # rule is exact it ends at the stationary point itself.
            enough = rtol * (1 + np.abs(new))
            better = deficit < 0.5 * least[active]
            stale[active] = np.where(better, 0, stale[active] + 1)
            least[active] = np.minimum(least[active], deficit)
            # A nearly singular precision is inverted only to its condition number.
            floor = np.maximum(enough, (20 * dim * EPS * np.linalg.cond(root) ** 2) ** 2)
            # Below the tolerance a row goes on while that pays: rounding sets the end.
            done = (deficit <= 1e-3 * enough) | ((deficit <= floor) & (stale[active] >= 3))
            done |= stale[active] >= _PATIENCE
            if step == 1:
                done &= np.isfinite(before)
            go = ~done[~worse]
            keep, shift, target = keep[go], shift[go], target[go]
            slot = step % _MEMORY
            targets[slot, keep] = self._pack(keep, self.loc[keep] + shift, target)
            current = self._pack(keep, self.loc[keep], self.precision[keep])
            residuals[slot, keep] = targets[slot, keep] - current
            filled[slot, keep] = True
            mixed = _mix(targets[:, keep], residuals[:, keep], filled[:, keep], slot)
            self._unpack(keep, mixed, self.loc[keep] + shift, target)
            active = active[(worse | ~done) & (halvings[active] < 40)]
            if step == 1:
                moved = rows[(deficit > floor) | ~np.isfinite(before)]
        return step, moved

    def _pack(self, rows: np.ndarray, loc: Array, precision: Array) -> Array:
        """Means and precision as one vector, in units of the first posterior."""
        white, inverse = self._unit[rows], self._inverse_unit[rows]
        m = np.einsum("nji,nkj->nki", white, loc) / np.sqrt(loc.shape[1])
        p = inverse @ precision @ np.swapaxes(inverse, -1, -2)
        _, members, dim = self.loc.shape
        parts = [m.reshape(len(rows), members * dim), p.reshape(len(rows), dim * dim)]
        return np.concatenate(parts, axis=-1)

    def _unpack(self, rows: np.ndarray, mixed: Array, loc: Array, precision: Array) -> None:
        """Take the mixed step where it is a Gaussian and no wild one, else the plain step."""
        _, members, dim = self.loc.shape
        split = members * dim
        p = mixed[:, split:].reshape(-1, dim, dim)
        p = (p + np.swapaxes(p, -1, -2)) / 2
        plain = self._pack(rows, loc, precision)[:, split:].reshape(-1, dim, dim)
        sound = np.linalg.eigvalsh(p)[:, 0] > 0.1 * np.linalg.eigvalsh(plain)[:, 0]
        white, inverse = self._unit[rows], self._inverse_unit[rows]
        m = np.einsum("nji,nkj->nki", inverse, mixed[:, :split].reshape(-1, members, dim))
        m = m * np.sqrt(members)
        p = white @ p @ np.swapaxes(white, -1, -2)
        p = _diagonal(p) if self.diagonal else (p + np.swapaxes(p, -1, -2)) / 2
        self.loc[rows] = np.where(sound[:, None, None], m, loc)
        self.precision[rows] = np.where(sound[:, None, None], p, precision)


def _mix(targets: Array, residuals: Array, filled: NDArray[np.bool_], slot: int) -> Array:
    """Anderson's mixture `(n, p)` of the last targets `(K, n, p)`: least combined residual."""
    last = residuals[slot]
    change = np.where(filled[..., None], last - residuals, 0.0)
    moved = np.where(filled[..., None], targets[slot] - targets, 0.0)
    weights = np.linalg.pinv(np.moveaxis(change, 0, -1), rcond=1e-8) @ last[..., None]
    return targets[slot] - np.einsum("knp,nk->np", moved, weights[..., 0])
