"""Whitened lattices: one trapezoid rule for each mode of each posterior, in its own axes.

The nodes are w = sinh(a t) / a for equidistant t along every principal axis of the posterior: as
dense as a Gaussian asks for in the middle, sparse in the tails, which are seen out to twelve
standard deviations. The trapezoid rule converges exponentially in 1 / step under such a map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vaetheory._validation import Array
from vaetheory.gaussians import standard_log_prob
from vaetheory.models import LatentModel
from vaetheory.quadrature.blocks import Index
from vaetheory.quadrature.frames import Frames
from vaetheory.quadrature.sums import LEAST, MOST, Observable, Part, columns_of
from vaetheory.quadrature.tables import Table

#: Strength a of the map; the spacing has doubled at 1.7 / a standard deviations.
_MAP = 0.2
#: Standard deviations that the lattice spans to either side.
_SPAN = 12.0
#: The sum over the nodes outside the core is off by up to this many times itself: seen was 17.
_SPARSE = 100.0
#: Offsets of the lattice from the mode, in steps: no symmetry of a posterior is hit.
_OFFSETS = (0.31, 0.17, -0.43, 0.09)
#: Frequencies taken together at the end and at three quarters of the spectrum.
_BAND = 2
#: How far the fall over the last quarter is trusted to go on; 4 would go all the way. Beyond the
#: last frequency a pole nearby of small residue can make the spectrum all but flat.
_POWER = 0.0
#: Numbers of a block: what a decoder's outputs at some nodes take stays in the cache.
_LIMIT = 150_000


@dataclass(frozen=True)
class LatticeRule:
    """Nodes in whitened coordinates.

    Attributes
    ----------
    nodes : array (M, d)
        The core first, then every second node an axis of what surrounds it.
    log_weights : array (M,)
    core : array of int
        Positions of the core's nodes in the full lattice of `size` nodes an axis.
    size : int
    spectrum : array (size, 8)
        Columns turn the values along a line into real and imaginary parts of Fourier
        coefficients: two at three quarters of the highest frequency, then the two highest.
    """

    nodes: Array
    log_weights: Array
    core: Index
    size: int
    spectrum: Array

    @property
    def dim(self) -> int:
        """The dimension d."""
        return int(self.nodes.shape[1])

    def error(self, values: Array) -> Array:
        """Estimate of the quadrature error, `(..., core) -> (...)`.

        The error of a trapezoid rule is the spectrum at twice the highest frequency that its
        nodes resolve. It is extrapolated from the end of the spectrum, as it falls over the last
        quarter: the fall from the middle tells of the bulk of a posterior, not of its details.
        Moduli are summed over all lines of nodes, so that neither phases nor signs can hide it.
        """
        d, n = self.dim, self.size
        leading = values.shape[:-1]
        full = np.zeros((*leading, n**d))
        full[..., self.core] = values
        total = np.zeros(leading)
        for axis in range(d):
            lines = np.moveaxis(full.reshape(-1, *(n,) * d), axis + 1, -1).reshape(-1, n)
            parts = (lines @ self.spectrum).reshape(*leading, -1, 2, _BAND, 2)
            before, top = np.moveaxis(np.hypot(parts[..., 0], parts[..., 1]).sum(-1), -1, 0)
            ratio = top / np.maximum(before, np.maximum(top, 1e-300))
            total += (top * ratio**_POWER).sum(axis=-1)
        return total


@lru_cache(maxsize=16)
def lattice_rule(d: int, n: int, core: float) -> LatticeRule:
    """Return the rule with about `n` nodes an axis, all of them up to a radius of `core`.

    Further out only every second node an axis is evaluated: a Gaussian is 1e-14 beyond 8.

    Examples
    --------
    >>> import numpy as np
    >>> rule = lattice_rule(2, 27, 8.0)
    >>> weights = np.exp(rule.log_weights)
    >>> value = weights @ np.exp(-0.5 * (rule.nodes**2).sum(axis=-1)) / (2 * np.pi)
    >>> bool(abs(value - 1) < 1e-12)
    True
    """
    step = 2 * np.arcsinh(_MAP * _SPAN) / _MAP / (n - 1)
    number = np.arange(n) - (n - 1) / 2
    offsets = np.array(_OFFSETS[:d])
    t = (number[:, None] + offsets) * step
    line, log_slope = np.sinh(_MAP * t) / _MAP, np.log(np.cosh(_MAP * t) * step)
    grids = np.meshgrid(*line.T, indexing="ij")
    logs = np.meshgrid(*log_slope.T, indexing="ij")
    even = np.meshgrid(*(np.arange(n) % 2 == 0,) * d, indexing="ij")
    nodes = np.stack([g.ravel() for g in grids], axis=-1)
    log_weights = np.sum([g.ravel() for g in logs], axis=0)
    inside = (nodes**2).sum(axis=-1) <= core**2
    middle = np.flatnonzero(inside)
    around = np.flatnonzero(~inside & np.all([e.ravel() for e in even], axis=0))
    which = np.concatenate([middle, around])
    log_weights[around] += d * np.log(2.0)
    frequency = np.concatenate([3 * n // 8 - np.arange(_BAND), n // 2 - np.arange(_BAND)])
    angle = 2 * np.pi * np.arange(n)[:, None] * frequency / n
    spectrum = np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(n, -1)
    return LatticeRule(nodes[which], log_weights[which], middle, n, spectrum)


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
    core = len(rule.core)
    wanted = columns_of(observable, rule.dim)
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
        here += (offset + log_volume[now])[:, None] + rule.log_weights
        np.clip(here, LEAST, MOST, out=here)
        np.exp(here, out=here)
        total = here.sum(axis=-1)
        part.value[now] = total
        part.error[now, 0] = rule.error(here[:, :core]) + _SPARSE * here[:, core:].sum(axis=-1)
        part.rounding[now] = table.rounding(base[:, 0], some.owner, offset, shift[now]) * total
        if observable is not None:
            values = observable(some.points(rule.nodes))
            for k in range(wanted):
                product = here * values[..., k]
                part.moment[now, k] = product.sum(axis=-1)
                size = np.abs(product)
                part.size[now, k] = size.sum(axis=-1)
                error = rule.error(product[:, :core]) + _SPARSE * size[:, core:].sum(axis=-1)
                part.moment_error[now, k, 0] = error
    return part
