"""What lies outside the grid: wider and wider cells, and beyond them nothing but prior mass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from vaetheory._validation import Array
from vaetheory.gaussians import LOG_2PI, standard_log_prob
from vaetheory.models import LatentModel
from vaetheory.quadrature.grid import INNER, Boxes, outer
from vaetheory.quadrature.tables import Table
from vaetheory.quadrature.variation import batch, vary_mesh

#: Nats below the tolerance at which a pair is dropped, so that many dropped ones stay below it.
MARGIN = 10.0
#: Numbers of a table.
_NUMBERS = 4_000_000


def log_prior_mass(boxes: Boxes) -> Array:
    """Log of volume times the greatest prior density of each cell."""
    constant = 0.5 * boxes.centre.shape[1] * LOG_2PI
    return boxes.log_volume() - 0.5 * boxes.least_square() - constant


def radius_for(table: Table, level: Array, rtol: float) -> float:
    """How far out there may be something, given log evidences `(N,)`, nats."""
    excess = float((table.peak - level).max()) - np.log(rtol) + MARGIN + 2
    return float(max(INNER, np.sqrt(2 * max(excess, 0.0))))


def beyond(table: Table, level: Array, radius: float, d: int) -> Array:
    """Bound of the mass outside a ball, relative to exp(level), `(N,)`."""
    # Its prior mass is Gamma(a, x) / Gamma(a) <= x^a exp(-x) / (x - (a - 1)) / Gamma(a),
    # a = d / 2 <= 2.
    a, x = 0.5 * d, 0.5 * radius**2
    tail = a * np.log(x) - x - np.log(x - max(a - 1, 0)) - gammaln(a)
    mass: Array = np.exp(np.minimum(table.peak + tail - level, 700.0))
    return mass


@dataclass(frozen=True)
class Outskirt:
    """Some cells outside the grid, and all data in them.

    Attributes
    ----------
    boxes : Boxes
    reach : array (C,)
        See `Variation`.
    joint, upper : array (N, C)
        Log joint at the centres; log of the bound of the mass.
    """

    boxes: Boxes
    reach: Array
    joint: Array
    upper: Array


def outskirts(model: LatentModel, table: Table, radius: float) -> Iterator[Outskirt]:
    """Sample the cells between the grid and a ball."""
    mesh = outer(model.latent_dim, radius)
    step = min(batch(model), max(1, _NUMBERS // len(table.data)))
    for i in range(0, len(mesh), step):
        some = mesh.take(np.s_[i : i + step])
        boxes = some.boxes()
        v = vary_mesh(model, table, some)
        log_prob, slope = table.dense(v.centre)
        upper = table.upper(log_prob, slope, v.reach)
        np.minimum(upper, table.peak[:, None], out=upper)
        upper += log_prior_mass(boxes)
        log_prob += standard_log_prob(boxes.centre)
        yield Outskirt(boxes, v.reach, log_prob, upper)
