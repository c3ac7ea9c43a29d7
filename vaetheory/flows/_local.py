"""A flow around given latents: its Jacobian there, by two routes, and its Taylor series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array
from vaetheory.flows.base import Embedding
from vaetheory.jets import taylor


class Local:
    """The rows of a batch at their latents: everything the routes share."""

    def __init__(self, flow: Embedding, z: Array) -> None:
        self.flow, self.z = flow, z
        self.jacobian = flow.jacobian(z)
        self.image = np.asarray(flow.forward(z))
        triangle = np.linalg.qr(self.jacobian, mode="r")
        size = np.abs(np.diagonal(triangle, axis1=-2, axis2=-1))
        if not (size > 0).all():
            raise ValueError("jacobian: expected full rank at the data, got a singular one")
        self.inverse = np.linalg.inv(triangle)
        # The unit of sigma, a power of two: the series' terms then neither overflow nor vanish.
        self.unit = np.exp2(-np.ceil(np.log2(np.abs(self.inverse).max(axis=(-2, -1)))))
        # How far two routes to the Jacobian disagree, in the decoder's own metric.
        apart = (taylor_jacobian(flow, z, self.jacobian) - self.jacobian) @ self.inverse
        self.slack = np.linalg.norm(apart, axis=(-2, -1))

    def directions(self, rows: NDArray[np.intp], v: Array) -> Array:
        """Directions w = R^-1 v of the nodes v `(M, d)`, `(n, M, d)`."""
        return v @ np.swapaxes(self.inverse[rows], -1, -2)

    def coefficients(self, rows: NDArray[np.intp], w: Array, order: int) -> Array:
        """Taylor coefficients of f along w, `(order + 1, n, M, D)`."""
        return taylor(self.flow.forward, self.z[rows, None], w, order)


def taylor_jacobian(flow: Embedding, z: Array, other: Array) -> Array:
    """The Jacobian of f by its Taylor series, `(N, D, d)`; where there is none, the other."""
    try:
        found = taylor(flow.forward, z[..., None, :], np.eye(flow.latent_dim), 1)[1]
    except TypeError:
        return other
    return np.swapaxes(found, -1, -2)
