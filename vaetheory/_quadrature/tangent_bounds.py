"""Bounds from a decoder's tangent planes: Gaussian likelihoods see a plane as a parabola."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaetheory._quadrature.frames import REACH, Flags, Frames, Slots
from vaetheory._quadrature.grid import Boxes
from vaetheory._quadrature.variation import ROUGH, Variation
from vaetheory._validation import Array, Index


class Planes:
    """Linear fits to a decoder in some cells, and how far it may be from them.

    With u in [-1, 1]^d the place within a cell, whitened residual and latent together are
    a(u) = (r - S^T u, c + h u) up to a vector of length `curve`, and log p(x, z) is -|a|^2 / 2
    up to a constant: its greatest value over any part of the cell is that of a quadratic.

    Parameters
    ----------
    v : Variation
    boxes : Boxes
    reach : array (C,)
        Variation of the cells, at least `v.reach`; what is inherited counts as curvature.
    """

    def __init__(self, v: Variation, boxes: Boxes, reach: Array) -> None:
        self.boxes = boxes
        self.start, self.slopes = v.plane[:, 0], v.plane[:, 1:]
        gram = self.slopes @ np.swapaxes(self.slopes, -1, -2)
        gram += boxes.half[:, :, None] ** 2 * np.eye(boxes.half.shape[1])
        # Far out a decoder may overflow, and rough samples show no plane: no bound there.
        sound = np.isfinite(gram).all(axis=(-2, -1))
        gram[~sound] = np.eye(boxes.half.shape[1])
        self.curve = np.where(
            sound & (v.rough <= ROUGH[boxes.half.shape[1]]), v.curve + reach - v.reach, np.inf
        )
        # Never singular to rounding; what that adds to a square is taken off again.
        size = np.einsum("cjj->c", gram)
        self.inverse = np.linalg.inv(gram + 1e-13 * size[:, None, None] * np.eye(gram.shape[-1]))
        self.ridge = 1e-13 * size * boxes.half.shape[1]
        #: Products of the fit at the centre with itself and with the slopes.
        self.square = np.einsum("cd,cd->c", self.start, self.start)
        self.along = np.einsum("cid,cd->ci", self.slopes, self.start)

    def look(self, cells: Index, residual: Array, datum: Index, beyond: Slots | None) -> Parabolas:
        """Bounds of log p(x, z) over cells, or over what of them lies beyond the data's frames.

        Parameters
        ----------
        cells : array of int (C,)
        residual : array (C, L, D)
            Whitened residuals of the data at the centres.
        datum : array of int (C, L)
        beyond : Slots, optional
        """
        centre, half = self.boxes.centre[cells], self.boxes.half[cells]
        inverse = self.inverse[cells]
        pull = residual @ np.swapaxes(self.slopes[cells], -1, -2)
        pull -= (self.along[cells] + half * centre)[:, None]
        best = pull @ inverse
        square = np.einsum("cld,cld->cl", residual, residual)
        square -= 2 * np.einsum("cld,cd->cl", residual, self.start[cells])
        square += (self.square[cells] + np.einsum("cd,cd->c", centre, centre))[:, None]
        square -= np.einsum("clj,clj->cl", pull, best)
        square -= self.ridge[cells, None]
        # Where the parabola's top lies outside the cell, or inside a frame, it is not reached.
        variance = np.einsum("cjj->jc", inverse)[:, None, :, None]
        along = np.moveaxis(best, -1, 0)
        halves = np.stack([np.maximum(along, -1 - along), np.maximum(-along, along - 1)], axis=1)
        halves = np.maximum(halves, 0) ** 2 / variance
        outside = np.zeros(square.shape)
        if beyond is not None:
            place = centre[:, None] + half[:, None] * best
            for column in beyond.number[datum].transpose(2, 0, 1):
                left = _way_out(beyond.frames, column, place, half, inverse)
                outside = np.where(column >= 0, np.maximum(outside, left), outside)
        return Parabolas(
            square, halves, outside, np.broadcast_to(self.curve[cells, None], square.shape)
        )


def _way_out(frames: Frames, number: Index, place: Array, half: Array, inverse: Array) -> Array:
    """By how much |a|^2 grows on the way from `place` (C, L, d), its least, out of a frame."""
    d, many = half.shape[1], number.shape[1]
    # Long arrays of one component each: operations along axes of two or three are slow.
    used = number.ravel()
    axes = np.take(frames.inverse.reshape(-1, d * d).T, used, axis=1).reshape(d, d, -1)
    away = place.reshape(-1, d).T - np.take(frames.centre.T, used, axis=1)
    metric = (half[:, :, None] * inverse * half[:, None]).reshape(-1, d * d).T
    metric = np.repeat(metric, many, axis=-1).reshape(d, d, -1)
    out = np.full(number.size, np.inf)
    for axis in axes:
        left = np.maximum(REACH - np.abs(np.einsum("jp,jp->p", axis, away)), 0)
        # Variance of the frame's coordinate, the metric being that of the parabola.
        spread = np.einsum("jp,jkp,kp->p", axis, metric, axis)
        np.minimum(out, left**2 / np.maximum(spread, 1e-300), out=out)
    return out.reshape(number.shape)


@dataclass(frozen=True)
class Parabolas:
    """What planes say of log p(x, z) in (cell, datum) pairs `(...)`: -|a|^2 / 2 up to a constant.

    Attributes
    ----------
    square : array (...)
        Least |a|^2 on the whole plane.
    halves : array (d, 2, ...)
        By how much it is more in the lower and in the upper half of the cell along each axis.
    outside : array (...)
        By how much it is more outside the frames.
    curve : array (...)
        How far a may be from its plane.
    """

    square: Array
    halves: Array
    outside: Array
    curve: Array

    @classmethod
    def empty(cls, count: int, d: int) -> Parabolas:
        """Room for some pairs."""
        return cls(np.empty(count), np.empty((d, 2, count)), np.empty(count), np.empty(count))

    def put(self, there: Index, other: Parabolas, which: Flags) -> None:
        """Take those of some pairs."""
        self.square[there], self.halves[..., there] = other.square[which], other.halves[..., which]
        self.outside[there], self.curve[there] = other.outside[which], other.curve[which]

    def take(self, which: Index | Flags | slice) -> Parabolas:
        """Those of some pairs."""
        return Parabolas(
            self.square[which], self.halves[..., which], self.outside[which], self.curve[which]
        )

    def whole(self) -> Array:
        """By how much |a|^2 is more in the cell, along each axis, `(d, ...)`."""
        return np.minimum(self.halves[:, 0], self.halves[:, 1])

    def upper(self, along: Array | None = None) -> Array:
        """Bound log p(x, z), up to a constant, in the cells or in parts of them.

        Parameters
        ----------
        along : array (d, ...), optional
            By how much |a|^2 is more in the part along each axis; the whole cell by default.
        """
        along = self.whole() if along is None else along
        away = np.maximum(along.max(axis=0), self.outside)
        length = np.sqrt(np.maximum(self.square + away, 0)) - self.curve
        out: Array = -0.5 * np.maximum(length, 0) ** 2
        return out
