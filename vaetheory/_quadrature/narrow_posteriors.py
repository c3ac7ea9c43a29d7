"""Integrals of narrow or nearly Gaussian posteriors: a whitened lattice for each mode."""

from __future__ import annotations

import numpy as np

from vaetheory._quadrature.decoder_grid import probes
from vaetheory._quadrature.frames import Flags, Slots, balanced, frames_at
from vaetheory._quadrature.grid import INNER, level
from vaetheory._quadrature.grid_search import Scan
from vaetheory._quadrature.nothing_outside import exclude
from vaetheory._quadrature.sharpness import LITTLE, sharp_mass
from vaetheory._quadrature.shifted_lattices import SHIFTS
from vaetheory._quadrature.sums import Sums, add_up
from vaetheory._quadrature.whitened_lattice import lattice_rule, lattice_sum
from vaetheory._validation import Array
from vaetheory.modes import climb

#: Steps of the lattices and radius of the core in standard deviations, coarse lattices first. On
#: the plane, cells are faster than finer lattices: their nodes are decoded once for all data.
SIZES = {
    2: ((0.8, 9.0), (0.66, 9.5), (0.56, 10.5)),
    3: ((0.88, 9.0), (0.72, 9.5), (0.6, 10.5), (0.5, 11.0), (0.42, 11.5), (0.35, 12.0)),
    4: ((0.9, 8.0),),
}
#: More lattices for likelihoods whose scales vary with the latent: their posteriors are narrow, so
#: that hardly any two data share a cell, and cells cost several times more than these lattices.
FINER = {2: ((0.47, 11.0), (0.4, 11.5), (0.33, 12.0))}
#: The log of the error falls at least as fast as this power of 1 / step; a lattice is tried if
#: that predicts that it is fine enough, or nearly so.
_FALL, _HOPEFUL = 1.3, 0.95
#: Lattices are used if they are enough for this share of the data tried first.
_WORTH = 0.5
#: A cell is examined if it is narrower than this many node distances.
_NEAR = 8.0
#: Cells with a larger misfit, by dimension, are not assumed to be smooth on a finer scale.
_UNEVEN = {2: 0.1, 3: 0.175, 4: 0.175}
#: Greatest error of a lattice relative to its own integral.
_OWN = 1e-3


