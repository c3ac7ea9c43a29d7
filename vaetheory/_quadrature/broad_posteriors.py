"""Integrals of broad posteriors by a few trapezoid lattices over the whole grid.

The nodes are decoded once for all data. The error of a trapezoid rule is the integrand's spectrum
at the multiples of one cycle per step, each with a phase that turns as the lattice is shifted.
The disagreement of lattices at irregular shifts is therefore an estimate of their error, whatever
the spectrum looks like; nothing is extrapolated. The integral is the mean of all lattices, so that
every node is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.beyond_grid import mass_outside
from vaetheory._quadrature.decoder_grid import Grid, probes
from vaetheory._quadrature.frames import Flags
from vaetheory._quadrature.grid import level as grid_level
from vaetheory._quadrature.sharpness import LITTLE, sharp, sharp_mass
from vaetheory._quadrature.shifted_lattices import MOST_STEPS, Lattices
from vaetheory._quadrature.sums import Part, Sums
from vaetheory._quadrature.task import Task
from vaetheory._validation import Array
from vaetheory.likelihoods.table import Table

#: The bend (`Grid.bend`) over half a step of the first lattices, and their fewest steps, by
#: dimension.
_FIRST_BEND, _FEWEST = 0.3, {1: 96}
_ATTEMPTS = 4
#: The log of the error falls at least as fast as this power of the number of steps. The next
#: attempt aims at this share of the remaining data, with at most this many times more steps.
_FALL, _ENOUGH, _GROWTH = 1.15, 0.9, 2.2
#: How many times closer the nodes of all lattices together are than those of one.
_CLOSER = {1: 2.1}
#: Cells with `curve` above this share of `reach` are not smooth on their own scale: they may
#: contain much narrower features, so that finer lattices are not trusted there.
_UNEVEN = 0.09
#: Share of the tolerance that rounding errors may take.
_ROUNDING = 0.2


@dataclass(frozen=True)
class Broad:
    """Integrals of N data by lattices over the grid.

    Attributes
    ----------
    sums : Sums
    missing : array (N,)
        Bound of the mass left out, relative to the evidence.
    mode : array (N, d)
        The node with the greatest integrand.
    done : array of bool (N,)
        The data for which these integrals are final.
    """

    sums: Sums
    missing: Array
    mode: Array
    done: Flags


def integrate_broad(task: Task, grid: Grid, *, rtol: float, ignored: float) -> Broad | None:
    """Integrate the data whose posteriors are broad; return None if hardly any is broad.

    Parameters
    ----------
    task : Task
    grid : Grid
        The decoder on the grid.
    rtol : float
        Tolerance of the quadrature, relative to the integral.
    ignored : float
        A quarter of this share of the integral may be left out.
    """
    model, table = task.model, task.table
    n, d = len(table.data), model.latent_dim
    if d not in _FEWEST:
        return None
    rows = probes(n)
    count = max(_first_steps(table.take(rows), grid, d), _FEWEST[d])
    part, shift = Part.empty(n, task.columns, 1), np.zeros(n)
    mode, dropped = np.zeros((n, d)), np.zeros(n)
    done = np.zeros(n, dtype=bool)
    nodes, steps = np.zeros(n, dtype=np.intp), np.zeros(n, dtype=np.intp)
    probing = True
    for _ in range(_ATTEMPTS):
        if not count <= MOST_STEPS[d]:
            break
        here = table.take(rows)
        lattices = Lattices.over(d, int(np.ceil(count)))
        if (nodes[rows] + len(lattices.z) > task.max_nodes).any():
            break
        attempt, shift[rows], mode[rows] = lattices.integrate(model, here, task.observable)
        part.put(rows, attempt)
        nodes[rows] += len(lattices.z)
        steps[rows] = lattices.count
        off = attempt.relative_error()
        good: Flags = (off <= rtol) & (attempt.rounding <= _ROUNDING * rtol * attempt.value)
        done[rows] = good
        if not good.all():
            more = np.log(rtol) / np.log(np.clip(off[~good], 1e-300, 0.999))
            more = np.quantile(more, _ENOUGH) ** (1 / _FALL)
            count = lattices.count * np.clip(more, 1.1, _GROWTH)
        # All data are tried only if the lattices are enough for half of the probes.
        probing &= 2 * good.sum() < len(rows)
        rows = rows[~good] if probing else np.flatnonzero(~done)
        if not len(rows):
            break
    if not done.any():
        return None
    log_integral = shift + np.log(np.where(done, part.value, 1.0))
    which = np.flatnonzero(done)
    outside, cells = mass_outside(model, table.take(which), log_integral[which], ignored)
    dropped[which] = outside
    nodes[which] += cells
    for count in np.unique(steps[which]):
        here = which[steps[which] == count]
        hidden, cells = _hidden(table.take(here), grid, d, int(count), log_integral[here])
        nodes[here] += cells
        # A cell may hold one node more along each axis than its width suggests.
        several = (1 + grid.cells / count) ** d
        dropped[here] = several * (dropped[here] + hidden)
        # The lattices' own sums over these cells are at most as large.
        part.error[here, 0] += several * hidden * part.value[here]
    sums = Sums.empty(shift, nodes, part.size.shape[1])
    sums.add(part, np.arange(n), done)
    done &= dropped <= LITTLE * ignored
    return Broad(sums, dropped, mode, done) if done.any() else None


def _first_steps(table: Table, grid: Grid, d: int) -> float:
    """Number of steps for which half of the data are resolved at their best cells."""
    log_prob, slope = table.dense(grid.params)
    top = (log_prob + standard_log_prob(grid_level(d, grid.cells).centre)).argmax(axis=-1)
    curvature = table.bounds(grid.params, grid.reach, grid.lift)
    bend = np.broadcast_to(table.bend_of(grid.bend, slope, curvature), slope.shape)
    return grid.cells * float(np.sqrt(np.median(bend[np.arange(len(top)), top]) / _FIRST_BEND))


def _hidden(table: Table, grid: Grid, d: int, count: int, level: Array) -> tuple[Array, int]:
    """Bound the mass in cells where log p may vary too fast for lattices of `count` steps.

    The mass is relative to exp(level); the number of cells examined is also returned.
    """
    # Bend and curve grow fourfold where the step is doubled, if the cell is smooth.
    finer = (_CLOSER[d] * count / grid.cells) ** 2
    most = np.where(grid.curve > _UNEVEN * grid.reach, min(finer, 1.0), finer)
    known = table.bounds(grid.params, grid.reach, grid.lift).greatest()
    slope = table.greatest_slope(grid.params)
    which = np.flatnonzero(sharp(table, grid, slope, known, most))
    if not len(which):
        return np.zeros(len(level)), 0
    boxes = grid_level(d, grid.cells).take(which)
    mass = sharp_mass(table, grid.take(which), boxes, level, most[which])
    return mass.sum(axis=-1), len(which)
