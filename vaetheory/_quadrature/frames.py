"""Frames: whitened coordinates of a posterior around one of its modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaetheory._quadrature.grid import Boxes
from vaetheory._validation import Array, Index
from vaetheory.models import LatentModel

#: Half-width of the box that a frame's lattice covers densely enough, in standard deviations.
REACH = 11.0
#: Where tails are compared, and how far a frame is moved at most, in standard deviations.
_TAIL, _MOST = 8.0, 4.0
#: Standard deviations at which a tail is negligible: a Gaussian has fallen by 45 nats.
_ENOUGH = 9.5

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Frames:
    """Whitened coordinates w of boxes: z = centre + axes w with |w|_inf <= REACH.

    Attributes
    ----------
    owner : array of int (F,)
        The datum of each frame.
    centre : array (F, d)
    axes, inverse : array (F, d, d)
    """

    owner: Index
    centre: Array
    axes: Array
    inverse: Array

    def __len__(self) -> int:
        return len(self.owner)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Frames:
        """The frames at some positions."""
        return Frames(self.owner[which], self.centre[which], self.axes[which], self.inverse[which])

    def steps(self, w: Array) -> Array:
        """Latents relative to the centres, `(M, d) -> (F, M, d)`."""
        steps: Array = w @ np.swapaxes(self.axes, -1, -2)
        return steps

    def points(self, w: Array) -> Array:
        """Latents at whitened coordinates, `(M, d) -> (F, M, d)`."""
        return self.centre[:, None] + self.steps(w)

    def log_volume(self) -> Array:
        """Log volume of the unit cube of w in the latent space, `(F,)`."""
        log_det: Array = np.linalg.slogdet(self.axes)[1]
        return log_det


def frames_at(model: LatentModel, data: Array, owner: Index, centre: Array) -> Frames:
    """Return frames at points `(F, d)`, from the Hessian of -log p(x, z) where it is definite."""
    _, hessian, safe = model.search_derivatives(data[owner], centre)
    hessian = np.where(np.isfinite(hessian), hessian, 0.0)
    values, vectors = np.linalg.eigh(hessian)
    bad = values[:, 0] <= 0.05 * np.abs(values[:, -1])
    if bad.any():
        values[bad], vectors[bad] = np.linalg.eigh(np.where(np.isfinite(safe[bad]), safe[bad], 0.0))
    scale = 1 / np.sqrt(np.maximum(values, 1e-3))
    axes = vectors * scale[:, None]
    return Frames(owner, centre, axes, np.swapaxes(vectors / scale[:, None], -1, -2))


def balanced(model: LatentModel, data: Array, frames: Frames) -> Frames:
    """Move frames of skewed posteriors along the longer tail, which would leave them otherwise."""
    d = frames.centre.shape[1]
    ends = _TAIL * np.concatenate([np.eye(d), -np.eye(d)])
    some = data[frames.owner]
    fall = model.log_joint(some, frames.centre)[:, None]
    fall = fall - model.log_joint(some[:, None], frames.points(ends))
    # Standard deviations of the two half-Gaussians that fall by this much.
    width = _TAIL / np.sqrt(2 * np.maximum(fall, 2.0))
    more = np.clip(_ENOUGH * width - REACH, 0, _MOST)
    step = more[:, :d] - more[:, d:]
    # Where the log joint hardly falls there is another feature, not a tail.
    step = np.where((width < 2).all(axis=-1, keepdims=True), step, 0.0)
    centre = frames.centre + np.einsum("fij,fj->fi", frames.axes, step)
    return Frames(frames.owner, centre, frames.axes, frames.inverse)


@dataclass(frozen=True)
class Slots:
    """The frames of each datum.

    Attributes
    ----------
    frames : Frames
    number : array of int (N, m)
        Indices of a datum's frames, padded with -1.
    """

    frames: Frames
    number: Index

    def covered(self, boxes: Boxes, cell: Index, datum: Index) -> Flags:
        """Mark the pairs `(P,)` whose cell lies wholly in one of their datum's frames."""
        inside = np.zeros(len(cell), dtype=bool)
        for column in self.number.T:
            frame = column[datum]
            inverse = self.frames.inverse[frame]
            away = boxes.centre[cell] - self.frames.centre[frame]
            reach = np.abs(np.einsum("pij,pj->pi", inverse, away))
            reach += np.einsum("pij,pj->pi", np.abs(inverse), boxes.half[cell])
            inside |= (frame >= 0) & (reach <= REACH).all(axis=-1)
        return inside

    def distinct(self) -> Slots:
        """Drop frames whose centre lies within three standard deviations of an earlier one.

        The distance must be below three in the axes of both frames: a narrow mode within a broad
        one is a different mode.
        """
        number = self.number.copy()
        for j in range(number.shape[1]):
            for i in range(j):
                rows = np.flatnonzero((number[:, i] >= 0) & (number[:, j] >= 0))
                from_a, from_b = self._away(number[rows, i], number[rows, j])
                same = np.maximum(from_a.max(axis=-1), from_b.max(axis=-1)) < 3
                number[rows[same], j] = -1
        # Keep only the columns in use: an empty column costs as much as a full one.
        number = np.take_along_axis(number, np.argsort(number < 0, axis=1, kind="stable"), axis=1)
        return Slots(self.frames, number[:, (number >= 0).any(axis=0)])

    def disjoint(self) -> Flags:
        """Mark the data whose frames do not overlap each other, `(N,)`."""
        number = self.number
        disjoint = np.ones(len(number), dtype=bool)
        for j in range(number.shape[1]):
            for i in range(j):
                rows = np.flatnonzero((number[:, i] >= 0) & (number[:, j] >= 0))
                a, b = self.frames.take(number[rows, i]), self.frames.take(number[rows, j])
                from_a, from_b = self._away(number[rows, i], number[rows, j])
                # Two boxes do not overlap if an axis of one of them separates them.
                wide_a = REACH * (1 + np.abs(a.inverse @ b.axes).sum(axis=-1))
                wide_b = REACH * (1 + np.abs(b.inverse @ a.axes).sum(axis=-1))
                disjoint[rows] &= (from_a > wide_a).any(axis=-1) | (from_b > wide_b).any(axis=-1)
        return disjoint

    def _away(self, one: Index, other: Index) -> tuple[Array, Array]:
        """Distances between the centres of pairs of frames, in the axes of each, `(P, d)`."""
        a, b = self.frames.take(one), self.frames.take(other)
        away = b.centre - a.centre
        return (
            np.abs(np.einsum("pij,pj->pi", a.inverse, away)),
            np.abs(np.einsum("pij,pj->pi", b.inverse, away)),
        )
