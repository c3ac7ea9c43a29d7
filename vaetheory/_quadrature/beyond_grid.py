"""Bounds of the mass outside the grid: cells that widen outwards, then the prior's tail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from vaetheory._gaussians import LOG_2PI, standard_log_prob
from vaetheory._quadrature.frames import Flags
from vaetheory._quadrature.grid import INNER, Boxes, outer
from vaetheory._quadrature.variation import Variation, batch, vary, vary_mesh
from vaetheory._validation import Array
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel

#: A pair is dropped this many nats below the tolerance, so that many dropped pairs stay below it.
MARGIN = 10.0
#: Numbers in an array over all data and some cells.
_NUMBERS = 4_000_000
#: How often a cell is halved at most; the share of the tolerance from which it is halved; and the
#: most cells that are halved at once.
_HALVED, _MUCH, _CELLS = 3, 1e-3, 512


def log_prior_mass(boxes: Boxes) -> Array:
    """Log of each cell's volume times its greatest prior density."""
    constant = 0.5 * boxes.centre.shape[1] * LOG_2PI
    return boxes.log_volume() - 0.5 * boxes.least_square() - constant


def radius_for(table: Table, level: Array, rtol: float) -> float:
    """Radius outside which the mass is negligible, given log evidences `(N,)` in nats."""
    excess = float((table.peak - level).max()) - np.log(rtol) + MARGIN + 2
    return float(max(INNER, np.sqrt(2 * max(excess, 0.0))))


def beyond(table: Table, level: Array, radius: float, d: int) -> Array:
    """Bound of the mass outside a ball, relative to exp(level), `(N,)`."""
    # The prior mass is Gamma(a, x) / Gamma(a) <= x^a exp(-x) / (x - (a - 1)) / Gamma(a),
    # a = d / 2 <= 2.
    a, x = 0.5 * d, 0.5 * radius**2
    tail = a * np.log(x) - x - np.log(x - max(a - 1, 0)) - gammaln(a)
    mass: Array = np.exp(np.minimum(table.peak + tail - level, 700.0))
    return mass


@dataclass(frozen=True)
class Outskirt:
    """Some cells outside the grid, with the log joint of all data in them.

    Attributes
    ----------
    boxes : Boxes
    reach, swing : array (C,)
        See `Variation` and `FieldVariation`.
    joint, upper : array (N, C)
        Log joint at the centres; log of a bound of the mass.
    """

    boxes: Boxes
    reach: Array
    swing: Array
    joint: Array
    upper: Array


def outskirts(model: LatentModel, table: Table, radius: float) -> Iterator[Outskirt]:
    """Sample the cells between the grid and a ball."""
    mesh = outer(model.latent_dim, radius)
    step = min(batch(model), max(1, _NUMBERS // len(table.data)))
    for i in range(0, len(mesh), step):
        cells = mesh.take(np.s_[i : i + step])
        boxes = cells.boxes()
        v = vary_mesh(model, table, cells)
        yield _outskirt(table, boxes, v, v.reach, v.field.lift)


def mass_outside(model: LatentModel, table: Table, level: Array, rtol: float) -> tuple[Array, int]:
    """Bound the mass outside the grid, relative to exp(level), and count the cells examined.

    Parameters
    ----------
    model : LatentModel
    table : Table
        The likelihood of the N data.
    level : array (N,)
        Log evidences, nats.
    rtol : float
        Cells are refined until their mass is small compared with this share of the evidence.
    """
    radius = radius_for(table, level, rtol)
    mass, cells = beyond(table, level, radius, model.latent_dim), 0
    current: Iterator[Outskirt] | list[Outskirt] = outskirts(model, table, radius)
    for depth in range(_HALVED + 1):
        finer: list[Outskirt] = []
        for outskirt in current:
            cells += len(outskirt.boxes)
            bound = np.exp(np.clip(outskirt.upper - level[:, None], -700.0, 700.0))
            much: Flags = np.asarray((bound > _MUCH * rtol).any(axis=0))
            much &= (depth < _HALVED) & (much.sum() <= _CELLS)
            mass += bound[:, ~much].sum(axis=-1)
            if much.any():
                finer += _halved(model, table, outskirt, much)
        current = finer
    return mass, cells


def _halved(model: LatentModel, table: Table, whole: Outskirt, which: Flags) -> Iterator[Outskirt]:
    """Halve some cells along every axis and sample their parts."""
    boxes = whole.boxes.take(which)
    boxes, parent = boxes.halved(np.ones(boxes.half.shape, dtype=bool))
    # As in the search, a part inherits some of its parent's variation.
    inherited, swing = 0.25 * whole.reach[which][parent], 0.25 * whole.swing[which][parent]
    for i in range(0, len(boxes), batch(model)):
        now = np.s_[i : i + batch(model)]
        v = vary(model, table, boxes.take(now))
        calm = np.maximum(v.reach, np.minimum(inherited[now], 8.0 * v.reach))
        lift = np.maximum(v.field.lift, np.minimum(swing[now], 8.0 * v.field.lift))
        yield _outskirt(table, boxes.take(now), v, calm, lift)


def _outskirt(table: Table, boxes: Boxes, v: Variation, reach: Array, lift: Array) -> Outskirt:
    """Bound the mass of all data in some cells, given the variation in them."""
    log_prob, slope = table.dense(v.centre)
    upper = table.upper(log_prob, slope, reach, table.bounds(v.centre, reach, lift))
    np.minimum(upper, table.peak[:, None], out=upper)
    upper += log_prior_mass(boxes)
    log_prob += standard_log_prob(boxes.centre)
    return Outskirt(boxes, reach, v.field.swing, log_prob, upper)
