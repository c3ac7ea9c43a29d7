"""Bounds of Gaussian log likelihoods from linear fits to a decoder in grid cells.

On a plane, the log of a Gaussian density is a parabola.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from vaetheory._quadrature.frames import REACH, Flags, Frames, Slots
from vaetheory._quadrature.grid import Boxes
from vaetheory._quadrature.variation import ROUGH, Variation
from vaetheory._validation import Array, Index

_Pairs = TypeVar("_Pairs", bound="PairArrays")


class Planes:
    """Linear fits to a decoder in some cells, and how far the decoder may be from them.

    Let u in [-1, 1]^d be the position within a cell. Whitened residual and latent together are
    a(u) = (r - S^T u, c + h u) up to a vector of length `curve`, and log p(x, z) is -|a|^2 / 2
    up to a constant: its maximum over any part of the cell is that of a quadratic function.

    Parameters
    ----------
    v : Variation
    boxes : Boxes
    reach : array (C,)
        Variation in the cells, at least `v.reach`; the excess counts as curvature.
    """

    def __init__(self, v: Variation, boxes: Boxes, reach: Array) -> None:
        self.boxes = boxes
        self.start, self.slopes = v.plane[:, 0], v.plane[:, 1:]
        gram = self.slopes @ np.swapaxes(self.slopes, -1, -2)
        gram += boxes.half[:, :, None] ** 2 * np.eye(boxes.half.shape[1])
        # No bound where the decoder overflows, or where the samples are too rough for a plane.
        sound = np.isfinite(gram).all(axis=(-2, -1))
        gram[~sound] = np.eye(boxes.half.shape[1])
        self.curve = np.where(
            sound & (v.rough <= ROUGH[boxes.half.shape[1]]), v.curve + reach - v.reach, np.inf
        )
        # The ridge keeps the matrix regular; `ridge` is subtracted from the squares again.
        size = np.einsum("cjj->c", gram)
        self.inverse = np.linalg.inv(gram + 1e-13 * size[:, None, None] * np.eye(gram.shape[-1]))
        self.ridge = 1e-13 * size * boxes.half.shape[1]
        #: Products of the fit at the centre with itself and with the slopes.
        self.square = np.einsum("cd,cd->c", self.start, self.start)
        self.along = np.einsum("cid,cd->ci", self.slopes, self.start)

    def look(self, cells: Index, residual: Array, datum: Index, beyond: Slots | None) -> Parabolas:
        """Bounds of log p(x, z) over cells, or over their parts outside the data's frames.

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
        # The parabola's maximum is not reached if it lies outside the cell or inside a frame.
        variance = np.einsum("cjj->jc", inverse)[:, None, :, None]
        along = np.moveaxis(best, -1, 0)
        halves = np.stack([np.maximum(along, -1 - along), np.maximum(-along, along - 1)], axis=1)
        halves = np.maximum(halves, 0) ** 2 / variance
        outside = np.zeros(square.shape)
        if beyond is not None:
            place = centre[:, None] + half[:, None] * best
            for column in beyond.number[datum].transpose(2, 0, 1):
                left = way_out(beyond.frames, column, place, half, inverse)
                outside = np.where(column >= 0, np.maximum(outside, left), outside)
        return Parabolas(
            square, halves, outside, np.broadcast_to(self.curve[cells, None], square.shape)
        )


def way_out(frames: Frames, number: Index, place: Array, half: Array, inverse: Array) -> Array:
    """How much |a|^2 grows from its minimum at `place` (C, L, d) to the border of a frame."""
    d, many = half.shape[1], number.shape[1]
    # One long array per component, because operations along axes of length two or three are slow.
    used = number.ravel()
    axes = np.take(frames.inverse.reshape(-1, d * d).T, used, axis=1).reshape(d, d, -1)
    away = place.reshape(-1, d).T - np.take(frames.centre.T, used, axis=1)
    metric = (half[:, :, None] * inverse * half[:, None]).reshape(-1, d * d).T
    metric = np.repeat(metric, many, axis=-1).reshape(d, d, -1)
    growth = np.full(number.size, np.inf)
    for axis in axes:
        left = np.maximum(REACH - np.abs(np.einsum("jp,jp->p", axis, away)), 0)
        # Variance of the frame's coordinate in the metric of the parabola.
        spread = np.einsum("jp,jkp,kp->p", axis, metric, axis)
        np.minimum(growth, left**2 / np.maximum(spread, 1e-300), out=growth)
    return growth.reshape(number.shape)


@dataclass(frozen=True)
class PairArrays(ABC):
    """Parabolas that bound log p(x, z) in (cell, datum) pairs; the last axes of all arrays.

    Attributes
    ----------
    square : array (...)
        Least |a|^2 on the whole plane.
    halves : array (d, 2, ...)
        How much larger it is in the lower and in the upper half of the cell along each axis.
    outside : array (...)
        How much larger it is outside the frames.
    """

    square: Array
    halves: Array
    outside: Array

    def put(self, there: Index, other: PairArrays, which: Flags) -> None:
        """Overwrite the parabolas of some pairs with those of another object."""
        for name, array in vars(self).items():
            array[..., there] = getattr(other, name)[..., which]

    def take(self: _Pairs, which: Index | Flags | slice) -> _Pairs:
        """The parabolas of some pairs."""
        return type(self)(**{name: array[..., which] for name, array in vars(self).items()})

    @abstractmethod
    def upper(self, along: Array | None = None) -> Array:
        """Bound log p(x, z), up to a constant, in the cells or in parts of them.

        Parameters
        ----------
        along : array (d, ...), optional
            How much larger |a|^2 is in the part, by axis; that of the whole cell by default.
        """

    def whole(self) -> Array:
        """How much larger |a|^2 is in the cell than on the whole plane, by axis, `(d, ...)`."""
        return np.minimum(self.halves[:, 0], self.halves[:, 1])


@dataclass(frozen=True)
class Parabolas(PairArrays):
    """Parabolas -|a|^2 / 2 that bound log p(x, z), up to a constant, in (cell, datum) pairs.

    Attributes
    ----------
    curve : array (...)
        Greatest distance of a from its plane.
    """

    curve: Array

    @classmethod
    def empty(cls, count: int, d: int) -> Parabolas:
        """Uninitialised arrays for some pairs."""
        return cls(np.empty(count), np.empty((d, 2, count)), np.empty(count), np.empty(count))

    def upper(self, along: Array | None = None) -> Array:
        along = self.whole() if along is None else along
        away = np.maximum(along.max(axis=0), self.outside)
        length = np.sqrt(np.maximum(self.square + away, 0)) - self.curve
        bound: Array = -0.5 * np.maximum(length, 0) ** 2
        return bound
