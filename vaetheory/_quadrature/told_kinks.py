"""Kinks of which a decoder tells: integrals end their cells there."""

from __future__ import annotations

import numpy as np

from vaetheory._piecewise_linear.intervals import edges_of_pieces
from vaetheory._piecewise_linear.limits import MOST_PIECES, Budget, DoesNotApply
from vaetheory._piecewise_linear.subdivision import ring, subdivided
from vaetheory._quadrature.triangles import Triangles
from vaetheory._validation import Array
from vaetheory.decoders import ElementwisePieces, PiecewiseLinear
from vaetheory.decoders.piecewise_linear import as_piecewise_linear
from vaetheory.models import LatentModel

#: How much wider than asked the square is that is divided: later data may ask for more, and there
#: are hardly more pieces farther out.
_WIDER = 1.5


def _layers(model: LatentModel, dim: int) -> PiecewiseLinear | None:
    """The layers that tell the kinks of a decoder of `dim` latents."""
    if model.latent_dim != dim:
        return None
    layers = as_piecewise_linear(model.decoder, "kinks")
    if layers is None or not any(isinstance(one, ElementwisePieces) for one in layers.layers):
        return None
    return layers


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
    layers = _layers(model, 1)
    if layers is None:
        return None
    try:
        return edges_of_pieces(layers.layers, Budget(MOST_PIECES))[1:-1]
    except DoesNotApply:
        return None


class Plane:
    """The plane of latents, divided into triangles by the kinks of a decoder.

    Parameters
    ----------
    layers : PiecewiseLinear
        They tell the kinks.
    """

    def __init__(self, layers: PiecewiseLinear) -> None:
        self._layers = layers.layers
        self._half = 0.0
        self._triangles: Triangles | None = None

    @classmethod
    def of(cls, model: LatentModel) -> Plane | None:
        """The plane of a decoder of two latents; None if it does not tell its kinks."""
        layers = _layers(model, 2)
        return None if layers is None else cls(layers)

    def triangles(self, radius: float) -> Triangles | None:
        """Triangles that cover a disk, and perhaps more; None if they are too many."""
        if radius > self._half:
            self._half = _WIDER * radius
            try:
                found = subdivided(self._layers, ring(0.0, self._half), Budget(MOST_PIECES))
            except DoesNotApply:
                # In a larger disk there are not fewer.
                self._half, self._triangles = np.inf, None
                return None
            # Fans around the first corners; a polygon repeats its last one.
            whole, count = found.corners, found.count
            fans = [whole[:, [0, i, i + 1]][count > i + 1] for i in range(1, whole.shape[1] - 1)]
            self._triangles = Triangles.of(np.concatenate(fans))
        return self._triangles