def _frames_of(scan: Scan) -> Slots:
    """Return frames at the modes that the grid search has found."""
    model, data = scan.model, scan.table.data
    n = len(data)
    datum, cell = scan.summits
    start = scan.grid_centres()[cell]
    mode, best, _ = climb(model, data[datum], start)
    # The best mode is known already; it comes first.
    owner = np.concatenate([np.arange(n), datum])
    centre = np.concatenate([scan.mode, mode])
    # Modes too low to matter are left to the bound of the mass outside the frames.
    high = np.concatenate([np.ones(n, dtype=bool), best > scan.best[datum] - 40])
    owner, centre = owner[high], centre[high]
    order = np.argsort(owner, kind="stable")
    owner, centre = owner[order], centre[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    number = np.full((n, rank.max() + 1), -1)
    number[owner, rank] = np.arange(len(owner))
    return Slots(frames_at(model, data, owner, centre), number)


def integrate_frames(scan: Scan, *, rtol: float, noise: Array) -> tuple[Sums, Array, Flags]:
    """Integrate the data whose posterior lies in a few frames.

    Parameters
    ----------
    scan : Scan
        After `begin`.
    rtol : float
        Tolerance of the quadrature, relative to the integral.
    noise : array (N,)
        Rounding noise of the log joint, nats.

    Returns
    -------
    sums : Sums
        Relative to exp(scan.best).
    dropped : array (N,)
        Bound of the mass outside the frames, relative to exp(scan.level).
    done : array of bool (N,)
        The data for which these integrals are final; the others are left to the cells.
    """
    model, n = scan.model, len(scan.table.data)
    slots = _frames_of(scan).distinct()
    slots = Slots(balanced(model, scan.table.data, slots.frames), slots.number)
    disjoint = slots.disjoint() & ~scan.gave_up
    sums = Sums.empty(scan.best, scan.nodes, scan.task.columns)
    allowed = np.maximum(rtol, noise)
    first = np.zeros(n, dtype=bool)
    first[probes(n)] = True
    done, dropped = np.zeros(n, dtype=bool), np.zeros(n)
    for tried in (first, ~first):
        converged = _lattices(scan, slots, disjoint & tried, sums, allowed)
        converged &= ~_hidden(scan, slots, converged, min(rtol, scan.task.ignored))
        outside, shown = exclude(scan, slots, converged)
        done |= converged & shown
        dropped += outside
        # All data are tried only if the lattices are enough for many of the probes.
        if done.sum() < _WORTH * first.sum():
            break
    return sums, dropped, done


def _hidden(scan: Scan, slots: Slots, which: Flags, rtol: float) -> Flags:
    """Mark data for which cells of the grid may hold mass that the lattices have missed.

    Only cells that are not much wider than the node distance can show what lies between nodes.
    """
    if not which.any():
        return which
    d, grid = scan.model.latent_dim, scan.grid
    spread = np.sqrt(np.einsum("fij,fij->fj", slots.frames.axes, slots.frames.axes).max(axis=-1))
    widest = np.where(slots.number >= 0, spread[slots.number], 0.0).max(axis=-1)
    distance = SIZES[d][0][0] * widest / len(SHIFTS[d]) ** (1 / d)
    width = 2 * INNER / grid.cells
    rows = np.flatnonzero(which & (width < _NEAR * distance))
    hidden = np.zeros(len(which), dtype=bool)
    cells = np.flatnonzero(scan.alive[rows].any(axis=0))
    if not len(cells):
        return hidden
    scan.nodes[rows] += len(cells)
    # The bend of a smooth cell falls fourfold where the distance is halved.
    seen = np.maximum(width / distance[rows, None], 1.0) ** 2
    most = np.where(grid.rough[cells] <= _UNEVEN[d], seen, 1.0)
    boxes = level(d, grid.cells).take(cells)
    mass = sharp_mass(scan.table.take(rows), grid.take(cells), boxes, scan.level[rows], most)
    mass[~scan.alive[rows][:, cells]] = 0.0
    hidden[rows] = mass.sum(axis=-1) > LITTLE * rtol
    return hidden


def _lattices(scan: Scan, slots: Slots, open_: Flags, sums: Sums, allowed: Array) -> Flags:
    """Integrate the open data by lattices; add to `sums` those whose error is allowed."""
    task, model, n = scan.task, scan.model, len(open_)
    sizes = SIZES[model.latent_dim]
    if scan.table.field:
        sizes = (*sizes, *FINER.get(model.latent_dim, ()))
    done, wanted = np.zeros(n, dtype=bool), np.full(n, np.inf)
    for step, core in sizes:
        open_ = open_ & (wanted >= _HOPEFUL * sizes[-1][0])
        tried = open_ & ((step <= wanted) | (step == sizes[-1][0]))
        if not tried.any():
            continue
        rule = lattice_rule(model.latent_dim, step, core)
        used = slots.number[tried].ravel()
        frames = slots.frames.take(used[used >= 0])
        cost = (len(rule.nodes) + 1) * np.bincount(frames.owner, minlength=n)
        tried &= scan.nodes + cost <= task.max_nodes
        frames = frames.take(tried[frames.owner])
        if not len(frames):
            continue
        owner = frames.owner
        part = lattice_sum(model, scan.table, frames, scan.best[owner], rule, task.observable)
        scan.nodes += np.where(tried, cost, 0)
        error, total = sums.relative(part, owner)
        # A lattice that has not converged relative to its own integral may have missed mass in
        # its frame, however small that integral is.
        blind = ~(part.error[:, 0] <= _OWN * part.value)
        open_[owner[blind]] = False
        off = add_up(owner, error[:, 0], n) / np.where(total > 0, total, np.nan)
        good = tried & open_ & (off <= allowed)
        sums.add(part, owner, good[owner])
        done |= good
        open_ &= ~good
        digits = np.log(np.clip(off, 1e-300, 0.999)) / np.log(allowed)
        wanted[tried] = (step * np.minimum(digits, 0.95) ** (1 / _FALL))[tried]
    return done
