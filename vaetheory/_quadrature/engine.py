"""The adaptive engine: first a scan, then lattices where they converge and cells elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vaetheory._progress import Progress, report
from vaetheory._quadrature.between_kinks import LADDER as TRIANGLES
from vaetheory._quadrature.between_kinks import Between
from vaetheory._quadrature.blocks import keep_freed_memory
from vaetheory._quadrature.broad_posteriors import integrate_broad
from vaetheory._quadrature.cells import integrate
from vaetheory._quadrature.decoder_grid import Grid, sample_grid
from vaetheory._quadrature.grid import CELLS, INNER, level
from vaetheory._quadrature.grid_search import Scan
from vaetheory._quadrature.narrow_posteriors import integrate_frames
from vaetheory._quadrature.noticed_kinks import notice
from vaetheory._quadrature.pairs import TooManyPairs
from vaetheory._quadrature.result import GAVE_UP, NOT_REACHED, REACHED
from vaetheory._quadrature.rounding_noise import log_joint_noise
from vaetheory._quadrature.rules import LADDER
from vaetheory._quadrature.search_state import Search
from vaetheory._quadrature.sums import Observable, Sums
from vaetheory._quadrature.task import Task
from vaetheory._quadrature.told_kinks import Plane, kinks_on_the_line, plane_between_kinks
from vaetheory._trust import unchecked
from vaetheory._validation import Array
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP

#: (datum, grid cell) pairs in a chunk; arrays of this size are held in memory.
_CHUNK = 1_200_000
_COARSEST = 1e-9
_CLAIMED = 0.05
#: The same where kinks were noticed.
_COARSEST_AT_KINKS = 1e-3
#: With this tolerance or a larger one, cells with kinks are halved without trying larger rules.
_FEW_DIGITS = 1e-6
#: The sum over the nodes may be wrong by this many standard deviations of the rounding noise.
_DEVIATIONS = 3.0
LARGEST_DIM = max(CELLS)


@dataclass
class Outcome:
    """Log evidences of N data with their error figures.

    Attributes
    ----------
    value : array (N,)
        Log evidence, nats.
    error : array (N,)
        Its error figure.
    sums : Sums
        The integrals from which the value is computed.
    missing : array (N,)
        Estimated bound of the mass left out, relative to the evidence.
    noise : array (N,)
        Rounding noise of the log joint, three standard deviations, nats.
    gave_up : array of bool (N,)
        True where the budget was spent.
    mode : array (N, d)
        The highest point found of each posterior.
    """

    value: Array
    error: Array
    sums: Sums
    missing: Array
    noise: Array
    gave_up: NDArray[np.bool_]
    mode: Array

    @classmethod
    def joined(cls, parts: list[Outcome]) -> Outcome:
        """The concatenated outcomes of several chunks of data."""
        return cls(
            np.concatenate([p.value for p in parts]),
            np.concatenate([p.error for p in parts]),
            Sums.joined([p.sums for p in parts]),
            np.concatenate([p.missing for p in parts]),
            np.concatenate([p.noise for p in parts]),
            np.concatenate([p.gave_up for p in parts]),
            np.concatenate([p.mode for p in parts]),
        )

    def take(self, which: NDArray[np.intp]) -> Outcome:
        """The outcomes of some data."""
        return Outcome(
            self.value[which], self.error[which], self.sums.take(which), self.missing[which],
            self.noise[which], self.gave_up[which], self.mode[which],
        )  # fmt: skip

    @property
    def nodes(self) -> int:
        """Number of evaluations of the integrand, summed over all data."""
        return int(self.sums.nodes.sum())

    def status(self, error: Array, allowed: Array | float) -> NDArray[np.str_]:
        """Status of each datum, given its errors `(N, ...)` and the errors that are allowed."""
        gave_up = self.gave_up.reshape(-1, *(1,) * (error.ndim - 1))
        failed = np.where(gave_up, GAVE_UP, NOT_REACHED)
        return np.asarray(np.where(error <= allowed, REACHED, failed))


def run(
    model: LatentModel,
    data: Array,
    *,
    rtol: float,
    max_nodes: int,
    observable: Observable | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Integrate the joint density of each datum `(N, D)` over the latent, chunk by chunk."""
    keep_freed_memory()
    n = len(data)
    breaks, plane = kinks_on_the_line(model), plane_between_kinks(model)
    reduced = model.reduced(data)
    model, data = reduced.model, reduced.data
    # Convergence is exponential: digits beyond a coarse tolerance cost little, and error
    # estimates of well-resolved integrands cannot be right by chance.
    goal = min(rtol, _COARSEST)
    parts: list[Outcome] = []
    # Decoders may overflow far from the data; the clipped values are handled.
    with unchecked():
        sample = model.likelihood.table(data[:1])
        if sample.field:
            # The bounds on triangles know no field.
            plane = None
        grid = sample_grid(model, sample, breaks)
        chunks = -(-n * len(grid.params) // _CHUNK)
        size = max(1, -(-n // chunks))
        # The chunks still to be done; the next one is last.
        todo = [np.s_[i : min(i + size, n)] for i in range(0, n, size)][::-1]
        while todo:
            rows = todo.pop()
            try:
                chunk = model.likelihood.table(data[rows])
                task = Task(model, chunk, goal, max_nodes, observable, rtol)
                between = plane and _between(task, plane, grid)
                parts.append(between or _chunk(task, grid))
            except TooManyPairs:
                middle = (rows.start + rows.stop) // 2
                todo += [np.s_[middle : rows.stop], np.s_[rows.start : middle]]
                continue
            report(rows.stop / n, progress)
    outcome = Outcome.joined(parts)
    value, rounded = outcome.value + reduced.offset, reduced.rounding(outcome.mode[:, None])[:, 0]
    error = outcome.error + reduced.error + rounded + ULP * np.abs(value)
    return replace(outcome, value=value, error=error, noise=outcome.noise + rounded)


def _chunk(task: Task, grid: Grid) -> Outcome:
    """Integrate broad posteriors by lattices over the whole grid, then the others."""
    model, data = task.model, task.table.data
    if len(grid.breaks):
        # Lattices over kinks would be compared in vain.
        return _searched(task, grid)
    broad = integrate_broad(task, grid, rtol=0.4 * task.goal, ignored=0.4 * task.ignored)
    if broad is None:
        return _searched(task, grid)
    done = broad.done
    information = model.definite_information(data[done], broad.mode[done])
    noise = log_joint_noise(model, data[done], broad.mode[done], information)
    noise += _own_noise(model, task.table.take(np.flatnonzero(done)), broad.mode[done])
    sums = broad.sums.take(done)
    gave_up = np.zeros(len(noise), dtype=bool)
    outcome = _outcome(sums, broad.missing[done], noise, task.goal, gave_up, broad.mode[done])
    if done.all():
        return outcome
    rest = _searched(task.take(np.flatnonzero(~done)), grid)
    rest.sums.nodes += broad.sums.nodes[~done]
    order = np.argsort(np.concatenate([np.flatnonzero(done), np.flatnonzero(~done)]))
    return Outcome.joined([outcome, rest]).take(order)


def places(d: int) -> Array:
    """Points `(M, d)` spread over the whole grid, independent of the model."""
    return level(d, CELLS[d]).centre


def _searched(task: Task, grid: Grid) -> Outcome:
    """Find the posterior mass by branch and bound, then integrate by lattices and cells."""
    goal, data = task.goal, task.table.data
    scan = Scan(task)
    scan.begin(grid)
    noise = log_joint_noise(task.model, data, scan.mode, scan.information)
    noise += _own_noise(task.model, task.table, scan.mode)
    left = np.ones(len(data), dtype=bool)
    framed: Sums | None = None
    if task.model.latent_dim > 1:
        framed, dropped, done = integrate_frames(scan, rtol=0.5 * goal, noise=noise)
        scan.dropped += np.where(done, dropped, 0.0)
        left = ~done
    spent, ladder = 0.4 * goal, None
    if task.model.latent_dim > 1 and left.any() and notice(task.model):
        # Beside kinks on a plane a digit costs ten times the evaluations: no more than is asked.
        spent = max(spent, 0.4 * min(task.asked, _COARSEST_AT_KINKS))
        if task.asked >= _FEW_DIGITS:
            # More nodes do not resolve a kink: a cell is halved at once.
            ladder = LADDER[task.model.latent_dim][:1]
    sums = integrate(
        task, scan.pairs(left), scan.best, rtol=spent, noise=noise, nodes=scan.nodes, ladder=ladder
    )
    if framed is not None:
        sums.put(~left, framed)
    return _of_search(scan, sums, noise)


def _between(task: Task, plane: Plane, grid: Grid, level_of: Array | None = None) -> Outcome | None:
    """Search and integrate on triangles between kinks; None if there are too many triangles."""
    scan = Between(task)
    radius = scan.begin(level_of)
    triangles = plane.triangles(radius)
    if triangles is None:
        return None
    size = np.inf if plane.straight else 4 * INNER / grid.cells
    pairs = scan.pairs(triangles, radius, size)
    noise = log_joint_noise(task.model, task.table.data, scan.mode, scan.information)
    noise += _own_noise(task.model, task.table, scan.mode)
    sums = integrate(
        task,
        pairs,
        scan.best,
        rtol=0.4 * task.goal,
        noise=noise,
        nodes=scan.nodes,
        ladder=TRIANGLES,
    )
    outcome = _of_search(scan, sums, noise)
    # Where too much was dropped, because the level was too high, once more with the right one.
    again = np.flatnonzero((outcome.missing > 0.4 * task.ignored) & np.isfinite(outcome.value))
    again = again[~outcome.gave_up[again]]
    if level_of is not None or not len(again):
        return outcome
    second = _between(task.take(again), plane, grid, outcome.value[again])
    if second is None:
        return outcome
    second.sums.nodes += outcome.sums.nodes[again]
    rest = np.setdiff1d(np.arange(len(outcome.value)), again)
    order = np.argsort(np.concatenate([rest, again]))
    return Outcome.joined([outcome.take(rest), second]).take(order)


def _of_search(scan: Search, sums: Sums, noise: Array) -> Outcome:
    """The outcome of a search after which the cells have been integrated."""
    nothing = sums.total <= 0
    missing = scan.dropped * np.exp(np.minimum(scan.level - sums.shift, 700.0))
    missing = missing / np.where(nothing, 1.0, sums.total)
    # Where no mass was found, the level is all that is known.
    sums.shift = np.where(nothing, scan.level, sums.shift)
    gave_up = scan.gave_up | sums.gave_up
    return _outcome(sums, missing, noise, scan.task.goal, gave_up, scan.mode)


def _own_noise(model: LatentModel, table: Table, mode: Array) -> Array:
    """Rounding of log densities at the modes, after a look whether their bounds hold there."""
    params = table.restrict(model.decode(mode))
    table.try_bounds(params)
    return table.noise(params)


def _outcome(
    sums: Sums,
    missing: Array,
    noise: Array,
    goal: float,
    gave_up: NDArray[np.bool_],
    mode: Array,
) -> Outcome:
    """Compute log evidences and their error figures from integrals."""
    nothing = sums.total <= 0
    total = np.where(nothing, 1.0, sums.total)
    value = sums.shift + np.log(total)
    # An estimate far below the tolerance may be luck, so the error is at least this share of it.
    noise = _DEVIATIONS * noise
    off = np.maximum(sums.error / total, _CLAIMED * goal) + sums.rounding / total + noise
    # The value may be too high by `off`, and too low by `off` plus the mass dropped.
    high = np.where(off < 1, -np.log1p(-np.minimum(off, 0.999999)), np.inf)
    low = np.log1p(np.where(np.isfinite(off + missing), off + missing, 0.0))
    error = np.maximum(high, low) + ULP * np.abs(value)
    known = np.isfinite(value) & np.isfinite(off + missing) & ~nothing
    error = np.where(known, error, np.inf)
    return Outcome(value, error, sums, missing, noise, gave_up, mode)
