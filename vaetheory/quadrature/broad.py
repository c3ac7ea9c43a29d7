"""Posteriors so broad that one trapezoid lattice over the grid's box integrates them all.

Its nodes are decoded once for all data. What the trapezoid rule is off by is the integrand's
spectrum at the multiples of one cycle a step; the nodes show it up to half a cycle a step, where
it is the difference between the lattice's two halves, each shifted against the other by half of
its own step. That much is claimed: nothing is concluded from how fast the spectrum falls, since a
feature that is sharp but small goes on where the bulk has ended.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from vaetheory._validation import Array
from vaetheory.gaussians import standard_log_prob
from vaetheory.models import LatentModel
from vaetheory.quadrature.blocks import Index
from vaetheory.quadrature.frames import Flags
from vaetheory.quadrature.grid import INNER, level
from vaetheory.quadrature.outskirts import beyond, log_prior_mass, outskirts, radius_for
from vaetheory.quadrature.sums import LEAST, Observable, Part, Sums, columns_of
from vaetheory.quadrature.survey import Grid
from vaetheory.quadrature.tables import Table
from vaetheory.rounding import ULP

#: Data that are tried first.
_PROBES = 16
#: Nodes of a first lattice and of the finest; beyond them cells are cheaper.
_FIRST, _MOST = 256, 1024
#: Share of the probes for which a lattice has to do.
_ENOUGH = 0.9
#: The end of the spectrum from this many cycles a step on: a part of it, not one frequency, which
#: may be small by chance where a posterior has two modes, or waves.
_END = 0.4
#: The rule is off by two times the spectrum at one cycle a step; a factor of safety.
_SAFETY = 4.0
#: Nats that log p, or the decoder's curvature times the score, may bend by from the middle of a
#: step to its border: what is sharper may be hidden between the nodes. Safety factors included.
_MAX_BEND, _MAX_CURVE = 0.6, 2.0
#: Share of the tolerance that rounding may take, and what is hidden or lies outside.
_ROUNDING, _LITTLE = 0.2, 0.25
#: Standard deviations from a posterior's top within which rounding matters.
_MATTERS = 7.0
#: Numbers of a block: it stays in the cache.
_LIMIT = 65_536


@dataclass(frozen=True)
class Broad:
    """What the lattice found for N data.

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


