"""Bounds of Gaussian log likelihoods whose means and scales both vary in a cell.

The residual of each datum is nearly linear, with slopes of its own, and so is the *field*, the
summand of log p that is the same for all data. On a plane the log of the density is then a
parabola, tilted by the field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.blocks import blocks
from vaetheory._quadrature.frames import Flags, Slots
from vaetheory._quadrature.grid import Boxes
from vaetheory._quadrature.resolution import (
    ALIGNED,
    INHERITED,
    LINEAR_SAFETY,
    LOST,
    MAX_BEND,
    MAX_CURVE,
    TRUSTED,
)
from vaetheory._quadrature.tangent_bounds import PairArrays, way_out
from vaetheory._quadrature.variation import (
    ROUGH,
    SAFETY,
    SAFETY_CURVE,
    UNSEEN,
    FieldVariation,
    axes_to_halve,
    misfit_matrix,
    offsets,
    plane_matrix,
    sample_cells,
)
from vaetheory._validation import Array, Index
from vaetheory.likelihoods.table import Responses, Table
from vaetheory.models import LatentModel

#: Numbers in a block.
_LIMIT = 600_000
#: The largest share of |a|^2 that is given up for its distance from the plane, and what keeps a
#: matrix regular.
_SHARE, _RIDGE = 0.5, 1e-13


@dataclass(frozen=True)
class TiltedParabolas(PairArrays):
    """Bounds top - left (|a|^2 - 2 t . u) / 2 of log p(x, z) in (cell, datum) pairs.

    Attributes
    ----------
    square, halves, outside : arrays
        Those of |a|^2 - 2 t . u, as in `Parabolas`.
    left : array (...)
        The share of it that remains where a is off its plane.
    top : array (...)
        What is added, in nats.
    """

    left: Array
    top: Array

    @classmethod
    def empty(cls, count: int, d: int) -> TiltedParabolas:
        """Uninitialised arrays for some pairs."""
        square, outside, left, top = np.empty((4, count))
        return cls(square, np.empty((d, 2, count)), outside, left, top)

    def upper(self, along: Array | None = None) -> Array:
        along = self.whole() if along is None else along
        away = np.maximum(along.max(axis=0), self.outside)
        bound = self.top - 0.5 * self.left * (self.square + away)
        # What overflows is no bound.
        return np.where(np.isnan(bound), np.inf, bound)


@dataclass(frozen=True)
class SeenCells:
    """What samples of C cells show about P pairs; see `Look` for the first five.

    Attributes
    ----------
    upper, rough : arrays (P,)
        `upper` is the bound of the log density of the datum, in nats.
    varies : array (C, 4)
    axes : array of bool (C, d)
    parabolas : TiltedParabolas
    best : array (P,)
        Greatest log joint at the points of the cells, nats.
    where : array of int (P,)
        At which of them.
    points : array (C, K + 1, d)
    """

    upper: Array
    rough: Array
    varies: Array
    axes: NDArray[np.bool_]
    parabolas: TiltedParabolas
    best: Array
    where: Index
    points: Array


def look_at_cells(
    model: LatentModel,
    table: Table,
    boxes: Boxes,
    calm: Array,
    cell: Index,
    datum: Index,
    beyond: Slots | None,
    closely: bool,
) -> SeenCells:
    """Bound the log densities of pairs from samples of the decoder in their cells.

    Parameters
    ----------
    model : LatentModel
    table : Table
        With a field.
    boxes : Boxes
    calm : array (C, 2)
        Reach and swing that the cells inherit.
    cell, datum : arrays of int (P,)
        The pairs; `cell` is sorted, and every cell has one.
    beyond : Slots, optional
        Frames of the data: what lies inside them does not count.
    closely : bool
        Whether it is measured how rough the pairs are.
    """
    d = model.latent_dim
    params = sample_cells(model, table, boxes)
    points = boxes.centre[:, None] + boxes.half[:, None] * np.r_[np.zeros((1, d)), offsets(d)]
    delta = table.changes(params, params[:, :1])
    rise = table.rise(delta)
    seen = _responses(table, params, cell, datum)
    first = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])
    own = _Own.of(seen, d)
    reach, curve = np.maximum.reduceat(own.reach, first), np.maximum.reduceat(own.curve, first)
    rugged = np.maximum.reduceat(own.rough, first)
    field = FieldVariation.of(rise, d, np.where(rugged, UNSEEN, 1.0))
    # A function that grows by orders of magnitude may really vary little in one half.
    wider = np.maximum(reach, np.minimum(INHERITED * calm[:, 0], TRUSTED * reach))
    swing = np.maximum(field.swing, np.minimum(INHERITED * calm[:, 1], TRUSTED * field.swing))
    more = (wider / np.maximum(reach, 1e-300))[cell]
    own = own.larger(np.maximum(more, 1.0))
    excess = swing - field.swing
    top = table.top(params[:, 0])
    slope = np.sqrt(seen.square)
    # Where values are huge, their differences have lost digits.
    lost = LOST * (np.abs(seen.value) + slope * own.reach)
    ceiling = (top + field.lift + excess)[cell]
    bound = ceiling - 0.5 * np.maximum(slope - own.reach, 0) ** 2
    prior = standard_log_prob(points)
    best, where = seen.value + prior[cell, 0], np.zeros(len(cell), dtype=np.intp)
    rough = np.zeros(len(cell))
    if closely:
        linear = rise[cell, 1:] - seen.along
        # In many dimensions most of the decoder's curvature is orthogonal to the score.
        bent = SAFETY_CURVE * np.abs(linear @ misfit_matrix(d)[:, 1:].T).max(axis=-1)
        bent = np.maximum(bent, ALIGNED * slope * own.curve)
        # Log p is below its linear part; if the samples are rough, they may have missed a peak.
        tangent = seen.value + LINEAR_SAFETY * np.maximum(linear.max(axis=-1), 0) + bent
        bound = np.fmin(bound, np.where(own.rough, np.inf, tangent))
        gap = SAFETY**2 * table.gap(delta[:, 1:])[cell] * np.maximum(more, 1.0) ** 2
        rough = np.maximum(bent / MAX_CURVE, (gap + own.bend) / MAX_BEND)
        change = linear - 0.5 * np.einsum("pkk->pk", seen.products) + prior[cell, 1:]
        where = change.argmax(axis=-1) + 1
        best = seen.value + change.max(axis=-1)
    bound = np.minimum(np.fmin(bound + lost, ceiling), table.peak[datum])
    products = plane_matrix(d)[:, 1:] @ seen.products @ plane_matrix(d)[:, 1:].T
    parabolas = _parabolas(
        seen, own, products, field.tilt[cell], (top + field.sag + excess)[cell],
        boxes.take(cell), datum, beyond,
    )  # fmt: skip
    parabolas.square[:] -= 2 * lost
    flat = 0.5 * boxes.least_square()[cell] + parabolas.upper()
    upper = np.minimum(bound, flat + lost)
    # A slope of the field counts as that of a residual of the typical length.
    typical = max(params.shape[-1] // 2, 1)
    slopes = np.maximum.reduceat(np.einsum("pkk->pk", products)[:, 1:], first)
    change = np.sqrt(slopes + field.tilt[:, 1:] ** 2 / typical + boxes.half**2)
    varies = np.stack([wider, curve, swing, field.sag], axis=-1)
    axes = axes_to_halve(change, curve, boxes)
    return SeenCells(upper, rough, varies, axes, parabolas, best - lost, where, points)


def _responses(table: Table, params: Array, cell: Index, datum: Index) -> Responses:
    """The responses of all pairs, with one leading axis."""
    many, size = params.shape[1:]
    k = many - 1
    found = Responses(
        np.empty(len(cell)), np.empty(len(cell)), np.empty((len(cell), k)),
        np.empty((len(cell), k, k)),
    )  # fmt: skip
    for b in blocks(cell, per_pair=many * size, per_cell=2 * many * size, limit=_LIMIT):
        there, here = b.pairs[b.valid], table.responses(datum[b.pairs], params[b.cells])
        found.value[there], found.square[there] = here.value[b.valid], here.square[b.valid]
        found.along[there], found.products[there] = here.along[b.valid], here.products[b.valid]
    return found


@dataclass(frozen=True)
class _Own:
    """Variation of each datum's own residual: arrays `(P,)`, see `Variation`.

    `bend` is half the square of the greatest change, with its safety factor.
    """

    reach: Array
    curve: Array
    bend: Array
    rough: Flags

    @classmethod
    def of(cls, seen: Responses, d: int) -> _Own:
        """From the changes to the samples."""
        residual = misfit_matrix(d)[:, 1:]
        change = np.sqrt(np.einsum("pkk->pk", seen.products).max(axis=-1))
        misfit = np.einsum("ki,pij,kj->pk", residual, seen.products, residual, optimize=True)
        misfit = np.sqrt(np.maximum(misfit.max(axis=-1), 0))
        rough = ~(misfit <= ROUGH[d] * np.maximum(change, 1e-300))
        reach = SAFETY * change + SAFETY_CURVE * misfit
        reach = np.where(rough, UNSEEN * reach, reach)
        return cls(reach, SAFETY_CURVE * misfit, 0.5 * (SAFETY * change) ** 2, rough)

    def larger(self, more: Array) -> _Own:
        """The same, `more` times as large, as a cell's parent predicts."""
        return _Own(
            more * self.reach, self.curve + (more - 1) * self.reach, more**2 * self.bend, self.rough
        )


