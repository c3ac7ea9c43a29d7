"""Kinks of which a decoder tells: integrals end their cells there."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from vaetheory._kept import Kept
from vaetheory._piecewise_linear.intervals import edges_of_pieces
from vaetheory._piecewise_linear.limits import MOST_PIECES, Budget, DoesNotApply
from vaetheory._piecewise_linear.subdivision import ring, subdivided
from vaetheory._quadrature.triangles import Triangles
from vaetheory._validation import Array
from vaetheory.decoders import ElementwisePieces, PiecewiseLinear
from vaetheory.decoders.piecewise_linear import Layer, as_piecewise_linear
from vaetheory.models import LatentModel

#: How much wider than asked the square is that is divided: later data may ask for more, and there
#: are hardly more pieces farther out.
_WIDER = 1.5


class Line:
    """The line of latents with the kinks of some layers.

    Attributes
    ----------
    told : PiecewiseLinear
    breaks : array (K,) or None
        The kinks, sorted; None if they are too many.
    """

    def __init__(self, told: PiecewiseLinear) -> None:
        self.told = told
        self.breaks: Array | None = None
        with contextlib.suppress(DoesNotApply):
            self.breaks = edges_of_pieces(_bent(told), Budget(MOST_PIECES))[1:-1]


class Plane:
    """The plane of latents, divided into triangles by the kinks of some layers.

    Attributes
    ----------
    told : PiecewiseLinear
    straight : bool
        Whether the decoder is affine between its kinks.
    """

    def __init__(self, told: PiecewiseLinear, straight: bool) -> None:
        self.told, self.straight = told, straight
        self._half = 0.0
        self._triangles: Triangles | None = None

    def triangles(self, radius: float) -> Triangles | None:
        """Triangles that cover a disk, and perhaps more; None if they are too many."""
        if radius > self._half:
            self._half = _WIDER * radius
            start = ring(0.0, self._half)
            try:
                found = subdivided(_bent(self.told), start, Budget(MOST_PIECES))
            except DoesNotApply:
                # In a larger disk there are not fewer.
                self._half, self._triangles = np.inf, None
                return None
            # Fans around the first corners; a polygon repeats its last one.
            whole, count = found.corners, found.count
            fans = [whole[:, [0, i, i + 1]][count > i + 1] for i in range(1, whole.shape[1] - 1)]
            self._triangles = Triangles.of(np.concatenate(fans))
        return self._triangles


_LINES: Kept[Line] = Kept()
_PLANES: Kept[Plane] = Kept()


def _bent(told: PiecewiseLinear) -> Sequence[Layer]:
    """The layers up to the last one with kinks."""
    bent = [i for i, layer in enumerate(told.layers) if isinstance(layer, ElementwisePieces)]
    return told.layers[: bent[-1] + 1]


def _told(model: LatentModel, dim: int) -> PiecewiseLinear | None:
    """The layers that tell the kinks of a decoder of `dim` latents."""
    if model.latent_dim != dim:
        return None
    told = as_piecewise_linear(model.decoder, "kinks")
    if told is not None and told.latent_dim != dim:
        raise ValueError(f"kinks(): expected layers of {dim} latents, got {told.latent_dim}")
    if told is None or not any(isinstance(layer, ElementwisePieces) for layer in told.layers):
        return None
    return told


def _still(told: PiecewiseLinear, kept: Line | Plane) -> bool:
    # A decoder of the user may have changed.
    return kept.told is told or kept.told == told


def kinks_on_the_line(model: LatentModel) -> Array | None:
    """The kinks of a decoder of one latent, sorted; None if it does not tell, or tells of too many.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> layers = [[[1.0], [2.0]], [[1.0, 1.0]]], [[0.0, 1.0], [0.0]]
    >>> relus = decoders.PiecewiseLinear.network(*layers)
    >>> kinks_on_the_line(LatentModel(relus, likelihoods.Bernoulli())).tolist()
    [-0.5, 0.0]
    """
    told = _told(model, 1)
    if told is None:
        return None
    return _LINES.of(model, lambda: Line(told), lambda kept: _still(told, kept)).breaks


def plane_between_kinks(model: LatentModel) -> Plane | None:
    """The plane of a decoder of two latents; None if it does not tell its kinks."""
    told = _told(model, 2)
    if told is None:
        return None
    straight = as_piecewise_linear(model.decoder) is not None
    return _PLANES.of(model, lambda: Plane(told, straight), lambda kept: _still(told, kept))