class _Lattice:
    """Equidistant nodes over the grid's box, decoded."""

    def __init__(self, model: LatentModel, table: Table, count: int) -> None:
        line = (np.arange(count) + 0.5) * (2 * INNER / count) - INNER
        self.table, self.z = table, line[:, None]
        self.log_weights = standard_log_prob(self.z) + np.log(2 * INNER / count)
        params = table.restrict(model.decode(self.z))
        # Everything is centred at the prior's middle, so that it keeps its digits.
        self.point = params[None, count // 2]
        self.delta = table.coordinates(params - self.point)[None]
        self.away = np.sqrt(np.einsum("cmd,cmd->m", self.delta, self.delta))
        self.end = slice(int(np.ceil(_END * count)), None)

    def integrate(self, rows: Index, observable: Observable | None) -> tuple[Part, Array, Array]:
        """Integrals of some data `(L,)`, their shifts, and the nodes that are their modes."""
        part = Part.empty(len(rows), columns_of(observable, 1), 1)
        shift, mode = np.empty(len(rows)), np.empty((len(rows), 1))
        columns = np.empty((len(self.z), 0)) if observable is None else observable(self.z)
        step = max(1, _LIMIT // len(self.z))
        for i in range(0, len(rows), step):
            now, who = np.s_[i : i + step], rows[None, i : i + step]
            base, score = self.table.centre(who, self.point)
            values = self.table.change(score, who, self.point, self.delta)[0]
            values += self.log_weights
            top = values.argmax(axis=-1)
            peak = values[np.arange(len(values)), top]
            values -= peak[:, None]
            np.maximum(values, LEAST, out=values)
            np.exp(values, out=values)
            shift[now], mode[now] = base[0] + peak, self.z[top]
            part.value[now] = values.sum(axis=-1)
            part.error[now, 0] = self._spectrum(values)
            lost = self._lost(base[0], score[0], who[0], peak, shift[now], self.away[top])
            part.rounding[now] = lost * part.value[now]
            for k, column in enumerate(columns.T):
                product = values * column
                part.moment[now, k] = product.sum(axis=-1)
                part.size[now, k] = np.abs(product).sum(axis=-1)
                part.moment_error[now, k, 0] = self._spectrum(product)
        return part, shift, mode

    def _spectrum(self, values: Array) -> Array:
        """Error of the sums of values `(L, M)`, from the end of their spectrum."""
        out: Array = _SAFETY * np.abs(fft.rfft(values)[:, self.end]).max(axis=-1)
        return out

    def _lost(
        self, base: Array, score: Array, datum: Index, peak: Array, shift: Array, away: Array
    ) -> Array:
        """Relative rounding of the sums, an estimate: of log p at the point, and from there on."""
        slope = np.sqrt(np.einsum("ld,ld->l", score, score))
        lost = self.table.rounding(base, datum, peak, shift)
        product = 2 * slope * (away + _MATTERS) + np.abs(peak)
        out: Array = lost + 2 * ULP * self.table.condition * product
        return out


def _accurate(part: Part, rtol: float) -> Flags:
    """Which of P integrals have an error, of rule and rounding, within a relative tolerance."""
    error, total = _relative(part)
    good: Flags = (error <= rtol * total) & (total > 0)
    good &= part.rounding <= _ROUNDING * rtol * total
    return good


def _relative(part: Part) -> tuple[Array, Array]:
    """Errors of P integrals, the worst of their observables counting, and the integrals."""
    count = len(part.value)
    sums = Sums.empty(np.zeros(count), np.zeros(count, dtype=np.intp), part.size.shape[1])
    error, total = sums.relative(part, np.arange(count))
    return error[:, 0], total


def _wanted(part: Part, count: int, rtol: float) -> float:
    """Nodes that would do for most of P integrals, by the errors that `count` have left."""
    error, total = _relative(part)
    left = np.where(np.isfinite(error) & (total > 0), error / np.where(total > 0, total, 1.0), 1.0)
    # The error falls exponentially with the number of nodes, or faster.
    more = np.log(rtol) / np.log(np.clip(left, 1e-300, 0.999))
    return float(np.quantile(np.maximum(more, 1.0), _ENOUGH) * count)


def integrate_broad(
    model: LatentModel,
    table: Table,
    grid: Grid,
    *,
    rtol: float,
    max_nodes: int,
    observable: Observable | None = None,
) -> Broad | None:
    """Integrate the data on a line whose posteriors are broad; None where hardly any is.

    Parameters
    ----------
    model : LatentModel
    table : Table
        Of the data.
    grid : Grid
        The survey.
    rtol : float
        Tolerance of the quadrature, relative to the integral.
    max_nodes : int
        Evaluations a datum.
    observable : callable, optional
        Functions whose expectations are wanted as well, `(..., d) -> (..., K)`.
    """
    n = len(table.data)
    rows = np.unique(np.linspace(0, n - 1, _PROBES).astype(np.intp))
    if max_nodes < _FIRST:
        return None
    part = _Lattice(model, table, _FIRST).integrate(rows, observable)[0]
    count = _wanted(part, _FIRST, rtol)
    # A multiple of 64: such sums of waves are fast.
    count = 64 * int(np.ceil(min(count, 1e6) / 64))
    if count > min(_MOST, max_nodes - _FIRST):
        return None
    lattice = _Lattice(model, table, count)
    part, shift, mode = lattice.integrate(np.arange(n), observable)
    done = _accurate(part, rtol)
    sums = Sums.empty(shift, np.full(n, count), part.size.shape[1])
    sums.nodes[rows] += _FIRST
    sums.add(part, np.arange(n), done)
    missing = np.zeros(n)
    if done.any():
        some = table if done.all() else type(table)(table.likelihood, table.data[done])
        found = shift[done] + np.log(part.value[done])
        hidden, near = _hidden(some, grid, count, found)
        outside, far = _outside(model, some, found, rtol)
        sums.nodes[done] += near + far
        missing[done] = hidden + outside
        # What the lattice has seen of where something may be hidden is no more than that.
        sums.error[done] += hidden * part.value[done]
        done &= missing <= _LITTLE * rtol
    return Broad(sums, missing, mode, done) if done.any() else None


def _hidden(table: Table, grid: Grid, count: int, found: Array) -> tuple[Array, int]:
    """Bound the mass where log p may be sharper than what a lattice of `count` nodes sees.

    It is relative to exp(found); with it comes the number of cells looked at.
    """

    def sharp(cells: Grid, slope: Array) -> Flags:
        """Both grow by four where the step is doubled."""
        bend = np.maximum(
            table.bend_of(cells.bend, slope) / _MAX_BEND, slope * cells.curve / _MAX_CURVE
        )
        out: Flags = ~(bend * (cells.cells / count) ** 2 <= 1)
        return out

    which = np.flatnonzero(sharp(grid, table.greatest_slope(grid.params)))
    if not len(which):
        return np.zeros(len(found)), 0
    cells = grid.take(which)
    log_prob, slope = table.dense(cells.params)
    upper = np.minimum(table.upper(log_prob, slope, cells.reach), table.peak[:, None])
    upper += log_prior_mass(level(1, grid.cells).take(which)) - found[:, None]
    mass = np.where(sharp(cells, slope), np.exp(np.clip(upper, -700.0, 700.0)), 0.0)
    return mass.sum(axis=-1), len(which)


def _outside(model: LatentModel, table: Table, found: Array, rtol: float) -> tuple[Array, int]:
    """Bound the mass outside the grid, relative to exp(found), and count the cells looked at."""
    radius = radius_for(table, found, rtol)
    mass, cells = beyond(table, found, radius, model.latent_dim), 0
    for some in outskirts(model, table, radius):
        some.upper[:] -= found[:, None]
        np.clip(some.upper, -700.0, 700.0, out=some.upper)
        mass += np.exp(some.upper).sum(axis=-1)
        cells += len(some.boxes)
    return mass, cells
