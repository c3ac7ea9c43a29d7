"""Trapezoid rules on lattices in whitened coordinates, one rule for each mode of a posterior.

The nodes are w = sinh(a t) / a in the principal axes of the posterior, where t is a point of a
hexagonal (d = 2) or body-centred cubic (d = 3) lattice. They are dense enough for a Gaussian in
the middle and sparse in the tails, up to twelve standard deviations. Under such a map the trapezoid
rule converges exponentially in 1 / step. There are a few lattices at irregular shifts, see
`shifted_lattices`; their disagreement is the error estimate. Nothing is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.frames import Frames
from vaetheory._quadrature.shifted_lattices import SAFETY, SHIFTS
from vaetheory._quadrature.sums import LEAST, MOST, TAIL, Observable, Part, columns_of
from vaetheory._validation import Array
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel

#: Strength a of the map; at 1.7 / a standard deviations the node distance has doubled.
_MAP = 0.15
#: Stretch of each lattice along each axis. Without it there would be a wave of many cycles per step
#: that causes the same error, at one phase, in all lattices.
_STRETCH = np.array([
    [1.0, 1.0, 1.0, 1.0], [1.04, 0.92, 1.0, 1.0], [0.92, 1.04, 1.04, 0.97],
    [1.0, 1.0, 0.97, 1.04], [0.985, 0.985, 1.02, 1.02],
])  # fmt: skip
#: Standard deviations that the lattices span to either side.
_SPAN = 12.0
#: The error of the sum over the nodes outside the core is at most this many times the sum; at most
#: 17 times was measured.
SPARSE = 100.0
#: Numbers in a block, so that a decoder's outputs at some nodes stay in the cache.
_LIMIT = 150_000


@dataclass(frozen=True)
class LatticeRule:
    """Nodes in whitened coordinates.

    Attributes
    ----------
    nodes : array (M, d)
        The core first, then every second node outside it, along each row of `basis`.
    log_weights : array (M,)
        Log weights of each lattice by itself.
    lattice : array (M, L)
        One where a node belongs to a lattice, else zero.
    core : int
        Number of nodes in the core.
    """

    nodes: Array
    log_weights: Array
    lattice: Array
    core: int

    def integrate(self, values: Array) -> tuple[Array, Array]:
        """Integrals and estimates of their errors from weighted values `(..., M)`.

        The error is `SAFETY` times the spread of the lattices, plus `SPARSE` times the sum of
        moduli outside the core.
        """
        sums = values @ self.lattice
        outside = np.abs(values[..., self.core :]).sum(axis=-1) / sums.shape[-1]
        spread = SAFETY[self.nodes.shape[1]] * np.ptp(sums, axis=-1)
        return sums.mean(axis=-1), spread + SPARSE * outside


@lru_cache(maxsize=8)
def basis(d: int) -> Array:
    """Basis vectors (rows) of the lattice A_d* of unit volume: hexagonal, body-centred cubic.

    The waves of the dual lattice are constant on a lattice. For d = 2 and 3 the longest of these
    waves is as short as it can be for the number of nodes: a lattice along the axes would need
    15 % and 41 % more nodes.
    """
    gram = 2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)
    rows = np.linalg.cholesky(np.linalg.inv(gram))
    unit: Array = rows / np.linalg.det(rows) ** (1 / d)
    return unit


@lru_cache(maxsize=16)
def lattice_rule(d: int, step: float, core: float) -> LatticeRule:
    """Return the rule with the given step in the middle and all nodes up to the radius `core`.

    Each lattice has one node in a volume of about step^d (it is stretched). Outside the core only
    every second node along each row of the basis is used: a Gaussian is below 1e-14 beyond 8.

    Examples
    --------
    >>> import numpy as np
    >>> rule = lattice_rule(2, 0.7, 8.0)
    >>> weights = np.exp(rule.log_weights)
    >>> density = weights * np.exp(-0.5 * (rule.nodes**2).sum(axis=-1)) / (2 * np.pi)
    >>> value, error = rule.integrate(density)
    >>> bool(abs(value - 1) < error < 1e-10)
    True
    """
    most, rows = np.arcsinh(_MAP * _SPAN) / _MAP / _STRETCH.min() / step, basis(d)
    # No node lies at the mode, so that no symmetry of a posterior is hit.
    shifts = SHIFTS[d] - SHIFTS[d].mean(axis=0)
    widest = np.ceil(most * np.abs(np.linalg.inv(rows)).sum(axis=0) + 1)
    numbers = [np.arange(-w, w + 1) for w in widest]
    grids = np.stack(np.meshgrid(*numbers, indexing="ij"), axis=-1).reshape(-1, d)
    # The rows are oblique: one in three (d = 2) to three in four (d = 4) lie outside the span.
    near = most + np.abs(shifts @ rows).max(axis=0)
    grids = grids[(np.abs(grids @ rows) <= near).all(axis=-1)]
    steps = step * _STRETCH[: len(shifts), :d]
    t = (steps * ((grids[:, None] + shifts) @ rows)).reshape(-1, d)
    nodes = np.sinh(_MAP * t) / _MAP
    log_weights = np.log(np.cosh(_MAP * t)).sum(axis=-1)
    log_weights += np.tile(np.log(steps).sum(axis=-1), len(grids))
    lattice = np.tile(np.eye(len(shifts)), (len(grids), 1))
    even = np.repeat((grids % 2 == 0).all(axis=-1), len(shifts))
    inside = (nodes**2).sum(axis=-1) <= core**2
    within = (np.abs(nodes) <= _SPAN).all(axis=-1)
    middle, around = np.flatnonzero(inside & within), np.flatnonzero(~inside & within & even)
    which = np.concatenate([middle, around])
    log_weights[around] += d * np.log(2.0)
    return LatticeRule(nodes[which], log_weights[which], lattice[which], len(middle))


def lattice_sum(
    model: LatentModel,
    table: Table,
    frames: Frames,
    shift: Array,
    rule: LatticeRule,
    observable: Observable | None = None,
) -> Part:
    """Integrate exp(log joint - shift) over each frame, `shift` being `(F,)`."""
    count, m = len(frames), len(rule.nodes)
    wanted = columns_of(observable, model.latent_dim)
    part = Part.empty(count, wanted, 1)
    value = np.empty((min(count, max(1, _LIMIT // m)), m))
    log_volume = frames.log_volume()
    rows = max(1, _LIMIT // model.param_dim)
    for i in range(0, count, max(1, len(value))):
        now = np.s_[i : min(i + len(value), count)]
        batch = frames.take(now)
        block = value[: len(batch)]
        who = batch.owner[:, None]
        start = table.restrict(model.decode(batch.centre))
        base, score = table.centre(who, start)
        offset = base[:, 0] + standard_log_prob(batch.centre) - shift[now]
        piece = max(1, rows // len(batch))
        for j in range(0, m, piece):
            step = batch.steps(rule.nodes[j : j + piece])
            params = table.restrict(model.decode(batch.centre[:, None] + step))
            exponent = table.change_to(score, who, start, params)[:, 0]
            # The prior is also taken relative to the centre, to keep its digits.
            exponent -= np.einsum("fmd,fmd->fm", step, batch.centre[:, None] + 0.5 * step)
            block[:, j : j + piece] = exponent
        volume = log_volume[now, None] + rule.log_weights
        block += offset[:, None] + volume
        np.clip(block, LEAST, MOST, out=block)
        np.exp(block, out=block)
        total, part.error[now, 0] = rule.integrate(block)
        part.value[now] = total
        part.rounding[now] = table.rounding(base[:, 0], batch.owner, offset, shift[now]) * total
        if observable is not None:
            values = observable(batch.points(rule.nodes))
            far = block < np.exp(TAIL + volume)
            for k in range(wanted):
                product = block * values[..., k]
                part.moment[now, k], part.moment_error[now, k, 0] = rule.integrate(product)
                part.size[now, k] = rule.integrate(np.abs(product))[0]
                part.tail[now, k] = rule.integrate(np.where(far, np.abs(product), 0.0))[0]
    return part
