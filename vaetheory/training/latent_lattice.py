"""Exact log evidence by sums over lattices in a two-dimensional latent space.

This method shares no code with `log_evidence` and also handles decoders that return variances. A
coarse lattice locates the posteriors. There, sums over fine lattices converge exponentially in the
step because the integrand is analytic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import LOG_2PI, standard_log_prob
from vaetheory._validation import Array, fraction, representable, require, squarable
from vaetheory.likelihoods import ContinuousBernoulli
from vaetheory.rounding import gamma
from vaetheory.training.density import Density

#: Side of a coarse cell, in standard deviations of the prior, and cells along a tile.
_COARSE, _TILE = 0.08, 8
#: Tiles along the square; a larger square is used if a posterior may leave the smaller one.
_TILES = (30, 60, 90)
#: A tile is skipped for a datum if its log joints there are this far below its maximum, in nats.
_BELOW = 60.0
#: Relative difference of lattices below which they are taken to converge.
_CONVERGING = 1e-4
#: Tiles that are decoded together at the coarse step.
_TOGETHER = 100
#: Data in a chunk.
_DATA = 200
#: The step is halved until the lattices agree, but not below this.
_FINEST = _COARSE / 8


class _Tables:
    """log p(x_n, z) of all data at once, by matrix products of (x^2, x) and natural parameters."""

    def __init__(self, density: Density, X: Array) -> None:
        self.density = density
        # Centring the data reduces cancellation in the products.
        self.loc = X.mean(axis=0)
        centred = X - self.loc
        self.statistics = np.concatenate([centred, centred**2], axis=1)

    def _natural(self, nodes: Array) -> tuple[Array, Array]:
        """Natural parameters `(M, 2 D)` and log partitions `(M,)` at nodes `(M, 2)`."""
        density = self.density
        xhat, log_sigma = density.decode(nodes * density.prior_scale)
        if log_sigma is None:
            fixed = xhat @ self.loc - ContinuousBernoulli().log_partition(xhat)
            return np.concatenate([xhat, np.zeros_like(xhat)], axis=1), fixed
        log_sigma = np.broadcast_to(log_sigma, xhat.shape)
        precision = np.exp(-2 * log_sigma)
        white = (xhat - self.loc) * precision
        natural = np.concatenate([white, -0.5 * precision], axis=1)
        fixed = -0.5 * (white * (xhat - self.loc)).sum(axis=1)
        fixed -= log_sigma.sum(axis=1) + 0.5 * LOG_2PI * log_sigma.shape[1]
        return natural, fixed

    def each(self, tiles: Array) -> Iterator[Callable[[NDArray[np.intp]], Array]]:
        """For each tile of nodes `(T, M, 2)` a function of rows: log joints `(len(rows), M)`.

        All tiles are decoded at once.
        """
        nodes = tiles.reshape(-1, 2)
        natural, fixed = self._natural(nodes)
        fixed += standard_log_prob(nodes)
        for weights, constant in zip(
            natural.reshape(*tiles.shape[:2], -1), fixed.reshape(tiles.shape[:2]), strict=True
        ):

            def joint(
                rows: NDArray[np.intp], weights: Array = weights, constant: Array = constant
            ) -> Array:
                table = self.statistics[rows] @ weights.T
                table += constant
                return table

            yield joint

    def sizes(self, nodes: Array) -> Array:
        """The sum of absolute values of the terms for each datum `(N,)` at its own node."""
        natural, fixed = self._natural(nodes)
        return (np.abs(self.statistics) * np.abs(natural)).sum(axis=1) + np.abs(fixed)


def _nodes(tiles: Array, step: float, offset: tuple[float, float]) -> Array:
    """Nodes `(T, M, 2)` of a lattice in the cells of tiles with the cell centres `(T, C, 2)`."""
    side = step * np.arange(round(_COARSE / step)) - _COARSE / 2
    axes = [side + step * o for o in offset]
    inner = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    return (tiles[:, :, None] + inner).reshape(len(tiles), -1, 2)


def lattice_evidence(density: Density, X: Array, *, rtol: float = 1e-8) -> tuple[Array, Array]:
    """Log evidence of data under a density with a two-dimensional latent.

    Parameters
    ----------
    density : Density
    X : array (N, D)
    rtol : float
        Relative tolerance of the evidence.

    Returns
    -------
    value, error : arrays (N,)
        In nats. The error is an estimate: the differences of four lattices that are shifted by half
        a step along one axis or both, plus the skipped tiles, plus rounding. It is infinite if
        a posterior is so narrow that the coarse lattice might miss it, or if the density at the
        encoder's mean is greater than the lattices found. A further narrow peak between the nodes,
        far from both, is missed without notice: a lattice can only find too little.

    Raises
    ------
    ValueError
        If the latent dimension is not 2, or the data do not fit the model.

    Examples
    --------
    >>> from vaetheory import log_evidence
    >>> from vaetheory.training import OBJECTIVES, Settings, density_of
    >>> X = np.stack([np.arange(40.0), np.arange(40.0) ** 2], axis=-1)
    >>> vae = Settings(hidden=(4,)).model(OBJECTIVES["half"], X, 1.5)
    >>> density = density_of(vae, vae.initial(0), X, seed=0)
    >>> value, error = lattice_evidence(density, X[:2])
    >>> other = log_evidence(density.latent_model(), X[:2])
    >>> bool((abs(value - other.value) <= error + other.error).all())
    True
    """
    X = require("density", density, Density).vae.checked("X", X)
    rtol = fraction("rtol", rtol, low=1e-14, high=0.1)
    if density.vae.latent_dim != 2:
        raise ValueError(f"latent_dim: expected 2 for a lattice, got {density.vae.latent_dim}")
    squarable("X", X)
    value, error = np.empty(len(X)), np.empty(len(X))
    rows = np.arange(len(X))
    for tiles in _TILES:
        beyond = np.zeros(len(X), dtype=bool)
        for i in range(0, len(rows), _DATA):
            some = rows[i : i + _DATA]
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                value[some], error[some], beyond[some] = _chunk(density, X[some], rtol, tiles)
        rows = np.flatnonzero(beyond)
    return representable("X", value, "log evidences"), error


def _chunk(
    density: Density, X: Array, rtol: float, tiles: int
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Value, error, and whether the square may be too small.

    The chunk is so small that a table of its data at all cells fits in memory.
    """
    tables, everyone = _Tables(density, X), np.arange(len(X))
    # The cell centres of the square, `(tiles^2, cells of a tile, 2)`.
    side = _COARSE * (np.arange(tiles * _TILE) - (tiles * _TILE - 1) / 2)
    cells = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1)
    cells = cells.reshape(tiles, _TILE, tiles, _TILE, 2).swapaxes(1, 2).reshape(-1, _TILE**2, 2)
    joints = np.stack(
        [
            joint(everyone)
            for i in range(0, len(cells), _TOGETHER)
            for joint in tables.each(cells[i : i + _TOGETHER])
        ],
        axis=1,
    )
    best = joints.max(axis=(1, 2))
    near = (joints > best[:, None, None] - _BELOW).any(axis=2)
    # An estimate of the mass in the skipped tiles and beyond the square.
    shares = _COARSE**2 * np.exp(joints - best[:, None, None])
    left_out = np.where(near, 0.0, shares.sum(axis=2)).sum(axis=1)
    rim = np.abs(cells).max(axis=2) >= side[-1]
    left_out += shares[:, rim].sum(axis=1) / _COARSE
    # Twice the rounding error of the tables at the peak of each posterior.
    at = joints.reshape(len(X), -1).argmax(axis=1)
    rounding = 2 * gamma(8 + 2 * X.shape[1]) * tables.sizes(cells.reshape(-1, 2)[at])
    code = density.vae.encode(density.params, X)[0]
    far = np.abs(code / density.prior_scale).max(axis=1) > side[-1] - 1
    known = density.log_likelihood(X, code[:, None])[:, 0]
    known += standard_log_prob(code / density.prior_scale)
    value, error, beyond = np.empty(len(X)), np.full(len(X), np.inf), far.copy()
    # Sums are relative to exp(shift), which grows where a finer lattice finds a greater value.
    step, rows, shift = _COARSE, everyone, best.copy()
    while rows.size and step >= _FINEST:
        sums = np.zeros((4, len(X)))
        wanted = np.flatnonzero(near[rows].any(axis=0))
        size = max(1, int(_TOGETHER * (step / _COARSE) ** 2))
        for chosen in np.split(wanted, range(size, len(wanted), size)):
            for k in range(4):
                nodes = _nodes(cells[chosen], step, (k // 2 / 2, k % 2 / 2))
                for tile, joint_at in zip(chosen, tables.each(nodes), strict=True):
                    some = rows[near[rows, tile]]
                    joint = joint_at(some)
                    higher = np.maximum(shift[some], joint.max(axis=1))
                    sums[:, some] *= np.exp(shift[some] - higher)
                    shift[some] = higher
                    joint -= higher[:, None]
                    np.maximum(joint, -2 * _BELOW, out=joint)
                    sums[k, some] += step**2 * np.exp(joint, out=joint).sum(axis=1)
        mean = sums[:, rows].mean(axis=0)
        value[rows] = shift[rows] + np.log(mean)
        apart = np.ptp(sums[:, rows], axis=0) / mean
        # The four together form a lattice of half the step: once the sums begin to converge, its
        # error is about the square of their difference.
        unresolved = np.where(apart < _CONVERGING, 1000 * apart**2, 10 * apart)
        outside = 10 * left_out[rows] * np.exp(best[rows] - shift[rows]) / mean
        # If the coarse lattice nearly missed a peak, there may be others in skipped tiles; if the
        # density at the encoder's mean is greater, a peak lies outside or between the nodes.
        missed = (shift[rows] - best[rows] > _BELOW / 3) | (known[rows] > shift[rows] + 1)
        missed |= far[rows]
        error[rows] = unresolved + outside + np.where(missed, np.inf, 0.0) + rounding[rows]
        beyond[rows] = far[rows] | (outside > rtol)
        rows, step = rows[unresolved > rtol], step / 2
    return value, error, beyond
