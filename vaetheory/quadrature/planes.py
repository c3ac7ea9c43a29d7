"""Bounds from a decoder's tangent planes: Gaussian likelihoods see a plane as a parabola."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.quadrature.blocks import Index
from vaetheory.quadrature.frames import REACH, Slots
from vaetheory.quadrature.grid import Boxes
from vaetheory.quadrature.variation import ROUGH, Variation


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
        self.half_least = 0.5 * boxes.least_square()

    def upper(self, cells: Index, residual: Array, datum: Index, beyond: Slots | None) -> Array:
        """Bound log p(x, z) over cells, or over what of them lies beyond the data's frames.

        Parameters
        ----------
        cells : array of int (C,)
        residual : array (C, L, D)
            Whitened residuals of the data at the centres.
        datum : array of int (C, L)
        beyond : Slots, optional

        Returns
        -------
        array (C, L)
            Relative to the greatest log p(x|z) and to the greatest prior density in the cell.
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
        variance = np.einsum("cjj->cj", inverse)
        away = (np.maximum(np.abs(best) - 1, 0) ** 2 / variance[:, None]).max(axis=-1)
        if beyond is not None:
            for column in beyond.number[datum].transpose(2, 0, 1):
                frames = beyond.frames
                axes = frames.inverse[column]
                across = axes * half[:, None, None]
                middle = np.einsum("clij,clj->cli", axes, centre[:, None] - frames.centre[column])
                middle += np.einsum("clij,clj->cli", across, best)
                spread = np.einsum("clij,cjk,clik->cli", across, inverse, across)
                left = np.maximum(REACH - np.abs(middle), 0) ** 2 / spread
                away = np.where(column >= 0, np.maximum(away, left.min(axis=-1)), away)
        length = np.sqrt(np.maximum(square + away, 0)) - self.curve[cells, None]
        out: Array = self.half_least[cells, None] - 0.5 * np.maximum(length, 0) ** 2
        return out
