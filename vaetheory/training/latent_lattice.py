"""Exact log evidence on lattices of a two-dimensional latent.

A route that shares nothing with `log_evidence`, also for decoders that give variances. A coarse
lattice finds where the posteriors are; there sums over fine ones converge exponentially in the
step, the integrand being analytic.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import LOG_2PI, standard_log_prob
from vaetheory._validation import Array, fraction, representable, require, squarable
from vaetheory.rounding import gamma
from vaetheory.training.density import Density

#: Side of a coarse cell, in deviations of the prior, and cells along a tile.
_COARSE, _TILE = 0.08, 8
#: Tiles along the square; larger squares are for the data whose posteriors may leave the smaller.
_TILES = (30, 60, 90)
#: A tile is left out of a datum whose log joints there are this far below its best, in nats.
_BELOW = 60.0
#: Relative difference of lattices below which they converge.
_CONVERGING = 1e-4
#: Data at a time.
_DATA = 200
#: Lattices are halved until they agree, or down to this step.
_FINEST = _COARSE / 8


class _Tables:
    """log p(x_n, z) of all data at once, by matrix products of (x^2, x) and natural parameters."""

    def __init__(self, density: Density, X: Array) -> None:
        self.density = density
        # The products cancel less about the middle of the data.
        self.loc = X.mean(axis=0)
        away = X - self.loc
        self.statistics = np.concatenate([away, away**2], axis=1)

    def _natural(self, nodes: Array) -> tuple[Array, Array]:
        """Natural parameters `(M, 2 D)` and log partitions `(M,)` at nodes `(M, 2)`."""
        density = self.density
        xhat, log_sigma = density.vae.decode(density.params, nodes * density.prior_scale)
        if log_sigma is None:
            assert density.log_sigma is not None
            log_sigma = np.broadcast_to(density.log_sigma, xhat.shape)
        precision = np.exp(-2 * log_sigma)
        white = (xhat - self.loc) * precision
        natural = np.concatenate([white, -0.5 * precision], axis=1)
        fixed = -0.5 * (white * (xhat - self.loc)).sum(axis=1)
        fixed -= log_sigma.sum(axis=1) + 0.5 * LOG_2PI * log_sigma.shape[1]
        return natural, fixed

    def __call__(self, nodes: Array, rows: NDArray[np.intp]) -> Array:
        """Log joints `(len(rows), M)` at nodes `(M, 2)`."""
        natural, fixed = self._natural(nodes)
        joint = self.statistics[rows] @ natural.T
        joint += fixed + standard_log_prob(nodes)
        return joint

    def sizes(self, nodes: Array) -> Array:
        """Size of what is added up for each datum `(N,)` at a node of its own."""
        natural, fixed = self._natural(nodes)
        return (np.abs(self.statistics) * np.abs(natural)).sum(axis=1) + np.abs(fixed)


def _nodes(tile: Array, step: float, offset: tuple[float, float]) -> Array:
    """Nodes `(M, 2)` of a lattice within the cells of a tile, by their centres `(C, 2)`."""
    side = step * np.arange(round(_COARSE / step)) - _COARSE / 2
    axes = [side + step * o for o in offset]
    inner = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    return (tile[:, None] + inner).reshape(-1, 2)


def lattice_evidence(density: Density, X: Array, *, rtol: float = 1e-8) -> tuple[Array, Array]:
    """Log evidence of data under a density with a two-dimensional latent.

    Parameters
    ----------
    density : Density
    X : array (N, D)
    rtol : float
        Tolerance of the evidence, relative.

    Returns
    -------
    value, error : arrays (N,)
        Nats. The error is an estimate: from the differences of four lattices half a step apart
        along one axis or both, what was left out, and the rounding. It is infinite where a
        posterior is seen to be too narrow for the coarse lattice to be sure of finding it, or
        where the encoder knows a better place than the lattices found. A second peak that falls
        between the nodes and is far from both is not seen: a lattice can only find too little.

    Raises
    ------
    ValueError
        If the latent has another dimension, or the data do not fit the model.

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

    Of so few data that a table of them and of all cells is no burden.
    """
    tables, everyone = _Tables(density, X), np.arange(len(X))
    # The square in tiles of cells, tile by tile.
    side = _COARSE * (np.arange(tiles * _TILE) - (tiles * _TILE - 1) / 2)
    cells = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1)
    cells = cells.reshape(tiles, _TILE, tiles, _TILE, 2).swapaxes(1, 2).reshape(-1, _TILE**2, 2)
    joints = np.stack([tables(tile, everyone) for tile in cells], axis=1)
    best = joints.max(axis=(1, 2))
    near = (joints > best[:, None, None] - _BELOW).any(axis=2)
    # What lies in other tiles, and beyond the square.
    shares = _COARSE**2 * np.exp(joints - best[:, None, None])
    left_out = np.where(near, 0.0, shares.sum(axis=2)).sum(axis=1)
    rim = np.abs(cells).max(axis=2) >= side[-1]
    left_out += shares[:, rim].sum(axis=1) / _COARSE
    # The tables' rounding where a posterior is, twice over.
    at = joints.reshape(len(X), -1).argmax(axis=1)
    rounding = 2 * gamma(8 + 2 * X.shape[1]) * tables.sizes(cells.reshape(-1, 2)[at])
    code = density.vae.encode(density.params, X)[0]
    far = np.abs(code / density.prior_scale).max(axis=1) > side[-1] - 1
    known = density.log_likelihood(X, code[:, None])[:, 0]
    known += standard_log_prob(code / density.prior_scale)
    value, error, beyond = np.empty(len(X)), np.full(len(X), np.inf), far.copy()
    # What the sums are relative to: finer lattices may find more than the coarse one.
    step, rows, shift = _COARSE, everyone, best.copy()
    while rows.size and step >= _FINEST:
        sums = np.zeros((4, len(X)))
        for tile in np.flatnonzero(near[rows].any(axis=0)):
            some = rows[near[rows, tile]]
            for k in range(4):
                joint = tables(_nodes(cells[tile], step, (k // 2 / 2, k % 2 / 2)), some)
                higher = np.maximum(shift[some], joint.max(axis=1))
                sums[:, some] *= np.exp(shift[some] - higher)
                shift[some] = higher
                joint -= higher[:, None]
                np.maximum(joint, -2 * _BELOW, out=joint)
                sums[k, some] += step**2 * np.exp(joint, out=joint).sum(axis=1)
        mean = sums[:, rows].mean(axis=0)
        value[rows] = shift[rows] + np.log(mean)
        apart = np.ptp(sums[:, rows], axis=0) / mean
        # The four together are a lattice of half the step: where sums begin to converge, its error
        # is about the square.
        unresolved = np.where(apart < _CONVERGING, 1000 * apart**2, 10 * apart)
        outside = 10 * left_out[rows] * np.exp(best[rows] - shift[rows]) / mean
        # A peak that the coarse lattice all but missed may hide in other tiles as well; one that
        # the encoder knows and no lattice found lies outside, or between.
        missed = (shift[rows] - best[rows] > _BELOW / 3) | (known[rows] > shift[rows] + 1)
        missed |= far[rows]
        error[rows] = unresolved + outside + np.where(missed, np.inf, 0.0) + rounding[rows]
        beyond[rows] = far[rows] | (outside > rtol)
        rows, step = rows[unresolved > rtol], step / 2
    return value, error, beyond
