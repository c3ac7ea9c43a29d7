"""Posteriors so broad that a few trapezoid lattices over the grid's box integrate them all.

Their nodes are decoded once for all data. What a trapezoid rule is off by is the integrand's
spectrum at the multiples of one cycle a step, each with a phase that turns as the lattice is
shifted. Lattices at irregular shifts therefore show by how much they disagree how far all of them
are off, whatever the spectrum does and wherever it ends; nothing is extrapolated. Their mean is the
integral, and no node is wasted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.beyond_grid import mass_outside
from vaetheory._quadrature.decoder_grid import Grid, probes
from vaetheory._quadrature.frames import Flags
from vaetheory._quadrature.grid import level
from vaetheory._quadrature.sharpness import LITTLE, sharp, sharp_mass
from vaetheory._quadrature.shifted_lattices import MOST_STEPS, Lattices
from vaetheory._quadrature.sums import Observable, Part, Sums, columns_of
from vaetheory._validation import Array, Index
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel

#: What `Grid.bend` says of half a step of the first lattices, and their fewest steps by dimension.
_FIRST_BEND, _FEWEST = 0.3, {1: 96}
_ATTEMPTS = 4
#: With more steps the log of the error falls like this power of their number, or faster; a further
#: attempt is to do for this share of the data that are left, with no more than so many times more.
_FALL, _ENOUGH, _GROWTH = 1.15, 0.9, 2.2
#: How many times closer than in one lattice the nodes of all are.
_CLOSER = {1: 2.1}
#: Cells whose `curve` is this share of their `reach` are not smooth on their own scale: what is in
#: them may be much narrower than they, and finer lattices are given no credit there.
_UNEVEN = 0.09
#: Share of the tolerance that rounding may take.
_ROUNDING = 0.2


@dataclass(frozen=True)
class Broad:
    """What the lattices found for N data.

    Attributes
    ----------
    sums : Sums
    missing : array (N,)
        Bound of the mass left out, relative to the evidence.
    mode : array (N, d)
        The node with the greatest integrand.
    done : array of bool (N,)
        The data for which that is the answer.
    """

    sums: Sums
    missing: Array
    mode: Array
    done: Flags


def integrate_broad(
    model: LatentModel,
    table: Table,
    grid: Grid,
    *,
    rtol: float,
    ignored: float,
    max_nodes: int,
    observable: Observable | None = None,
) -> Broad | None:
    """Integrate the data whose posteriors are broad; None where hardly any is.

    Parameters
    ----------
    model : LatentModel
    table : Table
        Of the data.
    grid : Grid
        The survey.
    rtol : float
        Tolerance of the quadrature, relative to the integral.
    ignored : float
        Share of the integral of which a quarter may be left out.
    max_nodes : int
        Evaluations a datum.
    observable : callable, optional
        Functions whose expectations are wanted as well, `(..., d) -> (..., K)`.
    """
    n, d = len(table.data), model.latent_dim
    if d not in _FEWEST:
        return None
    rows = probes(n)
    count = max(_first_steps(table.take(rows), grid, d), _FEWEST[d])
    part, shift = Part.empty(n, columns_of(observable, d), 1), np.zeros(n)
    mode, dropped = np.zeros((n, d)), np.zeros(n)
    done = np.zeros(n, dtype=bool)
    nodes, steps = np.zeros(n, dtype=np.intp), np.zeros(n, dtype=np.intp)
    probing = True
    for _ in range(_ATTEMPTS):
        if not count <= MOST_STEPS[d]:
            break
        here = _some(table, rows)
        lattices = Lattices.over(d, int(np.ceil(count)))
        if (nodes[rows] + len(lattices.z) > max_nodes).any():
            break
        some, shift[rows], mode[rows] = lattices.integrate(model, here, observable)
        part.put(rows, some)
        nodes[rows] += len(lattices.z)
        steps[rows] = lattices.count
        off = some.relative_error()
        good: Flags = (off <= rtol) & (some.rounding <= _ROUNDING * rtol * some.value)
        done[rows] = good
        if not good.all():
            more = np.log(rtol) / np.log(np.clip(off[~good], 1e-300, 0.999))
            more = np.quantile(more, _ENOUGH) ** (1 / _FALL)
            count = lattices.count * np.clip(more, 1.1, _GROWTH)
        # Only when the lattices do for half of the probes are all data tried.
        probing &= 2 * good.sum() < len(rows)
        rows = rows[~good] if probing else np.flatnonzero(~done)
        if not len(rows):
            break
    if not done.any():
        return None
    found = shift + np.log(np.where(done, part.value, 1.0))
    which = np.flatnonzero(done)
    outside, cells = mass_outside(model, _some(table, which), found[which], ignored)
    dropped[which] = outside
    nodes[which] += cells
    for count in np.unique(steps[which]):
        here = which[steps[which] == count]
        hidden, cells = _hidden(_some(table, here), grid, d, int(count), found[here])
        nodes[here] += cells
        # A cell may hold one node more along each axis than its width says.
        several = (1 + grid.cells / count) ** d
        dropped[here] = several * (dropped[here] + hidden)
        # What the lattices have seen of where something may be hidden is no more than that.
        part.error[here, 0] += several * hidden * part.value[here]
    sums = Sums.empty(shift, nodes, part.size.shape[1])
    sums.add(part, np.arange(n), done)
    done &= dropped <= LITTLE * ignored
    return Broad(sums, dropped, mode, done) if done.any() else None


def _some(table: Table, rows: Index) -> Table:
    """The table of some data in order, which may be all of them."""
    return table if len(rows) == len(table.data) else table.take(rows)


def _first_steps(table: Table, grid: Grid, d: int) -> float:
    """Steps for lattices to see something of most data of a table at their best cells."""
    log_prob, slope = table.dense(grid.params)
    top = (log_prob + standard_log_prob(level(d, grid.cells).centre)).argmax(axis=-1)
    known = table.curvature(grid.params, grid.reach)
    bend = np.broadcast_to(table.bend_of(grid.bend, slope, known), slope.shape)
    return grid.cells * float(np.sqrt(np.median(bend[np.arange(len(top)), top]) / _FIRST_BEND))


def _hidden(table: Table, grid: Grid, d: int, count: int, found: Array) -> tuple[Array, int]:
    """Bound the mass where log p may be sharper than what lattices of `count` steps see.

    It is relative to exp(found); with it comes the number of cells looked at.
    """
    # Both grow by four where the step is doubled, if the cell is smooth.
    finer = (_CLOSER[d] * count / grid.cells) ** 2
    most = np.where(grid.curve > _UNEVEN * grid.reach, min(finer, 1.0), finer)
    known = table.curvature(grid.params, grid.reach).greatest()
    slope = table.greatest_slope(grid.params)
    which = np.flatnonzero(sharp(table, grid, slope, known, most))
    if not len(which):
        return np.zeros(len(found)), 0
    boxes = level(d, grid.cells).take(which)
    mass = sharp_mass(table, grid.take(which), boxes, found, most[which])
    return mass.sum(axis=-1), len(which)
