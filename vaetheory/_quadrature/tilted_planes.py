"""Bounds of Gaussian log likelihoods whose means and scales are nearly linear in a cell.

On a plane of the coordinates of `MeanScaleTable` each datum's residual is linear, with slopes of
its own, and so is the field: the log of the density is a parabola, tilted by the field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaetheory._quadrature.frames import Flags, Slots
from vaetheory._quadrature.grid import Boxes
from vaetheory._quadrature.tangent_bounds import PairArrays, way_out
from vaetheory._quadrature.variation import (
    ROUGH,
    SAFETY,
    SAFETY_CURVE,
    UNSEEN,
    Variation,
    misfit_matrix,
)
from vaetheory._validation import Array, Index
from vaetheory.likelihoods.table import Table


@dataclass(frozen=True)
class OwnVariation:
    """Variation of each datum's own residual in cells: arrays `(C, L)`, see `Variation`."""

    reach: Array
    curve: Array
    rough: Flags


def vary_pairs(
    table: Table, d: int, delta: Array, score: Array, more: Array
) -> OwnVariation:
    """Variation of the residuals of some data in cells.

    Parameters
    ----------
    table : Table
        With a field.
    d : int
        Dimension of the latents.
    delta : array (C, K, D)
        Changes from the centres to the samples.
    score : array (C, L, D)
        Residuals at the centres.
    more : array (C,)
        By how much the cells are assumed to vary more than the samples show.
    """
    change = table.lengths(score, delta).max(axis=-1)
    misfit = table.lengths(score, misfit_matrix(d)[:, 1:] @ delta).max(axis=-1)
    rough: Flags = misfit > ROUGH[d] * np.maximum(change, 1e-300)
    reach = SAFETY * change + SAFETY_CURVE * misfit
    reach = np.where(rough, UNSEEN * reach, reach)
    more = more[:, None]
    return OwnVariation(more * reach, SAFETY_CURVE * misfit + (more - 1) * reach, rough)


class TiltedPlanes:
    """Linear fits to residuals and field in some cells, and how far they may be from them.

    Let u in [-1, 1]^d be the position in a cell, a(u) = (r - S u, c + h u) residual and latent
    together, and q = t . u the field. Up to a constant log p(x, z) is q - |a|^2 / 2, where a may
    be off by a vector of length kappa and q by the field's sag. For any share e of |a|^2,
    (|a| - kappa)^2 >= (1 - e) |a|^2 - kappa^2 (1 / e - 1), so that the maximum over any part of the
    cell is again that of a quadratic function.

    Parameters
    ----------
    table : Table
        With a field.
    v : Variation
    boxes : Boxes
    more : array (C,)
        How much more the field may rise than `v` says.
    """

    def __init__(self, table: Table, v: Variation, boxes: Boxes, more: Array) -> None:
        self.table, self.boxes = table, boxes
        tilt = v.field.tilt
        self.sound = np.isfinite(v.plane).all(axis=(-2, -1)) & np.isfinite(tilt).all(axis=-1)
        self.plane = np.where(self.sound[:, None, None], v.plane, 0.0)
        self.tilt = np.where(self.sound[:, None], tilt[:, 1:], 0.0)
        self.top = table.top(v.centre) + tilt[:, 0] + v.field.sag + more

    def look(
        self, cells: Index, score: Array, datum: Index, own: OwnVariation, beyond: Slots | None
    ) -> TiltedParabolas:
        """Bounds of log p(x, z) over cells, or over their parts outside the data's frames.

        Parameters
        ----------
        cells : array of int (C,)
        score : array (C, L, D)
            Residuals of the data at the centres.
        datum : array of int (C, L)
        own : OwnVariation
        beyond : Slots, optional
        """
        centre, half = self.boxes.centre[cells], self.boxes.half[cells]
        d = half.shape[1]
        products, along = self.table.slopes(score, self.plane[cells])
        gram = products[..., 1:, 1:] + (half[:, :, None] ** 2 * np.eye(d))[:, None]
        size = np.einsum("cljj->cl", gram)
        # The ridge keeps the matrix regular; it is subtracted from the squares again.
        inverse = _inverse(gram + 1e-13 * size[..., None, None] * np.eye(d))
        pull = along[..., 1:] - products[..., 0, 1:] - (half * centre)[:, None]
        square = np.einsum("cld,cld->cl", score, score) - 2 * along[..., 0] + products[..., 0, 0]
        square += np.einsum("cd,cd->c", centre, centre)[:, None]
        # The share is best if |a| is its value where the maximum is.
        tilt = self.tilt[cells][:, None]
        u = np.clip(_times(inverse, pull + tilt), -1, 1)
        length = square - 2 * np.einsum("clj,clj->cl", u, pull)
        length += np.einsum("clj,clj->cl", u, _times(gram, u))
        length = np.sqrt(np.maximum(length, 0))
        known = np.isfinite(own.curve) & ~own.rough & self.sound[cells, None]
        curve = np.where(known, own.curve, 0.0)
        share = np.minimum(curve / np.maximum(length, 1e-300), 0.5)
        # A share of zero is possible only where there is no curve.
        left = 1 - share
        slack = 0.5 * curve**2 * left / np.maximum(share, 1e-300)
        pull += tilt / left[..., None]
        best = _times(inverse, pull)
        square -= np.einsum("clj,clj->cl", pull, best) + 1e-13 * size * d
        variance = np.einsum("cljj->jcl", inverse)[:, None]
        place = np.moveaxis(best, -1, 0)
        halves = np.stack([np.maximum(place, -1 - place), np.maximum(-place, place - 1)], axis=1)
        halves = np.maximum(halves, 0) ** 2 / variance
        outside = np.zeros(square.shape)
        if beyond is not None:
            outside = _outside(beyond, datum, centre, half, best, inverse)
        top = np.where(known, self.top[cells, None] + slack, np.inf)
        return TiltedParabolas(square, halves, outside, left, top)


