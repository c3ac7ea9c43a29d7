"""Posteriors that are narrow or nearly Gaussian: a lattice in the axes of each of their modes."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.modes import climb
from vaetheory.quadrature.exclusion import exclude
from vaetheory.quadrature.frames import Flags, Slots, frames_at
from vaetheory.quadrature.lattice import lattice_rule, lattice_sum
from vaetheory.quadrature.scan import Scan
from vaetheory.quadrature.sums import Observable, Sums, add_up, columns_of

#: Nodes an axis and radius of the core in standard deviations, coarse lattices first.
SIZES = {
    2: ((39, 9.0), (45, 10.0), (61, 11.0)), 3: ((37, 9.0), (41, 9.5), (49, 11.0)), 4: ((29, 8.0),)
}  # fmt: skip
#: A posterior that falls by less than this, in nats, at that many standard deviations along an
#: axis has too heavy a tail for a lattice; a Gaussian falls by 32.
_FALL, _FAR = 20.0, 8.0
#: Greatest error of a lattice relative to its own integral.
_OWN = 1e-3
#: A finer lattice is worth it where the coarse one's error is below this.
_HOPEFUL = 1e-5


def _frames_of(scan: Scan) -> Slots:
    """Return frames at the modes that the grid shows."""
    model, data = scan.model, scan.table.data
    n = len(data)
    datum, cell = scan.summits
    start = scan.grid_centres()[cell]
    mode, best, _ = climb(model, data[datum], start)
    # The best mode is known already; it comes first.
    owner = np.concatenate([np.arange(n), datum])
    centre = np.concatenate([scan.mode, mode])
    # Modes too low to matter are left to the exclusion.
    high = np.concatenate([np.ones(n, dtype=bool), best > scan.best[datum] - 40])
    owner, centre = owner[high], centre[high]
    order = np.argsort(owner, kind="stable")
    owner, centre = owner[order], centre[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    number = np.full((n, rank.max() + 1), -1)
    number[owner, rank] = np.arange(len(owner))
    return Slots(frames_at(model, data, owner, centre), number)


def _light(scan: Scan, slots: Slots) -> Flags:
    """Mark the data all of whose frames have light tails, `(N,)`."""
    model, frames = scan.model, slots.frames
    d = model.latent_dim
    w = _FAR * np.concatenate([np.eye(d), -np.eye(d)])
    data = scan.table.data[frames.owner]
    top = model.log_joint(data, frames.centre)
    heavy = (model.log_joint(data[:, None], frames.points(w)) > top[:, None] - _FALL).any(axis=-1)
    out = np.ones(len(slots.number), dtype=bool)
    out[frames.owner[heavy]] = False
    scan.nodes += (2 * d + 1) * np.bincount(frames.owner, minlength=len(out))
    return out


def integrate_frames(
    scan: Scan,
    *,
    rtol: float,
    noise: Array,
    max_nodes: int,
    observable: Observable | None = None,
) -> tuple[Sums, Array, Flags]:
    """Integrals of those data whose posterior lies in a few frames.

    Parameters
    ----------
    scan : Scan
        After `begin`.
    rtol : float
        Tolerance of the quadrature, relative to the integral.
    noise : array (N,)
        Rounding noise of the log joint, nats.
    max_nodes : int
        Evaluations a datum.
    observable : callable, optional
        Functions whose expectations are wanted as well, `(..., d) -> (..., K)`.

    Returns
    -------
    sums : Sums
        Relative to exp(scan.best).
    dropped : array (N,)
        Bound of the mass outside the frames, relative to exp(scan.level).
    done : array of bool (N,)
        The data for which that is the answer; the others are left to the cells.
    """
    model, n = scan.model, len(scan.table.data)
    slots, open_ = _frames_of(scan).distinct()
    open_ &= _light(scan, slots)
    sums = Sums.empty(scan.best, scan.nodes, columns_of(observable, model.latent_dim))
    done = np.zeros(n, dtype=bool)
    for size, core in SIZES[model.latent_dim]:
        if not open_.any():
            break
        rule = lattice_rule(model.latent_dim, size, core)
        used = slots.number[open_].ravel()
        some = slots.frames.take(used[used >= 0])
        cost = (len(rule.nodes) + 1) * np.bincount(some.owner, minlength=n)
        affordable = scan.nodes + cost <= max_nodes
        open_ &= affordable
        some = some.take(affordable[some.owner])
        if not len(some):
            break
        owner = some.owner
        part = lattice_sum(model, scan.table, some, scan.best[owner], rule, observable)
        scan.nodes += np.where(open_, cost, 0)
        error, total = sums.relative(part, owner)
        # A lattice that has not converged in its own right has not seen what is in its frame,
        # however little it found there.
        blind = ~(part.error[:, 0] <= _OWN * part.value)
        open_[owner[blind]] = False
        error = add_up(owner, error[:, 0], n)
        good = open_ & (error <= np.maximum(rtol, noise) * total) & (total > 0)
        sums.add(part, owner, good[owner])
        done |= good
        open_ &= ~good & (error <= _HOPEFUL * total)
    dropped, shown = exclude(scan, slots, done)
    return sums, dropped, done & shown
