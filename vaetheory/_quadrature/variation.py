"""Estimates, from samples, of how much a decoder varies in a cell.

They have safety factors but are no bounds: an interval bound would need the decoder's formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from vaetheory._quadrature.grid import Boxes, Mesh, corner_bits
from vaetheory._validation import Array
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP

#: Safety factor of the variation of decoder outputs and log likelihoods between samples.
SAFETY = 1.5
#: Safety factor of the deviation from a linear map, of which the fit's residuals are only a part.
SAFETY_CURVE = 3.0
#: Share of misfit, by dimension, above which the samples may have missed a ridge between them, ...
#: (of cells with that misfit that contain a narrow bump or ridge, one in twenty (d = 2) or thirty
#: (d = 3) changes by more than the samples show; hardly any by three times as much. In three
#: dimensions cells are so wide that with a smaller share half of all decoders would be suspect;
#: with a larger one, 0.4, a posterior had an error of 3e-5)
ROUGH = {1: 0.2, 2: 0.2, 3: 0.35, 4: 0.35}
#: ... which may rise this many times higher than the samples show.
UNSEEN = 3.0
_INSIDE = np.array([[0.501, 0.617, 0.432, 0.691], [-0.612, 0.309, -0.47, 0.538]])
#: On a line more samples cost little; bumps between neighbouring samples stay invisible.
_INSIDE_LINE = np.array([[-0.79, -0.612, -0.395, -0.193, 0.217, 0.388, 0.613, 0.786]]).T
#: Degree of the polynomial that is fitted in a cell. For a smooth function its residual is at most
#: this share of that of the linear fit; for a kink, a jump or a narrow bump it is larger.
_DEGREE, _SMOOTH = 4, 0.03
_NUMBERS = 1_000_000


@lru_cache(maxsize=8)
def offsets(d: int) -> Array:
    """Sample offsets `(K, d)` in [-1, 1]^d: every corner, and two points inside.

    A decoder is usually farthest from a plane at the corners. The points inside are irregular, so
    that no symmetry of a decoder makes all of them useless.
    """
    inside = _INSIDE_LINE if d == 1 else _INSIDE[:, :d]
    return np.concatenate([2.0 * corner_bits(d) - 1.0, inside])


@lru_cache(maxsize=8)
def _fit(d: int) -> tuple[Array, Array]:
    points = np.concatenate([np.zeros((1, d)), offsets(d)])
    design = np.concatenate([np.ones((len(points), 1)), points], axis=1)
    inverse = np.linalg.pinv(design)
    return inverse, np.eye(len(points)) - design @ inverse


@lru_cache(maxsize=1)
def _beyond_polynomials() -> Array:
    """Matrix from values at the centre and the samples of a line to a polynomial's residuals."""
    points = np.concatenate([[0.0], offsets(1)[:, 0]])
    design = np.polynomial.legendre.legvander(points, _DEGREE)
    return np.eye(len(points)) - design @ np.linalg.pinv(design)


def kinked(changes: Array, misfits: Array, sizes: Array) -> NDArray[np.bool_]:
    """Mark cells of a line (d = 1) in which a decoder is far from a polynomial.

    Parameters
    ----------
    changes, misfits : arrays (C, K + 1, D)
        See `Variation`.
    sizes : array (C,)
        Greatest coordinate at each centre: residuals of the size of its rounding do not count.
    """
    left: Array = _beyond_polynomials() @ changes
    most = _SMOOTH * _greatest(misfits) + 64 * ULP * sizes[:, None]
    return np.asarray((_greatest(left) > most).any(axis=-1))


def _greatest(values: Array) -> Array:
    """Greatest modulus over the second of three axes, by a loop: NumPy is slow along short axes."""
    most: Array = np.abs(values[:, 0])
    for i in range(1, values.shape[1]):
        np.maximum(most, np.abs(values[:, i]), out=most)
    return most


def misfit_matrix(d: int) -> Array:
    """Matrix that maps values at the centre and the samples to the residuals of a linear fit."""
    return _fit(d)[1]


def plane_matrix(d: int) -> Array:
    """Matrix that maps these values to a linear fit: its value at the centre, and its slopes."""
    return _fit(d)[0]


@dataclass(frozen=True)
class FieldVariation:
    """Variation in C cells of the summand of log p that all data share, see `Table.field`.

    Attributes
    ----------
    lift : array (C,)
        Estimate of its greatest rise above the centre.
    swing : array (C,)
        Estimate of its greatest change in either direction: a part of the cell may rise by what the
        whole falls.
    sag : array (C,)
        Estimate of its greatest deviation from a linear map.
    tilt : array (C, d + 1)
        Linear fit to the changes: its value at the centre, and its slopes from centre to border.
    """

    lift: Array
    swing: Array
    sag: Array
    tilt: Array

    @classmethod
    def none(cls, count: int, d: int) -> FieldVariation:
        """That of families without such a summand: zeros."""
        zeros = np.zeros(count)
        return cls(zeros, zeros, zeros, np.zeros((count, d + 1)))

    @classmethod
    def of(cls, rise: Array, d: int, unseen: Array) -> FieldVariation:
        """From changes `(C, K + 1)` to the points; between them they are `unseen` times larger."""
        residual = misfit_matrix(d)
        sag = SAFETY_CURVE * np.abs(rise @ residual.T).max(axis=-1)
        lift = SAFETY * np.maximum(rise.max(axis=-1), 0) + sag
        swing = SAFETY * np.abs(rise).max(axis=-1) + sag
        return cls(unseen * lift, unseen * swing, unseen * sag, rise @ plane_matrix(d).T)


