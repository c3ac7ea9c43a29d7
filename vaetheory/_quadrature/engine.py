"""The adaptive engine: scan, lattices where they do, cells where they do not, chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vaetheory._progress import Progress, report
from vaetheory._quadrature.blocks import keep_freed_memory
from vaetheory._quadrature.broad_posteriors import integrate_broad
from vaetheory._quadrature.cells import integrate
from vaetheory._quadrature.decoder_grid import Grid, sample_grid
from vaetheory._quadrature.grid import CELLS, level
from vaetheory._quadrature.grid_search import Scan
from vaetheory._quadrature.narrow_posteriors import integrate_frames
from vaetheory._quadrature.pairs import TooManyPairs
from vaetheory._quadrature.result import GAVE_UP, NOT_REACHED, REACHED
from vaetheory._quadrature.rounding_noise import log_joint_noise
from vaetheory._quadrature.sums import Observable, Sums
from vaetheory._validation import Array
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP

#: (datum, grid cell) pairs of a chunk: tables of this many numbers are in memory at once.
_CHUNK = 1_200_000
_COARSEST = 1e-9
#: Where there are observables the mass left out is so much less: they may grow outwards.
_FARTHER = 1e-9
_CLAIMED = 0.05
#: The sum over the nodes may be off by this many standard deviations of the rounding noise.
_DEVIATIONS = 3.0
LARGEST_DIM = max(CELLS)


@dataclass
class Outcome:
    """What the engine found for N data.

    Attributes
    ----------
    value : array (N,)
        Log evidence, nats.
    error : array (N,)
        Its error figure.
    sums : Sums
        The integrals it comes from.
    missing : array (N,)
        Estimated bound of the mass left out, relative to the evidence.
    noise : array (N,)
        Rounding noise of the log joint, three standard deviations, nats.
    gave_up : array of bool (N,)
        Where the budget was spent.
    """

    value: Array
    error: Array
    sums: Sums
    missing: Array
    noise: Array
    gave_up: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: list[Outcome]) -> Outcome:
        """The outcomes of several chunks of data, one after the other."""
        return cls(
            np.concatenate([p.value for p in parts]),
            np.concatenate([p.error for p in parts]),
            Sums.joined([p.sums for p in parts]),
            np.concatenate([p.missing for p in parts]),
            np.concatenate([p.noise for p in parts]),
            np.concatenate([p.gave_up for p in parts]),
        )

    def take(self, which: NDArray[np.intp]) -> Outcome:
        """The outcomes of some data."""
        return Outcome(
            self.value[which], self.error[which], self.sums.take(which), self.missing[which],
            self.noise[which], self.gave_up[which],
        )  # fmt: skip

    @property
    def nodes(self) -> int:
        """Evaluations of the integrand, all data together."""
        return int(self.sums.nodes.sum())

    def status(self, error: Array, allowed: Array | float) -> NDArray[np.str_]:
        """How data ended whose errors `(N, ...)` may be what is `allowed`."""
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
    """Integrate for data `(N, D)`."""
    keep_freed_memory()
    n = len(data)
    likelihood, data, offset = model.likelihood.reduced(data)
    if likelihood is not model.likelihood:
        model = model.with_likelihood(likelihood)
    parts: list[Outcome] = []
    # Far from the data decoders may overflow; the clipped values are handled.
    with np.errstate(all="ignore"):
        grid = sample_grid(model, model.likelihood.table(data[:1]))
        chunks = -(-n * len(grid.params) // _CHUNK)
        size = max(1, -(-n // chunks))
        # Chunks still to do, the next one last.
        todo = [np.s_[i : min(i + size, n)] for i in range(0, n, size)][::-1]
        while todo:
            rows = todo.pop()
            try:
                parts.append(_chunk(model, grid, data[rows], rtol, max_nodes, observable))
            except TooManyPairs:
                middle = (rows.start + rows.stop) // 2
                todo += [np.s_[middle : rows.stop], np.s_[rows.start : middle]]
                continue
            report(rows.stop / n, progress)
    out = Outcome.joined(parts)
    return replace(out, value=out.value + offset, error=out.error + ULP * np.abs(offset))


def _chunk(
    model: LatentModel,
    grid: Grid,
    data: Array,
    rtol: float,
    max_nodes: int,
    observable: Observable | None,
) -> Outcome:
    table = model.likelihood.table(data)
    # Convergence is exponential: digits beyond a coarse tolerance cost little, and error
    # estimates of well-resolved integrands cannot be right by chance.
    goal = min(rtol, _COARSEST)
    broad = integrate_broad(
        model, table, grid, rtol=0.4 * goal, ignored=0.4 * _ignored(goal, observable),
        max_nodes=max_nodes, observable=observable,
    )  # fmt: skip
    if broad is None:
        return _searched(model, grid, table, goal, max_nodes, observable)
    done = broad.done
    information = model.gauss_newton(data[done], broad.mode[done])[1]
    noise = log_joint_noise(model, data[done], broad.mode[done], information)
    noise += _own_noise(model, table.take(np.flatnonzero(done)), broad.mode[done])
    sums = broad.sums.take(done)
    found = _outcome(sums, broad.missing[done], noise, goal, np.zeros(len(noise), dtype=bool))
    if done.all():
        return found
    others = table.take(np.flatnonzero(~done))
    rest = _searched(model, grid, others, goal, max_nodes, observable)
    rest.sums.nodes += broad.sums.nodes[~done]
    order = np.argsort(np.concatenate([np.flatnonzero(done), np.flatnonzero(~done)]))
    return Outcome.joined([found, rest]).take(order)


def places(d: int) -> Array:
    """Points `(M, d)` all over what a search looks at, whatever the model."""
    return level(d, CELLS[d]).centre


def _ignored(goal: float, observable: Observable | None) -> float:
    """Share of the evidence that decides what is left out of an integral of that tolerance."""
    return goal if observable is None else _FARTHER * goal


def _searched(
    model: LatentModel,
    grid: Grid,
    table: Table,
    goal: float,
    max_nodes: int,
    observable: Observable | None,
) -> Outcome:
    """By branch and bound, then lattices and cells."""
    data = table.data
    scan = Scan(model, table, _ignored(goal, observable), max_nodes)
    scan.begin(grid)
    noise = log_joint_noise(model, data, scan.mode, scan.information)
    noise += _own_noise(model, table, scan.mode)
    left = np.ones(len(data), dtype=bool)
    framed: Sums | None = None
    if model.latent_dim > 1:
        framed, dropped, done = integrate_frames(
            scan, rtol=0.5 * goal, noise=noise, max_nodes=max_nodes, observable=observable
        )
        scan.dropped += np.where(done, dropped, 0.0)
        left = ~done
    sums = integrate(
        model,
        table,
        scan.pairs(left),
        scan.best,
        rtol=0.4 * goal,
        noise=noise,
        max_nodes=max_nodes,
        nodes=scan.nodes,
        observable=observable,
    )
    if framed is not None:
        sums.put(~left, framed)
    nothing = sums.total <= 0
    missing = scan.dropped * np.exp(np.minimum(scan.level - sums.shift, 700.0))
    missing = missing / np.where(nothing, 1.0, sums.total)
    # Where nothing was found the level is all that is known.
    sums.shift = np.where(nothing, scan.level, sums.shift)
    return _outcome(sums, missing, noise, goal, scan.gave_up | sums.gave_up)


def _own_noise(model: LatentModel, table: Table, mode: Array) -> Array:
    """Rounding of log densities at the modes, after a look whether their bounds hold there."""
    params = table.restrict(model.decode(mode))
    table.try_bounds(params)
    return table.noise(params)


def _outcome(
    sums: Sums, missing: Array, noise: Array, goal: float, gave_up: NDArray[np.bool_]
) -> Outcome:
    """Values and their error figures."""
    nothing = sums.total <= 0
    total = np.where(nothing, 1.0, sums.total)
    value = sums.shift + np.log(total)
    # An estimate far below the tolerance may be luck; no more than this is claimed.
    noise = _DEVIATIONS * noise
    off = np.maximum(sums.error / total, _CLAIMED * goal) + sums.rounding / total + noise
    # Too high by `off` at most; too low by `off` and by what was dropped.
    high = np.where(off < 1, -np.log1p(-np.minimum(off, 0.999999)), np.inf)
    low = np.log1p(np.where(np.isfinite(off + missing), off + missing, 0.0))
    error = np.maximum(high, low) + ULP * np.abs(value)
    known = np.isfinite(value) & np.isfinite(off + missing) & ~nothing
    error = np.where(known, error, np.inf)
    return Outcome(value, error, sums, missing, noise, gave_up)