def _parabolas(
    seen: Responses,
    own: _Own,
    products: Array,
    tilt: Array,
    top: Array,
    boxes: Boxes,
    datum: Index,
    beyond: Slots | None,
) -> TiltedParabolas:
    """Bounds of log p(x, z) over cells, or over their parts outside the data's frames.

    Let u in [-1, 1]^d be the position in a cell, a(u) = (r - S u, c + h u) residual and latent
    together, and t . u the field. Up to a constant log p(x, z) is t . u - |a|^2 / 2, where a may
    be off by a vector of length kappa. For any share e of |a|^2,
    (|a| - kappa)^2 >= (1 - e) |a|^2 - kappa^2 (1 / e - 1), so that the maximum over any part of the
    cell is again that of a quadratic function.

    Parameters
    ----------
    seen : Responses
    own : _Own
    products : array (P, d + 1, d + 1)
        Products of the rows of the linear fit to the changes of the residual.
    tilt : array (P, d + 1)
    top : array (P,)
        Greatest log p at the centre plus what the field may be above its linear fit.
    boxes : Boxes
        The P cells.
    datum : array of int (P,)
    beyond : Slots, optional
    """
    centre, half = boxes.centre, boxes.half
    d = half.shape[1]
    # r - S u with S = -(linear fit to the changes of r).
    along = -(seen.along @ plane_matrix(d)[:, 1:].T)
    gram = products[:, 1:, 1:] + half[:, :, None] ** 2 * np.eye(d)
    size = np.einsum("pjj->p", gram)
    # The ridge is subtracted from the squares again.
    inverse = _inverse(gram + _RIDGE * size[:, None, None] * np.eye(d))
    pull = along[:, 1:] - products[:, 0, 1:] - half * centre
    square = seen.square - 2 * along[:, 0] + products[:, 0, 0] + (centre**2).sum(axis=-1)
    # The share is best if |a| is its value where the maximum is.
    u = np.clip(_times(inverse, pull + tilt[:, 1:]), -1, 1)
    length = square + (u * (_times(gram, u) - 2 * pull)).sum(axis=-1)
    length = np.sqrt(np.maximum(length, 0))
    known = np.isfinite(own.curve) & ~own.rough
    curve = np.where(known, own.curve, 0.0)
    share = np.minimum(curve / np.maximum(length, 1e-300), _SHARE)
    left = 1 - share
    slack = 0.5 * curve**2 * left / np.maximum(share, 1e-300)
    pull += tilt[:, 1:] / left[:, None]
    best = _times(inverse, pull)
    square -= (pull * best).sum(axis=-1) + _RIDGE * size * d
    place = best.T
    halves = np.stack([np.maximum(place, -1 - place), np.maximum(-place, place - 1)], axis=1)
    halves = np.maximum(halves, 0) ** 2 / np.einsum("pjj->jp", inverse)[:, None]
    outside = np.zeros(len(square))
    if beyond is not None:
        point = (centre + half * best)[:, None]
        for column in beyond.number[datum].T:
            away = way_out(beyond.frames, column[:, None], point, half, inverse)[:, 0]
            outside = np.where(column >= 0, np.maximum(outside, away), outside)
    known &= np.isfinite(square)
    return TiltedParabolas(
        square, halves, outside, left, np.where(known, top + tilt[:, 0] + slack, np.inf)
    )


def _times(matrices: Array, vectors: Array) -> Array:
    product: Array = np.einsum("pij,pj->pi", matrices, vectors)
    return product


def _inverse(matrices: Array) -> Array:
    """Inverses of symmetric matrices, by the formula where they have two rows."""
    if matrices.shape[-1] != 2:
        sound = np.isfinite(matrices).all(axis=(-2, -1), keepdims=True)
        inverse: Array = np.linalg.inv(np.where(sound, matrices, np.eye(matrices.shape[-1])))
        return np.where(sound, inverse, np.nan)
    a, b, c = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 1]
    adjugate = np.stack([c, -b, -b, a], axis=-1) / (a * c - b * b)[:, None]
    return adjugate.reshape(-1, 2, 2)