@dataclass(frozen=True)
class Variation:
    """Variation of a decoder in C cells, estimated from samples.

    Attributes
    ----------
    centre : array (C, D)
        Parameters at the centres.
    changes : array (C, K + 1, D)
        Changes from the centre to itself and to the samples, in the table's coordinates.
    misfits : array (C, K + 1, D)
        Their residuals of a linear fit.
    reach : array (C,)
        Estimate of the greatest change of the coordinates within the cell.
    curve : array (C,)
        Estimate of the greatest deviation from a linear map.
    rough : array (C,)
        Greatest distance from the linear fit, as a share of the greatest change.
    field : FieldVariation
    """

    centre: Array
    changes: Array
    misfits: Array
    reach: Array
    curve: Array
    rough: Array
    field: FieldVariation

    @property
    def delta(self) -> Array:
        """Changes from the centre to the samples, `(C, K, D)`."""
        return self.changes[:, 1:]

    @cached_property
    def plane(self) -> Array:
        """Linear fit to the changes, `(C, d + 1, D)`.

        The rows are its value at the centre, and its slopes from centre to border.
        """
        return np.asarray(plane_matrix(self.field.tilt.shape[1] - 1) @ self.changes)


def _measure(table: Table, params: Array, d: int) -> Variation:
    """Variation from the parameters `(C, K + 1, D)` at the centres and the samples."""
    centre = params[:, 0]
    delta = table.changes(params, centre[:, None])
    misfits = misfit_matrix(d) @ delta
    misfit = table.length(centre, misfits).max(axis=-1)
    change = table.length(centre, delta).max(axis=-1)
    # Samples that do not lie on a plane say less about the decoder between them.
    rough = misfit / np.maximum(change, 1e-300)
    reach = SAFETY * change + SAFETY_CURVE * misfit
    unseen = np.where(rough > ROUGH[d], UNSEEN, 1.0)
    field = FieldVariation.none(len(centre), d)
    if table.field:
        field = FieldVariation.of(table.rise(delta), d, unseen)
    return Variation(centre, delta, misfits, unseen * reach, SAFETY_CURVE * misfit, rough, field)


def sample_cells(model: LatentModel, table: Table, boxes: Boxes) -> Array:
    """Parameters at the centre and at the samples of each cell, `(C, K + 1, D)`."""
    points = np.concatenate([np.zeros((1, model.latent_dim)), offsets(model.latent_dim)])
    z = boxes.centre[:, None] + boxes.half[:, None] * points
    return table.restrict(model.decode(z))


def vary(model: LatentModel, table: Table, boxes: Boxes) -> Variation:
    """Sample the decoder in each cell; the memory used is that of arrays `(C, K, D)`."""
    return _measure(table, sample_cells(model, table, boxes), model.latent_dim)


def vary_mesh(model: LatentModel, table: Table, mesh: Mesh) -> Variation:
    """Sample the decoder in the cells of a mesh; common corners are evaluated once."""
    d, boxes = model.latent_dim, mesh.boxes()
    points, which = mesh.corners()
    many = which.shape[1]
    inside = np.concatenate([np.zeros((1, d)), offsets(d)[many:]])
    inside = boxes.centre[:, None] + boxes.half[:, None] * inside
    params = np.empty((len(mesh), len(offsets(d)) + 1, model.param_dim))
    outputs = table.restrict(model.decode(inside))
    params[:, 0], params[:, many + 1 :] = outputs[:, 0], outputs[:, 1:]
    params[:, 1 : many + 1] = table.restrict(model.decode(points))[which]
    return _measure(table, params, d)


def calmer(varies: Array, axes: NDArray[np.bool_]) -> Array:
    """Return reach and swing of a part of a cell around its own centre: half, plus the curvature.

    If the cell is not halved along every axis, a part may vary by as much as the whole.

    Parameters
    ----------
    varies : array (C, 4)
        Reach and curve of the cells, and swing and sag of the field.
    axes : array of bool (C, d)
        The axes along which they are halved.
    """
    reach, curve, swing, sag = varies.T
    share = np.where(axes.all(axis=-1), 0.5, 1.0)
    return np.stack([share * (reach - curve) + curve, share * (swing - sag) + sag], axis=-1)


def worst_axes(v: Variation, boxes: Boxes) -> NDArray[np.bool_]:
    """Axes along which a cell varies at least half as much as along its worst axis."""
    slopes = v.plane[:, 1:]
    change = np.sqrt(np.einsum("cid,cid->ci", slopes, slopes) + boxes.half**2)
    return axes_to_halve(change, v.curve, boxes)


def axes_to_halve(change: Array, curve: Array, boxes: Boxes) -> NDArray[np.bool_]:
    """As `worst_axes`, given the changes along each axis `(C, d)` and the curves `(C,)`."""
    # Slopes smaller than the residuals of the fit are unreliable: a narrow cell might be halved
    # along its narrow side again and again. There the long axes are halved instead.
    unsure = curve > change.max(axis=-1)
    change = np.where(unsure[:, None], boxes.half, change)
    chosen: NDArray[np.bool_] = change >= 0.5 * change.max(axis=-1, keepdims=True)
    return chosen


def batch(model: LatentModel) -> int:
    """Number of cells whose samples fit in a block of memory."""
    per_cell = (len(offsets(model.latent_dim)) + 1) * (model.param_dim + model.latent_dim)
    return max(1, _NUMBERS // (3 * per_cell))
