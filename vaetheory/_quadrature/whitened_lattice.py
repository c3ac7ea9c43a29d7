"""Whitened lattices: trapezoid rules for each mode of each posterior, in its own axes.

The nodes are w = sinh(a t) / a in the principal axes of the posterior, each t a point of a
hexagonal (d = 2) or body-centred cubic (d = 3) lattice: as dense as a Gaussian asks for in the
middle, sparse in the tails, which are seen out to twelve standard deviations. The trapezoid rule
converges exponentially in 1 / step under such a map. There are a few such lattices at irregular
shifts, see `shifted`: by how much they disagree is how far they are off. Nothing is extrapolated.
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

#: Strength a of the map; the spacing has doubled at 1.7 / a standard deviations.
_MAP = 0.15
#: Stretch of the lattices along each axis: without it some wave of many cycles a step, of one
#: phase, would spoil all alike.
_STRETCH = np.array([
    [1.0, 1.0, 1.0, 1.0], [1.04, 0.92, 1.0, 1.0], [0.92, 1.04, 1.04, 0.97],
    [1.0, 1.0, 0.97, 1.04], [0.985, 0.985, 1.02, 1.02],
])  # fmt: skip
#: Standard deviations that the lattices span to either side.
_SPAN = 12.0
#: The sum over the nodes outside the core is off by up to this many times itself: seen was 17.
SPARSE = 100.0
#: Numbers of a block: what a decoder's outputs at some nodes take stays in the cache.
_LIMIT = 150_000


@dataclass(frozen=True)
class LatticeRule:
    """Nodes in whitened coordinates.

    Attributes
    ----------
    nodes : array (M, d)
        The core first, then every second node, along each row of `basis`, of what surrounds it.
    log_weights : array (M,)
        Of a lattice by itself.
    lattice : array (M, L)
        Ones where a node is of a lattice.
    core : int
        Number of the core's nodes.
    """

    nodes: Array
    log_weights: Array
    lattice: Array
    core: int

    def integrate(self, values: Array) -> tuple[Array, Array]:
        """Integrals and estimates of their errors from weighted values `(..., M)`.

        The error is `SAFETY` times the spread of the lattices, and what is outside the core.
        """
        sums = values @ self.lattice
        outside = np.abs(values[..., self.core :]).sum(axis=-1) / sums.shape[-1]
        spread = SAFETY[self.nodes.shape[1]] * np.ptp(sums, axis=-1)
        return sums.mean(axis=-1), spread + SPARSE * outside


@lru_cache(maxsize=8)
def basis(d: int) -> Array:
    """Rows that span the lattices, of unit volume: A_d*, hexagonal or body-centred cubic.

    A lattice takes the waves of its dual for constants. Of all lattices with as many nodes those of
    d = 2 and 3 keep the longest of these waves shortest: 15 % and 41 % more nodes is what it takes
    along the axes.
    """
    gram = 2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)
    rows = np.linalg.cholesky(np.linalg.inv(gram))
    out: Array = rows / np.linalg.det(rows) ** (1 / d)
    return out


@lru_cache(maxsize=16)
def lattice_rule(d: int, step: float, core: float) -> LatticeRule:
    """Return the rule whose lattices have a step in the middle, all nodes up to a radius of `core`.

    Each has a node in a volume of step^d, or nearly: they are stretched. Further out only every
    second one along each of its rows is evaluated: a Gaussian is 1e-14 beyond 8.

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
    # No lattice's node is at the mode: no symmetry of a posterior is hit.
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
    rows = max(1, _LIMIT // model.data_dim)
    for i in range(0, count, max(1, len(value))):
        now = np.s_[i : min(i + len(value), count)]
        some = frames.take(now)
        here = value[: len(some)]
        who = some.owner[:, None]
        start = table.restrict(model.decode(some.centre))
        base, score = table.centre(who, start)
        offset = base[:, 0] + standard_log_prob(some.centre) - shift[now]
        piece = max(1, rows // len(some))
        for j in range(0, m, piece):
            step = some.steps(rule.nodes[j : j + piece])
            params = table.restrict(model.decode(some.centre[:, None] + step))
            delta = table.coordinates(params - start[:, None])
            exponent = table.change(score, who, start, delta)[:, 0]
            # The prior is centred like the likelihood, for the same reason.
            exponent -= np.einsum("fmd,fmd->fm", step, some.centre[:, None] + 0.5 * step)
            here[:, j : j + piece] = exponent
        volume = log_volume[now, None] + rule.log_weights
        here += offset[:, None] + volume
        np.clip(here, LEAST, MOST, out=here)
        np.exp(here, out=here)
        total, part.error[now, 0] = rule.integrate(here)
        part.value[now] = total
        part.rounding[now] = table.rounding(base[:, 0], some.owner, offset, shift[now]) * total
        if observable is not None:
            values = observable(some.points(rule.nodes))
            far = here < np.exp(TAIL + volume)
            for k in range(wanted):
                product = here * values[..., k]
                part.moment[now, k], part.moment_error[now, k, 0] = rule.integrate(product)
                part.size[now, k] = rule.integrate(np.abs(product))[0]
                part.tail[now, k] = rule.integrate(np.where(far, np.abs(product), 0.0))[0]
    return part
