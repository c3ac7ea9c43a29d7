"""Trapezoid lattices at irregular shifts, whose disagreement is the error estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.grid import INNER
from vaetheory._quadrature.sums import LEAST, Observable, Part, columns_of
from vaetheory._validation import Array, Index
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP

#: Shifts in units of the step, by dimension, from a numerical search.
SHIFTS = {
    1: np.array([[0.0], [0.768], [0.297], [0.208]]),
    2: np.array([[0.0, 0.0], [0.633, 0.864], [0.341, 0.191]]),
    3: np.array([[0.0, 0.0, 0.0], [0.846, 0.455, 0.121], [0.512, 0.567, 0.306],
                 [0.967, 0.022, 0.416]]),
    4: np.array([[0.0, 0.0, 0.0, 0.0], [0.518, 0.329, 0.888, 0.991], [0.005, 0.087, 0.477, 0.858],
                 [0.446, 0.427, 0.008, 0.307], [0.081, 0.611, 0.026, 0.012]]),
}  # fmt: skip
#: The error of the mean of the lattices is estimated as this many times their spread. A wave that
#: is aliased to a constant on every lattice causes an error, at any phase, of at most: d = 1, 1.8
#: times the spread, for up to 30 cycles per step; d = 3, 7.1 times, for up to four cycles along
#: each vector of the dual lattice (1.7 times for one); d = 4, 2.4 times, for up to two. With three
#: shifts (d = 2) such a wave can always hide; there the steps differ as well, see
#: `whitened_lattice`. A wave of up to nine cycles that is constant on the unstretched lattice then
#: causes an error of 9 times the spread, and one that is constant on a stretched lattice of up to
#: 28 times, at one phase. Of random waves of up to three cycles per step 1 in 6,000 stays hidden
#: (d = 2). Several waves may hide each other.
SAFETY = {1: 6.0, 2: 10.0, 3: 9.0, 4: 6.0}
#: Most steps across the grid's box, by dimension: with more steps other rules are cheaper.
MOST_STEPS = {1: 500}
#: An observable's tail begins here: the part that is left out lies outside the grid's box.
_EDGE = INNER - 1
#: Standard deviations from a posterior's maximum within which rounding matters.
_MATTERS = 7.0
#: Numbers in a block, which stays in the cache, and its least number of nodes.
_LIMIT, _NODES = 65_536, 1024


@dataclass
class _Totals:
    """Sums over the nodes evaluated so far, by datum and lattice, relative to exp(peak)."""

    peak: Array
    mode: Array
    away: Array
    value: Array
    moment: Array
    size: Array
    tail: Array

    @classmethod
    def empty(cls, n: int, d: int, observables: int) -> _Totals:
        """Sums over no nodes."""
        m, k = len(SHIFTS[d]), observables
        return cls(
            np.full(n, -np.inf), np.zeros((n, d)), np.zeros(n), np.zeros((n, m)),
            np.zeros((n, k, m)), np.zeros((n, k)), np.zeros((n, k)),
        )  # fmt: skip

    def add(
        self, rows: slice, values: Array, z: Array, away: Array, lattice: Array, columns: Array
    ) -> None:
        """Add log integrands `(L, M)`, which are overwritten."""
        edge = (np.abs(z) > _EDGE).any(axis=-1)
        top = values.argmax(axis=-1)
        peak = values[np.arange(len(values)), top]
        better = peak > self.peak[rows]
        new = np.where(better, peak, self.peak[rows])
        self.mode[rows][better] = z[top[better]]
        self.away[rows][better] = away[top[better]]
        factor = np.exp(self.peak[rows] - new)
        self.peak[rows] = new
        values -= new[:, None]
        np.maximum(values, LEAST, out=values)
        np.exp(values, out=values)
        self.value[rows] = self.value[rows] * factor[:, None] + values @ lattice
        for k, column in enumerate(columns.T):
            product = values * column
            self.moment[rows, k] = self.moment[rows, k] * factor[:, None] + product @ lattice
            modulus = np.abs(product)
            self.size[rows, k] = self.size[rows, k] * factor + modulus.sum(axis=-1)
            self.tail[rows, k] = self.tail[rows, k] * factor + modulus @ edge


@dataclass(frozen=True)
class Lattices:
    """The nodes of all lattices.

    Attributes
    ----------
    count : int
        Steps across the grid's box.
    z : array (M, d)
        The nodes.
    lattice : array of int (M,)
        The lattice to which each node belongs.
    """

    count: int
    z: Array
    lattice: Index

    @classmethod
    def over(cls, d: int, count: int) -> Lattices:
        """Lattices of `count` steps across the grid's box."""
        steps = np.stack(np.meshgrid(*[np.arange(count)] * d, indexing="ij"), axis=-1)
        place = (steps.reshape(-1, 1, d) + SHIFTS[d]) / count
        lattice = np.tile(np.arange(len(SHIFTS[d])), len(place))
        return cls(count, 2 * INNER * place.reshape(-1, d) - INNER, lattice)

    def integrate(
        self, model: LatentModel, table: Table, observable: Observable | None
    ) -> tuple[Part, Array, Array]:
        """Integrals of N data relative to exp(shift), the shifts `(N,)` and the modes `(N, d)`.

        The error is `SAFETY` times the spread of the lattices.
        """
        n, d = len(table.data), self.z.shape[1]
        m, everyone = len(SHIFTS[d]), np.arange(n)[None]
        # All values are relative to those at the prior's mean, to keep their digits.
        point = table.restrict(model.decode(np.zeros((1, d))))
        base, score = table.centre(everyone, point)
        totals = _Totals.empty(n, d, columns_of(observable, d))
        log_volume = d * np.log(2 * INNER / self.count)
        size = max(_NODES, _LIMIT // max(n, model.param_dim))
        for i in range(0, len(self.z), size):
            z = self.z[i : i + size]
            delta = table.changes(table.restrict(model.decode(z)), point)[None]
            away = table.length(point, delta)[0]
            weights = standard_log_prob(z) + log_volume
            lattice = np.eye(m)[self.lattice[i : i + size]]
            columns = np.empty((len(z), 0)) if observable is None else observable(z)
            step = max(1, _LIMIT // len(z))
            for j in range(0, n, step):
                rows = np.s_[j : min(j + step, n)]
                values = table.change(score[:, rows], everyone[:, rows], point, delta)[0]
                values += weights
                totals.add(rows, values, z, away, lattice, columns)
        part = Part.empty(n, columns_of(observable, d), 1)
        part.value[:] = totals.value.mean(axis=-1)
        part.error[:, 0] = SAFETY[d] * np.ptp(totals.value, axis=-1)
        part.moment[:], part.size[:] = totals.moment.mean(axis=-1), totals.size / m
        part.tail[:] = totals.tail / m
        part.moment_error[..., 0] = SAFETY[d] * np.ptp(totals.moment, axis=-1)
        shift = base[0] + totals.peak
        # Rounding of log p at that point, and of the products for the differences from it.
        slope = np.sqrt(np.einsum("ld,ld->l", score[0], score[0]))
        lost = table.rounding(base[0], everyone[0], totals.peak, shift)
        product = 2 * slope * (totals.away + _MATTERS) + np.abs(totals.peak)
        if table.field:
            # Squares of changes are sums of terms that cancel, too.
            product += 2 * (slope + totals.away) ** 2
        part.rounding[:] = part.value * (lost + 2 * ULP * table.condition * product)
        return part, shift, totals.mode
