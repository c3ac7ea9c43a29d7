"""Triangles of the plane as cells: between the kinks of a piecewise linear map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaetheory._quadrature.grid import Boxes
from vaetheory._validation import Array, Index

#: Corners of the parts of a triangle, as corners (0 to 2) and midpoints of the sides opposite to
#: them (3 to 5): halved by the side opposite to the first corner, by one of its other sides (the
#: first, or the second), and by all sides.
_ACROSS = ((0, 1, 3), (0, 3, 2))
_ALONG = (((0, 5, 2), (5, 1, 2)), ((0, 1, 4), (4, 1, 2)))
_BOTH = ((0, 5, 4), (5, 1, 3), (4, 3, 2), (3, 4, 5))


@dataclass(frozen=True)
class Triangles(Boxes):
    """Triangles, as images of the square [-1, 1]^2, of which one side becomes the first corner.

    Attributes
    ----------
    centre, half : array (C, 2)
        Centres of gravity, and half-widths of boxes around them that contain the triangles.
    corners : array (C, 3, 2)
    """

    corners: Array

    @classmethod
    def of(cls, corners: Array) -> Triangles:
        """The triangles with some corners `(C, 3, 2)`."""
        centre = corners.mean(axis=1)
        return cls(centre, np.abs(corners - centre[:, None]).max(axis=1), corners)

    def take(self, which: Index | NDArray[np.bool_] | slice) -> Triangles:
        return Triangles(self.centre[which], self.half[which], self.corners[which])

    @classmethod
    def joined(cls, parts: list[Boxes]) -> Triangles:
        corners = [part.corners for part in parts if isinstance(part, Triangles)]
        return cls.of(np.concatenate(corners))

    def turned(self, first: Index) -> Triangles:
        """The same triangles with other first corners, those of the indices `(C,)`."""
        order = (first[:, None] + np.arange(3)) % 3
        return Triangles(
            self.centre, self.half, np.take_along_axis(self.corners, order[..., None], axis=1)
        )

    def halved(self, axes: NDArray[np.bool_]) -> tuple[Triangles, Index]:
        """Halve each triangle along the axes of the square; also return the parent of each part."""
        middle = 0.5 * (self.corners[:, [1, 2, 0]] + self.corners[:, [2, 0, 1]])
        points = np.concatenate([self.corners, middle], axis=1)
        sides = np.linalg.norm(self.corners[:, 1:] - self.corners[:, :1], axis=-1)
        along, across = axes.T
        count = 1 << axes.sum(axis=-1)
        parts = np.zeros((len(self), 4, 3), dtype=np.intp)
        parts[:, 0] = (0, 1, 2)
        parts[across, :2] = _ACROSS
        parts[along & ~across, :2] = np.array(_ALONG)[sides.argmax(axis=-1)[along & ~across]]
        parts[along & across] = _BOTH
        parent, number = np.nonzero(np.arange(4) < count[:, None])
        return Triangles.of(points[parent[:, None], parts[parent, number]]), parent

    def area(self) -> Array:
        """Area of each triangle, `(C,)`."""
        (one, two) = np.moveaxis(self.corners[:, 1:] - self.corners[:, :1], 1, 0)
        return 0.5 * np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])

    def log_volume(self) -> Array:
        return np.log(np.maximum(self.area(), 1e-300))

    def steps(self, places: Array) -> Array:
        first, *others = np.moveaxis(self.corners - self.centre[:, None], 1, 0)
        far = 0.5 * (1 + places[:, :1])
        side = 0.5 * (1 + places[:, 1:])
        one, two = (other - first for other in others)
        out: Array = first[:, None] + far * (one[:, None] + side * (two - one)[:, None])
        return out

    def scale(self) -> Array:
        return 0.25 * self.area()

    def density(self, places: Array) -> Array:
        return 1.0 + places[:, 0]