def _times(matrices: Array, vectors: Array) -> Array:
    product: Array = np.einsum("clij,clj->cli", matrices, vectors)
    return product


def _inverse(matrices: Array) -> Array:
    """Inverses of symmetric matrices, by the formula where they have two rows."""
    if matrices.shape[-1] != 2:
        inverse: Array = np.linalg.inv(matrices)
        return inverse
    a, b, c = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 1]
    adjugate = np.empty_like(matrices)
    adjugate[..., 0, 0], adjugate[..., 1, 1] = c, a
    adjugate[..., 0, 1] = adjugate[..., 1, 0] = -b
    adjugate /= (a * c - b * b)[..., None, None]
    return adjugate


def _outside(
    beyond: Slots, datum: Index, centre: Array, half: Array, best: Array, inverse: Array
) -> Array:
    """How much |a|^2 is larger outside the frames, `(C, L)`."""
    count, many = datum.shape
    d = half.shape[1]
    place = (centre[:, None] + half[:, None] * best).reshape(count * many, 1, d)
    wide = np.repeat(half, many, axis=0)
    inverse = inverse.reshape(count * many, d, d)
    outside = np.zeros(datum.shape)
    for column in beyond.number[datum].transpose(2, 0, 1):
        left = way_out(beyond.frames, column.reshape(-1, 1), place, wide, inverse)
        outside = np.where(column >= 0, np.maximum(outside, left.reshape(datum.shape)), outside)
    return outside


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
        one, halves = np.empty((4, count)), np.empty((d, 2, count))
        return cls(one[0], halves, one[1], one[2], one[3])

    def upper(self, along: Array | None = None) -> Array:
        """Bound log p(x, z) in the cells or in parts of them, see `Parabolas.upper`."""
        along = self.whole() if along is None else along
        away = np.maximum(along.max(axis=0), self.outside)
        bound: Array = self.top - 0.5 * self.left * (self.square + away)
        # What overflows is no bound.
        return np.where(np.isnan(bound), np.inf, bound)
